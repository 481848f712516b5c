"""What is counted while a run goes on: steps, times, locks, and the levels of the scenario's gauges."""

from __future__ import annotations

from array import array
from collections import defaultdict, deque
from dataclasses import dataclass, field


@dataclass
class LockTally:
    """How a lock was used. Times in ns; ``waits`` holds how long each of those who had to wait did so."""

    taken: int = 0
    held: int = 0
    longest: int = 0
    waits: array[int] = field(default_factory=lambda: array("q"))
    taken_at: int = 0

    def take(self, now: int, waited: int | None) -> None:
        self.taken += 1
        self.taken_at = now
        if waited is not None:
            self.waits.append(waited)

    def release(self, now: int) -> None:
        held = now - self.taken_at
        self.held += held
        self.longest = max(self.longest, held)


@dataclass
class Level:
    """How much there is of something, over time. What comes first is taken to leave first."""

    level: int = 0
    most: int = 0
    since: int = 0
    integral: int = 0  # level times nanoseconds
    came: int = 0
    inside: deque[int] = field(default_factory=deque)  # when each of them came
    stays: array[int] = field(default_factory=lambda: array("q"))  # how long each that has left was there

    def set(self, level: int, now: int) -> None:
        if level == self.level:
            return
        self.integral += self.level * (now - self.since)
        self.since = now
        more = level - self.level
        self.level = level
        if more > 0:
            self.inside.extend([now] * more)
            self.came += more
            self.most = max(self.most, level)
        for _ in range(-more):
            self.stays.append(now - self.inside.popleft())

    def pass_until(self, now: int) -> None:
        self.integral += self.level * (now - self.since)
        self.since = now


class Tally:
    """All that is counted while a run goes on; what its steps say is counted when it has ended."""

    def __init__(self) -> None:
        self.spent: defaultdict[int, int] = defaultdict(int)  # ns, by the number of the turn
        self.busy: defaultdict[tuple[int, int, bool], int] = defaultdict(int)  # ns, by CPU, context, whether it spun
        self.locks: defaultdict[str, LockTally] = defaultdict(LockTally)
        self.levels: dict[str, Level] = {}
        self.last: dict[str, dict[str, int]] = {}  # by gauge: what it gave last

    def measure(self, gauge: str, levels: dict[str, int], now: int) -> None:
        """What a gauge says now; a name that it gave before, and does not any more, is at 0."""
        last = self.last.get(gauge, {})
        for name, level in levels.items():
            if name not in self.levels:
                self.levels[name] = Level()
            self.levels[name].set(level, now)
        if last.keys() != levels.keys():
            for name in last.keys() - levels.keys():
                self.levels[name].set(0, now)
        self.last[gauge] = levels
