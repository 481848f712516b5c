"""Interrupts, tasklets, and calls on another CPU.

An interrupt is raised, then delivered: at any step at which its CPU has interrupts on. Raising
one that is pending already changes nothing (edge-triggered: the two become one). While the
handler runs, interrupts are off. A handler that switches them on can be interrupted, by other
lines than its own: the same one waits until it has returned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, NoReturn

from . import cpu as cpus
from .base import Context, ModelError, Now, Operation, Program, Shared, check_program, listed, show
from .cpu import Cpu, Level


class Interrupt(Shared):
    """An interrupt line of one CPU; its value says whether it is pending, or is None once the CPU is dead."""

    def __init__(self, name: str, cpu: Cpu, program: Program, args: tuple[Any, ...] = ()) -> None:
        check_program(program, f"the interrupt {name}")
        super().__init__(False)
        self.name = name
        self.handler = InterruptHandler(name, cpu, program, args)
        self.handler.line = self

    def contexts(self) -> Iterator[Context]:
        yield self.handler

    def show(self, value: bool | None) -> str:
        return f"{self.handler.cpu.name} is dead" if value is None else "pending" if value else "not pending"

    def __call__(self, *args: Any) -> NoReturn:
        raise ModelError(
            f"{self.name} is an interrupt: raised, not called. Write: yield raise_irq(self.{self.name}). To "
            "use its code elsewhere, too, move that into a method without @interrupt."
        )


class InterruptHandler(Context):
    """The context in which an interrupt is handled."""

    kind = "irq"
    cpu: Cpu
    program: Program
    line: Interrupt

    def finish(self, now: Now) -> None:
        cpus.pop(now, self.cpu)
        cpus.softirq_exit(now, self.cpu)
        if now[self.line]:
            now.wake(self, _deliver(self.line))


class raise_irq(Operation):
    """Raises an interrupt: ``yield raise_irq(self.vmbus_isr)``. The host may do it too.

    Nothing comes of it if the CPU is dead (see ``play_dead``).
    """

    line: Interrupt
    host: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.line, Interrupt):
            raise ModelError(
                f"raise_irq takes a handler declared with @interrupt, not {show(self.line)}. "
                "Write raise_irq(self.vmbus_isr), naming the method, not calling it."
            )

    def raises(self, state: Any) -> Iterator[Interrupt]:
        if state[self.line] is not None:
            yield self.line

    def step(self, now: Now) -> None:
        if now[self.line] is False:
            now[self.line] = True
            if now.asleep(self.line.handler):
                now.wake(self.line.handler, _deliver(self.line))


def _needs_irqs_on(now: Now, cpu: Cpu) -> None:
    stack = now[cpu]
    if stack and not stack[-1].irqs_on:
        now.wait(f"waits until {cpu.name} has interrupts on, which are off in {stack[-1]}", stack[-1].context)


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

    Its value is that CPU while it waits to run, else None. It never runs twice at once; scheduled
    while it runs, it runs once more. Those of one CPU run in the order in which they were scheduled.
    """

    def __init__(self, program: Program, *args: Any) -> None:
        check_program(program, "Tasklet")
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
        """Whether nothing but its CPU stands in its way."""
        return not now[self.disabled] and not now[self.running]

    def show(self, value: Cpu | None) -> str:
        return f"scheduled on {value.name}" if value else "not scheduled"


class TaskletContext(Context):
    """The context in which a tasklet runs."""

    kind = "tasklet"
    program: Program
    tasklet: Tasklet

    def finish(self, now: Now) -> None:
        cpu = cpus.runs_on(now, "a tasklet")
        now[self.tasklet.running] = False
        cpus.pop(now, cpu)
        cpus.softirq_exit(now, cpu)
        again = now[self.tasklet]
        if again is not None:
            now.wake(self, _run_tasklet(self.tasklet), again)


class tasklet_schedule(Operation):
    """Has the tasklet run on this CPU; nothing if it waits to run already.

    From a handler, it runs when that has returned. From a task, the softirq thread runs it some
    time later, unless the way out of an interrupt comes first.
    """

    tasklet: Tasklet

    def step(self, now: Now) -> None:
        cpu = cpus.runs_on(now, "tasklet_schedule")
        if now[self.tasklet] is not None:
            return
        now[self.tasklet] = cpu
        now[cpu.softirqs] = (*now[cpu.softirqs], self.tasklet)
        if now.asleep(self.tasklet.context):
            now.wake(self.tasklet.context, _run_tasklet(self.tasklet), cpu)


class tasklet_disable_in_atomic(Operation):
    """Keeps the tasklet from starting, and spins until it no longer runs. Nests."""

    tasklet: Tasklet

    def step(self, now: Now) -> None:
        if now.phase == 0:
            now[self.tasklet.disabled] += 1
        if now[self.tasklet.running]:
            now.wait(f"waits until {self.tasklet!r} has run", self.tasklet.context)


class tasklet_disable(tasklet_disable_in_atomic):
    """Keeps the tasklet from starting, and waits until it no longer runs. Nests. May sleep, since v5.13."""

    sleeps: ClassVar[bool] = True


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
            if top.context.kind not in cpus.TASKS:
                now.wait(f"waits for {cpu.name}, which is executing {top}", top.context)
            if top.bh or not top.irqs_on:
                what = "softirqs" if top.bh else "interrupts"
                now.wait(f"waits until {cpu.name} has {what} on, which are off in {top}", top.context)
        if now[tasklet.disabled]:
            now.wait(f"waits for tasklet_enable({tasklet!r})")
        first = next(t for t in now[cpu.softirqs] if t.may_start(now))
        if first is not tasklet:
            now.wait(f"waits for {first!r}, which was scheduled before", first.context)
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
    local: bool  # on the caller's own CPU: at once, without an interrupt

    def __str__(self) -> str:
        return f"{show(self.program)} for {self.caller}"


def _show_calls(calls: tuple[Call, ...]) -> str:
    return listed(map(str, calls))


class CallQueue(Shared):
    """The calls that others have sent to a CPU, and that wait for its interrupt.

    ``executing`` are the calls of the interrupt that is being handled, the first one running. Calls
    that arrive meanwhile take another interrupt (source: __flush_smp_call_function_queue in
    kernel/smp.c, v6.1).
    """

    def __init__(self, cpu: Cpu) -> None:
        super().__init__((), words=_show_calls)
        self.cpu = cpu
        self.executing = Shared((), words=_show_calls)
        self.handler = CallHandler(f"ipi{cpu.number}", cpu)
        self.handler.queue = self

    def parts(self) -> Iterator[tuple[str, Shared]]:
        if not self.cpu.private:  # nobody can call that one
            yield ".executing", self.executing

    def contexts(self) -> Iterator[Context]:
        if not self.cpu.private:
            yield self.handler


cpus.also_per_cpu.append((".calls", CallQueue))


class CallHandler(Context):
    """The context in which a CPU executes what others sent to it: an interrupt handler."""

    kind = "ipi"
    cpu: Cpu
    queue: CallQueue

    def begin(self, now: Now, calls: tuple[Call, ...]) -> None:
        now[self.queue.executing] = calls
        now.start(self, calls[0].program, calls[0].args)

    def finish(self, now: Now) -> None:
        done, *rest = now[self.queue.executing]
        now[self.queue.executing] = tuple(rest)
        if rest:
            self.begin(now, tuple(rest))
            return
        cpus.pop(now, self.cpu)
        if not done.local:
            cpus.softirq_exit(now, self.cpu)
        if now[self.queue]:
            now.wake(self, _handle_calls(self.queue))


class smp_call_function_single(Operation):
    """Has CPU ``cpu`` execute ``func(info)`` as an interrupt handler; with ``wait``, spins until it has.

    On the caller's own CPU that happens at once, with interrupts off. Fails in a handler, and where
    interrupts are off: two CPUs that wait for each other like that wait for ever, and the kernel
    warns of it (smp_call_function_single in kernel/smp.c, v6.1). Not modelled: without ``wait``, a
    second call from one CPU is held back until the first has begun.
    """

    cpu: int
    func: Program
    info: Any = None
    wait: bool = True

    def step(self, now: Now) -> None:
        here = cpus.runs_on(now, "smp_call_function_single")
        target = cpus.numbered(now, self.cpu, str(self))
        queue = next(part for _, part in target.parts() if isinstance(part, CallQueue))
        if now.phase == 0:
            self._check(now)
            self._send(now, queue, local=target is here)
        sent = (*now[queue], *now[queue.executing])
        if any(call.caller is now.context and call.waited_for for call in sent):
            now.wait(f"waits until {target.name} has executed {show(self.func)}", queue.handler)
        if self.wait and target is not here:
            cpus.change(now, preempt=-1)

    def _check(self, now: Now) -> None:
        if now.context.kind not in cpus.TASKS:
            now.fail("error", f"{now.context} is no task and calls {self}, which may spin for another CPU")
        if not cpus.own_level(now).irqs_on:
            why = "two CPUs that call each other so wait for ever"
            now.fail("error", f"{now.context} calls {self} with interrupts off: {why}")

    def _send(self, now: Now, queue: CallQueue, *, local: bool) -> None:
        args = () if self.info is None else (self.info,)
        call = Call(now.context, self.func, args, self.wait or local, local)
        if local:
            cpus.push(now, queue.cpu, queue.handler, irqs_on=False)
            queue.handler.begin(now, (call,))
            return
        now[queue] = (*now[queue], call)
        if now.asleep(queue.handler):
            now.wake(queue.handler, _handle_calls(queue))
        if self.wait:
            cpus.change(now, preempt=1)


class _handle_calls(Operation):
    """The IPI arrives: the CPU executes the calls that are there, first those that somebody waits for."""

    queue: CallQueue

    def step(self, now: Now) -> None:
        queue = self.queue
        _needs_irqs_on(now, queue.cpu)
        calls = sorted(now[queue], key=lambda call: not call.waited_for)
        now[queue] = ()
        cpus.push(now, queue.cpu, queue.handler, irqs_on=False)
        queue.handler.begin(now, tuple(calls))

    def __str__(self) -> str:
        return f"the call arrives on {self.queue.cpu.name}"
