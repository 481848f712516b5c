"""Work queues: functions that a kernel thread executes later, where it may sleep.

A work item is queued at most once at a time and never executed twice at once. Items start in
the order in which they were queued; an ordered queue also finishes each before the next starts.
Each item has a worker of its own: on a CPU that nothing else uses, or, with ``cpu``, on a CPU of
the scenario, where it can be preempted by that CPU's other tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from . import cpu as cpus
from .base import Context, Now, Operation, Program, Shared


class WorkQueue(Shared):
    """``struct workqueue_struct``; its value holds the items that wait to start, oldest first."""

    def __init__(self, *, ordered: bool = False, cpu: int | None = None) -> None:
        super().__init__(())
        self.ordered = ordered
        self.cpu = cpu
        self.running = Shared(None)  # ordered: the item that is being executed

    def parts(self) -> Iterator[tuple[str, Shared]]:
        yield ".running", self.running


class Work(Shared):
    """``struct work_struct``: ``program(*args)``, to be executed by a worker.

    Its value is the queue in which it waits to start, else None.
    """

    def __init__(self, program: Program, *args: Any) -> None:
        super().__init__(None)
        self.running = Shared(None)  # the queue that executes it, else None
        #: Who waits for it in flush_work: (context, "pending" or "running").
        self.waited_for = Shared(())
        self.worker = Worker("worker", None, program, args)
        self.worker.work = self

    def parts(self) -> Iterator[tuple[str, Shared]]:
        yield ".running", self.running
        yield ".waited_for", self.waited_for

    def contexts(self) -> Iterator[Context]:
        self.worker.name = self.name
        yield self.worker

    def show(self, value: WorkQueue | None) -> str:
        return f"pending on {value!r}" if value else "not pending"


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
        if now[work.waited_for]:
            now[work.waited_for] = tuple(w for w in now[work.waited_for] if w[1] != "running")
        if now[work] is not None:
            _wake(now, work, now[work])


def _wake(now: Now, work: Work, queue: WorkQueue) -> None:
    now.wake(work.worker, _start(work), None if queue.cpu is None else now.cpus[queue.cpu])


class queue_work(Operation):
    """Has a worker execute the item; the result is False if it waits to start already."""

    queue: WorkQueue
    work: Work

    def step(self, now: Now) -> bool:
        cpus.runs_on(now, type(self).__name__)
        if now[self.work] is not None:
            return False
        now[self.work] = self.queue
        now[self.queue] = (*now[self.queue], self.work)
        if now.asleep(self.work.worker):
            _wake(now, self.work, self.queue)
        return True


class schedule_work(Operation):
    """As ``queue_work``, on the system's own queue."""

    work: Work

    def step(self, now: Now) -> bool:
        return queue_work(system_wq, self.work).step(now)


class _start(Operation):
    """A worker takes the item from its queue."""

    work: Work

    def step(self, now: Now) -> None:
        work, queue = self.work, now[self.work]
        if queue.ordered and now[queue.running] is not None:
            other = now[queue.running]
            now.wait(f"{queue!r} is ordered and executes {other!r}", other.worker)
        first = next(item for item in now[queue] if now[item.running] is None)
        if first is not work:
            now.wait(f"{first!r} was queued before", first.worker)
        now[queue] = tuple(item for item in now[queue] if item is not work)
        if queue.ordered:
            now[queue.running] = work
        now[work] = None
        now[work.running] = queue
        if now[work.waited_for]:
            now[work.waited_for] = tuple((who, "running") for who, _ in now[work.waited_for])
        now.start(now.context, work.worker.program, work.worker.args)

    def __str__(self) -> str:
        return f"a worker starts {self.work.name}"


def _wait_for(now: Now, work: Work) -> None:
    """Registers the running context: it waits for what is pending, else for what is running."""
    stage = "pending" if now[work] is not None else "running" if now[work.running] is not None else None
    if stage:
        now[work.waited_for] = (*now[work.waited_for], (now.context, stage))


def _check(now: Now, *works: Work) -> None:
    for work in works:
        if any(who is now.context for who, _ in now[work.waited_for]):
            now.wait(f"waits until {work!r} is finished", work.worker)


class flush_work(Operation):
    """Sleeps until the item that is queued or being executed now is finished."""

    work: Work
    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> bool:
        cpus.runs_on(now, "flush_work")
        if now.phase == 0:
            _wait_for(now, self.work)
            if not any(who is now.context for who, _ in now[self.work.waited_for]):
                return False
        _check(now, self.work)
        return True


class cancel_work_sync(Operation):
    """Takes the item from its queue (the result says whether it was there) and sleeps until it is not running."""

    work: Work
    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> bool:
        cpus.runs_on(now, "cancel_work_sync")
        work = self.work
        was_pending = now.phase == 2
        if now.phase == 0:
            queue = now[work]
            was_pending = queue is not None
            if queue is not None:
                now[work] = None
                now[queue] = tuple(item for item in now[queue] if item is not work)
                # Who flushed the instance that is cancelled here waits no longer.
                now[work.waited_for] = tuple(w for w in now[work.waited_for] if w[1] == "running")
                if now[work.running] is None:
                    now.sleep(work.worker)
            if now[work.running] is not None:
                _wait_for(now, work)
        if any(who is now.context for who, _ in now[work.waited_for]):
            now.wait(f"waits until {work!r} is finished", work.worker, phase=2 if was_pending else 1)
        return was_pending


class flush_workqueue(Operation):
    """Sleeps until every item that is queued or being executed now is finished."""

    queue: WorkQueue
    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        cpus.runs_on(now, "flush_workqueue")
        works = [c.work for c in now.contexts if isinstance(c, Worker)]
        if now.phase == 0:
            for work in works:
                if self.queue in (now[work], now[work.running]):
                    _wait_for(now, work)
        _check(now, *works)


system_wq = WorkQueue()
system_wq.name = "system_wq"
