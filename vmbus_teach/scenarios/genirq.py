"""The generic interrupt layer, as far as chapter 05 needs it: the functions of kernel/irq that take several steps.

Each is a program with the kernel's name, to be called with ``yield from self.``. Scenarios derive from ``GenericIrq``,
and a mutation overrides one of the functions. (Source: kernel/irq/chip.c, handle.c, manage.c, irqdomain.c and
resend.c, v6.1. Left out: shared and threaded actions, the masking of level interrupts, detection of spurious
interrupts.)
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    IrqAction,
    IrqDomain,
    Tasklet,
    irq_resolve_mapping,
    kfree_rcu,
    kstat_incr_irqs_this_cpu,
    local_irq_disable,
    local_irq_enable,
    raw_spin_lock,
    raw_spin_lock_irqsave,
    raw_spin_unlock,
    raw_spin_unlock_irqrestore,
    rcu_assign_pointer,
    smp_cond_load_relaxed,
    tasklet_schedule,
)
from ..scenario import Scenario

EINVAL, EIO, EBUSY = 22, 5, 16  # what is returned is negative, as in the kernel


class GenericIrq(Scenario):
    """What all scenarios with Linux IRQs share. ``setup`` makes what is needed of the state below."""

    domain: IrqDomain
    cpu_online_mask: Cell  # a frozenset of numbers, for irq_set_affinity
    resend_tasklet: Tasklet  # where an IRQ may come before there is an action

    # --- an interrupt is handled ---------------------------------------------------------------

    def generic_handle_irq_desc(self, desc):
        handle_irq = yield READ_ONCE(desc.handle_irq)  # looks up the flow handler
        yield from (handle_irq or self.handle_bad_irq)(desc)

    def handle_simple_irq(self, desc):
        yield raw_spin_lock(desc.lock)  # takes the descriptor's lock
        action = yield READ_ONCE(desc.action)  # looks for an action
        if action is None:
            yield WRITE_ONCE(desc.pending, True)  # notes that the IRQ came
        else:
            yield kstat_incr_irqs_this_cpu(desc)  # counts the IRQ on this CPU
            yield from self.handle_irq_event(desc, action)
        yield raw_spin_unlock(desc.lock)  # gives the lock back

    def handle_irq_event(self, desc, action):
        yield WRITE_ONCE(desc.in_progress, True)  # says that the action runs
        yield raw_spin_unlock(desc.lock)  # gives the lock back while the action runs
        yield from action.handler(action.dev_id)
        yield raw_spin_lock(desc.lock)  # takes the lock again
        yield WRITE_ONCE(desc.in_progress, False)  # says that it has run

    def handle_bad_irq(self, desc):
        yield kstat_incr_irqs_this_cpu(desc)  # counts an IRQ that nobody wants any more

    # --- an action comes and goes ----------------------------------------------------------------

    def request_irq(self, desc, handler, name, dev_id):
        flags = yield raw_spin_lock_irqsave(desc.lock)
        yield WRITE_ONCE(desc.action, IrqAction(handler, name, dev_id))  # from now on the IRQ is handled
        yield from self.check_irq_resend(desc)
        yield raw_spin_unlock_irqrestore(desc.lock, flags)

    def check_irq_resend(self, desc):
        pending = yield READ_ONCE(desc.pending)  # looks whether the IRQ came before
        if pending:
            yield WRITE_ONCE(desc.pending, False)
            yield tasklet_schedule(self.resend_tasklet)  # has it handled once more

    def resend_tasklet_of(self, hwirq):
        """The tasklet of ``check_irq_resend``, for ``setup``; here it is told what to look at."""
        return Tasklet(self.resend_irqs, hwirq)

    def resend_irqs(self, hwirq):
        desc = yield irq_resolve_mapping(self.domain, hwirq)
        if desc is not None:
            yield local_irq_disable()
            yield from self.generic_handle_irq_desc(desc)
            yield local_irq_enable()

    def free_irq(self, desc):
        flags = yield raw_spin_lock_irqsave(desc.lock)
        yield WRITE_ONCE(desc.action, None)  # from now on the IRQ has no action
        yield raw_spin_unlock_irqrestore(desc.lock, flags)
        yield from self.synchronize_irq(desc)

    def synchronize_irq(self, desc):
        in_progress = True
        while in_progress:
            yield smp_cond_load_relaxed(desc.in_progress, is_false)  # waits while the action runs
            flags = yield raw_spin_lock_irqsave(desc.lock)
            in_progress = yield READ_ONCE(desc.in_progress)  # looks again, under the lock
            yield raw_spin_unlock_irqrestore(desc.lock, flags)

    def irq_dispose_mapping(self, hwirq, desc):
        flags = yield raw_spin_lock_irqsave(desc.lock)
        yield WRITE_ONCE(desc.handle_irq, None)  # takes the flow handler away
        yield raw_spin_unlock_irqrestore(desc.lock, flags)
        yield from self.synchronize_irq(desc)
        yield rcu_assign_pointer(self.domain.revmap[hwirq], None)  # nobody finds the descriptor any more
        yield from self.irq_free_desc(desc)

    def irq_free_desc(self, desc):
        yield kfree_rcu(desc)  # has it freed when the readers of now are gone

    # --- where it goes -------------------------------------------------------------------------------

    def irq_set_affinity(self, desc, mask):
        flags = yield raw_spin_lock_irqsave(desc.lock)  # takes the descriptor's lock
        error = yield from self.irq_do_set_affinity(desc, mask)
        yield raw_spin_unlock_irqrestore(desc.lock, flags)  # gives it back
        return error

    def irq_do_set_affinity(self, desc, mask):
        online = yield READ_ONCE(self.cpu_online_mask)  # which CPUs are there?
        if not mask & online:
            return -EINVAL
        error = yield from self.chip_set_affinity(desc, mask & online)
        if not error:
            yield WRITE_ONCE(desc.affinity, mask)  # notes what was asked for
        return error

    def chip_set_affinity(self, desc, mask):
        """``irq_set_affinity`` of the irq_chip: what the hardware has to be told. Override it."""
        raise NotImplementedError(f"{self}: chip_set_affinity")


def is_false(value):
    """It is not so."""
    return not value
