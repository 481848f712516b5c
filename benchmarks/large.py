"""Scenarios that are hard to draw, not to search: many CPUs, long listings, long schedules, long names."""

from __future__ import annotations

import linecache
from typing import Any

from vmbus_teach import Scenario, thread
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, raise_irq, smp_cond_load_acquire, smp_store_release


class TwentyCpus(Scenario):
    """Twenty CPUs, a task and an interrupt handler on each, one after the other."""

    cpus = 20

    def setup(self):
        self.turn = Cell(0)
        self.ticks = [self.add_interrupt(self.tick, n, cpu=n, name=f"tick_{n}") for n in range(self.cpus)]
        for n in range(self.cpus):
            self.add_thread(self.work, n, cpu=n, name=f"work_on_cpu_{n}")

    def work(self, n):
        yield smp_cond_load_acquire(self.turn, AT_LEAST[n])  # waits for its turn
        yield raise_irq(self.ticks[n])  # raises its own interrupt

    def tick(self, n):
        yield READ_ONCE(self.turn)  # looks whose turn it is
        yield smp_store_release(self.turn, n + 1)  # hands on


AT_LEAST = [(lambda turn, n=n: turn >= n) for n in range(20)]


def long_program(lines: int) -> Any:
    """A program with so many lines, every third of them a step; its listing is at hand as if it were in a file."""
    steps = (f"    yield WRITE_ONCE(self.total, 0)  # is at line {line} of {lines}" for line in range(3, lines + 1, 3))
    text = "def long_program(self):\n" + "\n".join(f"    # before the next\n    # step\n{step}" for step in steps)
    name = f"<a listing of {lines} lines>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space: dict[str, Any] = {"WRITE_ONCE": WRITE_ONCE}
    exec(compile(text, name, "exec"), space)
    return space["long_program"]


LONG_PROGRAM = long_program(400)


class LongListing(Scenario):
    """Two programs of 400 lines each, with long names."""

    def setup(self):
        self.total = Cell(0)
        for n in range(2):
            self.add_thread(LONG_PROGRAM, self, name=f"a_context_with_quite_a_long_name_{n}")


class Endless(Scenario):
    """Two tasks turn a bit over without end."""

    def setup(self):
        self.bit = Cell(0)

    @thread(copies=2)
    def toggle(self):
        while True:
            bit = yield READ_ONCE(self.bit)  # looks at the bit
            yield WRITE_ONCE(self.bit, 1 - bit)  # turns it over


#: A schedule of 2,000 steps for Endless.
LONG_SCHEDULE = "toggle_0*3 toggle_1*2 " * 400
