"""Work queues: functions that a kernel thread executes later, where it may sleep.

A work item is queued at most once at a time and never executed twice at once. Items start in
the order in which they were queued; an ordered queue also finishes each before the next starts.
Each item has a worker of its own: on a CPU that nothing else uses, or, with ``cpu``, on a CPU of
the scenario, where it can be preempted by that CPU's other tasks. (Linux starts the next item of
a CPU's queue when the one before sleeps or has been running for long, and in any case may.)

An item may lie in a heap object (``inside``). Its program may free that object: who executes it looks at
the item no more once it has begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from . import cpu as cpus
from .base import Context, ModelError, Now, Operation, Program, Shared, check_program, listed
from .heap import check_in_use
from .lockmap import Acquisition, How


class WorkQueue(Shared):
    """``struct workqueue_struct``; its value holds the items that wait to start, oldest first."""

    holding = "executes an item of {}"

    def __init__(self, *, ordered: bool = False, cpu: int | None = None) -> None:
        if cpu is not None and not isinstance(cpu, int):
            raise ModelError(f"WorkQueue(cpu={cpu!r}): cpu is the number of a CPU, or None.")
        super().__init__((), words=listed)
        self.ordered = ordered
        self.cpu = cpu
        self.running = Shared(None)  # ordered: the item that is being executed

    def parts(self) -> Iterator[tuple[str, Shared]]:
        yield ".running", self.running

    def lock_class(self) -> str:
        return f"(wq_completion){super().lock_class()}"


PENDING, RUNNING = "pending", "running"


class Work(Shared):
    """``struct work_struct``: ``program(*args)``, to be executed by a worker.

    Its value is the queue in which it waits to start, else None.
    """

    holding = "executes {}"

    def __init__(self, program: Program, *args: Any) -> None:
        check_program(program, "Work")
        super().__init__(None)
        self.running = _Running(self)
        self.cancelled_by = Shared(None)  # who waits in cancel_work_sync: meanwhile it cannot be queued
        #: Who waits for it: (context, PENDING or RUNNING), the instance that is waited for.
        self.waited_for = Shared((), words=_show_waiters)
        self.worker = Worker("worker", None, program, args)
        self.worker.work = self

    def parts(self) -> Iterator[tuple[str, Shared]]:
        yield ".running", self.running
        yield ".cancelled_by", self.cancelled_by
        yield ".waited_for", self.waited_for

    def contexts(self) -> Iterator[Context]:
        self.worker.name = self.name
        yield self.worker

    def show(self, value: WorkQueue | None) -> str:
        return f"pending on {value!r}" if value else "not pending"

    def lock_class(self) -> str:
        return f"(work_completion){super().lock_class()}"


class _Running(Shared):
    """The queue that executes an item, else None. To lockdep, its worker holds both: who flushes waits for it."""

    def __init__(self, work: Work) -> None:
        super().__init__(None)
        self.work = work

    def holders(self, value: WorkQueue | None) -> Iterator[tuple[Context, Acquisition]]:
        if value is not None:
            yield self.work.worker, Acquisition(value)
            yield self.work.worker, Acquisition(self.work)


def _show_waiters(waiters: tuple[tuple[Context, str], ...]) -> str:
    return listed(f"{who} waits for the {stage} one" for who, stage in waiters)


class Worker(Context):
    """The kernel thread that executes one work item."""

    kind = "work"
    program: Program
    work: Work

    def finish(self, now: Now) -> None:
        work = self.work
        queue = now[work.running]
        if queue.ordered:
            now[queue.running] = None
        now[work.running] = None
        _release_waiters(now, work, RUNNING)
        if now[work] is not None:
            _wake(now, work, now[work])


def _wake(now: Now, work: Work, queue: WorkQueue) -> None:
    asked = f"{queue!r} = WorkQueue(cpu={queue.cpu})"
    now.wake(work.worker, _start(work), None if queue.cpu is None else cpus.numbered(now, queue.cpu, asked))


def _release_waiters(now: Now, work: Work, stage: str) -> None:
    """What was waited for has happened."""
    if now[work.waited_for]:
        now[work.waited_for] = tuple(w for w in now[work.waited_for] if w[1] != stage)


# --- queueing ---------------------------------------------------------------------------------


def _queue_work(now: Now, queue: WorkQueue, work: Work) -> bool:
    if now[work] is not None or now[work.cancelled_by] is not None:
        return False
    now[work] = queue
    now[queue] = (*now[queue], work)
    if now.asleep(work.worker):
        _wake(now, work, queue)
    return True


class queue_work(Operation):
    """Has a worker execute the item; the result is False if it waits to start already.

    It no longer does once it has begun: queued then, it is executed once more, afterwards. False
    also while ``cancel_work_sync`` waits for it.
    """

    queue: WorkQueue
    work: Work

    def step(self, now: Now) -> bool:
        return _queue_work(now, self.queue, self.work)


class schedule_work(Operation):
    """As ``queue_work``, on the system's own queue."""

    work: Work

    def step(self, now: Now) -> bool:
        return _queue_work(now, system_wq, self.work)


class _start(Operation):
    """A worker takes the item from its queue."""

    work: Work

    def step(self, now: Now) -> None:
        cpus.may_run(now)
        check_in_use(now, self.work)
        work, queue = self.work, now[self.work]
        if queue.ordered and now[queue.running] is not None:
            other = now[queue.running]
            now.wait(f"waits for {other!r}, which {queue!r} executes now, and it is ordered", other.worker)
        first = next(item for item in now[queue] if now[item.running] is None)
        if first is not work:
            now.wait(f"waits for {first!r}, which was queued before", first.worker)
        now[queue] = tuple(item for item in now[queue] if item is not work)
        if queue.ordered:
            now[queue.running] = work
        now[work] = None
        now[work.running] = queue
        if now[work.waited_for]:
            now[work.waited_for] = tuple((who, RUNNING) for who, _ in now[work.waited_for])
        now.start(now.context, work.worker.program, work.worker.args)

    def __str__(self) -> str:
        return f"a worker starts {self.work.name}"


# --- waiting for work ---------------------------------------------------------------------------


def _wait_for(now: Now, work: Work, stage: str) -> None:
    now[work.waited_for] = (*now[work.waited_for], (now.context, stage))


def _stage(now: Now, work: Work) -> str | None:
    """The instance of the item that is the last to finish, as things are now."""
    return PENDING if now[work] is not None else RUNNING if now[work.running] is not None else None


def _still_waits_for(now: Now, work: Work) -> bool:
    return any(who is now.context for who, _ in now[work.waited_for])


class flush_work(Operation):
    """Sleeps until the item that is queued or being executed now is finished; False if there was none.

    What is queued later is not waited for. Neither is an item that is cancelled meanwhile.
    """

    work: Work
    sleeps: ClassVar[bool] = True

    def takes(self, state: Any) -> Iterator[Acquisition]:
        yield Acquisition(self.work, How.WAIT)
        queue = state[self.work] or state[self.work.running]
        if queue is not None and queue.ordered:  # then it waits for the items before it, too
            yield Acquisition(queue, How.WAIT)

    def step(self, now: Now) -> bool:
        if now.phase == 0:
            stage = _stage(now, self.work)
            if stage is None:
                return False
            _wait_for(now, self.work, stage)
        if _still_waits_for(now, self.work):
            now.wait(f"waits until {self.work!r} is finished", self.work.worker)
        return True


class cancel_work_sync(Operation):
    """Takes the item from its queue (the result says whether it was there); sleeps while it is running.

    Until then it cannot be queued, not even by itself: afterwards it neither waits nor runs
    (source: __cancel_work_timer in kernel/workqueue.c, v6.1).
    """

    work: Work
    sleeps: ClassVar[bool] = True

    def takes(self, state: Any) -> Iterator[Acquisition]:
        yield Acquisition(self.work, How.WAIT)

    def step(self, now: Now) -> bool:
        work = self.work
        was_pending = now.phase == _WAS_PENDING
        if now.phase == 0:
            other = now[work.cancelled_by]
            if other is not None:
                now.wait(f"waits until {other} has cancelled {work!r}", other)
            was_pending = self._take_off(now)
            if now[work.running] is None:
                return was_pending
            now[work.cancelled_by] = now.context
            _wait_for(now, work, RUNNING)
        if _still_waits_for(now, work):
            phase = _WAS_PENDING if was_pending else _WAS_NOT_PENDING
            now.wait(f"waits until {work!r} is finished", work.worker, phase=phase)
        now[work.cancelled_by] = None
        return was_pending

    def _take_off(self, now: Now) -> bool:
        work, queue = self.work, now[self.work]
        if queue is None:
            return False
        now[work] = None
        now[queue] = tuple(item for item in now[queue] if item is not work)
        _release_waiters(now, work, PENDING)
        if now[work.running] is None:
            now.sleep(work.worker)
        return True


_WAS_NOT_PENDING, _WAS_PENDING = 1, 2


class flush_workqueue(Operation):
    """Sleeps until every item that is queued or being executed now is finished."""

    queue: WorkQueue
    sleeps: ClassVar[bool] = True

    def takes(self, state: Any) -> Iterator[Acquisition]:
        yield Acquisition(self.queue, How.WAIT)

    def step(self, now: Now) -> None:
        works = [c.work for c in now.contexts if isinstance(c, Worker)]
        if now.phase == 0:
            for work in works:
                if now[work] is self.queue:
                    _wait_for(now, work, PENDING)
                elif now[work.running] is self.queue:
                    _wait_for(now, work, RUNNING)
        left = [work for work in works if _still_waits_for(now, work)]
        if left:
            now.wait(f"waits until {listed(left)} is finished", *(work.worker for work in left))


system_wq = WorkQueue()
system_wq.name = "system_wq"
