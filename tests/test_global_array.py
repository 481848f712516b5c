"""Chapter 03: what keeps the array of channels safe, which changes break it, and which do not."""

import pytest

from vmbus_teach import explore
from vmbus_teach.kernel import (
    READ_ONCE,
    rcu_read_lock,
    rcu_read_unlock,
    smp_store_release,
    store,
    sync_test_and_clear_bit,
)
from vmbus_teach.scenarios.array_chain import (
    HostSignalsEarly,
    MappedByPlainStore,
    MappedByRelease,
    MappedOnce,
    OpenChain,
)
from vmbus_teach.scenarios.array_forbids import (
    CountedDownLastUnlocked,
    MappedFirstUnlocked,
    OfferAgainstRescind,
    OfferUnlocked,
    RescindUnlocked,
    ResumeAgainstRelease,
    ResumeUnlocked,
)
from vmbus_teach.scenarios.array_lookup import ArrayIndex, ArrayUnderALock, ListWalk
from vmbus_teach.scenarios.array_ordering import BufferedFullBarrier, BufferedOnce, BufferedRelease, QueueOnce
from vmbus_teach.scenarios.global_array import (
    RELID,
    ChannelRemoval,
    FreedAtOnce,
    FreedThenUnmapped,
    InAThread,
    InAThreadNoReadLock,
    LockAroundTheArray,
    LockAroundTheUse,
    LockInTheChannel,
    LockWithInterruptsOn,
    NeverFreed,
    NeverUnmapped,
    NoReadLock,
    PlainUnmap,
    WaitAndFree,
    WaitTooEarly,
)
from vmbus_teach.timed import Costs, poisson, simulate


def kinds(scenario):
    """The kinds of failures of a scenario that is searched completely."""
    result = explore(scenario)
    assert result.complete
    return {failure.kind for failure in result.failures}


# --- the life of a channel -------------------------------------------------------------------------

#: What fails if the channel is removed on another CPU than the one that is interrupted, and on the same one.
REMOVED_ON = {
    ChannelRemoval: (set(), set()),
    FreedAtOnce: ({"use-after-free"}, set()),
    FreedThenUnmapped: ({"use-after-free"}, {"use-after-free"}),
    NeverUnmapped: ({"use-after-free"}, {"use-after-free"}),
    NeverFreed: ({"leak"}, {"leak"}),
    PlainUnmap: ({"data-race"}, {"data-race"}),
    WaitAndFree: (set(), set()),
    WaitTooEarly: ({"use-after-free"}, set()),
    NoReadLock: (set(), set()),
    InAThread: (set(), set()),
    InAThreadNoReadLock: ({"use-after-free"}, {"use-after-free"}),
    LockInTheChannel: ({"use-after-free"}, set()),
    LockAroundTheArray: ({"use-after-free"}, set()),
    LockAroundTheUse: (set(), set()),
    LockWithInterruptsOn: (set(), {"deadlock"}),
}


@pytest.mark.parametrize("scenario", REMOVED_ON, ids=lambda scenario: scenario.__name__)
def test_removal_on_the_other_cpu_and_on_the_same(scenario):
    """The verdict depends on the CPU that removes the channel, because a handler excludes the tasks of its own CPU."""
    assert (kinds(scenario(removal_cpu=1)), kinds(scenario(removal_cpu=0))) == REMOVED_ON[scenario]


def test_the_read_lock_in_the_handler_costs_steps_and_changes_nothing_else():
    """Without rcu_read_lock the handler can end in the same ways."""

    def ends(scenario):
        class Told(scenario):
            def outcome(self, s):
                return s[self.channel.interrupts]

        return explore(Told).outcomes

    assert ends(NoReadLock) == ends(ChannelRemoval) == {0, 1}


class UsedAfterUnlock:
    """The look-up inside ``rcu_read_lock``, and the use of the channel after it."""

    def vmbus_chan_sched(self):
        pending = yield sync_test_and_clear_bit(RELID, self.event_flags)
        if pending:
            yield rcu_read_lock()
            channel = yield from self.relid2channel()
            yield rcu_read_unlock()
            if channel is not None:
                yield from self.use(channel)


class InTheHandlerUsedAfterUnlock(UsedAfterUnlock, ChannelRemoval):
    """In the handler."""


class InTheThreadUsedAfterUnlock(UsedAfterUnlock, InAThread):
    """In a thread."""


def test_to_go_on_after_the_unlock_is_safe_in_a_handler_only():
    """Using the channel after rcu_read_unlock is harmless in the handler, which is a reader to its end."""
    assert kinds(InTheHandlerUsedAfterUnlock) == set()
    assert kinds(InTheThreadUsedAfterUnlock) == {"use-after-free"}


# --- from the offer to the first interrupt -----------------------------------------------------------


@pytest.mark.parametrize("scenario", [MappedByPlainStore, MappedOnce, MappedByRelease])
def test_the_machine_cannot_tell_the_stores_apart(scenario):
    """With sequentially consistent memory, every kind of store to the array gives the same states and schedules."""
    one, other = explore(OpenChain), explore(scenario)
    assert one.ok
    assert other.ok
    assert (one.states, one.transitions, one.schedules) == (other.states, other.transitions, other.schedules)


def test_the_chain_orders_a_plain_store_and_its_loss_uncovers_it():
    """A plain map is no data race while the host waits for the open, and one as soon as it does not."""

    class PlainAndEarly(MappedByPlainStore, HostSignalsEarly):
        pass

    assert kinds(MappedByPlainStore) == set()
    assert kinds(HostSignalsEarly) == {"at_end"}
    assert kinds(PlainAndEarly) == {"at_end", "data-race"}


def test_a_host_that_signals_early_is_answered_by_no_store():
    """No kind of store to the array repairs a host that does not wait: the order of events is what matters."""
    for mapping in (MappedOnce, MappedByRelease, OpenChain):
        early = type("Early", (HostSignalsEarly,), {"map_relid": mapping.map_relid})
        assert kinds(early) == {"at_end"}


# --- the two Forbids -----------------------------------------------------------------------------------


def test_what_the_patch_forbids_cannot_be():
    """Exactly the outcomes that the comments allow are reached."""
    assert explore(OfferAgainstRescind).outcomes == {"r1 = channel"}
    assert explore(ResumeAgainstRelease).outcomes == {"r1 = 7: None", "r1 = INVALID_RELID: channel"}


@pytest.mark.parametrize("scenario", [OfferUnlocked, RescindUnlocked])
def test_without_the_lock_the_rescind_can_miss_the_channel(scenario):
    """One side without the lock is enough for the forbidden outcome, beside the allowed one."""
    assert explore(scenario).outcomes == {"r1 = channel", "r1 = None"}


def test_without_the_lock_a_released_channel_can_stay():
    """The forbidden outcome of the resume is reached as soon as one side has no lock."""
    assert "r1 = 7: channel" in explore(ResumeUnlocked).outcomes


def test_without_locks_all_hangs_on_the_order_of_two_stores():
    """What holds without a lock on either side fails if the two stores of CPU 0 change places."""

    class OfferSwapped(CountedDownLastUnlocked):
        def vmbus_onoffer(self):
            yield from self.count_down()
            yield from self.map_relid()

    class ResumeSwapped(MappedFirstUnlocked):
        def vmbus_onoffer(self):
            yield from self.fix_up_relid()
            yield from self.map_relid()

    assert kinds(CountedDownLastUnlocked) == kinds(MappedFirstUnlocked) == set()
    assert kinds(OfferSwapped) == kinds(ResumeSwapped) == {"at_end"}


def test_the_machine_cannot_tell_a_release_from_a_plain_order():
    """The version without locks is not made any better, here, by a release: all stores come in order."""

    class Release(MappedFirstUnlocked):
        def fix_up_relid(self):
            yield smp_store_release(self.relid, 7)

    class Plain(MappedFirstUnlocked):
        def fix_up_relid(self):
            yield store(self.relid, 7)

    once, release = explore(MappedFirstUnlocked), explore(Release)
    assert (once.states, once.schedules, once.outcomes) == (release.states, release.schedules, release.outcomes)
    assert kinds(Plain) == {"data-race"}


# --- the store buffer ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "outcomes"),
    [
        (BufferedOnce, {"new", "old", "no channel"}),
        (BufferedRelease, {"new", "no channel"}),
        (QueueOnce, {"new", "no channel"}),
        (BufferedFullBarrier, {"new"}),
    ],
)
def test_what_a_store_promises(scenario, outcomes):
    """A release (and a queue) keeps old contents away; only the full barrier keeps away that nothing is found."""
    assert explore(scenario).outcomes == outcomes


# --- the look-up -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", [ListWalk, ArrayIndex, ArrayUnderALock])
def test_endless_programs_are_searched(scenario):
    """A host that sends for ever has a bounded number of states, and no schedule that ends."""
    result = explore(scenario)
    assert result.complete
    assert not result.failures
    assert result.schedules is None


def reads(scenario, relid):
    """How many reads CPU 0's look-up of ``relid`` takes."""
    program, answer = scenario.relid2channel(0, relid), None
    for count in range(100):
        try:
            answer = program.send(answer).cell.initial
        except StopIteration:
            return count
    raise AssertionError("the look-up does not end")


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_what_a_look_up_reads(channels):
    """The list takes as many reads as there are channels before and at the place, the array always one."""
    walk, index = ListWalk(channels=channels), ArrayIndex(channels=channels)
    relids = [walk.relid(0, slot) for slot in range(channels)]
    assert [reads(walk, relid) for relid in relids] == list(range(1, channels + 1))
    assert [reads(index, relid) for relid in relids] == [1] * channels


# --- in time -----------------------------------------------------------------------------------------------


def in_time(scenario, cpus, per_second):
    """A run of 10 ms on so many CPUs."""
    many = type(scenario.__name__, (scenario,), {"cpus": cpus})
    traffic = {"messages": poisson(per_second=per_second)}
    return simulate(many(**PARAMETERS[scenario]), until=10_000_000, costs=Costs({READ_ONCE: 10}), traffic=traffic)


PARAMETERS = {
    ListWalk: {"channels": 9},
    ArrayIndex: {"channels": 9},
    ArrayUnderALock: {"channels": 1, "callback_ns": 3_000},
}


def test_the_walk_takes_as_much_longer_as_one_computes_by_hand():
    """With 9 channels the list reads 4 more elements on average than the array: 40 ns, at 10 ns each."""
    spent = []
    for scenario in (ListWalk, ArrayIndex):
        run = in_time(scenario, 1, 50_000)
        spent.append(run.cpus["CPU 0"].spent["interrupts"] / run.gauges["waiting"].came)
    assert spent[0] - spent[1] == pytest.approx(40, rel=0.2)


def test_nobody_waits_for_the_lock_on_one_cpu():
    """A handler is not interrupted by another of its CPU, so with one CPU the lock is always free."""
    lock = in_time(ArrayUnderALock, 1, 70_000).locks["array_lock"]
    assert lock.taken > 500
    assert len(lock.waits) == 0


def test_eight_cpus_fill_the_lock():
    """Eight CPUs that need the lock for a fifth of their time each keep it busy, and spin for the rest."""
    run = in_time(ArrayUnderALock, 8, 8 * 70_000)
    assert run.locks["array_lock"].held / run.time > 0.95
    assert all(cpu.part("spinning") > cpu.part("interrupts") for cpu in run.cpus.values())


def test_what_waits_is_gauged():
    """The gauge counts the rings with a message, on all CPUs."""
    scenario = ListWalk(channels=2)
    assert scenario.waiting({scenario.rings[0]: 0b1010, scenario.rings[1]: 0b100}) == 3
