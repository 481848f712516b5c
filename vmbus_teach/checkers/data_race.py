"""Data races: two contexts stand at accesses to one cell; one of them writes, one of them is plain.

Found in the state before either access. A context that was interrupted or preempted right before
its access still stands at it: the compiler may have torn the access in two. A race is reported,
and the schedule goes on: what the machine does with a plain access is one thing that can happen.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from ..outcome import Fault

if TYPE_CHECKING:
    from ..machine import Machine


class DataRaces:
    """Looks for races by the positions of the contexts alone, once per combination of them."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.places = (1 << machine.width * len(machine.contexts)) - 1
        self.known: dict[int, list[Fault]] = {}

    def look(self, state: int) -> list[Fault]:
        at = state & self.places
        faults = self.known.get(at)
        if faults is None:
            faults = self.known[at] = list(self._races(state))
        return faults

    def _races(self, state: int) -> list[Fault]:
        machine = self.machine
        standing = []
        for index, context in enumerate(machine.contexts):
            position = machine.position(state, index)
            if position and position.node and position.operation.access:
                standing.append((context, position.operation, position.node.place))
        faults = []
        for (one, first, here), (other, second, there) in combinations(standing, 2):
            if first.cell is not second.cell:  # type: ignore[attr-defined]
                continue
            if "w" not in first.access + second.access or "plain" not in (first.ordering, second.ordering):
                continue
            message = (
                f"{one} is about to {_does(first.access)} {first.cell!r} ({first}) "  # type: ignore[attr-defined]
                f"while {other} is about to {_does(second.access)} it ({second}), and nothing orders the two"
            )
            sides = [(machine.title(one), here and here[:3]), (machine.title(other), there and there[:3])]
            where = (first.cell.name, tuple(sorted(sides, key=repr)))  # type: ignore[attr-defined]
            faults.append(Fault("data-race", message, where))
        return faults


def _does(access: str) -> str:
    return {"r": "read", "w": "write", "rw": "read and write"}[access]
