"""Sleeping where that is forbidden: with interrupts or preemption off, in a handler, in an RCU reader."""

from __future__ import annotations

from ..kernel.base import Now, Operation
from ..kernel.cpu import in_atomic
from ..kernel.locks import SpinningLock
from ..kernel.rcu import nesting
from .step_check import StepCheck


class AtomicSleep(StepCheck):
    """Asks at every operation that may sleep, whether it would have to or not."""

    def before(self, now: Now, operation: Operation) -> None:
        if not operation.sleeps or now.context.kind == "host":
            return
        why = in_atomic(now) or ("it is inside rcu_read_lock" if nesting(now) else None)
        if why:
            held = [repr(s) for s in now.shared if isinstance(s, SpinningLock) and s.is_held_by(now.context, now[s])]
            holds = f" (it holds {', '.join(held)})" if held else ""
            now.fail("sleep-in-atomic", f"{now.context} calls {operation}, which may sleep, but {why}{holds}")
