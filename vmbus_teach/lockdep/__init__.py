"""Lockdep: from single places where locks are taken to deadlocks that no schedule has to reach.

    explore(Race).lockdep                          # every report, and the table of lock classes
    lockdep(explore(Race), raw_nesting=True)       # spinlock_t is no raw lock: what a real-time kernel minds

``explore`` says whether a schedule of *this* scenario is stuck, and that is exact. Lockdep remembers how each class of
locks was used, anywhere in the exploration, and says which of these things must not come together. So it warns where
no schedule deadlocks, and a warning is a prediction: it changes no verdict.

As the kernel's (kernel/locking/lockdep.c, v6.1), with these differences. All reports are given, not the first. What
is held leads to each thing that is wanted, not just to the next. ``synchronize_srcu`` and ``synchronize_rcu`` take
part as what waits for readers (in the kernel, the first does since v6.7, the second is only checked by itself).
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

from ..failure import Failure
from ..graph import Graph
from ..kernel.base import show
from ..machine import Machine
from ..scenario import Scenario, ScenarioError
from ..schedule import Schedule
from ..session import Session
from ..shortest import parents, way_to
from .report import LockClass, Lockdep, Report, Side, class_of, message_of, sentence_of
from .rules import WAIT_CONTEXT, Conflict, conflicts
from .seen import Edge, Seen, Usage

__all__ = ["LockClass", "Lockdep", "Report", "Side", "lockdep"]


class Searched(Protocol):
    """What is asked of an exploration."""

    scenario: Scenario
    machine: Machine
    graph: Graph
    complete: bool
    failures: tuple[Failure, ...]


def lockdep(exploration: Searched, *, raw_nesting: bool = False) -> Lockdep:
    """What lockdep says of all that ``explore`` has looked at.

    ``raw_nesting``: proves that no spinlock_t is waited for under a raw one or in a hardirq handler, as with
    CONFIG_PROVE_RAW_LOCK_NESTING. Raises ScenarioError where it is given something else than an exploration.
    """
    if not hasattr(exploration, "graph"):
        raise ScenarioError(f"lockdep({show(exploration)}): give it what explore found: lockdep(explore(Race)).")
    seen = Seen(exploration.machine, exploration.graph)
    author = _Author(exploration, seen)
    reports = tuple(author.report(conflict) for conflict in conflicts(seen, raw_nesting=raw_nesting))
    classes = tuple(class_of(seen, name) for name in seen.classes)
    edges = tuple(sorted(seen.edges))
    return Lockdep(exploration.scenario, reports, classes, edges, exploration.complete, raw_nesting)


class _Author:
    """Makes reports of conflicts."""

    def __init__(self, exploration: Searched, seen: Seen) -> None:
        self.found = exploration
        self.seen = seen

    def report(self, conflict: Conflict) -> Report:
        sides = tuple(self._side(what) for what in conflict.seen)
        return Report(
            kind=conflict.kind,
            message=message_of(conflict.kind, conflict.classes, conflict.irq),
            classes=conflict.classes,
            sides=sides,
            reached=self._reached(conflict, sides),
            circle=conflict.circle,
            complete=self.found.complete,
            scenario=self.found.scenario,
        )

    def _side(self, what: Usage | Edge) -> Side:
        machine, seen = self.found.machine, self.seen
        sight = seen.usages[what] if isinstance(what, Usage) else seen.edges[what]
        words, state, actor = way_to(machine, self.found.graph, sight.state, self._parents)
        session = Session(self.found.scenario, machine)
        session.replay(Schedule(tuple(words)))
        context = str(actor[machine.contexts[sight.context]])
        if sight.takes is None:  # held when interrupts were switched on: by the step before
            step = session.trace[-1]
            operation, place = str(step.operation), step.choice.place
        else:
            position = machine.position(state, sight.context)
            assert position is not None and position.node is not None
            operation, place = str(position.operation), position.node.place
        shows = f"{{{what}}}" if isinstance(what, Usage) else f"{what.before} -> {what.after}"
        said = sentence_of(what, context, sight.takes, sight.holds, operation)
        return Side(said, shows, context, operation, sight.takes is None, place, session.schedule)

    @cached_property
    def _parents(self) -> dict[int, int]:
        return parents(self.found.graph)

    def _reached(self, conflict: Conflict, sides: tuple[Side, ...]) -> Failure | None:
        """The first failure of the exploration that is what the conflict predicts."""
        for failure in self.found.failures:
            if conflict.kind == WAIT_CONTEXT:
                if failure.kind == "sleep-in-atomic" and self._says_the_same(failure, sides[-1]):
                    return failure
            elif any(conflict.circle <= stuck for at, stuck in self._deadlocks if at == failure.at):
                return failure
        return None

    def _says_the_same(self, failure: Failure, side: Side) -> bool:
        last = failure.trace[-1]
        return str(last.operation) == side.operation and last.choice.place == side.place

    @cached_property
    def _deadlocks(self) -> list[tuple[object, frozenset[object]]]:
        """For each deadlocked state: which failure it is, and what holds up what."""
        graph = self.found.graph
        stuck = [(at, number) for number, at in sorted(graph.failing_states.items()) if at[0] == "deadlock"]
        return list(dict.fromkeys((at, frozenset(self.seen.blocked(graph.states[number]))) for at, number in stuck))
