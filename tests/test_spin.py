"""The engine agrees with Spin: models of the same races, written by hand for another checker.

Each model in tests/spin prints the outcome of every complete schedule and "deadlock" where nobody
can go on, and asserts its property (or, where it has several, prints "failure" and the kind). Spin
searches it without any reduction; the outcomes and the failures that it finds must be the ones that
`explore` finds.
"""

import shutil
import subprocess
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vmbus_teach import Exploration, Scenario, explore, thread
from vmbus_teach.checkers.properties import View
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Struct,
    kfree,
    kzalloc,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    synchronize_rcu,
)
from vmbus_teach.kernel.heap import Freed
from vmbus_teach.scenarios import (
    affinity,
    array_chain,
    array_forbids,
    array_ordering,
    classics,
    cpu_offline,
    global_array,
    irqfd,
    irqfd_merged,
    irqfd_mutations,
    offer_rescind,
    rescind_queue,
    rescind_strategies,
    retarget,
    ring,
    srcu_counters,
    synic,
    synic_online,
    vgic_flush,
    vgic_lookup,
    vgic_put,
    vgic_reuse,
)

MODELS = Path(__file__).parent / "spin"

#: What an end of a scenario is called, as numbers: (scenario, state) -> numbers.
Outcome = Callable[[Any, Any], tuple[int, ...]]


class Found(NamedTuple):
    """What a checker says of a model: the kinds of its failures, and how its complete schedules can end."""

    failures: Set[str]
    outcomes: Set[tuple[int, ...]]


def ask_spin(model: str, macros: list[str], kind: str, folder: Path) -> Found:
    """Searches tests/spin/<model>.pml completely. ``kind`` is what a violated assertion of it means."""
    defined = [f"-D{macro}" for macro in macros]
    _run(["spin", *defined, "-a", str(MODELS / f"{model}.pml")], folder)
    # -w: Spin's own code has warnings. The models are so small that compiling takes longest.
    _run([compiler(), "-w", "-DSAFETY", "-DNOREDUCE", "-DPRINTF", "-o", "pan", "pan.c"], folder)
    # -c0: past all failures. -E: a blocked end is judged by the model itself. -m, -w: deep enough, and a small table.
    lines = _run(["./pan", "-c0", "-E", "-m100000", "-w18"], folder).splitlines()
    assert any("states, stored" in line for line in lines)
    assert not any("Search not completed" in line or "depth too small" in line for line in lines)
    said = [line.split() for line in lines if line.strip()]
    failures = {"deadlock"} if ["deadlock"] in said else set()
    failures |= {words[1] for words in said if words[0] == "failure"}
    if any("assertion violated" in line for line in lines):
        failures.add(kind)
    return Found(failures, {tuple(map(int, words[1:])) for words in said if words[0] == "outcome"})


def compiler() -> str:
    """The C compiler that takes the least time, of those that are there."""
    return "tcc" if shutil.which("tcc") else "gcc"


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def ask_engine(scenario: Scenario, outcome: Outcome | None) -> Found:
    """The same of ``explore``, with identical tasks merged and without: both must say the same."""
    found = [_found(explore(scenario, symmetry=symmetry), outcome) for symmetry in (True, False)]
    assert found[0] == found[1]
    return found[0]


def _found(result: Exploration, outcome: Outcome | None) -> Found:
    assert result.complete
    graph = result.graph
    ends = [*graph.ends, *(number for number, (kind, _) in graph.failing_states.items() if kind == "at_end")]
    views = [View(result.machine, graph.states[number]) for number in ends] if outcome else []
    return Found({f.kind for f in result.failures}, {outcome(result.scenario, view) for view in views})


# --- a race for which the course has no scenario ------------------------------------------------------


class Replace(Scenario):
    """A writer replaces an object and frees the old one while two readers read it, twice each."""

    def setup(self, rounds=1):
        self.rounds = rounds
        self.thing = Struct("thing", value=0)
        self.current = Cell(self.thing.new())
        self.sums = [Cell(0), Cell(0)]
        for me in (0, 1):
            self.add_thread(self.reader, me)

    def reader(self, me):
        for _ in range(2):
            yield rcu_read_lock()
            thing = yield rcu_dereference(self.current)
            value = yield READ_ONCE(thing.value)
            before = yield READ_ONCE(self.sums[me])
            yield WRITE_ONCE(self.sums[me], before * 4 + value + 1)
            yield rcu_read_unlock()

    @thread()
    def writer(self):
        for number in range(self.rounds):
            old = yield rcu_dereference(self.current)
            new = yield kzalloc(self.thing, value=number + 1)
            yield from self.replace(new)
            yield kfree(old)

    def replace(self, new):
        yield rcu_assign_pointer(self.current, new)
        yield synchronize_rcu()


class ReplaceWithoutWaiting(Replace):
    """No grace period."""

    def replace(self, new):
        yield rcu_assign_pointer(self.current, new)


class ReplaceTooLate(Replace):
    """A grace period, but before the old object is taken away."""

    def replace(self, new):
        yield synchronize_rcu()
        yield rcu_assign_pointer(self.current, new)


# --- the models ----------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A model with its macros, and the scenario that must behave the same."""

    model: str
    macros: list[str]
    scenario: Scenario


def end_of_channel(self: Any, s: Any) -> tuple[int, ...]:
    """How often the host was told that the relid is free again, and whether the channel is listed, and freed."""
    told = s[self.relid_released[offer_rescind.RELID]]
    return (told, len(s[self.chn_list]), isinstance(s[self.vmbus_channel.objects[0]], Freed))


def are_freed(s: Any, *objects: Any) -> tuple[bool, ...]:
    """Of each of these, whether it has been freed."""
    return tuple(isinstance(s[thing], Freed) for thing in objects)


def end_of_lpi(self: Any, s: Any) -> tuple[int, ...]:
    """Whether the LPI is still in the list or array, whether it was made pending, and whether it is freed."""
    left = s[self.lpi_xa] if hasattr(self, "lpi_xa") else s[self.lpi_list]
    return (len(left), s[self.irq.pending], isinstance(s[self.irq], Freed))


def end_of_number(self: Any, s: Any) -> tuple[int, ...]:
    """Which LPI is mapped, and which is found (2: none); whether the old one and the new one are freed."""
    two = self.vgic_irq.objects
    which = {two[0]: 0, two[1]: 1, None: 2}
    found = dict(s[self.lpi_xa]).get(vgic_reuse.INTID)
    return (which[s[self.mapped]], which[found], *(isinstance(s[irq], Freed) for irq in two))


#: For each model: what a violated assertion is called here, and the outcome that it prints.
MEANING: dict[str, tuple[str, Outcome | None]] = {
    "increments": ("at_end", lambda self, s: (s[self.count],)),
    "list_move": ("at_end", lambda self, s: (s[self.missed],)),
    "peterson": ("invariant", None),
    "lock_in_handler": ("at_end", lambda self, s: (s[self.events],)),
    "abba": ("at_end", lambda self, s: ()),
    "rcu": ("use-after-free", lambda self, s: tuple(s[cell] for cell in self.sums)),
    "retarget": ("at_end", lambda self, s: (s[self.ring], *(retarget.RELID in s[c] for c in self.chan_list))),
    "message_slot": ("at_end", lambda self, s: (s[self.handled],)),
    "event_flags": ("at_end", lambda self, s: (s[self.ring[1]], s[self.ring[2]])),
    "ring": ("at_end", lambda self, s: (s[self.write_index] - s[self.read_index],)),
    "channel_removal": (
        "use-after-free",
        lambda self, s: (s[self.channel.interrupts], isinstance(s[self.channel], Freed)),
    ),
    "open_chain": ("at_end", lambda self, s: (s[self.ring],)),
    "offer_rescind": ("at_end", lambda self, s: (s[self.r1] is not None,)),
    "resume_release": (
        "at_end",
        lambda self, s: (s[self.r1] == array_forbids.RELID, s[self.channels[array_forbids.RELID]] is not None),
    ),
    "rescind": ("none is asserted", lambda self, s: end_of_channel(self, s)),
    "rescind_queue": ("none is asserted", lambda self, s: end_of_channel(self, s)),
    "rescind_events": ("assertion", lambda self, s: end_of_channel(self, s)),
    "store_buffer": ("at_end", lambda self, s: (1 + ["new", "old", "no channel"].index(s[self.used]),)),
    "two_doors": (
        "at_end", lambda self, s: (s[self.target_cpu], s[self.desc.effective_affinity], s[self.host_target])
    ),
    "srcu_counters": (
        "use-after-free", lambda self, s: (s[self.srcu_idx], s[self.lock_count[0][0]], s[self.lock_count[-1][1]])
    ),
    "irqfd": (
        "none is asserted",
        lambda self, s: (*are_freed(s, self.kvm, self.irqfd[0]), bool(s[self.kvm.irqfds]), s[self.kvm.edges]),
    ),
    "irqfd_merged": (
        "none is asserted", lambda self, s: (*are_freed(s, self.kvm, self.irqfd[0], self.ctx[0]), s[self.kvm.edges])
    ),
    "lpi_put": (
        "none is asserted",
        lambda self, s: tuple(intid in dict(s[self.lpi_xa]) for intid in (vgic_put.INTID, vgic_put.OTHER)),
    ),
    "lpi_flush": (
        "none is asserted",
        lambda self, s: (
            *(intid in dict(s[self.lpi_xa]) for intid in (vgic_put.INTID, vgic_put.OTHER)),
            *(number in s[self.ap_list] for number in (vgic_put.OTHER, vgic_flush.TIMER)),
        ),
    ),
    "lpi_lookup": ("none is asserted", end_of_lpi),
    "lpi_reuse": ("at_end", end_of_number),
    "cpu_offline": (
        "at_end", lambda self, s: (s[self.ring], cpu_offline.DYING not in s[self.cpu_online_mask], s[self.target_cpu])
    ),
}

RETARGET = [
    retarget.PerCpuLists,
    retarget.HostIsLate,
    retarget.HostIsEarly,
    retarget.EnqueueFirst,
    retarget.OnBothLists,
    retarget.WithALock,
    retarget.InterruptsOff,
    retarget.WaitForTheHost,
    retarget.WaitAndDrain,
    retarget.PassItOn,
    retarget.GlobalArray,
]

REMOVAL = [
    global_array.ChannelRemoval,
    global_array.FreedAtOnce,
    global_array.FreedThenUnmapped,
    global_array.NeverUnmapped,
    global_array.WaitAndFree,
    global_array.WaitTooEarly,
    global_array.NoReadLock,
    global_array.InAThread,
    global_array.InAThreadNoReadLock,
    global_array.LockInTheChannel,
    global_array.LockAroundTheArray,
    global_array.LockAroundTheUse,
    global_array.LockWithInterruptsOn,
]

#: The models whose variants have the scenarios' names.
BY_NAME = {
    "message_slot": [
        synic.Messages,
        synic.PendingReadFirst,
        synic.EomBeforeEmptying,
        synic.NeverEom,
        synic.AlwaysEom,
        synic.EmptiedTooEarly,
        synic.PlainStore,
        synic.CrashingCpu,
        synic.CrashingCpuPlainStore,
        synic.CrashingCpuSameType,
    ],
    "event_flags": [
        synic.EventFlags,
        synic.WordCleared,
        synic.WordExchanged,
        synic.ScanOfACopy,
        synic.ClearedAfterwards,
        synic.ClearedAfterwardsAlwaysRaised,
    ],
    "ring": [
        ring.Batched,
        ring.NoRecheck,
        ring.RecheckedTooEarly,
        ring.ReadAgainUnmasked,
        ring.NeverMasked,
        ring.NeverMaskedNoRecheck,
        ring.HostLooksFirst,
        ring.HostAlwaysSignals,
        ring.Direct,
        ring.DirectOnce,
        ring.InIsr,
        ring.InIsrNeverUnmasked,
        ring.InIsrReadsAll,
    ],
    "open_chain": [
        array_chain.OpenChain,
        array_chain.HostSignalsEarly,
        array_chain.QueuedBeforeMapped,
        array_chain.CallbackAfterOpen,
        array_chain.LooksUpFirst,
    ],
    "offer_rescind": [
        array_forbids.OfferAgainstRescind,
        array_forbids.OfferUnlocked,
        array_forbids.RescindUnlocked,
        array_forbids.RescindDoesNotWait,
        array_forbids.CountedDownBeforeLock,
        array_forbids.MappedAfterUnlock,
        array_forbids.CountedDownLast,
        array_forbids.CountedDownLastUnlocked,
    ],
    "resume_release": [
        array_forbids.ResumeAgainstRelease,
        array_forbids.ResumeUnlocked,
        array_forbids.ReleaseUnlocked,
        array_forbids.ResumeMapsAfterUnlock,
        array_forbids.ReleaseUnmapsAfterUnlock,
        array_forbids.MappedFirst,
        array_forbids.MappedFirstUnlocked,
        array_forbids.RelidIsUsedAgain,
        array_forbids.RelidStaysValid,
    ],
    "store_buffer": [
        array_ordering.BufferedOnce,
        array_ordering.BufferedRelease,
        array_ordering.BufferedFullBarrier,
        array_ordering.QueueOnce,
    ],
    "two_doors": [
        affinity.TwoDoors,
        affinity.SysfsAsBefore,
        affinity.SysfsTellsBoth,
        affinity.SysfsTakesTheLock,
        affinity.SysfsWithoutMutex,
        affinity.TargetNotedFirst,
        affinity.NoDescriptorLock,
        affinity.Closing,
        affinity.ClosingBySysfsAlone,
        affinity.ClosingUnderTheLock,
    ],
    "cpu_offline": [
        cpu_offline.AutomaticMigration,
        cpu_offline.MigrationSynicOffLast,
        cpu_offline.MigrationThenLook,
        cpu_offline.MigrationLookTooEarly,
        cpu_offline.Race11,
        cpu_offline.WaitsForModifychannel,
        cpu_offline.PollsFiveTimes,
        cpu_offline.PollsThenRefuses,
        cpu_offline.LooksThenWaits,
        cpu_offline.NeverLooks,
        cpu_offline.SynicOffThenWaits,
        cpu_offline.CountedBeforeTheSearch,
        cpu_offline.CountedAfterTheTarget,
        cpu_offline.HostLooksUpEarly,
        cpu_offline.TwoSetters,
        cpu_offline.TwoSettersCountedFirst,
        cpu_offline.TwoSettersPlainCount,
        cpu_offline.TwoSettersOneLock,
        synic_online.Race12,
        synic_online.Race12BeforeTheSeries,
        synic_online.SynicOnline,
        synic_online.NoLock,
        synic_online.LockAroundTheLook,
        synic_online.ClearedAfterTheSearch,
        synic_online.SearchedThenCleared,
        synic_online.NeverSetOnlineAgain,
        synic_online.LooksTwice,
        synic_online.GracePeriodInsteadOfLock,
        synic_online.PatchedBothWays,
        synic_online.PatchedTwoSetters,
    ],
}

RESCIND = [
    offer_rescind.OfferAndRescind,
    offer_rescind.UnlinksOnFailure,
    offer_rescind.AnswersOnFailure,
    offer_rescind.LinkedFirst,
    rescind_strategies.GetPut,
    rescind_strategies.NeverFree,
    rescind_strategies.DelayedFree,
    rescind_strategies.FlagAndRemove,
    rescind_strategies.GetTooLate,
    rescind_strategies.PutFirst,
]

RESCIND_QUEUE = [
    rescind_strategies.OneQueueAlone,
    rescind_strategies.OneQueue,
    rescind_strategies.OneQueueRcu,
    rescind_strategies.AnswersTooOften,
    rescind_queue.OwnRescindQueue,
    rescind_queue.CountedDownAlways,
    rescind_queue.CountedDownEarly,
    rescind_queue.Referenced,
    rescind_queue.CountedDownTooEarly,
    rescind_queue.WokenTooLate,
    rescind_queue.ReferencedTooLate,
    rescind_queue.NotWaitedForProbe,
]

#: Who closes an irqfd, as macros of the model and as parameters of the scenario; and the changes compared there.
IRQFD: list[tuple[list[str], dict[str, bool], tuple[type[Scenario], ...]]] = [
    (["VM"], {"vm": True, "eventfd": False}, (
        irqfd.VmClose,
        irqfd_mutations.NoGracePeriod,
        irqfd_mutations.MachinePutFirst,
        irqfd_mutations.NulledTooLate,
        irqfd_mutations.ReaderLeavesEarly,
        irqfd_mutations.ReadAgain,
        irqfd_mutations.InjectReadsAgain,
        irqfd_mutations.GracePeriodUnderTheLock,
    )),
    (["EVENTFD"], {"vm": False, "eventfd": True}, (
        irqfd_mutations.NoGracePeriod,
        irqfd_mutations.NoGracePeriodNoFlush,
        irqfd_mutations.FlushedThenUnhooked,
    )),
    (["EVENTFD", "OWN"], {"vm": False, "eventfd": True, "own_signaller": True}, (
        irqfd.VmClose,
        irqfd_mutations.NoFlush,
        irqfd_mutations.FlushUnderTheLock,
        irqfd_mutations.FlushedThenUnhooked,
    )),
    (["VM", "EVENTFD"], {"vm": True, "eventfd": True}, (
        irqfd.VmClose,
        irqfd_mutations.NoMutex,
        irqfd_mutations.MachinePutFirst,
        irqfd_mutations.MachinePutFirstNoFlush,
    )),
]

MERGED = [
    irqfd_merged.Merged,
    irqfd_merged.NotTested,
    irqfd_merged.ListDel,
    irqfd_merged.HangupTakesNoLock,
    irqfd_merged.NotFlushed,
    irqfd_merged.FlushedFirst,
    irqfd_merged.ContextPutFirst,
    irqfd_merged.NoContextReference,
    irqfd_merged.ReleaseDoesNotWait,
    irqfd_merged.ShutDownAtOnce,
    irqfd_merged.HangupToldUnlocked,
]

SRCU = [
    srcu_counters.TwoScans,
    srcu_counters.OneScan,
    srcu_counters.OneScanOneStep,
    srcu_counters.IdleScanOnly,
    srcu_counters.NoFlip,
    srcu_counters.FlipBetweenBoth,
    srcu_counters.LocksSummedFirst,
]

#: Which form of erasing has which number in the models.
FORM = {form: number for number, form in enumerate(vgic_put.VARIANTS)}

#: Where the second last put comes from: the model's macro, and the scenario's parameters.
SECOND = {
    "HANDLER_CPU=0": {"second": "interrupt", "second_cpu": 0},
    "HANDLER_CPU=1": {"second": "interrupt", "second_cpu": 1},
    "TASK": {"second": "task", "second_cpu": 1},
}

LOOKUP: list[tuple[type[Scenario], list[str]]] = [
    (vgic_lookup.LpiList, ["ONE_LOCK"]),
    (vgic_lookup.LpiXarray, ["ONE_LOCK"]),
    (vgic_lookup.LpiRcu, []),
    (vgic_lookup.GetWithoutUnlessZero, ["NO_UNLESS_ZERO"]),
    (vgic_lookup.LpiFreedAtOnce, ["FREED_AT_ONCE"]),
    (vgic_lookup.ErasedAfterFree, ["ERASED_AFTER_FREE"]),
    (vgic_lookup.LookUpNoReadLock, ["NO_READ_LOCK"]),
    (vgic_lookup.NoReference, ["NO_REFERENCE"]),
    (vgic_lookup.NoReferenceUsedInside, ["INSIDE"]),
]

_MERGED = ["UNDER_LOCK", "EVICTS", "BY_COUNT"]
REUSE: list[tuple[type[Scenario], list[str]]] = [
    (vgic_reuse.LastPutAgainstNew, []),
    (vgic_reuse.ZeroUnderTheLock, _MERGED),
    (vgic_reuse.ZeroUnderTheLockNotEvicted, ["UNDER_LOCK", "BY_COUNT"]),
    (vgic_reuse.EvictedZeroOutside, ["EVICTS"]),
    (vgic_reuse.ErasesItsOwnOnly, ["OWN_ONLY"]),
    (vgic_reuse.LooksThenPuts, [*_MERGED, "LOOKS"]),
    (vgic_reuse.PutsUnderTheLock, [*_MERGED, "ALWAYS"]),
]

CASES = [
    *(
        Case("increments", [f"T={threads}", f"N={times}"], classics.Increments(threads=threads, times=times))
        for threads in (2, 3)
        for times in (1, 2)
    ),
    Case("increments", ["ATOMIC", "T=3"], classics.AtomicIncrements(threads=3)),
    Case("increments", ["LOCKED", "T=3", "N=2"], classics.LockedIncrements(threads=3, times=2)),
    Case("list_move", ["R=1"], classics.ListMove(readers=1)),
    Case("list_move", ["R=3"], classics.ListMove(readers=3)),
    Case("list_move", ["PUT_ON_FIRST", "R=3"], classics.ListMovePutOnFirst(readers=3)),
    Case("peterson", [], classics.Peterson()),
    Case("peterson", ["TURN_FIRST"], classics.PetersonTurnFirst()),
    Case("lock_in_handler", [], classics.LockInHandler()),
    Case("lock_in_handler", ["IRQSAVE"], classics.LockInHandlerIrqsave()),
    Case("abba", [], classics.AbBa()),
    Case("abba", ["SAME_ORDER"], classics.AbAb()),
    Case("rcu", ["ROUNDS=2"], Replace(rounds=2)),
    Case("rcu", ["NO_WAIT"], ReplaceWithoutWaiting()),
    Case("rcu", ["LATE_UNPUBLISH"], ReplaceTooLate()),
    *(Case("retarget", [c.__name__, f"MESSAGES={m}"], c(messages=m)) for c in RETARGET for m in (1, 2)),
    *(Case("channel_removal", [c.__name__], c(removal_cpu=1)) for c in REMOVAL),
    *(Case("channel_removal", [c.__name__, "SAME_CPU"], c(removal_cpu=0)) for c in REMOVAL),
    *(Case("rescind", [c.__name__], c()) for c in RESCIND),
    *(Case("rescind", [c.__name__, "ONE_CPU"], c(one_cpu=True)) for c in RESCIND),
    *(Case("rescind", [c.__name__, "OPENS"], c(opens=True)) for c in RESCIND),
    *(Case("rescind", [c.__name__, "KEPT"], c(rescinded=False)) for c in RESCIND),
    Case("rescind", ["GetPut", "LUCKY"], rescind_strategies.GetPut(may_fail=False)),
    *(Case("rescind_queue", [c.__name__], c()) for c in RESCIND_QUEUE),
    *(Case("rescind_queue", [c.__name__, "OPENS"], c(opens=True)) for c in RESCIND_QUEUE),
    *(
        Case("rescind_events", [c.__name__, f"EVENTS={events}"], c(events=events, may_fail=False))
        for c in (rescind_strategies.OneQueue, rescind_strategies.OneQueueDrained, rescind_strategies.OneQueueRcu)
        for events in (1, 2)
    ),
    *(Case(model, [c.__name__], c()) for model, scenarios in BY_NAME.items() for c in scenarios),
    *(Case("irqfd", [c.__name__, *macros], c(**side)) for macros, side, changes in IRQFD for c in changes),
    *(Case("irqfd_merged", [c.__name__, "VM", "EVENTFD"], c()) for c in MERGED),
    *(Case("srcu_counters", [c.__name__], c()) for c in SRCU),
    Case("srcu_counters", ["OneScan", "R=1"], srcu_counters.OneScan(readers=1)),
    Case("srcu_counters", ["OneScan", "UPDATES=1"], srcu_counters.OneScan(updates=1)),
    Case("srcu_counters", ["LocksSummedFirst", "R=1"], srcu_counters.LocksSummedFirst(readers=1)),
    *(
        Case("lpi_put", [f"FORM={FORM[form]}", where, *["ENCLOSED"] * enclosed],
             vgic_put.LastPuts(erase=form, enclosed=enclosed, **SECOND[where]))
        for form in FORM for where in SECOND for enclosed in (False, True)
    ),
    *(
        Case("lpi_flush", [f"FORM={FORM[form]}", f"INTERRUPTED={cpu}", *macros], c(erase=form, interrupted=cpu))
        for c, forms, macros in (
            (vgic_flush.FlushAgainstPut, ("xa_erase", "xa_erase_irq", vgic_put.IRQSAVE), []),
            (vgic_flush.DeferredRelease, ("xa_erase", vgic_put.IRQSAVE), ["DEFERRED"]),
            (vgic_flush.ListInsideXarray, (vgic_put.IRQSAVE,), ["INSIDE"]),
            (vgic_flush.ListInsideXarrayDeferred, (vgic_put.IRQSAVE,), ["INSIDE", "DEFERRED"]),
        )
        for form in forms for cpu in (0, 1)
    ),
    *(
        Case("lpi_lookup", [*macros, *["READER_IS_TASK"] * in_a_task], c(in_a_task=in_a_task))
        for c, macros in LOOKUP for in_a_task in (False, True)
    ),
    *(
        Case("lpi_reuse", [*macros, f"DIRECT={direct}", f"DEFERRED={deferred}", *["NOBODY_MAPS"] * (not again)],
             c(puts=("direct",) * direct + ("deferred",) * deferred, mapped_again=again))
        for c, macros in REUSE
        for direct, deferred, again in ((1, 0, True), (0, 1, True), (2, 0, True), (1, 1, True), (2, 0, False))
    ),
]


@pytest.mark.needs("spin")
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join([case.model, *case.macros]))
def test_the_engine_agrees_with_spin(case: Case, tmp_path: Path) -> None:
    """The same kinds of failures, and the same set of outcomes."""
    kind, outcome = MEANING[case.model]
    found = ask_spin(case.model, case.macros, kind, tmp_path)
    assert ask_engine(case.scenario, outcome) == found
    assert found.failures or found.outcomes or case.model == "peterson"


def test_every_model_is_used() -> None:
    """A model that no case names would say nothing."""
    assert {case.model for case in CASES} == {path.stem for path in MODELS.glob("*.pml")}
