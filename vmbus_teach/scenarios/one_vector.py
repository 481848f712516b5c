"""Chapter 01, the whole path: one interrupt for the message slot and all channels of a CPU.

    host -> event flag -> vmbus_isr -> vmbus_chan_sched -> relid -> channel -> callback, in its mode
    host -> message slot -> vmbus_isr -> vmbus_on_msg_dpc -> EOM

As in Linux 6.1 (``vmbus_isr`` and ``vmbus_chan_sched`` in drivers/hv/vmbus_drv.c), the handler looks at the event flags
first and at the message slot last. With ``messages=None`` and ``control=None``, the host never stops; when
it sends is then up to the traffic of a simulation.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Tasklet,
    Traffic,
    ndelay,
    next_arrival,
    raise_irq,
    smp_cond_load_acquire,
    sync_test_and_clear_bit,
    tasklet_schedule,
    test_and_set_bit,
    virt_store_mb,
)
from ..kernel.base import listed
from ..kernel.synic import HVMSG_CHANNEL, HVMSG_NONE, synic_post_message
from ..scenario import ScenarioError, at_end, gauge, interrupt
from .synic import Messages, in_words

MODES = ("batched", "direct", "isr", "isr at once")


class OneVector(Messages):
    """Control messages and several channels, told apart by one interrupt handler.

    ``channels``: how many, with the relids 1, 2, ... ``mode``: the callback mode of all of them, one of MODES ("isr"
    leaves the reading to a tasklet of the driver, as netvsc does; "isr at once" reads in the handler). ``room``: how
    many messages a ring holds. ``messages``: how many come for each channel, None for no end; ``control``: the same
    for the message slot. ``work``: nanoseconds of CPU time that a message takes.
    """

    def setup(
        self, channels=2, mode="batched", room=2, messages=1, control=0, work=0
    ):
        if mode not in MODES:
            raise ScenarioError(f"mode={mode!r}: there are {', '.join(map(repr, MODES))}.")
        super().setup(control or 0)
        self.control, self.messages, self.mode, self.work = control, messages, mode, work
        self.size = room + 1  # of the ring's numbers, one is never used: equal indices mean empty
        self.relids = tuple(range(1, channels + 1))
        self.event_flags = Cell(0, words=in_words)
        self.write_index = {relid: Cell(0) for relid in self.relids}
        self.read_index = {relid: Cell(0) for relid in self.relids}
        self.interrupt_mask = {relid: Cell(0) for relid in self.relids}
        self.callback_event = {relid: Tasklet(self.vmbus_on_event, relid) for relid in self.relids}
        self.control_traffic = Traffic()
        self.traffic = {relid: Traffic() for relid in self.relids}
        for relid in self.relids:
            self.add_thread(self.host_sends, relid, host=True, name=f"host_{relid}")

    # --- the host ----------------------------------------------------------------------------

    def host_posts(self):
        if self.control is not None:
            yield from super().host_posts()
            return
        while True:
            yield next_arrival(self.control_traffic)
            yield smp_cond_load_acquire(self.slot.msg_pending, is_false)  # waits until the last one has been taken
            yield synic_post_message(self.slot, HVMSG_CHANNEL, 1)

    def host_sends(self, relid):
        write, to_come = 0, self.messages
        while to_come != 0:
            if to_come is None:
                yield next_arrival(self.traffic[relid])
            else:
                to_come -= 1
            after = (write + 1) % self.size
            yield smp_cond_load_acquire(self.read_index[relid], other_than(after))  # waits while the ring is full
            yield virt_store_mb(self.write_index[relid], after)  # puts a message into the ring
            masked = yield READ_ONCE(self.interrupt_mask[relid])  # looks whether the guest wants to be told
            if not masked and (yield READ_ONCE(self.read_index[relid])) == write:  # and whether the ring was empty
                yield from self.signal_event(relid)
            write = after

    def signal_event(self, relid):
        was_set = yield test_and_set_bit(relid, self.event_flags)  # sets the channel's event flag
        if not was_set:
            yield raise_irq(self.vmbus_isr)  # interrupts the CPU

    # --- the guest: from the interrupt to the channel ------------------------------------------

    @interrupt(cpu=0)
    def vmbus_isr(self):
        yield from self.vmbus_chan_sched()
        yield from super().vmbus_isr()

    def vmbus_chan_sched(self):
        relid = 0
        while relid := next_bit((yield READ_ONCE(self.event_flags)), relid + 1):  # finds the next flag that is set
            was_set = yield sync_test_and_clear_bit(relid, self.event_flags)  # takes it back
            if was_set:
                yield from self.tell_channel(relid)

    def tell_channel(self, relid):
        if self.mode == "isr at once":
            yield from self.read_until_empty(relid)
            return
        if self.mode != "direct":  # the driver does this in isr mode, VMBus in batched mode
            yield from self.hv_begin_read(relid)
        yield tasklet_schedule(self.callback_event[relid])  # has the tasklet read the ring

    # --- the guest: reading ------------------------------------------------------------------------

    def vmbus_on_event(self, relid):
        if self.mode == "direct":
            yield from self.read_until_empty(relid)
            return
        write = yield READ_ONCE(self.write_index[relid])  # reads what is in the ring
        yield from self.read_up_to(write, relid)
        pending = yield from self.hv_end_read(relid)
        if pending:
            yield from self.hv_begin_read(relid)
            yield tasklet_schedule(self.callback_event[relid])  # has the tasklet read once more

    def read_until_empty(self, relid):
        read = None
        while read != (write := (yield READ_ONCE(self.write_index[relid]))):  # looks for messages
            yield from self.read_up_to(write, relid)
            read = write

    def read_up_to(self, write, relid):
        read = yield READ_ONCE(self.read_index[relid])
        while read != write:
            if self.work:
                yield ndelay(self.work)  # does what the message asks for
            read = (read + 1) % self.size
            yield WRITE_ONCE(self.read_index[relid], read)  # takes it out of the ring

    def hv_begin_read(self, relid):
        yield virt_store_mb(self.interrupt_mask[relid], 1)  # asks the host to be silent

    def hv_end_read(self, relid):
        yield virt_store_mb(self.interrupt_mask[relid], 0)  # wants to be told again
        write = yield READ_ONCE(self.write_index[relid])  # looks into the ring once more
        read = yield READ_ONCE(self.read_index[relid])
        return write != read

    # --- what must hold, and what is measured --------------------------------------------------------

    @gauge
    def waiting(self, s):
        """How many messages wait: for each channel, in its ring; "control", in the hypervisor and in the slot."""
        full = s[self.slot.message_type] != HVMSG_NONE
        rings = {relid: (s[self.write_index[relid]] - s[self.read_index[relid]]) % self.size for relid in self.relids}
        return {**rings, "control": len(s[self.slot]) + full}

    @at_end
    def no_message_is_left(self, s):
        left = {relid: level for relid, level in self.waiting(s).items() if level and relid != "control"}
        what = listed(f"{level} in the ring of channel {relid}" for relid, level in left.items())
        return not left or f"{what}, and nobody will be told"


class OneVectorNoRecheck(OneVector):
    """The same without the second look."""

    def hv_end_read(self, relid):
        yield virt_store_mb(self.interrupt_mask[relid], 0)  # wants to be told again
        return False


def next_bit(word, start):
    """The first bit of ``word`` that is set, from ``start`` on; 0 if there is none (relid 0 is no channel)."""
    rest = word >> start
    return start + (rest & -rest).bit_length() - 1 if rest else 0


def other_than(value):
    """The predicate that holds for everything but ``value``."""

    def there_is_room(found):
        return found != value

    return there_is_room


def is_false(value):
    """It is not set."""
    return not value
