"""The schedule that a person can follow: fewest switches between contexts, then fewest steps.

A second search, once failures are known. It runs over (state, who stepped last), does not merge
identical tasks (a reader wants to know which of them), and never leaves the part of the graph
from which a failure can still be reached. Ties are broken by the order in which contexts were
declared, so the answer is always the same.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

from .checkers.data_race import DataRaces
from .checkers.states import end_faults, is_end, state_faults
from .graph import FaultKey, Graph, fault_key
from .machine import Machine
from .outcome import Blocked, Move

#: How many (state, last context) pairs are looked at; beyond, the fewest steps must do.
BOUND = 200_000


class Road(NamedTuple):
    """A schedule, last step first."""

    word: str
    before: Road | None


class Stop(NamedTuple):
    """A place in the queue; compared by the first three, which no two have in common."""

    switches: int
    steps: int
    order: int
    state: int
    last: int
    road: Road | None
    fault: FaultKey | None  # the last step failed with this


def shortest(machine: Machine, graph: Graph, wanted: set[FaultKey]) -> dict[FaultKey, tuple[str, ...]]:
    """For each failure, the words of its schedule."""
    wanted, found = set(wanted), dict[FaultKey, tuple[str, ...]]()
    bad = set(graph.failing_steps) | set(graph.failing_states) | set(graph.sightings)
    useful = graph.leads_to(bad)
    races = DataRaces(machine)
    queue = [Stop(0, 0, 0, machine.initial, -1, None, None)]
    order, seen = 0, set[tuple[int, int]]()

    def arrive(fault: FaultKey, road: Road | None) -> None:
        if fault in wanted:
            wanted.discard(fault)
            found[fault] = _words(road)

    while queue and wanted and len(seen) < BOUND:
        stop = heappop(queue)
        if stop.fault:
            arrive(stop.fault, stop.road)
            continue
        if (stop.state, stop.last) in seen:
            continue
        seen.add((stop.state, stop.last))
        number = graph.numbers.get(machine.canonical(stop.state))
        if number is None or not useful[number]:
            continue
        if number in bad:
            broken = state_faults(machine, stop.state)
            over = broken or (end_faults(machine, stop.state) if is_end(machine, stop.state) else [])
            for fault in over + races.look(stop.state):
                arrive(fault_key(fault), stop.road)
            if over:
                continue
        for index, move in _moves(machine, stop.state):
            order += 1
            switches = stop.switches + (stop.last not in (-1, index))
            after = stop.state + move.delta
            fault_of = fault_key(move.fault) if move.fault else None
            heappush(queue, Stop(switches, stop.steps + 1, order, after, index, Road(move.word, stop.road), fault_of))
    for fault in wanted:
        found[fault] = _fewest_steps(machine, graph, fault)
    return found


def _moves(machine: Machine, state: int) -> list[tuple[int, Move]]:
    return [
        (machine.context_index[context], move)
        for context, outcome in machine.moves(state)
        if not isinstance(outcome, Blocked)
        for move in outcome
    ]


def _words(road: Road | None) -> tuple[str, ...]:
    words = []
    while road is not None:
        words.append(road.word)
        road = road.before
    return tuple(reversed(words))


def _fewest_steps(machine: Machine, graph: Graph, fault: FaultKey) -> tuple[str, ...]:
    """The way by which the breadth-first search first came to the failure."""
    target = min(
        [n for n, at in graph.failing_states.items() if at == fault]
        + [n for faults in (graph.failing_steps, graph.sightings) for n, ats in faults.items() if fault in ats]
    )
    before: dict[int, int] = {}
    for number in range(graph.expanded):
        for follower in graph.followers(number):
            before.setdefault(follower, number)
    way = [target]
    while way[-1]:
        way.append(before[way[-1]])
    # The graph merges identical tasks; find out step by step which of them it was.
    state, words = machine.initial, []
    for number in reversed(way[:-1]):
        move = next(m for _, m in _moves(machine, state) if graph.numbers.get(machine.canonical(state + m.delta)) == number)
        words.append(move.word)
        state += move.delta
    last = [m for _, m in _moves(machine, state) if m.fault and fault_key(m.fault) == fault]
    return (*words, *(move.word for move in last[:1]))
