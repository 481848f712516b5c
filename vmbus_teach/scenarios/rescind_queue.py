"""Chapter 04: rescinds on a queue of their own: how one queue for all was given up again, from 2017 to today.

(Sources: 54a66265d675, as in its backport f3ad7fdb1e21 to LIS/lis-next, and 6f3d791f3006, both of 2017; the comment in
vmbus_process_offer that 37c2578c0c40 added; vmbus_onoffer_rescind in drivers/hv/channel_mgmt.c, Linux 6.1.)

Simplified: the kernel protects the list by a mutex here, and 37c2578c0c40 has another queue for sub-channels, which are
left out.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Kref,
    WorkQueue,
    atomic_dec,
    atomic_inc,
    complete,
    inside,
    kref_get,
    kref_put,
    kzalloc,
    queue_work,
    smp_cond_load_relaxed,
)
from .rescind_strategies import OneQueueRcu


class OwnRescindQueue(OneQueueRcu):
    """Rescinds, on a queue of their own, wait until no offer is in progress; one that fails stays in progress."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.rescind_work_queue = WorkQueue(ordered=True, cpu=0)
        self.offer_in_progress = Cell(0)

    def offer_message(self, relid):
        yield atomic_inc(self.offer_in_progress)  # counts the offer before its work is queued
        yield from super().offer_message(relid)

    def rescind_message(self, relid):
        yield queue_work(self.rescind_work_queue, self.rescinds[relid])  # has the rescind handled

    def end_of_offer(self, channel):
        yield from self.count_down()

    def count_down(self):
        yield atomic_dec(self.offer_in_progress)  # this offer is no longer in progress

    def vmbus_onoffer_rescind(self, relid):
        yield smp_cond_load_relaxed(self.offer_in_progress, is_zero)  # waits until no offer is in progress
        yield from super().vmbus_onoffer_rescind(relid)

    def rescind(self, channel):
        yield from self.wake(channel)
        yield from self.vmbus_process_rescind_offer(channel)

    def wake(self, channel):
        yield WRITE_ONCE(channel.rescind, True)  # notes that the offer has been taken back
        yield complete(channel.open_result)  # vmbus_rescind_cleanup: wakes who waits for the host


def is_zero(count):
    """It is 0."""
    return count == 0


class CountedDownAlways(OwnRescindQueue):
    """... and an offer that fails is counted down, too."""

    def register_failed(self, channel):
        yield from super().register_failed(channel)
        yield from self.count_down()


class CountedDownEarly(OwnRescindQueue):
    """Counted down under the list's lock (6f3d791f3006); a rescind wakes the driver and waits for it (later trees)."""

    def list_add(self, channel):
        yield from self.count_down()
        yield from super().list_add(channel)

    def end_of_offer(self, channel):
        yield WRITE_ONCE(channel.offer_done, True)  # probe_done

    def register_failed(self, channel):
        yield from self.end_of_offer(channel)  # or a rescind would wait for ever; in the kernel it came later
        yield from super().register_failed(channel)

    def rescind(self, channel):
        yield from self.wake(channel)
        yield from self.wait_for_probe(channel)
        yield from self.device_and_channel(channel)

    def wait_for_probe(self, channel):
        yield smp_cond_load_relaxed(channel.offer_done, bool)  # waits until the driver is done with the offer

    def device_and_channel(self, channel):
        device = yield READ_ONCE(channel.device)
        if device is not None:  # else the offer has failed, and done the rest itself
            yield from self.vmbus_process_rescind_offer(channel)


class OwnAddQueue(CountedDownEarly):
    """... and the device is added on a queue of its own, so that no offer waits behind a driver (37c2578c0c40)."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.handle_primary_chan_wq = WorkQueue(ordered=True, cpu=0)

    def vmbus_onoffer(self, relid):
        channel = yield kzalloc(self.vmbus_channel, relid=relid)
        yield from super().link(channel)
        yield queue_work(self.handle_primary_chan_wq, channel.offer_work)  # leaves the device to another queue

    def link(self, channel):
        yield from ()  # done, when the device is added


class Referenced(CountedDownEarly):
    """... and a rescind gets a reference when it finds the channel: our repair, not the kernel's."""

    def channel_fields(self):
        return super().channel_fields() | {"refs": inside(Kref)}  # the first reference is the list's

    def found(self, channel):
        yield kref_get(channel.refs)  # the list has one, and the lock keeps it there

    def rescind(self, channel):
        yield from super().rescind(channel)
        yield from self.free_channel(channel)

    def free_channel(self, channel):
        last = yield kref_put(channel.refs)
        if last:
            yield from super().free_channel(channel)


class OwnAddQueueReferenced(Referenced, OwnAddQueue):
    """The same repair of what is there since 37c2578c0c40."""


# --- plausible, and what becomes of it -------------------------------------------------------------------


class CountedDownTooEarly(Referenced):
    """Counted down just before the list's lock is taken."""

    def link(self, channel):
        yield from self.count_down()
        yield from super().link(channel)

    def list_add(self, channel):
        yield from OneQueueRcu.list_add(self, channel)


class WokenTooLate(Referenced):
    """A rescind waits for the driver first, and wakes it then."""

    def wake(self, channel):
        yield from ()

    def wait_for_probe(self, channel):
        yield from super().wait_for_probe(channel)
        yield from super().wake(channel)


class ReferencedTooLate(Referenced):
    """A rescind gets its reference just before it waits for the driver."""

    def found(self, channel):
        yield from ()

    def wait_for_probe(self, channel):
        yield kref_get(channel.refs)
        yield from super().wait_for_probe(channel)


class NotWaitedForProbe(Referenced):
    """A rescind that has a reference does not wait for the driver."""

    def wait_for_probe(self, channel):
        yield from ()
