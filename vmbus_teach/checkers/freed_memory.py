"""Use after free: an operation touches an object that has been freed."""

from __future__ import annotations

from ..kernel.base import Now, Operation, show
from ..kernel.heap import FREED, UNUSED, kfree


class FreedMemory:
    """Looks at every object that an operation names, by itself or by one of its fields."""

    def before(self, now: Now, operation: Operation) -> None:
        if isinstance(operation, kfree):
            return  # frees a second time: a failure of its own, told by kfree
        for shared in operation.touches():
            thing = shared.owner
            if thing is None:
                continue
            if now[thing] == FREED:
                now.fail("use-after-free", f"{now.context} uses {show(shared)} after {show(thing)} was freed")
            if now[thing] == UNUSED:
                now.fail("error", f"{now.context} uses {show(shared)}, but {show(thing)} was never allocated")

    def returned(self, now: Now) -> None:
        """Nothing to see."""
