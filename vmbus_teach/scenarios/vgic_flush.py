"""Chapter 07: two CPUs, two locks: pending LPIs are flushed while another LPI is put.

``ap_list_lock`` guards the interrupts that a vCPU has pending. It is taken in interrupt handlers, too: by the timer's,
and by irqfd. ``vgic_flush_pending_lpis`` puts references under it, so ``xa_lock`` is taken inside ``ap_list_lock``. Who
holds ``xa_lock`` elsewhere with interrupts on can be interrupted by one who wants ``ap_list_lock``. No code path takes
the two in the opposite order. (Source: Zenghui Yu's review, 20 February 2024; the comment on the locking order in
arch/arm64/kvm/vgic/vgic.c, v6.1 to v7.2.)

In Linux 6.17 a put under ``ap_list_lock`` takes no ``xa_lock`` any more: it marks the LPI, and who marked some releases
them later (d54594accf73). With that, interrupts were left on (982f31bbb5b0); 75360a9a3385 had to switch them off again.
"""

from __future__ import annotations

from ..kernel import (
    WRITE_ONCE,
    Cell,
    Kref,
    RawSpinLock,
    Struct,
    inside,
    kfree_rcu,
    kref_put,
    load,
    raise_irq,
    raw_spin_lock,
    raw_spin_lock_irqsave,
    raw_spin_unlock,
    raw_spin_unlock_irqrestore,
    store,
    xa_erase_locked,
    xa_load,
    xa_lock,
    xa_lock_irqsave,
    xa_unlock,
    xa_unlock_irqrestore,
)
from ..scenario import at_end, thread
from .vgic_put import INTID, IRQSAVE, OTHER, Lpis

TIMER = 27  # the virtual timer's interrupt, which is no LPI


class FlushAgainstPut(Lpis):
    """CPU 0 puts an LPI, CPU 1 flushes a vCPU's list; on ``interrupted`` a handler has something for that list.

    ``erase`` is one of ``VARIANTS``. With ``one_cpu``, both tasks run on CPU 0.
    """

    def setup(self, erase=IRQSAVE, interrupted=0, one_cpu=False):
        super().setup(erase)
        self.ap_list_lock = RawSpinLock()
        self.ap_list = Cell((OTHER,))  # what is pending for the vCPU
        self.timer = self.add_interrupt(self.kvm_arch_timer_handler, cpu=interrupted, name="timer")
        self.add_thread(self.vgic_flush_pending_lpis, cpu=0 if one_cpu else 1)

    @thread(host=True)
    def hardware(self):
        yield raise_irq(self.timer)  # the timer fires

    @thread(cpu=0)
    def discard(self):
        yield from self.vgic_put_irq(INTID, self.irq)

    def vgic_flush_pending_lpis(self):
        flags = yield raw_spin_lock_irqsave(self.ap_list_lock)  # takes ap_list_lock, interrupts off
        pending = yield load(self.ap_list)  # looks at the list
        yield store(self.ap_list, tuple(intid for intid in pending if intid != OTHER))  # takes the LPI off the list
        yield from self.put_off_the_list()
        yield raw_spin_unlock_irqrestore(self.ap_list_lock, flags)  # gives ap_list_lock back
        yield from self.after_the_list()

    def put_off_the_list(self):
        yield from self.vgic_put_irq(OTHER, self.other)

    def after_the_list(self):
        yield from ()

    def kvm_arch_timer_handler(self):
        yield raw_spin_lock(self.ap_list_lock)  # takes ap_list_lock, in a handler
        pending = yield load(self.ap_list)  # looks at the list
        yield store(self.ap_list, (*pending, TIMER))  # queues the timer's interrupt
        yield raw_spin_unlock(self.ap_list_lock)  # gives ap_list_lock back

    @at_end
    def the_lpis_are_gone(self, s):
        if s[self.lpi_xa] or s[self.ap_list] != (TIMER,):
            return f"left: {self.lpi_xa.show(s[self.lpi_xa])}; on the list: {s[self.ap_list]}"
        return True


class FlushPlainErase(FlushAgainstPut):
    """i4: xa_erase. CPU 0 is interrupted while it holds xa_lock, for which CPU 1 spins under ap_list_lock."""

    def setup(self, erase="xa_erase", **parameters):
        super().setup(erase, **parameters)


class FlushEraseIrq(FlushAgainstPut):
    """xa_erase_irq. CPU 1 has interrupts on again while it holds ap_list_lock, which its own handler wants."""

    def setup(self, erase="xa_erase_irq", interrupted=1, **parameters):
        super().setup(erase, interrupted, **parameters)


class FlushOnOneCpu(FlushPlainErase):
    """i4 without its deadlock: everything on one CPU, where nobody can wait for the flush."""

    def setup(self, one_cpu=True, **parameters):
        super().setup(one_cpu=one_cpu, **parameters)


# --- 6.17: the release is put off ---------------------------------------------------------------------------------


class DeferredRelease(FlushAgainstPut):
    """A put under ap_list_lock marks the LPI; it is released when that lock has been given back."""

    def setup(self, erase=IRQSAVE, interrupted=0, one_cpu=False):
        super().setup(erase, interrupted, one_cpu)
        self.vgic_irq = Struct("vgic_irq", capacity=2, refcount=inside(Kref), pending_release=False)
        self.irq, self.other = self.vgic_irq.new(), self.vgic_irq.new()
        self.lpi_xa.initial = ((INTID, self.irq), (OTHER, self.other))

    def put_off_the_list(self):
        last = yield kref_put(self.other.refcount)  # puts its reference: vgic_put_irq_norelease
        if last:
            yield WRITE_ONCE(self.other.pending_release, True)  # marks it for later

    def after_the_list(self):
        flags = yield from self.lock_lpis()
        yield from self.vgic_release_deleted_lpis()
        yield from self.unlock_lpis(flags)

    def vgic_release_deleted_lpis(self):
        for intid in (INTID, OTHER):
            irq = yield xa_load(self.lpi_xa, intid)  # looks at one LPI after the other
            if irq is not None and (yield load(irq.pending_release)):  # is it marked?
                yield xa_erase_locked(self.lpi_xa, intid)  # takes its entry out
                yield kfree_rcu(irq)  # has it freed when the readers of now are gone

    def erase_lpi(self, intid):
        flags = yield from self.lock_lpis()
        yield xa_erase_locked(self.lpi_xa, intid)  # takes the entry out
        yield from self.unlock_lpis(flags)

    def lock_lpis(self):
        if self.erase == IRQSAVE:
            return (yield xa_lock_irqsave(self.lpi_xa))  # takes xa_lock, interrupts off
        yield xa_lock(self.lpi_xa)  # takes xa_lock; interrupts stay as they are
        return None

    def unlock_lpis(self, flags):
        if self.erase == IRQSAVE:
            yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back, interrupts as they were
        else:
            yield xa_unlock(self.lpi_xa)  # gives xa_lock back


class DeferredInterruptsOn(DeferredRelease):
    """982f31bbb5b0: nobody takes xa_lock inside ap_list_lock, so interrupts are left on."""

    def setup(self, erase="xa_erase", **parameters):
        super().setup(erase, **parameters)


class PutInTheHandlerAgain(DeferredInterruptsOn):
    """982f31bbb5b0, and a last put in a handler: i1, a year later (found by Zenghui Yu once more, 75360a9a3385)."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.ap_list.initial = (TIMER,)  # the LPI has been delivered, and the timer has fired before
        self.eventfd_signal = self.add_interrupt(self.irqfd_wakeup, cpu=0, name="irqfd_wakeup")

    def hardware(self):
        yield raise_irq(self.eventfd_signal)  # an interrupt, in whose handler an eventfd is signalled

    def put_off_the_list(self):
        yield from ()

    def irqfd_wakeup(self):
        yield from self.vgic_put_irq(OTHER, self.other)


# --- September 2025: the order is turned round ---------------------------------------------------------------------


class ListInsideXarray(FlushAgainstPut):
    """CPU 0 takes ap_list_lock inside xa_lock, as it may since 6.17; the flush still takes them the other way."""

    def discard(self):
        flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock
        yield raw_spin_lock(self.ap_list_lock)  # takes ap_list_lock inside
        yield raw_spin_unlock(self.ap_list_lock)  # gives ap_list_lock back
        yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back
        yield from super().discard()


class ListInsideXarrayDeferred(ListInsideXarray, DeferredRelease):
    """The same, and the flush puts off what needs xa_lock until it has given ap_list_lock back."""
