"""Chapter 07: the last put of an LPI against a new registration of its number (2026).

Since e27f2d561fee (6.9), a put takes ``xa_lock`` only once the count has come to zero. Between the two, the xarray
leads to an LPI that is dead. A registration that comes then stores a new one in its place, and the put erases *that*.
Since 6.17 a put under ``ap_list_lock`` leaves the rest to whoever goes through the xarray later; then nobody finds the
old one any more.
(Source: CVE-2026-74568, fixed by cbfe2b24a1ea; arch/arm64/kvm/vgic/vgic.c and vgic-its.c, v7.2. That the first kind
exists since 6.9 is our own reading of the code.)

The repair is a rule: where xa_lock can be taken, the count comes to zero only under it. Where it cannot, whoever first
finds the dead one under xa_lock frees it, also if that is the registration.
"""

from __future__ import annotations

from ..kernel import (
    WRITE_ONCE,
    Cell,
    Kref,
    RawSpinLock,
    Struct,
    XArray,
    inside,
    kfree,
    kfree_rcu,
    kref_get_unless_zero,
    kref_put,
    kref_read,
    kzalloc,
    load,
    raw_spin_lock_irqsave,
    raw_spin_unlock_irqrestore,
    refcount_dec_not_one,
    store,
    xa_cmpxchg_locked,
    xa_erase_locked,
    xa_load,
    xa_lock_irqsave,
    xa_store_locked,
    xa_unlock_irqrestore,
)
from ..scenario import Scenario, at_end

INTID = 8192
DIRECT, DEFERRED = "direct", "deferred"


class LastPutAgainstNew(Scenario):
    """An LPI is put for the last time, and its number is mapped again.

    There is a put for each of ``puts``: "direct", or "deferred" (under ap_list_lock). With ``one_cpu``, all tasks run
    on CPU 0. ``mapped_again=False``: there are the puts, and nothing else.
    """

    cpus = 1

    def setup(self, puts=(DIRECT,), one_cpu=False, mapped_again=True):
        references = len(puts)
        refcount = inside(lambda irq: Kref(references if irq.number == 0 else 1))
        self.vgic_irq = Struct("vgic_irq", capacity=2, refcount=refcount, marked=False)
        self.old = self.vgic_irq.new()
        self.lpi_xa = XArray({INTID: self.old})
        self.mapped = Cell(None)
        cpu = 0 if one_cpu else None
        if mapped_again:
            self.add_thread(self.its_cmd_handle_mapi, cpu=cpu)
        if DEFERRED in puts:
            self.ap_list_lock = RawSpinLock()
        for kind in puts:
            self.add_thread({DIRECT: self.puts, DEFERRED: self.vgic_flush_pending_lpis}[kind], cpu=cpu)

    # --- a new one -----------------------------------------------------------------------------

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
            yield xa_store_locked(self.lpi_xa, INTID, new)  # puts the new one there
            if old is not None:
                yield from self.evict(old)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back
        if got:
            yield kfree(new)  # the new one is of no use
            return old
        return new

    def evict(self, old):
        yield from ()  # a dead one: who has put it last will free it

    # --- a put -----------------------------------------------------------------------------------

    def puts(self):
        yield from self.vgic_put_irq(self.old)

    def vgic_put_irq(self, irq):
        last = yield kref_put(irq.refcount)  # puts its reference
        if last:
            flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock
            yield from self.erase(irq)
            yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back
            yield kfree_rcu(irq)  # has it freed when the readers of now are gone

    def erase(self, irq):
        yield xa_erase_locked(self.lpi_xa, INTID)  # takes out what is there

    # --- a put under ap_list_lock ------------------------------------------------------------------

    def vgic_flush_pending_lpis(self):
        flags = yield raw_spin_lock_irqsave(self.ap_list_lock)  # takes ap_list_lock
        last = yield from self.vgic_put_irq_norelease(self.old)
        yield raw_spin_unlock_irqrestore(self.ap_list_lock, flags)  # gives ap_list_lock back
        if last:
            yield from self.vgic_release_deleted_lpis()

    def vgic_put_irq_norelease(self, irq):
        last = yield kref_put(irq.refcount)  # puts its reference
        if last:
            yield store(irq.marked, True)  # marks it for later (pending_release)
        return last

    def vgic_release_deleted_lpis(self):
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock
        irq = yield xa_load(self.lpi_xa, INTID)  # goes through the LPIs; there is this number only
        if irq is not None and (yield from self.is_deleted(irq)):
            yield xa_erase_locked(self.lpi_xa, INTID)  # takes the entry out
            yield kfree_rcu(irq)  # has it freed when the readers of now are gone
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back

    def is_deleted(self, irq):
        return (yield load(irq.marked))  # is it marked?

    # --- what must hold --------------------------------------------------------------------------------

    @at_end
    def what_is_mapped_is_found(self, s):
        found, mapped = dict(s[self.lpi_xa]).get(INTID), s[self.mapped]
        return found is mapped or f"mapped: {mapped}; in the xarray: {found}"


class DeferredAgainstNew(LastPutAgainstNew):
    """The same with a put under ap_list_lock, as since 6.17."""

    def setup(self, puts=(DEFERRED,), **parameters):
        super().setup(puts, **parameters)


class ZeroUnderTheLock(LastPutAgainstNew):
    """cbfe2b24a1ea: only with xa_lock held is the last reference put; a dead one is freed by who finds it first."""

    def setup(self, puts=(DIRECT, DEFERRED), **parameters):
        super().setup(puts, **parameters)

    def vgic_put_irq(self, irq):
        if (yield refcount_dec_not_one(irq.refcount)):  # puts its reference, unless it is the last
            return
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock
        last = yield kref_put(irq.refcount)  # puts it, under the lock
        if last:
            yield from self.erase(irq)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back
        if last:
            yield kfree_rcu(irq)  # has it freed when the readers of now are gone

    def vgic_put_irq_norelease(self, irq):
        return (yield kref_put(irq.refcount))  # puts its reference

    def is_deleted(self, irq):
        references = yield kref_read(irq.refcount)  # is it a dead one?
        return references == 0

    def evict(self, old):
        yield kfree_rcu(old)  # a dead one that was left: it is freed here


class ZeroUnderTheLockNotEvicted(ZeroUnderTheLock):
    """Half of the repair: the registration frees nothing."""

    def evict(self, old):
        yield from ()


class EvictedZeroOutside(LastPutAgainstNew):
    """The other half: the registration frees a dead one, and a put comes to zero without the lock."""

    def evict(self, old):
        yield kfree_rcu(old)  # frees the dead one


class ErasesItsOwnOnly(LastPutAgainstNew):
    """Another repair: who erases looks whether it is still the one that was put."""

    def erase(self, irq):
        yield xa_cmpxchg_locked(self.lpi_xa, INTID, irq, None)  # takes out this one, and no other


class ErasesItsOwnOnlyDeferred(ErasesItsOwnOnly):
    """The same with a put under ap_list_lock."""

    def setup(self, puts=(DEFERRED,), **parameters):
        super().setup(puts, **parameters)


class LooksThenPuts(ZeroUnderTheLock):
    """Reads the count in place of refcount_dec_not_one: two who both read 2 both put without the lock.

    The dead one stays in the xarray until somebody comes across it. If the number is mapped again, that is soon.
    """

    def setup(self, puts=(DIRECT, DIRECT), mapped_again=False, **parameters):
        super().setup(puts, mapped_again=mapped_again, **parameters)

    def vgic_put_irq(self, irq):
        references = yield kref_read(irq.refcount)  # how many are there?
        if references > 1:
            yield kref_put(irq.refcount)  # puts its reference; it is not the last, it seems
        else:
            yield from super().vgic_put_irq(irq)


class PutsUnderTheLock(ZeroUnderTheLock):
    """Every put takes xa_lock, as before 2024: right, and slower."""

    def vgic_put_irq(self, irq):
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock
        last = yield kref_put(irq.refcount)  # puts its reference, under the lock
        if last:
            yield from self.erase(irq)
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back
        if last:
            yield kfree_rcu(irq)  # has it freed when the readers of now are gone
