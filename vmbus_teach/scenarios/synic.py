"""Chapter 01: how the host reaches a CPU of the guest: one interrupt, one message slot, many event flags.

All that VMBus has to tell a CPU comes over one interrupt. Its handler finds out what it was about: control messages lie
in the CPU's *message slot*, one at a time; every channel has an *event flag*, one bit of 2048. (Sources: the kernel's
Documentation/virt/hyperv/vmbus.rst; the hypervisor's Top Level Functional Specification; Linux 6.1, drivers/hv and
include/asm-generic/mshyperv.h.)

Messages, CrashingCpu and EventFlags do what Linux 6.1 does. Each of the others changes one thing about it.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Tasklet,
    atomic_fetch_add,
    clear_bit,
    cmpxchg,
    raise_irq,
    set_bit,
    sync_test_and_clear_bit,
    tasklet_schedule,
    test_and_set_bit,
    test_bit,
    xchg,
)
from ..kernel.base import listed
from ..kernel.synic import (
    HVMSG_CHANNEL,
    HVMSG_NONE,
    HVMSG_TIMER_EXPIRED,
    MessageSlot,
    hv_signal_eom,
    synic_post_message,
)
from ..scenario import Scenario, at_end, interrupt, thread


def bits(word):
    """The numbers of the bits that are set: ``bits(0b110)`` is ``(1, 2)``."""
    return tuple(nr for nr in range(word.bit_length()) if word >> nr & 1)


def in_words(word):
    """A word of flags, for the reader."""
    return listed(map(str, bits(word)))


# --- the message slot ------------------------------------------------------------------------------


class Messages(Scenario):
    """The host sends control messages; the guest takes each out of the slot and asks for more where some wait."""

    cpus = 1

    def setup(self, messages=2):
        self.types = (HVMSG_CHANNEL,) * messages
        self.slot = MessageSlot(self.vmbus_isr)
        self.msg_dpc = Tasklet(self.vmbus_on_msg_dpc)
        self.handled = Cell(0, words=in_words)  # our own note: bit 1 for message 1, and so on

    # --- the host ----------------------------------------------------------------------------

    @thread(host=True)
    def host_posts(self):
        for number, message_type in enumerate(self.types, start=1):
            yield synic_post_message(self.slot, message_type, number)  # sends a message

    # --- the guest -----------------------------------------------------------------------------

    @interrupt(cpu=0)
    def vmbus_isr(self):
        message_type = yield READ_ONCE(self.slot.message_type)  # looks into the slot
        if message_type == HVMSG_TIMER_EXPIRED:
            yield from self.handle(message_type)  # a timer does not wait for the tasklet
        elif message_type != HVMSG_NONE:
            yield tasklet_schedule(self.msg_dpc)  # leaves the message to the tasklet

    def vmbus_on_msg_dpc(self):
        message_type = yield READ_ONCE(self.slot.message_type)  # looks into the slot
        if message_type != HVMSG_NONE:
            yield from self.handle(message_type)

    def handle(self, message_type):
        number = yield READ_ONCE(self.slot.payload)  # reads the message
        yield set_bit(number, self.handled)  # does what it asks for
        yield from self.vmbus_signal_eom(message_type)

    def vmbus_signal_eom(self, message_type):
        found = yield from self.empty_slot(message_type)
        if found != message_type:
            return  # somebody else has emptied it
        pending = yield READ_ONCE(self.slot.msg_pending)  # looks whether more messages wait
        if pending:
            yield from self.end_of_message()

    def end_of_message(self):
        yield hv_signal_eom(self.slot)  # asks for the next one

    def empty_slot(self, message_type):
        return (yield cmpxchg(self.slot.message_type, message_type, HVMSG_NONE))  # empties the slot

    @at_end
    def every_message_is_handled(self, s):
        missing = [n for n in range(1, len(self.types) + 1) if n not in bits(s[self.handled])]
        return not missing or f"never handled: message {listed(map(str, missing))}"


class PendingReadFirst(Messages):
    """Looks whether more messages wait, and empties the slot then."""

    def vmbus_signal_eom(self, message_type):
        pending = yield READ_ONCE(self.slot.msg_pending)  # looks whether more messages wait
        yield from self.empty_slot(message_type)
        if pending:
            yield from self.end_of_message()


class EomBeforeEmptying(Messages):
    """Asks for the next message while this one is still in the slot, and empties the slot last."""

    def vmbus_signal_eom(self, message_type):
        pending = yield READ_ONCE(self.slot.msg_pending)  # looks whether more messages wait
        if pending:
            yield from self.end_of_message()
        yield from self.empty_slot(message_type)


class NeverEom(Messages):
    """Empties the slot, and never asks for more."""

    def vmbus_signal_eom(self, message_type):
        yield from self.empty_slot(message_type)


class AlwaysEom(Messages):
    """Empties the slot, and asks for more without looking whether there is any."""

    def vmbus_signal_eom(self, message_type):
        found = yield from self.empty_slot(message_type)
        if found == message_type:
            yield from self.end_of_message()


class EmptiedTooEarly(Messages):
    """Empties the slot first, and reads the message then."""

    def handle(self, message_type):
        yield from self.vmbus_signal_eom(message_type)
        number = yield READ_ONCE(self.slot.payload)  # reads the message
        yield set_bit(number, self.handled)  # does what it asks for


class PlainStore(Messages):
    """Empties the slot with a plain write, whatever is in it by now."""

    def empty_slot(self, message_type):
        yield WRITE_ONCE(self.slot.message_type, HVMSG_NONE)  # empties the slot
        return message_type


class CrashingCpu(Messages):
    """CPU 1 is crashing, and looks into the slots of all CPUs for the host's last answer.

    Message 1 is a timer, for CPU 0's handler; message 2 is the answer (UNLOAD_RESPONSE). Whoever handles it,
    it must not get lost. One round of vmbus_wait_for_unload is modelled, for CPU 0's slot.
    """

    cpus = 2

    def setup(self, messages=2):
        super().setup(messages)
        self.types = (HVMSG_TIMER_EXPIRED, *self.types[1:])

    @thread(cpu=1)
    def vmbus_wait_for_unload(self):
        message_type = yield READ_ONCE(self.slot.message_type)  # looks into the slot of CPU 0
        if message_type != HVMSG_NONE:
            yield from self.handle(message_type)


class CrashingCpuPlainStore(PlainStore, CrashingCpu):
    """The same, with a plain write in place of cmpxchg."""


class CrashingCpuSameType(CrashingCpu):
    """The same with cmpxchg, but both messages are of one type."""

    def setup(self, messages=2):
        super().setup(messages)
        self.types = (HVMSG_CHANNEL,) * messages


# --- the event flags ---------------------------------------------------------------------------------


class EventFlags(Scenario):
    """Each channel has a flag; the handler takes each flag back by itself and reads that channel's ring.

    The hypervisor sets a flag in one step and raises the interrupt only if it was clear. The host signals only
    when the ring was empty.
    """

    cpus = 1

    def setup(self, channels=2, messages=2):
        self.messages = messages
        self.relids = tuple(range(1, channels + 1))  # bit 0 is no channel's
        self.event_flags = Cell(0, words=in_words)
        self.ring = {relid: Cell(0) for relid in self.relids}  # messages in each channel's ring
        for relid in self.relids:
            self.add_thread(self.host_sends, relid, host=True, name=f"host_{relid}")

    def host_sends(self, relid):
        for _ in range(self.messages):
            before = yield atomic_fetch_add(1, self.ring[relid])  # puts a message into the ring
            if before == 0:
                yield from self.signal_event(relid)

    def signal_event(self, relid):
        was_set = yield test_and_set_bit(relid, self.event_flags)  # sets the channel's event flag
        if not was_set:
            yield raise_irq(self.vmbus_isr)  # only then it interrupts

    @interrupt(cpu=0)
    def vmbus_isr(self):
        yield from self.vmbus_chan_sched()

    def vmbus_chan_sched(self):
        for relid in self.relids:
            was_set = yield sync_test_and_clear_bit(relid, self.event_flags)  # takes the next flag back
            if was_set:
                yield from self.onchannel_callback(relid)

    def onchannel_callback(self, relid):
        yield xchg(self.ring[relid], 0)  # reads all that is in the ring

    @at_end
    def no_message_is_left(self, s):
        left = {relid: s[self.ring[relid]] for relid in self.relids if s[self.ring[relid]]}
        what = listed(f"{count} in the ring of channel {relid}" for relid, count in left.items())
        return not left or f"{what}, and nobody will be told"

    def outcome(self, s):
        return sum(s[ring] for ring in self.ring.values())


class WordCleared(EventFlags):
    """Reads all flags at once, and clears all of them at once."""

    def vmbus_chan_sched(self):
        word = yield READ_ONCE(self.event_flags)  # reads all flags
        yield WRITE_ONCE(self.event_flags, 0)  # clears all flags, those that it has not read, too
        for relid in bits(word):
            yield from self.onchannel_callback(relid)


class WordExchanged(EventFlags):
    """Takes all flags at once, in one step."""

    def vmbus_chan_sched(self):
        word = yield xchg(self.event_flags, 0)  # reads all flags and clears them
        for relid in bits(word):
            yield from self.onchannel_callback(relid)


class ScanOfACopy(EventFlags):
    """Reads all flags at once; takes each of them back by itself, but looks at no flag that came later."""

    def vmbus_chan_sched(self):
        word = yield READ_ONCE(self.event_flags)  # reads all flags
        for relid in bits(word):
            yield clear_bit(relid, self.event_flags)  # takes this one back
            yield from self.onchannel_callback(relid)


class ClearedAfterwards(EventFlags):
    """Takes a flag back when the channel has been read, not before."""

    def vmbus_chan_sched(self):
        for relid in self.relids:
            is_set = yield test_bit(relid, self.event_flags)  # looks at the next flag
            if is_set:
                yield from self.onchannel_callback(relid)
                yield clear_bit(relid, self.event_flags)  # takes the flag back


class ClearedAfterwardsAlwaysRaised(ClearedAfterwards):
    """The same, with a hypervisor that would raise the interrupt even if the flag is set already."""

    def signal_event(self, relid):
        yield set_bit(relid, self.event_flags)  # sets the channel's event flag
        yield raise_irq(self.vmbus_isr)  # interrupts in any case
