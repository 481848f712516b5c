"""A failure: what went wrong, and the schedule that shows it best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from .graph import FaultKey, Graph
from .kernel.base import Context
from .machine import Machine
from .narrate import LONG, count, story
from .outcome import Blocked
from .patterns import Waits, name_pattern
from .scenario import Scenario
from .schedule import Schedule
from .session import Session, TraceStep


class Shown(NamedTuple):
    """What a failure is shown by: its message, the schedule, the steps taken."""

    message: str
    schedule: Schedule
    trace: tuple[TraceStep, ...]


@dataclass(frozen=True)
class Failure:
    """A failure, with the schedule that shows it best: fewest switches between contexts, then fewest steps.

    ``kind`` is one of ``KINDS`` (outcome.py). ``share`` is how many of all complete schedules end in it
    (None where they are infinitely many, and for data races, which end none).
    """

    kind: str
    scenario: Scenario
    at: FaultKey
    graph: Graph | None  # None: it is not complete
    show: Callable[[], Shown]  # called when the schedule, or what depends on it, is first asked for

    @cached_property
    def _shown(self) -> Shown:
        return self.show()

    @property
    def message(self) -> str:
        """What is wrong, in one sentence."""
        return self._shown.message

    @property
    def schedule(self) -> Schedule:
        """The schedule that shows it."""
        return self._shown.schedule

    @property
    def trace(self) -> tuple[TraceStep, ...]:
        """The steps of that schedule."""
        return self._shown.trace

    def __repr__(self) -> str:
        return f"Failure({self.kind!r}, {self.message!r}, {self.schedule!r})"

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
        states: list[int] = []
        for word in self.schedule.steps:
            session.step(word)
            states.append(session.number)
        machine, state = session.machine, session.number
        waiting = [
            Waits(str(context), position.operation, _open_before(machine, context, states))
            for context, outcome in machine.moves(state)
            if isinstance(outcome, Blocked)
            and (position := machine.position(state, machine.context_index[context]))
            and position.node  # it has begun: who is not even let in waits for no signal
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


def _open_before(machine: Machine, context: Context, states: list[int]) -> list[int]:
    """After which steps a context, which waits at the end, could have gone on if it had been there already."""
    index = machine.context_index[context]
    shift = machine.place_shift[index]
    there = states[-1] >> shift & machine.field
    found = []
    for number, state in enumerate(states):
        place = state >> shift & machine.field
        moved = state + (there - place << shift)
        if place != there and not isinstance(machine.steps[index][there].outcome(moved), Blocked):
            found.append(number)
    return found
