"""The races of the course, one or more files per chapter, and the list of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..scenario import Scenario
from . import (
    affinity,
    array_chain,
    array_forbids,
    array_lookup,
    array_ordering,
    channel_irq,
    classics,
    cpu_offline,
    global_array,
    guest,
    irq_counting,
    irqfd,
    irqfd_merged,
    irqfd_mutations,
    irqfd_today,
    offer_rescind,
    one_vector,
    rebinding,
    rescind_in_time,
    rescind_queue,
    rescind_strategies,
    retarget,
    ring,
    srcu_counters,
    synic,
    synic_online,
)

SYNIC = "Linux 6.1, drivers/hv; Hypervisor Top Level Functional Specification; Documentation/virt/hyperv/vmbus.rst"
SERIES_2020 = "Drivers: hv: vmbus: Replace the per-CPU channel lists with a global array of channels (8b6a877c060e)"
THREAD_2015 = "Drivers: hv: Further protection for the rescind path (thread, February 2015); Linux 6.1, drivers/hv"
RFC_2024 = "Hyper-V guests use Linux IRQs for channel interrupts (RFC, 3 June 2024, not merged); Linux 6.1, kernel/irq"
REVIEW_2009 = "irqfd with POLLHUP and SRCU: Gregory Haskins' patch, Paul McKenney's review (2 June 2009, not merged)"
IRQFD = "KVM: irqfd (721eecbf4fe9, 2009); Linux 6.1, virt/kvm/eventfd.c and fs/eventfd.c"
SRCU = "Linux 6.1, kernel/rcu/srcutree.c"


@dataclass(frozen=True)
class Entry:
    """A scenario of the course.

    ``expected`` is "holds", or the kinds of its failures, sorted and joined by ", ". ``source`` says
    where the facts come from, or "-" for a textbook example.
    """

    chapter: str
    title: str
    scenario: type[Scenario]
    expected: str
    source: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Scenario:
        """The scenario with its parameters."""
        return self.scenario(**self.parameters)


def catalogue() -> tuple[Entry, ...]:
    """Every scenario of the course, in its order."""
    return (
        *(Entry("00", title, scenario, expected, "-") for title, scenario, expected in _CLASSICS),
        *(Entry("01", title, scenario, expected, SYNIC) for title, scenario, expected in _SYNIC),
        Entry("01", "one vector, no second look", one_vector.OneVectorNoRecheck, "at_end", SYNIC, _ONE_CHANNEL),
        *(Entry("02", title, scenario, expected, SERIES_2020) for title, scenario, expected in _RETARGET),
        *(Entry("03", title, scenario, expected, SERIES_2020) for title, scenario, expected in _ARRAY),
        *(Entry("04", title, scenario, expected, THREAD_2015, given) for title, scenario, expected, given in _RESCIND),
        *(Entry("05", title, scenario, expected, RFC_2024) for title, scenario, expected in _IRQS),
        *(Entry("06", title, scenario, expected, REVIEW_2009, given) for title, scenario, expected, given in _REVIEW),
        *(Entry("06", title, scenario, expected, IRQFD, given) for title, scenario, expected, given in _IRQFD),
        *(Entry("06", title, scenario, expected, SRCU) for title, scenario, expected in _SRCU),
    )


_CLASSICS: tuple[tuple[str, type[Scenario], str], ...] = (
    ("two increments", classics.Increments, "at_end"),
    ("two atomic increments", classics.AtomicIncrements, "holds"),
    ("two increments under a lock", classics.LockedIncrements, "holds"),
    ("an item moves between lists", classics.ListMove, "at_end"),
    ("an item moves, put on first", classics.ListMovePutOnFirst, "holds"),
    ("Peterson's algorithm", classics.Peterson, "holds"),
    ("Peterson's algorithm, turn first", classics.PetersonTurnFirst, "invariant"),
    ("a lock shared with a handler", classics.LockInHandler, "deadlock"),
    ("a lock shared with a handler, interrupts off", classics.LockInHandlerIrqsave, "holds"),
    ("two locks in opposite orders", classics.AbBa, "deadlock"),
    ("two locks in one order", classics.AbAb, "holds"),
)

_SYNIC: tuple[tuple[str, type[Scenario], str], ...] = (
    ("a control message after another", synic.Messages, "holds"),
    ("looks for more before it empties the slot", synic.PendingReadFirst, "at_end"),
    ("asks for more before it empties the slot", synic.EomBeforeEmptying, "at_end"),
    ("never asks for more", synic.NeverEom, "at_end"),
    ("always asks for more", synic.AlwaysEom, "holds"),
    ("empties the slot before it reads it", synic.EmptiedTooEarly, "at_end"),
    ("empties the slot with a plain write", synic.PlainStore, "holds"),
    ("a crashing CPU looks into the slot", synic.CrashingCpu, "holds"),
    ("a crashing CPU, a plain write", synic.CrashingCpuPlainStore, "at_end"),
    ("a crashing CPU, two messages of one type", synic.CrashingCpuSameType, "at_end"),
    ("each event flag is taken back by itself", synic.EventFlags, "holds"),
    ("all flags are read, then cleared", synic.WordCleared, "at_end"),
    ("all flags are taken in one step", synic.WordExchanged, "holds"),
    ("a copy of the flags is scanned", synic.ScanOfACopy, "holds"),
    ("a flag is cleared after the channel was read", synic.ClearedAfterwards, "at_end"),
    ("the same, and the interrupt is always raised", synic.ClearedAfterwardsAlwaysRaised, "at_end"),
    ("batched: the host is silent while the guest reads", ring.Batched, "holds"),
    ("no second look", ring.NoRecheck, "at_end"),
    ("the second look comes before unmasking", ring.RecheckedTooEarly, "at_end"),
    ("reads again without masking", ring.ReadAgainUnmasked, "holds"),
    ("never masks", ring.NeverMasked, "holds"),
    ("never masks, no second look", ring.NeverMaskedNoRecheck, "at_end"),
    ("the host looks at the mask before it writes", ring.HostLooksFirst, "at_end"),
    ("no second look, a host that signals every message", ring.HostAlwaysSignals, "at_end"),
    ("masks without barriers", ring.WithoutBarriers, "holds"),
    ("direct: reads until the ring is empty", ring.Direct, "holds"),
    ("direct, reads once", ring.DirectOnce, "at_end"),
    ("in the handler: masks and defers", ring.InIsr, "holds"),
    ("in the handler, never unmasked", ring.InIsrNeverUnmasked, "at_end"),
    ("in the handler, takes a mutex", ring.InIsrTakesAMutex, "sleep-in-atomic"),
    ("in the handler, reads until the ring is empty", ring.InIsrReadsAll, "holds"),
    ("two channels, one vector", one_vector.OneVector, "holds"),
)

#: Two messages on one channel: what the second one needs to get lost.
_ONE_CHANNEL = {"channels": 1, "messages": 2}

_RETARGET: tuple[tuple[str, type[Scenario], str], ...] = (
    ("a channel moves while its interrupt is in flight", retarget.PerCpuLists, "at_end"),
    ("the host switches last", retarget.HostIsLate, "at_end"),
    ("the host switches first", retarget.HostIsEarly, "at_end"),
    ("enqueue before dequeue", retarget.EnqueueFirst, "at_end"),
    ("on both lists", retarget.OnBothLists, "at_end"),
    ("a lock around the lists", retarget.WithALock, "at_end"),
    ("interrupts off", retarget.InterruptsOff, "at_end"),
    ("wait for the host's answer", retarget.WaitForTheHost, "at_end"),
    ("wait for the answer, and drain", retarget.WaitAndDrain, "holds"),
    ("send the event on to the other CPU", retarget.PassItOn, "holds"),
    ("one global array", retarget.GlobalArray, "holds"),
    ("a channel moves again and again", retarget.Retargeting, "invariant"),
    ("a channel moves again and again, one global array", retarget.RetargetingGlobalArray, "holds"),
)

_ARRAY: tuple[tuple[str, type[Scenario], str], ...] = (
    ("a channel is removed while its interrupt is in flight", global_array.ChannelRemoval, "holds"),
    ("freed at once", global_array.FreedAtOnce, "use-after-free"),
    ("freed, and then taken out of the array", global_array.FreedThenUnmapped, "use-after-free"),
    ("never taken out of the array", global_array.NeverUnmapped, "use-after-free"),
    ("never freed", global_array.NeverFreed, "leak"),
    ("taken out by a plain store", global_array.PlainUnmap, "data-race"),
    ("wait for the readers, then free", global_array.WaitAndFree, "holds"),
    ("wait for the readers too early", global_array.WaitTooEarly, "use-after-free"),
    ("no rcu_read_lock in the handler", global_array.NoReadLock, "holds"),
    ("the look-up in a thread", global_array.InAThread, "holds"),
    ("no rcu_read_lock in the thread", global_array.InAThreadNoReadLock, "use-after-free"),
    ("a lock that lies in the channel", global_array.LockInTheChannel, "use-after-free"),
    ("a lock around the array", global_array.LockAroundTheArray, "use-after-free"),
    ("a lock around the use", global_array.LockAroundTheUse, "holds"),
    ("a lock, with interrupts on", global_array.LockWithInterruptsOn, "deadlock"),
    ("from the offer to the first interrupt", array_chain.OpenChain, "holds"),
    ("a host that signals early", array_chain.HostSignalsEarly, "at_end"),
    ("queued before mapped", array_chain.QueuedBeforeMapped, "at_end"),
    ("the callback is set after the request", array_chain.CallbackAfterOpen, "at_end"),
    ("the handler looks up first", array_chain.LooksUpFirst, "at_end"),
    ("mapped by a plain store", array_chain.MappedByPlainStore, "holds"),
    ("mapped by WRITE_ONCE", array_chain.MappedOnce, "holds"),
    ("mapped by a release", array_chain.MappedByRelease, "holds"),
    ("an offer against a rescind", array_forbids.OfferAgainstRescind, "holds"),
    ("the offer takes no lock", array_forbids.OfferUnlocked, "at_end"),
    ("the rescind takes no lock", array_forbids.RescindUnlocked, "at_end"),
    ("the rescind does not wait", array_forbids.RescindDoesNotWait, "at_end"),
    ("counted down before the lock", array_forbids.CountedDownBeforeLock, "at_end"),
    ("mapped after the lock", array_forbids.MappedAfterUnlock, "at_end"),
    ("counted down last", array_forbids.CountedDownLast, "holds"),
    ("counted down last, no locks", array_forbids.CountedDownLastUnlocked, "holds"),
    ("a resume against a release", array_forbids.ResumeAgainstRelease, "holds"),
    ("the resume takes no lock", array_forbids.ResumeUnlocked, "at_end"),
    ("the release takes no lock", array_forbids.ReleaseUnlocked, "at_end"),
    ("the resume maps after the lock", array_forbids.ResumeMapsAfterUnlock, "at_end"),
    ("the release unmaps after the lock", array_forbids.ReleaseUnmapsAfterUnlock, "holds"),
    ("mapped first", array_forbids.MappedFirst, "holds"),
    ("mapped first, no locks", array_forbids.MappedFirstUnlocked, "holds"),
    ("a relid is used again", array_forbids.RelidIsUsedAgain, "holds"),
    ("a relid stays valid", array_forbids.RelidStaysValid, "at_end"),
    ("a store buffer, made by hand", array_ordering.BufferedOnce, "at_end"),
    ("... and a release", array_ordering.BufferedRelease, "at_end"),
    ("... and a full barrier", array_ordering.BufferedFullBarrier, "holds"),
    ("... that keeps the order", array_ordering.QueueOnce, "at_end"),
    ("a list that is walked", array_lookup.ListWalk, "holds"),
    ("an array", array_lookup.ArrayIndex, "holds"),
    ("an array under a lock", array_lookup.ArrayUnderALock, "holds"),
)

_AN_EVENT = {"events": 1}
_OPENS = {"opens": True}

_RESCIND: tuple[tuple[str, type[Scenario], str, Mapping[str, Any]], ...] = (
    ("an offer is taken back", offer_rescind.OfferAndRescind, "at_end, use-after-free", {}),
    ("taken back after the link", offer_rescind.AfterTheLink, "at_end, use-after-free", {}),
    ("unlinks on failure", offer_rescind.UnlinksOnFailure, "at_end, use-after-free", {}),
    ("answers on failure", offer_rescind.AnswersOnFailure, "at_end, use-after-free", {}),
    ("linked first", offer_rescind.LinkedFirst, "use-after-free", {}),
    ("get and put", rescind_strategies.GetPut, "holds", _AN_EVENT),
    ("get in open", rescind_strategies.GetInOpen, "use-after-free", _AN_EVENT),
    ("get in open, drained", rescind_strategies.GetInOpenDrained, "holds", _AN_EVENT),
    ("never freed", rescind_strategies.NeverFree, "leak", _AN_EVENT),
    ("freed after a delay", rescind_strategies.DelayedFree, "use-after-free", {}),
    ("a flag, and the rest when the device is removed", rescind_strategies.FlagAndRemove, "use-after-free", {}),
    ("one queue, and nothing else", rescind_strategies.OneQueueAlone, "at_end, use-after-free", {}),
    ("one queue, taken at its word", rescind_strategies.QueuedBehind, "at_end", {}),
    ("one queue", rescind_strategies.OneQueue, "holds", {}),
    ("one queue, drained", rescind_strategies.OneQueueDrained, "holds", _AN_EVENT),
    ("one queue, RCU", rescind_strategies.OneQueueRcu, "holds", _AN_EVENT),
    ("a queue for rescinds", rescind_queue.OwnRescindQueue, "deadlock", {}),
    ("... and every offer is counted down", rescind_queue.CountedDownAlways, "deadlock", _OPENS),
    ("... under the lock", rescind_queue.CountedDownEarly, "use-after-free", _OPENS),
    ("... and another queue for drivers", rescind_queue.OwnAddQueue, "use-after-free", _OPENS),
    ("counted down under the lock, and a reference", rescind_queue.Referenced, "holds", _OPENS | _AN_EVENT),
    ("both", rescind_queue.OwnAddQueueReferenced, "holds", _OPENS | _AN_EVENT),
    ("a reference, got too late", rescind_strategies.GetTooLate, "error, use-after-free", {}),
    ("get unless zero, too late", rescind_strategies.GetUnlessZeroTooLate, "use-after-free", {}),
    ("the list's reference is put first", rescind_strategies.PutFirst, "error", {}),
    ("a reference that is never put", rescind_strategies.PutForgotten, "leak", {}),
    ("get unless zero, under the lock", rescind_strategies.GetUnlessZero, "holds", {}),
    ("the host is told last", rescind_strategies.AnswersLast, "holds", {}),
    ("flags without a lock", rescind_strategies.FlagWithoutLock, "assertion", {"one_cpu": True}),
    ("a rescind that finds nothing answers", rescind_strategies.AnswersTooOften, "at_end", {}),
    ("counted down before the lock", rescind_queue.CountedDownTooEarly, "at_end", {}),
    ("woken after it was waited for", rescind_queue.WokenTooLate, "deadlock", _OPENS),
    ("a reference, got before the wait", rescind_queue.ReferencedTooLate, "error, use-after-free", {}),
    ("a reference, and no wait", rescind_queue.NotWaitedForProbe, "at_end, use-after-free", {}),
    ("freed meanwhile", rescind_in_time.FreedMeanwhile, "use-after-free", {}),
    ("sockets come and go", rescind_in_time.FreedWithLastUser, "holds", {}),
    ("... and are never freed", rescind_in_time.NeverFreedAgain, "invariant", {}),
    ("... and are freed after a delay", rescind_in_time.FreedAfterADelay, "invariant", {}),
)

_IRQS: tuple[tuple[str, type[Scenario], str], ...] = (
    ("a channel's IRQ goes while its interrupt is in flight", channel_irq.ChannelIrq, "holds"),
    ("the channel is freed at once", channel_irq.ChannelFreedAtOnce, "use-after-free"),
    ("... and touched by its handler alone", channel_irq.ChannelFreedAtOnceUntouched, "holds"),
    ("... and free_irq waits for nobody", channel_irq.ChannelFreedAtOnceNoWait, "use-after-free"),
    ("free_irq waits for nobody", channel_irq.NoWait, "holds"),
    ("the descriptor is freed at once", channel_irq.DescriptorFreedAtOnce, "use-after-free"),
    ("taken out of the domain too late", channel_irq.UnmappedTooLate, "use-after-free"),
    ("no rcu_read_lock where the descriptor is looked up", channel_irq.DemuxNoReadLock, "holds"),
    ("the mapping stays", channel_irq.NeverDisposed, "at_end, use-after-free"),
    ("from the mapping to the first interrupt", channel_irq.ChannelOpen, "holds"),
    ("requested after the channel is opened", channel_irq.RequestedLate, "holds"),
    ("... and nothing is handled once more", channel_irq.RequestedLateNoResend, "at_end"),
    ("mapped after the channel is opened", channel_irq.MappedLate, "at_end"),
    ("counted where it is handled", irq_counting.CountedWhereHandled, "holds"),
    ("counted at the top", irq_counting.CountedAtTheTop, "at_end"),
    ("counted at both", irq_counting.CountedAtBoth, "at_end"),
    ("an IRQ for control messages", irq_counting.CountedByAnIrqOfItsOwn, "holds"),
    ("two doors to one setting", affinity.TwoDoors, "holds"),
    ("the sysfs door tells the host alone", affinity.SysfsAsBefore, "at_end"),
    ("the sysfs door tells both", affinity.SysfsTellsBoth, "at_end"),
    ("the sysfs door takes the descriptor's lock", affinity.SysfsTakesTheLock, "holds"),
    ("the sysfs door without the mutex", affinity.SysfsWithoutMutex, "holds"),
    ("the target is noted first", affinity.TargetNotedFirst, "holds"),
    ("no descriptor's lock", affinity.NoDescriptorLock, "at_end"),
    ("the channel is closed meanwhile", affinity.Closing, "at_end"),
    ("closed meanwhile, sysfs alone", affinity.ClosingBySysfsAlone, "holds"),
    ("closed under the descriptor's lock", affinity.ClosingUnderTheLock, "holds"),
    ("the mutex behind both doors", affinity.ClosingMutexInTheChip, "sleep-in-atomic"),
    ("the kernel moves the IRQ off the CPU", cpu_offline.AutomaticMigration, "at_end"),
    ("the SynIC stays on to the last", cpu_offline.MigrationSynicOffLast, "at_end"),
    ("another CPU looks for what was left", cpu_offline.MigrationThenLook, "holds"),
    ("another CPU looks too early", cpu_offline.MigrationLookTooEarly, "at_end"),
    ("race 11: the host has not changed over yet", cpu_offline.Race11, "at_end"),
    ("wait for the host, then look", cpu_offline.WaitsForModifychannel, "holds"),
    ("five looks, and go on", cpu_offline.PollsFiveTimes, "at_end"),
    ("five looks, or refuse", cpu_offline.PollsThenRefuses, "holds"),
    ("sleep, and hope", cpu_offline.SleepsOnly, "at_end"),
    ("look, then wait for the host", cpu_offline.LooksThenWaits, "at_end"),
    ("wait, and do not look", cpu_offline.NeverLooks, "at_end"),
    ("the SynIC off, then wait", cpu_offline.SynicOffThenWaits, "at_end"),
    ("requests counted before the search", cpu_offline.CountedBeforeTheSearch, "at_end"),
    ("a request counted too late", cpu_offline.CountedAfterTheTarget, "at_end"),
    ("a host that looks up early", cpu_offline.HostLooksUpEarly, "at_end"),
    ("two setters, atomic counters", cpu_offline.TwoSetters, "at_end"),
    ("two setters, counted before they ask", cpu_offline.TwoSettersCountedFirst, "holds"),
    ("two setters, a count that is read and written", cpu_offline.TwoSettersPlainCount, "at_end"),
    ("two setters under one lock", cpu_offline.TwoSettersOneLock, "holds"),
    ("race 11 in time", cpu_offline.InTime, "at_end"),
    ("race 11 in time, five looks", cpu_offline.PollsInTime, "at_end"),
    ("race 11 in time, a sleep", cpu_offline.SleepsInTime, "at_end"),
    ("race 12: a channel comes to a CPU that goes", synic_online.Race12, "at_end"),
    ("race 12 before the series", synic_online.Race12BeforeTheSeries, "holds"),
    ("synic_online, under a lock", synic_online.SynicOnline, "holds"),
    ("synic_online, no lock", synic_online.NoLock, "at_end"),
    ("the lock around the look alone", synic_online.LockAroundTheLook, "at_end"),
    ("cleared after the search", synic_online.ClearedAfterTheSearch, "at_end"),
    ("searched, then cleared, under the lock", synic_online.SearchedThenCleared, "holds"),
    ("never set online again", synic_online.NeverSetOnlineAgain, "at_end"),
    ("the hotplug lock behind both doors", synic_online.CpusLockInTheChip, "sleep-in-atomic"),
    ("a second search", synic_online.LooksTwice, "at_end"),
    ("a grace period in place of the lock", synic_online.GracePeriodInsteadOfLock, "holds"),
    ("patches 11 and 12", synic_online.PatchedBothWays, "holds"),
    ("patches 11 and 12, two setters", synic_online.PatchedTwoSetters, "holds"),
    ("patches 11 and 12, a plain counter", synic_online.PatchedPlainCount, "data-race"),
    ("before the series: sysfs waits for the answer", rebinding.SysfsWaitsForTheAnswer, "holds"),
    ("before the series: no answer", rebinding.SysfsHasNoAnswer, "at_end"),
    ("today: channels are moved before the CPU goes", rebinding.RebindsChannels, "holds"),
    ("... without waiting for the answers", rebinding.RebindsWithoutWaiting, "at_end"),
    ("a guest with devices", guest.Guest, "holds"),
    ("a guest with devices and IRQs", guest.GuestWithIrqs, "holds"),
)

_NO_EVENT = {"events": 0}
_EVENTFD = {"vm": False, "eventfd": True}
_BOTH = {"vm": True, "eventfd": True}

_REVIEW: tuple[tuple[str, type[Scenario], str, Mapping[str, Any]], ...] = (
    ("a machine is closed while an interrupt is injected", irqfd.VmClose, "holds", {}),
    ("the eventfd is closed", irqfd.EventfdClose, "holds", {}),
    ("both are closed", irqfd.BothClose, "error, use-after-free", {}),
    ("both are closed, two irqfds", irqfd.TwoIrqfds, "error, use-after-free", _NO_EVENT),
    ("both are closed, in time", irqfd.BothCloseInTime, "error, use-after-free", {}),
    ("no grace period", irqfd_mutations.NoGracePeriod, "use-after-free", {}),
    ("no grace period, no flush", irqfd_mutations.NoGracePeriodNoFlush, "at_end, error, use-after-free", _EVENTFD),
    ("the machine is put first", irqfd_mutations.MachinePutFirst, "holds", {}),
    ("no flush", irqfd_mutations.NoFlush, "at_end, error, use-after-free", _EVENTFD),
    ("the machine is put first, no flush", irqfd_mutations.MachinePutFirstNoFlush, "error, use-after-free", _BOTH),
    ("NULL after the grace period", irqfd_mutations.NulledTooLate, "use-after-free", {}),
    ("the reader leaves before it uses the machine", irqfd_mutations.ReaderLeavesEarly, "use-after-free", {}),
    ("no mutex", irqfd_mutations.NoMutex, "error, use-after-free", _BOTH),
    ("the pointer is read again", irqfd_mutations.ReadAgain, "at_end", {}),
    ("the worker reads the pointer again", irqfd_mutations.InjectReadsAgain, "assertion", {}),
    ("a grace period under kvm->lock", irqfd_mutations.GracePeriodUnderTheLock, "deadlock", {}),
    ("a flush under kvm->lock", irqfd_mutations.FlushUnderTheLock, "deadlock", {}),
    (
        "flushed, then unhooked",
        irqfd_mutations.FlushedThenUnhooked, "error, use-after-free", {"own_signaller": True},
    ),
    ("released when the machine is destroyed", irqfd_mutations.ReleaseInDestroy, "at_end", {}),
    ("made while the eventfd is closed", irqfd_mutations.Assigning, "holds", {}),
    ("... and the file is dropped early", irqfd_mutations.EarlyFput, "error, use-after-free", {}),
    ("POLLHUP under the queue's lock", irqfd_mutations.HupUnderTheLock, "deadlock", {}),
    ("... and unhooks without it", irqfd_mutations.HupUnderTheLockUnhooks, "sleep-in-atomic", {}),
    ("POLLIN and POLLHUP at once", irqfd_mutations.BothBits, "at_end", {}),
    ("... and each bit is tested", irqfd_mutations.BitsTested, "holds", {}),
    ("the module is unloaded", irqfd_mutations.ModuleUnloaded, "use-after-free", {}),
)

_IRQFD: tuple[tuple[str, type[Scenario], str, Mapping[str, Any]], ...] = (
    ("merged: both are closed", irqfd_merged.Merged, "holds", {}),
    ("nobody asks whether it is active", irqfd_merged.NotTested, "use-after-free", {}),
    ("list_del in place of list_del_init", irqfd_merged.ListDel, "error", {}),
    ("POLLHUP takes no irqfds.lock", irqfd_merged.HangupTakesNoLock, "error, use-after-free", {}),
    ("freed without a flush", irqfd_merged.NotFlushed, "use-after-free", {}),
    ("flushed first", irqfd_merged.FlushedFirst, "use-after-free", {}),
    ("the context is put first", irqfd_merged.ContextPutFirst, "holds", {}),
    ("no reference to the context", irqfd_merged.NoContextReference, "use-after-free", {}),
    ("the machine's close does not wait", irqfd_merged.ReleaseDoesNotWait, "use-after-free", {}),
    ("a queue that is not ordered", irqfd_merged.UnorderedQueue, "holds", {"irqfds": 2}),
    ("POLLHUP frees the irqfd itself", irqfd_merged.ShutDownAtOnce, "deadlock", _EVENTFD),
    ("POLLHUP without the eventfd's lock", irqfd_merged.HangupToldUnlocked, "use-after-free", {}),
    ("signalled by an interrupt", irqfd_merged.SignalledByAnInterrupt, "holds", {}),
    ("... and irqfds.lock with interrupts on", irqfd_merged.InterruptsStayOn, "deadlock", {}),
    ("the module is unloaded afterwards", irqfd_merged.ModuleUnloadedAfterwards, "holds", {}),
    ("today: made while another call removes it", irqfd_today.AssignAgainstDeassign, "holds", {}),
    ("an event before it is hooked", irqfd_today.EventBeforeAssign, "holds", {}),
    ("nobody waits for the maker", irqfd_today.AssignNotWaitedFor, "error, use-after-free", _NO_EVENT),
    ("the maker's section ends early", irqfd_today.SectionEndsEarly, "error, use-after-free", _NO_EVENT),
    ("waited for under irqfds.lock", irqfd_today.WaitsUnderTheLock, "sleep-in-atomic", _NO_EVENT),
    ("waited for before it is off the list", irqfd_today.WaitsBeforeTheLock, "error, use-after-free", _NO_EVENT),
    ("waited for by who does not free it", irqfd_today.WaitsAfterTheLock, "error, use-after-free", _NO_EVENT),
    ("the poll's answer is not looked at", irqfd_today.PollDiscarded, "at_end", {}),
    ("the count is read before the hook", irqfd_today.CountedBeforeHooked, "at_end", {}),
)

_SRCU: tuple[tuple[str, type[Scenario], str], ...] = (
    ("two counters, two scans", srcu_counters.TwoScans, "holds"),
    ("one scan", srcu_counters.OneScan, "use-after-free"),
    ("one scan, and the index is read and counted in one step", srcu_counters.OneScanOneStep, "holds"),
    ("the idle counters alone", srcu_counters.IdleScanOnly, "use-after-free"),
    ("no flip", srcu_counters.NoFlip, "holds"),
    ("flipped first, then both scans", srcu_counters.FlipBetweenBoth, "holds"),
    ("who came in is counted first", srcu_counters.LocksSummedFirst, "use-after-free"),
)
