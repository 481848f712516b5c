"""Chapter 04: what to do about a channel that is freed while somebody still has a pointer to it.

The strategies that were argued about in February 2015. Each starts from the same repaired code and changes only what it
is about. Those who proposed them are named; the models are made of a few sentences of theirs, not of their patches.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Kref,
    WorkQueue,
    atomic_inc,
    inside,
    kfree,
    kfree_rcu,
    kref_get,
    kref_get_unless_zero,
    kref_put,
    kzalloc,
    load,
    queue_work,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
    store,
    tasklet_disable,
    tasklet_enable,
    usleep_range,
)
from .offer_rescind import AnswersOnFailure, LinkedFirst, OfferAndRescind

# --- what the thread argues about: how long does a channel live? -----------------------------------------


class GetPut(LinkedFirst):
    """Who looks a channel up gets a reference, and puts it when done; who puts the last one frees (Kuznetsov)."""

    def channel_fields(self):
        return super().channel_fields() | {"refs": inside(Kref)}  # the first reference is the list's

    def found(self, channel):
        yield kref_get(channel.refs)  # the list has one, and the lock keeps it there

    def rescind(self, channel):
        yield from super().rescind(channel)
        yield from self.put(channel)

    def free_channel(self, channel):
        yield from self.put(channel)  # the list's reference

    def put(self, channel):
        last = yield kref_put(channel.refs)
        if last:
            yield queue_work(self.freeing_queue, channel.release_work)  # has the channel freed

    def process_chn_event(self, relid):
        channel = yield from self.pcpu_relid2channel(relid)
        if channel is not None:
            yield from self.use(channel)
            yield from self.put(channel)

    def pcpu_relid2channel(self, relid):
        flags = yield spin_lock_irqsave(self.channel_lock)
        channel = yield from super().pcpu_relid2channel(relid)
        yield spin_unlock_irqrestore(self.channel_lock, flags)
        return channel

    def found_for_event(self, channel):
        yield from self.found(channel)


class GetInOpen(GetPut):
    """The reference for interrupts is got when the channel is opened, put when it is closed (Cui)."""

    def vmbus_open(self, channel):
        yield kref_get(channel.refs)  # the list has one, until a rescind whose work comes after this
        yield from super().vmbus_open(channel)

    def vmbus_close(self, channel):
        yield from super().vmbus_close(channel)
        yield from self.put(channel)

    def process_chn_event(self, relid):
        yield from LinkedFirst.process_chn_event(self, relid)

    def pcpu_relid2channel(self, relid):
        return (yield from LinkedFirst.pcpu_relid2channel(self, relid))

    def found_for_event(self, channel):
        yield from ()  # the channel is open, so it has a reference


class Drained(OfferAndRescind):
    """The code of 2015, but while a channel is taken off the CPU's list, the tasklet is kept from running."""

    def dequeue(self, channel):
        yield tasklet_disable(self.event_dpc)  # waits until it is done with what it has found
        yield from super().dequeue(channel)
        yield tasklet_enable(self.event_dpc)


class GetInOpenDrained(GetInOpen, Drained):
    """... and while the channel is taken off the CPU's list, the tasklet is kept from running."""


class NeverFree(LinkedFirst):
    """A channel is never freed."""

    def free_channel(self, channel):
        yield from ()


class DelayedFree(LinkedFirst):
    """A channel is freed some time after it has been taken off all lists (Kuznetsov: 10 seconds)."""

    def setup(self, delay_us=10_000_000, **parameters):
        super().setup(**parameters)
        self.delay_us = delay_us
        self.delayed_queue = WorkQueue(cpu=self.offer_cpu)

    def free_channel(self, channel):
        yield queue_work(self.delayed_queue, channel.release_work)  # schedule_delayed_work: has it freed later

    def release_channel(self, channel):
        yield usleep_range(self.delay_us, self.delay_us)  # lets the delay go by
        yield from super().release_channel(channel)


class FlagAndRemove(LinkedFirst):
    """A rescind only sets a flag; what follows is done once the device is removed (Srinivasan)."""

    def rescind(self, channel):
        flags = yield spin_lock_irqsave(channel.lock)
        yield store(channel.rescind, True)  # notes that the offer has been taken back
        offer_done = yield load(channel.offer_done)
        yield spin_unlock_irqrestore(channel.lock, flags)
        if offer_done:
            yield from self.device_unregister(channel)

    def end_of_offer(self, channel):
        flags = yield spin_lock_irqsave(channel.lock)
        yield store(channel.offer_done, True)
        rescinded = yield load(channel.rescind)
        yield spin_unlock_irqrestore(channel.lock, flags)
        if rescinded:
            yield from self.device_unregister(channel)

    def device_unregister(self, channel):
        yield from super().device_unregister(channel)
        yield from self.remove_channel(channel)  # vmbus_device_release, when the driver has let go


# --- one queue for both --------------------------------------------------------------------------------


class OneQueueAlone(OfferAndRescind):
    """Offers and rescinds are done from beginning to end on one queue; nothing else is repaired (Cui; 2dd37cb81580)."""

    def setup(self, target_cpu=1, **parameters):
        super().setup(target_cpu=target_cpu, **parameters)  # not the CPU whose queue removes the channel

    def vmbus_onoffer(self, relid):
        channel = yield kzalloc(self.vmbus_channel, relid=relid)
        yield from self.vmbus_process_offer(channel)

    def end_of_offer(self, channel):
        yield from ()

    def rescind(self, channel):
        yield from self.vmbus_process_rescind_offer(channel)

    def free_channel(self, channel):
        yield kfree(channel)


class OneQueue(AnswersOnFailure, OneQueueAlone):
    """... and an offer that fails takes the channel off the list and tells the host, as later kernels do."""


class OneQueueDrained(OneQueue, Drained):
    """... and while a channel is taken off the CPU's list, the tasklet is kept from running (2016)."""


class OneQueueRcu(OneQueue):
    """... or it is freed when the readers of before are gone, and the tasklet is one of them (2017)."""

    def free_channel(self, channel):
        yield kfree_rcu(channel)


# --- plausible, and what becomes of it -------------------------------------------------------------------


class GetTooLate(GetPut):
    """A rescind gets its reference just after it has let go of the list's lock."""

    def relid2channel(self, relid):
        channel = yield from LinkedFirst.relid2channel(self, relid)
        if channel is not None:
            yield from self.get(channel)
        return channel

    def found(self, channel):
        yield from ()

    def found_for_event(self, channel):
        yield kref_get(channel.refs)

    def get(self, channel):
        yield kref_get(channel.refs)


class GetUnlessZeroTooLate(GetTooLate):
    """... and by kref_get_unless_zero, which looks whether there is a reference left."""

    def relid2channel(self, relid):
        channel = yield from LinkedFirst.relid2channel(self, relid)
        if channel is not None:
            there = yield kref_get_unless_zero(channel.refs)
            if not there:
                return None
        return channel


class PutFirst(GetPut):
    """The list's reference is put before the channel is taken off the list."""

    def remove_channel(self, channel):
        yield from self.release_relid(channel)
        yield from self.free_channel(channel)
        yield from self.unlink(channel)


class PutForgotten(GetPut):
    """A rescind keeps the reference that it has got."""

    def rescind(self, channel):
        yield from LinkedFirst.rescind(self, channel)


class GetUnlessZero(GetPut):
    """kref_get_unless_zero in place of kref_get, under the lock."""

    def found(self, channel):
        yield kref_get_unless_zero(channel.refs)


class AnswersLast(GetPut):
    """The host is told after the channel has been taken off the list."""

    def remove_channel(self, channel):
        yield from self.unlink(channel)
        yield from self.release_relid(channel)
        yield from self.free_channel(channel)


class FlagWithoutLock(FlagAndRemove):
    """The two flags are set and read without the channel's lock."""

    def rescind(self, channel):
        yield WRITE_ONCE(channel.rescind, True)  # notes that the offer has been taken back
        offer_done = yield READ_ONCE(channel.offer_done)
        if offer_done:
            yield from self.device_unregister(channel)

    def end_of_offer(self, channel):
        yield WRITE_ONCE(channel.offer_done, True)
        rescinded = yield READ_ONCE(channel.rescind)
        if rescinded:
            yield from self.device_unregister(channel)


class AnswersTooOften(OneQueue):
    """A rescind that finds no channel tells the host, to be on the safe side."""

    def vmbus_onoffer_rescind(self, relid):
        channel = yield from self.relid2channel(relid)
        if channel is None:
            yield atomic_inc(self.relid_released[relid])  # tells the host RELID_RELEASED
        else:
            yield from self.rescind(channel)


class QueuedBehind(AnswersOnFailure):
    """One queue, taken at its word: the offer's work is queued there, behind what waits already."""

    def queue_of(self, channel):
        return self.work_queue

    def free_channel(self, channel):
        yield kfree(channel)
