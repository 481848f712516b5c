"""Chapter 07: an LPI is registered: memory is reserved before the lock, and stored under it.

``vgic_add_lpi`` stores a new LPI under a spin lock, where no allocation may sleep. So it reserves the entry before.
(Source: "KVM: arm64: vgic: Store LPIs in an xarray", v1 to v3, January and February 2024, merged as 1d6f83f60f79;
481c9ee846d2, in Linux 6.10; arch/arm64/kvm/vgic/vgic-its.c, Linux 7.2.)

Two tasks map the same LPI; one of them discards it again.
"""

from __future__ import annotations

from ..kernel import (
    GFP_KERNEL,
    GFP_NOWAIT,
    WRITE_ONCE,
    Cell,
    Kref,
    RawSpinLock,
    Struct,
    XArray,
    inside,
    kfree,
    kref_get,
    kref_put,
    kzalloc,
    raw_spin_lock_irqsave,
    raw_spin_unlock_irqrestore,
    xa_erase,
    xa_erase_locked,
    xa_load,
    xa_lock_irqsave,
    xa_release,
    xa_reserve_irq,
    xa_store,
    xa_store_locked,
    xa_unlock_irqrestore,
)
from ..scenario import Scenario, at_end, thread

INTID = 8192


class RegisterLpi(Scenario):
    """v3 and what was merged: reserve, lock, store, unlock. Memory is short.

    The outcome is what became of the mapping that stays. With ``alone``, nobody else maps and discards.
    """

    def setup(self, alone=False):
        self.vgic_irq = Struct("vgic_irq", capacity=2, refcount=inside(Kref))
        self.lpi_xa = XArray(may_fail=True)
        self.lpi_list_lock = RawSpinLock()
        self.mapped = Cell(None)
        self.result = Cell("mapped")
        if not alone:
            self.add_thread(self.map_and_discard)

    @thread()
    def map_lpi(self):
        irq = yield from self.vgic_add_lpi(self.result)
        yield WRITE_ONCE(self.mapped, irq)  # the mapping keeps its reference

    def map_and_discard(self):
        irq = yield from self.vgic_add_lpi(None)
        if irq is not None:
            yield from self.vgic_put_irq(irq)  # the mapping is gone again

    def vgic_add_lpi(self, result):
        irq = yield from self.vgic_get_lpi()
        if irq is not None:
            return irq
        irq = yield kzalloc(self.vgic_irq)  # allocates the LPI
        error = yield from self.reserve()
        if error:
            yield from self.failed(result, "not reserved", irq)
            return None
        return (yield from self.store_lpi(irq, result))

    def failed(self, result, why, irq):
        yield kfree(irq)  # it is of no use
        if result is not None:
            yield WRITE_ONCE(result, why)  # notes why

    def reserve(self):
        return (yield from xa_reserve_irq(self.lpi_xa, INTID))

    def store_lpi(self, irq, result):
        flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)  # takes lpi_list_lock
        old = yield xa_load(self.lpi_xa, INTID)  # has somebody else been faster?
        if old is not None:
            yield kref_get(old.refcount)  # then that one is taken
            yield kfree(irq)  # and its own is of no use
            irq = old
        else:
            error = yield from self.put_into_xarray(irq)
            if error:
                yield from self.after_failure(flags)
                yield from self.failed(result, "not stored", irq)
                return None
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)  # gives lpi_list_lock back
        return irq

    def put_into_xarray(self, irq):
        return (yield from xa_store(self.lpi_xa, INTID, irq, GFP_NOWAIT))

    def after_failure(self, flags):
        yield from xa_release(self.lpi_xa, INTID)
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)  # gives lpi_list_lock back

    def vgic_get_lpi(self):
        flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)  # takes lpi_list_lock
        irq = yield xa_load(self.lpi_xa, INTID)  # is it there already?
        if irq is not None:
            yield kref_get(irq.refcount)  # gets a reference
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)  # gives lpi_list_lock back
        return irq

    def vgic_put_irq(self, irq):
        flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)  # takes lpi_list_lock
        last = yield kref_put(irq.refcount)  # puts its reference
        if last:
            yield from xa_erase(self.lpi_xa, INTID)
            yield kfree(irq)  # frees it
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)  # gives lpi_list_lock back

    @at_end
    def what_is_mapped_is_found(self, s):
        irq = s[self.mapped]
        wanted = ((INTID, irq),) if irq is not None else ()
        return s[self.lpi_xa] == wanted or f"{irq} is mapped; the xarray: {self.lpi_xa.show(s[self.lpi_xa])}"

    def outcome(self, s):
        return s[self.result]


class ReturnsWithTheLock(RegisterLpi):
    """v1 and v2: a store that finds no memory returns at once."""

    def after_failure(self, flags):
        yield from xa_release(self.lpi_xa, INTID)


class NothingReserved(RegisterLpi):
    """No reservation: the store finds memory or does not."""

    def reserve(self):
        yield from ()
        return 0


class NothingReleased(RegisterLpi):
    """No xa_release after a store that failed."""

    def after_failure(self, flags):
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)  # gives lpi_list_lock back


class StoreMaySleep(NothingReserved):
    """No reservation; the store may wait for memory, under the lock."""

    def put_into_xarray(self, irq):
        return (yield from xa_store(self.lpi_xa, INTID, irq, GFP_KERNEL))


class ReservesUnderTheLock(NothingReserved):
    """The reservation comes after the lock."""

    def put_into_xarray(self, irq):
        error = yield from xa_reserve_irq(self.lpi_xa, INTID)
        return error or (yield from super().put_into_xarray(irq))


class RegisterUnderXaLock(RegisterLpi):
    """xa_lock in place of lpi_list_lock, as since 6.10; a store that failed leaves everything as it is (as in 7.2).

    Get and put take the lock here, too: what happens without it is told in ``vgic_reuse.py``.
    """

    def setup(self, alone=False):
        super().setup(alone)
        del self.lpi_list_lock

    def store_lpi(self, irq, result):
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock
        old = yield xa_load(self.lpi_xa, INTID)  # has somebody else been faster?
        error = 0
        if old is not None:
            yield kref_get(old.refcount)  # then that one is taken
            yield kfree(irq)  # and its own is of no use
            irq = old
        else:
            error = yield xa_store_locked(self.lpi_xa, INTID, irq)  # puts the LPI into the xarray
            if error:
                yield from self.release_reservation()
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back
        if error:
            yield from self.failed(result, "not stored", irq)
            return None
        return irq

    def release_reservation(self):
        yield from ()

    def vgic_get_lpi(self):
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock
        irq = yield xa_load(self.lpi_xa, INTID)  # is it there already?
        if irq is not None:
            yield kref_get(irq.refcount)  # gets a reference
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back
        return irq

    def vgic_put_irq(self, irq):
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock
        last = yield kref_put(irq.refcount)  # puts its reference
        if last:
            yield xa_erase_locked(self.lpi_xa, INTID)  # takes the entry out
            yield kfree(irq)  # frees it
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back


class ReleasesUnderXaLock(RegisterUnderXaLock):
    """After a failure xa_release is called, which takes xa_lock itself (until 66768669f27d)."""

    def release_reservation(self):
        yield from xa_release(self.lpi_xa, INTID)
