"""Chapter 05, in time: a guest with devices, channels and rates, whose interrupts are counted as the kernel counts
them.

``Guest`` is Linux as it is: the line HYP of /proc/interrupts counts every interrupt of VMBus. ``GuestWithIrqs`` is the
RFC of 3 June 2024: each channel has an IRQ. What the handlers do otherwise is the same, so that a run of each under
one traffic shows what the IRQs cost. ``views.proc_interrupts(run)`` prints the file.
"""

from __future__ import annotations

from typing import NamedTuple

from ..kernel import (
    HVMSG_CHANNEL,
    HVMSG_NONE,
    READ_ONCE,
    Cell,
    EventFlagsPage,
    IrqAction,
    IrqDomain,
    IrqStat,
    MessageSlot,
    Tasklet,
    Traffic,
    atomic_dec_return,
    atomic_fetch_add,
    cmpxchg,
    hv_signal_eom,
    hv_signal_event,
    inc_irq_stat,
    irq_resolve_mapping,
    ndelay,
    next_arrival,
    rcu_read_lock,
    rcu_read_unlock,
    smp_cond_load_acquire,
    sync_test_and_clear_bit,
    synic_post_message,
    tasklet_schedule,
)
from ..scenario import ScenarioError, at_end, gauge, thread
from .genirq import GenericIrq
from .one_vector import is_false, next_bit


class Channel(NamedTuple):
    """A channel: its relid, the name of its device, the CPU that it interrupts, and how many messages come for it."""

    relid: int
    name: str
    cpu: int
    per_second: float = 1.0


class Channels(tuple[Channel, ...]):
    """Several of them; told by their number alone, since a guest may have many."""

    def __repr__(self) -> str:
        return f"{len(self)} channels"


SMALL = Channels((Channel(1, "storvsc", 0), Channel(2, "netvsc", 1)))

#: How long the machine of the mail had run, in seconds: our guess, with which its heartbeat came every 2 s.
MAIL_UPTIME = 33_700

#: The channels of the mail, in the order of its IRQs 24 to 44: relid, name, CPU, and how often each was counted. What
#: was counted on CPUs 2 to 5 the mail leaves out; such channels have 0 here, and a CPU that we chose.
_OF_THE_MAIL = (
    (7, "heartbeat", 0, 16841), (9, "shutdown", 0, 1), (10, "timesync", 0, 6752), (11, "vss", 0, 1),
    (14, "pri@storvsc1", 0, 22095), (15, "pri@storvsc0", 1, 85), (1, "balloon", 0, 3), (3, "mouse", 0, 106),
    (4, "keyboard", 0, 73), (5, "framebuffer", 0, 6), (13, "netvsc", 2, 0), (8, "kvp", 0, 1), (16, "netvsc", 3, 0),
    (17, "netvsc", 4, 0), (18, "netvsc", 5, 0), (19, "netvsc", 6, 2375), (20, "netvsc", 7, 1178),
    (21, "netvsc", 0, 1003), (22, "netvsc", 1, 4337), (23, "sub@storvsc1", 2, 0), (24, "sub@storvsc0", 3, 0),
)  # fmt: skip
MAILS_VM = Channels(Channel(relid, name, cpu, count / MAIL_UPTIME) for relid, name, cpu, count in _OF_THE_MAIL)
MAILS_CONTROL = 71 / MAIL_UPTIME  # control messages per second


class Guest(GenericIrq):
    """Linux as it is: one vector, counted in one line; a channel's messages are read by its tasklet.

    ``channels``: a tuple of Channel. ``messages``: how many come for each, None for no end; ``control``: the same for
    the message slot. ``room``: how many messages a ring holds. ``work``: nanoseconds of CPU time that a message takes.
    """

    cpus = 8

    def setup(self, channels=SMALL, messages=1, control=1, room=4, work=2_000):
        self.check(channels)
        self.channels = Channels(Channel(*channel) for channel in channels)
        self.messages, self.control, self.room, self.work = messages, control, room, work
        relids = [channel.relid for channel in self.channels]
        lines = [self.add_interrupt(self.vmbus_isr, cpu, cpu=cpu, name=f"vmbus_isr_{cpu}") for cpu in range(self.cpus)]
        self.pages = tuple(EventFlagsPage(line) for line in lines)
        self.hyp = IrqStat("HYP", "Hypervisor callback interrupts")
        self.slot = MessageSlot(lines[0])
        self.msg_dpc = Tasklet(self.vmbus_on_msg_dpc)
        self.ring = {relid: Cell(0) for relid in relids}  # messages in each channel's ring
        self.host_target = {channel.relid: Cell(channel.cpu) for channel in self.channels}
        self.callback_event = {relid: Tasklet(self.vmbus_on_event, relid) for relid in relids}
        self.control_traffic = Traffic()
        self.traffic = {relid: Traffic() for relid in relids}
        for channel in self.channels:
            if channel.per_second:
                self.add_thread(self.host_sends, channel.relid, host=True, name=f"host_{channel.relid}")
        self.set_up_irqs()

    def set_up_irqs(self):
        """No channel has one."""

    def check(self, channels):
        relids = [relid for relid, *_ in channels]
        if 0 in relids or len(set(relids)) < len(relids):
            raise ScenarioError(f"channels={channels!r}: each needs a relid of its own, 1 or more (0 is no channel's).")
        for relid, _, cpu, *_ in channels:
            if cpu not in range(self.cpus):
                raise ScenarioError(f"channel {relid} is to interrupt CPU {cpu!r}; there are {self.cpus}, from 0 on.")

    def arrivals(self, control=MAILS_CONTROL):
        """What comes when, for ``simulate(..., traffic=...)``: at any moment, with each channel's rate."""
        from ..timed import poisson

        rates = {f"traffic[{channel.relid}]": channel.per_second for channel in self.channels}
        rates["control_traffic"] = control
        return {name: poisson(per_second=rate) for name, rate in rates.items() if rate}

    # --- the host ------------------------------------------------------------------------------

    @thread(host=True)
    def host_posts(self):
        to_come = self.control
        while to_come != 0:
            if to_come is None:
                yield next_arrival(self.control_traffic)
                yield smp_cond_load_acquire(self.slot.msg_pending, is_false)  # waits until the last one has been taken
            else:
                to_come -= 1
            yield synic_post_message(self.slot, HVMSG_CHANNEL, 1)  # sends a control message

    def host_sends(self, relid):
        to_come = self.messages
        while to_come != 0:
            if to_come is None:
                yield next_arrival(self.traffic[relid])
            else:
                to_come -= 1
            yield smp_cond_load_acquire(self.ring[relid], fewer_than(self.room))  # waits while the ring is full
            before = yield atomic_fetch_add(1, self.ring[relid])  # puts a message into the ring
            if before == 0:
                yield hv_signal_event(relid, self.host_target[relid], self.pages)  # signals the channel's CPU

    # --- the guest: an interrupt ------------------------------------------------------------------

    def vmbus_isr(self, cpu):
        yield inc_irq_stat(self.hyp)  # counts the interrupt
        yield from self.vmbus_chan_sched(cpu)
        yield from self.vmbus_message_sched(cpu)

    def vmbus_chan_sched(self, cpu):
        relid = 0
        while relid := next_bit((yield READ_ONCE(self.pages[cpu])), relid + 1):  # finds the next flag that is set
            was_set = yield sync_test_and_clear_bit(relid, self.pages[cpu])  # takes it back
            if was_set:
                yield rcu_read_lock()
                yield from self.handle_channel(relid)
                yield rcu_read_unlock()

    def handle_channel(self, relid):
        yield from self.vmbus_chan_handler(relid)

    def vmbus_chan_handler(self, relid):
        yield tasklet_schedule(self.callback_event[relid])  # has the tasklet read the ring

    def vmbus_message_sched(self, cpu):
        if cpu != 0:
            return False  # the host sends control messages to CPU 0
        message_type = yield READ_ONCE(self.slot.message_type)  # looks into the slot
        if message_type == HVMSG_NONE:
            return False
        yield tasklet_schedule(self.msg_dpc)  # leaves the message to the tasklet
        return True

    # --- the guest: reading -----------------------------------------------------------------------

    def vmbus_on_msg_dpc(self):
        message_type = yield READ_ONCE(self.slot.message_type)  # looks into the slot
        if message_type == HVMSG_NONE:
            return
        yield READ_ONCE(self.slot.payload)  # reads the message
        yield cmpxchg(self.slot.message_type, message_type, HVMSG_NONE)  # empties the slot
        pending = yield READ_ONCE(self.slot.msg_pending)  # looks whether more messages wait
        if pending:
            yield hv_signal_eom(self.slot)  # asks for the next one

    def vmbus_on_event(self, relid):
        left = yield READ_ONCE(self.ring[relid])  # looks how many messages there are
        while left:
            yield ndelay(self.work)  # does what the message asks for
            left = yield atomic_dec_return(self.ring[relid])  # takes it out of the ring

    # --- what must hold, and what is measured ---------------------------------------------------------

    @gauge
    def waiting(self, s):
        """How many messages wait, for each channel."""
        return {relid: s[ring] for relid, ring in self.ring.items()}

    @at_end
    def no_message_is_left(self, s):
        left = [relid for relid, ring in self.ring.items() if s[ring]]
        return not left or f"a message is in the ring of channel {left[0]}, and nobody will be told"


class GuestWithIrqs(Guest):
    """The RFC: each channel has an IRQ; HYP counts only where the handler found a control message."""

    def set_up_irqs(self):
        self.domain = IrqDomain("VMBus", [channel.relid for channel in self.channels], self.handle_simple_irq)
        for channel in self.channels:
            action = IrqAction(self.vmbus_chan_handler, channel.name, channel.relid)
            cpu = channel.cpu
            self.domain.mapped(channel.relid, action=action, affinity=frozenset({cpu}), effective_affinity=cpu)

    def vmbus_isr(self, cpu):
        yield from self.vmbus_chan_sched(cpu)
        found = yield from self.vmbus_message_sched(cpu)
        if found:
            yield inc_irq_stat(self.hyp)  # counts the interrupt, since there was a message

    def handle_channel(self, relid):
        desc = yield irq_resolve_mapping(self.domain, relid)  # looks the descriptor up
        if desc is not None:
            yield from self.generic_handle_irq_desc(desc)


def fewer_than(number):
    """The predicate that holds for all numbers below ``number``."""

    def there_is_room(found):
        return found < number

    return there_is_room
