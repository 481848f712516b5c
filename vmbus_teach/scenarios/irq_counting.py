"""Chapter 05: what the lines of /proc/interrupts count, where one interrupt stands for many.

One vector brings control messages and the events of all channels. Once channels have IRQs of their own, each event is
counted there. What should the vector's own line count (HYP on x86) then? (Source: "Hyper-V guests use Linux IRQs for
channel interrupts", RFC of 3 June 2024, patches 6 and 9, and the answers to patch 6. On x86 the vector is counted in
sysvec_hyperv_callback; on arm64 it is a Linux IRQ, counted by its flow handler. The model is the same for both.)
"""

from __future__ import annotations

from ..kernel import (
    HVMSG_NONE,
    READ_ONCE,
    Cell,
    EventFlagsPage,
    IrqAction,
    IrqDomain,
    IrqStat,
    atomic_inc,
    hv_signal_event,
    inc_irq_stat,
    irq_resolve_mapping,
    sync_test_and_clear_bit,
    tasklet_schedule,
)
from ..scenario import at_end, thread
from .genirq import GenericIrq
from .synic import Messages

RELID = 7
MANAGEMENT = 0  # relid 0 is no channel's


class CountedWhereHandled(GenericIrq, Messages):
    """The RFC: a channel's events in its own line; the vector's line, only where the handler found a control message.

    ``events`` is how often the host signals the channel, ``control`` how many control messages it sends.
    """

    def setup(self, events=1, control=1):
        Messages.setup(self, control)
        self.events = events
        self.domain = IrqDomain("VMBus", (RELID, MANAGEMENT), self.handle_simple_irq, kept=True)
        self.desc = self.domain.mapped(RELID, action=IrqAction(self.vmbus_chan_handler, "netvsc"))
        self.pages = (EventFlagsPage(self.slot.line),)
        self.host_target = Cell(0)
        self.hyp = IrqStat(kept=True)  # the line HYP
        self.interrupts = IrqStat(kept=True)  # our own note: how often the handler ran
        self.handled_events = Cell(0)  # our own note
        self.handled_messages = Cell(0)  # our own note: how often the handler found a message in the slot

    @thread(host=True)
    def host_signals(self):
        for _ in range(self.events):
            yield hv_signal_event(RELID, self.host_target, self.pages)  # signals the channel

    def vmbus_isr(self):
        yield inc_irq_stat(self.interrupts)  # (our own note)
        yield from self.sysvec_hyperv_callback()

    def sysvec_hyperv_callback(self):
        yield from self.vmbus_chan_sched()
        found = yield from self.vmbus_message_sched()
        if found:
            yield inc_irq_stat(self.hyp)  # counts the interrupt in the vector's line

    def vmbus_chan_sched(self):
        was_set = yield sync_test_and_clear_bit(RELID, self.pages[0])  # takes the event
        if was_set:
            yield from self.handle_channel()

    def handle_channel(self):
        desc = yield irq_resolve_mapping(self.domain, RELID)  # looks the descriptor up
        yield from self.generic_handle_irq_desc(desc)

    def vmbus_chan_handler(self, _):
        yield atomic_inc(self.handled_events)  # does what the event asks for

    def vmbus_message_sched(self):
        message_type = yield READ_ONCE(self.slot.message_type)  # looks into the slot
        if message_type == HVMSG_NONE:
            return False
        yield from self.handle_message()
        return True

    def handle_message(self):
        yield tasklet_schedule(self.msg_dpc)  # leaves the message to the tasklet
        yield atomic_inc(self.handled_messages)  # (our own note)

    def counted(self, s):
        """(how often the handler ran, HYP, the channel's line)"""
        return tuple(sum(count for _, count in s[stat]) for stat in (self.interrupts, self.hyp, self.desc.kstat_irqs))

    def outcome(self, s):
        return self.counted(s)

    @at_end
    def each_thing_is_counted_once(self, s):
        _, hyp, channel = self.counted(s)
        things = s[self.handled_events] + s[self.handled_messages]
        return hyp + channel == things or f"{things} were handled, and the lines say {hyp} and {channel}"


class CountedAtTheTop(CountedWhereHandled):
    """Before the RFC, and today: the vector's line counts every interrupt, and the channel has no line."""

    def sysvec_hyperv_callback(self):
        yield inc_irq_stat(self.hyp)  # counts the interrupt in the vector's line
        yield from self.vmbus_chan_sched()
        yield from self.vmbus_message_sched()

    def handle_channel(self):
        yield from self.vmbus_chan_handler(None)


class CountedAtBoth(CountedWhereHandled):
    """The channel has its line, and the vector's line counts every interrupt as before."""

    def sysvec_hyperv_callback(self):
        yield inc_irq_stat(self.hyp)  # counts the interrupt in the vector's line
        yield from self.vmbus_chan_sched()
        yield from self.vmbus_message_sched()


class CountedByAnIrqOfItsOwn(CountedWhereHandled):
    """The reviewer's proposal: control messages have an IRQ of their own, and the vector's line counts nothing."""

    def setup(self, events=1, control=1):
        super().setup(events, control)
        self.management = self.domain.mapped(MANAGEMENT, action=IrqAction(self.vmbus_message_handler, "management"))

    def sysvec_hyperv_callback(self):
        yield from self.vmbus_chan_sched()
        yield from self.vmbus_message_sched()

    def handle_message(self):
        desc = yield irq_resolve_mapping(self.domain, MANAGEMENT)  # looks its descriptor up
        yield from self.generic_handle_irq_desc(desc)

    def vmbus_message_handler(self, _):
        yield from super().handle_message()

    def counted(self, s):
        """(how often the handler ran, the management IRQ's line, the channel's line)"""
        stats = (self.interrupts, self.management.kstat_irqs, self.desc.kstat_irqs)
        return tuple(sum(count for _, count in s[stat]) for stat in stats)
