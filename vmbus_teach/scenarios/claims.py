"""What the five texts say that the course began with, and which scenario shows it.

Each text is a mail or a thread on a public list. What it claims about behaviour is listed in our words, in its order,
with the scenarios that show it, or with the reason why none does. The verdicts are not written here: ``course_map``
(``views/map.py``) has them searched.
"""

from __future__ import annotations

from typing import NamedTuple

from ..scenario import Scenario
from .affinity import SysfsAsBefore, TwoDoors
from .array_chain import LooksUpFirst, MappedByPlainStore, MappedByRelease, OpenChain
from .array_forbids import (
    MappedAfterUnlock,
    OfferAgainstRescind,
    OfferUnlocked,
    RelidIsUsedAgain,
    RelidStaysValid,
    RescindDoesNotWait,
    ResumeAgainstRelease,
    ResumeUnlocked,
)
from .array_lookup import ArrayIndex, ListWalk
from .array_ordering import BufferedFullBarrier, BufferedOnce, BufferedRelease
from .channel_irq import ChannelFreedAtOnce, ChannelIrq, ChannelOpen, NeverDisposed
from .cpu_offline import AutomaticMigration, MigrationSynicOffLast, PollsFiveTimes, Race11, WaitsForModifychannel
from .global_array import (
    ChannelRemoval,
    FreedAtOnce,
    LockAroundTheArray,
    LockAroundTheUse,
    LockWithInterruptsOn,
    NeverUnmapped,
    PlainUnmap,
)
from .guest import Guest, GuestWithIrqs
from .irq_counting import CountedAtBoth, CountedAtTheTop, CountedWhereHandled
from .irqfd import BothClose, EventfdClose, TwoIrqfds, VmClose
from .irqfd_mutations import (
    Assigning,
    BitsTested,
    BothBits,
    EarlyFput,
    FlushedThenUnhooked,
    FlushUnderTheLock,
    HupUnderTheLock,
    HupUnderTheLockUnhooks,
    InjectReadsAgain,
    MachinePutFirst,
    NoFlush,
    NoGracePeriod,
    NoMutex,
    NulledTooLate,
    ReadAgain,
    ReaderLeavesEarly,
    ReleaseInDestroy,
)
from .offer_rescind import AfterTheLink, AnswersOnFailure, LinkedFirst, OfferAndRescind, UnlinksOnFailure
from .one_vector import OneVector
from .rebinding import RebindsChannels
from .rescind_in_time import FreedAfterADelay, NeverFreedAgain
from .rescind_queue import OwnRescindQueue
from .rescind_strategies import (
    DelayedFree,
    FlagAndRemove,
    GetInOpen,
    GetPut,
    NeverFree,
    OneQueue,
    OneQueueAlone,
)
from .retarget import GlobalArray, HostIsEarly, HostIsLate, PerCpuLists
from .ring import Batched
from .synic import EventFlags, Messages
from .synic_online import Race12, Race12BeforeTheSeries, SynicOnline
from .vgic_flush import (
    FlushAgainstPut,
    FlushEraseIrq,
    FlushOnOneCpu,
    FlushPlainErase,
    ListInsideXarray,
    ListInsideXarrayDeferred,
)
from .vgic_in_time import InjectByRcu, InjectFromList, InjectFromXarray
from .vgic_lookup import GetWithoutUnlessZero, LpiFreedAtOnce, LpiList, LpiRcu, LpiXarray
from .vgic_put import (
    EnclosedEraseIrq,
    EnclosedIrqsave,
    EnclosedPlainErase,
    EraseIrq,
    FlagAfterwards,
    GotInTheHandler,
    GotInTheHandlerPlainErase,
    LastPuts,
    PlainErase,
)
from .vgic_register import NothingReleased, RegisterLpi, ReservesUnderTheLock, ReturnsWithTheLock, StoreMaySleep


class Claim(NamedTuple):
    """Something that a text says; ``shown_by`` is empty where the course models it not, and ``reason`` says why."""

    text: str
    shown_by: tuple[type[Scenario], ...] = ()
    reason: str = ""


class Source(NamedTuple):
    """A text, with what it claims."""

    title: str
    chapters: str
    claims: tuple[Claim, ...]


_NO_RACE = "no interleaving takes part in it"

_ARRAY = Source(
    "A global array of channels: patch and review (Andrea Parri, Vitaly Kuznetsov, March 2020)",
    "01 to 03",
    (
        Claim(
            "the host sets a bit in a page that it shares with the guest; the bit's number is the relid", (EventFlags,)
        ),
        Claim(
            "interrupt on the old CPU, channel already on the new CPU's list: the interrupt is dropped", (HostIsLate,)
        ),
        Claim("interrupt on the new CPU, channel not yet on its list: the interrupt is dropped", (HostIsEarly,)),
        Claim("per-CPU lists need atomic changes alone, since no other CPU looks at them (review)", (PerCpuLists,)),
        Claim("with one global array there is nothing to move, and the problem is gone", (GlobalArray,)),
        Claim("an array is looked up in one step, however many channels there are", (ListWalk, ArrayIndex)),
        Claim("rcu_read_lock and kfree_rcu keep a channel while its handler uses it", (ChannelRemoval, FreedAtOnce)),
        Claim("a channel that goes is first taken out of the array", (NeverUnmapped,)),
        Claim("smp_store_release has the handler find what was written before", (MappedByRelease, BufferedRelease)),
        Claim("... and gives no more than a plain store would (review)", (MappedByPlainStore, PlainUnmap)),
        Claim("nobody tells when another CPU sees a store (review)", (BufferedOnce, BufferedFullBarrier)),
        Claim("what makes it work is the order of things, from the offer to the signal", (OpenChain, LooksUpFirst)),
        Claim(
            "a spin lock should protect the array (review)",
            (LockAroundTheArray, LockAroundTheUse, LockWithInterruptsOn),
        ),
        Claim(
            "a rescind finds what the offer has stored: it waits for the count, then takes the mutex",
            (OfferAgainstRescind, OfferUnlocked, RescindDoesNotWait, MappedAfterUnlock),
        ),
        Claim(
            "a channel that is released after hibernation does not stay in the array",
            (ResumeAgainstRelease, ResumeUnlocked),
        ),
        Claim("on suspend the relid is made invalid, also in channels of sockets", (RelidIsUsedAgain, RelidStaysValid)),
        Claim("the array has room for every relid, about 16 kB", (), _NO_RACE),
        Claim("a relid beyond the array is refused with a warning; no memory for it, no connection", (), _NO_RACE),
        Claim("the mutex is asserted as held, by lockdep in place of BUG_ON", (), "it changes no behaviour"),
    ),
)

_RESCIND = Source(
    "Protection for the rescind path: thread (Vitaly Kuznetsov, K. Y. Srinivasan, Dexuan Cui, February 2015)",
    "04",
    (
        Claim("offers and rescinds are one after the other, since one work handles all messages", (OfferAndRescind,)),
        Claim("they are not: a rescind finds a channel that the offer is about to free", (AfterTheLink, LinkedFirst)),
        Claim(
            "a channel whose device cannot be made is freed and stays on the list", (OfferAndRescind, UnlinksOnFailure)
        ),
        Claim("a rescind that finds nothing sends no RELID_RELEASED", (UnlinksOnFailure, AnswersOnFailure)),
        Claim("get and put: who uses a channel has a reference", (GetPut,)),
        Claim("... got when it is opened, so that the interrupt path pays nothing", (GetInOpen,)),
        Claim(
            "never freed, nothing can be used after it; but if rescinds are frequent, memory goes",
            (NeverFree, NeverFreedAgain),
        ),
        Claim("freed after ten seconds or so, a crash is very unlikely", (DelayedFree, FreedAfterADelay)),
        Claim("a rescind sets a flag, and the driver's remove does the rest", (FlagAndRemove,)),
        Claim("all on one queue would serialise them thoroughly", (OneQueueAlone, OneQueue, OwnRescindQueue)),
        Claim("locks and atomic operations in the receive path cost performance", (GetPut, GetInOpen)),
    ),
)

_IRQS = Source(
    "Hyper-V guests use Linux IRQs for channel interrupts: cover letter of an RFC (Michael Kelley, June 2024)",
    "01, 05",
    (
        Claim("all channels and the control messages share one interrupt per CPU", (OneVector, Messages)),
        Claim("the host interrupts when it writes to a channel that was empty", (Batched,)),
        Claim("today /proc/interrupts has one line for all of them", (Guest, CountedAtTheTop)),
        Claim("with the series each channel has a line, and HYP counts control messages alone", (GuestWithIrqs,)),
        Claim("to count that right, a new flow handler is needed", (CountedWhereHandled, CountedAtBoth)),
        Claim(
            "a mapping is made with its channel and deleted with it, while the guest runs", (ChannelIrq, NeverDisposed)
        ),
        Claim("... looked up, requested and freed like any other IRQ", (ChannelOpen, ChannelFreedAtOnce)),
        Claim("an affinity that is set through one door shows at the other", (TwoDoors, SysfsAsBefore)),
        Claim(
            "the kernel's own migration would leave interrupts on the CPU that goes",
            (AutomaticMigration, MigrationSynicOffLast),
        ),
        Claim(
            "patch 11: a CPU that goes waits until the host has changed over",
            (Race11, WaitsForModifychannel, PollsFiveTimes),
        ),
        Claim("patch 12: no channel is moved to a CPU that goes", (Race12, SynicOnline)),
        Claim("... a race that was there before the series", (Race12BeforeTheSeries,)),
        Claim("a way for the kernel to move them by itself is for another series", (RebindsChannels,)),
        Claim(
            "old hosts send stimer0's ticks as messages, counted as such",
            (),
            "the message slot is modelled, with no timer",
        ),
        Claim("a driver may give its IRQ a better name", (), _NO_RACE),
        Claim(
            "irqbalance can now undo a good spread", (), "a policy, not a race; the door that it would use is modelled"
        ),
        Claim("patches 1 and 2: an error path deletes what was never made", (), _NO_RACE),
        Claim(
            "the added processing seems to cost little",
            (),
            "the model's times are ours; it can compare, and not measure",
        ),
        Claim(
            "relids per connection or per guest; sockets; hibernation: open",
            (),
            "open in the mail; chapter 05 asks them again",
        ),
    ),
)

_IRQFD = Source(
    "Lifetimes of irqfds, by SRCU: patch and review (Gregory Haskins, Paul McKenney, June 2009)",
    "06",
    (
        Claim(
            "either side may sever the two, whichever is closed first", (VmClose, EventfdClose, BothClose, TwoIrqfds)
        ),
        Claim(
            "SRCU keeps the machine in use without further atomic operations where it is used", (VmClose, NoGracePeriod)
        ),
        Claim("after [4] the pointer may become NULL: harmless, the grace period waits for that reader", (VmClose,)),
        Claim("... it need not be read again under a lock", (ReadAgain, InjectReadsAgain)),
        Claim("who comes after [2] finds NULL, which is the flag for deleted", (NulledTooLate,)),
        Claim("no put of the machine before the reader's srcu_read_unlock, [1]", (ReaderLeavesEarly, MachinePutFirst)),
        Claim(
            "a disconnect waits for readers, so none meets the clean-up of its srcu_struct", (EventfdClose, BothClose)
        ),
        Claim("the mutex has one of two sides disconnect", (NoMutex,)),
        Claim("the list needs no RCU, since it is touched under kvm->lock alone", (BothClose, TwoIrqfds)),
        Claim("the callback must not sleep, so that it hands over to a work item", (HupUnderTheLockUnhooks,)),
        Claim("POLLHUP is told without the queue's lock, so that it may unhook", (EventfdClose, HupUnderTheLock)),
        Claim("unhooked, no more is queued; then what was queued is flushed", (FlushedThenUnhooked, NoFlush)),
        Claim("freed outside of kvm->lock: the flush waits for a work item that takes it", (FlushUnderTheLock,)),
        Claim("the file is kept until the irqfd is complete, because of POLLHUP", (Assigning, EarlyFput)),
        Claim("the callback switches over what it is told", (BothBits, BitsTested)),
        Claim("irqfds are released when the machine's file is closed", (VmClose, ReleaseInDestroy)),
        Claim(
            "a call to take an irqfd off again is not needed",
            (),
            "an interface; today's kernel has one, and chapter 06 says so",
        ),
    ),
)

_VGIC = Source(
    "LPIs in an xarray: patch and review (Oliver Upton, Zenghui Yu, Marc Zyngier, February 2024)",
    "07",
    (
        Claim("a list must be searched, an xarray is looked up", (InjectFromList, InjectFromXarray, InjectByRcu)),
        Claim("at first LPIs are in both, under lpi_list_lock", (LpiList, LpiXarray)),
        Claim("before patch 10 there is no problem", (EnclosedPlainErase,)),
        Claim(
            "a put under ap_list_lock takes xa_lock: interrupts must be off, or it deadlocks",
            (FlushPlainErase, FlushOnOneCpu),
        ),
        Claim("use xa_erase_irq? (suggested, and taken back)", (EraseIrq, FlushEraseIrq)),
        Claim("... its unlock switches interrupts on before lpi_list_lock is given back", (EnclosedEraseIrq,)),
        Claim("... and in an interrupt's handler, too", (EraseIrq, FlagAfterwards)),
        Claim(
            "a put may come in a handler: irqfd_wakeup is called with interrupts off",
            (GotInTheHandlerPlainErase, PlainErase),
        ),
        Claim("irqsave is right in every context", (LastPuts, GotInTheHandler, FlushAgainstPut, EnclosedIrqsave)),
        Claim("xa_lock belongs into the documented order of locks", (ListInsideXarray, ListInsideXarrayDeferred)),
        Claim(
            "memory is reserved before the lock, where it may be waited for",
            (RegisterLpi, StoreMaySleep, ReservesUnderTheLock),
        ),
        Claim("if the store fails, the lock is given back (in v1 and v2 it was not)", (ReturnsWithTheLock,)),
        Claim("... and the reservation, too", (NothingReleased,)),
        Claim(
            "the end of the series: no lock to get, one for the last put",
            (LpiRcu, LpiFreedAtOnce, GetWithoutUnlessZero),
        ),
        Claim(
            "XA_FLAGS_LOCK_IRQ", (), "it changes only how a store that may sleep drops the lock, which none here does"
        ),
        Claim("the xarray is destroyed with its machine", (), _NO_RACE),
    ),
)

#: The texts, in the order of the chapters.
SOURCES: tuple[Source, ...] = (_ARRAY, _RESCIND, _IRQS, _IRQFD, _VGIC)
