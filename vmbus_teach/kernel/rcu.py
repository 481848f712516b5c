"""RCU: readers that never wait, and updaters that wait until the readers of before are gone.

A reader is a context inside ``rcu_read_lock`` and also, since v5.0, any context with interrupts,
softirqs or preemption off: every handler and tasklet, every holder of a spin lock (source:
the comment of synchronize_rcu in kernel/rcu/tree.c, v6.1). A grace period waits for the readers
that were there when it began, and for no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from . import cpu as cpus
from .base import Context, Now, Operation, Program, Shared
from .heap import Object, free
from .memory import Load, Store


class _Rcu(Shared):
    """The one RCU domain. Its value: the contexts inside ``rcu_read_lock``, with their depth."""

    def __init__(self) -> None:
        super().__init__(())
        self.name = "rcu readers"
        #: Grace periods that are waited for: (who waits, the readers that are still to leave).
        self.grace = Shared(())
        #: What is to be done after a grace period, oldest first.
        self.callbacks = Shared(())
        self.thread = CallbackThread()

    def parts(self) -> Iterator[tuple[str, Shared]]:
        yield " grace periods", self.grace
        yield " callbacks", self.callbacks

    def contexts(self) -> Iterator[Context]:
        yield self.thread


class Callback(NamedTuple):
    """Something to be done once ``readers`` have left."""

    by: Context
    readers: frozenset[Context]
    program: Program | None  # None: free the object
    argument: Any


class CallbackThread(Context):
    """Executes the callbacks of ``call_rcu`` and ``kfree_rcu``, one after the other.

    It is the kernel's offloaded callback thread (rcu_nocbs): on no CPU that the scenario names,
    and not allowed to sleep.
    """

    kind = "softirq"

    def __init__(self) -> None:
        super().__init__("rcu", cpus.Cpu(None, "rcu's CPU"))
        self.index = 1 << 30  # exists in every scenario, as the last of all

    def finish(self, now: Now) -> None:
        cpus.pop(now, cpus.runs_on(now, "a callback"))
        if now[rcu.callbacks]:
            now.wake(self, _run_callback())


def _readers(now: Now) -> frozenset[Context]:
    """The contexts that are inside a read-side critical section."""
    inside = {context for context, _ in now[rcu]}
    for cpu in now.cpus:
        inside.update(level.context for level in now[cpu] if level.context)
    inside.discard(now.context)
    return frozenset(inside)


def _left(now: Now, context: Context) -> None:
    """``context`` may have left its critical section: then no grace period waits for it any more."""
    if not now[rcu.grace] and not now[rcu.callbacks]:
        return
    if any(reader is context for reader, _ in now[rcu]):
        return
    for cpu in now.cpus:
        if any(level.context is context for level in now[cpu]):
            return
    if now[rcu.grace]:
        now[rcu.grace] = tuple((who, readers - {context}) for who, readers in now[rcu.grace])
    if now[rcu.callbacks]:
        now[rcu.callbacks] = tuple(c._replace(readers=c.readers - {context}) for c in now[rcu.callbacks])


cpus.when_preemptible.append(_left)


def nesting(now: Now) -> int:
    """How deep the running context is inside ``rcu_read_lock``."""
    return next((depth for context, depth in now[rcu] if context is now.context), 0)


def _nest(now: Now, depth: int) -> None:
    others = [entry for entry in now[rcu] if entry[0] is not now.context]
    mine = [(now.context, depth)] if depth else []
    now[rcu] = tuple(sorted(others + mine, key=lambda entry: entry[0].index))


class rcu_read_lock(Operation):
    """Enters a read-side critical section. Never waits; nests."""

    def step(self, now: Now) -> None:
        cpus.runs_on(now, "rcu_read_lock")
        _nest(now, nesting(now) + 1)


class rcu_read_unlock(Operation):
    """Leaves a read-side critical section."""

    def step(self, now: Now) -> None:
        depth = nesting(now)
        if depth == 0:
            now.fail("error", f"{now.context} calls rcu_read_unlock without rcu_read_lock")
        _nest(now, depth - 1)
        _left(now, now.context)


class rcu_dereference(Load):
    """Reads a pointer that ``rcu_assign_pointer`` publishes."""

    ordering: ClassVar[str] = "once"


class rcu_assign_pointer(Store):
    """Publishes a pointer: what was written before is seen by who reads the pointer."""

    ordering: ClassVar[str] = "release"


class synchronize_rcu(Operation):
    """Sleeps until every reader of this moment has left."""

    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        cpus.runs_on(now, "synchronize_rcu")
        if now.phase == 0:
            readers = _readers(now)
            if not readers:
                return
            now[rcu.grace] = (*now[rcu.grace], (now.context, readers))
        (mine,) = (entry for entry in now[rcu.grace] if entry[0] is now.context)
        if mine[1]:
            who = sorted(mine[1], key=lambda context: context.index)
            now.wait(f"waits for the RCU readers {', '.join(map(str, who))}", *who)
        now[rcu.grace] = tuple(entry for entry in now[rcu.grace] if entry is not mine)


def _defer(now: Now, what: str, program: Program | None, argument: Any) -> None:
    cpus.runs_on(now, what)
    callback = Callback(now.context, _readers_and_me(now), program, argument)
    now[rcu.callbacks] = (*now[rcu.callbacks], callback)
    if now.asleep(rcu.thread):
        now.wake(rcu.thread, _run_callback())


def _readers_and_me(now: Now) -> frozenset[Context]:
    """As ``_readers``; who defers something from inside a critical section is waited for too."""
    me = {now.context} if nesting(now) or cpus.in_atomic(now) else set()
    return _readers(now) | me


class call_rcu(Operation):
    """Has ``func(argument)`` executed after a grace period; does not wait for it."""

    func: Program
    argument: Any = None

    def step(self, now: Now) -> None:
        _defer(now, "call_rcu", self.func, self.argument)


class kfree_rcu(Operation):
    """Frees the object after a grace period; does not wait for it."""

    object: Object

    def step(self, now: Now) -> None:
        _defer(now, "kfree_rcu", None, self.object)


class rcu_barrier(Operation):
    """Sleeps until every callback that is queued now has been executed."""

    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        cpus.runs_on(now, "rcu_barrier")
        if now.phase == 0:
            if not now[rcu.callbacks] and now.asleep(rcu.thread):
                return
            _defer(now, "rcu_barrier", None, now.context)
        if any(callback.argument is now.context for callback in now[rcu.callbacks]):
            now.wait("waits until the RCU callbacks of before have been executed", rcu.thread)


class _run_callback(Operation):
    """A grace period has ended: what waited for it is done. Callbacks of one context keep their order."""

    def alternatives(self, now: Now) -> tuple[Any, ...]:
        waiting = now[rcu.callbacks]
        first = {callback.by: i for i, callback in reversed(list(enumerate(waiting)))}
        ready = [i for i in sorted(first.values()) if not waiting[i].readers]
        return tuple(ready) or (0,)

    def step(self, now: Now) -> None:
        waiting = now[rcu.callbacks]
        callback = waiting[now.alternative]
        if callback.readers:
            who = sorted(callback.readers, key=lambda context: context.index)
            now.wait(f"waits for the RCU readers {', '.join(map(str, who))}", *who)
        now[rcu.callbacks] = waiting[: now.alternative] + waiting[now.alternative + 1 :]
        if callback.program is not None:
            cpus.push(now, cpus.runs_on(now, "a callback"), now.context, irqs_on=True)
            now.start(now.context, callback.program, () if callback.argument is None else (callback.argument,))
            return
        if isinstance(callback.argument, Object):
            free(now, callback.argument)
        if now[rcu.callbacks]:
            now.wake(now.context, _run_callback())
        else:
            now.sleep(now.context)

    def __str__(self) -> str:
        return "a grace period ends"


rcu = _Rcu()
