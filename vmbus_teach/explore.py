"""Every interleaving of a scenario, and what came of them.

    result = explore(PerCpuLists)
    result.ok                    # True: complete, and no schedule fails
    print(result.failures[0])    # the schedule with the fewest switches, told in words
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any

from .checkers.properties import View
from .failure import Failure, Shown
from .graph import CERTAIN, IMPOSSIBLE, POSSIBLE, UNKNOWN, FaultKey, Graph
from .lockdep import Lockdep, lockdep
from .machine import Machine, SlotOverflow
from .narrate import count
from .outcome import Fault
from .scenario import Scenario, ScenarioError
from .schedule import Schedule
from .search import Progress, search
from .session import Session, as_scenario
from .shortest import shortest
from .stop import StopButton, check_progress

#: How many arrangements of identical tasks are looked up after a search that was cut short.
TRIED = 100

__all__ = ["Exploration", "Failure", "Progress", "explore"]


@dataclass
class Exploration:
    """What a search has found.

    ``complete``: every reachable state was looked at; if False, ``reason`` says why not, and all
    the rest holds for what was seen until then. ``outcomes`` are the results of
    ``Scenario.outcome`` at the ends, if the scenario has one.
    """

    scenario: Scenario
    machine: Machine = field(repr=False)
    graph: Graph = field(repr=False)
    complete: bool
    reason: str
    outcomes: frozenset[Any]
    failures: tuple[Failure, ...]

    @property
    def ok(self) -> bool:
        """Complete, without failures, and not so that a property of the end was never asked for want of an end."""
        return self.complete and not self.failures and bool(self.graph.ends or not self.machine.at_ends)

    @property
    def states(self) -> int:
        """How many states were met; ones that differ only in which identical task is which count once."""
        return len(self.graph.states)

    @property
    def transitions(self) -> int:
        """How many steps lead from these states to others."""
        return self.graph.transitions

    @property
    def schedules(self) -> int | None:
        """How many complete schedules there are, exactly; None where a loop makes them infinitely many."""
        return self.graph.schedules[0] if self.complete else None

    @cached_property
    def lockdep(self) -> Lockdep:
        """What lockdep predicts from the ways in which locks were taken; changes no verdict. Found when asked for."""
        return lockdep(self)

    @cached_property
    def _fates(self) -> tuple[bytearray, bytearray]:
        return self.graph.fates()

    def fate(self, state: int) -> str:
        """Whether a failure can come after this state: "impossible", "possible", "certain" (or "unknown").

        "Certain" means that no way leads around it. Data races, which end no schedule, don't count.
        """
        # After a search that was cut short, a state may be missing, and all its arrangements would be tried in vain.
        ways = self.machine.arrangements(state)
        known = (self.graph.numbers.get(same) for same, _ in (ways if self.complete else islice(ways, TRIED)))
        number = next((number for number in known if number is not None), None)
        if number is None or (not self.complete and number >= self.graph.expanded):
            return UNKNOWN
        possible, certain = self._fates
        if certain[number]:
            return CERTAIN
        if possible[number]:
            return POSSIBLE
        return IMPOSSIBLE if self.complete else UNKNOWN

    def fates(self, session: Session) -> dict[str, str]:
        """For each enabled choice of a session, by its word: the fate behind it."""
        found = {}
        ahead = Session(self.scenario, self.machine)  # its own, so that what was undone in yours is kept
        ahead.replay(Schedule(session.schedule.steps))
        for choice in ahead.choices():
            if choice.enabled:
                ahead.step(choice)
                found[choice.word] = CERTAIN if ahead.failures else self.fate(ahead.number)
                ahead.undo()
        return found

    def __str__(self) -> str:
        ways = f" ({len(self.failures)} ways)" if len(self.failures) > 1 else ""
        lines = [f"{self.scenario}: {self.verdict}{ways}"]
        searched = f"{count(self.states, 'state')}, {count(self.transitions, 'step')} between them"
        if self.complete:
            endless = self.schedules is None
            many = "infinitely many schedules (there is a loop)" if endless else count(self.schedules or 0, "schedule")
            lines.append(f"  searched completely: {searched}, {many}")
        else:
            lines.append(f"  {self.reason}: {searched}; what was not looked at may hold more failures")
            if busiest := self._busiest():
                lines.append(f"  most of the states come from {busiest}; can it be bounded?")
        for failure in self.failures:
            share = f" ({failure.portion})" if failure.portion else ""
            lines.append(f"  {failure.kind}: {failure.message}{share}")
        if self.outcomes:
            lines.append("  outcomes: " + ", ".join(sorted(map(str, self.outcomes))))
        return "\n".join(lines)

    __repr__ = __str__

    def _busiest(self) -> str:
        """The piece of state with by far the most values, in words; "" if none stands out."""
        counts = sorted(((len(values), shared.name) for shared, values in self.machine.values.items()), reverse=True)
        most, name = counts[0]
        return f"{name}, which took {most:,} values" if most > 100 else ""

    @property
    def verdict(self) -> str:
        """In a few words: "holds", "fails", what was not searched, or what "holds" cannot mean here."""
        if self.failures:
            return "fails"
        if not self.complete:
            return "no failure found so far"
        if self.machine.at_ends and not self.graph.ends:
            return "never ends, so nothing was asked at the end"
        if self.machine.at_ends and self.schedules is None:
            return "holds under every interleaving that ends"
        return "holds under every interleaving"


def explore(
    scenario: Scenario | type[Scenario],
    *,
    max_states: int = 1_000_000,
    stop_at_first: bool = False,
    progress: Callable[[Progress], object] | None = None,
    symmetry: bool = True,
) -> Exploration:
    """Searches every interleaving of a scenario (a subclass of Scenario, or an instance).

    ``max_states`` bounds the search; a search that was cut short says so (``complete`` is False)
    and keeps what it has found, also when it is interrupted (in Jupyter: the stop button).
    ``progress`` is called now and then with a ``Progress``; returning False stops the search, and so does an error.
    ``symmetry=False`` tells identical tasks apart: more states, the same verdict and schedules.

    Raises ScenarioError or ProgramError where the model itself is wrong.
    """
    if not isinstance(max_states, int) or max_states < 1:
        raise ScenarioError(f"max_states = {max_states!r}; it is the number of states after which to stop, at least 1.")
    check_progress(progress, ScenarioError)
    instance = as_scenario(scenario)
    width = None
    while True:
        machine = Machine(instance, width)
        if not symmetry:
            machine.classes = []
        try:
            return explore_machine(machine, max_states, stop_at_first, progress)
        except SlotOverflow:
            width = machine.width * 2  # something takes more values than expected; once more, with room for them


def explore_machine(
    machine: Machine,
    max_states: int,
    stop_at_first: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> Exploration:
    """As ``explore``, on a machine that others use, too: what it finds can be asked about the states they are in.

    Raises SlotOverflow where the machine's fields are too narrow.
    """
    graph, faults = Graph(), dict[FaultKey, Fault]()
    with StopButton() as stop:
        reason = search(
            machine, graph, faults, stop, max_states=max_states, stop_at_first=stop_at_first, progress=progress
        )
    outcomes = _outcomes(machine, graph)
    failures = _failures(machine.scenario, machine, graph, faults, complete=not reason)
    return Exploration(machine.scenario, machine, graph, not reason, reason, outcomes, failures)


def _outcomes(machine: Machine, graph: Graph) -> frozenset[Any]:
    outcome = getattr(machine.scenario, "outcome", None)
    if outcome is None:
        return frozenset()
    return frozenset(outcome(View(machine, graph.states[number])) for number in graph.ends)


def _failures(
    scenario: Scenario, machine: Machine, graph: Graph, faults: dict[FaultKey, Fault], *, complete: bool
) -> tuple[Failure, ...]:
    if not faults:
        return ()
    teller = _Teller(scenario, machine, graph, faults)
    counted = graph if complete else None
    failures = [Failure(fault.kind, scenario, at, counted, partial(teller.show, at)) for at, fault in faults.items()]
    return tuple(sorted(failures, key=lambda failure: failure.kind == "data-race"))


class _Teller:
    """Finds the schedules of failures, all of them when the first is asked for: that takes longer than a verdict."""

    def __init__(self, scenario: Scenario, machine: Machine, graph: Graph, faults: dict[FaultKey, Fault]) -> None:
        self.scenario, self.machine, self.graph, self.faults = scenario, machine, graph, faults

    @cached_property
    def words(self) -> dict[FaultKey, tuple[str, ...]]:
        return shortest(self.machine, self.graph, set(self.faults))

    def show(self, at: FaultKey) -> Shown:
        session = Session(self.scenario, self.machine)
        session.replay(Schedule(self.words[at]))
        said = next((f.message for f in session.sightings() if (f.kind, f.where) == at), self.faults[at].message)
        return Shown(said, session.schedule, session.trace)
