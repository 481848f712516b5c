"""The state graph that a search leaves behind, and what can be read off it.

States are numbered in the order in which the search met them. ``followers(n)`` lists the states
one step on, once per step (two steps that lead to the same state are two entries).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

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

    def count_schedules(self) -> tuple[int | None, Counter[FaultKey]]:
        """How many complete schedules there are, and how many end in each failure.

        (None, empty) where a loop makes them infinitely many.
        """
        incoming = [0] * len(self.states)
        for number in self.edges:
            incoming[number] += 1
        ways = [0] * len(self.states)
        ways[0] = 1
        ready, done = [0], 0
        if incoming[0]:
            return None, Counter()
        while ready:
            number = ready.pop()
            done += 1
            for follower in self.followers(number):
                ways[follower] += ways[number]
                incoming[follower] -= 1
                if not incoming[follower]:
                    ready.append(follower)
        if done < len(self.states):
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
        back = self._reverse()
        reached = bytearray(len(self.states))
        todo = list(targets)
        for number in todo:
            reached[number] = 1
        while todo:
            for before in back[todo.pop()]:
                if not reached[before]:
                    reached[before] = 1
                    todo.append(before)
        return reached

    def fates(self) -> tuple[bytearray, bytearray]:
        """For each state: whether a failure can be reached from it, and whether it must be."""
        bad = set(self.failing_steps) | set(self.failing_states)
        possible = self.leads_to(bad)
        # Certain: no step leads anywhere else. A run that can go on for ever need not fail.
        certain = bytearray(len(self.states))
        back = self._reverse()
        open_steps = [len(self.followers(number)) for number in range(len(self.states))]
        todo = list(self.failing_states)
        todo += [number for number in self.failing_steps if not open_steps[number]]
        for number in todo:
            certain[number] = 1
        while todo:
            for before in back[todo.pop()]:
                open_steps[before] -= 1
                if not open_steps[before] and not certain[before]:
                    certain[before] = 1
                    todo.append(before)
        return possible, certain

    def _reverse(self) -> list[list[int]]:
        back: list[list[int]] = [[] for _ in self.states]
        for number in range(self.expanded):
            for follower in self.followers(number):
                back[follower].append(number)
        return back
