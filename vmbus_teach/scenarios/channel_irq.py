"""Chapter 05: each channel has a Linux IRQ of its own, which comes and goes with it.

The relid is the hardware's number in a linear IRQ domain, and the mapping takes the place of the array of chapter 03:
the handler of the one vector finds a channel's descriptor, and that its channel. (Source: "Hyper-V guests use Linux
IRQs for channel interrupts", RFC of 3 June 2024, patches 7 to 9; not merged. What the generic layer does: Linux 6.1,
kernel/irq.)

Left out: ``channel_mutex`` (one task here changes the mapping), the channel's ``sched_lock`` and its callback modes.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    Cell,
    EventFlagsPage,
    IrqAction,
    IrqDomain,
    Struct,
    atomic_fetch_add,
    hv_signal_event,
    irq_create_mapping,
    irq_resolve_mapping,
    kfree,
    kfree_rcu,
    load,
    rcu_assign_pointer,
    rcu_read_lock,
    rcu_read_unlock,
    smp_cond_load_acquire,
    smp_store_release,
    store,
    sync_test_and_clear_bit,
    xchg,
)
from ..kernel.heap import ALLOCATED
from ..scenario import at_end, interrupt, thread
from .genirq import GenericIrq

RELID = 7


# --- the mapping goes while an interrupt is in flight ---------------------------------------------------


class ChannelIrq(GenericIrq):
    """A channel is removed, with its IRQ, while its interrupt is in flight."""

    cpus = 2

    def setup(self, removal_cpu=1):
        self.vmbus_channel = Struct("vmbus_channel", capacity=1, rescind=False, interrupts=0)
        channel = self.vmbus_channel.new()
        self.domain = IrqDomain("VMBus", (RELID,), self.handle_simple_irq)
        action = IrqAction(self.vmbus_chan_handler, "netvsc", channel)
        desc = self.domain.mapped(RELID, handler_data=channel, action=action)
        self.pages = (EventFlagsPage(self.vmbus_isr),)
        self.host_target = Cell(0)  # the CPU that the host interrupts
        self.add_thread(self.hv_process_channel_removal, channel, desc, cpu=removal_cpu)

    @thread(host=True)
    def host_signals(self):
        yield hv_signal_event(RELID, self.host_target, self.pages)  # signals the channel to CPU 0

    @interrupt(cpu=0)
    def vmbus_isr(self):
        yield from self.vmbus_chan_sched()

    def vmbus_chan_sched(self):
        was_set = yield sync_test_and_clear_bit(RELID, self.pages[0])  # takes the event
        if was_set:
            yield rcu_read_lock()  # is an RCU reader from here on
            yield from self.find_and_handle()
            yield rcu_read_unlock()  # and no longer

    def find_and_handle(self):
        desc = yield irq_resolve_mapping(self.domain, RELID)  # looks the descriptor up
        if desc is None:
            return
        channel = yield READ_ONCE(desc.handler_data)  # ... and by it, the channel
        gone = yield from self.is_rescinded(channel)
        if not gone:
            yield from self.generic_handle_irq_desc(desc)

    def is_rescinded(self, channel):
        return (yield READ_ONCE(channel.rescind))  # looks whether the host has taken the channel back

    def vmbus_chan_handler(self, channel):
        before = yield load(channel.interrupts)  # reads the channel
        yield store(channel.interrupts, before + 1)  # writes to the channel

    def hv_process_channel_removal(self, channel, desc):
        yield from self.vmbus_channel_unmap_relid(desc)
        yield from self.vmbus_chan_release(channel)

    def vmbus_channel_unmap_relid(self, desc):
        yield from self.free_irq(desc)
        yield from self.irq_dispose_mapping(RELID, desc)

    def vmbus_chan_release(self, channel):
        yield kfree_rcu(channel)  # has the channel freed when the readers of now are gone

    @at_end
    def all_is_given_back(self, s):
        things = (*self.vmbus_channel.objects, *self.domain.descriptors.objects)
        kept = [thing for thing in things if s[thing] == ALLOCATED]
        return not kept or f"{kept[0]!r} is still there"


class ChannelFreedAtOnce(ChannelIrq):
    """free_irq has waited for the handler, so the channel is freed at once, without RCU."""

    def vmbus_chan_release(self, channel):
        yield kfree(channel)  # frees the channel at once


class ChannelFreedAtOnceUntouched(ChannelFreedAtOnce):
    """The same, where nothing touches the channel before the flow handler does: no test for rescind."""

    def is_rescinded(self, channel):
        yield from ()
        return False


class ChannelFreedAtOnceNoWait(ChannelFreedAtOnceUntouched):
    """The same, and free_irq does not wait for a handler that runs."""

    def synchronize_irq(self, desc):
        yield from ()


class NoWait(ChannelIrq):
    """free_irq and irq_dispose_mapping wait for nobody; what they free is freed by RCU."""

    def synchronize_irq(self, desc):
        yield from ()


class DescriptorFreedAtOnce(ChannelIrq):
    """The descriptor is freed at once, without RCU."""

    def irq_free_desc(self, desc):
        yield kfree(desc)  # frees the descriptor at once


class UnmappedTooLate(ChannelIrq):
    """The descriptor is given to RCU first, and taken out of the domain then."""

    def irq_dispose_mapping(self, hwirq, desc):
        yield from self.synchronize_irq(desc)
        yield from self.irq_free_desc(desc)
        yield rcu_assign_pointer(self.domain.revmap[hwirq], None)  # nobody finds the descriptor any more


class DemuxNoReadLock(ChannelIrq):
    """No rcu_read_lock in the handler that looks the descriptor up."""

    def vmbus_chan_sched(self):
        was_set = yield sync_test_and_clear_bit(RELID, self.pages[0])  # takes the event
        if was_set:
            yield from self.find_and_handle()


class NeverDisposed(ChannelIrq):
    """free_irq, and the mapping stays: the next look-up still leads to the channel."""

    def vmbus_channel_unmap_relid(self, desc):
        yield from self.free_irq(desc)


# --- the mapping comes ------------------------------------------------------------------------------------


class ChannelOpen(GenericIrq):
    """From the offer to the first interrupt: mapped, requested, opened; then the host may signal."""

    cpus = 1

    def setup(self):
        self.vmbus_channel = Struct("vmbus_channel", capacity=1, ring=0)
        channel = self.vmbus_channel.new()
        self.domain = IrqDomain("VMBus", (RELID,), self.handle_simple_irq)
        self.channel = Cell(channel)  # on chn_list
        self.pages = (EventFlagsPage(self.vmbus_isr),)
        self.host_target = Cell(0)
        self.opened = Cell(False)  # OPENCHANNEL, on its way to the host
        self.resend_tasklet = self.resend_tasklet_of(RELID)
        self.add_thread(self.opens, channel, cpu=0)

    @thread(host=True)
    def host_sends(self):
        yield smp_cond_load_acquire(self.opened, bool)  # waits until the guest has opened the channel
        channel = self.vmbus_channel.objects[0]
        before = yield atomic_fetch_add(1, channel.ring)  # puts a message into the ring
        if before == 0:
            yield hv_signal_event(RELID, self.host_target, self.pages)  # signals the channel

    def opens(self, channel):
        desc = yield from self.vmbus_channel_map_relid(channel)
        yield from self.vmbus_open(channel, desc)

    def vmbus_channel_map_relid(self, channel):
        desc = yield irq_create_mapping(self.domain, RELID)  # gives the relid a descriptor
        yield rcu_assign_pointer(desc.handler_data, channel)  # ... that leads to the channel
        return desc

    def vmbus_open(self, channel, desc):
        yield from self.request_irq(desc, self.vmbus_chan_handler, "netvsc", channel)
        yield from self.send_openchannel()

    def send_openchannel(self):
        yield smp_store_release(self.opened, True)  # asks the host to open the channel

    @interrupt(cpu=0)
    def vmbus_isr(self):
        was_set = yield sync_test_and_clear_bit(RELID, self.pages[0])  # takes the event
        if not was_set:
            return
        desc = yield irq_resolve_mapping(self.domain, RELID)  # looks the descriptor up
        if desc is None:
            return  # the event is gone, and nobody has been told
        channel = yield READ_ONCE(desc.handler_data)  # ... and by it, the channel
        if channel is not None:
            yield from self.generic_handle_irq_desc(desc)

    def vmbus_chan_handler(self, channel):
        yield xchg(channel.ring, 0)  # reads all that is in the ring

    @at_end
    def no_message_is_left(self, s):
        left = s[self.vmbus_channel.objects[0].ring]
        return left == 0 or f"{left} in the ring, and nobody will be told"


class RequestedLate(ChannelOpen):
    """The host is asked to open the channel before its IRQ is requested."""

    def vmbus_open(self, channel, desc):
        yield from self.send_openchannel()
        yield from self.request_irq(desc, self.vmbus_chan_handler, "netvsc", channel)


class RequestedLateNoResend(RequestedLate):
    """The same, where the generic layer does not handle once more what came before there was an action."""

    def check_irq_resend(self, desc):
        yield from ()


class MappedLate(ChannelOpen):
    """The host is asked to open the channel before its relid is mapped."""

    def opens(self, channel):
        yield from self.send_openchannel()
        desc = yield from self.vmbus_channel_map_relid(channel)
        yield from self.request_irq(desc, self.vmbus_chan_handler, "netvsc", channel)
