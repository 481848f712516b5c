"""Exercises of chapter 07: the vGIC xarray."""

from __future__ import annotations

from ...kernel import (
    WRITE_ONCE,
    Cell,
    Kref,
    RawSpinLock,
    SpinLock,
    Struct,
    XArray,
    inside,
    kfree,
    kfree_rcu,
    kref_get_unless_zero,
    kref_put,
    kzalloc,
    local_irq_restore,
    local_irq_save,
    raise_irq,
    raw_spin_lock,
    raw_spin_lock_irqsave,
    raw_spin_unlock,
    raw_spin_unlock_irqrestore,
    rcu_read_lock,
    rcu_read_unlock,
    refcount_dec_not_one,
    smp_cond_load_acquire,
    spin_lock,
    spin_unlock,
    xa_erase,
    xa_erase_irq,
    xa_erase_locked,
    xa_load,
    xa_lock_irqsave,
    xa_store_locked,
    xa_unlock_irqrestore,
)
from ...scenario import Scenario, at_end, invariant
from ...scenarios.vgic_put import INTID, OTHER, LastPuts
from ...scenarios.vgic_reuse import LastPutAgainstNew
from ..exercise import FEWEST, BreakIt, Exercise, JudgeIt, RepairIt

# --- break it: out first, then put ---------------------------------------------------------------------------


class OutFirst(LastPutAgainstNew):
    """Who has the last reference takes the LPI out of the xarray first, and puts then. irqfd's worker injects it."""

    def setup(self):
        super().setup()
        self.add_thread(self.irqfd_inject)

    def irqfd_inject(self):
        irq = yield from self.vgic_get_lpi()
        if irq is not None:
            yield from self.vgic_put_irq(irq)

    def vgic_get_lpi(self):
        yield rcu_read_lock()  # is an RCU reader from here on
        irq = yield xa_load(self.lpi_xa, INTID)  # looks the LPI up
        got = False
        if irq is not None:
            got = yield kref_get_unless_zero(irq.refcount)  # gets a reference, if there is one left
        yield rcu_read_unlock()  # and no longer
        return irq if got else None

    def vgic_put_irq(self, irq):
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock
        put = yield refcount_dec_not_one(irq.refcount)  # puts its reference, unless it is the last
        if not put:
            yield from self.erase(irq)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back
        if not put:
            last = yield kref_put(irq.refcount)  # puts its reference; somebody may have got one meanwhile
            if last:
                yield kfree_rcu(irq)  # has it freed when the readers of now are gone

    @invariant
    def none_there_is_without_references(self, s):
        return all(s[irq.refcount] for _, irq in s[self.lpi_xa])


OUT = BreakIt(
    name="07-out",
    title="Out first, then put",
    scenario=OutFirst,
    breaks="what_is_mapped_is_found",
    switches=FEWEST,
    hints=(
        "A put looks at the count of the LPI that it has in hand, and takes out what is under the number. When may "
        "these be two different LPIs?",
        "The number is mapped to a new one only when the entry of the old one is gone. Somebody still has a reference "
        "to the old one then, and puts it last. Nobody finds the old one by that time. So when has it been got?",
        "Let puts take xa_lock and see that its reference is the last. Now irqfd_inject finds the LPI, and gets one "
        "more. puts goes on to its end, and its put is not the last. Map the number, and let irqfd_inject put.",
    ),
)


# --- repair it: a put that suits everybody ---------------------------------------------------------------------


class PutFromAnywhere(Scenario):
    """A task on CPU 0 puts the last reference of an LPI, by patch 10 as the review found it. What happens meanwhile?

    "inject": a handler on CPU 0 injects another LPI, which CPU 1 discards. "flush": CPU 1 puts another one under
    ap_list_lock, and a timer fires on ``timer_cpu``. "map": the number is mapped again, and a worker injects whatever
    it leads to. "hold": a put that is not the last has to get through while somebody holds every lock that there is.
    """

    cpus = 2

    def setup(self, meanwhile="inject", timer_cpu=0):
        references = 2 if meanwhile == "hold" else 1
        refcount = inside(lambda irq: Kref(references if irq.number == 0 else 1))
        self.vgic_irq = Struct("vgic_irq", capacity=2, refcount=refcount)
        self.irq = self.vgic_irq.new()
        self.mapped = Cell(None)
        if meanwhile != "hold":
            self.add_thread(self.discard, cpu=0)
        if meanwhile in ("inject", "flush"):
            self.other = self.vgic_irq.new()
            self.lpi_xa = XArray({INTID: self.irq, OTHER: self.other})
        else:
            self.lpi_xa = XArray({INTID: self.irq})
        if meanwhile == "inject":
            self.eventfd_signal = self.add_interrupt(self.irqfd_wakeup, cpu=0, name="irqfd_wakeup")
            self.add_thread(self.device, host=True)
            self.add_thread(self.discard_other, cpu=1)
        if meanwhile == "flush":
            self.ap_list_lock = RawSpinLock()
            self.timer = self.add_interrupt(self.kvm_arch_timer_handler, cpu=timer_cpu, name="timer")
            self.add_thread(self.hardware, host=True)
            self.add_thread(self.vgic_flush_pending_lpis, cpu=1)
        if meanwhile == "map":
            self.add_thread(self.irqfd_inject)
            self.add_thread(self.its_cmd_handle_mapi)
        if meanwhile == "hold":
            self.through = Cell(False)  # nothing of the kernel: our own note
            self.add_thread(self.not_the_last)
            self.add_thread(self.holds_every_lock)

    # --- the put, and who puts ------------------------------------------------------------------------

    def vgic_put_irq(self, intid, irq):
        last = yield kref_put(irq.refcount)  # puts its reference
        if last:
            yield from xa_erase(self.lpi_xa, intid)
            yield kfree_rcu(irq)  # has it freed when the readers of now are gone

    def discard(self):
        yield from self.vgic_put_irq(INTID, self.irq)  # the reference of its mapping

    def discard_other(self):
        yield from self.vgic_put_irq(OTHER, self.other)

    def inject(self, intid):
        yield rcu_read_lock()  # is an RCU reader from here on
        irq = yield xa_load(self.lpi_xa, intid)  # looks the LPI up
        got = False
        if irq is not None:
            got = yield kref_get_unless_zero(irq.refcount)  # gets a reference, if there is one left
        yield rcu_read_unlock()  # and no longer
        if got:
            yield from self.vgic_put_irq(intid, irq)

    def device(self):
        yield raise_irq(self.eventfd_signal)  # an interrupt, in whose handler an eventfd is signalled

    def irqfd_wakeup(self):
        yield from self.inject(OTHER)

    def irqfd_inject(self):
        yield from self.inject(INTID)

    # --- under another lock ----------------------------------------------------------------------------

    def hardware(self):
        yield raise_irq(self.timer)  # the timer fires

    def kvm_arch_timer_handler(self):
        yield raw_spin_lock(self.ap_list_lock)  # takes ap_list_lock, to queue the timer's interrupt
        yield raw_spin_unlock(self.ap_list_lock)

    def vgic_flush_pending_lpis(self):
        flags = yield raw_spin_lock_irqsave(self.ap_list_lock)  # takes ap_list_lock, interrupts off
        yield from self.vgic_put_irq(OTHER, self.other)
        yield raw_spin_unlock_irqrestore(self.ap_list_lock, flags)  # gives ap_list_lock back

    # --- a new one ---------------------------------------------------------------------------------------

    def its_cmd_handle_mapi(self):
        irq = yield from self.vgic_add_lpi()
        yield WRITE_ONCE(self.mapped, irq)  # the mapping keeps its reference

    def vgic_add_lpi(self):
        new = yield kzalloc(self.vgic_irq)  # allocates the new one
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock
        old = yield xa_load(self.lpi_xa, INTID)  # is there one?
        got = False
        if old is not None:
            got = yield kref_get_unless_zero(old.refcount)  # and is it alive?
        if not got:
            yield xa_store_locked(self.lpi_xa, INTID, new)  # puts the new one there; who put the old one last frees it
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back
        if got:
            yield kfree(new)  # the new one is of no use
            return old
        return new

    # --- one that is not the last ---------------------------------------------------------------------

    def not_the_last(self):
        yield from self.vgic_put_irq(INTID, self.irq)
        yield WRITE_ONCE(self.through, True)

    def holds_every_lock(self):
        locks = [lock for lock in self.cast.shared if isinstance(lock, SpinLock | RawSpinLock)]
        for lock in locks:
            yield spin_lock(lock) if isinstance(lock, SpinLock) else raw_spin_lock(lock)
        yield smp_cond_load_acquire(self.through, bool)  # until that put is through
        for lock in reversed(locks):
            yield spin_unlock(lock) if isinstance(lock, SpinLock) else raw_spin_unlock(lock)
        yield from self.discard()

    # --- what must hold -----------------------------------------------------------------------------

    @at_end
    def the_xarray_has_what_is_mapped(self, s):
        mapped = s[self.mapped]
        wanted = () if mapped is None else ((INTID, mapped),)
        return s[self.lpi_xa] == wanted or f"mapped: {mapped}; in the xarray: {self.lpi_xa.show(s[self.lpi_xa])}"


PUT = RepairIt(
    name="07-put",
    title="A put for every caller",
    scenario=PutFromAnywhere,
    may_change=("vgic_put_irq",),
    cases=(
        {"meanwhile": "inject"},
        {"meanwhile": "flush", "timer_cpu": 0},
        {"meanwhile": "flush", "timer_cpu": 1},
        {"meanwhile": "map"},
        {"meanwhile": "hold"},
    ),
    reserved={
        "ap_list_lock": "It is the callers' lock: some of them hold it when they put.",
        "mapped": "What is mapped is noted by the code that is given.",
        "through": "It only notes for the grader that a put is through.",
    },
    max_states=10_000,
    hints=(
        "The chapter's table says which form suits a task, a handler, and somebody who holds a lock with interrupts "
        "off. That is one half. For the other ask: the count has come to zero, and xa_lock is not taken yet. What may "
        "be under that number by the time that it is?",
        "No function of the xarray has that form, but its lock has. And either the count does not come to zero before "
        "the lock is held, or who erases sees to it that it is their own. Taking the lock for every put is not the "
        "way: somebody else may hold it for long.",
        "refcount_dec_not_one puts a reference unless it is the last, and says whether it did; then that is all. Else "
        "take the lock by xa_lock_irqsave and put under it, by kref_put: if it is still the last, xa_erase_locked, and "
        "kfree_rcu. Or put first, and use xa_cmpxchg_locked(self.lpi_xa, intid, irq, None) under the lock.",
    ),
)


# --- judge it: changes to get and put ----------------------------------------------------------------------------


class GetAndPut(LastPuts):
    """As merged in 2024. CPU 0 injects an LPI, in a handler or ``in_a_task``; CPU ``discard_cpu`` discards it.

    A task on CPU 0 discards another LPI.
    """

    def setup(self, in_a_task=False, discard_cpu=1):
        super().setup(second="task" if in_a_task else "interrupt")
        self.add_thread(self.discard_other, cpu=discard_cpu)

    def discard_other(self):
        yield from self.vgic_put_irq(OTHER, self.other)  # the reference of its mapping

    def inject(self):
        irq = yield from self.vgic_get_lpi(OTHER)
        if irq is not None:
            yield from self.vgic_put_irq(OTHER, irq)

    def vgic_get_lpi(self, intid):
        yield rcu_read_lock()  # is an RCU reader from here on
        irq = yield xa_load(self.lpi_xa, intid)  # looks the LPI up
        got = False
        if irq is not None:
            got = yield kref_get_unless_zero(irq.refcount)  # gets a reference, if there is one left
        yield rcu_read_unlock()  # and no longer
        return irq if got else None

    def vgic_put_irq(self, intid, irq):
        last = yield kref_put(irq.refcount)  # puts its reference
        if last:
            yield from self.erase_lpi(intid)
            yield from self.free_lpi(irq)

    def erase_lpi(self, intid):
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock, interrupts off
        yield xa_erase_locked(self.lpi_xa, intid)  # takes the entry out
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back, interrupts as they were

    def free_lpi(self, irq):
        yield kfree_rcu(irq)  # has it freed when the readers of now are gone


class FormByFlag(GetAndPut):
    """A put looks whether interrupts are on: if so it uses xa_erase_irq, else xa_erase."""

    def erase_lpi(self, intid):
        flags = yield local_irq_save()  # are interrupts on?
        yield local_irq_restore(flags)
        if flags:
            yield from xa_erase_irq(self.lpi_xa, intid)
        else:
            yield from xa_erase(self.lpi_xa, intid)


class FreedUnderTheLock(GetAndPut):
    """kfree_rcu is called first and the entry taken out then, both in one go under xa_lock."""

    def erase_lpi(self, intid):
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock, interrupts off
        irq = yield xa_load(self.lpi_xa, intid)
        yield kfree_rcu(irq)  # has it freed when the readers of now are gone
        yield xa_erase_locked(self.lpi_xa, intid)  # takes the entry out
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back, interrupts as they were

    def free_lpi(self, irq):
        yield from ()  # that has been seen to


class InterruptsOff(GetAndPut):
    """A look-up switches interrupts off in place of rcu_read_lock."""

    def vgic_get_lpi(self, intid):
        flags = yield local_irq_save()  # switches interrupts off
        irq = yield xa_load(self.lpi_xa, intid)  # looks the LPI up
        got = False
        if irq is not None:
            got = yield kref_get_unless_zero(irq.refcount)  # gets a reference, if there is one left
        yield local_irq_restore(flags)  # as they were
        return irq if got else None


class GetsAfterwards(GetAndPut):
    """A look-up is an RCU reader while it goes through the xarray, and gets its reference right afterwards."""

    def vgic_get_lpi(self, intid):
        yield rcu_read_lock()
        irq = yield xa_load(self.lpi_xa, intid)  # looks the LPI up
        yield rcu_read_unlock()
        got = False
        if irq is not None:
            got = yield kref_get_unless_zero(irq.refcount)  # gets a reference, if there is one left
        return irq if got else None


class LooksAgain(GetAndPut):
    """A look-up that finds an LPI without references looks again, until it is gone or another is there."""

    def vgic_get_lpi(self, intid):
        irq, got = None, False
        yield rcu_read_lock()
        while not got:
            irq = yield xa_load(self.lpi_xa, intid)  # looks the LPI up
            if irq is None:
                break
            got = yield kref_get_unless_zero(irq.refcount)  # gets a reference, if there is one left
        yield rcu_read_unlock()
        return irq


class LooksUnderTheLock(GetAndPut):
    """No RCU: a look-up takes xa_lock with irqsave until it has its reference, and the LPI is freed by kfree."""

    def vgic_get_lpi(self, intid):
        flags = yield xa_lock_irqsave(self.lpi_xa)
        irq = yield xa_load(self.lpi_xa, intid)  # looks the LPI up
        got = False
        if irq is not None:
            got = yield kref_get_unless_zero(irq.refcount)  # gets a reference, if there is one left
        yield xa_unlock_irqrestore(self.lpi_xa, flags)
        return irq if got else None

    def free_lpi(self, irq):
        yield kfree(irq)  # frees it


MERGED = JudgeIt(
    name="07-merged",
    title="Changes to get and put",
    scenario=GetAndPut,
    mutations=(FormByFlag, FreedUnderTheLock, InterruptsOff, GetsAfterwards, LooksAgain, LooksUnderTheLock),
    cases=({}, {"in_a_task": True}, {"discard_cpu": 0}),
    because={
        "FormByFlag": "A handler that comes between the look and the lock leaves the flag as it has found it. So "
        "everybody finds their own flag unchanged. This is irqsave, made by hand.",
        "FreedUnderTheLock": "xa_lock keeps out those who change the xarray, not those who look: they take no lock. A "
        "reader that begins after the call of kfree_rcu, and looks before the entry is gone, is waited for by nobody.",
        "InterruptsOff": "Since v5.0, whoever has interrupts off is an RCU reader as well.",
        "GetsAfterwards": "A handler is an RCU reader to its end, with rcu_read_lock or without. A task is none any "
        "more after rcu_read_unlock: the LPI may be freed before its count is looked at.",
        "LooksAgain": "It waits until somebody has taken the entry out. Where that is a task which the handler itself "
        "has interrupted, it waits for ever.",
        "LooksUnderTheLock": "While somebody looks, nobody gets through to taking the entry out, let alone to freeing "
        "the LPI. That it may have no references any more is what kref_get_unless_zero is for. It is slower, not "
        "wrong.",
    },
    hints=(
        "Three things are needed. The memory must be there while somebody looks at the count. Interrupts must be off "
        "while xa_lock is held, and be afterwards as they were. And nobody may wait for one who cannot go on. Which "
        "of them does a change touch?",
        "Three of the six do harm, and each of these holds in at least one of the three cases. So ask in each case "
        "who runs on which CPU, and who can come in between.",
        "FormByFlag: who could leave the flag changed between the look and the lock? FreedUnderTheLock: whom does "
        "xa_lock keep out, and whom not? GetsAfterwards: who is a reader after rcu_read_unlock? LooksAgain: who takes "
        "the entry out, and on which CPU?",
    ),
)

EXERCISES: tuple[Exercise, ...] = (OUT, PUT, MERGED)
