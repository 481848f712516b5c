"""Exercises of chapter 04: offer and rescind."""

from __future__ import annotations

from ...kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Kref,
    atomic_inc,
    inside,
    kref_get,
    kref_get_unless_zero,
    queue_work,
    rcu_read_lock,
    rcu_read_unlock,
)
from ...scenario import invariant
from ...scenarios.offer_rescind import LinkedFirst
from ...scenarios.rescind_queue import CountedDownEarly, Referenced
from ...scenarios.rescind_strategies import GetPut, OneQueueRcu
from ..exercise import FEWEST, WAITING, BreakIt, Exercise, Forbid, JudgeIt, RepairIt

# --- break it: two flags without a lock ------------------------------------------------------------------


class TwoFlags(GetPut):
    """As GetPut, without the channel's lock: each side sets its own flag first, and then looks at the other's."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.removals = Cell(0)  # how often the device is removed; nothing of the kernel: our own note

    def end_of_offer(self, channel):
        yield WRITE_ONCE(channel.offer_done, True)  # from now on a rescind does not have to wait for this work
        rescinded = yield READ_ONCE(channel.rescind)  # has one come meanwhile?
        if rescinded:
            yield queue_work(self.queue_of(channel), channel.rescind_work)

    def rescind(self, channel):
        yield WRITE_ONCE(channel.rescind, True)  # notes that the offer has been taken back
        offer_done = yield READ_ONCE(channel.offer_done)  # is the offer's work done?
        if offer_done:
            yield queue_work(self.queue_of(channel), channel.rescind_work)
        yield from self.put(channel)

    def device_unregister(self, channel):
        yield atomic_inc(self.removals)  # for the record
        yield from super().device_unregister(channel)

    @invariant
    def removed_once_at_most(self, s):
        return s[self.removals] <= 1 or "the device is removed a second time"


FLAGS = BreakIt(
    name="04-flags",
    title="Two flags without a lock",
    scenario=TwoFlags,
    cases=({"may_fail": False},),
    breaks="removed_once_at_most",
    switches=FEWEST,
    hints=(
        "Both sides may find the other's flag set, and then both queue the same work item. queue_work does nothing as "
        "long as the item is waiting on its queue. From when on does it do something again?",
        "The second of the two must queue the item when the removal has been started. The offer's own work is on the "
        "same queue as the removal, which begins only when that work is over. So who is it that comes so late, and "
        "what must that one have done already?",
        "Let the rescind set its flag, and stop it before it looks at the other. Let the offer's work run to its end: "
        "it finds the flag, and queues the removal. Let the removal run. Only now let the rescind look.",
    ),
)


# --- repair it: a bare pointer, and an interrupt path that pays nothing ------------------------------------


class BarePointers(LinkedFirst):
    """As LinkedFirst: bug A is left. Each channel has a count of references besides, which nobody uses yet."""

    def channel_fields(self):
        return super().channel_fields() | {"refs": inside(Kref)}  # begins with one


POINTERS = RepairIt(
    name="04-pointers",
    title="A bare pointer, and an interrupt path that pays nothing",
    scenario=BarePointers,
    may_change=("vmbus_onoffer_rescind", "found", "dequeue", "free_channel", "release_channel"),
    cases=({}, {"rescinded": False}, {"events": 1}),
    must_end=True,
    forbids=(
        Forbid(
            WAITING,
            contexts=("rescinds[7]",),
            why="All messages of the host are handled on that queue, one after the other: nothing may be added "
            "to a rescind that waits, not even for a lock.",
        ),
    ),
    reserved={
        "relid_released": "It stands for what the host knows, and the removal of a channel tells it already.",
        "taken_back": "The guest cannot look into the host: it gets a message.",
    },
    hints=(
        "Two have a bare pointer: a rescind that has let go of the list's lock, and the tasklet that has looked at its "
        "CPU's list. Once the channel is off both lists nobody new finds it. What remains: how does whoever frees it "
        "know that those who have found it are done?",
        "The tasklet says so without a line of code: it is an RCU reader for as long as it runs. So what must "
        "release_channel do? A rescind can say so in several ways: by a reference, by RCU as well, or by the queue "
        "that it is executed on, which others may wait for.",
        "release_channel: kfree_rcu in place of kfree. And for the rescind, one of these. Be an RCU reader in "
        "vmbus_onoffer_rescind, from before the look-up to the end. Or get a reference in found, where the list has "
        "one and the lock keeps it there, put it at the end of vmbus_onoffer_rescind, put the list's in free_channel, "
        "and have the channel freed by whoever puts the last. Or have release_channel wait for work_queue.",
    ),
)

# --- judge it: changes to the last repair ---------------------------------------------------------------


class CountedDownAfterTheLock(Referenced):
    """An offer is counted down just after the list's lock was let go, not under it."""

    def link(self, channel):
        yield from super().link(channel)
        yield from self.count_down()

    def list_add(self, channel):
        yield from OneQueueRcu.list_add(self, channel)


class DoneBeforeProbe(Referenced):
    """probe_done is set just before the driver is called, not when it returns."""

    def probe(self, channel):
        yield from super().end_of_offer(channel)  # probe_done
        yield from super().probe(channel)

    def register_failed(self, channel):
        yield from super().end_of_offer(channel)
        yield from self.remove_channel(channel)

    def end_of_offer(self, channel):
        yield from ()


class GetsAsReader(Referenced):
    """A rescind is an RCU reader while it looks the channel up, and gets its reference when the list's lock is free."""

    def relid2channel(self, relid):
        yield rcu_read_lock()
        channel = yield from CountedDownEarly.relid2channel(self, relid)
        if channel is not None:
            yield kref_get(channel.refs)
        yield rcu_read_unlock()
        return channel

    def found(self, channel):
        yield from ()


class GetsAsReaderUnlessZero(Referenced):
    """As GetsAsReader, but by kref_get_unless_zero; without a reference, it is as if nothing had been found."""

    def relid2channel(self, relid):
        yield rcu_read_lock()
        channel = yield from CountedDownEarly.relid2channel(self, relid)
        if channel is not None:
            got = yield kref_get_unless_zero(channel.refs)
            if not got:
                channel = None
        yield rcu_read_unlock()
        return channel

    def found(self, channel):
        yield from ()


class PutsAfterTheWait(Referenced):
    """A rescind puts its reference as soon as probe_done is set."""

    def rescind(self, channel):
        yield from self.wake(channel)
        yield from self.wait_for_probe(channel)
        yield from self.free_channel(channel)  # puts the reference
        yield from self.device_and_channel(channel)


class PutsAfterTheLook(Referenced):
    """A rescind puts its reference as soon as it has seen whether there is a device."""

    def rescind(self, channel):
        yield from self.wake(channel)
        yield from self.wait_for_probe(channel)
        device = yield READ_ONCE(channel.device)
        yield from self.free_channel(channel)  # puts the reference
        if device is not None:  # else the offer has failed, and done the rest itself
            yield from self.vmbus_process_rescind_offer(channel)


REFERENCED = JudgeIt(
    name="04-referenced",
    title="Changes to the last repair",
    scenario=Referenced,
    mutations=(
        CountedDownAfterTheLock,
        DoneBeforeProbe,
        GetsAsReader,
        GetsAsReaderUnlessZero,
        PutsAfterTheWait,
        PutsAfterTheLook,
    ),
    cases=({}, {"opens": True}),
    because={
        "CountedDownAfterTheLock": "A rescind needs the channel to be on the list when no offer is in progress any "
        "more, and so it is. It waits a little longer, for somebody who waits for nobody.",
        "DoneBeforeProbe": "A driver that does nothing when it is given the device does not show it. One that opens "
        "the channel does so while the rescind takes the channel apart, and after it is freed.",
        "GetsAsReader": "RCU keeps the channel's memory, not its references. An offer that fails may have put the "
        "last one since the channel was found, and from 0 nobody may count up.",
        "GetsAsReaderUnlessZero": "RCU keeps the memory until the count was looked at, since the channel is freed by "
        "kfree_rcu. Where the count is 0, the offer has failed, and has told the host itself.",
        "PutsAfterTheWait": "If the offer has failed, it has put the list's reference, and the rescind's is the last "
        "one. Then it looks into a channel that may be freed.",
        "PutsAfterTheLook": "If there is a device, the offer is through, and nobody but this rescind will put the "
        "list's reference, which keeps the channel. If there is none, the channel is not used any more.",
    },
    hints=(
        "A rescind goes through four things, and each step relies on one of them: the channel is on the list; its "
        "memory is kept; somebody has a reference; the driver is done. Which one does each change touch, and is what "
        "comes next content with what is left?",
        "Three of the six are harmless. One of the others does no harm as long as the driver does nothing with the "
        "device that it is given.",
        "DoneBeforeProbe: what does the driver still do to the channel, if it opens it? GetsAsReader: RCU keeps the "
        "channel's memory; does it keep the count above 0? PutsAfterTheWait and PutsAfterTheLook: once the rescind "
        "has put its reference, who has another one, if the offer has failed, and who, if it has not?",
    ),
)

EXERCISES: tuple[Exercise, ...] = (FLAGS, POINTERS, REFERENCED)
