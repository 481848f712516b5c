"""The races of the course, one file per chapter, and the list of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..scenario import Scenario
from . import classics, retarget

SERIES_2020 = "Drivers: hv: vmbus: Replace the per-CPU channel lists with a global array of channels (8b6a877c060e)"


@dataclass(frozen=True)
class Entry:
    """A scenario of the course.

    ``expected`` is "holds", or the kinds of its failures, sorted and joined by ", ". ``source`` says
    where the facts come from, or "-" for a textbook example.
    """

    chapter: str
    title: str
    scenario: type[Scenario]
    expected: str
    source: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Scenario:
        """The scenario with its parameters."""
        return self.scenario(**self.parameters)


def catalogue() -> tuple[Entry, ...]:
    """Every scenario of the course, in its order."""
    return (
        *(Entry("00", title, scenario, expected, "-") for title, scenario, expected in _CLASSICS),
        *(Entry("02", title, scenario, expected, SERIES_2020) for title, scenario, expected in _RETARGET),
    )


_CLASSICS: tuple[tuple[str, type[Scenario], str], ...] = (
    ("two increments", classics.Increments, "at_end"),
    ("two atomic increments", classics.AtomicIncrements, "holds"),
    ("two increments under a lock", classics.LockedIncrements, "holds"),
    ("an item moves between lists", classics.ListMove, "at_end"),
    ("an item moves, put on first", classics.ListMovePutOnFirst, "holds"),
    ("Peterson's algorithm", classics.Peterson, "holds"),
    ("Peterson's algorithm, turn first", classics.PetersonTurnFirst, "invariant"),
    ("a lock shared with a handler", classics.LockInHandler, "deadlock"),
    ("a lock shared with a handler, interrupts off", classics.LockInHandlerIrqsave, "holds"),
    ("two locks in opposite orders", classics.AbBa, "deadlock"),
    ("two locks in one order", classics.AbAb, "holds"),
)

_RETARGET: tuple[tuple[str, type[Scenario], str], ...] = (
    ("a channel moves while its interrupt is in flight", retarget.PerCpuLists, "at_end"),
    ("the host switches last", retarget.HostIsLate, "at_end"),
    ("the host switches first", retarget.HostIsEarly, "at_end"),
    ("enqueue before dequeue", retarget.EnqueueFirst, "at_end"),
    ("on both lists", retarget.OnBothLists, "at_end"),
    ("a lock around the lists", retarget.WithALock, "at_end"),
    ("interrupts off", retarget.InterruptsOff, "at_end"),
    ("wait for the host's answer", retarget.WaitForTheHost, "at_end"),
    ("wait for the answer, and drain", retarget.WaitAndDrain, "holds"),
    ("send the event on to the other CPU", retarget.PassItOn, "holds"),
    ("one global array", retarget.GlobalArray, "holds"),
)
