"""The schedule that a person can follow: fewest switches between contexts, then fewest steps.

A second search, once failures are known. It runs over (state, who stepped last), does not merge
identical tasks (a reader wants to know which of them), and never leaves the part of the graph
from which a failure can still be reached. Ties are broken by the order in which contexts were
declared, so the answer is always the same.
"""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import NamedTuple

from .checkers.data_race import DataRaces
from .checkers.states import end_faults, is_end, state_faults
from .graph import FaultKey, Graph, fault_key
from .kernel.base import Context
from .machine import Machine
from .outcome import Blocked, Move

#: How many (state, last context) pairs are looked at; beyond, the fewest steps must do.
BOUND = 100_000


class Road(NamedTuple):
    """A schedule, last step first."""

    word: str
    before: Road | None


class Stop(NamedTuple):
    """A place in the queue; compared by the first three, which no two have in common."""

    switches: int  # those made, and those that must still come
    steps: int
    order: int
    made: int
    state: int
    last: int
    road: Road | None
    fault: FaultKey | None  # the last step failed with this


def shortest(machine: Machine, graph: Graph, wanted: set[FaultKey]) -> dict[FaultKey, tuple[str, ...]]:
    """For each failure, the words of its schedule."""
    found: dict[FaultKey, tuple[str, ...]] = {}
    at_ends = {at for at in wanted if at[0] in ("at_end", "leak")}
    for group in (wanted - at_ends, at_ends):
        if group:
            found |= _fewest_switches(machine, graph, set(group), to_the_end=group is at_ends)
    for fault in wanted - set(found):
        found[fault] = _fewest_steps(machine, graph, fault)
    return found


def _fewest_switches(
    machine: Machine, graph: Graph, wanted: set[FaultKey], *, to_the_end: bool
) -> dict[FaultKey, tuple[str, ...]]:
    """A* over (state, last context). What is left of ``wanted`` when the bound is reached is not in the result.

    ``to_the_end``: the failures are seen when all has been done, so each task that has not
    finished costs one more switch at least.
    """
    targets = [n for n, at in graph.failing_states.items() if at in wanted]
    for faults in (graph.failing_steps, graph.sightings):
        targets += [n for n, ats in faults.items() if wanted & set(ats)]
    useful, bad, complete = graph.leads_to(targets), set(targets), graph.expanded == len(graph.states)
    races = DataRaces(machine)
    must_run = [i for i, context in enumerate(machine.contexts) if context.kind in ("task", "host", "irq", "ipi")]
    member_of = {c: number for number, members in enumerate(machine.classes) for c in members}
    queue = [Stop(0, 0, 0, 0, machine.initial, -1, None, None)]
    order, seen = 0, set[Hashable]()
    found: dict[FaultKey, tuple[str, ...]] = {}

    def still(state: int, last: int) -> int:
        if not to_the_end:
            return 0
        return sum(1 for i in must_run if i != last and machine.position(state, i) is not None)

    def arrive(fault: FaultKey, road: Road | None) -> None:
        if fault in wanted:
            wanted.discard(fault)
            found[fault] = _words(road)

    while queue and wanted and len(seen) < BOUND:
        stop = heappop(queue)
        if stop.fault:
            arrive(stop.fault, stop.road)
            continue
        canonical = machine.canonical(stop.state)
        # Identical tasks: it matters where the last one stands, not which of them it was.
        group = member_of.get(machine.contexts[stop.last]) if stop.last >= 0 else None
        last = stop.last if group is None else (group, stop.state >> machine.place_shift[stop.last] & machine.field)
        if (canonical, last) in seen:
            continue
        seen.add((canonical, last))
        number = graph.numbers.get(canonical)
        # In a complete graph, a state that is not there stands for the same as one that is: it is looked at itself.
        if not (complete if number is None else useful[number]):
            continue
        if number is None or number in bad:
            broken = state_faults(machine, stop.state)
            over = broken or (end_faults(machine, stop.state) if is_end(machine, stop.state) else [])
            for fault in over + races.look(stop.state):
                arrive(fault_key(fault), stop.road)
            if over:
                continue
        for index, move in _moves(machine, stop.state):
            order += 1
            made = stop.made + (stop.last not in (-1, index))
            after = stop.state + move.delta
            fault_of = fault_key(move.fault) if move.fault else None
            bound = made + (0 if fault_of else still(after, index))
            road = Road(move.word, stop.road)
            heappush(queue, Stop(bound, stop.steps + 1, order, made, after, index, road, fault_of))
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
    words, last, actor = way_to(machine, graph, target)
    failing = [m for _, m in _moves(machine, last) if m.fault and fault_key(m.fault) == fault]
    return (*words, *(m.word.replace(str(m.context), str(actor[m.context]), 1) for m in failing[:1]))


def parents(graph: Graph) -> dict[int, int]:
    """For each state but the first: the one that the breadth-first search met it from."""
    before: dict[int, int] = {}
    for number in range(graph.expanded):
        for follower in graph.followers(number):
            before.setdefault(follower, number)
    return before


def way_to(
    machine: Machine, graph: Graph, target: int, before: dict[int, int] | None = None
) -> tuple[list[str], int, dict[Context, Context]]:
    """A schedule with the fewest steps to a state of the graph, by its number.

    The graph merges identical tasks, so two more things are said: the state as the graph has it, and for each
    context there, which one is in its place when the schedule is replayed. ``before`` is ``parents(graph)``, for who
    asks more than once.
    """
    before = parents(graph) if before is None else before
    way = [target]
    while way[-1]:
        way.append(before[way[-1]])
    words: list[str] = []
    state, actor = graph.states[0], {context: context for context in machine.contexts}
    _, becomes = machine.in_order(machine.initial)
    actor |= {new: old for old, new in becomes.items()}
    for number in reversed(way[:-1]):
        for _, move in _moves(machine, state):
            after, becomes = machine.in_order(state + move.delta)
            if move.fault is None and graph.numbers.get(after) == number:
                break
        words.append(move.word.replace(str(move.context), str(actor[move.context]), 1))
        actor |= {new: actor[old] for old, new in becomes.items()}
        state = after
    return words, state, actor
