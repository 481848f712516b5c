"""RCU: readers that never wait, and updaters that wait until the readers of before are gone.

A reader is a context inside ``rcu_read_lock`` and also, since v5.0, any context with interrupts,
softirqs or preemption off: every handler and tasklet, every holder of a spin lock (source:
the comment of synchronize_rcu in kernel/rcu/tree.c, v6.1). A grace period waits for the readers
that were there when it began, and for no others; here it begins at the call (a real one may begin
later, and wait for readers that came in between as well). A task that is preempted inside
rcu_read_lock remains a reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from . import cpu as cpus
from .base import Context, Now, Operation, Program, Shared, listed, show
from .heap import Object, check_allocated, free
from .lockmap import Acquisition, How, WaitType
from .memory import Load, Store


class _Rcu(Shared):
    """The one RCU domain. Its value: the contexts inside ``rcu_read_lock``, with their depth."""

    # A reader is entered anywhere, and may wait for spinlocks, not for what sleeps (rcu_lock_map in
    # kernel/rcu/update.c, v6.1).
    wait_type_inner, wait_type_outer = WaitType.CONFIG, WaitType.FREE
    holding = "is inside rcu_read_lock"

    def __init__(self) -> None:
        super().__init__((), words=_show_readers)
        self.name = "rcu readers"
        #: Grace periods that are waited for: (who waits, the readers that are still to leave).
        self.grace = Shared((), words=_show_grace)
        #: What is to be done after a grace period, oldest first.
        self.callbacks = Shared((), words=lambda callbacks: listed(map(str, callbacks)))
        #: While a callback is being executed: who waits for it, in rcu_barrier. Else None.
        self.running = Shared(None)
        self.thread = CallbackThread()

    def parts(self) -> Iterator[tuple[str, Shared]]:
        yield " waited for", self.grace
        yield ": callbacks", self.callbacks
        yield ": callback waited for by", self.running

    def contexts(self) -> Iterator[Context]:
        yield self.thread

    def holders(self, value: tuple[tuple[Context, int], ...]) -> Iterator[tuple[Context, Acquisition]]:
        for reader, _ in value:
            yield reader, Acquisition(self, How.RECURSIVE_READ)

    def lock_class(self) -> str:
        return "rcu_read_lock"


def _show_readers(readers: tuple[tuple[Context, int], ...]) -> str:
    return listed(f"{reader}" + (f" ({depth} deep)" if depth > 1 else "") for reader, depth in readers)


def _show_grace(waiting: tuple[tuple[Context, frozenset[Context]], ...]) -> str:
    return listed(f"{who} waits for {listed(_in_order(readers), 'nobody')}" for who, readers in waiting)


def _in_order(contexts: frozenset[Context]) -> list[Context]:
    return sorted(contexts, key=lambda context: context.index)


class Callback(NamedTuple):
    """Something to be done once ``readers`` have left."""

    by: Context
    readers: frozenset[Context]
    program: Program | None  # None: free the object
    argument: Any
    waited_for: frozenset[Context] = frozenset()  # by whom, in rcu_barrier

    def __str__(self) -> str:
        argument = "" if self.argument is None else show(self.argument)
        after = f" after {listed(_in_order(self.readers))}" if self.readers else ""
        return f"{show(self.program) if self.program else 'kfree'}({argument}){after}"


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
        now[rcu.running] = None
        cpus.pop(now, cpus.runs_on(now, "a callback"))
        _next_callback(now)


def _waits_for(readers: frozenset[Context]) -> Any:
    """The reason to wait for them, and who they are."""
    who = _in_order(readers)
    return (f"waits for the RCU reader{'s' * (len(who) > 1)} {listed(who)}", *who)


def _readers(now: Now) -> frozenset[Context]:
    """The contexts that are inside a read-side critical section."""
    inside = {context for context, _ in now[rcu]}
    for cpu in now.cpus:
        inside.update(level.context for level in now[cpu] if level.context)
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

    def takes(self, state: Any) -> Iterator[Acquisition]:
        yield Acquisition(rcu, How.RECURSIVE_READ)

    def step(self, now: Now) -> None:
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
    frees_the_cpu: ClassVar[bool] = True

    def takes(self, state: Any) -> Iterator[Acquisition]:
        yield Acquisition(rcu, How.WAIT)

    def step(self, now: Now) -> None:
        if now.phase == 0:
            readers = _readers(now)
            if not readers:
                return
            now[rcu.grace] = (*now[rcu.grace], (now.context, readers))
        (mine,) = (entry for entry in now[rcu.grace] if entry[0] is now.context)
        if mine[1]:
            now.wait(*_waits_for(mine[1]))
        now[rcu.grace] = tuple(entry for entry in now[rcu.grace] if entry is not mine)


def _defer(now: Now, program: Program | None, argument: Any) -> None:
    # Among the readers is the caller, if it defers something from inside a critical section.
    now[rcu.callbacks] = (*now[rcu.callbacks], Callback(now.context, _readers(now), program, argument))
    if now.asleep(rcu.thread):
        now.wake(rcu.thread, _run_callback())


class call_rcu(Operation):
    """Has ``func(argument)`` executed after a grace period; does not wait for it."""

    func: Program
    argument: Any = None

    def step(self, now: Now) -> None:
        _defer(now, self.func, self.argument)


class kfree_rcu(Operation):
    """Frees the object after a grace period; does not wait for it. ``kfree_rcu(None)`` does nothing.

    In no order with ``call_rcu`` (it collects objects apart; source: kvfree_call_rcu in
    kernel/rcu/tree.c, v6.1).
    """

    object: Object | None

    def step(self, now: Now) -> None:
        if self.object is None:
            return
        check_allocated(now, self.object)
        for other in now[rcu.callbacks]:
            if other.program is None and other.argument is self.object:
                what = f"{now.context} frees {self.object!r}, which {other.by} has given to kfree_rcu before"
                now.fail("double-free", what)
        _defer(now, None, self.object)


class rcu_barrier(Operation):
    """Sleeps until every callback of ``call_rcu`` that is queued or being executed now is done.

    No matter who queued it. It does not wait for ``kfree_rcu``.
    """

    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        if now.phase == 0:
            me = {now.context}
            now[rcu.callbacks] = tuple(
                c._replace(waited_for=c.waited_for | me) if c.program else c for c in now[rcu.callbacks]
            )
            if now[rcu.running] is not None:
                now[rcu.running] |= me
        waited_for = [now[rcu.running] or (), *(c.waited_for for c in now[rcu.callbacks])]
        if any(now.context in waiters for waiters in waited_for):
            now.wait("waits until the RCU callbacks of before have been executed", rcu.thread)


class _run_callback(Operation):
    """A grace period has ended: what waited for it is done. Calls of one context keep their order."""

    def alternatives(self, now: Now) -> tuple[Any, ...]:
        ready, callers = [], set()
        for number, callback in enumerate(now[rcu.callbacks]):
            first = callback.program is None or callback.by not in callers
            if callback.program is not None:
                callers.add(callback.by)
            if first and not callback.readers:
                ready.append(number)
        return tuple(ready) or (0,)

    def step(self, now: Now) -> None:
        waiting = now[rcu.callbacks]
        callback = waiting[now.alternative]
        if callback.readers:
            now.wait(*_waits_for(callback.readers))
        now[rcu.callbacks] = waiting[: now.alternative] + waiting[now.alternative + 1 :]
        if callback.program is None:
            free(now, callback.argument)
            _next_callback(now)
            return
        now[rcu.running] = callback.waited_for
        cpus.push(now, cpus.runs_on(now, "a callback"), now.context, irqs_on=True)
        now.start(now.context, callback.program, () if callback.argument is None else (callback.argument,))

    def __str__(self) -> str:
        return "a grace period has ended"


def _next_callback(now: Now) -> None:
    if now[rcu.callbacks]:
        now.wake(rcu.thread, _run_callback())
    else:
        now.sleep(rcu.thread)


rcu = _Rcu()
