"""Stepping a scenario by hand: choose who goes next, look at the state, take it back.

    session = Session(PerCpuLists)
    session.choices()            # who can step, and why the others cannot
    session.step("host")
    session.undo()
    session.replay("host*2 target_cpu_store*3")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .advice import meant
from .checkers.data_race import DataRaces
from .checkers.properties import View
from .choices import Choice, about_to, failures_of, options
from .kernel.base import Context, Operation, show
from .kernel.heap import Struct
from .kernel.interrupts import Interrupt
from .machine import Machine
from .outcome import Blocked, Fault, Move
from .scenario import Scenario, ScenarioError
from .schedule import Schedule, ScheduleError, digest
from .source import Place


@dataclass(frozen=True)
class TraceStep:
    """A step that was taken: the choice, what it changed, and its fault if a check failed in it.

    ``changes`` lists (name, before, after), in words; ``result`` is what the operation gave to the
    program. An operation that has to wait takes two steps: in the first it begins, and ``waits`` says
    what for; the second is ``resumed``. ``next`` is what the context would do next, "" if nothing; ``stuck`` says that
    it has to wait with that. ``starts``: no operation of a program, but the start of one (an interrupt arrives).
    """

    choice: Choice
    operation: Operation
    cpu: str
    kind: str
    changes: tuple[tuple[str, str, str], ...]
    result: Any
    fault: Fault | None = None
    waits: str = ""
    resumed: bool = False
    next: str = ""
    stuck: bool = False
    starts: bool = False


class Session:
    """A scenario being stepped. Everything can be undone; nothing is lost by looking."""

    def __init__(self, scenario: Scenario | type[Scenario], machine: Machine | None = None) -> None:
        self.scenario = as_scenario(scenario)
        self.machine = machine or Machine(self.scenario, width=32)
        self._states = [self.machine.initial]
        self._steps: list[TraceStep] = []
        self._at = 0

    # --- looking ------------------------------------------------------------------------

    @property
    def state(self) -> View:
        """The present state: ``session.state[session.scenario.count]``."""
        return View(self.machine, self._states[self._at])

    @property
    def number(self) -> int:
        """The present state as the machine knows it."""
        return self._states[self._at]

    @property
    def trace(self) -> tuple[TraceStep, ...]:
        """The steps taken so far."""
        return tuple(self._steps[: self._at])

    @property
    def schedule(self) -> Schedule:
        """The steps taken so far, to be written down and replayed."""
        words = tuple(step.choice.word for step in self.trace)
        return Schedule(words, str(self.scenario).replace(" ", ""), digest(self.scenario))

    @property
    def at(self) -> int:
        """How many steps have been taken."""
        return self._at

    @property
    def whole(self) -> Schedule:
        """All steps, those that were undone included; without the scenario's name."""
        return Schedule(tuple(step.choice.word for step in self._steps))

    @property
    def failures(self) -> tuple[Fault, ...]:
        """What has failed in the present state; after a failure there are no more steps."""
        if self._at and (fault := self._steps[self._at - 1].fault):
            return (fault,)
        return failures_of(self.machine, self.number)

    def sightings(self) -> tuple[Fault, ...]:
        """The failures of the present state, and the data races seen in it, which end no schedule."""
        return self.failures or tuple(DataRaces(self.machine).look(self.number))

    def choices(self) -> tuple[Choice, ...]:
        """Every context that has something to do: its next step, or why it must wait."""
        if self.failures:
            return ()
        return tuple(choice for choice, _ in options(self.machine, self.number))

    def values(self) -> list[tuple[str, str]]:
        """(name, value in words) of all the state that setup made."""
        return [(s.name, s.show(self.machine.value(self.number, s))) for s in self.scenario.cast.named]

    @property
    def can_redo(self) -> bool:
        """Whether an undone step could be taken again."""
        return self._at < len(self._steps)

    def standing(self, context: Context) -> tuple[tuple[Place, ...], str]:
        """Where a context stands (its functions, outermost first), or in words why it stands nowhere."""
        position = self.machine.position(self.number, self.machine.context_index[context])
        if position is None:
            done = context.kind in ("task", "host") or any(step.choice.context == context.name for step in self.trace)
            return (), "has returned" if done else "has not been started"
        if position.node is None:
            return (), "is about to start"
        return position.node.places, ""

    # --- stepping -----------------------------------------------------------------------

    def step(self, choice: Choice | str) -> TraceStep:
        """Takes the step; what was undone before is gone. Raises ScheduleError if it can't be taken."""
        word = choice.word if isinstance(choice, Choice) else choice
        move, taken = self._find(word)
        before, index = self.number, self.machine.context_index[move.context]
        after = before + move.delta
        position = self.machine.position(before, index)
        assert position is not None
        cpu = position.cpu or move.context.cpu
        step = TraceStep(
            taken,
            position.operation,
            cpu.name if cpu else "",
            move.context.kind,
            self._changes(before, after),
            move.result,
            move.fault,
            "" if move.fault else self._waits(after, index),
            position.phase > 0,
            about_to(self.machine.position(after, index)),
            move.fault is None and self._blocked(after, index) is not None,
            position.node is None,
        )
        self._steps[self._at :] = [step]
        self._states[self._at + 1 :] = [after]
        self._at += 1
        return step

    def undo(self) -> bool:
        """Takes the last step back; False if there is none."""
        if self._at == 0:
            return False
        self._at -= 1
        return True

    def redo(self) -> bool:
        """Takes the undone step again; False if there is none."""
        if self._at == len(self._steps):
            return False
        self._at += 1
        return True

    def go_to(self, steps: int) -> None:
        """The state after that many of the steps taken (undone ones included)."""
        self._at = max(0, min(steps, len(self._steps)))

    def reset(self) -> None:
        """Back to the start; ``redo`` still works."""
        self._at = 0

    def replay(self, schedule: Schedule | str) -> tuple[TraceStep, ...]:
        """From the start, takes the steps of a schedule; stays where it was if that does not fit."""
        schedule = Schedule.parse(schedule) if isinstance(schedule, str) else schedule
        if not isinstance(schedule, Schedule):
            raise ScheduleError(
                f"{show(schedule)} is no schedule. Give a Schedule, or its text: replay('host*2 worker_0')."
            )
        kept = self._states, self._steps, self._at
        self._states, self._steps, self._at = [self.machine.initial], [], 0
        try:
            for number, word in enumerate(schedule.steps, 1):
                try:
                    self.step(word)
                except ScheduleError as error:
                    which = f"step {number} of {len(schedule)} of the schedule does not fit"
                    raise ScheduleError(f"{which}: {error}{self._other_code(schedule)}") from None
        except BaseException:
            self._states, self._steps, self._at = kept
            raise
        return self.trace

    def _other_code(self, schedule: Schedule) -> str:
        """For a schedule that does not fit: that it was recorded for other code, if it was."""
        here = digest(self.scenario)
        if schedule.digest in ("", here):
            return ""
        return (
            f" The schedule was recorded for other code: {schedule.scenario}@{schedule.digest}, "
            f"and this is {self.scenario}@{here}."
        )

    # --- inside ---------------------------------------------------------------------------

    def _find(self, word: str) -> tuple[Move, Choice]:
        if failures := self.failures:
            raise ScheduleError(f"{word!r} cannot step: the schedule has ended ({failures[0].message}).")
        open_now = list(options(self.machine, self.number))
        for choice, move in open_now:
            if choice.word == word:
                if move is None:
                    raise ScheduleError(f"{word} cannot step now: it {choice.reason}. {_possible(open_now)}")
                return move, choice
        names = [context.name for context in self.machine.contexts]
        if word.partition(":")[0] in names:
            raise ScheduleError(f"{word} has nothing to do now. {_possible(open_now)}")
        said = (f"there is no context {word!r} in {self.scenario}.", meant(word, names), _possible(open_now))
        raise ScheduleError(" ".join(filter(None, said)))

    def _blocked(self, state: int, index: int) -> Blocked | None:
        """Why a context must wait with what it would do next; None if it can go on, or has nothing to do."""
        number = state >> self.machine.place_shift[index] & self.machine.field
        outcome = self.machine.steps[index][number].outcome(state) if number else None
        return outcome if isinstance(outcome, Blocked) else None

    def _waits(self, state: int, index: int) -> str:
        """What the context waits for, if its last operation has only begun."""
        position = self.machine.position(state, index)
        if position is None or position.phase == 0:
            return ""
        blocked = self._blocked(state, index)
        return blocked.reason if blocked else "waits"

    def _changes(self, before: int, after: int) -> tuple[tuple[str, str, str], ...]:
        """What a step changed of the state that setup made, and of the interrupts."""
        machine = self.machine
        told = {shared for shared in self.scenario.cast.named if not isinstance(shared, Struct)}  # a mere count
        shown = [shared for shared in machine.shared if shared in told or isinstance(shared, Interrupt)]
        # A value stands in its table once: the same object, or one that can be told from it.
        both = ((shared, machine.value(before, shared), machine.value(after, shared)) for shared in shown)
        return tuple((s.name, s.show(old), s.show(new)) for s, old, new in both if old is not new)


def _possible(open_now: list[tuple[Choice, Move | None]]) -> str:
    words = [choice.word for choice, move in open_now if move is not None]
    return f"Possible now: {', '.join(words)}." if words else "No step is possible any more."


def as_scenario(scenario: Scenario | type[Scenario]) -> Scenario:
    """An instance, whether a class or an instance was given."""
    if isinstance(scenario, type) and issubclass(scenario, Scenario):
        return scenario()
    if isinstance(scenario, Scenario):
        return scenario
    raise ScenarioError(
        f"{show(scenario)} is no scenario. Give a subclass of Scenario, or an instance: PerCpuLists "
        "or PerCpuLists(messages=2)."
    )
