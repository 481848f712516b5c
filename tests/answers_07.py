"""Wrong answers to the exercises of chapter 07."""

from answers import Wrong, flipped

from vmbus_teach.grading.chapters.ch07 import PutFromAnywhere
from vmbus_teach.kernel import (
    WRITE_ONCE,
    Cell,
    RawSpinLock,
    SpinLock,
    Work,
    WorkQueue,
    XArray,
    kfree,
    kfree_rcu,
    kref_put,
    kref_read,
    local_irq_disable,
    local_irq_enable,
    local_irq_restore,
    local_irq_save,
    queue_work,
    raw_spin_lock_irqsave,
    raw_spin_unlock_irqrestore,
    refcount_dec_not_one,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
    synchronize_rcu,
    xa_cmpxchg_locked,
    xa_erase,
    xa_erase_bh,
    xa_erase_irq,
    xa_erase_locked,
    xa_load,
    xa_lock_irqsave,
    xa_unlock_irqrestore,
)

_GOT_IN_TIME = "puts*2 irqfd_inject*4 puts*3 "

OUT = [
    Wrong("irqfd_inject*2 puts*2 irqfd_inject*2 puts*3 its_cmd_handle_mapi*6 irqfd_inject*6 rcu", "fails",
          "It fails as it should .* too many switches. There is a schedule with fewer"),
    Wrong("puts*6 its_cmd_handle_mapi*6 irqfd_inject*7 rcu", "fails", "All has been done .* what_is_mapped_is_found"),
    Wrong("irqfd_inject*4 puts*3 its_cmd_handle_mapi*7 irqfd_inject*3", "fails",
          "All has been done .* mapped is vgic_irq#0"),
    Wrong(f"{_GOT_IN_TIME} irqfd_inject*6 its_cmd_handle_mapi*6 rcu", "fails", "All has been done .* mapped is"),
    Wrong(f"{_GOT_IN_TIME} its_cmd_handle_mapi*6", "fails", "stops before its end .* Possible now: irqfd_inject"),
    Wrong("puts*2 its_cmd_handle_mapi*3", "fails", "its_cmd_handle_mapi cannot step now: it spins"),
    Wrong("puts*2 irqfd_inject*4 its_cmd_handle_mapi irqfd_inject*2", "fails", "irqfd_inject cannot step now"),
    Wrong("puts*2 mapi*6", "fails", "there is no context 'mapi'"),
    Wrong("puts*2, irqfd_inject*4", "refused", "'puts\\*2,' is no step of a schedule"),
]  # fmt: skip


class Right(PutFromAnywhere):
    """A right answer, for the wrong ones to begin with: the count comes to zero only under xa_lock."""

    def vgic_put_irq(self, intid, irq):
        if (yield refcount_dec_not_one(irq.refcount)):
            return
        flags = yield xa_lock_irqsave(self.lpi_xa)
        last = yield kref_put(irq.refcount)
        if last:
            yield from self.erase(intid, irq)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)
        if last:
            yield from self.free(irq)

    def erase(self, intid, irq):
        yield xa_erase_locked(self.lpi_xa, intid)

    def free(self, irq):
        yield kfree_rcu(irq)


class ErasesItsOwn(PutFromAnywhere):
    """The count comes to zero without the lock; only what was put is erased."""

    def vgic_put_irq(self, intid, irq):
        last = yield kref_put(irq.refcount)
        if last:
            yield from self.erase(intid, irq)
            yield kfree_rcu(irq)

    def erase(self, intid, irq):
        flags = yield xa_lock_irqsave(self.lpi_xa)
        yield xa_cmpxchg_locked(self.lpi_xa, intid, irq, None)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)


class LooksWhatIsThere(ErasesItsOwn):
    """The same by a look, under the lock."""

    def erase(self, intid, irq):
        flags = yield xa_lock_irqsave(self.lpi_xa)
        there = yield xa_load(self.lpi_xa, intid)
        if there is irq:
            yield xa_erase_locked(self.lpi_xa, intid)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)


class ByAWork(PutFromAnywhere):
    """Who puts the last has the rest done by a work item."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.queue = WorkQueue()
        self.release_work = {
            irq: Work(self.release, intid, irq)
            for intid, irq in self.lpi_xa.initial
        }  # fmt: skip

    def vgic_put_irq(self, intid, irq):
        last = yield kref_put(irq.refcount)
        if last:
            yield queue_work(self.queue, self.release_work[irq])

    def release(self, intid, irq):
        flags = yield xa_lock_irqsave(self.lpi_xa)
        yield xa_cmpxchg_locked(self.lpi_xa, intid, irq, None)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)
        yield kfree_rcu(irq)


# --- the wrong form of the lock ----------------------------------------------------------------------------


class SavedOnly(ErasesItsOwn):
    """xa_erase; the flag is saved and restored, and interrupts stay on."""

    def erase(self, intid, irq):
        flags = yield local_irq_save()
        yield local_irq_restore(flags)
        yield from xa_erase(self.lpi_xa, intid)


class EraseBh(ErasesItsOwn):
    """xa_erase_bh."""

    def erase(self, intid, irq):
        yield from xa_erase_bh(self.lpi_xa, intid)


class EraseIrq(ErasesItsOwn):
    """xa_erase_irq."""

    def erase(self, intid, irq):
        yield from xa_erase_irq(self.lpi_xa, intid)


class InterruptsOffAndOn(ErasesItsOwn):
    """xa_erase with interrupts off; they are switched on afterwards, whatever they were."""

    def erase(self, intid, irq):
        yield local_irq_disable()
        yield from xa_erase(self.lpi_xa, intid)
        yield local_irq_enable()


# --- the new one, the reader -------------------------------------------------------------------------------


class Irqsave(ErasesItsOwn):
    """As merged in 2024: irqsave, and whatever is there is erased."""

    def erase(self, intid, irq):
        flags = yield xa_lock_irqsave(self.lpi_xa)
        yield xa_erase_locked(self.lpi_xa, intid)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)


class LooksBeforeTheLock(ErasesItsOwn):
    """Looks whether it is still there, and takes the lock then."""

    def erase(self, intid, irq):
        there = yield xa_load(self.lpi_xa, intid)
        if there is irq:
            yield from Irqsave.erase(self, intid, irq)


class LooksThenPuts(Right):
    """Reads the count in place of refcount_dec_not_one."""

    def vgic_put_irq(self, intid, irq):
        if (yield kref_read(irq.refcount)) > 1:
            yield kref_put(irq.refcount)
        else:
            yield from super().vgic_put_irq(intid, irq)


class OutFirst(Right):
    """Erases while there is one reference left, and puts when the lock is free again."""

    def vgic_put_irq(self, intid, irq):
        if (yield refcount_dec_not_one(irq.refcount)):
            return
        flags = yield xa_lock_irqsave(self.lpi_xa)
        put = yield refcount_dec_not_one(irq.refcount)
        if not put:
            yield from self.erase(intid, irq)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)
        if not put and (yield kref_put(irq.refcount)):
            yield kfree_rcu(irq)


class AlwaysErases(Right):
    """Does not ask again, under the lock, whether it is the last."""

    def vgic_put_irq(self, intid, irq):
        if (yield refcount_dec_not_one(irq.refcount)):
            return
        flags = yield xa_lock_irqsave(self.lpi_xa)
        yield kref_put(irq.refcount)
        yield from self.erase(intid, irq)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)
        yield kfree_rcu(irq)


class FreedAtOnce(Right):
    """kfree."""

    def free(self, irq):
        yield kfree(irq)


class FreedUnderTheLock(Right):
    """kfree_rcu before the entry is gone."""

    def erase(self, intid, irq):
        yield kfree_rcu(irq)
        yield from super().erase(intid, irq)

    def free(self, irq):
        yield from ()


class WaitsForReaders(Right):
    """synchronize_rcu and kfree."""

    def free(self, irq):
        yield synchronize_rcu()
        yield kfree(irq)


# --- shortcuts -----------------------------------------------------------------------------------------------


class NeverFrees(Right):
    """Nothing is freed that could be used."""

    def free(self, irq):
        yield from ()


class NeverErases(Right):
    """Nothing is erased, of whomever."""

    def erase(self, intid, irq):
        yield from ()


class NeverPuts(PutFromAnywhere):
    """No put, no last put."""

    def vgic_put_irq(self, intid, irq):
        yield from ()


class AlwaysLocks(Right):
    """Every put takes xa_lock."""

    def vgic_put_irq(self, intid, irq):
        flags = yield xa_lock_irqsave(self.lpi_xa)
        last = yield kref_put(irq.refcount)
        if last:
            yield from self.erase(intid, irq)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)
        if last:
            yield from self.free(irq)


class ListLockIsBack(ErasesItsOwn):
    """lpi_list_lock around all of it, as before patch 10."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.lpi_list_lock = RawSpinLock()

    def vgic_put_irq(self, intid, irq):
        flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)
        yield from super().vgic_put_irq(intid, irq)
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)


class AnotherLock(ErasesItsOwn):
    """The same with a spinlock_t."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.put_lock = SpinLock()

    def vgic_put_irq(self, intid, irq):
        flags = yield spin_lock_irqsave(self.put_lock)
        yield from super().vgic_put_irq(intid, irq)
        yield spin_unlock_irqrestore(self.put_lock, flags)


class LockTakenTwice(ErasesItsOwn):
    """xa_lock is taken, and xa_erase takes it again."""

    def erase(self, intid, irq):
        flags = yield xa_lock_irqsave(self.lpi_xa)
        yield from xa_erase(self.lpi_xa, intid)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)


class NoLock(ErasesItsOwn):
    """xa_erase_locked, and no lock."""

    def erase(self, intid, irq):
        yield xa_erase_locked(self.lpi_xa, intid)


class SaysSoItself(Right):
    """Notes that nothing is mapped."""

    def vgic_put_irq(self, intid, irq):
        yield from super().vgic_put_irq(intid, irq)
        yield WRITE_ONCE(self.mapped, None)


class MapsWithCare(Right):
    """Another registration."""

    def vgic_add_lpi(self):
        yield from ()


class EmptyAtOnce(Right):
    """Starts with nothing to be erased."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.lpi_xa = XArray()


class Content(Right):
    """The property is always content."""

    def the_xarray_has_what_is_mapped(self, s):
        return True


class ThroughTheBackDoor(Right):
    """Says that the put is through before it is."""

    def vgic_put_irq(self, intid, irq):
        if hasattr(self, "through"):
            yield WRITE_ONCE(self.through, True)
        yield from super().vgic_put_irq(intid, irq)


class Counts(Right):
    """Notes in an attribute who has put."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.puts = Cell(0)

    def vgic_put_irq(self, intid, irq):
        yield from super().vgic_put_irq(intid, irq)
        self.last_put = intid


PUT = [
    Wrong(SavedOnly, "fails", "SavedOnly\\(meanwhile='inject'\\) fails.*deadlock.*irqfd_wakeup spins for .*xa_lock"),
    Wrong(EraseBh, "fails", "meanwhile='inject'\\) fails.*error: .* is an interrupt handler and switches softirqs off"),
    Wrong(EraseIrq, "fails", "EraseIrq\\(meanwhile='inject'\\) fails.*error.*interrupts on"),
    Wrong(InterruptsOffAndOn, "fails", "meanwhile='inject'\\) fails.*error.*interrupts on"),
    Wrong(Irqsave, "fails", "Irqsave\\(meanwhile='map'\\) fails.*mapped: vgic_irq#1; in the xarray: empty"),
    Wrong(LooksBeforeTheLock, "fails", "meanwhile='map'\\) fails.*mapped: vgic_irq#1; in the xarray: empty"),
    Wrong(LooksThenPuts, "fails", "mapped: None; in the xarray: 8193"),
    Wrong(OutFirst, "fails", "OutFirst\\(meanwhile='map'\\) fails.*mapped: vgic_irq#1; in the xarray: empty"),
    Wrong(AlwaysErases, "fails", "double-free: .* frees vgic_irq#1, which .* has given to kfree_rcu before"),
    Wrong(FreedAtOnce, "fails", "use-after-free.*uses vgic_irq#1.refcount after discard_other freed"),
    Wrong(FreedUnderTheLock, "fails", "use-after-free.*uses vgic_irq#1.refcount after rcu freed"),
    Wrong(WaitsForReaders, "fails", "sleep-in-atomic: irqfd_wakeup calls synchronize_rcu"),
    Wrong(NeverFrees, "fails", "leak: vgic_irq#0 is never freed"),
    Wrong(NeverErases, "fails", "use-after-free: irqfd_wakeup uses vgic_irq#1.refcount after rcu freed"),
    Wrong(NeverPuts, "fails", "mapped: None; in the xarray: 8192: vgic_irq#0"),
    Wrong(AlwaysLocks, "fails", "'hold'\\) fails.*not_the_last spins for lpi_xa.xa_lock, held by holds_every_lock"),
    Wrong(ListLockIsBack, "fails", "'hold'\\) fails.*not_the_last spins for lpi_list_lock, held by holds_every_lock"),
    Wrong(AnotherLock, "fails", "'hold'\\) fails.*not_the_last spins for put_lock, held by holds_every_lock"),
    Wrong(LockTakenTwice, "fails", "deadlock: .* discard spins for lpi_xa.xa_lock, which it holds itself"),
    Wrong(NoLock, "fails", "error.*without lpi_xa.xa_lock: nobody holds it"),
    Wrong(SaysSoItself, "refused", "mapped is not for your code to touch. What is mapped is noted by"),
    Wrong(ThroughTheBackDoor, "refused", "through is not for your code to touch"),
    Wrong(MapsWithCare, "refused", "MapsWithCare has vgic_add_lpi, which cannot count here"),
    Wrong(EmptyAtOnce, "refused", "self.lpi_xa is not as it is given"),
    Wrong(Content, "refused", "a property says what must hold, and stays as it is given"),
    Wrong(Counts, "refused", "self.last_put = 8192 in a running program of Counts"),
]

_MERGED = {
    "FormByFlag": "harmless", "FreedUnderTheLock": "harmful", "InterruptsOff": "harmless",
    "GetsAfterwards": "harmful", "LooksAgain": "harmful", "LooksUnderTheLock": "harmless",
}  # fmt: skip

MERGED = [
    Wrong(flipped(_MERGED, "FormByFlag"), "fails", "FormByFlag is harmful. But .*discard_cpu=0\\) holds under all"),
    Wrong(flipped(_MERGED, "FreedUnderTheLock"), "fails", "is harmless. This schedule.*interrupt uses .* rcu freed"),
    Wrong(flipped(_MERGED, "InterruptsOff"), "fails", "InterruptsOff is harmful. But .*in_a_task=True\\) holds"),
    Wrong(flipped(_MERGED, "GetsAfterwards"), "fails", "is harmless. This schedule.*irqfd_inject uses .* rcu freed"),
    Wrong(flipped(_MERGED, "LooksAgain"), "fails", "is harmless. This schedule.*livelock"),
    Wrong(flipped(_MERGED, "LooksUnderTheLock"), "fails", "LooksUnderTheLock is harmful. But .* holds"),
    Wrong(dict.fromkeys(_MERGED, "harmful"), "fails", "3 of 6 judgements are right"),
    Wrong({**_MERGED, "LooksAgain": "slow"}, "refused", "LooksAgain is judged 'slow'"),
    Wrong(["harmless"] * 6, "refused", "is a dict such as"),
]

RIGHT = {"07-put": [ErasesItsOwn, LooksWhatIsThere, ByAWork]}
WRONG = {"07-out": OUT, "07-put": PUT, "07-merged": MERGED}
