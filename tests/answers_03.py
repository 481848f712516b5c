"""Wrong answers to the exercises of chapter 03."""

from answers import Wrong, flipped

from vmbus_teach.grading.chapters.ch03 import RELID, Sleepers
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Mutex,
    SpinLock,
    atomic_dec,
    atomic_dec_and_test,
    atomic_inc,
    atomic_inc_not_zero,
    atomic_read,
    call_rcu,
    cmpxchg,
    kfree,
    kfree_rcu,
    mutex_lock,
    mutex_unlock,
    preempt_disable,
    preempt_enable,
    rcu_read_lock,
    rcu_read_unlock,
    spin_lock,
    spin_unlock,
    synchronize_rcu,
    xchg,
)
from vmbus_teach.scenarios.global_array import ChannelRemoval

WORKER = [
    Wrong("host_signals*2 vmbus_isr*6 channel_work*4 hv_process_channel_removal*3 rcu", "fails",
          "All has been done .* there was no use-after-free"),
    Wrong("host_signals*2 vmbus_isr*4 hv_process_channel_removal*3 vmbus_isr*2 channel_work*4 rcu", "fails",
          "All has been done .* there was no use-after-free"),
    Wrong("host_signals*2 vmbus_isr*4 hv_process_channel_removal*2 vmbus_isr*2 hv_process_channel_removal rcu "
          "channel_work", "fails", "too many switches. There is a schedule with fewer"),
    Wrong("host_signals*2 vmbus_isr*6 hv_process_channel_removal*3", "fails",
          "Step \\d+ of \\d+ .*hv_process_channel_removal cannot step now: it waits until channel_work is finished"),
    Wrong("host_signals*2 vmbus_isr*4 hv_process_channel_removal*3 rcu", "fails",
          "rcu cannot step now: it waits for the RCU reader vmbus_isr"),
    Wrong("host_signals*2 vmbus_isr*4 hv_process_channel_removal*3 vmbus_isr*2 rcu", "fails",
          "stops before its end .* Possible now: channel_work"),
    Wrong("hv_process_channel_removal*3 rcu host_signals*2 vmbus_isr*5", "fails",
          "All has been done .* there was no use-after-free"),
    Wrong("host_signals*2 worker", "fails", "there is no context 'worker'"),
    Wrong("host_signals*2; vmbus_isr*6", "refused", "'host_signals\\*2;' is no step of a schedule"),
]  # fmt: skip


class Right(Sleepers):
    """A right answer, for the wrong ones to begin with."""

    def get(self):
        yield rcu_read_lock()
        channel = yield from self.relid2channel()
        if channel is not None and not (yield atomic_inc_not_zero(channel.refs)):
            channel = None
        yield rcu_read_unlock()
        return channel

    def put(self, channel):
        if (yield atomic_dec_and_test(channel.refs)):
            yield kfree_rcu(channel)

    def vmbus_chan_release(self, channel):
        yield from self.put(channel)


class GivesBackLater(Sleepers):
    """The array's reference is given back after a grace period, so a reader never finds a count of 0."""

    def get(self):
        yield rcu_read_lock()
        channel = yield from self.relid2channel()
        if channel is not None:
            yield atomic_inc(channel.refs)
        yield rcu_read_unlock()
        return channel

    def put(self, channel):
        if (yield atomic_dec_and_test(channel.refs)):
            yield kfree(channel)

    def vmbus_chan_release(self, channel):
        yield call_rcu(self.put, channel)


class NoReader(Right):
    """Counts without being an RCU reader in between."""

    def get(self):
        channel = yield from self.relid2channel()
        if channel is not None and not (yield atomic_inc_not_zero(channel.refs)):
            channel = None
        return channel


class CountsUpFromZero(Right):
    """Takes a reference, however many there are."""

    def get(self):
        yield rcu_read_lock()
        channel = yield from self.relid2channel()
        if channel is not None:
            yield atomic_inc(channel.refs)
        yield rcu_read_unlock()
        return channel


class LooksAtTheCountFirst(Right):
    """Looks whether the count is 0, and counts up in another step."""

    def get(self):
        yield rcu_read_lock()
        channel = yield from self.relid2channel()
        if channel is not None:
            if (yield atomic_read(channel.refs)):
                yield atomic_inc(channel.refs)
            else:
                channel = None
        yield rcu_read_unlock()
        return channel


class FreesAtOnce(Right):
    """The last one frees at once."""

    def put(self, channel):
        if (yield atomic_dec_and_test(channel.refs)):
            yield kfree(channel)


class LastTaskFreesAtOnce(Right):
    """The removal leaves it to RCU; a task that is the last one frees at once."""

    def put(self, channel):
        if (yield atomic_dec_and_test(channel.refs)):
            yield kfree(channel)

    def vmbus_chan_release(self, channel):
        if (yield atomic_dec_and_test(channel.refs)):
            yield kfree_rcu(channel)


class TwoStepsDown(Right):
    """Counts down, and looks in another step whether it was the last one."""

    def put(self, channel):
        yield atomic_dec(channel.refs)
        if not (yield atomic_read(channel.refs)):
            yield kfree_rcu(channel)


class ReaderAllAlong(Sleepers):
    """Is an RCU reader from get to put."""

    def get(self):
        yield rcu_read_lock()
        return (yield from self.relid2channel())

    def put(self, channel):
        yield rcu_read_unlock()


class PreemptionOff(Sleepers):
    """Switches preemption off from get to put."""

    def get(self):
        yield preempt_disable()
        return (yield from self.relid2channel())

    def put(self, channel):
        yield preempt_enable()


class ReaderWhileLookingUp(Sleepers):
    """Is an RCU reader while it looks the channel up."""

    def get(self):
        yield rcu_read_lock()
        channel = yield from self.relid2channel()
        yield rcu_read_unlock()
        return channel


class KeepsTheReferences(Right):
    """Takes references, and gives none back."""

    def put(self, channel):
        yield from ()

    def vmbus_chan_release(self, channel):
        if (yield atomic_dec_and_test(channel.refs)):
            yield kfree_rcu(channel)


class ForgetsTheArrays(Right):
    """Does not give back the array's own reference."""

    def vmbus_chan_release(self, channel):
        yield from ()


class NeverFinds(Sleepers):
    """Finds nothing, ever."""

    def get(self):
        yield from ()


class TakesItOut(Sleepers):
    """Takes the channel out of the array while it uses it, and puts it back."""

    def get(self):
        return (yield xchg(self.channels[RELID], None))

    def put(self, channel):
        yield WRITE_ONCE(self.channels[RELID], channel)


class OneFlag(Sleepers):
    """A flag that says "in use"; whoever finds that the other side is through frees the channel."""

    def setup(self, tasks=1, removed=True):
        super().setup(tasks, removed)
        self.in_use, self.gone = Cell(False), Cell(False)

    def get(self):
        yield WRITE_ONCE(self.in_use, True)
        return (yield from self.relid2channel())

    def put(self, channel):
        yield WRITE_ONCE(self.in_use, False)
        if (yield xchg(self.gone, False)):
            yield kfree_rcu(channel)

    def vmbus_chan_release(self, channel):
        yield WRITE_ONCE(self.gone, True)
        if not (yield READ_ONCE(self.in_use)) and (yield xchg(self.gone, False)):
            yield kfree_rcu(channel)


class OneAtATime(Right):
    """Takes a reference only if no other task has one."""

    def get(self):
        yield rcu_read_lock()
        channel = yield from self.relid2channel()
        if channel is not None and (yield cmpxchg(channel.refs, 1, 2)) != 1:
            channel = None
        yield rcu_read_unlock()
        return channel


class WaitsForTheReaders(Right):
    """The removal sleeps for a grace period."""

    def vmbus_chan_release(self, channel):
        yield synchronize_rcu()
        yield from self.put(channel)


class LooksAgainAndAgain(Sleepers):
    """Tasks say that they are there before they look; the removal looks again and again, until nobody is."""

    def setup(self, tasks=1, removed=True):
        super().setup(tasks, removed)
        self.there = Cell(0)

    def get(self):
        yield atomic_inc(self.there)
        channel = yield from self.relid2channel()
        if channel is None:
            yield atomic_dec(self.there)
        return channel

    def put(self, channel):
        yield atomic_dec(self.there)

    def vmbus_chan_release(self, channel):
        while (yield atomic_read(self.there)):
            pass
        yield kfree_rcu(channel)


class OneMutex(Sleepers):
    """One mutex, held from get to put and around the release."""

    def setup(self, tasks=1, removed=True):
        super().setup(tasks, removed)
        self.mutex = Mutex()

    def get(self):
        yield mutex_lock(self.mutex)
        channel = yield from self.relid2channel()
        if channel is None:
            yield mutex_unlock(self.mutex)
        return channel

    def put(self, channel):
        yield mutex_unlock(self.mutex)

    def vmbus_chan_release(self, channel):
        yield mutex_lock(self.mutex)
        yield kfree_rcu(channel)
        yield mutex_unlock(self.mutex)


class LocksTheCount(Right):
    """A spin lock around looking up and counting."""

    def setup(self, tasks=1, removed=True):
        super().setup(tasks, removed)
        self.lock = SpinLock()

    def get(self):
        yield spin_lock(self.lock)
        channel = yield from super().get()
        yield spin_unlock(self.lock)
        return channel


class CountsInTheHandler(Right):
    """Has the handler count as well."""

    def use(self, channel):
        yield atomic_inc(channel.refs)
        yield from super().use(channel)
        yield from self.put(channel)


class SaysSo(Sleepers):
    """Finds nothing, and notes that it has."""

    def get(self):
        yield atomic_inc(self.shown)


class NoSetup(Right):
    """Makes an own array, and forgets the rest."""

    def setup(self, tasks=1, removed=True):
        self.channels = {RELID: Cell(None)}


class AsksNobody(Right):
    """Says that it is freed."""

    def a_removed_channel_is_freed(self, s):
        return True


class CallsBackWithoutAReader(Right):
    """Gives the array's reference back after a grace period, which does not wait for who looks up as no reader."""

    def get(self):
        channel = yield from self.relid2channel()
        if channel is not None:
            yield atomic_inc(channel.refs)
        return channel

    def put(self, channel):
        if (yield atomic_dec_and_test(channel.refs)):
            yield kfree(channel)

    def vmbus_chan_release(self, channel):
        yield call_rcu(self.put, channel)


SLEEPERS = [
    Wrong(NoReader, "fails", "show_interrupts uses vmbus_channel#0.refs after rcu freed"),
    Wrong(CountsUpFromZero, "fails", "show_interrupts uses vmbus_channel#0.interrupts after rcu freed"),
    Wrong(LooksAtTheCountFirst, "fails", "show_interrupts uses vmbus_channel#0.interrupts after rcu freed"),
    Wrong(FreesAtOnce, "fails", "show_interrupts uses vmbus_channel#0.refs after hv_process_channel_removal freed"),
    Wrong(LastTaskFreesAtOnce, "fails", "vmbus_isr uses vmbus_channel#0.interrupts after show_interrupts freed"),
    Wrong(TwoStepsDown, "fails", "double-free: hv_process_channel_removal frees .* given to kfree_rcu before"),
    Wrong(ReaderAllAlong, "fails", "sleep-in-atomic: .* usleep_range.* it is inside rcu_read_lock"),
    Wrong(PreemptionOff, "fails", "sleep-in-atomic: .* preemption is off"),
    Wrong(ReaderWhileLookingUp, "fails", "show_interrupts uses vmbus_channel#0.interrupts after rcu freed"),
    Wrong(KeepsTheReferences, "fails", "a_removed_channel_is_freed does not hold .* still there"),
    Wrong(ForgetsTheArrays, "fails", "a_removed_channel_is_freed does not hold .* still there"),
    Wrong(OneFlag, "fails", "a_removed_channel_is_freed does not hold .* still there"),
    Wrong(OneAtATime, "fails", "OneAtATime\\(tasks=2, removed=False\\) fails.*not everybody has found it"),
    Wrong(NeverFinds, "fails", "who_looks_in_time_finds_it does not hold"),
    Wrong(TakesItOut, "fails", "show_interrupts uses vmbus_channel#0.interrupts after rcu freed"),
    Wrong(CallsBackWithoutAReader, "fails", "show_interrupts uses vmbus_channel#0.refs after rcu freed"),
    Wrong(LooksAgainAndAgain, "fails", "endless: this can go on for ever"),
    Wrong(WaitsForTheReaders, "refused", "hv_process_channel_removal does synchronize_rcu.* Nobody may wait"),
    Wrong(OneMutex, "refused", "show_interrupts does mutex_lock.* Nobody may wait"),
    Wrong(LocksTheCount, "refused", "show_interrupts does spin_lock.* Nobody may wait"),
    Wrong(CountsInTheHandler, "refused", "CountsInTheHandler has use, which cannot count here"),
    Wrong(SaysSo, "refused", "shown is not for your code to touch"),
    Wrong(NoSetup, "refused", "self.tasks is missing"),
    Wrong(AsksNobody, "refused", "a property says what must hold, and stays as it is given"),
    Wrong(ChannelRemoval, "refused", "ChannelRemoval is no subclass of Sleepers"),
]

_RELIDS = {
    "ReleasesFirst": "harmful", "ReleasesFirstAndCompares": "harmless", "ReadsAfterKfreeRcu": "harmless",
    "LooksTwice": "harmful", "ClearsTheOldEvent": "harmful", "ClearsTheOldEventAndWaits": "harmless",
}  # fmt: skip

RELIDS = [
    Wrong(flipped(_RELIDS, "ReleasesFirst"), "fails", "ReleasesFirst is harmless. This schedule.*no_message_is_left"),
    Wrong(flipped(_RELIDS, "ReleasesFirstAndCompares"), "fails", "removal_cpu=1\\) holds.*removal_cpu=0\\) holds"),
    Wrong(flipped(_RELIDS, "ReadsAfterKfreeRcu"), "fails", "ReadsAfterKfreeRcu\\(removal_cpu=1\\) holds under all"),
    Wrong(flipped(_RELIDS, "LooksTwice"), "fails", "LooksTwice is harmless. This schedule.*'NoneType' object"),
    Wrong(flipped(_RELIDS, "ClearsTheOldEvent"), "fails", "ClearsTheOldEvent is harmless.*there is no callback"),
    Wrong(flipped(_RELIDS, "ClearsTheOldEventAndWaits"), "fails", "ClearsTheOldEventAndWaits\\(removal_cpu=0\\) holds"),
    Wrong(dict.fromkeys(_RELIDS, "harmful"), "fails", "3 of 6 judgements are right"),
    Wrong(dict.fromkeys(_RELIDS, "harmless"), "fails", "3 of 6 judgements are right. You say that ReleasesFirst"),
    Wrong({**_RELIDS, "LooksTwice": "unclear"}, "refused", "LooksTwice is judged 'unclear'"),
    Wrong({"LooksTwice": "harmful"}, "refused", "ReleasesFirst, .*: not judged yet"),
]

RIGHT = {"03-sleepers": GivesBackLater}
WRONG = {"03-worker": WORKER, "03-sleepers": SLEEPERS, "03-relid": RELIDS}
