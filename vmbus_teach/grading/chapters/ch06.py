"""Exercises of chapter 06: KVM, irqfd and SRCU."""

from __future__ import annotations

from ...kernel import (
    POLLHUP,
    POLLIN,
    READ_ONCE,
    Completion,
    Kref,
    SpinLock,
    Work,
    WorkQueue,
    cleanup_srcu_struct,
    inside,
    kfree,
    list_del,
    list_del_init,
    list_first,
    list_next,
    mutex_lock,
    mutex_unlock,
    queue_work,
    schedule_work,
    spin_lock,
    spin_lock_bh,
    spin_lock_irq,
    spin_lock_irqsave,
    spin_unlock_irq,
    spin_unlock_irqrestore,
    srcu_read_lock,
    srcu_read_unlock,
    synchronize_srcu,
)
from ...kernel.heap import Freed
from ...scenario import at_end
from ...scenarios.eventfd import Eventfd
from ...scenarios.irqfd import BothClose
from ...scenarios.irqfd_merged import Merged
from ..exercise import FEWEST, BreakIt, Exercise, Forbid, JudgeIt, RepairIt

# --- break it: who closes is a reader, too -------------------------------------------------------------------


class ClosersRead(BothClose):
    """The irqfd of June 2009; the machine's close is a reader of each irqfd that it takes off the list."""

    def kvm_irqfd_release(self, kvm):
        while True:
            yield mutex_lock(kvm.lock)
            irqfd = yield list_first(kvm.irqfds)
            if irqfd is not None:
                index = yield srcu_read_lock(irqfd.srcu)  # is a reader from before anybody else can find it gone
                yield list_del_init(irqfd.list)
            yield mutex_unlock(kvm.lock)
            if irqfd is None:
                return
            machine = yield from self.take_the_machine(irqfd)
            yield srcu_read_unlock(irqfd.srcu, index)
            if machine is not None:
                yield from self.drop_the_machine(irqfd, machine)

    def irqfd_disconnect(self, irqfd):
        kvm = yield from self.take_the_machine(irqfd)
        if kvm is None:
            yield synchronize_srcu(irqfd.srcu)  # the other side has it: waits until that one is no reader any more
        else:
            yield from self.unlink(irqfd, kvm)
            yield from self.drop_the_machine(irqfd, kvm)

    def unlink(self, irqfd, kvm):
        yield mutex_lock(kvm.lock)
        yield list_del_init(irqfd.list)  # does nothing if the other side has done it
        yield mutex_unlock(kvm.lock)


CLOSERS = BreakIt(
    name="06-closers",
    title="Who closes is a reader, too",
    scenario=ClosersRead,
    cases=({"events": 0},),
    breaks="use-after-free",
    switches=FEWEST,
    hints=(
        "While the machine's close is a reader, nobody frees the irqfd: the eventfd's side waits for readers first, "
        "whether it has found the machine or NULL. So what does the machine's close still do with the irqfd when it is "
        "no reader any more, and when does it do anything at all?",
        "It does so only if it was the first to take the machine. Then it leaves its section, and waits for readers "
        "itself. A domain waits for those who read. Who waits for those who wait?",
        "Let vmm go until it has left its section, and stop it before synchronize_srcu. Let the other side close: it "
        "finds NULL, and no reader. When it has cleaned up, let vmm go on.",
    ),
)

# --- repair it: one who frees ----------------------------------------------------------------------------------


class ShutdownQueued(BothClose):
    """The irqfd of June 2009, where POLLHUP is told under the eventfd's lock; so a worker does the rest. Both close."""

    irqfd_holds_the_context = True

    def setup(self, vm=True, eventfd=True, **parameters):
        super().setup(vm, eventfd, **parameters)
        self.irqfd_cleanup_wq = WorkQueue()
        self.edges = self.kvm.edges  # by a name, so that an answer can be kept from counting by itself

    def kvm_fields(self, irqfds):
        return super().kvm_fields(irqfds) | {"irqfds_lock": inside(SpinLock)}  # guards the list; irqfds.lock in C

    def irqfd_fields(self):
        return super().irqfd_fields() | {
            "shutdown": inside(lambda irqfd: Work(self.irqfd_shutdown, irqfd)),
            "refs": inside(Kref),  # one reference, which nobody uses yet
            "done": inside(Completion),  # nobody uses it yet
        }

    # --- the eventfd's side --------------------------------------------------------------------------

    def irqfd_wakeup(self, irqfd, key):
        if key & POLLIN:
            yield schedule_work(irqfd.inject)
        if key & POLLHUP:
            yield from self.hangup(irqfd)

    def hangup(self, irqfd):
        yield queue_work(self.irqfd_cleanup_wq, irqfd.shutdown)  # wqh.lock is held: nothing here may sleep

    def irqfd_shutdown(self, irqfd):
        yield from self.unhook_and_flush(irqfd)
        yield from self.irqfd_disconnect(irqfd)
        yield from self.free_irqfd(irqfd)

    def free_irqfd(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.eventfd_ctx_put(ctx)
        yield cleanup_srcu_struct(irqfd.srcu)
        yield kfree(irqfd)

    def wake_up_poll(self, ctx, key):
        yield from Eventfd.wake_up_poll(self, ctx, key)  # takes the queue's lock

    # --- the machine's side -----------------------------------------------------------------------------

    def kvm_irqfd_release(self, kvm):
        irqfd = yield list_first(kvm.irqfds)
        while irqfd is not None:
            following = yield list_next(irqfd.list)
            yield from self.irqfd_disconnect(irqfd)
            irqfd = following

    # --- both -------------------------------------------------------------------------------------------

    def unlink(self, irqfd, kvm):
        yield spin_lock_irq(kvm.irqfds_lock)
        yield list_del(irqfd.list)
        yield spin_unlock_irq(kvm.irqfds_lock)

    # --- what must hold -----------------------------------------------------------------------------------

    @at_end
    def an_irqfd_goes_with_its_eventfd(self, s):
        gone = isinstance(s[self.irqfd[-1]], Freed)
        return gone or not self.eventfd or "the eventfd is closed, and the irqfd is never freed"

    @at_end
    def an_eventfd_goes_with_its_last_user(self, s):
        gone = isinstance(s[self.ctx[-1]], Freed)
        return gone == self.eventfd or "the eventfd is closed, and its context is never freed"


FREES = RepairIt(
    name="06-frees",
    title="One who frees",
    scenario=ShutdownQueued,
    may_change=("hangup", "irqfd_shutdown", "unhook_and_flush", "irqfd_disconnect", "take_the_machine", "unlink",
                "drop_the_machine", "kvm_irqfd_release"),
    cases=({"eventfd": False}, {"vm": False}, {"events": 0}, {"irqfds": 2, "events": 0}, {}),
    must_end=True,
    forbids=(
        Forbid((mutex_lock,), why="Who closes waits for an injection, perhaps for long. With a mutex held meanwhile, "
               "all others who close would wait as well. In your own code take spin locks only."),
        Forbid((spin_lock, spin_lock_bh), why="An eventfd may be signalled by an interrupt handler, which is left out "
               "here. So take locks with interrupts off: spin_lock_irq in a task, spin_lock_irqsave in the callback."),
        Forbid((spin_lock_irq, spin_unlock_irq), contexts=("device",), why="A callback is called with interrupts off, "
               "and spin_unlock_irq switches them on while wqh.lock is held. Take spin_lock_irqsave."),
    ),
    reserved={
        "kvm": "The machine is freed by kvm_put_kvm, when its last reference goes.",
        "edges": "Only the worker injects, by kvm_set_irq.",
        "kvm_set_irq": "Only the worker injects.",
    },
    hints=(
        "The mutex elects one who drops the machine. Nobody is elected to free the irqfd: its eventfd's side does so "
        "without asking whether the other still uses it. And the machine's side relies on an irqfd that it found on a "
        "list, when anybody may take it off. Begin there: what must be one step, under irqfds_lock?",
        "To find the first irqfd and to take it off, by list_del_init; then list_empty tells everybody else that "
        "somebody has it. From there on, there are three ways. Leave all the rest to one. Or count who uses it. Or "
        "have the one who frees wait for the other. Mind, in each, how long irqfd.kvm leads to a machine.",
        "The first way: whoever takes the irqfd off queues its shutdown under the same lock, and nobody else does; "
        "hangup asks list_empty first, and kvm_irqfd_release queues, too. The second: a kref_get under the lock by "
        "the machine's side, and free_irqfd by whoever puts the last reference. The third: complete(irqfd.done) by the "
        "machine's side, wait_for_completion by the other if it was not the one who took the irqfd off.",
    ),
)  # fmt: skip

# --- judge it: changes to the merged design ---------------------------------------------------------------------


class AsksTwice(Merged):
    """POLLHUP asks whether the irqfd is still on the list, takes irqfds.lock only if so, and asks again."""

    def hangup(self, irqfd):
        active = yield from self.irqfd_is_active(irqfd)
        if active:
            yield from super().hangup(irqfd)


class HangupQueuesLate(Merged):
    """POLLHUP takes the irqfd off under irqfds.lock, and queues its shutdown when it has given the lock back."""

    def hangup(self, irqfd):
        kvm = yield READ_ONCE(irqfd.kvm)
        flags = yield spin_lock_irqsave(kvm.irqfds_lock)
        active = yield from self.irqfd_is_active(irqfd)
        if active:
            yield list_del_init(irqfd.list)
        yield spin_unlock_irqrestore(kvm.irqfds_lock, flags)
        if active:
            yield queue_work(self.irqfd_cleanup_wq, irqfd.shutdown)


class CloseQueuesLate(Merged):
    """The machine's close takes all irqfds off under irqfds.lock, and queues when it has given the lock back."""

    def deactivate_all(self, kvm):
        taken = []
        yield spin_lock_irq(kvm.irqfds_lock)
        while (irqfd := (yield list_first(kvm.irqfds))) is not None:
            yield list_del_init(irqfd.list)
            taken.append(irqfd)
        yield spin_unlock_irq(kvm.irqfds_lock)
        for irqfd in taken:
            yield queue_work(self.irqfd_cleanup_wq, irqfd.shutdown)


class LockForEach(Merged):
    """The machine's close takes irqfds.lock for one irqfd at a time; which one is next, it notes before."""

    def deactivate_all(self, kvm):
        yield spin_lock_irq(kvm.irqfds_lock)
        irqfd = yield list_first(kvm.irqfds)
        while irqfd is not None:
            following = yield list_next(irqfd.list)
            yield from self.irqfd_deactivate(irqfd)
            yield spin_unlock_irq(kvm.irqfds_lock)
            yield spin_lock_irq(kvm.irqfds_lock)
            irqfd = following
        yield spin_unlock_irq(kvm.irqfds_lock)


class WakeupAsks(Merged):
    """POLLIN asks, without a lock, whether the irqfd is still on the list; if not, it leaves the worker alone."""

    def irqfd_wakeup(self, irqfd, key):
        if key & POLLIN:
            active = yield from self.irqfd_is_active(irqfd)
            if active:
                yield schedule_work(irqfd.inject)
        if key & POLLHUP:
            yield from self.hangup(irqfd)


class InjectAsks(Merged):
    """The worker asks whether the irqfd is still on the list; if not, it injects nothing."""

    def irqfd_inject(self, irqfd):
        active = yield from self.irqfd_is_active(irqfd)
        if active:
            yield from super().irqfd_inject(irqfd)


MERGED = JudgeIt(
    name="06-merged",
    title="Changes to the merged design",
    scenario=Merged,
    mutations=(AsksTwice, HangupQueuesLate, CloseQueuesLate, LockForEach, WakeupAsks, InjectAsks),
    cases=({}, {"vm": False}, {"irqfds": 2, "events": 0}),
    because={
        "AsksTwice": "Who is off the list stays off, so a no needs no lock. A yes may be stale, and is asked again.",
        "HangupQueuesLate": "Between the two steps the irqfd is on no list and on no queue. The machine's close finds "
        "nothing, waits for an empty queue, and frees the machine; the worker may still be about to use it.",
        "CloseQueuesLate": "The same gap, and nobody who falls into it: who waits for the queue is the one who queues, "
        "and a POLLHUP that finds the irqfd off the list has nothing to do.",
        "LockForEach": "The one that was noted may be taken off and freed while the lock is free. With a single irqfd "
        "none is noted. To take the first one each time would do.",
        "WakeupAsks": "An eventfd that is not closed yet has its irqfd on the list, unless the machine is being "
        "closed. Then nobody waits for the interrupt.",
        "InjectAsks": "An event that came before the eventfd was closed is lost: shutdown waits for the worker, which "
        "finds that the irqfd is off the list. To wait for it does not help if it does nothing.",
    },
    hints=(
        "Three things make the design: one who takes the irqfd off and queues its shutdown, in one section; a close "
        "of the machine that waits for the queue; a shutdown that waits for the worker. Who relies on each of them?",
        "Three of the six do harm: one loses an event where the machine stays, one needs both sides, one needs two "
        "irqfds.",
        "HangupQueuesLate and CloseQueuesLate: who could look into the gap, and what would they make of it? "
        "WakeupAsks and InjectAsks: when is each executed, seen from the POLLHUP?",
    ),
)

EXERCISES: tuple[Exercise, ...] = (CLOSERS, FREES, MERGED)
