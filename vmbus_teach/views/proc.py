"""/proc/interrupts of a simulated guest, laid out as the kernel lays it out.

    run = simulate(guest, until=1_000 * SECOND, traffic=guest.arrivals())
    print(proc_interrupts(run))

Every number is counted in the run: how often the step that counts an interrupt was taken on that CPU. Of the kernel's
lines there are those of the scenario's IRQ domains and statistics. (Source of the layout: show_interrupts in
kernel/irq/proc.c and arch_show_interrupts in arch/x86/kernel/irq.c, v6.1.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..kernel.base import show
from ..kernel.irq import IrqAction, IrqDesc, IrqDomain, IrqStat
from ..scenario import ScenarioError
from ..timed.run import Run


class Line(NamedTuple):
    """A line of the file: its label, how often it was counted on each CPU, what stands behind."""

    label: str
    counts: tuple[int, ...]
    chip: str  # "" for a line that is no IRQ's
    hwirq: int | None
    text: str

    @property
    def total(self) -> int:
        """How often it was counted in all."""
        return sum(self.counts)


@dataclass(frozen=True)
class ProcInterrupts:
    """The file. ``cpus`` are the columns; ``lines`` have one count for each of them."""

    cpus: tuple[int, ...]
    lines: tuple[Line, ...]

    def __getitem__(self, label: str) -> Line:
        """The line with this label ("24", "HYP") or text ("heartbeat"). Raises ScenarioError if there is none."""
        for line in self.lines:
            if label in (line.label, line.text):
                return line
        raise ScenarioError(f"there is no line {label!r}; there are {', '.join(line.label for line in self.lines)}.")

    def __str__(self) -> str:
        rows = [" " * 11 + "".join(f"CPU{cpu:<8}" for cpu in self.cpus).rstrip()]
        for line in self.lines:
            counts = "".join(f"{count:>10} " for count in line.counts)
            hwirq = "" if line.hwirq is None else line.hwirq
            chip = f" {line.chip:>8} {hwirq:>3}" if line.chip else ""
            rows.append(f"{line.label:>3}: {counts}{chip}  {line.text}".rstrip())
        return "\n".join(rows)

    __repr__ = __str__


def proc_interrupts(run: Run, *, cpus: Iterable[int] | None = None) -> ProcInterrupts:
    """What /proc/interrupts shows at the end of a run; ``cpus`` are the columns to be shown (all, if not given).

    As in the kernel, an IRQ without an action that was never counted has no line.

    Raises ScenarioError where there is no such CPU, or nothing is counted in the scenario.
    """
    if not isinstance(run, Run):
        raise ScenarioError(f"proc_interrupts takes a run of simulate(...), not {show(run)}.")
    shared = [cpu for cpu in run.scenario.cast.cpus if not cpu.private]
    columns = range(len(shared)) if cpus is None else tuple(cpus)
    for column in columns:
        if column not in range(len(shared)):
            raise ScenarioError(f"cpus={show(cpus)}: there is no CPU {column!r}; there are 0 to {len(shared) - 1}.")
    names = [shared[column].name for column in columns]
    lines = tuple(_lines(run, names))
    if not lines:
        raise ScenarioError(f"{run.scenario} counts no interrupts: it has no IrqDomain, and no IrqStat with a label.")
    return ProcInterrupts(tuple(columns), lines)


def _lines(run: Run, cpus: list[str]) -> Iterator[Line]:
    def counts(stat: IrqStat) -> tuple[int, ...]:
        counted = run.statistics.get(stat.name, {})
        return tuple(counted.get(cpu, 0) for cpu in cpus)

    named = run.scenario.cast.shared
    for domain in (shared for shared in named if isinstance(shared, IrqDomain)):
        for hwirq, cell in domain.revmap.items():
            desc = cell.initial
            if isinstance(desc, IrqDesc):
                action = desc.fields["action"].initial
                name = action.name if isinstance(action, IrqAction) else ""
                if name or any(run.statistics.get(desc.kstat_irqs.name, {}).values()):
                    yield Line(str(desc.irq), counts(desc.kstat_irqs), domain.title, hwirq, name)
    for stat in (shared for shared in named if isinstance(shared, IrqStat)):
        if stat.label:
            yield Line(stat.label, counts(stat), "", None, stat.text)
