"""Exercises of chapter 03: the global array fix."""

from __future__ import annotations

from ...kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Struct,
    Work,
    atomic_inc,
    clear_bit,
    cmpxchg,
    flush_work,
    kfree_rcu,
    kzalloc,
    raise_irq,
    rcu_read_lock,
    rcu_read_unlock,
    schedule_work,
    smp_call_function_single,
    smp_cond_load_acquire,
    smp_store_release,
    synchronize_rcu,
    test_and_set_bit,
    usleep_range,
    virt_store_mb,
    xchg,
)
from ...kernel.heap import ALLOCATED
from ...scenario import at_end, thread
from ...scenarios.global_array import RELID, ChannelRemoval
from ..exercise import FEWEST, WAITING, BreakIt, Exercise, Forbid, JudgeIt, RepairIt

# --- break it: everybody is waited for, and yet ---------------------------------------------------------


class LeftToAWorker(ChannelRemoval):
    """The handler leaves the channel to a worker. The removal waits for the work, and frees by kfree_rcu."""

    def setup(self, removal_cpu=1):
        super().setup(removal_cpu)
        self.channel_work = Work(self.do_channel_work, self.channel)
        self.channel_work.owner = self.channel  # it lies in the channel, and is freed with it

    def use(self, channel):
        yield schedule_work(self.channel_work)  # leaves the channel to a worker

    def do_channel_work(self, channel):
        yield rcu_read_lock()  # is an RCU reader from here on
        yield atomic_inc(channel.interrupts)  # uses the channel
        yield rcu_read_unlock()  # and no longer

    def vmbus_chan_release(self, channel):
        yield flush_work(self.channel_work)  # waits until the work is finished
        yield kfree_rcu(channel)  # has the channel freed when the readers of now are gone


WORKER = BreakIt(
    name="03-worker",
    title="Everybody is waited for, and yet",
    scenario=LeftToAWorker,
    breaks="use-after-free",
    switches=FEWEST,
    hints=(
        "Two waits, for the work and for the readers. Each waits for what is there when it begins. What comes into "
        "being in between?",
        "The work can only be queued by a handler that has found the channel. Stop the handler between the two: what "
        "does flush_work see then, and whom does the grace period wait for?",
        "The handler finds the channel and is stopped. Let the removal do all it has to do: there is no work to wait "
        "for. Now the handler queues the work and ends, and with it the last reader is gone. Who is faster, the "
        "worker or the context rcu?",
    ),
)


# --- repair it: tasks that sleep while they use the channel -----------------------------------------------


class Sleepers(ChannelRemoval):
    """The handler uses the channel, and so do tasks that sleep meanwhile. With ``removed=False`` nobody removes it."""

    def setup(self, tasks=1, removed=True):
        self.tasks, self.removed = tasks, removed
        self.vmbus_channel = Struct("vmbus_channel", capacity=1, interrupts=0, refs=1)
        self.channel = self.vmbus_channel.new()
        self.channels = {RELID: Cell(self.channel)}
        self.event_flags = Cell(0)
        self.shown = Cell(0)  # how many tasks have found the channel, and are done with it
        for _ in range(tasks):
            self.add_thread(self.show_interrupts)
        if removed:
            self.add_thread(self.hv_process_channel_removal, self.channel, cpu=1)

    def use(self, channel):
        yield atomic_inc(channel.interrupts)  # counts the interrupt in the channel

    def show_interrupts(self):
        channel = yield from self.get()
        if channel is not None:
            yield usleep_range(10, 20)  # sleeps, with the channel in its hands
            yield READ_ONCE(channel.interrupts)  # reads the channel
            yield from self.put(channel)
            yield atomic_inc(self.shown)  # for the record

    def get(self):
        return (yield from self.relid2channel())

    def put(self, channel):
        yield from ()

    @at_end
    def a_removed_channel_is_freed(self, s):
        freed = s[self.channel] != ALLOCATED
        return freed == self.removed or ("it is still there" if self.removed else "nobody has removed it")

    @at_end
    def who_looks_in_time_finds_it(self, s):
        if self.removed:
            return True
        used = s[self.shown], s[self.channel.interrupts]
        return used == (self.tasks, 1) or "it was in the array all along, and not everybody has found it"


SLEEPERS = RepairIt(
    name="03-sleepers",
    title="Sleep with the channel in your hands",
    scenario=Sleepers,
    may_change=("get", "put", "vmbus_chan_release"),
    cases=({"tasks": 1}, {"tasks": 2}, {"tasks": 2, "removed": False}),
    must_end=True,
    forbids=(
        Forbid((*WAITING, smp_call_function_single), why="Nobody may wait for anybody here: find a way without."),
    ),
    reserved={"shown": "It only notes for the grader that a task has found the channel and is done with it."},
    hints=(
        "Who sleeps is no RCU reader. So something else must say that the channel is in use, and whoever is the last "
        "to be done with it has it freed. The field refs is 1 at the start: that is the array's own.",
        "get takes a reference, put gives it back, and vmbus_chan_release gives back the array's. Three moments are "
        "left: between looking up and counting; counting when it was 0 already; and the last put, when a handler may "
        "still have the channel.",
        "In get, be an RCU reader until you have counted, and count by atomic_inc_not_zero: with 0 it is too late, and "
        "the channel is not yours. In put, if atomic_dec_and_test says that you were the last, kfree_rcu: neither "
        "the handler nor somebody in get has a reference. What vmbus_chan_release does is just the same.",
    ),
)


# --- judge it: the host gives the relid to the next channel -----------------------------------------------


class SameRelid(ChannelRemoval):
    """A channel is removed, and the host gives its relid to the next one, which must not miss its message."""

    def setup(self, removal_cpu=1):
        self.vmbus_channel = Struct("vmbus_channel", capacity=2, relid=RELID, callback=None, ring=0)
        self.channel = self.vmbus_channel.new(callback="set")
        self.next_one = self.vmbus_channel.objects[1]
        self.channels = {RELID: Cell(self.channel)}
        self.event_flags = Cell(0)  # of CPU 0
        self.relid_released = Cell(None)  # messages on their way, to the host and to the guest
        self.offer = Cell(None)
        self.openchannel = Cell(None)
        self.add_thread(self.hv_process_channel_removal, self.channel, cpu=removal_cpu)

    # --- the host ------------------------------------------------------------------------------

    def host_signals(self):
        yield from self.signal()  # for the old channel, for the last time
        relid = yield smp_cond_load_acquire(self.relid_released, bool)  # waits until the guest releases the relid
        yield smp_store_release(self.offer, relid)  # offers another channel, with the same relid
        channel = yield smp_cond_load_acquire(self.openchannel, bool)  # waits until it is opened
        yield WRITE_ONCE(channel.ring, 1)  # puts a message into its ring
        yield from self.signal()

    def signal(self):
        before = yield test_and_set_bit(RELID, self.event_flags)  # sets the relid's event flag
        if not before:  # only then
            yield raise_irq(self.vmbus_isr)  # interrupts CPU 0

    # --- the handler ---------------------------------------------------------------------------

    def find_and_use(self):
        channel = yield from self.relid2channel()
        if channel is not None:
            callback = yield READ_ONCE(channel.callback)  # looks whether there is a callback
            if callback is not None:
                yield from self.call(channel, callback)

    def call(self, channel, callback):
        assert callback is not None, "there is no callback to call"
        yield xchg(channel.ring, 0)  # reads all that is in the ring

    # --- the removal, and the next offer ---------------------------------------------------------

    def hv_process_channel_removal(self, channel):
        yield from self.unmap_relid()
        relid = yield READ_ONCE(channel.relid)  # reads the relid from the channel
        yield from self.vmbus_release_relid(relid)
        yield kfree_rcu(channel)  # has the channel freed when the readers of now are gone

    def vmbus_release_relid(self, relid):
        yield smp_store_release(self.relid_released, relid)  # tells the host that the relid is free

    @thread()
    def vmbus_onoffer(self):
        relid = yield smp_cond_load_acquire(self.offer, bool)  # waits for an offer
        channel = yield kzalloc(self.vmbus_channel, relid=relid)  # allocates the new channel
        yield from self.before_it_is_mapped()
        yield virt_store_mb(self.channels[relid], channel)  # puts the new channel into the array
        yield WRITE_ONCE(channel.callback, "set")  # gives it its callback
        yield smp_store_release(self.openchannel, channel)  # has the host open it

    def before_it_is_mapped(self):
        yield from ()

    @at_end
    def no_message_is_left(self, s):
        return s[self.next_one.ring] == 0 or "the new channel has a message, and nobody will be told"


class ReleasesFirst(SameRelid):
    """The removal releases the relid first, and then takes the channel out of the array."""

    def hv_process_channel_removal(self, channel):
        relid = yield READ_ONCE(channel.relid)  # reads the relid from the channel
        yield from self.vmbus_release_relid(relid)
        yield from self.unmap_relid()
        yield kfree_rcu(channel)  # has the channel freed when the readers of now are gone


class ReleasesFirstAndCompares(ReleasesFirst):
    """As ReleasesFirst, but the entry is cleared only if this channel is still in it."""

    def unmap_relid(self):
        yield cmpxchg(self.channels[RELID], self.channel, None)  # clears the entry, if it is this channel's


class ReadsAfterKfreeRcu(SameRelid):
    """The removal calls kfree_rcu first, as an RCU reader, and only then reads the relid from the channel."""

    def hv_process_channel_removal(self, channel):
        yield from self.unmap_relid()
        yield rcu_read_lock()
        yield kfree_rcu(channel)  # has the channel freed when the readers of now are gone
        relid = yield READ_ONCE(channel.relid)  # reads the channel all the same
        yield rcu_read_unlock()
        yield from self.vmbus_release_relid(relid)


class LooksTwice(SameRelid):
    """The handler, an RCU reader, looks whether there is a channel, and then looks it up again to use it."""

    def find_and_use(self):
        found = yield from self.relid2channel()
        if found is not None:
            channel = yield from self.relid2channel()
            callback = yield READ_ONCE(channel.callback)  # looks whether there is a callback
            if callback is not None:
                yield from self.call(channel, callback)


class ClearsTheOldEvent(SameRelid):
    """The offer clears the old event flag before it maps the new channel, so the handler needs no test any more."""

    def before_it_is_mapped(self):
        yield clear_bit(RELID, self.event_flags)  # what was signalled until now was for the old channel

    def find_and_use(self):
        channel = yield from self.relid2channel()
        if channel is not None:
            callback = yield READ_ONCE(channel.callback)  # takes the callback, without a test
            yield from self.call(channel, callback)


class ClearsTheOldEventAndWaits(ClearsTheOldEvent):
    """As ClearsTheOldEvent, and then it waits for a grace period, before it maps the new channel."""

    def before_it_is_mapped(self):
        yield from super().before_it_is_mapped()
        yield synchronize_rcu()  # waits until the readers of now are gone


RELIDS = JudgeIt(
    name="03-relid",
    title="The relid is given to the next channel",
    scenario=SameRelid,
    mutations=(
        ReleasesFirst,
        ReleasesFirstAndCompares,
        ReadsAfterKfreeRcu,
        LooksTwice,
        ClearsTheOldEvent,
        ClearsTheOldEventAndWaits,
    ),
    cases=({"removal_cpu": 1}, {"removal_cpu": 0}),
    because={
        "ReleasesFirst": "The host may be quick: then the new channel is in the array already, and the removal takes "
        "that one out.",
        "ReleasesFirstAndCompares": "Looking and clearing are one step, and the old channel is not freed before, so "
        "what is found in the entry cannot be another one at the same address.",
        "ReadsAfterKfreeRcu": "A grace period waits for all readers of the moment of the call, and the caller is one "
        "of them.",
        "LooksTwice": "RCU keeps the channel, not the entry. Between the two looks the entry can be cleared, and then "
        "the second one finds nothing: in C, a NULL pointer.",
        "ClearsTheOldEvent": "A handler can have taken the old event before the flag is cleared, and look the relid "
        "up when the new channel is mapped, which has no callback yet.",
        "ClearsTheOldEventAndWaits": "Once the flag is clear nobody takes the old event any more, and whoever has "
        "taken it is a reader, and waited for.",
    },
    hints=(
        "Three things have three different lives: the channel's memory, the entry of the array, and the relid. RCU "
        "keeps one of them. Which?",
        "Three of the six are harmless. Ask of each: who could still hold the old channel, the old relid, or the old "
        "event, and who waits for that one?",
        "ReleasesFirst: how quick may the host be? LooksTwice: what can happen on CPU 1 between two steps of a "
        "handler on CPU 0? ClearsTheOldEvent: where is an event that has been taken, when the flag is clear and "
        "nothing has been looked up yet?",
    ),
)

EXERCISES: tuple[Exercise, ...] = (WORKER, SLEEPERS, RELIDS)
