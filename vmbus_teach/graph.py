"""The state graph that a search leaves behind, and what can be read off it.

States are numbered in the order in which the search met them. ``followers(n)`` lists the states
one step on, once per step (two steps that lead to the same state are two entries).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from .outcome import Fault

IMPOSSIBLE, POSSIBLE, CERTAIN, UNKNOWN = "impossible", "possible", "certain", "unknown"

#: What tells two failures apart: the kind of the fault and where it is.
FaultKey = tuple[str, Hashable]


def fault_key(fault: Fault) -> FaultKey:
    """What tells a fault from others."""
    return (fault.kind, fault.where)


@dataclass
class Graph:
    """What a search has found. ``expanded`` states come first; the others were only met."""

    states: list[int] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    first_edge: array[int] = field(default_factory=lambda: array("Q", [0]))
    edges: array[int] = field(default_factory=lambda: array("L"))
    ends: list[int] = field(default_factory=list)  # all has been done (well or not)
    #: Failures of steps: by state, the faults with which its failing steps end.
    failing_steps: dict[int, list[FaultKey]] = field(default_factory=dict)
    #: Failures of states: properties that do not hold there, deadlocks.
    failing_states: dict[int, FaultKey] = field(default_factory=dict)
    #: Seen on the way; the schedule goes on.
    sightings: dict[int, list[FaultKey]] = field(default_factory=dict)

    @property
    def expanded(self) -> int:
        return len(self.first_edge) - 1

    @property
    def transitions(self) -> int:
        return len(self.edges) + sum(map(len, self.failing_steps.values()))

    def followers(self, number: int) -> array[int]:
        if number >= self.expanded:
            return self.edges[:0]
        return self.edges[self.first_edge[number] : self.first_edge[number + 1]]

    @cached_property
    def schedules(self) -> tuple[int | None, Counter[FaultKey]]:
        """As ``count_schedules``, of a graph that is complete; counted when first asked for."""
        return self.count_schedules()

    def count_schedules(self) -> tuple[int | None, Counter[FaultKey]]:
        """How many complete schedules there are, and how many end in each failure.

        (None, empty) where a loop makes them infinitely many.
        """
        incoming = [0] * len(self.states)
        for number in self.edges:
            incoming[number] += 1
        ways = [0] * len(self.states)
        ways[0] = 1
        ready = [] if incoming[0] else [0]
        for number in ready:  # grows: states to which all ways are known
            for follower in self.followers(number):
                ways[follower] += ways[number]
                incoming[follower] -= 1
                if not incoming[follower]:
                    ready.append(follower)
        if len(ready) < len(self.states):
            return None, Counter()
        failed: Counter[FaultKey] = Counter()
        for number, faults in self.failing_steps.items():
            for fault in faults:
                failed[fault] += ways[number]
        for number, fault in self.failing_states.items():
            failed[fault] += ways[number]
        good = sum(ways[number] for number in self.ends if number not in self.failing_states)
        return failed.total() + good, failed

    def leads_to(self, targets: Iterable[int]) -> bytearray:
        """For each state, whether one of the targets can be reached from it (1) or not (0)."""
        reached = bytearray(len(self.states))
        for number in targets:
            reached[number] = 1
        return self._spread(reached, any)

    def fates(self) -> tuple[bytearray, bytearray]:
        """For each state: whether a failure can be reached from it, and whether it must be."""
        possible = self.leads_to(set(self.failing_steps) | set(self.failing_states))
        # Certain: no step leads anywhere else. A run that can go on for ever need not fail.
        certain = bytearray(len(self.states))
        for number in self.failing_states:
            certain[number] = 1
        for number in self.failing_steps:
            certain[number] = not self.followers(number)
        return possible, self._spread(certain, all)

    def _spread(self, marks: bytearray, how: Callable[[Iterable[int]], bool]) -> bytearray:
        """Marks each state of which any (or all) followers are marked, until there are no more."""
        marked, edges, first = marks.__getitem__, self.edges, self.first_edge
        more = True
        while more:  # again, for steps that lead back to states met before
            more = False
            for number in range(self.expanded - 1, -1, -1):
                if not marks[number] and first[number] < first[number + 1]:
                    if how(map(marked, edges[first[number] : first[number + 1]])):
                        marks[number] = more = True
        return marks
