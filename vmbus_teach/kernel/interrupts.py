"""Interrupts, tasklets, and calls on another CPU.

An interrupt is raised, then delivered: at any step at which its CPU has interrupts on. Raising
one that is pending already changes nothing (edge-triggered: the two become one). While the
handler runs, interrupts are off, unless it switches them on itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from . import cpu as cpus
from .base import Context, ModelError, Now, Operation, Program, Shared, show
from .cpu import Cpu, Level


class Interrupt(Shared):
    """An interrupt line of one CPU; its value says whether it is pending."""

    def __init__(self, name: str, cpu: Cpu, program: Program, args: tuple[Any, ...] = ()) -> None:
        super().__init__(False)
        self.name = name
        self.handler = InterruptHandler(name, cpu, program, args)
        self.handler.line = self

    def contexts(self) -> Iterator[Context]:
        yield self.handler

    def show(self, value: bool) -> str:
        return "pending" if value else "not pending"


class InterruptHandler(Context):
    """The context in which an interrupt is handled."""

    kind = "irq"
    cpu: Cpu
    program: Program
    line: Interrupt

    def finish(self, now: Now) -> None:
        cpus.pop(now, self.cpu)
        if now[self.line]:
            now.wake(self, _deliver(self.line))


class raise_irq(Operation):
    """Raises an interrupt: ``yield raise_irq(self.vmbus_isr)``. The host may do it too."""

    line: Any
    host = True

    def __post_init__(self) -> None:
        if not isinstance(self.line, Interrupt):
            raise ModelError(
                f"raise_irq takes a handler declared with @interrupt, not {show(self.line)}. "
                "Write raise_irq(self.vmbus_isr), naming the method, not calling it."
            )

    def step(self, now: Now) -> None:
        if not now[self.line]:
            now[self.line] = True
            if now.asleep(self.line.handler):
                now.wake(self.line.handler, _deliver(self.line))


def _needs_irqs_on(now: Now, cpu: Cpu) -> None:
    stack = now[cpu]
    if stack and not stack[-1].irqs_on:
        now.wait(f"{cpu.name} has interrupts off (in {stack[-1].context})", stack[-1].context)


class _deliver(Operation):
    """The CPU stops what it does and enters the handler."""

    line: Interrupt

    def step(self, now: Now) -> None:
        handler = self.line.handler
        _needs_irqs_on(now, handler.cpu)
        now[self.line] = False
        cpus.push(now, handler.cpu, handler, irqs_on=False)
        now.start(now.context, handler.program, handler.args)

    def __str__(self) -> str:
        return f"interrupt {self.line.name} arrives"


# --- tasklets ---------------------------------------------------------------------------


class Tasklet(Shared):
    """A function to be run soon, in softirq context, by the CPU that schedules it.

    Its value is that CPU while it waits to run, else None. It never runs twice at once.
    """

    def __init__(self, program: Program, *args: Any) -> None:
        super().__init__(None)
        self.disabled = Shared(0)
        self.running = Shared(False)
        self.context = TaskletContext("tasklet", None, program, args)
        self.context.tasklet = self

    def parts(self) -> Iterator[tuple[str, Shared]]:
        yield ".disabled", self.disabled
        yield ".running", self.running

    def contexts(self) -> Iterator[Context]:
        self.context.name = self.name
        yield self.context

    def may_start(self, now: Now) -> bool:
        return not now[self.disabled] and not now[self.running]

    def show(self, value: Cpu | None) -> str:
        return f"scheduled on {value.name}" if value else "not scheduled"


class TaskletContext(Context):
    """The context in which a tasklet runs."""

    kind = "tasklet"
    program: Program
    tasklet: Tasklet

    def finish(self, now: Now) -> None:
        now[self.tasklet.running] = False
        cpus.pop(now, cpus.runs_on(now, "a tasklet"))
        again = now[self.tasklet]
        if again is not None:
            now.wake(self, _run_tasklet(self.tasklet), again)


class tasklet_schedule(Operation):
    """Has the tasklet run on this CPU; nothing if it waits to run already."""

    tasklet: Tasklet

    def step(self, now: Now) -> None:
        cpu = cpus.runs_on(now, "tasklet_schedule")
        if now[self.tasklet] is not None:
            return
        now[self.tasklet] = cpu
        now[cpu.softirqs] = (*now[cpu.softirqs], self.tasklet)
        if now.asleep(self.tasklet.context):
            now.wake(self.tasklet.context, _run_tasklet(self.tasklet), cpu)


class tasklet_disable(Operation):
    """Keeps the tasklet from starting, and waits until it no longer runs. Nests."""

    tasklet: Tasklet

    def step(self, now: Now) -> None:
        if now.phase == 0:
            now[self.tasklet.disabled] += 1
        if now[self.tasklet.running]:
            now.wait(f"waits until {self.tasklet!r} has run", self.tasklet.context)


class tasklet_enable(Operation):
    """Undoes one ``tasklet_disable``."""

    tasklet: Tasklet

    def step(self, now: Now) -> None:
        if now[self.tasklet.disabled] == 0:
            now.fail("error", f"{now.context} enables {self.tasklet!r}, which is not disabled")
        now[self.tasklet.disabled] -= 1


class _run_tasklet(Operation):
    """The CPU starts the tasklet: on the way out of a handler, or in its softirq thread."""

    tasklet: Tasklet

    def step(self, now: Now) -> None:
        tasklet, cpu = self.tasklet, cpus.runs_on(now, "a tasklet")
        stack = now[cpu]
        top = stack[-1] if stack else None
        if top and top.context:
            if top.context.kind not in ("task", "work"):
                now.wait(f"{cpu.name} is executing {top.context}", top.context)
            if top.bh or not top.irqs_on:
                now.wait(f"{top.context} has switched softirqs off on {cpu.name}", top.context)
        if not tasklet.may_start(now):
            now.wait(f"{tasklet!r} is disabled")
        first = next(t for t in now[cpu.softirqs] if t.may_start(now))
        if first is not tasklet:
            now.wait(f"{first!r} was scheduled before", first.context)
        now[tasklet] = None
        now[tasklet.running] = True
        now[cpu.softirqs] = tuple(t for t in now[cpu.softirqs] if t is not tasklet)
        below = stack[:-1] if top and top.context is None else stack
        now[cpu] = (*below, Level(tasklet.context))
        now.start(now.context, tasklet.context.program, tasklet.context.args)

    def __str__(self) -> str:
        return f"tasklet {self.tasklet.name} starts"


# --- calls on another CPU -----------------------------------------------------------------


class Call(NamedTuple):
    """A function that ``caller`` wants executed, in ``smp_call_function_single``."""

    caller: Context
    program: Program
    args: tuple[Any, ...]
    waited_for: bool
    here: bool  # on the caller's own CPU: at once, without an interrupt


class CallQueue(Shared):
    """The calls that others have sent to a CPU; the first is being executed once the IPI has arrived."""

    def __init__(self, cpu: Cpu) -> None:
        super().__init__(())
        self.cpu = cpu
        self.handler = CallHandler(f"ipi{cpu.number}", cpu)
        self.handler.queue = self

    def contexts(self) -> Iterator[Context]:
        if not self.cpu.private:
            yield self.handler


cpus.also_per_cpu.append((".calls", CallQueue))


class CallHandler(Context):
    """The context in which a CPU executes what others sent to it: an interrupt handler."""

    kind = "ipi"
    cpu: Cpu
    queue: CallQueue

    def finish(self, now: Now) -> None:
        done, *rest = now[self.queue]
        now[self.queue] = tuple(rest)
        if rest and not done.here:
            now.start(now.context, rest[0].program, rest[0].args)  # all that is there is done in one interrupt
            return
        cpus.pop(now, self.cpu)
        if rest:
            now.wake(self, _handle_calls(self.queue))


class smp_call_function_single(Operation):
    """Has CPU ``cpu`` execute ``func(info)`` as an interrupt handler; with ``wait``, spins until it has.

    On the caller's own CPU that happens at once, with interrupts off.
    """

    cpu: int
    func: Program
    info: Any = None
    wait: bool = True

    def step(self, now: Now) -> None:
        here = cpus.runs_on(now, "smp_call_function_single")
        target = now.cpus[self.cpu] if 0 <= self.cpu < len(now.cpus) else None
        if target is None or target.private:
            count = sum(not cpu.private for cpu in now.cpus)
            raise ModelError(
                f"smp_call_function_single({self.cpu}, ...): there is no CPU {self.cpu}. "
                f"The scenario has {count} (cpus = {count}), numbered from 0."
            )
        queue = next(part for _, part in target.parts() if isinstance(part, CallQueue))
        if now.phase == 0:
            if now.context.kind in ("irq", "ipi", "tasklet"):
                now.fail("error", f"{now.context} is a handler and calls smp_call_function_single, which may spin")
            args = () if self.info is None else (self.info,)
            call = Call(now.context, self.func, args, self.wait, target is here)
            if target is here:
                now[queue] = (call, *now[queue])
                cpus.push(now, here, queue.handler, irqs_on=False)
                now.start(queue.handler, self.func, args)
            else:
                now[queue] = (*now[queue], call)
                if now.asleep(queue.handler):
                    now.wake(queue.handler, _handle_calls(queue))
                if self.wait:
                    cpus.change(now, preempt=1)
        if target is here or self.wait:
            if any(call.caller is now.context and call.waited_for | call.here for call in now[queue]):
                now.wait(f"waits until {target.name} has executed {show(self.func)}", queue.handler)
            if target is not here:
                cpus.change(now, preempt=-1)


class _handle_calls(Operation):
    """The IPI arrives: the CPU executes the calls in its queue."""

    queue: CallQueue

    def step(self, now: Now) -> None:
        handler = self.queue.handler
        _needs_irqs_on(now, handler.cpu)
        cpus.push(now, handler.cpu, handler, irqs_on=False)
        now.start(now.context, now[self.queue][0].program, now[self.queue][0].args)

    def __str__(self) -> str:
        return f"the call arrives on {self.queue.cpu.name}"
