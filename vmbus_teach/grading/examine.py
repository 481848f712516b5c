"""Whether a scenario holds, asked more strictly than a search alone does.

A property of the end says nothing of schedules without end, so a program that polls for ever would "hold". A
grader must not be content with that: it also asks whether every state still leads to an end, and, where an exercise
wants it, whether there is any schedule without end at all.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ..explore import Exploration, explore
from ..failure import Failure, Shown
from ..graph import Graph
from ..narrate import count
from ..program import ProgramError
from ..scenario import Scenario
from ..session import Session


@dataclass(frozen=True)
class Finding:
    """What a search has found, and what is wrong, if anything is. ``complete`` is False where it was cut short."""

    exploration: Exploration
    failure: Failure | None

    @property
    def complete(self) -> bool:
        """Whether every reachable state was looked at."""
        return self.exploration.complete

    @property
    def holds(self) -> bool:
        """Nothing is wrong, and nothing was left out."""
        return self.complete and self.failure is None

    def __str__(self) -> str:
        """What was checked, in one line, and never more than that."""
        found = self.exploration
        if self.failure is not None:
            return f"{found.scenario} fails: {self.failure.message}."
        states = count(found.states, "state")
        if not self.complete:
            return f"{found.scenario}: no failure in {states}; then the search was {found.reason}."
        if found.schedules is not None:
            all_of = "the one schedule" if found.schedules == 1 else f"all {found.schedules:,} schedules"
            return f"{found.scenario} holds under {all_of} of this scenario ({states})."
        if not found.machine.at_ends:
            return f"{found.scenario} holds under every schedule of this scenario, infinitely many ({states})."
        return (
            f"{found.scenario} holds under every schedule of this scenario that ends ({states}). There is a loop, so "
            "they are infinitely many; from every state an end can be reached."
        )


def examine(scenario: Scenario, *, max_states: int, must_end: bool = False) -> Finding:
    """Searches every interleaving. ``must_end``: a schedule without end is a failure, too.

    Raises ScenarioError or ProgramError where the model itself is wrong.
    """
    found = explore(scenario, max_states=max_states)
    if found.failures:
        return Finding(found, found.failures[0])
    if not found.complete:
        return Finding(found, None)
    if found.machine.at_ends and not all(found.graph.leads_to(found.graph.ends)):
        return Finding(found, _livelock(scenario))
    if must_end and found.schedules is None:
        return Finding(found, _endless(scenario))
    return Finding(found, None)


def _livelock(scenario: Scenario) -> Failure:
    """The shortest way to a state from which no end can be reached, though steps always can be taken."""
    found = _apart(scenario)
    alive = found.graph.leads_to(found.graph.ends)
    if not found.graph.ends:
        return _circle(found, "livelock", "no schedule ends at all, and here is one way to go round for ever")
    lost = next(number for number, lives in enumerate(alive) if not lives)
    session = _walk(found, _way_to(found.graph, lost))
    return _told(session, "livelock", "no schedule ends from here on: whoever still has steps to take goes round in "
                                      "circles")


def _endless(scenario: Scenario) -> Failure:
    """A way to go on for ever."""
    return _circle(_apart(scenario), "endless", "this can go on for ever")


def _circle(found: Exploration, kind: str, said: str) -> Failure:
    """The shortest way into a circle, and once round it."""
    graph = found.graph
    for number in range(graph.expanded):
        if circle := _way(graph, number, number):
            before = _way_to(graph, number)
            session = _walk(found, before + circle)
            then = f"after step {len(before)}" if before else "at the start"
            back = f"after step {len(before) + len(circle)} everything is as it was {then}"
            return _told(session, kind, f"{said}: {back}")
    raise _differs(found)


def _apart(scenario: Scenario) -> Exploration:
    """Searched again with identical tasks told apart, so that a way in the graph is a schedule."""
    return explore(scenario, symmetry=False)


def _way_to(graph: Graph, target: int) -> list[int]:
    """The states of a shortest way from the beginning, which is left out."""
    return _way(graph, 0, target) if target else []


def _way(graph: Graph, start: int, target: int) -> list[int]:
    """The states of a shortest way of at least one step, without ``start``; [] if there is none."""
    before: dict[int, int] = {}
    ahead = deque([start])
    while ahead and target not in before:
        number = ahead.popleft()
        for follower in graph.followers(number):
            if follower not in before:
                before[follower] = number
                ahead.append(follower)
    if target not in before:
        return []
    way = [target]
    while before[way[-1]] != start:
        way.append(before[way[-1]])
    return way[::-1]


def _walk(found: Exploration, way: list[int]) -> Session:
    """A session that has taken the steps between these states."""
    session = Session(found.scenario, found.machine)
    for number in way:
        for choice in session.choices():
            if choice.enabled:
                session.step(choice)
                if session.number == found.graph.states[number]:
                    break
                session.undo()
        else:
            raise _differs(found)
    return session


def _differs(found: Exploration) -> ProgramError:
    """What is to be said where another look at the same schedules has shown other states."""
    return ProgramError(
        f"{found.scenario} has done one thing when it was executed, and another when it was executed again. What a "
        "program does may depend on Cells and on what its operations give, not on chance or on the clock."
    )


def _told(session: Session, kind: str, message: str) -> Failure:
    shown = Shown(message, session.schedule, session.trace)
    return Failure(kind, session.scenario, (kind, ""), None, lambda: shown)
