"""Pictures of races: a schedule in space and time, the graph of all states, how both grow; and races in time.

    space_time(explore(HostIsLate).failures[0])
    state_graph(explore(PerCpuLists))
    growth(lambda n: Increments(threads=n), range(1, 6), label="threads")
    timeline(simulate(PerCpuLists))
    curves({"found": {10: 0.1, 20: 0.4}}, x="rate, per second", y="lost")
    interrupts(simulate(guest, traffic=guest.arrivals()))
"""

from __future__ import annotations

from .curves import curves
from .interrupts import interrupts
from .schedules import space_time
from .sizes import growth
from .states import state_graph
from .times import timeline

__all__ = ["curves", "growth", "interrupts", "space_time", "state_graph", "timeline"]
