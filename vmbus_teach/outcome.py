"""What can come of a step."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from .kernel.base import Context

#: The kinds of failure.
KINDS = (
    "invariant", "at_end", "assertion", "error", "deadlock", "use-after-free", "double-free", "leak",
    "sleep-in-atomic", "data-race",
)  # fmt: skip


class Fault(NamedTuple):
    """A failed check: the schedule ends. ``kind`` is one of KINDS; ``where`` tells those of one kind apart."""

    kind: str
    message: str
    where: Hashable


class Blocked(NamedTuple):
    """There is no such step now: why, and for whom the context waits.

    ``preempted``: the context itself could go on, but its CPU executes something else.
    """

    reason: str
    on: tuple[Context, ...]
    preempted: bool


class Move(NamedTuple):
    """One possible step: who, by which alternative, and what comes of it."""

    context: Context
    alternative: int | None  # None: there was only one
    delta: int  # what it adds to the state; for a fault, what it had changed until then
    fault: Fault | None
    result: Any  # what the program is given

    @property
    def word(self) -> str:
        """What a schedule calls this step."""
        return str(self.context) if self.alternative is None else f"{self.context}:{self.alternative}"


Outcome = tuple[Move, ...] | Blocked
