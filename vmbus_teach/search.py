"""The exhaustive search: every reachable state, breadth first.

The inner loop knows nothing of what steps mean: it adds ``simple[state & mask]`` to the state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .checkers.data_race import DataRaces
from .checkers.states import end_faults, state_faults
from .graph import FaultKey, Graph, fault_key
from .machine import Machine
from .outcome import Blocked, Fault
from .stop import BY_HAND, StopButton, why_stopped


class Progress(NamedTuple):
    """How far a search has come; handed to ``progress`` every 10,000 states."""

    states: int  # met so far
    waiting: int  # met, and not yet looked at
    transitions: int
    failures: int

    def __str__(self) -> str:
        return f"{self.states:,} states, {self.waiting:,} of them still to look at, {self.failures} failures"


REPORT_EVERY = 10_000


def search(
    machine: Machine,
    graph: Graph,
    faults: dict[FaultKey, Fault],
    stop: StopButton,
    *,
    max_states: int,
    stop_at_first: bool,
    progress: Callable[[Progress], object] | None,
) -> str:
    """Fills ``graph`` and ``faults``; returns why it stopped early, or ""."""
    field = machine.field
    lanes = [(shift, machine.steps[i], *machine.exchanges(i)) for i, shift in enumerate(machine.place_shift)]
    numbers, states, edges = graph.numbers, graph.states, graph.edges
    races = DataRaces(machine)
    invariants = bool(machine.invariants)
    canonical = machine.canonical
    met, push, add = numbers.setdefault, states.append, edges.append

    def note(fault: Fault) -> FaultKey:
        at = fault_key(fault)
        faults.setdefault(at, fault)
        return at

    def fail(wrong: list[Fault]) -> None:
        """The present state fails; the schedule is counted for the first reason, the others are kept."""
        graph.failing_states[number] = note(wrong[0])
        for fault in wrong[1:]:
            graph.sightings.setdefault(number, []).append(note(fault))

    start = canonical(machine.initial)
    numbers[start] = 0
    states.append(start)
    number, count = 0, 1
    while number < count:
        if stop.pressed:
            return BY_HAND
        if stop_at_first and faults:
            return "stopped at the first failure"
        if number % REPORT_EVERY == 0 and number and progress is not None:
            report = Progress(count, count - number, len(edges), len(faults))
            if reason := why_stopped(progress, report):
                return reason
        state = states[number]
        if invariants and (wrong := state_faults(machine, state)):
            fail(wrong)
            graph.first_edge.append(len(edges))
            number += 1
            continue
        if machine.plain_accesses and (seen := races.look(state)):
            graph.sightings[number] = [note(fault) for fault in seen]
        stuck = True
        for shift, steps, below, above in lanes:
            at = state >> shift & field
            if not at:
                continue  # does nothing now
            step = steps[at]
            deltas = step.simple.get(state & step.mask)
            if deltas is None:
                outcome = step.outcome(state)
                if isinstance(outcome, Blocked):
                    continue
                failing = [note(move.fault) for move in outcome if move.fault is not None]
                if failing:
                    graph.failing_steps.setdefault(number, []).extend(failing)
                    stuck = False
                deltas = tuple(move.delta for move in outcome if move.fault is None)
            for delta in deltas:
                stuck = False
                after = state + delta
                # Identical tasks stand in the order of their positions: one that has moved finds its place again.
                to = after >> shift & field
                if to > at:
                    for there, exchange in above:
                        other = state >> there & field
                        if other >= to:
                            break
                        if not machine.sortable:
                            after = canonical(after)
                            break
                        after += (to - other) * exchange
                else:
                    for there, exchange in below:
                        other = state >> there & field
                        if other <= to:
                            break
                        if not machine.sortable:
                            after = canonical(after)
                            break
                        after += (to - other) * exchange
                known = met(after, count)
                if known == count:
                    push(after)
                    count += 1
                add(known)
        if stuck:
            wrong = end_faults(machine, state)
            if wrong:
                fail(wrong)
            if not wrong or wrong[0].kind != "deadlock":
                graph.ends.append(number)
        graph.first_edge.append(len(edges))
        number += 1
        if count > max_states and number < count:
            return f"stopped at max_states = {max_states:,}"
    return ""
