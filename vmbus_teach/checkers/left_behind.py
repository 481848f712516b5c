"""A program that returns with something still held or switched off."""

from __future__ import annotations

from ..kernel.base import Now
from ..kernel.cpu import HARDIRQS, own_level
from ..kernel.locks import Lock
from ..kernel.rcu import nesting
from .step_check import StepCheck


class LeftBehind(StepCheck):
    """Looks at every lock, and at the CPU, when a program has returned."""

    def returned(self, now: Now) -> None:
        for lock in now.shared:
            if isinstance(lock, Lock) and lock.is_held_by(now.context, now[lock]):
                now.fail("error", f"{now.context} returns and still holds {lock!r}")
        if nesting(now):
            now.fail("error", f"{now.context} returns without rcu_read_unlock")
        level = own_level(now)
        if level.preempt or level.bh:
            what = "preemption" if level.preempt else "softirqs"
            now.fail("error", f"{now.context} returns with {what} still off")
        if not level.irqs_on and now.context.kind not in HARDIRQS:
            now.fail("error", f"{now.context} returns with interrupts still off")
        if level.irqs_on and now.context.kind in HARDIRQS:
            # The kernel warns of it (__handle_irq_event_percpu in kernel/irq/handle.c, v6.1).
            now.fail("error", f"{now.context} is an interrupt handler and returns with interrupts on")
