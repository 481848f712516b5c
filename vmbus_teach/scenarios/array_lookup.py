"""Chapter 03: what a look-up costs: a list that is walked, an array, an array under a lock.

Endless programs, for the simulation: messages arrive for channels that are chosen at random. Each CPU has ``channels``
of its own, numbered from 1 (relid 0 is no channel). Before 2020, a handler walked the list of its own CPU's channels;
since then it reads one entry of an array that is the same for all CPUs. A spin lock around the array is what the
reviewer suggested on 26 March 2020. It is held until the channel has been used: that makes it safe to free one.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    Cell,
    SpinLock,
    Traffic,
    choose,
    clear_bit,
    ndelay,
    next_arrival,
    raise_irq,
    rcu_read_lock,
    rcu_read_unlock,
    spin_lock,
    spin_unlock,
    sync_test_and_clear_bit,
    test_and_set_bit,
)
from ..scenario import Scenario, gauge, thread


class ListWalk(Scenario):
    """The handler walks its CPU's list until it comes to the channel."""

    cpus = 2

    def setup(self, channels=1, callback_ns=0):
        self.callback_ns = callback_ns
        self.messages = Traffic()
        self.places = tuple((cpu, slot) for cpu in range(self.cpus) for slot in range(channels))
        self.rings = [Cell(0) for _ in range(self.cpus)]  # a bit for each channel whose ring has a message
        self.event_flags = [Cell(0) for _ in range(self.cpus)]
        self.chan_list = [[Cell(self.relid(cpu, slot)) for slot in range(channels)] for cpu in range(self.cpus)]
        self.vmbus_isrs = [
            self.add_interrupt(self.vmbus_isr, cpu, cpu=cpu, name=f"vmbus_isr_{cpu}") for cpu in range(self.cpus)
        ]

    def relid(self, cpu, slot):
        """The relid of a CPU's channel; relids go round the CPUs."""
        return 1 + cpu + slot * self.cpus

    @thread(host=True)
    def host_sends(self):
        while True:
            yield next_arrival(self.messages)  # waits for a message
            cpu, slot = yield choose(self.places)  # for one of the channels
            relid = self.relid(cpu, slot)
            before = yield test_and_set_bit(relid, self.rings[cpu])  # puts it into the channel's ring
            if not before:  # only then does it signal
                yield test_and_set_bit(relid, self.event_flags[cpu])  # sets its event flag
                yield raise_irq(self.vmbus_isrs[cpu])  # interrupts its CPU

    def vmbus_isr(self, cpu):
        relid = 0
        while True:
            flags = yield READ_ONCE(self.event_flags[cpu])  # looks for the next event flag that is set
            relid = next_bit(flags, relid + 1)
            if relid is None:
                return
            pending = yield sync_test_and_clear_bit(relid, self.event_flags[cpu])  # takes the event
            if pending:
                yield rcu_read_lock()
                yield from self.find_and_call(cpu, relid)
                yield rcu_read_unlock()

    def find_and_call(self, cpu, relid):
        yield from self.relid2channel(cpu, relid)
        yield from self.onchannel_callback(cpu, relid)

    def relid2channel(self, cpu, relid):
        for entry in self.chan_list[cpu]:
            found = yield READ_ONCE(entry)  # looks at the next channel on the list
            if found == relid:
                return
        raise AssertionError(f"relid {relid} is not on the list of CPU {cpu}")

    def onchannel_callback(self, cpu, relid):
        yield clear_bit(relid, self.rings[cpu])  # reads the message
        yield ndelay(self.callback_ns)  # does what it asks for

    @gauge
    def waiting(self, s):
        return sum(s[ring].bit_count() for ring in self.rings)


def next_bit(word, nr):
    """The number of the first bit that is set, from nr on; None if there is none."""
    return next((at for at in range(nr, word.bit_length()) if word >> at & 1), None)


class ArrayIndex(ListWalk):
    """The handler reads one entry of the array, however many channels there are."""

    def setup(self, channels=1, callback_ns=0):
        super().setup(channels, callback_ns)
        self.chan_list = []
        self.channels = {relid: Cell(relid) for relid in sorted(self.relid(*place) for place in self.places)}

    def relid2channel(self, cpu, relid):
        found = yield READ_ONCE(self.channels[relid])  # reads the channel's entry
        assert found == relid


class ArrayUnderALock(ArrayIndex):
    """As ArrayIndex, under one spin lock for all CPUs, held until the channel has been used."""

    def setup(self, channels=1, callback_ns=0):
        super().setup(channels, callback_ns)
        self.array_lock = SpinLock()

    def find_and_call(self, cpu, relid):
        yield spin_lock(self.array_lock)  # waits until no other CPU is at the array
        yield from super().find_and_call(cpu, relid)
        yield spin_unlock(self.array_lock)
