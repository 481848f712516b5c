"""Chapter 07: an LPI is looked up by its number, while another CPU discards it.

From a list under ``lpi_list_lock`` over an xarray under the same lock to a look-up without any lock: a reader of RCU
gets a reference, unless the count has come to zero. Who puts the last one takes the entry out and has the LPI freed by
RCU.
(Source: arch/arm64/kvm/vgic/vgic.c, Linux 6.1; the series "KVM: arm64: Avoid serializing LPI get() / put()",
1d6f83f60f79 to e27f2d561fee.)
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Kref,
    RawSpinLock,
    Struct,
    XArray,
    inside,
    kfree,
    kfree_rcu,
    kref_get,
    kref_get_unless_zero,
    kref_put,
    load,
    raise_irq,
    raw_spin_lock_irqsave,
    raw_spin_unlock_irqrestore,
    rcu_read_lock,
    rcu_read_unlock,
    store,
    xa_erase,
    xa_erase_locked,
    xa_load,
    xa_lock_irqsave,
    xa_unlock_irqrestore,
)
from ..scenario import Scenario

INTID = 8192


class LpiList(Scenario):
    """Until 2024: a list; who gets or puts a reference holds lpi_list_lock.

    A device's interrupt is injected in a handler on CPU 0; ``in_a_task``, it is done by a task there.
    """

    cpus = 2
    references = 1  # at the start

    def setup(self, in_a_task=False, discard_cpu=1):
        references = self.references
        self.vgic_irq = Struct(
            "vgic_irq", capacity=1, intid=INTID, pending=0, refcount=inside(lambda irq: Kref(references))
        )
        self.irq = self.vgic_irq.new()
        self.lpi_list_lock = RawSpinLock()
        self.store_lpi()
        self.add_thread(self.discard, cpu=discard_cpu)
        if in_a_task:
            self.add_thread(self.irqfd_inject, cpu=0)
        else:
            self.eventfd_signal = self.add_interrupt(self.irqfd_wakeup, cpu=0, name="irqfd_wakeup")
            self.add_thread(self.device, host=True)

    def store_lpi(self):
        self.lpi_list = Cell((self.irq,))

    def device(self):
        yield raise_irq(self.eventfd_signal)  # an interrupt, in whose handler an eventfd is signalled

    def irqfd_wakeup(self):
        yield from self.inject()

    def irqfd_inject(self):
        yield from self.inject()

    def inject(self):
        irq = yield from self.vgic_get_lpi(INTID)
        if irq is not None:
            yield from self.use(irq)
            yield from self.vgic_put_irq(irq)

    def use(self, irq):
        yield WRITE_ONCE(irq.pending, 1)  # makes the LPI pending

    def discard(self):
        yield from self.vgic_put_irq(self.irq)  # the reference of its mapping

    def vgic_get_lpi(self, intid):
        flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)  # takes lpi_list_lock
        irq = yield from self.find_lpi(intid)
        if irq is not None:
            yield kref_get(irq.refcount)  # gets a reference; under the lock there is one
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)  # gives lpi_list_lock back
        return irq

    def find_lpi(self, intid):
        for irq in (yield load(self.lpi_list)):  # walks the list
            number = yield load(irq.intid)  # is it this one?
            if number == intid:
                return irq
        return None

    def vgic_put_irq(self, irq):
        flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)  # takes lpi_list_lock
        last = yield kref_put(irq.refcount)  # puts its reference
        if last:
            yield from self.release(irq)
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)  # gives lpi_list_lock back

    def release(self, irq):
        lpis = yield load(self.lpi_list)  # looks at the list
        yield store(self.lpi_list, tuple(other for other in lpis if other is not irq))  # takes it off the list
        yield kfree(irq)  # frees it


class LpiXarray(LpiList):
    """The first patches: an xarray in place of the list, under the same lock."""

    def store_lpi(self):
        self.lpi_xa = XArray({INTID: self.irq})

    def find_lpi(self, intid):
        return (yield xa_load(self.lpi_xa, intid))  # looks it up

    def release(self, irq):
        yield from xa_erase(self.lpi_xa, INTID)
        yield kfree(irq)  # frees it


class LpiRcu(LpiXarray):
    """As merged: no lpi_list_lock. A look-up takes no lock at all, and a put only for the last reference."""

    def setup(self, in_a_task=False, discard_cpu=1):
        super().setup(in_a_task, discard_cpu)
        del self.lpi_list_lock

    def vgic_get_lpi(self, intid):
        yield rcu_read_lock()  # is an RCU reader from here on
        irq = yield from self.find_lpi(intid)
        if irq is not None and not (yield from self.get(irq)):
            irq = None
        yield rcu_read_unlock()  # and no longer
        return irq

    def get(self, irq):
        return (yield kref_get_unless_zero(irq.refcount))  # gets a reference, if there is one left

    def vgic_put_irq(self, irq):
        last = yield kref_put(irq.refcount)  # puts its reference
        if last:
            yield from self.release(irq)

    def release(self, irq):
        yield from self.erase_lpi()
        yield kfree_rcu(irq)  # has it freed when the readers of now are gone

    def erase_lpi(self):
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock, interrupts off
        yield xa_erase_locked(self.lpi_xa, INTID)  # takes the entry out
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back, interrupts as they were


class GetWithoutUnlessZero(LpiRcu):
    """A plain get: it may come between the last put and the erasing."""

    def get(self, irq):
        yield kref_get(irq.refcount)  # gets a reference
        return True


class LpiFreedAtOnce(LpiRcu):
    """kfree in place of kfree_rcu."""

    def release(self, irq):
        yield from self.erase_lpi()
        yield kfree(irq)  # frees it


class ErasedAfterFree(LpiRcu):
    """kfree_rcu first, and then out of the xarray."""

    def release(self, irq):
        yield kfree_rcu(irq)  # has it freed when the readers of now are gone
        yield from self.erase_lpi()


class LookUpNoReadLock(LpiRcu):
    """No rcu_read_lock around the look-up, in a handler."""

    def vgic_get_lpi(self, intid):
        irq = yield from self.find_lpi(intid)
        if irq is not None and not (yield from self.get(irq)):
            irq = None
        return irq


class LookUpInATask(LpiRcu):
    """The look-up is made by a task: irqfd's worker."""

    def setup(self, in_a_task=True, discard_cpu=1):
        super().setup(in_a_task, discard_cpu)


class LookUpInATaskNoReadLock(LookUpNoReadLock):
    """No rcu_read_lock around the look-up, in a task."""

    def setup(self, in_a_task=True, discard_cpu=1):
        super().setup(in_a_task, discard_cpu)


class NoReference(LpiRcu):
    """RCU around the look-up, and no reference: the use comes after the reader has left."""

    def get(self, irq):
        yield from ()
        return True

    def inject(self):
        irq = yield from self.vgic_get_lpi(INTID)
        if irq is not None:
            yield from self.use(irq)


class NoReferenceUsedInside(NoReference):
    """RCU around look-up and use, and no reference."""

    def inject(self):
        yield rcu_read_lock()  # is an RCU reader from here on
        yield from super().inject()
        yield rcu_read_unlock()  # and no longer


# --- the ITS translation cache -----------------------------------------------------------------------------


class CacheHit(LpiXarray):
    """A hit in the ITS translation cache gives a pointer, and no reference (until ad362fe07fec, CVE-2024-26598).

    The cache has a reference of its own, which goes when the LPI is discarded.
    """

    references = 2  # the mapping's and the cache's

    def setup(self, in_a_task=False, discard_cpu=1):
        super().setup(in_a_task, discard_cpu)
        self.translation_cache = Cell(self.irq)

    def inject(self):
        irq = yield from self.vgic_its_check_cache()
        if irq is not None:
            yield from self.use(irq)

    def vgic_its_check_cache(self):
        flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)  # takes lpi_list_lock
        irq = yield READ_ONCE(self.translation_cache)  # looks into the cache
        if irq is not None:
            yield from self.hit(irq)
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)  # gives lpi_list_lock back
        return irq

    def hit(self, irq):
        yield from ()

    def discard(self):
        yield from self.vgic_its_invalidate_cache()
        yield from super().discard()

    def vgic_its_invalidate_cache(self):
        flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)  # takes lpi_list_lock
        irq = yield READ_ONCE(self.translation_cache)  # which LPI is it?
        yield WRITE_ONCE(self.translation_cache, None)  # takes it out of the cache
        last = yield kref_put(irq.refcount)  # puts the cache's reference
        if last:
            yield from self.release(irq)
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)  # gives lpi_list_lock back


class CacheHitGets(CacheHit):
    """ad362fe07fec: a hit gets a reference before the lock is given back."""

    def hit(self, irq):
        yield kref_get(irq.refcount)  # gets a reference; the cache has one

    def inject(self):
        irq = yield from self.vgic_its_check_cache()
        if irq is not None:
            yield from self.use(irq)
            yield from self.vgic_put_irq(irq)


class CacheHitGetsTooLate(CacheHitGets):
    """The reference is got after the lock was given back."""

    def hit(self, irq):
        yield from ()

    def use(self, irq):
        yield kref_get(irq.refcount)  # gets a reference
        yield from super().use(irq)
