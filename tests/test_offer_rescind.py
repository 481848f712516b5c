"""What chapter 04 says of its scenarios, beyond their verdicts."""

from math import exp

import pytest

from vmbus_teach import Session, explore
from vmbus_teach.effort import effort
from vmbus_teach.scenarios import offer_rescind, rescind_strategies
from vmbus_teach.scenarios.offer_rescind import (
    AfterTheLink,
    AnswersOnFailure,
    LinkedFirst,
    OfferAndRescind,
    UnlinksOnFailure,
)
from vmbus_teach.scenarios.rescind_in_time import FreedAfterADelay, FreedMeanwhile, FreedWithLastUser, NeverFreedAgain
from vmbus_teach.scenarios.rescind_queue import (
    CountedDownAlways,
    CountedDownEarly,
    OwnAddQueue,
    OwnAddQueueReferenced,
    OwnRescindQueue,
    Referenced,
    WokenTooLate,
)
from vmbus_teach.scenarios.rescind_strategies import (
    DelayedFree,
    FlagAndRemove,
    GetInOpen,
    GetPut,
    NeverFree,
    OneQueue,
    OneQueueRcu,
)
from vmbus_teach.timed import Costs, exponential, poisson, simulate, simulate_many

#: Further cases than those of the catalogue: the kinds of failure, and steps and switches of the shortest schedule.
VARIANTS = [
    (OfferAndRescind(one_cpu=True), "at_end, use-after-free", (21, 6)),
    (OfferAndRescind(rescinded=False), "at_end", (14, 3)),
    (UnlinksOnFailure(rescinded=False), "holds", None),
    (AnswersOnFailure(one_cpu=True), "at_end", (23, 4)),
    (LinkedFirst(one_cpu=True), "holds", None),
    (LinkedFirst(events=1), "use-after-free", (34, 8)),
    (LinkedFirst(events=1, one_cpu=True), "holds", None),
    (LinkedFirst(opens=True), "deadlock, use-after-free", (27, 4)),
    (GetPut(), "holds", None),
    (GetPut(channels=2, may_fail=False), "holds", None),
    (GetPut(opens=True), "deadlock", (29, 4)),
    (GetInOpen(), "holds", None),
    (NeverFree(), "leak", (23, 4)),
    (DelayedFree(events=1), "use-after-free", (35, 8)),
    (FlagAndRemove(one_cpu=True), "holds", None),
    (FlagAndRemove(events=1), "use-after-free", (34, 8)),
    (FlagAndRemove(events=1, one_cpu=True), "holds", None),
    (OneQueue(opens=True), "deadlock", (16, 2)),
    (OneQueue(events=1), "use-after-free", (50, 12)),
    (OneQueue(events=1, target_cpu=0), "holds", None),
    (OwnRescindQueue(may_fail=False), "holds", None),
    (OwnRescindQueue(opens=True, may_fail=False), "deadlock", (18, 3)),
    (CountedDownAlways(), "holds", None),
    (CountedDownEarly(), "use-after-free", (29, 6)),
    (CountedDownEarly(opens=True, may_fail=False), "holds", None),
    (CountedDownEarly(channels=2, opens=True, may_fail=False), "deadlock", (24, 3)),
    (OwnAddQueue(channels=2, opens=True, may_fail=False), "holds", None),
    (Referenced(), "holds", None),
    (Referenced(channels=2, opens=True, may_fail=False), "deadlock", (24, 3)),
    (OwnAddQueueReferenced(channels=2, opens=True), "holds", None),
    (WokenTooLate(), "holds", None),
]


@pytest.mark.parametrize(("scenario", "expected", "shortest"), VARIANTS, ids=[str(case[0]) for case in VARIANTS])
def test_variants(scenario, expected, shortest):
    """With other parameters: searched completely, with these kinds of failure, shown in a schedule of this length."""
    result = explore(scenario)
    assert result.complete
    assert (", ".join(sorted({failure.kind for failure in result.failures})) or "holds") == expected
    schedules = [(len(failure.schedule), failure.schedule.switches) for failure in result.failures]
    assert (schedules[0] if schedules else None) == shortest


def messages(scenario, kind):
    """What is said of the failures of one kind."""
    return {failure.message for failure in explore(scenario).failures if failure.kind == kind}


def used_too_late(scenario):
    """Who uses what after it was freed: {(who, what)}."""
    return {tuple(message.split()[:3:2]) for message in messages(scenario, "use-after-free")}


# --- the bugs of 2015 ----------------------------------------------------------------------------------


def test_a_dangling_entry_needs_no_race():
    """Bug B: with a device that cannot be made, every schedule of the offer alone leaves the entry."""
    result = explore(OfferAndRescind(rescinded=False))
    (failure,) = result.failures
    assert "the_list_has_no_freed_channel" in failure.message
    assert result.schedules == 3  # as many as the device's creation and registration can end; no order is left open
    assert explore(UnlinksOnFailure(rescinded=False)).ok


def test_another_offer_meets_the_dangling_entry():
    """Bug B needs no rescind to be felt: the next offer walks the list."""
    assert ("channel#1.offer_work", "channel#0.relid") in used_too_late(
        OfferAndRescind(channels=2, rescinded=False)
    )


def test_bug_a_is_what_unlinking_leaves():
    """A rescind uses the channel's lock and flags; it does not meet freed memory on the list any more."""
    uses = {what for _, what in used_too_late(UnlinksOnFailure)}
    assert uses == {f"channel#0.{field}" for field in ("lock", "rescind", "offer_done")}
    assert "channel#0.relid" in {what for _, what in used_too_late(OfferAndRescind)}


def test_bug_a_needs_two_cpus():
    """Where one CPU does all the work, the queue that frees a channel is the one that is busy with the rescind."""
    for scenario in (UnlinksOnFailure, AnswersOnFailure, LinkedFirst):
        assert used_too_late(scenario)
        assert not used_too_late(scenario(one_cpu=True))


LOST = "every_rescind_is_answered_once does not hold at the end: the host was told 0 times that relid 7 is free again"


def test_bug_c_has_two_ways():
    """A rescind finds nothing after a failed offer was unlinked, and before the offer was linked."""

    class Unlinks(AfterTheLink, UnlinksOnFailure):
        """A failed offer does not answer."""

    class Answers(AfterTheLink, AnswersOnFailure):
        """A failed offer answers."""

    assert messages(Unlinks, "at_end") == {LOST}  # after it was unlinked
    assert messages(Answers, "at_end") == set()
    assert messages(AnswersOnFailure, "at_end") == {LOST}  # before it was linked
    assert messages(LinkedFirst, "at_end") == set()


# --- the strategies ---------------------------------------------------------------------------------------


STRATEGIES = [
    rescind_strategies.GetInOpen,
    rescind_strategies.GetInOpenDrained,
    rescind_strategies.NeverFree,
    rescind_strategies.DelayedFree,
    rescind_strategies.FlagAndRemove,
    rescind_strategies.OneQueue,
    rescind_strategies.OneQueueDrained,
    rescind_strategies.OneQueueRcu,
    OwnAddQueueReferenced,
]


def pays(scenario):
    """What the interrupt path executes for one event of an open channel."""
    one = scenario(events=1, rescinded=False, may_fail=False)
    session = Session(one)
    session.replay(simulate(one).schedule)
    return effort(session.trace)


def test_what_an_interrupt_pays():
    """References for each look-up cost a lock and two atomic operations per event; nothing else costs the event any."""
    before = pays(LinkedFirst)
    assert (before.operations, before.atomics, before.locks) == (5, 1, 0)
    assert {scenario: pays(scenario) for scenario in STRATEGIES} == dict.fromkeys(STRATEGIES, before)
    counted = pays(GetPut)
    assert (counted.operations, counted.atomics, counted.locks) == (9, 3, 1)


def test_a_reference_from_open_to_close_does_not_hold_for_a_tasklet_in_the_middle():
    """The tasklet that has found the channel is interrupted by the call that takes it off the list."""
    assert {who for who, _ in used_too_late(GetInOpen(events=1))} == {"event_dpc"}


def test_a_delay_of_any_length_is_no_proof():
    """The search has no clock."""
    assert used_too_late(DelayedFree(delay_us=0)) == used_too_late(DelayedFree(delay_us=10_000_000)) != set()


def test_one_queue_and_an_open():
    """The offer waits for the host, the rescind for the offer; the host has nothing more to say."""
    (message,) = messages(OneQueue(opens=True), "deadlock")
    assert message == (
        "nobody can go on: offers[7] waits for the completion channel#0.open_result; rescinds[7] waits for "
        "offers[7], which work_queue executes now, and it is ordered"
    )


def test_a_count_that_is_held_for_too_long():
    """On its own queue the rescind can start, and still waits for the offer that it should wake."""
    (message,) = messages(CountedDownAlways(opens=True), "deadlock")
    assert "rescinds[7] waits for offer_in_progress to change, which is 1" in message


def test_an_offer_that_waits_behind_a_driver():
    """Counted when its message came, not yet begun: the rescind that could wake the driver waits for it."""
    (message,) = messages(CountedDownEarly(channels=2, opens=True, may_fail=False), "deadlock")
    assert "offers[8] waits for offers[7], which work_queue executes now" in message
    assert "rescinds[7] waits for offer_in_progress to change, which is 1" in message


def test_an_offer_that_fails_is_never_counted_down():
    """The first version forgot that: then the rescind of that channel waits for ever, whatever its driver does."""
    (message,) = messages(OwnRescindQueue, "deadlock")
    assert message == "nobody can go on: rescinds[7] waits for offer_in_progress to change, which is 1"


def test_what_is_left_today():
    """A rescind that waits for the driver has a bare pointer; where no device fails to be made, that is enough."""
    for scenario in (CountedDownEarly, OwnAddQueue):
        assert used_too_late(scenario) == {
            ("rescinds[7]", f"channel#0.{field}") for field in ("rescind", "open_result", "offer_done", "device")
        }
        assert explore(scenario(may_fail=False)).ok


@pytest.mark.parametrize("scenario", [GetPut, OneQueue, OneQueueRcu, Referenced])
def test_two_channels(scenario):
    """What is right for one channel is right for two."""
    assert explore(scenario(channels=2)).ok


def test_names_are_the_kernels():
    """What stands for a function of the kernel is called so."""
    for name in ("vmbus_onoffer", "vmbus_process_offer", "vmbus_onoffer_rescind", "relid2channel", "release_channel"):
        assert hasattr(offer_rescind.OfferAndRescind, name)


# --- in time --------------------------------------------------------------------------------------------------

HELD_UP = 1_000_000  # ns: how long a rescind is held up on average, between finding the channel and using it


@pytest.mark.parametrize("delay_us", [500, 1_000, 2_000])
def test_the_window_of_a_delayed_free(delay_us):
    """Where the time for which a rescind is held up is exponential, so is what a delay leaves: exp(-delay / mean)."""
    costs = Costs({"rescind.spin_lock_irqsave": exponential(HELD_UP)})
    runs = simulate_many(FreedMeanwhile(delay_us=delay_us), seeds=300, costs=costs, executor=False)
    assert {run.fault.kind for run in runs if run.fault} == {"use-after-free"}
    part = runs.share(lambda run: run.fault is not None)
    # From the moment at which the rescind has found the channel until it is freed, the delay apart: two workers start
    # (the offer's and the free's, 5 µs each, at the default costs), and 190 ns are spent on the operations between.
    expected = exp(-(delay_us * 1000 + 10_190) / HELD_UP)
    assert part.low < expected < part.high


def test_memory_of_a_delayed_free():
    """Little's law: as many as come in a second, times the seconds for which each stays."""
    per_second, delay = 3, 10
    traffic = {"sockets": poisson(per_second=per_second)}
    run = simulate(FreedAfterADelay(capacity=70), until=600_000_000_000, traffic=traffic)
    assert run.fault is None
    assert run.gauges["channels"].mean == pytest.approx(per_second * delay, rel=0.1)


def test_memory_that_is_never_freed():
    """It lasts for as long as it takes ``capacity`` sockets to come; freed with the last user, it lasts."""
    traffic = {"sockets": poisson(per_second=3)}
    until = 120_000_000_000
    run = simulate(NeverFreedAgain(capacity=100), until=until, traffic=traffic)
    assert run.fault is not None
    assert run.time == pytest.approx(100 / 3 * 1e9, rel=0.3)
    assert simulate(FreedWithLastUser(capacity=1), until=until, traffic=traffic).fault is None
