"""Use after free: an operation touches an object that has been freed."""

from __future__ import annotations

from ..kernel.base import Now, Operation
from ..kernel.heap import UNUSED, Freed
from .step_check import StepCheck


class FreedMemory(StepCheck):
    """Looks at every object of which an operation names a field. (``kfree`` itself tells a double free.)"""

    def before(self, now: Now, operation: Operation) -> None:
        for shared in operation.touches():
            thing = shared.owner
            if thing is None:
                continue
            value = now[thing]
            if isinstance(value, Freed):
                who = "it" if value.by is now.context else value.by
                now.fail("use-after-free", f"{now.context} uses {shared!r} after {who} freed {thing!r}")
            if value == UNUSED:
                now.fail("error", f"{now.context} uses {shared!r}, but {thing!r} was never allocated")
