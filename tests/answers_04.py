"""Wrong answers to the exercises of chapter 04, and right ones."""

from answers import Wrong, flipped

from vmbus_teach.grading.chapters.ch04 import BarePointers
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Mutex,
    Work,
    WorkQueue,
    atomic_inc,
    flush_workqueue,
    kfree,
    kfree_rcu,
    kref_get,
    kref_get_unless_zero,
    kref_put,
    load,
    mutex_lock,
    mutex_unlock,
    queue_work,
    rcu_read_lock,
    rcu_read_unlock,
    smp_cond_load_relaxed,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
    synchronize_rcu,
    tasklet_disable,
    tasklet_enable,
    usleep_range,
)
from vmbus_teach.scenarios.rescind_queue import OwnRescindQueue, Referenced
from vmbus_teach.scenarios.rescind_strategies import GetPut

# --- break it -----------------------------------------------------------------------------------------------

_MESSAGES = "host_rescinds vmbus_on_msg_dpc*3 offers[7]*7"

FLAGS = [
    Wrong(f"{_MESSAGES} rescinds[7]*7 channel#0.offer_work*7 rescinds[7]*3 channel#0.rescind_work*11 "
          "channel#0.release_work*3", "fails",
          "All has been done .* removed_once_at_most holds.* removals is 1"),
    Wrong(f"{_MESSAGES} rescinds[7]*9 channel#0.offer_work*7 channel#0.rescind_work*11 channel#0.release_work*3",
          "fails", "All has been done .* removed_once_at_most holds"),
    Wrong(f"{_MESSAGES} rescinds[7]*7 channel#0.offer_work*5 rescinds[7]*2 channel#0.rescind_work", "fails",
          "channel#0.rescind_work cannot step now"),
    Wrong("host_rescinds vmbus_on_msg_dpc offers[7]*7 vmbus_on_msg_dpc*2 rescinds[7]*7 channel#0.offer_work*7 "
          "channel#0.rescind_work*2 rescinds[7]*2 channel#0.rescind_work*10", "fails",
          "too many switches. There is a schedule with fewer"),
    Wrong(f"{_MESSAGES} rescinds[7]*7 channel#0.offer_work*7 channel#0.rescind_work*10 rescinds[7]*2", "fails",
          "stops before its end .* Possible now: .*channel#0.rescind_work"),
    Wrong(f"{_MESSAGES} channel#0.offer_work*6 rescinds[7]*10 channel#0.rescind_work*11 channel#0.release_work*3",
          "fails", "All has been done .* removed_once_at_most holds"),
    Wrong(f"{_MESSAGES} channel#0.offer_work*7", "fails", "channel#0.offer_work has nothing to do now"),
    Wrong("host_rescinds vmbus_on_msg_dpc*3 offer_work", "fails", "there is no context 'offer_work'"),
    Wrong(f"{_MESSAGES}; rescinds[7]*7", "refused", "is no step of a schedule"),
]  # fmt: skip


# --- repair it: right ---------------------------------------------------------------------------------------


class Reader(BarePointers):
    """The rescind is an RCU reader from before the look-up to its end."""

    def vmbus_onoffer_rescind(self, relid):
        yield rcu_read_lock()
        yield from super().vmbus_onoffer_rescind(relid)
        yield rcu_read_unlock()

    def release_channel(self, channel):
        yield flush_workqueue(channel.controlwq)
        yield kfree_rcu(channel)


class GracePeriodFirst(Reader):
    """The readers are waited for before the channel is freed, on another queue than the messages'."""

    def release_channel(self, channel):
        yield synchronize_rcu()
        yield from BarePointers.release_channel(self, channel)


class Counted(BarePointers):
    """A reference for the rescind, RCU for the tasklet; for the wrong ones to begin with."""

    def found(self, channel):
        yield kref_get(channel.refs)

    def vmbus_onoffer_rescind(self, relid):
        channel = yield from self.relid2channel(relid)
        if channel is not None:
            yield from self.rescind(channel)
            yield from self.put(channel)

    def free_channel(self, channel):
        yield from self.put(channel)

    def put(self, channel):
        last = yield kref_put(channel.refs)
        if last:
            yield queue_work(self.freeing_queue, channel.release_work)

    def release_channel(self, channel):
        yield flush_workqueue(channel.controlwq)
        yield kfree_rcu(channel)


class CountedAndDrained(Counted):
    """A reference for the rescind; the tasklet is kept from running while the channel is taken off its list."""

    def dequeue(self, channel):
        yield tasklet_disable(self.event_dpc)
        yield from super().dequeue(channel)
        yield tasklet_enable(self.event_dpc)

    def release_channel(self, channel):
        yield from BarePointers.release_channel(self, channel)


class WaitsForTheQueue(BarePointers):
    """The rescinds that are being handled are waited for, on another queue than theirs."""

    def release_channel(self, channel):
        yield flush_workqueue(channel.controlwq)
        yield flush_workqueue(self.work_queue)
        yield kfree_rcu(channel)


class FreedBehindIt(BarePointers):
    """The channel is freed on the queue of the rescinds, so after the one that has found it."""

    def free_channel(self, channel):
        yield queue_work(self.work_queue, channel.release_work)

    def release_channel(self, channel):
        yield flush_workqueue(channel.controlwq)
        yield kfree_rcu(channel)


class RescindedWhereItIsFreed(BarePointers):
    """Rescinds are left to the queue that frees channels."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.later = {relid: Work(self.rescind_later, relid) for relid in self.relids}

    def vmbus_onoffer_rescind(self, relid):
        yield queue_work(self.freeing_queue, self.later[relid])

    def rescind_later(self, relid):
        yield from super().vmbus_onoffer_rescind(relid)

    def release_channel(self, channel):
        yield flush_workqueue(channel.controlwq)
        yield kfree_rcu(channel)


# --- repair it: wrong ----------------------------------------------------------------------------------------


class OnlyRcuFree(BarePointers):
    """Frees by kfree_rcu, and makes no reader of the rescind."""

    def release_channel(self, channel):
        yield flush_workqueue(channel.controlwq)
        yield kfree_rcu(channel)


class ReaderTooLate(Reader):
    """Is a reader only when it has found the channel."""

    def vmbus_onoffer_rescind(self, relid):
        channel = yield from self.relid2channel(relid)
        if channel is not None:
            yield rcu_read_lock()
            yield from self.rescind(channel)
            yield rcu_read_unlock()


class ReaderTooShort(Reader):
    """Is a reader only while it looks the channel up."""

    def vmbus_onoffer_rescind(self, relid):
        yield rcu_read_lock()
        channel = yield from self.relid2channel(relid)
        yield rcu_read_unlock()
        if channel is not None:
            yield from self.rescind(channel)


class ReaderAndKfree(Reader):
    """Is a reader, and the channel is freed all the same."""

    def release_channel(self, channel):
        yield from BarePointers.release_channel(self, channel)


class GetsTooLate(Counted):
    """Gets its reference when the list's lock has been let go."""

    def found(self, channel):
        yield from ()

    def vmbus_onoffer_rescind(self, relid):
        channel = yield from self.relid2channel(relid)
        if channel is not None:
            yield kref_get(channel.refs)
            yield from self.rescind(channel)
            yield from self.put(channel)


class GetsUnlessZeroTooLate(Counted):
    """... and by kref_get_unless_zero."""

    def found(self, channel):
        yield from ()

    def vmbus_onoffer_rescind(self, relid):
        channel = yield from self.relid2channel(relid)
        if channel is not None and (yield kref_get_unless_zero(channel.refs)):
            yield from self.rescind(channel)
            yield from self.put(channel)


class PutsTooEarly(Counted):
    """Puts its reference before it uses the channel."""

    def vmbus_onoffer_rescind(self, relid):
        channel = yield from self.relid2channel(relid)
        if channel is not None:
            yield from self.put(channel)
            yield from self.rescind(channel)


class NeverPuts(Counted):
    """Keeps its reference."""

    def vmbus_onoffer_rescind(self, relid):
        channel = yield from self.relid2channel(relid)
        if channel is not None:
            yield from self.rescind(channel)


class ForgetsTheLists(Counted):
    """The list's reference is never put."""

    def free_channel(self, channel):
        yield from ()


class PutsTwice(Counted):
    """The rescind puts the list's reference as well as its own; the removal does so again."""

    def vmbus_onoffer_rescind(self, relid):
        channel = yield from self.relid2channel(relid)
        if channel is not None:
            yield from self.rescind(channel)
            yield from self.put(channel)
            yield from self.put(channel)


class ForgetsTheTasklet(Counted):
    """References for the rescind, and nothing for the interrupt path."""

    def release_channel(self, channel):
        yield from BarePointers.release_channel(self, channel)


class DrainedOnly(BarePointers):
    """Thinks of the tasklet alone."""

    def dequeue(self, channel):
        yield tasklet_disable(self.event_dpc)
        yield from super().dequeue(channel)
        yield tasklet_enable(self.event_dpc)


class StaysOnTheList(Counted):
    """The channel stays on the CPU's list."""

    def dequeue(self, channel):
        yield from ()


class NeverFreed(BarePointers):
    """The channel is never freed."""

    def free_channel(self, channel):
        yield from ()


class FreedLater(BarePointers):
    """The channel is freed after ten seconds."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.delayed_queue = WorkQueue(cpu=1)

    def free_channel(self, channel):
        yield queue_work(self.delayed_queue, channel.release_work)

    def release_channel(self, channel):
        yield usleep_range(10_000_000, 10_000_000)
        yield flush_workqueue(channel.controlwq)
        yield kfree_rcu(channel)


class OnlyTheRescindFrees(BarePointers):
    """A channel is freed by the rescind, which is the last to use it."""

    def free_channel(self, channel):
        yield from ()

    def vmbus_onoffer_rescind(self, relid):
        channel = yield from self.relid2channel(relid)
        if channel is not None:
            yield from self.rescind(channel)
            yield queue_work(self.freeing_queue, channel.release_work)

    def release_channel(self, channel):
        yield flush_workqueue(channel.controlwq)
        yield kfree_rcu(channel)


class SaysThatItIsInUse(BarePointers):
    """A flag says that a rescind is about, and is looked at before the channel is freed."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.in_use = Cell(False)

    def vmbus_onoffer_rescind(self, relid):
        yield WRITE_ONCE(self.in_use, True)
        yield from super().vmbus_onoffer_rescind(relid)
        yield WRITE_ONCE(self.in_use, False)

    def release_channel(self, channel):
        yield flush_workqueue(channel.controlwq)
        in_use = yield READ_ONCE(self.in_use)
        if not in_use:
            yield kfree_rcu(channel)


class LooksAgainAndAgain(SaysThatItIsInUse):
    """... and is looked at again and again."""

    def release_channel(self, channel):
        yield flush_workqueue(channel.controlwq)
        while (yield READ_ONCE(self.in_use)):
            pass
        yield kfree_rcu(channel)


class Ignores(BarePointers):
    """A rescind does nothing, so nothing can go wrong."""

    def vmbus_onoffer_rescind(self, relid):
        yield from ()


class WaitsForItself(BarePointers):
    """The channel is freed on the queue of the rescinds, and waits for that queue."""

    def free_channel(self, channel):
        yield queue_work(self.work_queue, channel.release_work)

    def release_channel(self, channel):
        yield flush_workqueue(self.work_queue)
        yield kfree_rcu(channel)


class SleepsUnderTheLock(BarePointers):
    """Waits for a grace period where the list's lock is held."""

    def found(self, channel):
        yield usleep_range(10, 20)


class HoldsTheListsLock(OnlyRcuFree):
    """The list's lock is held for as long as the rescind uses the channel."""

    def vmbus_onoffer_rescind(self, relid):
        flags = yield spin_lock_irqsave(self.channel_lock)
        for channel in (yield load(self.chn_list)):
            if (yield load(channel.relid)) == relid:
                yield from self.rescind(channel)
                break
        yield spin_unlock_irqrestore(self.channel_lock, flags)


class OneMutex(OnlyRcuFree):
    """One mutex around the rescind and the release."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.mutex = Mutex()

    def vmbus_onoffer_rescind(self, relid):
        yield mutex_lock(self.mutex)
        yield from super().vmbus_onoffer_rescind(relid)
        yield mutex_unlock(self.mutex)

    def release_channel(self, channel):
        yield mutex_lock(self.mutex)
        yield from super().release_channel(channel)
        yield mutex_unlock(self.mutex)


class WaitsForTheOffer(OnlyRcuFree):
    """The rescind waits until the offer's work is done."""

    def vmbus_onoffer_rescind(self, relid):
        channel = yield from self.relid2channel(relid)
        if channel is not None:
            yield smp_cond_load_relaxed(channel.offer_done, bool)
            yield from self.rescind(channel)


class OneLockForInterrupts(Counted):
    """The tasklet gets a reference under the list's lock, as in GetPut."""

    def process_chn_event(self, relid):
        flags = yield spin_lock_irqsave(self.channel_lock)
        yield from super().process_chn_event(relid)
        yield spin_unlock_irqrestore(self.channel_lock, flags)


class TellsTheHost(OnlyRcuFree):
    """A rescind tells the host, and nothing else."""

    def vmbus_onoffer_rescind(self, relid):
        yield atomic_inc(self.relid_released[relid])


class LooksIntoTheHost(Reader):
    """Frees only if the host has taken the offer back."""

    def release_channel(self, channel):
        relid = yield load(channel.relid)
        taken_back = yield READ_ONCE(self.taken_back[relid])
        if taken_back:
            yield kfree(channel)


class AsksNobody(BarePointers):
    """Takes a question back."""

    def every_rescind_is_answered_once(self, s):
        return True


class NewLists(Reader):
    """Has a channel consist of something else."""

    def channel_fields(self):
        return super().channel_fields() | {"in_use": False}


POINTERS = [
    Wrong(OnlyRcuFree, "fails", "rescinds\\[7\\] uses channel#0.lock after rcu freed"),
    Wrong(ReaderTooLate, "fails", "rescinds\\[7\\] uses channel#0.lock after rcu freed"),
    Wrong(ReaderTooShort, "fails", "rescinds\\[7\\] uses channel#0.lock after rcu freed"),
    Wrong(ReaderAndKfree, "fails", "rescinds\\[7\\] uses channel#0.lock after channel#0.release_work freed"),
    Wrong(GetsTooLate, "fails", "rescinds\\[7\\] gets a reference from channel#0.refs, which has none left"),
    Wrong(GetsUnlessZeroTooLate, "fails", "rescinds\\[7\\] uses channel#0.refs after rcu freed"),
    Wrong(PutsTooEarly, "fails", "rescinds\\[7\\] uses channel#0.lock after rcu freed"),
    Wrong(NeverPuts, "fails", "leak"),
    Wrong(ForgetsTheLists, "fails", "leak"),
    Wrong(PutsTwice, "fails", "puts a reference of channel#0.refs, which has none left"),
    Wrong(ForgetsTheTasklet, "fails", "ForgetsTheTasklet\\(events=1\\) fails.*event_dpc uses channel#0"),
    Wrong(DrainedOnly, "fails", "rescinds\\[7\\] uses channel#0.lock after channel#0.release_work freed"),
    Wrong(StaysOnTheList, "fails", "event_dpc uses channel#0.relid after rcu freed"),
    Wrong(NeverFreed, "fails", "leak"),
    Wrong(FreedLater, "fails", "rescinds\\[7\\] uses channel#0.lock after rcu freed"),
    Wrong(OnlyTheRescindFrees, "fails", "leak"),
    Wrong(SaysThatItIsInUse, "fails", "leak"),
    Wrong(LooksAgainAndAgain, "fails", "endless: this can go on for ever"),
    Wrong(Ignores, "fails", "every_rescind_is_answered_once does not hold .* told 0 times"),
    Wrong(WaitsForItself, "fails", "deadlock"),
    Wrong(SleepsUnderTheLock, "fails", "sleep-in-atomic: .* usleep_range"),
    Wrong(HoldsTheListsLock, "refused", "rescinds\\[7\\] does spin_lock_irqsave.* not even for a lock"),
    Wrong(OneMutex, "refused", "rescinds\\[7\\] does mutex_lock.* not even for a lock"),
    Wrong(WaitsForTheOffer, "refused", "rescinds\\[7\\] does smp_cond_load_relaxed.* nothing may be added"),
    Wrong(OneLockForInterrupts, "refused", "OneLockForInterrupts has process_chn_event, which cannot count here"),
    Wrong(TellsTheHost, "refused", "relid_released is not for your code to touch"),
    Wrong(LooksIntoTheHost, "refused", "taken_back is not for your code to touch"),
    Wrong(AsksNobody, "refused", "a property says what must hold, and stays as it is given"),
    Wrong(NewLists, "refused", "NewLists has channel_fields, which cannot count here"),
    Wrong(GetPut, "refused", "GetPut is no subclass of BarePointers"),
    Wrong(OwnRescindQueue, "refused", "OwnRescindQueue is no subclass of BarePointers"),
]

# --- judge it -----------------------------------------------------------------------------------------------

_REFERENCED = {
    "CountedDownAfterTheLock": "harmless", "DoneBeforeProbe": "harmful", "GetsAsReader": "harmful",
    "GetsAsReaderUnlessZero": "harmless", "PutsAfterTheWait": "harmful", "PutsAfterTheLook": "harmless",
}  # fmt: skip

REFERENCED = [
    Wrong(flipped(_REFERENCED, "CountedDownAfterTheLock"), "fails",
          "CountedDownAfterTheLock holds under all.*opens=True"),
    Wrong(flipped(_REFERENCED, "DoneBeforeProbe"), "fails",
          "DoneBeforeProbe is harmless. This schedule.*opens=True.*uses channel#0.*after rcu freed"),
    Wrong(flipped(_REFERENCED, "GetsAsReader"), "fails",
          "GetsAsReader is harmless. This schedule.*which has none left"),
    Wrong(flipped(_REFERENCED, "GetsAsReaderUnlessZero"), "fails", "GetsAsReaderUnlessZero holds under all"),
    Wrong(flipped(_REFERENCED, "PutsAfterTheWait"), "fails",
          "PutsAfterTheWait is harmless.*uses channel#0.device after"),
    Wrong(flipped(_REFERENCED, "PutsAfterTheLook"), "fails", "PutsAfterTheLook holds under all"),
    Wrong(dict.fromkeys(_REFERENCED, "harmless"), "fails", "3 of 6 judgements are right. You say that DoneBeforeProbe"),
    Wrong({**_REFERENCED, "GetsAsReader": "ok"}, "refused", "GetsAsReader is judged 'ok'"),
    Wrong({"GetsAsReader": "harmful"}, "refused", "CountedDownAfterTheLock, .*: not judged yet"),
    Wrong({**_REFERENCED, Referenced.__name__: "harmless"}, "refused", "There is no mutation 'Referenced'"),
]  # fmt: skip

RIGHT = {
    "04-pointers": [
        Counted,
        CountedAndDrained,
        GracePeriodFirst,
        WaitsForTheQueue,
        FreedBehindIt,
        RescindedWhereItIsFreed,
    ]
}
WRONG = {"04-flags": FLAGS, "04-pointers": POINTERS, "04-referenced": REFERENCED}
