"""Wrong answers to the exercises of chapter 06."""

from answers import Wrong, flipped

from vmbus_teach.grading.chapters.ch06 import ShutdownQueued
from vmbus_teach.kernel import (
    READ_ONCE,
    Mutex,
    atomic_inc,
    cancel_work_sync,
    complete,
    kfree,
    kref_get,
    kref_put,
    list_del_init,
    list_empty,
    list_first,
    mutex_lock,
    mutex_unlock,
    queue_work,
    remove_wait_entry,
    spin_lock,
    spin_lock_irq,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irq,
    spin_unlock_irqrestore,
    wait_for_completion,
)
from vmbus_teach.scenarios.irqfd_merged import Merged

CLOSERS = [
    Wrong("vmm*10 device*12", "fails", "stops before its end .* nothing has failed so far. Possible now: device, vmm"),
    Wrong("vmm*11 device*12 vmm", "fails", "stops before its end .* nothing has failed so far"),
    Wrong("vmm*9 device*12", "fails", "device cannot step now: it waits for the reader vmm"),
    Wrong("device*2 vmm*10 device*10 vmm", "fails", "fails as it should .* too many switches"),
    Wrong("device*19 vmm*5", "fails", "All has been done .* there was no use-after-free"),
    Wrong("vmm*17 device*15", "fails", "All has been done .* there was no use-after-free"),
    Wrong("vmm*10 shutdown", "fails", "there is no context 'shutdown'"),
    Wrong("vmm*10, device*12", "refused", "'vmm\\*10,' is no step of a schedule"),
]  # fmt: skip


class Picks(ShutdownQueued):
    """For others to begin with: the machine's close finds an irqfd and takes it off in one step."""

    def pick(self, kvm):
        yield spin_lock_irq(kvm.irqfds_lock)
        irqfd = yield list_first(kvm.irqfds)
        if irqfd is not None:
            yield list_del_init(irqfd.list)
            yield from self.picked(irqfd)
        yield spin_unlock_irq(kvm.irqfds_lock)
        return irqfd

    def picked(self, irqfd):
        yield from ()

    def kvm_irqfd_release(self, kvm):
        while (irqfd := (yield from self.pick(kvm))) is not None:
            yield from self.irqfd_disconnect(irqfd)
            yield from self.through(irqfd)

    def through(self, irqfd):
        yield from ()

    def unlink(self, irqfd, kvm):
        yield spin_lock_irq(kvm.irqfds_lock)
        yield list_del_init(irqfd.list)
        yield spin_unlock_irq(kvm.irqfds_lock)


class Counted(Picks):
    """A right answer: the machine's side gets a reference under the lock; whoever puts the last one frees."""

    def picked(self, irqfd):
        yield kref_get(irqfd.refs)

    def through(self, irqfd):
        last = yield kref_put(irqfd.refs)
        if last:
            yield from self.free_irqfd(irqfd)

    def irqfd_shutdown(self, irqfd):
        yield from self.unhook_and_flush(irqfd)
        yield from self.irqfd_disconnect(irqfd)
        yield from self.through(irqfd)


class WaitsForTheOther(Picks):
    """A right answer: who frees waits for the machine's side, if that one has taken the irqfd off."""

    def through(self, irqfd):
        yield complete(irqfd.done)

    def irqfd_shutdown(self, irqfd):
        yield from self.unhook_and_flush(irqfd)
        kvm = yield from self.take_the_machine(irqfd)
        theirs = True
        if kvm is not None:
            yield spin_lock_irq(kvm.irqfds_lock)
            theirs = yield list_empty(irqfd.list)
            yield list_del_init(irqfd.list)
            yield spin_unlock_irq(kvm.irqfds_lock)
            yield from self.drop_the_machine(irqfd, kvm)
        if theirs:
            yield wait_for_completion(irqfd.done)
        yield from self.free_irqfd(irqfd)


class Elected(ShutdownQueued):
    """A right answer, as it was merged: whoever takes the irqfd off queues the rest. Nobody else needs to wait."""

    def hangup(self, irqfd):
        kvm = yield READ_ONCE(irqfd.kvm)
        flags = yield spin_lock_irqsave(kvm.irqfds_lock)
        taken = yield list_empty(irqfd.list)
        if not taken:
            yield from self.deactivate(irqfd)
        yield spin_unlock_irqrestore(kvm.irqfds_lock, flags)

    def deactivate(self, irqfd):
        yield list_del_init(irqfd.list)
        yield queue_work(self.irqfd_cleanup_wq, irqfd.shutdown)

    def kvm_irqfd_release(self, kvm):
        yield spin_lock_irq(kvm.irqfds_lock)
        while (irqfd := (yield list_first(kvm.irqfds))) is not None:
            yield from self.deactivate(irqfd)
        yield spin_unlock_irq(kvm.irqfds_lock)

    def unlink(self, irqfd, kvm):
        yield from ()


# --- wrong ones ------------------------------------------------------------------------------------------------


class WalksUnderTheLock(ShutdownQueued):
    """The whole loop, under the list's lock."""

    def kvm_irqfd_release(self, kvm):
        yield spin_lock_irq(kvm.irqfds_lock)
        yield from super().kvm_irqfd_release(kvm)
        yield spin_unlock_irq(kvm.irqfds_lock)


class CountedTooLate(Counted):
    """The reference is got when the lock is free again."""

    def picked(self, irqfd):
        yield from ()

    def kvm_irqfd_release(self, kvm):
        while (irqfd := (yield from self.pick(kvm))) is not None:
            yield kref_get(irqfd.refs)
            yield from self.irqfd_disconnect(irqfd)
            yield from self.through(irqfd)


class NeverFrees(Picks):
    """Nothing is freed, so nothing is used after it was."""

    def irqfd_shutdown(self, irqfd):
        yield from self.unhook_and_flush(irqfd)
        yield from self.irqfd_disconnect(irqfd)


class AsksTheMachine(WaitsForTheOther):
    """Looks under the lock of the machine, before it has taken the machine."""

    def irqfd_shutdown(self, irqfd):
        yield from self.unhook_and_flush(irqfd)
        kvm = yield READ_ONCE(irqfd.kvm)
        theirs = True
        if kvm is not None:
            yield spin_lock_irq(kvm.irqfds_lock)
            theirs = yield list_empty(irqfd.list)
            yield list_del_init(irqfd.list)
            yield spin_unlock_irq(kvm.irqfds_lock)
        if theirs:
            yield wait_for_completion(irqfd.done)
        else:
            yield from self.irqfd_disconnect(irqfd)
        yield from self.free_irqfd(irqfd)


class LoserWaits(WaitsForTheOther):
    """Waits for the other side only if that one has the machine."""

    def irqfd_shutdown(self, irqfd):
        yield from self.unhook_and_flush(irqfd)
        kvm = yield from self.take_the_machine(irqfd)
        if kvm is None:
            yield wait_for_completion(irqfd.done)
        else:
            yield from self.unlink(irqfd, kvm)
            yield from self.drop_the_machine(irqfd, kvm)
        yield from self.free_irqfd(irqfd)


class CloseWaitsForHangup(Picks):
    """The machine's close waits until the eventfd's side is through, for each irqfd."""

    def through(self, irqfd):
        yield wait_for_completion(irqfd.done)

    def irqfd_shutdown(self, irqfd):
        yield from self.unhook_and_flush(irqfd)
        yield from self.irqfd_disconnect(irqfd)
        yield complete(irqfd.done)
        yield from self.free_irqfd(irqfd)


class QueuedByBoth(Elected):
    """POLLHUP queues the shutdown in any case: a work item is not queued twice."""

    def hangup(self, irqfd):
        yield queue_work(self.irqfd_cleanup_wq, irqfd.shutdown)


class ElectedWithoutALock(Elected):
    """POLLHUP asks and takes off without the lock."""

    def hangup(self, irqfd):
        taken = yield list_empty(irqfd.list)
        if not taken:
            yield from self.deactivate(irqfd)


class InterruptsOn(Elected):
    """POLLHUP switches interrupts on, and the eventfd's lock is still held."""

    def hangup(self, irqfd):
        kvm = yield READ_ONCE(irqfd.kvm)
        yield spin_lock_irq(kvm.irqfds_lock)
        taken = yield list_empty(irqfd.list)
        if not taken:
            yield from self.deactivate(irqfd)
        yield spin_unlock_irq(kvm.irqfds_lock)


class InterruptsStayOn(Counted):
    """The list's lock is taken with interrupts on."""

    def unlink(self, irqfd, kvm):
        yield spin_lock(kvm.irqfds_lock)
        yield list_del_init(irqfd.list)
        yield spin_unlock(kvm.irqfds_lock)


class ClosesNothing(Elected):
    """The machine's close leaves irqfds to their eventfds."""

    def kvm_irqfd_release(self, kvm):
        yield from ()


class Cancels(Elected):
    """Takes the worker's item back, where it has not begun."""

    def unhook_and_flush(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.remove_wait_queue(ctx, irqfd.wait)
        yield cancel_work_sync(irqfd.inject)


class NotFlushed(Elected):
    """Waits for nobody: an irqfd that was unhooked is told nothing more."""

    def unhook_and_flush(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.remove_wait_queue(ctx, irqfd.wait)


class UnhooksAtOnce(ShutdownQueued):
    """POLLHUP unhooks the callback, and leaves the rest."""

    def hangup(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.remove_wait_queue(ctx, irqfd.wait)
        yield queue_work(self.irqfd_cleanup_wq, irqfd.shutdown)


class ShutsDownAtOnce(ShutdownQueued):
    """POLLHUP does it all, as in June."""

    def hangup(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield remove_wait_entry(ctx.wqh, irqfd.wait)
        yield from self.irqfd_disconnect(irqfd)
        yield from self.free_irqfd(irqfd)


class OneMutex(ShutdownQueued):
    """One mutex over everything, under which all may be waited for."""

    def setup(self, vm=True, eventfd=True, **parameters):
        super().setup(vm, eventfd, **parameters)
        self.lock = Mutex()

    def irqfd_shutdown(self, irqfd):
        yield mutex_lock(self.lock)
        yield from super().irqfd_shutdown(irqfd)
        yield mutex_unlock(self.lock)

    def kvm_irqfd_release(self, kvm):
        yield mutex_lock(self.lock)
        yield from super().kvm_irqfd_release(kvm)
        yield mutex_unlock(self.lock)


class FreesTheMachine(Elected):
    """Frees the machine whose irqfds keep it."""

    def kvm_irqfd_release(self, kvm):
        yield kfree(kvm)


class NotesAnInjection(NotFlushed):
    """Says that an interrupt has been injected."""

    def irqfd_shutdown(self, irqfd):
        yield atomic_inc(self.kvm.edges)
        yield from super().irqfd_shutdown(irqfd)


class InjectsByItself(Cancels):
    """Injects in the worker's place."""

    def irqfd_shutdown(self, irqfd):
        kvm = yield READ_ONCE(irqfd.kvm)
        yield from self.kvm_set_irq(kvm, 1)
        yield from super().irqfd_shutdown(irqfd)


class FreesOnlyThis(Elected):
    """Frees the irqfd in another way."""

    def free_irqfd(self, irqfd):
        yield kfree(irqfd)


class AsksNobody(Picks):
    """Says that all irqfds are freed."""

    def an_irqfd_goes_with_its_eventfd(self, s):
        return True


_OWN = "not for your code to"

FREES = [
    Wrong(Picks, "fails", "uses irqfd#0.list after irqfd#0.shutdown freed"),
    Wrong(WalksUnderTheLock, "fails", "sleep-in-atomic: vmm calls mutex_lock.*it holds kvm#0.irqfds_lock"),
    Wrong(CountedTooLate, "fails", "vmm gets a reference from irqfd#0.refs, which has none left"),
    Wrong(NeverFrees, "fails", "NeverFrees\\(vm=False\\) fails.*the irqfd is never freed"),
    Wrong(AsksTheMachine, "fails", "irqfd#0.shutdown uses kvm#0.irqfds_lock after vmm freed kvm#0"),
    Wrong(LoserWaits, "fails", "vmm uses irqfd#0.lock after irqfd#0.shutdown freed"),
    Wrong(CloseWaitsForHangup, "fails", "eventfd=False\\) fails.*vmm waits for the completion irqfd#0.done"),
    Wrong(QueuedByBoth, "fails", "irqfd#0.shutdown freed irqfd#0"),
    Wrong(ElectedWithoutALock, "fails", "uses irqfd#0.list after irqfd#0.shutdown freed"),
    Wrong(ClosesNothing, "fails", "eventfd=False\\) fails.*the machine is closed, and never freed"),
    Wrong(Cancels, "fails", "vm=False\\) fails.*an event is lost"),
    Wrong(NotFlushed, "fails", "calls cleanup_srcu_struct.* while irqfd#0.inject is inside"),
    Wrong(UnhooksAtOnce, "fails", "deadlock: .* device spins for eventfd#0.wqh_lock, which it holds itself"),
    Wrong(ShutsDownAtOnce, "fails", "sleep-in-atomic: device calls mutex_lock.*it holds eventfd#0.wqh_lock"),
    Wrong(OneMutex, "refused", "vmm does mutex_lock\\(lock\\).* take spin locks only"),
    Wrong(InterruptsOn, "refused", "device does spin_lock_irq.* switches them on while wqh.lock is held"),
    Wrong(InterruptsStayOn, "refused", "does spin_lock\\(.* So take locks with interrupts off"),
    Wrong(FreesTheMachine, "refused", f"kvm is {_OWN} touch. The machine is freed by kvm_put_kvm"),
    Wrong(NotesAnInjection, "refused", f"edges is {_OWN} touch. Only the worker injects"),
    Wrong(InjectsByItself, "refused", f"kvm_set_irq is run from irqfd_shutdown.* {_OWN} run"),
    Wrong(FreesOnlyThis, "refused", "FreesOnlyThis has free_irqfd, which cannot count here"),
    Wrong(AsksNobody, "refused", "a property says what must hold, and stays as it is given"),
    Wrong(Merged, "refused", "Merged is no subclass of ShutdownQueued"),
]  # fmt: skip

_MERGED = {
    "AsksTwice": "harmless", "HangupQueuesLate": "harmful", "CloseQueuesLate": "harmless", "LockForEach": "harmful",
    "WakeupAsks": "harmless", "InjectAsks": "harmful",
}  # fmt: skip

MERGED = [
    Wrong(flipped(_MERGED, "AsksTwice"), "fails", "AsksTwice is harmful. But .* holds"),
    Wrong(flipped(_MERGED, "HangupQueuesLate"), "fails", "is harmless. This schedule.*kvm#0.edges after vmm freed"),
    Wrong(flipped(_MERGED, "CloseQueuesLate"), "fails", "CloseQueuesLate is harmful. But .* holds"),
    Wrong(flipped(_MERGED, "LockForEach"), "fails", "is harmless. This schedule.*irqfds=2, events=0"),
    Wrong(flipped(_MERGED, "WakeupAsks"), "fails", "WakeupAsks is harmful. But .* holds"),
    Wrong(flipped(_MERGED, "InjectAsks"), "fails", "is harmless. This schedule.*an event is lost.*vm=False"),
    Wrong(dict.fromkeys(_MERGED, "harmless"), "fails", "3 of 6 judgements are right"),
    Wrong({**_MERGED, "AsksTwice": "benign"}, "refused", "AsksTwice is judged 'benign'"),
    Wrong({**_MERGED, "ListDel": "harmful"}, "refused", "There is no mutation 'ListDel'"),
    Wrong(["harmless"] * 6, "refused", "is a dict such as"),
]

RIGHT = {"06-frees": [Counted, WaitsForTheOther]}
WRONG = {"06-closers": CLOSERS, "06-frees": FREES, "06-merged": MERGED}
