"""Linux IRQs: what an interrupt that another handler has found is counted and handled by.

An **IRQ descriptor** says who handles an interrupt (its *action*) and how (its *flow handler*). A linear **domain**
leads from the number that the hardware knows (``hwirq``; VMBus: the relid) to the descriptor. The functions of the
kernel that take several steps (``request_irq``, ``free_irq``, ``handle_simple_irq``, ``irq_set_affinity``) are
programs, in scenarios/genirq.py; here is what they work on.

A descriptor lies on the heap, with its lock in it, and is freed by RCU. (Source: kernel/irq/irqdesc.c, irqdomain.c and
chip.c, v6.1.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

from . import cpu as cpus
from .base import ModelError, Now, Operation, Program, Shared, listed
from .heap import Object, Struct, inside, kzalloc
from .locks import RawSpinLock
from .memory import Cell


class IrqAction(NamedTuple):
    """``struct irqaction``: the driver's handler, what it is called in /proc/interrupts, and what it is called with."""

    handler: Program
    name: str
    dev_id: Any = None

    def __str__(self) -> str:
        return self.name


class IrqStat(Shared):
    """How often something was counted on each CPU; its value is a tuple of (CPU, count).

    ``label`` and ``text`` stand before and after the counts in its line of /proc/interrupts, if it has one. A search
    would go on for ever with counters that grow for ever, so its value changes only with ``kept``. A run in time
    counts in any case (``Run.statistics``).
    """

    def __init__(self, label: str = "", text: str = "", *, kept: bool = False) -> None:
        super().__init__((), words=lambda counts: listed(f"{count} on CPU {cpu}" for cpu, count in counts))
        self.label, self.text = label, text
        self.kept = kept

    def increment(self, now: Now) -> None:
        """One more on the running context's CPU."""
        cpu = cpus.runs_on(now, "a statistic by CPU").number
        if self.kept and cpu is not None:
            counts = dict(now[self])
            counts[cpu] = counts.get(cpu, 0) + 1
            now[self] = tuple(sorted(counts.items()))


class IrqDesc(Object):
    """``struct irq_desc`` number ``irq``."""

    def __init__(self, struct: Struct, number: int, fields: dict[str, Any], irq: int) -> None:
        super().__init__(struct, number, fields, f"irq{irq}")
        self.irq = irq


class _Descriptors(Struct):
    """The descriptors of a domain, the first of which is IRQ ``first``."""

    def __init__(self, capacity: int, first: int, kept: bool) -> None:
        self.first = first
        super().__init__(
            "irq_desc",
            capacity=capacity,
            handle_irq=None,  # the flow handler
            action=None,
            in_progress=False,  # IRQD_IRQ_INPROGRESS: its action is being executed
            pending=False,  # IRQS_PENDING: it came while there was no action
            handler_data=None,
            affinity=None,  # what was asked for
            effective_affinity=None,  # the CPU that it goes to
            lock=inside(RawSpinLock),
            kstat_irqs=inside(lambda desc: IrqStat(kept=kept)),
        )

    def _object(self, number: int, fields: dict[str, Any]) -> IrqDesc:
        return IrqDesc(self, number, fields, self.first + number)

    def parts(self) -> Iterator[tuple[str, Shared]]:
        for desc in self.objects:
            yield f".{desc.name}", desc


class IrqDomain(Shared):
    """A linear ``struct irq_domain`` of the numbers in ``hwirqs``; its value (``mapcount``) counts the mappings.

    ``flow_handler`` is what a descriptor is given when it is mapped. ``revmap[hwirq]`` holds the descriptor or None.
    ``first`` is the number of its first IRQ. With ``kept``, a search remembers how often each IRQ was counted.
    """

    def __init__(
        self, title: str, hwirqs: Iterable[int], flow_handler: Program, *, first: int = 24, kept: bool = False
    ) -> None:
        super().__init__(0)
        self.title = title
        self.flow_handler = flow_handler
        self.revmap = {hwirq: Cell(None) for hwirq in hwirqs}
        self.descriptors = _Descriptors(len(self.revmap), first, kept)

    def parts(self) -> Iterator[tuple[str, Shared]]:
        for hwirq, cell in self.revmap.items():
            yield f".revmap[{hwirq}]", cell
        yield ".descriptors", self.descriptors

    def mapped(self, hwirq: int, **fields: Any) -> IrqDesc:
        """A mapping that exists from the start; for ``setup``."""
        cell = self.entry(hwirq)
        desc = self.descriptors.new(handle_irq=self.flow_handler, **fields)
        assert isinstance(desc, IrqDesc)
        cell.initial = desc
        self.initial += 1
        return desc

    def entry(self, hwirq: int) -> Cell:
        """Where the descriptor of ``hwirq`` stands; an error if the domain has no such number."""
        if hwirq not in self.revmap:
            raise ModelError(
                f"{self!r} has no hwirq {hwirq!r}; it was made for {listed(map(str, self.revmap))}. The numbers of a "
                "domain are declared in setup: IrqDomain(\"VMBus\", (7, 8), ...)."
            )
        return self.revmap[hwirq]


class irq_create_mapping(Operation):
    """Gives ``hwirq`` a descriptor with the domain's flow handler; the result is that, or the one that it has already.

    Nobody can find the descriptor before the last thing that is done to it, so all of it is one step. May sleep.
    """

    domain: IrqDomain
    hwirq: int
    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> IrqDesc:
        cell = self.domain.entry(self.hwirq)
        found: IrqDesc | None = now[cell]
        if found is None:
            made = kzalloc(self.domain.descriptors, handle_irq=self.domain.flow_handler).step(now)
            assert isinstance(made, IrqDesc)
            now[cell] = found = made
            now[self.domain] += 1
        return found


class irq_resolve_mapping(Operation):
    """The descriptor of ``hwirq``, or None. Only inside rcu_read_lock (or a handler) it is good for long."""

    domain: IrqDomain
    hwirq: int

    def step(self, now: Now) -> IrqDesc | None:
        found: IrqDesc | None = now[self.domain.entry(self.hwirq)]
        return found


class inc_irq_stat(Operation):
    """Counts an interrupt on this CPU."""

    stat: IrqStat

    def statistic(self) -> IrqStat:
        return self.stat

    def step(self, now: Now) -> None:
        self.stat.increment(now)


class kstat_incr_irqs_this_cpu(Operation):
    """Counts an IRQ on this CPU: what /proc/interrupts shows in its line."""

    desc: IrqDesc

    def touches(self) -> Iterator[Shared]:
        yield self.desc.kstat_irqs  # which lies in the descriptor

    def statistic(self) -> IrqStat:
        stat: IrqStat = self.desc.kstat_irqs
        return stat

    def step(self, now: Now) -> None:
        self.desc.kstat_irqs.increment(now)
