"""CPU hotplug: the lock that keeps CPUs from going, and the moment at which one is gone.

``cpu_hotplug_lock`` is a reader-writer semaphore. Whoever needs CPUs to stay as they are reads; ``cpu_down`` writes
while a CPU is taken down. A writer that waits lets no new reader in (source: kernel/cpu.c and
kernel/locking/percpu-rwsem.c, v6.1).

Which CPUs are online is a cell of the scenario (``cpu_online_mask``), and what is done on the way down are its
programs. Not modelled: the tasks, tasklets and timers of the CPU that goes, which the kernel moves elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from . import cpu as cpus
from .base import Context, ModelError, Now, Operation, listed
from .interrupts import CallQueue, Interrupt
from .lockmap import Acquisition, How, WaitType
from .locks import Lock


class Held(NamedTuple):
    """Who has, or waits to have, the lock as a writer; who has it as a reader (as often as they took it)."""

    writer: Context | None = None
    readers: tuple[Context, ...] = ()


class CpuHotplugLock(Lock):
    """``cpu_hotplug_lock``; its value is a ``Held``, or None while it is free."""

    wait_type_inner = WaitType.SLEEP

    def show(self, value: Any) -> str:
        if value is None:
            return "free"
        if not value.readers:
            return f"held by {value.writer}"
        waiting = f"; {value.writer} waits to write" if value.writer else ""
        return f"read by {listed(map(str, value.readers))}{waiting}"

    def holders(self, value: Any) -> Iterator[tuple[Context, Acquisition]]:
        writer, readers = value or Held()
        if writer:
            yield writer, Acquisition(self)
        for reader in readers:
            yield reader, Acquisition(self, How.READ)


def _set(now: Now, lock: CpuHotplugLock, held: Held) -> None:
    readers = tuple(sorted(held.readers, key=lambda context: context.index))
    now[lock] = Held(held.writer, readers) if held.writer or readers else None


class cpus_read_lock(Operation):
    """From here on no CPU goes; sleeps while one does, or while somebody waits to take one down."""

    lock: CpuHotplugLock
    sleeps: ClassVar[bool] = True

    def takes(self, state: Any) -> Iterator[Acquisition]:
        yield Acquisition(self.lock, How.READ)

    def step(self, now: Now) -> None:
        held = now[self.lock] or Held()
        if held.writer:
            now.wait(f"waits for {self.lock!r}, held by {held.writer}", held.writer)
        _set(now, self.lock, held._replace(readers=(*held.readers, now.context)))


class cpus_read_unlock(Operation):
    """Undoes one ``cpus_read_lock``."""

    lock: CpuHotplugLock

    def step(self, now: Now) -> None:
        held = now[self.lock] or Held()
        if now.context not in held.readers:
            now.fail("error", f"{now.context} unlocks {self.lock!r}, which it does not read")
        readers = list(held.readers)
        readers.remove(now.context)
        _set(now, self.lock, held._replace(readers=tuple(readers)))


class cpus_write_lock(Operation):
    """Takes the lock to take a CPU down: keeps new readers out at once, then sleeps until those inside have left."""

    lock: CpuHotplugLock
    sleeps: ClassVar[bool] = True

    def takes(self, state: Any) -> Iterator[Acquisition]:
        yield Acquisition(self.lock)

    def step(self, now: Now) -> None:
        held = now[self.lock] or Held()
        if now.phase == 0:
            if held.writer:
                now.wait(f"waits for {self.lock!r}, held by {held.writer}", held.writer)
            held = held._replace(writer=now.context)
            _set(now, self.lock, held)
        if held.readers:
            now.wait(f"waits for {self.lock!r}, read by {listed(map(str, held.readers))}", *held.readers)


class cpus_write_unlock(Operation):
    """Releases the lock."""

    lock: CpuHotplugLock

    def step(self, now: Now) -> None:
        held = now[self.lock] or Held()
        if held.writer is not now.context:
            who = f"{held.writer} holds it" if held.writer else "nobody holds it for writing"
            now.fail("error", f"{now.context} unlocks {self.lock!r}, but {who}")
        _set(now, self.lock, held._replace(writer=None))


class stop_machine(Operation):
    """Stops all other CPUs, as soon as none of them executes what must not be preempted; interrupts are off here.

    In the kernel a thread on each CPU does that, one after the other; here it is one moment. ``play_dead`` lets the
    others go on.
    """

    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        here = cpus.runs_on(now, "stop_machine")
        for cpu in now.cpus:
            if cpu is not here and now[cpu]:
                top = now[cpu][-1]
                on = (top.context,) if top.context else ()
                now.wait(f"waits until {cpu.name} can be stopped, which is executing {top}", *on)
        for cpu in now.cpus:
            if cpu is not here:
                cpus.push(now, cpu, now.context, irqs_on=False)
        cpus.change(now, irqs_on=False)


class play_dead(Operation):
    """This CPU takes no interrupt any more, also none that is pending. CPUs that were stopped go on.

    For the task that takes it down; all it may do afterwards is to say so, on behalf of the CPU (as
    cpuhp_report_idle_dead does). Raises ModelError if somebody else still has something to do on that CPU.
    """

    def step(self, now: Now) -> None:
        here = cpus.runs_on(now, "play_dead")
        if now.context.kind not in cpus.TASKS:
            now.fail("error", f"{now.context} is no task and cannot take {here.name} down")
        self._check_alone(now, here)
        for line in now.shared:
            if isinstance(line, Interrupt) and line.handler.cpu is here:
                if now[line]:
                    now.sleep(line.handler)
                now[line] = None
        for cpu in now.cpus:
            if cpu is not here and now[cpu] and now[cpu][-1].context is now.context:
                now[cpu] = now[cpu][:-1]
        cpus.change(now, irqs_on=True)  # whatever it was: nothing can come any more

    def _check_alone(self, now: Now, here: cpus.Cpu) -> None:
        others: list[Any] = [
            context for context in now.contexts
            if context.cpu is here and context.kind in cpus.TASKS and context is not now.context
            and not now.asleep(context)
        ]  # fmt: skip
        others += now[here.softirqs]
        others += [call for _, part in here.parts() if isinstance(part, CallQueue) for call in now[part]]
        if others:
            raise ModelError(
                f"{here.name} is to play dead, but {listed(map(str, others))} still has something to do there. What "
                "the kernel moves to other CPUs is not modelled: let it end first, or give it another CPU."
            )
