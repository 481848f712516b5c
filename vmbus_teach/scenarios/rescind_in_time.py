"""Chapter 04: what grows, and how unlikely is unlikely enough: the same strategies in simulated time."""

from __future__ import annotations

from ..kernel import (
    WRITE_ONCE,
    Cell,
    Completion,
    Traffic,
    atomic_dec,
    atomic_inc,
    complete,
    next_arrival,
    smp_cond_load_relaxed,
    usleep_range,
    wait_for_completion,
)
from ..scenario import Scenario, gauge, invariant, thread
from .rescind_strategies import DelayedFree

# --- the window of a delayed free --------------------------------------------------------------------------


class FreedMeanwhile(DelayedFree):
    """Only those schedules in which a rescind has found the channel just before the offer fails.

    What it costs in time decides who is first: the rescind, which was held up on its way to the channel, or the free,
    ``delay_us`` later. The search, which has no clock, must call both possible.
    """

    def setup(self, **parameters):
        super().setup(**parameters)
        self.has_been_found = Cell(False)  # nothing of the kernel: our own note

    def device_create(self):
        yield smp_cond_load_relaxed(self.has_been_found, bool)
        return False

    def found(self, channel):
        yield WRITE_ONCE(self.has_been_found, True)


# --- memory, where channels come and go ----------------------------------------------------------------------


class FreedWithLastUser(Scenario):
    """Sockets are opened and closed for ever, each a channel offered and taken back; the last user frees it.

    Of a channel's life only its beginning and its end are left here: it is allocated, and taken off all lists.
    ``capacity`` is the number of channels that there is memory for.
    """

    def setup(self, capacity=3):
        self.capacity = capacity
        self.sockets = Traffic()
        self.allocated = Cell(0)  # channels that use memory

    @thread()
    def offers_and_rescinds(self):
        while True:
            yield next_arrival(self.sockets)
            yield atomic_inc(self.allocated)  # vmbus_onoffer allocates a channel
            yield from self.taken_off_all_lists()

    def taken_off_all_lists(self):
        yield atomic_dec(self.allocated)  # the last one who uses it frees it

    @invariant
    def memory_is_left(self, s):
        return s[self.allocated] <= self.capacity or f"{s[self.allocated]} channels are allocated"

    @gauge
    def channels(self, s):
        return s[self.allocated]


class NeverFreedAgain(FreedWithLastUser):
    """A channel is never freed."""

    def taken_off_all_lists(self):
        yield from ()


class FreedAfterADelay(FreedWithLastUser):
    """A channel is freed ``delay_us`` after it has been taken off all lists."""

    def setup(self, capacity=3, delay_us=10_000_000):
        super().setup(capacity)
        self.delay_us = delay_us
        self.delayed_work = Completion()  # one for each channel that waits to be freed
        for _ in range(capacity):
            self.add_thread(self.release_channel)

    def taken_off_all_lists(self):
        yield complete(self.delayed_work)  # schedule_delayed_work

    def release_channel(self):
        while True:
            yield wait_for_completion(self.delayed_work)
            yield usleep_range(self.delay_us, self.delay_us)  # lets the delay go by
            yield atomic_dec(self.allocated)  # frees the channel
