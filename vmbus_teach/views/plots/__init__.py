"""Pictures of races: a schedule in space and time, the graph of all states, how both grow; races in time; locks.

    space_time(explore(HostIsLate).failures[0])
    state_graph(explore(PerCpuLists))
    growth(lambda n: Increments(threads=n), range(1, 6), label="threads")
    timeline(simulate(PerCpuLists))
    curves({"found": {10: 0.1, 20: 0.4}}, x="rate, per second", y="lost")
    interrupts(simulate(guest, traffic=guest.arrivals()))
    lock_graph(explore(AbBa))
"""

from __future__ import annotations

from .curves import curves
from .interrupts import interrupts
from .locks import lock_graph
from .schedules import space_time
from .sizes import growth
from .states import state_graph
from .times import timeline

__all__ = ["curves", "growth", "interrupts", "lock_graph", "space_time", "state_graph", "timeline"]
