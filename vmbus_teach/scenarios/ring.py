"""Chapter 01: how a channel's ring is read, and when the host stays silent.

The host puts messages into a ring and moves ``write_index``; the guest takes them out and moves ``read_index``. The
host signals only if the guest may not know yet: not while the guest has set ``interrupt_mask``, and not unless its
message went into an empty ring. A channel's *callback mode* says who reads, where, and who sets the mask. (Sources:
Linux 6.1, include/linux/hyperv.h, drivers/hv/connection.c, drivers/hv/vmbus_drv.c. The host's side is not public; it is
modelled on what the guest does in the other direction, hv_signal_on_write in drivers/hv/ring_buffer.c.)

One channel on one CPU; ``signal`` and ``vmbus_isr`` are what ``synic.EventFlags`` looks at in detail.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Mutex,
    Tasklet,
    mutex_lock,
    mutex_unlock,
    raise_irq,
    sync_test_and_clear_bit,
    tasklet_schedule,
    test_and_set_bit,
    virt_store_mb,
)
from ..scenario import Scenario, at_end, interrupt, thread

RELID = 7


class Batched(Scenario):
    """HV_CALL_BATCHED, the default: the host is silent while a tasklet reads; the tasklet looks once more after."""

    cpus = 1

    def setup(self, messages=2):
        self.messages = messages
        self.write_index = Cell(0)  # how many messages the host has put into the ring
        self.read_index = Cell(0)  # how many the guest has taken out
        self.interrupt_mask = Cell(0)  # 1: the guest does not want to be signalled
        self.event_flags = Cell(0)
        self.callback_event = Tasklet(self.vmbus_on_event)

    # --- the host --------------------------------------------------------------------------

    @thread(host=True)
    def host_sends(self):
        for old_write in range(self.messages):
            yield from self.hv_ringbuffer_write(old_write)

    def hv_ringbuffer_write(self, old_write):
        yield virt_store_mb(self.write_index, old_write + 1)  # puts a message into the ring
        masked = yield READ_ONCE(self.interrupt_mask)  # looks whether the guest wants to be told
        if not masked:
            yield from self.signal_if_it_was_empty(old_write)

    def signal_if_it_was_empty(self, old_write):
        read = yield READ_ONCE(self.read_index)  # looks whether the ring was empty before
        if read == old_write:
            was_set = yield test_and_set_bit(RELID, self.event_flags)  # sets the channel's event flag
            if not was_set:
                yield raise_irq(self.vmbus_isr)  # interrupts the CPU

    # --- the guest -----------------------------------------------------------------------------

    @interrupt(cpu=0)
    def vmbus_isr(self):
        was_set = yield sync_test_and_clear_bit(RELID, self.event_flags)  # takes the event
        if was_set:
            yield from self.vmbus_chan_sched()

    def vmbus_chan_sched(self):
        yield from self.hv_begin_read()
        yield tasklet_schedule(self.callback_event)  # has the tasklet read the ring

    def vmbus_on_event(self):
        yield from self.onchannel_callback()
        pending = yield from self.hv_end_read()
        if pending:
            yield from self.read_again()

    def onchannel_callback(self):
        write = yield READ_ONCE(self.write_index)  # reads all that is in the ring
        yield WRITE_ONCE(self.read_index, write)  # and tells the host how far it has come
        return write

    def read_until_empty(self):
        read = None
        while read != (write := (yield READ_ONCE(self.write_index))):  # looks for messages
            yield WRITE_ONCE(self.read_index, write)  # takes them out
            read = write

    def hv_begin_read(self):
        yield virt_store_mb(self.interrupt_mask, 1)  # asks the host to be silent

    def hv_end_read(self):
        yield virt_store_mb(self.interrupt_mask, 0)  # wants to be told again
        return (yield from self.is_anything_there())

    def is_anything_there(self):
        write = yield READ_ONCE(self.write_index)  # looks into the ring once more
        read = yield READ_ONCE(self.read_index)
        return write != read

    def read_again(self):
        yield from self.hv_begin_read()
        yield tasklet_schedule(self.callback_event)  # has the tasklet read once more

    @at_end
    def no_message_is_left(self, s):
        left = s[self.write_index] - s[self.read_index]
        return left == 0 or f"{left} in the ring, and nobody will be told"

    def outcome(self, s):
        return s[self.write_index] - s[self.read_index]


# --- mutations of the protocol ----------------------------------------------------------------------


class NoRecheck(Batched):
    """Does not look again after it has unmasked."""

    def hv_end_read(self):
        yield virt_store_mb(self.interrupt_mask, 0)  # wants to be told again
        return False


class RecheckedTooEarly(Batched):
    """Looks again, but before it unmasks."""

    def hv_end_read(self):
        pending = yield from self.is_anything_there()
        yield virt_store_mb(self.interrupt_mask, 0)  # wants to be told again
        return pending


class ReadAgainUnmasked(Batched):
    """Reads again where something is pending, without asking the host to be silent meanwhile."""

    def read_again(self):
        yield tasklet_schedule(self.callback_event)  # has the tasklet read once more


class NeverMasked(Batched):
    """Never asks the host to be silent, but looks again as before."""

    def hv_begin_read(self):
        yield from ()


class NeverMaskedNoRecheck(NoRecheck, NeverMasked):
    """Never asks the host to be silent, and does not look again either."""


class HostLooksFirst(Batched):
    """The host looks at the mask before it puts the message into the ring. The guest is as in Batched."""

    def hv_ringbuffer_write(self, old_write):
        masked = yield READ_ONCE(self.interrupt_mask)  # looks whether the guest wants to be told
        yield virt_store_mb(self.write_index, old_write + 1)  # puts a message into the ring
        if not masked:
            yield from self.signal_if_it_was_empty(old_write)


class HostAlwaysSignals(NoRecheck):
    """The guest does not look again; the host heeds the mask, and otherwise signals for every message."""

    def signal_if_it_was_empty(self, old_write):
        was_set = yield test_and_set_bit(RELID, self.event_flags)  # sets the channel's event flag
        if not was_set:
            yield raise_irq(self.vmbus_isr)  # interrupts the CPU


class WithoutBarriers(Batched):
    """The mask is written without a barrier. Under sequential consistency nobody can tell; on real CPUs it matters."""

    def hv_begin_read(self):
        yield WRITE_ONCE(self.interrupt_mask, 1)  # asks the host to be silent

    def hv_end_read(self):
        yield WRITE_ONCE(self.interrupt_mask, 0)  # wants to be told again
        return (yield from self.is_anything_there())


# --- the other callback modes -------------------------------------------------------------------------


class Direct(Batched):
    """HV_CALL_DIRECT: a tasklet reads, and the mask is left alone. The callback reads until the ring is empty."""

    def vmbus_chan_sched(self):
        yield tasklet_schedule(self.callback_event)  # has the tasklet read the ring

    def vmbus_on_event(self):
        yield from self.read()

    def read(self):
        yield from self.read_until_empty()


class DirectOnce(Direct):
    """A callback as it is written for batched mode: it reads once what is there."""

    def read(self):
        yield from self.onchannel_callback()


class InIsr(Batched):
    """HV_CALL_ISR: the driver's callback runs in the handler. It masks, and leaves the rest to a tasklet of its own.

    What is a tasklet here is NAPI's poll function in netvsc: it reads, unmasks, looks again.
    """

    def setup(self, messages=2):
        super().setup(messages)
        self.napi = Tasklet(self.netvsc_poll)

    def vmbus_chan_sched(self):
        yield from self.netvsc_channel_cb()  # calls the driver, in the handler

    def netvsc_channel_cb(self):
        yield from self.hv_begin_read()
        yield tasklet_schedule(self.napi)  # leaves the work to NAPI

    def netvsc_poll(self):
        yield from self.onchannel_callback()
        pending = yield from self.hv_end_read()
        if pending:
            yield from self.netvsc_channel_cb()


class InIsrNeverUnmasked(InIsr):
    """The driver masks in its callback; its poll function reads, and that is all."""

    def netvsc_poll(self):
        yield from self.onchannel_callback()


class InIsrTakesAMutex(InIsr):
    """The driver's callback does its work at once, under the mutex that it uses everywhere else."""

    def setup(self, messages=2):
        super().setup(messages)
        self.device_mutex = Mutex()

    def netvsc_channel_cb(self):
        yield mutex_lock(self.device_mutex)
        yield from self.onchannel_callback()
        yield mutex_unlock(self.device_mutex)


class InIsrReadsAll(InIsr):
    """The driver's callback reads until the ring is empty, in the handler itself. The mask is left alone."""

    def netvsc_channel_cb(self):
        yield from self.read_until_empty()
