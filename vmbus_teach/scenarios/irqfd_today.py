"""Chapter 06: the irqfd of v6.1, where it differs from the one of 2009: it is made while another call removes it.

An irqfd is on the machine's list, where a DEASSIGN finds it, before it is hooked and complete. So the ASSIGN is one
section of an SRCU domain that belongs to the machine (``kvm->irq_srcu``), and whoever frees an irqfd waits for the
domain's readers first. SRCU is back, and protects something else than in June 2009: not the pointer to the machine, but
what is half built. (Source: virt/kvm/eventfd.c, v6.1. Since 2025, 86e00cd162a7, it goes on the list and on the wait
queue under one hold of ``irqfds.lock``. Left out: resampling, routing, priorities of wait entries. What the callback
injects by itself is whatever the architecture can; here either may come.)
"""

from __future__ import annotations

from ..kernel import (
    POLLHUP,
    POLLIN,
    READ_ONCE,
    WRITE_ONCE,
    Srcu,
    choose,
    flush_workqueue,
    inside,
    list_add_tail,
    schedule_work,
    spin_lock_irq,
    spin_unlock_irq,
    srcu_read_lock,
    srcu_read_unlock,
    synchronize_srcu,
)
from ..kernel.heap import Freed
from ..scenario import at_end, thread
from .irqfd_merged import Merged


class AssignAgainstDeassign(Merged):
    """A program makes an irqfd while another thread of it removes what irqfds there are."""

    def setup(self, deassign=True, events=1):
        super().setup(vm=False, eventfd=False, events=events)
        self.deassign = deassign
        self.kvm.irqfds.begin_with()
        self.ctx[-1].wqh.begin_with()
        self.irqfd[-1].list.initial = self.irqfd[-1].wait.initial = None
        if deassign:
            self.add_thread(self.ioctl_deassign)

    def kvm_fields(self, irqfds):
        return super().kvm_fields(irqfds) | {"irq_srcu": inside(Srcu)}

    def irqfd_fields(self):
        return super().irqfd_fields() | {"consumer": None}

    @thread()
    def ioctl_assign(self):
        yield from self.kvm_irqfd_assign(self.kvm, self.irqfd[-1], self.ctx[-1])

    def ioctl_deassign(self):
        yield from self.kvm_irqfd_release(self.kvm)  # kvm_irqfd_deassign does the same to one of them

    def kvm_irqfd_assign(self, kvm, irqfd, ctx):
        yield spin_lock_irq(kvm.irqfds_lock)
        index = yield srcu_read_lock(kvm.irq_srcu)
        yield list_add_tail(irqfd.list, kvm.irqfds)  # can be found from now on
        yield spin_unlock_irq(kvm.irqfds_lock)
        yield from self.complete_irqfd(irqfd, ctx)
        yield srcu_read_unlock(kvm.irq_srcu, index)  # is complete

    def complete_irqfd(self, irqfd, ctx):
        events = yield from self.eventfd_poll(ctx, irqfd.wait)
        if events & POLLIN:
            yield schedule_work(irqfd.inject)  # an event came before it was hooked
        yield WRITE_ONCE(irqfd.consumer, ctx)  # registers for posted interrupts

    def irqfd_wakeup(self, irqfd, key):
        if key & POLLIN:
            yield from self.inject_or_leave(irqfd)
        if key & POLLHUP:
            yield from self.hangup(irqfd)

    def inject_or_leave(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.eventfd_ctx_do_read(ctx)  # takes the events: nobody else will
        kvm = yield READ_ONCE(irqfd.kvm)
        index = yield srcu_read_lock(kvm.irq_srcu)
        active = yield from self.irqfd_is_active(irqfd)
        at_once = active and (yield choose((True, False)))  # kvm_arch_set_irq_inatomic may be able to, or not
        if at_once:
            yield from self.kvm_set_irq(kvm, 1)
        else:
            yield schedule_work(irqfd.inject)
        yield srcu_read_unlock(kvm.irq_srcu, index)

    def irqfd_shutdown(self, irqfd):
        yield from self.wait_for_assign(irqfd)
        yield from super().irqfd_shutdown(irqfd)

    def wait_for_assign(self, irqfd):
        kvm = yield READ_ONCE(irqfd.kvm)
        yield synchronize_srcu(kvm.irq_srcu)  # waits until the irqfd is complete

    @at_end
    def an_event_of_an_irqfd_that_stays_is_injected(self, s):
        return self.deassign or not self.events or s[self.kvm.edges] > 0 or "an event is lost"

    def an_event_of_an_open_machine_is_injected(self, s):
        return True  # said above

    def an_irqfd_goes_with_either_side(self, s):
        irqfd = self.irqfd[-1]
        return isinstance(s[irqfd], Freed) or s[irqfd.list] is self.kvm.irqfds or "on no list, and not freed"


class EventBeforeAssign(AssignAgainstDeassign):
    """An irqfd is made while its eventfd is signalled, and nobody removes it."""

    def setup(self, deassign=False, **parameters):
        super().setup(deassign, **parameters)


# --- one thing changed -------------------------------------------------------------------------------------


class AssignNotWaitedFor(AssignAgainstDeassign):
    """Whoever frees an irqfd does not wait for the one who makes it."""

    def wait_for_assign(self, irqfd):
        yield from ()


class SectionEndsEarly(AssignAgainstDeassign):
    """The section ends when the irqfd is on the list."""

    def kvm_irqfd_assign(self, kvm, irqfd, ctx):
        yield spin_lock_irq(kvm.irqfds_lock)
        index = yield srcu_read_lock(kvm.irq_srcu)
        yield list_add_tail(irqfd.list, kvm.irqfds)
        yield srcu_read_unlock(kvm.irq_srcu, index)
        yield spin_unlock_irq(kvm.irqfds_lock)
        yield from self.complete_irqfd(irqfd, ctx)


class WaitsUnderTheLock(AssignAgainstDeassign):
    """The one who removes waits for the readers under irqfds.lock, and not in the worker."""

    def kvm_irqfd_release(self, kvm):
        yield spin_lock_irq(kvm.irqfds_lock)
        yield synchronize_srcu(kvm.irq_srcu)
        yield spin_unlock_irq(kvm.irqfds_lock)
        yield from super().kvm_irqfd_release(kvm)

    def wait_for_assign(self, irqfd):
        yield from ()


class WaitsBeforeTheLock(AssignAgainstDeassign):
    """The one who removes waits for the readers first, and then takes the irqfd off the list."""

    def kvm_irqfd_release(self, kvm):
        yield synchronize_srcu(kvm.irq_srcu)
        yield from super().kvm_irqfd_release(kvm)

    def wait_for_assign(self, irqfd):
        yield from ()


class WaitsAfterTheLock(AssignAgainstDeassign):
    """The one who removes waits for the readers, but when the worker may have freed the irqfd."""

    def kvm_irqfd_release(self, kvm):
        yield from self.deactivate_all(kvm)
        yield synchronize_srcu(kvm.irq_srcu)
        yield flush_workqueue(self.irqfd_cleanup_wq)

    def wait_for_assign(self, irqfd):
        yield from ()


class PollDiscarded(EventBeforeAssign):
    """What the poll says is not looked at, as in a draft of June 2009."""

    def complete_irqfd(self, irqfd, ctx):
        yield from self.eventfd_poll(ctx, irqfd.wait)
        yield WRITE_ONCE(irqfd.consumer, ctx)


class CountedBeforeHooked(EventBeforeAssign):
    """The poll looks at the count, and then hooks the entry."""

    def eventfd_poll(self, ctx, entry):
        count = yield READ_ONCE(ctx.count)
        yield from self.add_wait_queue(ctx, entry)
        return POLLIN if count else 0
