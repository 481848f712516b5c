"""Chapter 03: from the offer to the first interrupt: what makes sure that the handler finds the channel.

A task puts a channel into the array on one CPU; its first interrupt comes on another. In between lies a chain: map,
queue the work, open, acknowledge, signal. (Sources: the comment of vmbus_channel_map_relid in channel_mgmt.c, Linux
6.1; the review of the patch, 26 March to 3 April 2020.)
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Work,
    WorkQueue,
    atomic_fetch_add,
    queue_work,
    raise_irq,
    smp_cond_load_acquire,
    smp_store_release,
    store,
    sync_test_and_clear_bit,
    test_and_set_bit,
    virt_store_mb,
    xchg,
)
from ..scenario import Scenario, at_end, interrupt, thread

RELID = 7
CHANNEL = "channel"


class OpenChain(Scenario):
    """Map, queue the work, open, acknowledge, signal: each comes after the one before."""

    cpus = 2

    def setup(self):
        self.channels = {RELID: Cell(None)}
        self.callback = Cell(None)  # the channel's
        self.handle_primary_chan_wq = WorkQueue()
        self.add_channel_work = Work(self.vmbus_add_channel_work)
        self.openchannel = Cell(None)  # CHANNELMSG_OPENCHANNEL, on its way to the host
        self.open_result = Cell(None)  # CHANNELMSG_OPENCHANNEL_RESULT, on its way to the guest
        self.ring = Cell(0)  # messages in the channel's ring buffer
        self.event_flags = Cell(0)  # of CPU 1

    @thread(cpu=0)
    def vmbus_process_offer(self):
        yield from self.map_relid()
        yield queue_work(self.handle_primary_chan_wq, self.add_channel_work)  # hands the channel to its driver

    def map_relid(self):
        yield virt_store_mb(self.channels[RELID], CHANNEL)  # puts the channel into the array

    def vmbus_add_channel_work(self):
        yield from self.vmbus_open()
        yield smp_cond_load_acquire(self.open_result, bool)  # waits for the host's answer

    def vmbus_open(self):
        yield from self.set_callback()
        yield from self.send_openchannel()

    def set_callback(self):
        yield WRITE_ONCE(self.callback, self.onchannel_callback)  # sets the callback

    def send_openchannel(self):
        yield smp_store_release(self.openchannel, RELID)  # asks the host to open the channel

    @thread(host=True)
    def host_opens(self):
        yield smp_cond_load_acquire(self.openchannel, bool)  # takes the request
        yield smp_store_release(self.open_result, "opened")  # answers; from now on it may signal
        yield from self.host_sends()

    def host_sends(self):
        before = yield atomic_fetch_add(1, self.ring)  # puts a message into the ring
        if before == 0:  # only then does it signal
            yield test_and_set_bit(RELID, self.event_flags)  # sets the channel's event flag
            yield raise_irq(self.vmbus_isr)  # interrupts CPU 1

    @thread(host=True)
    def another_channel(self):
        yield raise_irq(self.vmbus_isr)  # interrupts CPU 1 for another channel

    @interrupt(cpu=1)
    def vmbus_isr(self):
        pending = yield sync_test_and_clear_bit(RELID, self.event_flags)  # takes the event, if there is one
        if pending:
            channel = yield READ_ONCE(self.channels[RELID])  # looks the channel up
            yield from self.call(channel)

    def call(self, channel):
        if channel is None:
            return  # the event is gone, and nobody has been told
        callback = yield READ_ONCE(self.callback)  # looks up what to call
        if callback is not None:
            yield from callback()

    def onchannel_callback(self):
        yield xchg(self.ring, 0)  # reads all that is in the ring

    @at_end
    def no_message_is_left(self, s):
        return s[self.ring] == 0 or f"{s[self.ring]} in the ring, and nobody will be told"


class HostSignalsEarly(OpenChain):
    """A host that does not wait until the channel is open."""

    def host_opens(self):
        yield from self.host_sends()
        yield smp_cond_load_acquire(self.openchannel, bool)  # takes the request
        yield smp_store_release(self.open_result, "opened")  # answers


class QueuedBeforeMapped(OpenChain):
    """The work is queued first, and the channel mapped after."""

    def vmbus_process_offer(self):
        yield queue_work(self.handle_primary_chan_wq, self.add_channel_work)  # hands the channel to its driver
        yield from self.map_relid()


class CallbackAfterOpen(OpenChain):
    """The callback is set after the host has been asked."""

    def vmbus_open(self):
        yield from self.send_openchannel()
        yield from self.set_callback()


class LooksUpFirst(OpenChain):
    """The handler looks the channel up before it takes the event: what a full barrier between the two forbids."""

    def vmbus_isr(self):
        channel = yield READ_ONCE(self.channels[RELID])  # looks the channel up, just in case
        pending = yield sync_test_and_clear_bit(RELID, self.event_flags)  # takes the event, if there is one
        if pending:
            yield from self.call(channel)


class MappedByPlainStore(OpenChain):
    """The chain, with a plain store to the array."""

    def map_relid(self):
        yield store(self.channels[RELID], CHANNEL)  # puts the channel into the array


class MappedOnce(OpenChain):
    """The chain, with WRITE_ONCE."""

    def map_relid(self):
        yield WRITE_ONCE(self.channels[RELID], CHANNEL)  # puts the channel into the array


class MappedByRelease(OpenChain):
    """The chain, with smp_store_release, as in the patch under review."""

    def map_relid(self):
        yield smp_store_release(self.channels[RELID], CHANNEL)  # puts the channel into the array
