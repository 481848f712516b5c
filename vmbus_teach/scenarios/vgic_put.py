"""Chapter 07: the last reference to an LPI is put, and its entry erased: under which lock, with interrupts on or off?

An LPI is an interrupt that a guest's device sends by a message. KVM on arm64 keeps a ``vgic_irq`` for each, found by
its number (INTID, from 8192). The vGIC series of 2024 put them into an xarray. While there was ``lpi_list_lock`` around
it, plain ``xa_erase`` was safe. Patch 10 takes that lock away from ``vgic_put_irq``.
(Source: the review of "KVM: arm64: vgic: Store LPIs in an xarray", v3, February 2024; merged as 1d6f83f60f79 and, with
irqsave, e27f2d561fee; arch/arm64/kvm/vgic/vgic.c, Linux 6.10.)

A put may come in a task and in an interrupt handler: an eventfd may be signalled there, and irqfd injects at once. Here
the handler's reference is the last one from the start. How that comes about is the story of ``GotInTheHandler``.
"""

from __future__ import annotations

from ..kernel import (
    WRITE_ONCE,
    Cell,
    Kref,
    RawSpinLock,
    Struct,
    Tasklet,
    XArray,
    inside,
    kfree,
    kfree_rcu,
    kref_get,
    kref_get_unless_zero,
    kref_put,
    local_irq_disable,
    local_irq_restore,
    local_irq_save,
    raise_irq,
    raw_spin_lock_irqsave,
    raw_spin_unlock_irqrestore,
    rcu_read_lock,
    rcu_read_unlock,
    smp_cond_load_acquire,
    tasklet_schedule,
    xa_erase,
    xa_erase_bh,
    xa_erase_irq,
    xa_erase_locked,
    xa_load,
    xa_lock_irqsave,
    xa_unlock_irqrestore,
)
from ..scenario import Scenario, at_end, thread

INTID, OTHER = 8192, 8193

#: The functions of the xarray that take an entry away; and what patch 10 does, for which there is no function.
ERASE = {"xa_erase": xa_erase, "xa_erase_bh": xa_erase_bh, "xa_erase_irq": xa_erase_irq}
IRQSAVE = "xa_lock_irqsave"
VARIANTS = (*ERASE, IRQSAVE)


class Lpis(Scenario):
    """The LPIs of a VM, and how a reference to one is put. ``erase`` is one of ``VARIANTS``.

    With ``enclosed``, all of it is done under ``lpi_list_lock``, as before patch 10.
    """

    cpus = 2

    def setup(self, erase=IRQSAVE, enclosed=False):
        self.erase, self.enclosed = erase, enclosed
        self.vgic_irq = Struct("vgic_irq", capacity=2, refcount=inside(Kref))
        self.irq, self.other = self.vgic_irq.new(), self.vgic_irq.new()
        self.lpi_xa = XArray({INTID: self.irq, OTHER: self.other})
        if enclosed:
            self.lpi_list_lock = RawSpinLock()

    def vgic_put_irq(self, intid, irq):
        if self.enclosed:
            flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)  # takes lpi_list_lock, interrupts off
            yield from self.put(intid, irq)
            yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)  # gives it back, interrupts as they were
        else:
            yield from self.put(intid, irq)

    def put(self, intid, irq):
        last = yield kref_put(irq.refcount)  # puts its reference
        if last:
            yield from self.erase_lpi(intid)
            yield from self.free_lpi(irq)

    def erase_lpi(self, intid):
        if self.erase in ERASE:
            yield from ERASE[self.erase](self.lpi_xa, intid)
        else:
            flags = yield xa_lock_irqsave(self.lpi_xa)  # takes xa_lock, interrupts off
            yield xa_erase_locked(self.lpi_xa, intid)  # takes the entry out
            yield xa_unlock_irqrestore(self.lpi_xa, flags)  # gives xa_lock back, interrupts as they were

    def free_lpi(self, irq):
        if self.enclosed:
            yield kfree(irq)  # who looks it up holds lpi_list_lock
        else:
            yield kfree_rcu(irq)  # has it freed when the readers of now are gone


# --- what a form does to the interrupt flag ------------------------------------------------------------------


class FlagAfterwards(Lpis):
    """One put, nobody else: are interrupts on afterwards? The outcome is (before, afterwards)."""

    def setup(self, erase=IRQSAVE, irqs_on=True):
        super().setup(erase)
        self.irqs_on = irqs_on
        self.on_afterwards = Cell(None)

    @thread(cpu=0)
    def discard(self):
        if not self.irqs_on:
            yield local_irq_disable()  # interrupts off, by the caller
        yield from self.vgic_put_irq(INTID, self.irq)
        flags = yield local_irq_save()  # are interrupts on?
        yield local_irq_restore(True)  # interrupts on again
        yield WRITE_ONCE(self.on_afterwards, flags)  # notes what it saw

    def outcome(self, s):
        return self.irqs_on, s[self.on_afterwards]


# --- two last puts -------------------------------------------------------------------------------------------


class LastPuts(Lpis):
    """A task on CPU 0 puts the last reference of one LPI, somebody else that of another.

    ``second`` says who: an "interrupt" handler, a "tasklet", or a "task", on CPU ``second_cpu``.
    """

    def setup(self, erase=IRQSAVE, enclosed=False, second="interrupt", second_cpu=0):
        super().setup(erase, enclosed)
        if second == "task":
            self.add_thread(self.irqfd_inject, cpu=second_cpu)
            return
        program = self.irqfd_wakeup
        if second == "tasklet":
            self.tasklet = Tasklet(self.irqfd_wakeup)
            program = self.schedules_tasklet
        self.eventfd_signal = self.add_interrupt(program, cpu=second_cpu, name="interrupt")
        self.add_thread(self.device, host=True)

    def device(self):
        yield raise_irq(self.eventfd_signal)  # an interrupt, in whose handler an eventfd is signalled

    @thread(cpu=0)
    def discard(self):
        yield from self.vgic_put_irq(INTID, self.irq)

    def irqfd_wakeup(self):
        yield from self.inject()

    def irqfd_inject(self):
        yield from self.inject()

    def inject(self):
        yield from self.vgic_put_irq(OTHER, self.other)

    def schedules_tasklet(self):
        yield tasklet_schedule(self.tasklet)  # leaves it to a tasklet

    @at_end
    def both_are_gone(self, s):
        return not s[self.lpi_xa] or f"the xarray still has {self.lpi_xa.show(s[self.lpi_xa])}"


class PlainErase(LastPuts):
    """i1: patch 10 as it was posted in v3; xa_erase, and no lpi_list_lock any more."""

    def setup(self, erase="xa_erase", **parameters):
        super().setup(erase, **parameters)


class EnclosedPlainErase(LastPuts):
    """Before patch 10: xa_erase under lpi_list_lock, which has interrupts off."""

    def setup(self, erase="xa_erase", enclosed=True, **parameters):
        super().setup(erase, enclosed, **parameters)


class EnclosedEraseIrq(LastPuts):
    """i2: xa_erase_irq under lpi_list_lock; its unlock has interrupts on before that lock is given back."""

    def setup(self, erase="xa_erase_irq", enclosed=True, **parameters):
        super().setup(erase, enclosed, **parameters)


class EnclosedIrqsave(LastPuts):
    """i3: irqsave under lpi_list_lock; interrupts were off, and stay so."""

    def setup(self, erase=IRQSAVE, enclosed=True, **parameters):
        super().setup(erase, enclosed, **parameters)


class EraseIrq(LastPuts):
    """xa_erase_irq, and no lpi_list_lock: the handler itself goes on with interrupts on."""

    def setup(self, erase="xa_erase_irq", **parameters):
        super().setup(erase, **parameters)


class EraseBh(LastPuts):
    """xa_erase_bh: no business of an interrupt handler."""

    def setup(self, erase="xa_erase_bh", **parameters):
        super().setup(erase, **parameters)


class InterruptedBefore(PlainErase):
    """i1 without its deadlock: the interrupt is over before the task puts. Each fact alone is harmless."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.interrupted = Cell(False)  # nothing of the kernel: our own note

    def discard(self):
        yield smp_cond_load_acquire(self.interrupted, bool)  # comes after the interrupt
        yield from super().discard()

    def irqfd_wakeup(self):
        yield from super().irqfd_wakeup()
        yield WRITE_ONCE(self.interrupted, True)  # notes that it has been here


class GotInTheHandler(LastPuts):
    """How a handler comes to put the last reference: it got one, and CPU 1 discards the LPI meanwhile."""

    def setup(self, erase=IRQSAVE, enclosed=False, discard_cpu=1):
        super().setup(erase, enclosed)
        self.add_thread(self.discard_other, cpu=discard_cpu)

    def inject(self):
        irq = yield from self.vgic_get_lpi(OTHER)
        if irq is not None:
            yield from self.vgic_put_irq(OTHER, irq)

    def vgic_get_lpi(self, intid):
        if self.enclosed:
            flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)  # takes lpi_list_lock
            irq = yield xa_load(self.lpi_xa, intid)  # looks the LPI up
            if irq is not None:
                yield kref_get(irq.refcount)  # lpi_list_lock keeps it there
            yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)  # gives lpi_list_lock back
        else:
            yield rcu_read_lock()  # is an RCU reader from here on
            irq = yield xa_load(self.lpi_xa, intid)  # looks the LPI up
            if irq is not None:
                got = yield kref_get_unless_zero(irq.refcount)  # gets a reference, if it still has one
                irq = irq if got else None
            yield rcu_read_unlock()  # and no longer
        return irq

    def discard_other(self):
        yield from self.vgic_put_irq(OTHER, self.other)  # the reference of its mapping


class GotInTheHandlerPlainErase(GotInTheHandler):
    """i1 with its whole story."""

    def setup(self, erase="xa_erase", **parameters):
        super().setup(erase, **parameters)
