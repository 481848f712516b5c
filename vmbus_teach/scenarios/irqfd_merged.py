"""Chapter 06: the irqfd that the kernel has, merged in 2009 and read here in v6.1.

It needs no SRCU. An irqfd has no reference to the machine; instead the machine's close waits for all irqfds to go.
Under one lock, ``irqfds.lock``, the irqfd is taken off the machine's list, and whoever does that (and nobody else)
queues the work that frees it. ``Merged`` frees one irqfd after the other, on an ordered queue, as KVM did at first; in
v6.1 the queue is an ordinary one, on which several may be freed at once: ``UnorderedQueue``. (Source:
virt/kvm/eventfd.c, v6.1; what is left out here is in irqfd_today.py. A DEASSIGN ioctl does what the machine's close
does, and is not modelled by itself.)
"""

from __future__ import annotations

from ..kernel import (
    POLLHUP,
    POLLIN,
    READ_ONCE,
    SpinLock,
    Struct,
    Work,
    WorkQueue,
    flush_work,
    flush_workqueue,
    inside,
    kfree,
    list_del,
    list_del_init,
    list_empty,
    list_first,
    list_next,
    queue_work,
    raise_irq,
    schedule_work,
    spin_lock,
    spin_lock_irq,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irq,
    spin_unlock_irqrestore,
)
from ..kernel.heap import Freed
from ..scenario import at_end, interrupt
from .irqfd import Machine


class Merged(Machine):
    """Both sides are closed."""

    irqfd_holds_the_context = True

    def setup(self, vm=True, eventfd=True, **parameters):
        super().setup(vm, eventfd, **parameters)
        self.irqfd_cleanup_wq = WorkQueue(ordered=True)

    def kvm_fields(self, irqfds):
        return super().kvm_fields(irqfds) | {"irqfds_lock": inside(SpinLock)}  # irqfds.lock in C

    def irqfd_fields(self):
        return super().irqfd_fields() | {"shutdown": inside(lambda irqfd: Work(self.irqfd_shutdown, irqfd))}

    # --- an event comes ------------------------------------------------------------------------------

    def irqfd_wakeup(self, irqfd, key):
        if key & POLLIN:
            yield schedule_work(irqfd.inject)  # leaves the injection to a worker: wqh.lock is held
        if key & POLLHUP:
            yield from self.hangup(irqfd)

    def irqfd_inject(self, irqfd):
        kvm = yield READ_ONCE(irqfd.kvm)
        yield from self.kvm_set_irq(kvm, 1)
        yield from self.kvm_set_irq(kvm, 0)

    # --- a side is closed ------------------------------------------------------------------------------

    def hangup(self, irqfd):
        kvm = yield READ_ONCE(irqfd.kvm)
        flags = yield spin_lock_irqsave(kvm.irqfds_lock)
        active = yield from self.irqfd_is_active(irqfd)
        if active:
            yield from self.irqfd_deactivate(irqfd)
        yield spin_unlock_irqrestore(kvm.irqfds_lock, flags)

    def irqfd_is_active(self, irqfd):
        empty = yield list_empty(irqfd.list)  # asks whether the other side has taken it off
        return not empty

    def irqfd_deactivate(self, irqfd):
        yield list_del_init(irqfd.list)  # takes it off the machine's list, once
        yield queue_work(self.irqfd_cleanup_wq, irqfd.shutdown)  # has it freed

    def irqfd_shutdown(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.remove_wait_queue(ctx, irqfd.wait)
        yield flush_work(irqfd.inject)  # waits for an injection that is under way
        yield from self.eventfd_ctx_put(ctx)
        yield kfree(irqfd)  # frees the irqfd

    def kvm_irqfd_release(self, kvm):
        yield from self.deactivate_all(kvm)
        yield flush_workqueue(self.irqfd_cleanup_wq)  # waits until all of them are freed

    def deactivate_all(self, kvm):
        yield spin_lock_irq(kvm.irqfds_lock)
        irqfd = yield list_first(kvm.irqfds)
        while irqfd is not None:
            following = yield list_next(irqfd.list)
            yield from self.irqfd_deactivate(irqfd)
            irqfd = following
        yield spin_unlock_irq(kvm.irqfds_lock)

    @at_end
    def an_irqfd_goes_with_either_side(self, s):
        gone = isinstance(s[self.irqfd[-1]], Freed)
        return gone == (self.vm or self.eventfd) or "the irqfd is never freed"

    @at_end
    def an_eventfd_goes_with_its_last_user(self, s):
        gone = isinstance(s[self.ctx[-1]], Freed)
        return gone == self.eventfd or "the eventfd is closed, and its context is never freed"


# --- one thing changed -------------------------------------------------------------------------------------


class NotTested(Merged):
    """POLLHUP does not ask whether the irqfd is still on the list."""

    def irqfd_is_active(self, irqfd):
        yield from ()
        return True


class ListDel(Merged):
    """list_del in place of list_del_init: an irqfd that was taken off looks as if it were on the list."""

    def irqfd_deactivate(self, irqfd):
        yield list_del(irqfd.list)
        yield queue_work(self.irqfd_cleanup_wq, irqfd.shutdown)


class HangupTakesNoLock(Merged):
    """POLLHUP tests and takes off without irqfds.lock."""

    def hangup(self, irqfd):
        active = yield from self.irqfd_is_active(irqfd)
        if active:
            yield from self.irqfd_deactivate(irqfd)


class NotFlushed(Merged):
    """Nobody waits for the worker before the irqfd is freed."""

    def irqfd_shutdown(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.remove_wait_queue(ctx, irqfd.wait)
        yield from self.eventfd_ctx_put(ctx)
        yield kfree(irqfd)


class FlushedFirst(Merged):
    """The worker is waited for, and then the callback is unhooked."""

    def irqfd_shutdown(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield flush_work(irqfd.inject)
        yield from self.remove_wait_queue(ctx, irqfd.wait)
        yield from self.eventfd_ctx_put(ctx)
        yield kfree(irqfd)


class ContextPutFirst(Merged):
    """The eventfd's context is put before the worker is waited for."""

    def irqfd_shutdown(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.remove_wait_queue(ctx, irqfd.wait)
        yield from self.eventfd_ctx_put(ctx)
        yield flush_work(irqfd.inject)
        yield kfree(irqfd)


class NoContextReference(Merged):
    """The irqfd has no reference to the eventfd's context."""

    irqfd_holds_the_context = False

    def irqfd_shutdown(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.remove_wait_queue(ctx, irqfd.wait)
        yield flush_work(irqfd.inject)
        yield kfree(irqfd)


class ReleaseDoesNotWait(Merged):
    """The machine's close queues the work and does not wait for it."""

    def kvm_irqfd_release(self, kvm):
        yield from self.deactivate_all(kvm)


class UnorderedQueue(Merged):
    """Several irqfds may be freed at once, as in v6.1."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.irqfd_cleanup_wq = WorkQueue()


class ShutDownAtOnce(Merged):
    """POLLHUP frees the irqfd itself and queues nothing."""

    def hangup(self, irqfd):
        kvm = yield READ_ONCE(irqfd.kvm)
        flags = yield spin_lock_irqsave(kvm.irqfds_lock)
        active = yield from self.irqfd_is_active(irqfd)
        if active:
            yield list_del_init(irqfd.list)
        yield spin_unlock_irqrestore(kvm.irqfds_lock, flags)
        if active:
            yield from self.irqfd_shutdown(irqfd)


class HangupToldUnlocked(Merged):
    """POLLHUP is told without the eventfd's lock, as in June 2009."""

    def wake_up_poll(self, ctx, key):
        yield from self.wake_up_locked_poll(ctx, key)


class SignalledByAnInterrupt(Merged):
    """The eventfd is signalled by an interrupt handler, on the CPU on which the machine is closed."""

    cpus = 1
    cpu_of_vmm = 0

    def setup(self, **parameters):
        super().setup(own_signaller=True, **parameters)

    @interrupt(cpu=0)
    def device_isr(self):
        yield from super().signaller()

    def signaller(self):
        yield raise_irq(self.device_isr)


class InterruptsStayOn(SignalledByAnInterrupt):
    """... and the machine's close takes irqfds.lock with interrupts on."""

    def deactivate_all(self, kvm):
        yield spin_lock(kvm.irqfds_lock)
        irqfd = yield list_first(kvm.irqfds)
        while irqfd is not None:
            following = yield list_next(irqfd.list)
            yield from self.irqfd_deactivate(irqfd)
            irqfd = following
        yield spin_unlock(kvm.irqfds_lock)


class ModuleUnloadedAfterwards(Merged):
    """When the machine is closed, KVM's module is unloaded: no callback of it is hooked any more."""

    def setup(self, vm=True, eventfd=False, **parameters):
        super().setup(vm=vm, eventfd=eventfd, **parameters)
        self.module = Struct("kvm_ko", text="code").new()

    def irqfd_wakeup(self, irqfd, key):
        yield READ_ONCE(self.module.text)  # executes the module's code
        yield from super().irqfd_wakeup(irqfd, key)

    def kvm_destroy_vm(self, kvm):
        yield from super().kvm_destroy_vm(kvm)
        yield kfree(self.module)  # rmmod: no machine is left, so nothing keeps the module
