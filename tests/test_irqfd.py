"""Chapter 06: each change of the irqfd, for each side that may be closed; what its text claims of them."""

import re

import pytest

from vmbus_teach import explore
from vmbus_teach.kernel import synchronize_srcu
from vmbus_teach.scenarios import irqfd, irqfd_merged, irqfd_mutations, irqfd_today, srcu_counters
from vmbus_teach.timed import Costs, simulate_many

VM = {"vm": True, "eventfd": False}
EVENTFD = {"vm": False, "eventfd": True}
BOTH = {"vm": True, "eventfd": True}
OWN = {"own_signaller": True}


def verdict(scenario):
    """The kinds of failure, or "holds"."""
    result = explore(scenario)
    assert result.complete
    return ", ".join(sorted({failure.kind for failure in result.failures})) or "holds"


def victims(scenario):
    """What is used after it was freed: "kvm", "irqfd", "eventfd"; and what else goes wrong, by kind."""
    found = set()
    for failure in explore(scenario).failures:
        used = re.search(r"uses (\w+)#", failure.message)
        found.add(used[1] if used else failure.kind)
    return found


#: For each change: the verdict if the machine is closed, the eventfd, or the eventfd with a signaller of its own; and
#: what goes wrong if both are closed. (Without any change, that is {"irqfd", "error"}.)
TABLE = {
    "VmClose": ("holds", "holds", "holds", {"irqfd", "error"}),
    "NoGracePeriod": ("use-after-free", "holds", "holds", {"irqfd", "error", "kvm"}),
    "NoGracePeriodNoFlush": (
        "use-after-free", "at_end, error, use-after-free", "error, use-after-free", {"irqfd", "error", "kvm"}
    ),
    "MachinePutFirst": ("holds", "holds", "holds", {"irqfd", "error"}),
    "NoFlush": ("holds", "at_end, error, use-after-free", "error, use-after-free", {"irqfd", "error"}),
    "MachinePutFirstNoFlush": (
        "holds", "at_end, error, use-after-free", "error, use-after-free", {"irqfd", "error", "kvm"}
    ),
    "NulledTooLate": ("use-after-free", "holds", "holds", {"irqfd", "error", "kvm"}),
    "ReaderLeavesEarly": ("use-after-free", "holds", "holds", {"irqfd", "error", "kvm"}),
    "NoMutex": ("holds", "holds", "holds", {"irqfd", "error", "kvm"}),
    "ReadAgain": ("at_end", "holds", "holds", {"irqfd", "at_end"}),
    "InjectReadsAgain": ("assertion", "holds", "holds", {"irqfd", "error", "assertion"}),
    "GracePeriodUnderTheLock": ("deadlock", "holds", "holds", {"irqfd", "error", "deadlock"}),
    "FlushUnderTheLock": ("holds", "deadlock", "deadlock", {"irqfd", "error", "kvm", "deadlock"}),
    "FlushedThenUnhooked": ("holds", "holds", "error, use-after-free", {"irqfd", "error"}),
    "ReleaseInDestroy": ("at_end", "holds", "holds", set()),
}


@pytest.mark.parametrize("change", (irqfd.VmClose, *irqfd_mutations.CHANGES), ids=lambda change: change.__name__)
def test_every_change_on_every_side(change):
    """The machine says of each change what the table says, whichever side is closed."""
    sides = [verdict(change(**side)) for side in (VM, EVENTFD, EVENTFD | OWN)]
    assert (*sides, victims(change(**BOTH))) == TABLE[change.__name__]


def said(scenario):
    """The messages of all failures."""
    return {failure.message for failure in explore(scenario).failures}


def test_hazard_1_the_loser_locks_what_the_winner_has_freed():
    """The machine's side has picked the irqfd, the eventfd's side has freed it: its mutex is used."""
    assert "vmm uses irqfd#0.lock after device freed irqfd#0" in said(irqfd.BothClose(events=0))


def test_hazard_2_the_loser_frees_what_the_winner_still_uses():
    """The machine's side has won, and is about to take the irqfd off the list, or to wait for its readers."""
    messages = said(irqfd.BothClose(events=0))
    assert "vmm uses irqfd#0.list after device freed irqfd#0" in messages
    assert "vmm uses irqfd#0.srcu after device called cleanup_srcu_struct" in messages


def test_hazard_3_the_next_one_is_freed_while_the_walker_waits():
    """Of two irqfds, the second is freed while the machine's side is at the first; the walk then goes on there."""
    failures = explore(irqfd.TwoIrqfds(events=0)).failures
    (walks,) = (f for f in failures if "on from irqfd#1" in f.message)
    assert walks.kind == "error"
    assert any("list_next(irqfd#1.list)" in str(f) and "after device freed irqfd#1" in f.message for f in failures)


def test_the_walk_has_one_hazard_more():
    """The irqfd that the walker stands at is taken off: the pointer to the next one is poisoned already."""
    assert "vmm goes on from irqfd#0, which has been taken off its list" in said(irqfd.BothClose(events=0))


@pytest.mark.parametrize("share_of_spread", [0.1, 0.5])
def test_the_window_is_a_grace_period_long(share_of_spread):
    """Where both sides close at random moments, hazard 2 strikes if the eventfd's comes in the grace period."""
    grace, spread_us = int(share_of_spread * 1_000_000), 1_000
    costs = Costs({synchronize_srcu: grace})
    runs = simulate_many(irqfd.BothCloseInTime(spread_us=spread_us), seeds=200, costs=costs, executor=False)
    part = runs.share(lambda run: run.fault is not None)
    # Of two moments that are spread evenly, the second comes less than g after the first, g in parts of the spread: the
    # area of a strip under the diagonal. The windows of the other hazards are some 100 ns long.
    expected = share_of_spread - share_of_spread**2 / 2
    assert part.low < expected < part.high


@pytest.mark.parametrize("irqfds", [1, 2, 3])
def test_more_irqfds_change_no_verdict(irqfds):
    """With more irqfds on the machine's list, the reviewed path and the merged design still hold."""
    assert verdict(irqfd.VmClose(irqfds=irqfds)) == "holds"
    assert verdict(irqfd_merged.Merged(irqfds=irqfds)) == "holds"


@pytest.mark.parametrize("side", [VM, EVENTFD, BOTH, VM | OWN, EVENTFD | OWN, BOTH | OWN])
def test_the_merged_design_holds_on_every_side(side):
    """Whoever closes, and whoever signals."""
    assert verdict(irqfd_merged.Merged(**side)) == "holds"


#: Changes of the merged design that need both sides, or one of them.
SIDES = {
    irqfd_merged.NotTested: ("holds", "holds"),
    irqfd_merged.ListDel: ("holds", "holds"),
    irqfd_merged.HangupTakesNoLock: ("holds", "holds"),
    irqfd_merged.HangupToldUnlocked: ("holds", "holds"),
    irqfd_merged.NotFlushed: ("use-after-free", "use-after-free"),
    irqfd_merged.FlushedFirst: ("use-after-free", "holds"),
    irqfd_merged.NoContextReference: ("holds", "use-after-free"),
    irqfd_merged.ReleaseDoesNotWait: ("use-after-free", "holds"),
    irqfd_merged.ShutDownAtOnce: ("holds", "deadlock"),
    irqfd_merged.ContextPutFirst: ("holds", "holds"),
}


@pytest.mark.parametrize("change", SIDES, ids=lambda change: change.__name__)
def test_changes_of_the_merged_design_on_one_side(change):
    """Which side a change of the merged design needs to do harm."""
    assert (verdict(change(**VM)), verdict(change(**EVENTFD))) == SIDES[change]


def test_a_flush_less_shutdown_frees_the_machine_under_the_worker():
    """Without the flush, the worker uses not only the irqfd but the machine after it was freed."""
    assert {"kvm", "irqfd"} <= victims(irqfd_merged.NotFlushed())


def test_without_events_an_irqfd_still_needs_its_maker_waited_for():
    """No interrupt has to come for the assign to lose its irqfd."""
    for change in (irqfd_today.AssignNotWaitedFor, irqfd_today.SectionEndsEarly):
        assert verdict(change(events=0)) == verdict(change(events=1)) == "error, use-after-free"


@pytest.mark.parametrize(("readers", "updates", "expected"), [
    (1, 1, "holds"), (2, 1, "holds"), (1, 2, "use-after-free"), (2, 2, "use-after-free"),
])
def test_one_scan_fails_at_the_second_grace_period(readers, updates, expected):
    """A reader that was held up between index and count is missed by the grace period after the next flip."""
    assert verdict(srcu_counters.OneScan(readers=readers, updates=updates)) == expected


@pytest.mark.parametrize(("readers", "updates", "expected"), [
    (1, 1, "holds"), (1, 2, "holds"), (2, 1, "use-after-free"),
])
def test_the_order_of_the_sums_needs_two_readers(readers, updates, expected):
    """Who comes and goes between the two sums hides who is still in."""
    assert verdict(srcu_counters.LocksSummedFirst(readers=readers, updates=updates)) == expected
