"""A program that returns with something still held or switched off."""

from __future__ import annotations

from ..kernel.base import Now
from ..kernel.cpu import HARDIRQS, own_level
from ..kernel.locks import Lock
from ..kernel.rcu import nesting
from ..kernel.srcu import Srcu
from .step_check import StepCheck


class LeftBehind(StepCheck):
    """Looks at every lock and SRCU domain, and at the CPU, when a program has returned."""

    def returned(self, now: Now) -> None:
        for shared in now.shared:
            if isinstance(shared, Lock) and shared.is_held_by(now.context, now[shared]):
                now.fail("error", f"{now.context} returns and still holds {shared!r}")
            if isinstance(shared, Srcu) and shared.is_held_by(now.context, now[shared]):
                now.fail("error", f"{now.context} returns without srcu_read_unlock of {shared!r}")
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
