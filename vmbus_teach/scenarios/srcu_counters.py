"""Chapter 06: how SRCU knows that its readers have left: two sets of counters, an index, and two scans.

A reader reads the index, counts itself in with the counters that it names, and counts itself out with the same ones.
Both counts only ever grow, and each CPU has its own; so nobody is in when the sums are equal. An updater waits until
the **idle** counters, which the index does not name, are drained; it flips the index, so that new readers use those;
and it waits until the ones left behind are drained. (Source: __srcu_read_lock, srcu_readers_active_idx_check and
srcu_advance_state in kernel/rcu/srcutree.c, v6.1. There, readers of one CPU share its counters, and many updaters share
a grace period.)

The reader's index and its count are two steps, and between them it may be held up for as long as you like. Memory is
sequentially consistent here, so what the full barriers of the kernel's code are for cannot be seen.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Now,
    Operation,
    Struct,
    atomic_inc,
    kfree,
    kzalloc,
    rcu_assign_pointer,
    rcu_dereference,
)
from ..scenario import Scenario, thread


class TwoScans(Scenario):
    """Readers of an object that is replaced, ``updates`` times; each time the old one is freed after a grace period."""

    def setup(self, readers=2, updates=2):
        self.updates = updates
        self.thing = Struct("thing", capacity=updates + 1, value=0)
        self.pointer = Cell(self.thing.new())
        self.srcu_idx = Cell(0)
        self.lock_count = [(Cell(0), Cell(0)) for _ in range(readers)]  # [CPU][index]
        self.unlock_count = [(Cell(0), Cell(0)) for _ in range(readers)]
        for cpu in range(readers):
            self.add_thread(self.reader, cpu)

    # --- a reader ----------------------------------------------------------------------------------

    def reader(self, cpu):
        index = yield from self.srcu_read_lock(cpu)
        thing = yield rcu_dereference(self.pointer)  # fetches the object
        yield READ_ONCE(thing.value)  # uses it
        yield atomic_inc(self.unlock_count[cpu][index])  # counts itself out

    def srcu_read_lock(self, cpu):
        index = yield READ_ONCE(self.srcu_idx)  # reads the index
        yield atomic_inc(self.lock_count[cpu][index])  # counts itself in
        return index

    # --- the updater -------------------------------------------------------------------------------

    @thread()
    def updater(self):
        for _ in range(self.updates):
            old = yield READ_ONCE(self.pointer)
            new = yield kzalloc(self.thing)
            yield rcu_assign_pointer(self.pointer, new)  # nobody finds the old one any more
            yield from self.synchronize_srcu()
            yield kfree(old)  # frees the old one

    def synchronize_srcu(self):
        current = yield READ_ONCE(self.srcu_idx)
        yield from self.drain(1 - current)
        yield WRITE_ONCE(self.srcu_idx, 1 - current)  # flips: new readers use the other counters
        yield from self.drain(current)

    def drain(self, index):
        drained = False
        while not drained:
            drained = yield from self.is_drained(index)

    def is_drained(self, index):
        unlocks = yield from self.sum(self.unlock_count, index)
        locks = yield from self.sum(self.lock_count, index)
        return locks == unlocks

    def sum(self, counts, index):
        total = 0
        for of_one_cpu in counts:
            total += yield READ_ONCE(of_one_cpu[index])
        return total


class OneScan(TwoScans):
    """The index is flipped, and only what was left behind is waited for."""

    def synchronize_srcu(self):
        current = yield READ_ONCE(self.srcu_idx)
        yield WRITE_ONCE(self.srcu_idx, 1 - current)  # flips
        yield from self.drain(current)


class OneScanOneStep(OneScan):
    """... but a reader reads the index and counts itself in, in one step (which no CPU has)."""

    def srcu_read_lock(self, cpu):
        return (yield reads_and_counts_in(self.srcu_idx, self.lock_count[cpu]))


class reads_and_counts_in(Operation):
    """What no CPU can do: reads the index and adds 1 to the count that it names, in one step."""

    index: Cell
    counts: tuple[Cell, Cell]

    def step(self, now: Now) -> int:
        index: int = now[self.index]
        now[self.counts[index]] += 1
        return index


class IdleScanOnly(TwoScans):
    """Only the idle counters are waited for; then the index is flipped."""

    def synchronize_srcu(self):
        current = yield READ_ONCE(self.srcu_idx)
        yield from self.drain(1 - current)
        yield WRITE_ONCE(self.srcu_idx, 1 - current)


class NoFlip(TwoScans):
    """Both sets are waited for, and the index stays: new readers keep the updater waiting."""

    def synchronize_srcu(self):
        current = yield READ_ONCE(self.srcu_idx)
        yield from self.drain(1 - current)
        yield from self.drain(current)


class FlipBetweenBoth(TwoScans):
    """The index is flipped first, and then both sets are waited for, the one left behind first."""

    def synchronize_srcu(self):
        current = yield READ_ONCE(self.srcu_idx)
        yield WRITE_ONCE(self.srcu_idx, 1 - current)
        yield from self.drain(current)
        yield from self.drain(1 - current)


class LocksSummedFirst(TwoScans):
    """Those who came in are counted before those who left."""

    def is_drained(self, index):
        locks = yield from self.sum(self.lock_count, index)
        unlocks = yield from self.sum(self.unlock_count, index)
        return locks == unlocks
