"""Use after free: an operation touches an object that has been freed."""

from __future__ import annotations

from ..kernel.base import Now, Operation
from ..kernel.heap import check_in_use
from .step_check import StepCheck


class FreedMemory(StepCheck):
    """Looks at every object of which an operation names a field. (``kfree`` itself tells a double free.)"""

    def before(self, now: Now, operation: Operation) -> None:
        for shared in operation.touches():
            check_in_use(now, shared)
