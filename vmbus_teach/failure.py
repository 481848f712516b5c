"""A failure: what went wrong, and the schedule that shows it best."""

from __future__ import annotations

from dataclasses import dataclass, field

from .graph import FaultKey, Graph
from .narrate import LONG, count, story
from .outcome import Blocked
from .patterns import name_pattern
from .scenario import Scenario
from .schedule import Schedule
from .session import Session, TraceStep


@dataclass(frozen=True)
class Failure:
    """A failure, with the schedule that shows it best: fewest switches between contexts, then fewest steps.

    ``kind`` is one of "invariant", "at_end", "deadlock", "use-after-free", "double-free", "leak",
    "data-race", "sleep-in-atomic", "assertion", "error". ``share`` is how many of all complete
    schedules end in it (None where they are infinitely many, and for data races, which end none).
    """

    kind: str
    message: str
    schedule: Schedule
    trace: tuple[TraceStep, ...] = field(repr=False)
    scenario: Scenario = field(repr=False)
    at: FaultKey = field(repr=False)
    graph: Graph | None = field(repr=False)  # None: it is not complete

    @property
    def share(self) -> int | None:
        """How many of all complete schedules end in this failure."""
        return self.graph.schedules[1].get(self.at) if self.graph else None

    @property
    def of(self) -> int | None:
        """How many complete schedules there are."""
        return self.graph.schedules[0] if self.graph else None

    @property
    def portion(self) -> str:
        """How many schedules end in it, in words; "" where that cannot be said."""
        return "" if self.share is None or not self.of else f"{self.share:,} of {self.of:,} schedules"

    def _pattern(self) -> str | None:
        """The name of the pattern that the schedule shows, if there is one."""
        session = Session(self.scenario)
        session.replay(Schedule(self.schedule.steps))
        machine, state = session.machine, session.number
        waiting = [
            (str(context), operation)
            for context, outcome in machine.moves(state)
            if isinstance(outcome, Blocked) and (operation := machine.operation(state, context))
        ]
        failed = [p for p in (*machine.invariants, *machine.at_ends) if p.answer(state) in session.failures]
        about = {shared for p in failed for shared in p.reads()}
        return name_pattern(self.kind, self.trace, waiting, about)

    def __str__(self) -> str:
        """The whole story, step by step, with a line that replays it."""
        steps, switches = count(len(self.schedule), "step"), count(self.schedule.switches, "switch", "es")
        share = f" {self.portion} end so." if self.portion else ""
        lines = [
            f"{self.kind}: {self.message}",
            f"{self.scenario}: shown in {steps} with {switches} between contexts.{share}",
            "",
            *story(self.trace),
        ]
        if pattern := self._pattern():
            lines += ["", f"This is {pattern}."]
        return "\n".join([*lines, "", self._replay()])

    def _replay(self) -> str:
        if len(self.schedule) > LONG:
            return f"To replay it, where failure is this one: Session({self.scenario}).replay(failure.schedule)"
        return f'To replay it: Session({self.scenario}).replay("{self.schedule}")'
