"""Every scenario of the course, searched inside a running kernel: what a reader waits for."""

from __future__ import annotations

from collections.abc import Collection
from statistics import median
from time import perf_counter

from vmbus_teach import explore
from vmbus_teach.scenarios import catalogue

from .table import large, milliseconds, table

HEAD = ("chapter", "scenario", "verdict", "states", "steps", "schedules", "first call, ms", "later calls, ms")


def course(repeats: int, chapters: Collection[str] = ()) -> str:
    """The table, of some chapters or of all. A call makes a scenario, searches it, and finds what fails."""
    rows = []
    for entry in catalogue():
        if chapters and entry.chapter not in chapters:
            continue
        times = []
        for _ in range(1 + repeats):
            start = perf_counter()
            result = explore(entry.make())
            times.append(perf_counter() - start)
        verdict = ", ".join(sorted({failure.kind for failure in result.failures})) or "holds"
        if verdict != entry.expected:
            verdict += f" (expected: {entry.expected})"
        counts = (large(result.states), large(result.transitions), large(result.schedules))
        spent = (milliseconds(times[0]), milliseconds(median(times[1:])))
        rows.append((entry.chapter, str(result.scenario), verdict, *counts, *spent))
    return table(HEAD, rows, left=3)
