"""What a schedule costs in operations: how many atomic ones and how many locks, and who executes them.

    session.replay(schedule)
    effort(session.trace).atomics          # what interrupt handlers and tasklets have executed
    effort(session.trace, ("task",))       # what tasks have

Counted are the operations of programs, each once, also one that had to wait. A lock is counted as a lock and not as an
atomic operation, though taking one is also that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .kernel.locks import TAKES
from .kernel.memory import ReadModifyWrite
from .session import TraceStep

#: The kinds of context between an interrupt and the callback of a channel.
INTERRUPT_PATH = ("irq", "tasklet")


@dataclass(frozen=True)
class Effort:
    """How often operations were executed: in all, atomic ones (they read and write in one step), locks taken.

    ``by_name`` says how often each was, in the order of their names.
    """

    operations: int
    atomics: int
    locks: int
    by_name: dict[str, int]

    def __str__(self) -> str:
        return f"{self.operations} operations, {self.atomics} of them atomic, {self.locks} of them locks"


def effort(trace: Iterable[TraceStep], kinds: Collection[str] = INTERRUPT_PATH) -> Effort:
    """What contexts of these kinds ("irq", "ipi", "tasklet", "task", "work", "host") have executed in ``trace``."""
    done = [s.operation for s in trace if s.kind in kinds and not s.resumed and not s.starts]
    return Effort(
        operations=len(done),
        atomics=sum(isinstance(operation, ReadModifyWrite) and operation.access != "r" for operation in done),
        locks=sum(isinstance(operation, TAKES) for operation in done),
        by_name=dict(sorted(Counter(type(operation).__name__ for operation in done).items())),
    )
