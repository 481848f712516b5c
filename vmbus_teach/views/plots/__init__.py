"""Pictures of races: a schedule in space and time, the graph of all states, and how both grow.

    space_time(explore(HostIsLate).failures[0])
    state_graph(explore(PerCpuLists))
    growth(lambda n: Increments(threads=n), range(1, 6), label="threads")
"""

from __future__ import annotations

from .schedules import space_time
from .sizes import growth
from .states import state_graph

__all__ = ["growth", "space_time", "state_graph"]
