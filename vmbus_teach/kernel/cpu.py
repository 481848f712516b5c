"""CPUs: what runs on top of what, and who may run next.

The state of a CPU is a stack of **levels**, the running one last: a task that cannot be
preempted, a tasklet on top of it, an interrupt handler on top of that. A task that *can* be
preempted is on no stack: any task of the CPU may take the next step.

    stack empty        every task of the CPU may step; interrupts are on
    top is a context   only that context may step on this CPU
    top is empty       softirqs are due: the CPU runs tasklets before anything below goes on
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

from .base import Context, ModelError, Now, Operation, Shared, listed, show


class Level(NamedTuple):
    """One level of a CPU's stack."""

    context: Context | None  # None: softirqs are due
    irqs_on: bool = True
    preempt: int = 0  # how often preemption has been switched off
    bh: int = 0  # how often softirqs have been switched off

    def __str__(self) -> str:
        return str(self.context or "softirqs")


class Cpu(Shared):
    """A CPU of the guest. ``number`` is None for the private CPU of a task that shares it with nobody."""

    def __init__(self, number: int | None, title: str) -> None:
        super().__init__(())
        self.number = number
        self.name = title
        self.private = number is None
        #: The tasklets that wait to run here, first come first.
        self.softirqs = Shared((), words=listed)
        also = [(suffix, make(self)) for suffix, make in also_per_cpu]
        self.further = [(".softirqs", self.softirqs), *also]

    def parts(self) -> Iterator[tuple[str, Shared]]:
        return iter(self.further)

    def contexts(self) -> Iterator[Context]:
        for _, part in self.further:
            yield from part.contexts()

    def show(self, value: tuple[Level, ...]) -> str:
        if not value:
            return "preemptible, interrupts on"
        *below, top = value
        under = f" on top of {listed(map(str, reversed(below)))}" if below else ""
        switches = ["interrupts on" if top.irqs_on else "interrupts off"]
        switches += ["preemption off"] * (top.preempt > 0) + ["softirqs off"] * (top.bh > 0)
        return f"executing {top}{under}; {', '.join(switches)}"


#: What other files add to every CPU: the end of its name and what makes it.
also_per_cpu: list[tuple[str, Callable[[Cpu], Shared]]] = []

#: Called with (now, context) when a context may have become preemptible. RCU listens.
when_preemptible: list[Callable[[Now, Context], None]] = []

TASKS = ("task", "work")  # the kinds of context that a CPU runs when it does nothing more urgent
HARDIRQS = ("irq", "ipi")


# --- who is where ---------------------------------------------------------------------------


def runs_on(now: Now, what: str) -> Cpu:
    """The CPU that the running context is on; an error for the host, which has none."""
    if now.cpu is None:
        raise ModelError(
            f"{now.context} is on the host and cannot use {what}, which belongs to a CPU of the guest. "
            "Declare the thread with cpu=0, or with no place at all to give it a CPU of its own."
        )
    return now.cpu


def numbered(now: Now, number: int, what: str) -> Cpu:
    """CPU ``number`` of the scenario; an error if there is none. ``what`` asks for it."""
    shared = [cpu for cpu in now.cpus if not cpu.private]
    if number not in range(len(shared)):
        have = f"has {len(shared)} (cpus = {len(shared)}), numbered from 0"
        raise ModelError(f"{what}: there is no CPU {number!r}. The scenario {have}.")
    return shared[number]


def own_level(now: Now) -> Level:
    """The running context's level (a preemptible task's has everything on)."""
    cpu = now.cpu
    if cpu is not None:
        stack = now[cpu]
        if stack and stack[-1].context is now.context:
            return stack[-1]  # type: ignore[no-any-return]
    return Level(now.context)


def may_run(now: Now) -> None:
    """Waits unless the running context is the one that its CPU would execute next."""
    cpu = now.cpu
    if cpu is None:
        return
    stack = now[cpu]
    if not stack or stack[-1].context is now.context:
        return
    top = stack[-1].context
    if top is not None:
        now.wait(f"waits for {cpu.name}, which is executing {top}", top)
    due = [tasklet.context for tasklet in now[cpu.softirqs] if tasklet.may_start(now)]
    if due:
        now.wait(f"waits for {cpu.name}, which runs its softirqs first", *due)
    now[cpu] = stack[:-1]  # all of them were disabled meanwhile
    may_run(now)


def in_atomic(now: Now) -> str | None:
    """Why the running context must not sleep, in words; None if it may."""
    kind = now.context.kind
    if kind not in (*TASKS, "host"):
        return "it is an interrupt handler" if kind in HARDIRQS else f"it is a {kind}"
    level = own_level(now)
    if not level.irqs_on:
        return "interrupts are off"
    if level.preempt:
        return "preemption is off"
    return "softirqs are off" if level.bh else None


# --- changing that ----------------------------------------------------------------------------


def push(now: Now, cpu: Cpu, context: Context, *, irqs_on: bool) -> None:
    """``context`` begins on top of whatever runs on ``cpu``."""
    now[cpu] = (*now[cpu], Level(context, irqs_on=irqs_on))


def pop(now: Now, cpu: Cpu) -> None:
    """The running context returns to what it had interrupted."""
    now[cpu] = now[cpu][:-1]
    _became_preemptible(now)


def _set_level(now: Now, level: Level) -> None:
    cpu = runs_on(now, "this operation")
    stack = now[cpu]
    below = stack[:-1] if stack and stack[-1].context is now.context else stack
    if level == Level(now.context) and now.context.kind in TASKS:
        now[cpu] = below
        _became_preemptible(now)
    else:
        now[cpu] = (*below, level)


def _became_preemptible(now: Now) -> None:
    for listener in when_preemptible:
        listener(now, now.context)


def softirq_exit(now: Now, cpu: Cpu) -> None:
    """Where the kernel runs what softirqs are pending, before the task goes on.

    That is on the way out of an interrupt handler and in local_bh_enable. (Elsewhere, as after
    preempt_enable or local_irq_enable, the softirq thread runs them, sooner or later. Source:
    __irq_exit_rcu, __local_bh_enable_ip and raise_softirq_irqoff in kernel/softirq.c, v6.1.)

    Nothing is due below another handler or softirq, where softirqs are off, or where all that
    waits is disabled.
    """
    stack = now[cpu]
    if stack:
        top = stack[-1]
        if top.context is None or top.context.kind not in TASKS or top.bh or not top.irqs_on:
            return
    if any(tasklet.may_start(now) for tasklet in now[cpu.softirqs]):
        now[cpu] = (*stack, Level(None))


def change(now: Now, *, irqs_on: bool | None = None, preempt: int = 0, bh: int = 0) -> None:
    """Switches the running context's interrupts, preemption and softirqs."""
    level = own_level(now)
    level = Level(
        now.context,
        level.irqs_on if irqs_on is None else irqs_on,
        level.preempt + preempt,
        level.bh + bh,
    )
    if level.preempt < 0 or level.bh < 0:
        what = "preemption" if level.preempt < 0 else "softirqs"
        now.fail("error", f"{now.context} switches {what} on, which it had not switched off")
    # The kernel warns of both (__local_bh_enable_ip in kernel/softirq.c, v6.1).
    if bh and now.context.kind in HARDIRQS:
        which = "off" if bh > 0 else "on"
        now.fail("error", f"{now.context} is an interrupt handler and switches softirqs {which}")
    if bh < 0 and not level.irqs_on:
        now.fail("error", f"{now.context} switches softirqs on while interrupts are off")
    _set_level(now, level)
    if bh < 0 and not level.bh:
        softirq_exit(now, runs_on(now, "softirqs"))


class _OnCpu(Operation):
    """Changes the running context's level."""

    effect: ClassVar[dict[str, Any]] = {}

    def step(self, now: Now) -> None:
        change(now, **self.effect)


class local_irq_disable(_OnCpu):
    """Interrupts off on this CPU, whatever they were."""

    effect: ClassVar[dict[str, Any]] = {"irqs_on": False}


class local_irq_enable(_OnCpu):
    """Interrupts on on this CPU, whatever they were."""

    effect: ClassVar[dict[str, Any]] = {"irqs_on": True}


class preempt_disable(_OnCpu):
    """No other task of this CPU runs until preemption is on again. Nests."""

    effect: ClassVar[dict[str, Any]] = {"preempt": 1}


class preempt_enable(_OnCpu):
    """Undoes one ``preempt_disable``."""

    effect: ClassVar[dict[str, Any]] = {"preempt": -1}


class local_bh_disable(_OnCpu):
    """No tasklet runs on this CPU until softirqs are on again. Nests; the task cannot be preempted meanwhile.

    Fails in an interrupt handler, as ``local_bh_enable`` does.
    """

    effect: ClassVar[dict[str, Any]] = {"bh": 1}


class local_bh_enable(_OnCpu):
    """Undoes one ``local_bh_disable``; tasklets that wait run at once. Fails while interrupts are off."""

    effect: ClassVar[dict[str, Any]] = {"bh": -1}


class local_irq_save(Operation):
    """Interrupts off; the result says whether they were on (for ``local_irq_restore``)."""

    def step(self, now: Now) -> bool:
        flags = own_level(now).irqs_on
        change(now, irqs_on=False)
        return flags


class local_irq_restore(Operation):
    """Interrupts as they were when ``flags`` was saved."""

    flags: Any

    def __post_init__(self) -> None:
        check_flags(self)

    def step(self, now: Now) -> None:
        change(now, irqs_on=self.flags)


def check_flags(operation: Any) -> None:
    """Checks that an operation's ``flags`` came from one that saved them."""
    if not isinstance(operation.flags, bool):
        raise ModelError(
            f"{type(operation).__name__} is to restore {show(operation.flags)}, which no _irqsave operation "
            "returned. Write: flags = yield spin_lock_irqsave(lock), or local_irq_save()."
        )
