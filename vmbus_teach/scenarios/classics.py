"""The textbook races: small enough to list every schedule by hand, and to hold the engine to account.

Chapter 00 tells the story of the increments. Each race that fails is followed by its repair.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    SpinLock,
    atomic_dec,
    atomic_inc,
    load,
    raise_irq,
    spin_lock,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irqrestore,
    store,
)
from ..scenario import Scenario, at_end, interrupt, invariant, thread

# --- the lost update -----------------------------------------------------------------------------


class Increments(Scenario):
    """Several threads add to one counter, each by reading it and writing it back."""

    def setup(self, threads=2, times=1):
        self.times = times
        self.expected = threads * times
        self.count = Cell(0)
        for _ in range(threads):
            self.add_thread(self.worker)

    def worker(self):
        for _ in range(self.times):
            yield from self.increment()

    def increment(self):
        value = yield READ_ONCE(self.count)  # reads the counter
        yield WRITE_ONCE(self.count, value + 1)  # writes back one more

    @at_end
    def nothing_is_lost(self, s):
        return s[self.count] == self.expected or f"{s[self.count]} of {self.expected} are left"

    def outcome(self, s):
        return s[self.count]


class AtomicIncrements(Increments):
    """The read and the write become one step: nobody can come between them."""

    def increment(self):
        yield atomic_inc(self.count)  # reads the counter and writes back one more, in one step


class LockedIncrements(Increments):
    """The read and the write remain two steps, but only who holds the lock may take them."""

    def setup(self, threads=2, times=1):
        super().setup(threads, times)
        self.count_lock = SpinLock()

    def increment(self):
        yield spin_lock(self.count_lock)  # waits until nobody else is at the counter
        yield from super().increment()
        yield spin_unlock(self.count_lock)  # lets the next one in


# --- looking while something moves ---------------------------------------------------------------

ITEM = "item"


class ListMove(Scenario):
    """An item goes from one list to another; readers look for it on the first list, then on the second."""

    def setup(self, readers=2):
        self.lists = [Cell(frozenset({ITEM})), Cell(frozenset())]
        self.missed = Cell(0)
        for _ in range(readers):
            self.add_thread(self.reader)

    @thread()
    def mover(self):
        yield from self.take_off()
        yield from self.put_on()

    def take_off(self):
        yield WRITE_ONCE(self.lists[0], frozenset())  # takes the item off the first list

    def put_on(self):
        yield WRITE_ONCE(self.lists[1], frozenset({ITEM}))  # puts the item on the second list

    def reader(self):
        for items in self.lists:
            found = yield READ_ONCE(items)  # looks for the item on the next list
            if ITEM in found:
                return
        yield atomic_inc(self.missed)  # has found it on neither

    @at_end
    def nobody_missed_it(self, s):
        return s[self.missed] == 0 or f"{s[self.missed]} looked on both lists and found nothing"

    def outcome(self, s):
        return s[self.missed]


class ListMovePutOnFirst(ListMove):
    """The item is on both lists for a moment: who misses it on the first one finds it on the second."""

    def mover(self):
        yield from self.put_on()
        yield from self.take_off()


# --- mutual exclusion without a lock -------------------------------------------------------------


class Peterson(Scenario):
    """Two threads keep each other out of a critical section for ever, with nothing but reads and writes."""

    def setup(self):
        self.wants = [Cell(False), Cell(False)]
        self.turn = Cell(0)
        self.inside = Cell(0)
        for me in (0, 1):
            self.add_thread(self.worker, me)

    def worker(self, me):
        while True:
            yield from self.ask(me)
            yield from self.wait(me)
            yield atomic_inc(self.inside)  # enters the critical section
            yield atomic_dec(self.inside)  # leaves the critical section
            yield WRITE_ONCE(self.wants[me], False)  # does not want to go in any more

    def ask(self, me):
        yield WRITE_ONCE(self.wants[me], True)  # wants to go in
        yield WRITE_ONCE(self.turn, 1 - me)  # lets the other one go first

    def wait(self, me):
        while (
            (yield READ_ONCE(self.wants[1 - me]))  # looks whether the other one wants to go in
            and (yield READ_ONCE(self.turn)) != me  # looks whose turn it is
        ):
            pass

    @invariant
    def one_at_a_time(self, s):
        return s[self.inside] <= 1


class PetersonTurnFirst(Peterson):
    """The same two writes the other way round: now both get in."""

    def ask(self, me):
        yield WRITE_ONCE(self.turn, 1 - me)  # lets the other one go first
        yield WRITE_ONCE(self.wants[me], True)  # wants to go in


# --- deadlocks -----------------------------------------------------------------------------------


class LockInHandler(Scenario):
    """A task and an interrupt handler of the same CPU take the same spin lock."""

    cpus = 1

    def setup(self):
        self.events = Cell(0)
        self.events_lock = SpinLock()

    @thread(host=True)
    def device(self):
        yield raise_irq(self.handler)  # raises its interrupt

    @thread(cpu=0)
    def task(self):
        yield spin_lock(self.events_lock)  # takes the lock; the interrupt can still come
        yield from self.count_event()
        yield spin_unlock(self.events_lock)

    @interrupt(cpu=0)
    def handler(self):
        yield spin_lock(self.events_lock)  # takes the lock, in the handler
        yield from self.count_event()
        yield spin_unlock(self.events_lock)

    def count_event(self):
        events = yield load(self.events)
        yield store(self.events, events + 1)

    @at_end
    def both_are_counted(self, s):
        return s[self.events] == 2


class LockInHandlerIrqsave(LockInHandler):
    """While the task holds the lock, the interrupt has to wait."""

    def task(self):
        flags = yield spin_lock_irqsave(self.events_lock)  # switches interrupts off and takes the lock
        yield from self.count_event()
        yield spin_unlock_irqrestore(self.events_lock, flags)  # now the interrupt can come


class AbBa(Scenario):
    """Two threads take the same two locks, in opposite orders."""

    def setup(self):
        self.a, self.b = SpinLock(), SpinLock()

    @thread()
    def one(self):
        yield from self.take_both(self.a, self.b)

    @thread()
    def other(self):
        yield from self.take_both(self.b, self.a)

    def take_both(self, first, second):
        yield spin_lock(first)  # takes its first lock
        yield spin_lock(second)  # takes its second lock
        yield spin_unlock(second)
        yield spin_unlock(first)


class AbAb(AbBa):
    """Everybody takes the locks in the same order."""

    def other(self):
        yield from self.take_both(self.a, self.b)
