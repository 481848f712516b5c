"""Chapter 07: LPIs are injected on many CPUs at once: a list under one lock, an xarray under one lock, RCU.

Endless programs, for the simulation. Each of ``vcpus`` virtual CPUs has one LPI and one task that injects it again and
again, on a CPU of its own, with interrupts off as in ``irqfd_wakeup``. An injection gets a reference by the LPI's
number, makes the LPI pending, and puts the reference. The list is as long as there are LPIs.

A model, and no measurement: what cache lines cost that travel from CPU to CPU is not in it. (The measured table: cover
letter of "KVM: arm64: Avoid serializing LPI get() / put()", v2, 13 February 2024.)
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Kref,
    RawSpinLock,
    XArray,
    kref_get,
    kref_get_unless_zero,
    kref_put,
    local_irq_restore,
    local_irq_save,
    ndelay,
    raw_spin_lock_irqsave,
    raw_spin_unlock_irqrestore,
    xa_load,
)
from ..scenario import Scenario

FIRST = 8192


class InjectFromList(Scenario):
    """Look-up and put are done under lpi_list_lock; the list is walked."""

    def setup(self, vcpus=2, inject_ns=500):
        self.inject_ns = inject_ns
        self.refcounts = tuple(Kref() for _ in range(vcpus))  # each LPI's; the mapping has one
        self.pending = tuple(Cell(0) for _ in range(vcpus))
        self.store_lpis(range(FIRST, FIRST + vcpus))
        for vcpu in range(vcpus):
            self.add_thread(self.injects, vcpu, name=f"injects_{vcpu}")

    def store_lpis(self, intids):
        self.lpi_list_lock = RawSpinLock()
        self.lpi_list = tuple(Cell(intid) for intid in intids)

    def injects(self, vcpu):
        while True:
            flags = yield local_irq_save()  # is a handler, or as good as one
            yield from self.get(vcpu)
            yield WRITE_ONCE(self.pending[vcpu], 1)  # the LPI is pending
            yield ndelay(self.inject_ns)  # and all else that an injection does
            yield from self.put(vcpu)
            yield local_irq_restore(flags)  # is done

    def get(self, vcpu):
        flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)
        yield from self.find_lpi(FIRST + vcpu)
        yield kref_get(self.refcounts[vcpu])
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)

    def find_lpi(self, intid):
        for entry in self.lpi_list:
            found = yield READ_ONCE(entry)  # looks at the next LPI on the list
            if found == intid:
                return

    def put(self, vcpu):
        flags = yield raw_spin_lock_irqsave(self.lpi_list_lock)
        yield kref_put(self.refcounts[vcpu])
        yield raw_spin_unlock_irqrestore(self.lpi_list_lock, flags)


class InjectFromXarray(InjectFromList):
    """The same lock around an xarray: one look-up, however many LPIs there are."""

    def store_lpis(self, intids):
        self.lpi_list_lock = RawSpinLock()
        self.lpi_xa = XArray({intid: intid for intid in intids})

    def find_lpi(self, intid):
        yield xa_load(self.lpi_xa, intid)


class InjectByRcu(InjectFromXarray):
    """The xarray is read under RCU, and a put takes no lock. With interrupts off, its reader needs no rcu_read_lock."""

    def store_lpis(self, intids):
        self.lpi_xa = XArray({intid: intid for intid in intids})

    def get(self, vcpu):
        yield from self.find_lpi(FIRST + vcpu)
        yield kref_get_unless_zero(self.refcounts[vcpu])

    def put(self, vcpu):
        yield kref_put(self.refcounts[vcpu])


def injections(run):
    """How many injections a run of one of these has done: each puts one reference."""
    return sum(use.count for use in run.operations if use.operation == "kref_put")
