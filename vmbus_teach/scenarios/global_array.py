"""Chapter 03: one array of all channels, indexed by relid, and how long a pointer from it is good.

The interrupt handler looks a channel up in an array that other CPUs write (8b6a877c060e), while a task takes the
channel out of it and frees it. (Source: vmbus_chan_sched and vmbus_chan_release in drivers/hv/vmbus_drv.c, Linux 6.1.)

Left out: ``channel_mutex``, because only one task here writes the array (``array_forbids.py`` is about two); the tests
for ``rescind``; the callback modes.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    SpinLock,
    Struct,
    kfree,
    kfree_rcu,
    load,
    raise_irq,
    rcu_read_lock,
    rcu_read_unlock,
    smp_cond_load_acquire,
    spin_lock,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irqrestore,
    store,
    sync_test_and_clear_bit,
    synchronize_rcu,
    test_and_set_bit,
)
from ..scenario import Scenario, interrupt, thread

RELID = 7


# --- the life of a channel -------------------------------------------------------------------------


class ChannelRemoval(Scenario):
    """A channel is taken out of the array and freed while its interrupt is in flight."""

    cpus = 2

    def setup(self, removal_cpu=1):
        self.vmbus_channel = Struct("vmbus_channel", capacity=1, interrupts=0)
        self.channel = self.vmbus_channel.new()
        self.channels = {RELID: Cell(self.channel)}  # the array; this entry of it
        self.event_flags = Cell(0)  # of CPU 0
        self.add_thread(self.hv_process_channel_removal, self.channel, cpu=removal_cpu)

    @thread(host=True)
    def host_signals(self):
        yield test_and_set_bit(RELID, self.event_flags)  # sets the channel's event flag
        yield raise_irq(self.vmbus_isr)  # interrupts CPU 0

    @interrupt(cpu=0)
    def vmbus_isr(self):
        yield from self.vmbus_chan_sched()

    def vmbus_chan_sched(self):
        pending = yield sync_test_and_clear_bit(RELID, self.event_flags)  # takes the event
        if pending:
            yield rcu_read_lock()  # is an RCU reader from here on
            yield from self.find_and_use()
            yield rcu_read_unlock()  # and no longer

    def find_and_use(self):
        channel = yield from self.relid2channel()
        if channel is not None:
            yield from self.use(channel)

    def relid2channel(self):
        return (yield READ_ONCE(self.channels[RELID]))  # looks the channel up

    def use(self, channel):
        before = yield load(channel.interrupts)  # reads the channel
        yield store(channel.interrupts, before + 1)  # writes to the channel

    def hv_process_channel_removal(self, channel):
        yield from self.unmap_relid()
        yield from self.vmbus_chan_release(channel)

    def unmap_relid(self):
        yield WRITE_ONCE(self.channels[RELID], None)  # takes the channel out of the array

    def vmbus_chan_release(self, channel):
        yield kfree_rcu(channel)  # has the channel freed when the readers of now are gone


class FreedAtOnce(ChannelRemoval):
    """kfree in place of kfree_rcu."""

    def vmbus_chan_release(self, channel):
        yield kfree(channel)  # frees the channel at once


class FreedThenUnmapped(ChannelRemoval):
    """kfree_rcu first, and then out of the array."""

    def hv_process_channel_removal(self, channel):
        yield from self.vmbus_chan_release(channel)
        yield from self.unmap_relid()


class NeverUnmapped(ChannelRemoval):
    """The array keeps its pointer to the channel."""

    def unmap_relid(self):
        yield from ()


class NeverFreed(ChannelRemoval):
    """The channel is taken out of the array, and that is all."""

    def vmbus_chan_release(self, channel):
        yield from ()


class PlainUnmap(ChannelRemoval):
    """A plain store in place of WRITE_ONCE."""

    def unmap_relid(self):
        yield store(self.channels[RELID], None)  # takes the channel out of the array


class WaitAndFree(ChannelRemoval):
    """Waits for the readers itself, and then frees."""

    def vmbus_chan_release(self, channel):
        yield synchronize_rcu()  # waits until the readers of now are gone
        yield kfree(channel)  # frees the channel


class WaitTooEarly(ChannelRemoval):
    """Waits for the readers before the channel is out of the array."""

    def hv_process_channel_removal(self, channel):
        yield synchronize_rcu()  # waits until the readers of now are gone
        yield from self.unmap_relid()
        yield kfree(channel)  # frees the channel


# --- without rcu_read_lock ---------------------------------------------------------------------------


class NoReadLock(ChannelRemoval):
    """No rcu_read_lock in the handler."""

    def vmbus_chan_sched(self):
        pending = yield sync_test_and_clear_bit(RELID, self.event_flags)  # takes the event
        if pending:
            yield from self.find_and_use()


class InAThread(ChannelRemoval):
    """The handler only wakes a thread, which looks the channel up (as on PREEMPT_RT since f8e6343b7a89)."""

    def setup(self, removal_cpu=1):
        super().setup(removal_cpu)
        self.vmbus_irq_pending = Cell(0)

    def vmbus_isr(self):
        yield WRITE_ONCE(self.vmbus_irq_pending, 1)  # wakes the thread

    @thread(cpu=0)
    def run_vmbus_irqd(self):
        yield smp_cond_load_acquire(self.vmbus_irq_pending, bool)  # waits for the handler
        yield from self.vmbus_chan_sched()


class InAThreadNoReadLock(InAThread):
    """The same thread without rcu_read_lock."""

    def vmbus_chan_sched(self):
        pending = yield sync_test_and_clear_bit(RELID, self.event_flags)  # takes the event
        if pending:
            yield from self.find_and_use()


# --- a lock in place of RCU ----------------------------------------------------------------------------


class LockInTheChannel(FreedAtOnce):
    """Use and removal exclude each other by a lock that lies in the channel itself."""

    def setup(self, removal_cpu=1):
        super().setup(removal_cpu)
        self.sched_lock = SpinLock()
        self.sched_lock.owner = self.channel  # it lies there, and is freed with it

    def use(self, channel):
        yield spin_lock(self.sched_lock)  # takes the channel's own lock
        yield from super().use(channel)
        yield spin_unlock(self.sched_lock)

    def unmap_relid(self):
        flags = yield spin_lock_irqsave(self.sched_lock)  # takes the channel's own lock
        yield from super().unmap_relid()
        yield spin_unlock_irqrestore(self.sched_lock, flags)


class LockAroundTheArray(FreedAtOnce):
    """A global spin lock around every access to the array: the reviewer's suggestion, taken at its word."""

    def setup(self, removal_cpu=1):
        super().setup(removal_cpu)
        self.array_lock = SpinLock()

    def relid2channel(self):
        yield spin_lock(self.array_lock)  # takes the array's lock
        channel = yield from super().relid2channel()
        yield spin_unlock(self.array_lock)
        return channel

    def unmap_relid(self):
        flags = yield spin_lock_irqsave(self.array_lock)  # takes the array's lock
        yield from super().unmap_relid()
        yield spin_unlock_irqrestore(self.array_lock, flags)


class LockAroundTheUse(LockAroundTheArray):
    """The same lock, held by the handler until it is done with the channel."""

    def find_and_use(self):
        yield spin_lock(self.array_lock)  # takes the array's lock, and keeps it
        channel = yield READ_ONCE(self.channels[RELID])  # looks the channel up
        if channel is not None:
            yield from self.use(channel)
        yield spin_unlock(self.array_lock)


class LockWithInterruptsOn(LockAroundTheUse):
    """The same lock; the task removes the channel on CPU 0 and leaves interrupts on."""

    def setup(self, removal_cpu=0):
        super().setup(removal_cpu)

    def unmap_relid(self):
        yield spin_lock(self.array_lock)  # takes the array's lock, with interrupts on
        yield WRITE_ONCE(self.channels[RELID], None)  # takes the channel out of the array
        yield spin_unlock(self.array_lock)
