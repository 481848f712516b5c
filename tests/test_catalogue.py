"""Every race of the course has the verdict that the course says it has."""

from functools import cache

import pytest

from vmbus_teach import explore
from vmbus_teach.scenarios import catalogue
from vmbus_teach.views.page import IN_A_PAGE

ENTRIES = catalogue()
IDS = [entry.scenario.__name__ for entry in ENTRIES]

#: For the scenarios that fail: steps and switches of the shortest schedule.
SHORTEST = {
    "Increments": (4, 2),
    "ListMove": (6, 3),
    "PetersonTurnFirst": (9, 2),
    "LockInHandler": (4, 2),
    "AbBa": (2, 1),
    "PendingReadFirst": (11, 4),
    "EomBeforeEmptying": (12, 2),
    "NeverEom": (10, 2),
    "EmptiedTooEarly": (21, 4),
    "CrashingCpuPlainStore": (16, 3),
    "CrashingCpuSameType": (19, 5),
    "WordCleared": (15, 3),
    "ClearedAfterwards": (16, 4),
    "ClearedAfterwardsAlwaysRaised": (20, 4),
    "NoRecheck": (15, 4),
    "RecheckedTooEarly": (17, 4),
    "NeverMaskedNoRecheck": (15, 4),
    "HostLooksFirst": (17, 4),
    "HostAlwaysSignals": (14, 4),
    "DirectOnce": (14, 4),
    "InIsrNeverUnmasked": (14, 3),
    "InIsrTakesAMutex": (8, 1),
    "OneVectorNoRecheck": (21, 4),
    "PerCpuLists": (21, 7),
    "HostIsLate": (22, 7),
    "HostIsEarly": (22, 8),
    "EnqueueFirst": (21, 7),
    "OnBothLists": (18, 5),
    "WithALock": (27, 7),
    "InterruptsOff": (21, 5),
    "WaitForTheHost": (26, 8),
    "Retargeting": (16, 3),
    "FreedAtOnce": (9, 3),
    "FreedThenUnmapped": (9, 3),
    "NeverUnmapped": (9, 3),
    "NeverFreed": (8, 2),
    "PlainUnmap": (5, 1),
    "WaitTooEarly": (10, 4),
    "InAThreadNoReadLock": (11, 5),
    "LockInTheChannel": (11, 3),
    "LockAroundTheArray": (13, 3),
    "LockWithInterruptsOn": (7, 2),
    "HostSignalsEarly": (15, 6),
    "QueuedBeforeMapped": (15, 6),
    "CallbackAfterOpen": (16, 5),
    "LooksUpFirst": (18, 6),
    "OfferUnlocked": (7, 2),
    "RescindUnlocked": (7, 2),
    "RescindDoesNotWait": (8, 1),
    "CountedDownBeforeLock": (9, 2),
    "MappedAfterUnlock": (9, 2),
    "ResumeUnlocked": (7, 2),
    "ReleaseUnlocked": (7, 2),
    "ResumeMapsAfterUnlock": (9, 2),
    "RelidStaysValid": (8, 1),
    "BufferedOnce": (14, 4),
    "BufferedRelease": (15, 4),
    "QueueOnce": (15, 4),
    "OfferAndRescind": (21, 5),
    "AfterTheLink": (24, 6),
    "UnlinksOnFailure": (23, 4),
    "AnswersOnFailure": (23, 4),
    "LinkedFirst": (29, 6),
    "GetInOpen": (70, 15),
    "NeverFree": (28, 6),
    "DelayedFree": (30, 6),
    "FlagAndRemove": (29, 6),
    "OneQueueAlone": (16, 3),
    "QueuedBehind": (23, 4),
    "OwnRescindQueue": (21, 4),
    "CountedDownAlways": (18, 3),
    "CountedDownEarly": (29, 6),
    "OwnAddQueue": (31, 6),
    "GetTooLate": (26, 5),
    "GetUnlessZeroTooLate": (30, 6),
    "PutFirst": (21, 4),
    "PutForgotten": (30, 4),
    "FlagWithoutLock": (26, 5),
    "AnswersTooOften": (23, 3),
    "CountedDownTooEarly": (21, 4),
    "WokenTooLate": (25, 3),
    "ReferencedTooLate": (30, 6),
    "NotWaitedForProbe": (27, 4),
    "FreedMeanwhile": (31, 6),
    "NeverFreedAgain": (8, 0),
    "FreedAfterADelay": (11, 0),
    "ChannelFreedAtOnce": (24, 3),
    "ChannelFreedAtOnceNoWait": (22, 3),
    "DescriptorFreedAtOnce": (22, 3),
    "UnmappedTooLate": (19, 3),
    "NeverDisposed": (16, 3),
    "RequestedLateNoResend": (18, 3),
    "MappedLate": (13, 3),
    "CountedAtTheTop": (16, 3),
    "CountedAtBoth": (31, 4),
    "SysfsAsBefore": (17, 2),
    "SysfsTellsBoth": (18, 3),
    "NoDescriptorLock": (20, 3),
    "Closing": (25, 4),
    "ClosingMutexInTheChip": (3, 0),
    "AutomaticMigration": (26, 5),
    "MigrationSynicOffLast": (26, 5),
    "MigrationLookTooEarly": (28, 6),
    "Race11": (24, 5),
    "PollsFiveTimes": (37, 5),
    "SleepsOnly": (25, 5),
    "LooksThenWaits": (28, 6),
    "NeverLooks": (27, 5),
    "SynicOffThenWaits": (29, 6),
    "CountedBeforeTheSearch": (28, 6),
    "CountedAfterTheTarget": (28, 7),
    "HostLooksUpEarly": (30, 6),
    "TwoSetters": (24, 7),
    "TwoSettersPlainCount": (26, 7),
    "InTime": (28, 5),
    "PollsInTime": (41, 5),
    "SleepsInTime": (29, 5),
    "Race12": (24, 6),
    "NoLock": (26, 7),
    "LockAroundTheLook": (30, 7),
    "ClearedAfterTheSearch": (30, 6),
    "NeverSetOnlineAgain": (28, 6),
    "CpusLockInTheChip": (3, 0),
    "LooksTwice": (23, 6),
    "PatchedPlainCount": (17, 3),
    "SysfsHasNoAnswer": (25, 5),
    "RebindsWithoutWaiting": (25, 5),
    "BothClose": (28, 4),
    "TwoIrqfds": (24, 2),
    "BothCloseInTime": (16, 2),
    "NoGracePeriod": (21, 3),
    "NoGracePeriodNoFlush": (22, 1),
    "NoFlush": (23, 1),
    "MachinePutFirstNoFlush": (19, 2),
    "NulledTooLate": (22, 4),
    "ReaderLeavesEarly": (23, 3),
    "NoMutex": (26, 4),
    "ReadAgain": (18, 2),
    "InjectReadsAgain": (14, 3),
    "GracePeriodUnderTheLock": (18, 2),
    "FlushUnderTheLock": (17, 1),
    "FlushedThenUnhooked": (24, 3),
    "ReleaseInDestroy": (15, 2),
    "EarlyFput": (22, 2),
    "HupUnderTheLock": (17, 1),
    "HupUnderTheLockUnhooks": (11, 0),
    "BothBits": (17, 1),
    "ModuleUnloaded": (19, 1),
    "NotTested": (33, 4),
    "ListDel": (18, 1),
    "HangupTakesNoLock": (13, 2),
    "NotFlushed": (23, 2),
    "FlushedFirst": (20, 4),
    "NoContextReference": (20, 1),
    "ReleaseDoesNotWait": (16, 2),
    "ShutDownAtOnce": (18, 1),
    "HangupToldUnlocked": (25, 4),
    "InterruptsStayOn": (7, 3),
    "AssignNotWaitedFor": (13, 2),
    "SectionEndsEarly": (16, 2),
    "WaitsUnderTheLock": (2, 0),
    "WaitsBeforeTheLock": (14, 3),
    "WaitsAfterTheLock": (13, 2),
    "PollDiscarded": (15, 1),
    "CountedBeforeHooked": (15, 2),
    "OneScan": (24, 4),
    "IdleScanOnly": (14, 2),
    "LocksSummedFirst": (23, 5),
    "PlainErase": (6, 2),
    "EnclosedEraseIrq": (8, 2),
    "EraseIrq": (7, 1),
    "EraseBh": (4, 1),
    "GotInTheHandlerPlainErase": (11, 4),
    "FlushPlainErase": (10, 3),
    "FlushEraseIrq": (15, 3),
    "PutInTheHandlerAgain": (11, 3),
    "ListInsideXarray": (8, 3),
    "GetWithoutUnlessZero": (6, 2),
    "LpiFreedAtOnce": (10, 3),
    "ErasedAfterFree": (8, 3),
    "LookUpInATaskNoReadLock": (8, 3),
    "CacheHit": (17, 3),
    "CacheHitGetsTooLate": (13, 3),
    "ReturnsWithTheLock": (40, 2),
    "StoreMaySleep": (7, 0),
    "ReservesUnderTheLock": (7, 0),
    "ReleasesUnderXaLock": (28, 2),
    "LastPutAgainstNew": (13, 3),
    "DeferredAgainstNew": (15, 2),
    "ZeroUnderTheLockNotEvicted": (15, 3),
    "EvictedZeroOutside": (12, 2),
    "ErasesItsOwnOnlyDeferred": (15, 2),
    "LooksThenPuts": (4, 2),
}


@cache
def searched(number, symmetry=True):
    """What a search finds in the scenario with this number; each is searched once for all tests."""
    return explore(ENTRIES[number].make(), symmetry=symmetry)


def search(entry, symmetry=True):
    """The same, of an entry."""
    return searched(ENTRIES.index(entry), symmetry)


def has_twins(entry):
    """Whether two of its tasks execute the same program with the same arguments."""
    programs = [(c.program, c.args) for c in entry.make().cast.contexts if c.kind in ("task", "host") and c.program]
    return any(programs.count(program) > 1 for program in programs)


WITH_TWINS = [entry for entry in ENTRIES if has_twins(entry)]


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_verdict(entry):
    """The scenario is searched completely, and ends in the kinds of failure that the catalogue names."""
    result = search(entry)
    kinds = ", ".join(sorted({failure.kind for failure in result.failures})) or "holds"
    assert result.complete
    assert kinds == entry.expected


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_shortest(entry):
    """The schedule that is shown has the length and the number of switches that it had when it was last read."""
    failures = search(entry).failures
    found = (len(failures[0].schedule), failures[0].schedule.switches) if failures else None
    assert found == SHORTEST.get(entry.scenario.__name__)


@pytest.mark.parametrize("entry", WITH_TWINS, ids=[IDS[ENTRIES.index(entry)] for entry in WITH_TWINS])
def test_merging_identical_tasks_changes_no_verdict(entry):
    """With identical tasks told apart there are no fewer states, and the same schedules and failures."""
    merged, apart = search(entry), search(entry, symmetry=False)
    assert apart.states >= merged.states
    assert apart.schedules == merged.schedules
    assert apart.outcomes == merged.outcomes
    assert {f.kind for f in apart.failures} == {f.kind for f in merged.failures}


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_has_room_in_a_page(entry):
    """A page that works without a kernel can hold every state."""
    assert search(entry, symmetry=False).states <= IN_A_PAGE


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_entry_is_told(entry):
    """Each scenario has a title, a source, and a docstring for the reader."""
    assert entry.title
    assert entry.source
    assert entry.scenario.__doc__


def test_two_messages_can_both_stay():
    """After a lost interrupt the host is silent: the second message stays in the ring, too."""
    from vmbus_teach.scenarios.retarget import PerCpuLists

    result = explore(PerCpuLists(messages=2))
    assert any("2 in the ring" in failure.message for failure in result.failures)
