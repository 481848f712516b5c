"""What a run in time has come to, as plain data.

    run = simulate(PerCpuLists, seed=1)
    run.failure                      # None, or what failed, with the schedule that led there
    run.interrupts["vmbus_isr_0"]    # raised, coalesced, handled
    run.gauges["waiting"].latency    # how long messages waited
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from ..failure import Failure, Shown
from ..graph import fault_key
from ..kernel.interrupts import Interrupt
from ..narrate import count
from ..outcome import Blocked, Fault
from ..scenario import Scenario
from ..schedule import Schedule, digest
from ..session import Session
from .costs import TimeError
from .drive import Drive
from .plan import Effect, Turn
from .traffic import SECOND

#: Where what a context does is counted.
INTERRUPTS, SOFTIRQS, TASKS, SPINNING = "interrupts", "softirqs", "tasks", "spinning"
_ACCOUNTS = {
    **dict.fromkeys(("irq", "ipi"), INTERRUPTS),
    **dict.fromkeys(("tasklet", "softirq"), SOFTIRQS),
    **dict.fromkeys(("task", "work"), TASKS),
}


@dataclass(frozen=True)
class Times:
    """Several times, such as latencies, in nanoseconds, in the order in which they came about."""

    values: array[int] = field(repr=False, default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def _sorted(self) -> list[int]:
        return sorted(self.values)

    @property
    def mean(self) -> float:
        """Their mean; 0 if there are none."""
        return sum(self.values) / len(self.values) if self.values else 0.0

    @property
    def most(self) -> int:
        """The longest; 0 if there are none."""
        return self._sorted[-1] if self.values else 0

    def percentile(self, percent: float) -> int:
        """The shortest one that at least ``percent`` % of them do not exceed; 0 if there are none.

        Raises ValueError unless 0 <= percent <= 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"percentile({percent}): give a percentage from 0 to 100.")
        if not self.values:
            return 0
        rank = -(-len(self.values) * percent // 100)  # rounded up
        return self._sorted[max(0, int(rank) - 1)]

    @property
    def median(self) -> int:
        """The 50th percentile."""
        return self.percentile(50)

    def __str__(self) -> str:
        if not self.values:
            return "none"
        told = [("median", self.median), ("99 %", self.percentile(99)), ("longest", self.most)]
        return ", ".join(f"{what} {in_ns(time)}" for what, time in told)


@dataclass(frozen=True)
class CpuUse:
    """What a CPU spent its time on, in nanoseconds: interrupts, softirqs, tasks, spinning; the rest it was idle."""

    time: int
    spent: dict[str, int]

    @property
    def busy(self) -> float:
        """The part of the time in which it was not idle, from 0 to 1."""
        return sum(self.spent.values()) / self.time if self.time else 0.0

    def part(self, account: str) -> float:
        """The part of the time that it spent on "interrupts", "softirqs", "tasks" or "spinning", from 0 to 1."""
        return self.spent[account] / self.time if self.time else 0.0

    def __str__(self) -> str:
        parts = ", ".join(f"{account} {self.part(account):.1%}" for account, spent in self.spent.items() if spent)
        return f"{self.busy:.1%} busy" + (f" ({parts})" if parts else "")


@dataclass(frozen=True)
class InterruptUse:
    """How often an interrupt was raised; how often it was pending already then; how often its handler began."""

    raised: int
    coalesced: int
    handled: int

    def __str__(self) -> str:
        return f"raised {self.raised:,}, coalesced {self.coalesced:,}, handled {self.handled:,}"


@dataclass(frozen=True)
class LockUse:
    """How often a lock was taken, for how long (ns), and how long it was waited for by those who had to wait."""

    taken: int
    held: int
    longest: int
    waits: Times

    def __str__(self) -> str:
        waits = f"waited for {count(len(self.waits), 'time')}: {self.waits}" if len(self.waits) else "never waited for"
        return f"taken {count(self.taken, 'time')}, held {in_ns(self.held)} in all, {waits}"


@dataclass(frozen=True)
class GaugeUse:
    """The level of a gauge over time. ``latency``: how long what came stayed, first come first gone."""

    mean: float
    most: int
    last: int
    came: int
    latency: Times

    def __str__(self) -> str:
        level = f"{self.mean:.3g} at a time, at most {self.most}, {self.last} at the end"
        return f"{self.came:,} came, {level}; stayed: {self.latency}"


@dataclass(frozen=True)
class OperationUse:
    """How often a context executed a kind of operation, and the time that it took in all, in nanoseconds."""

    context: str
    operation: str
    count: int
    spent: int


class Stretch(NamedTuple):
    """A time in which a CPU was given to one context without a break, from ``begin`` to ``end`` (ns)."""

    cpu: str
    context: str
    account: str  # "interrupts", "softirqs", "tasks" or "spinning"
    begin: int
    end: int


@dataclass
class Run:
    """One run. ``time`` is the simulated time at its end in ns, ``steps`` the number of steps, ``reason`` why it ended.

    ``statistics`` says for each statistic that something was added to, how often on which CPU. ``waits`` lists who had
    to wait at the end: (context, why).
    """

    scenario: Scenario
    seed: int
    time: int
    steps: int
    reason: str
    fault: Fault | None
    cpus: dict[str, CpuUse]
    interrupts: dict[str, InterruptUse]
    locks: dict[str, LockUse]
    gauges: dict[str, GaugeUse]
    operations: list[OperationUse]
    statistics: dict[str, dict[str, int]]
    waits: list[tuple[str, str]]
    words: tuple[str, ...] | None = field(repr=False)  # what a schedule calls each step; None: not kept
    times: array[int] | None = field(repr=False)  # for each step, when it took effect
    stretches: list[Stretch] | None = field(repr=False)

    @property
    def finished(self) -> bool:
        """It came to its end: of the time, of all there was to do, or to a failure; it was not stopped before."""
        return not self.reason.startswith(("stopped", "time stands still"))

    @property
    def schedule(self) -> Schedule:
        """Who took each step: what a Session or a Stepper replays.

        Raises TimeError where it was not kept: of many runs, that of those that fail is.
        """
        if self.words is None:
            raise TimeError(
                "of many runs, only the schedules of those that fail are kept; "
                f"simulate(..., seed={self.seed}) gives this one."
            )
        return Schedule(self.words, str(self.scenario).replace(" ", ""), digest(self.scenario))

    @cached_property
    def failure(self) -> Failure | None:
        """What failed, with the schedule that led there; None if nothing did."""
        if self.fault is None:
            return None
        session = Session(self.scenario)
        session.replay(Schedule(self.schedule.steps))
        at = fault_key(self.fault)
        shown = Shown(self.fault.message, session.schedule, session.trace)
        return Failure(self.fault.kind, self.scenario, at, None, lambda: shown)

    def rate(self, number: float) -> float:
        """``number`` of something in this run, per simulated second."""
        return number * SECOND / self.time if self.time else 0.0

    def row(self) -> dict[str, Any]:
        """The main numbers as one flat record, for a table."""
        return dict(self._fields())

    def _fields(self) -> Iterator[tuple[str, Any]]:
        yield from {"scenario": str(self.scenario), "seed": self.seed, "time": self.time, "steps": self.steps}.items()
        yield from {"reason": self.reason, "failed": self.fault.kind if self.fault else ""}.items()
        for name, cpu in self.cpus.items():
            yield f"{name}: busy", cpu.busy
            for account in cpu.spent:
                yield f"{name}: {account}", cpu.part(account)
        for name, line in self.interrupts.items():
            yield from {f"{name}: raised": line.raised, f"{name}: handled": line.handled}.items()
        for name, lock in self.locks.items():
            yield from {f"{name}: taken": lock.taken, f"{name}: waited for": len(lock.waits)}.items()
        for name, gauge in self.gauges.items():
            latency = gauge.latency
            yield from {f"{name}: came": gauge.came, f"{name}: mean": gauge.mean, f"{name}: most": gauge.most}.items()
            yield from {f"{name}: median": latency.median, f"{name}: 99 %": latency.percentile(99)}.items()

    def __str__(self) -> str:
        lines = [f"{self.scenario}, seed {self.seed}: {in_ns(self.time)} in {count(self.steps, 'step')}; {self.reason}"]
        if self.fault:
            lines[0] += f": {self.fault.kind}: {self.fault.message}"
        shown = (*self.cpus.items(), *self.interrupts.items(), *self.locks.items(), *self.gauges.items())
        lines += [f"  {name}: {use}" for name, use in shown]
        lines += [f"  {who} {why}" for who, why in self.waits] if self.fault is None else []
        return "\n".join(lines)

    __repr__ = __str__


def in_ns(time: float) -> str:
    """A time as people read it."""
    for unit, size in (("s", SECOND), ("ms", 1_000_000), ("µs", 1_000)):
        if time >= size:
            return f"{time / size:.3g} {unit}"
    return f"{time:.3g} ns"


def run_of(drive: Drive, seed: int) -> Run:
    """What a drive that has ended has come to."""
    machine, tally, time = drive.machine, drive.tally, drive.now
    effects = Counter(drive.path)
    counts: Counter[Turn] = Counter()
    for effect, number in effects.items():
        counts[effect.turn] += number
    return Run(
        scenario=drive.plan.scenario,
        seed=seed,
        time=time,
        steps=len(drive.path),
        reason=drive.reason,
        fault=drive.fault,
        cpus=_cpus(drive, time),
        interrupts=_interrupts(drive, effects),
        locks={k: LockUse(v.taken, v.held, v.longest, Times(v.waits)) for k, v in tally.locks.items()},
        gauges={
            name: GaugeUse(v.integral / time if time else 0.0, v.most, v.level, v.came, Times(v.stays))
            for name, v in tally.levels.items()
        },
        operations=_operations(drive, counts),
        statistics=_statistics(drive, counts),
        waits=[
            (str(machine.contexts[index]), turn.step.outcome(drive.state).reason)  # type: ignore[union-attr]
            for index, turn in enumerate(drive.turns)
            if turn and index in drive.waiting and isinstance(turn.step.outcome(drive.state), Blocked)
        ],
        words=tuple(effect.word for effect in drive.path),
        times=drive.times,
        stretches=_stretches(drive),
    )


def _stretches(drive: Drive) -> list[Stretch]:
    cpus, contexts = drive.plan.cpus, drive.machine.contexts
    names = {
        (cpu, who, spinning): (cpus[cpu].name, contexts[who].name, _account(drive, who, spinning))
        for cpu, who, spinning in drive.tally.busy
    }
    return [Stretch(*names[cpu, who, spinning], begin, end) for cpu, who, spinning, begin, end in drive.stretches]


def _cpus(drive: Drive, time: int) -> dict[str, CpuUse]:
    cpus = drive.plan.cpus
    spent = [dict.fromkeys((INTERRUPTS, SOFTIRQS, TASKS, SPINNING), 0) for _ in cpus]
    used = {number for number, cpu in enumerate(cpus) if not cpu.private}
    for (number, who, spinning), busy in drive.tally.busy.items():
        spent[number][_account(drive, who, spinning)] += busy
        used.add(number)
    return {cpu.name: CpuUse(time, spent[number]) for number, cpu in enumerate(cpus) if number in used}


def _account(drive: Drive, who: int, spinning: bool) -> str:
    return SPINNING if spinning else _ACCOUNTS[drive.machine.contexts[who].kind]


def _interrupts(drive: Drive, counts: Counter[Effect]) -> dict[str, InterruptUse]:
    raised: Counter[Interrupt] = Counter()
    handled: Counter[Interrupt] = Counter()
    for effect, number in counts.items():
        for line in effect.raises:
            raised[line] += number
        if effect.turn.starts and effect.turn.step.context.kind == "irq":
            handled[effect.turn.operation.line] += number  # type: ignore[attr-defined]
    lines = [shared for shared in drive.machine.shared if isinstance(shared, Interrupt)]
    pending = {line: bool(drive.machine.value(drive.state, line)) for line in lines}
    return {
        line.name: InterruptUse(raised[line], raised[line] - handled[line] - pending[line], handled[line])
        for line in lines
    }


def _operations(drive: Drive, counts: Counter[Turn]) -> list[OperationUse]:
    """By context and kind of operation, in their order: not in that in which earlier runs of the plan met them."""
    found: dict[tuple[int, str], list[int]] = {}
    for turn, number in counts.items():
        use = found.setdefault((turn.index, type(turn.operation).__name__.lstrip("_")), [0, 0])
        use[0] += number
        use[1] += drive.tally.spent[turn.number]
    contexts = drive.machine.contexts
    return [OperationUse(str(contexts[index]), kind, *use) for (index, kind), use in sorted(found.items())]


def _statistics(drive: Drive, counts: Counter[Turn]) -> dict[str, dict[str, int]]:
    """What the steps of the run have added to each statistic; CPUs in their order."""
    cpus = drive.plan.cpus
    found: dict[str, Counter[int]] = {}
    for turn, number in counts.items():
        statistic = turn.operation.statistic()
        if statistic is not None and turn.cpu is not None:
            found.setdefault(statistic.name, Counter())[turn.cpu] += number
    return {name: {cpus[cpu].name: by_cpu[cpu] for cpu in sorted(by_cpu)} for name, by_cpu in sorted(found.items())}
