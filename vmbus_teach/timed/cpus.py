"""Who is about to do what, and on which CPU, while a run goes on.

A context's operation takes its time on a CPU. A context whose CPU is taken away (by an interrupt, by another task)
keeps what is left of that time; one that has to wait, waits until something that its step reads has changed.

To read it: ``_place`` gives a context its next operation, ``_wait`` and ``_look_again`` are for those that cannot go
on, ``_dispatch`` decides who has a CPU. What happens when a time is over is in ``drive.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import reduce
from itertools import count
from operator import or_
from random import Random
from typing import Any

import simpy

from ..outcome import Blocked
from ..stop import BY_HAND, StopButton
from .costs import FIFO, TimeError, checked_time, drawn
from .plan import Plan, Turn
from .tally import Tally
from .traffic import times_of

#: How many stretches are kept.
STRETCHES = 100_000



class Over(Exception):
    """The run ends here; the text says why."""


class Due(simpy.Event):
    """The moment at which the time of something is over: of a context's operation, of a CPU's time slice."""

    def __init__(self, env: simpy.Environment, index: int) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        self.callbacks = None  # type: ignore[assignment]  # as after it has come
        self.index = index  # of the context or CPU
        self.due = -1
        self.priority: float | None = None  # among those of one moment; None: left to chance


class Cpus:
    """The contexts of a run, their times, and the CPUs that they share."""

    def __init__(self, plan: Plan, seed: int, stop: StopButton) -> None:
        self.plan, self.costs, self.machine, self.stop = plan, plan.costs, plan.machine, stop
        self.env: Any = simpy.Environment()  # Any: SimPy's time may be a float, and ours is always an int
        self.now = 0  # the time of the present step: SimPy's, or ahead of it where nothing else comes before
        # A stream for each purpose, so that another cost model meets the same traffic.
        self.rng = Random(f"{seed}/costs")
        self._random = Random(f"{seed}/order").random
        self.traffic = {name: times_of(name, p, Random(f"{seed}/traffic/{name}")) for name, p in plan.traffic.items()}
        self.arrived = dict.fromkeys(plan.traffic, 0)  # when the last one did
        self.state = plan.machine.initial
        self.tally = Tally()
        #: When a CPU was given to one context without a break: (CPU, context, whether it spun, begin, end).
        self.stretches: list[tuple[int, int, bool, int, int]] = []

        contexts = len(plan.machine.contexts)
        self.turns: list[Turn | None] = [None] * contexts
        self.pending: list[Due | None] = [None] * contexts  # when its time is over, if it is passing
        self.spare = [Due(self.env, index) for index in range(contexts)]  # an event is used again once it has come
        self.fresh: list[Due] = []  # set in this step, and not in the calendar yet
        self.left: list[int | None] = [0] * contexts  # of its operation's time, when it last had no CPU; None: it spins
        self.extra = [0] * contexts  # to be added to its next operation
        self.waiting: dict[int, int] = {}  # who waits, and for a change of which fields
        self.since: dict[int, tuple[int, int]] = {}  # who waits or has just been let go on: (number, since when)
        self.awake: set[int] = set()  # who has been woken, and still could not go on
        self.numbers = count(-(1 << 60))  # negative: who has waited goes before all others of the same moment
        self.graces: deque[int] = deque()  # for each RCU callback: before when it is not to be called

        cpus = range(len(plan.cpus))
        self.ready: list[dict[int, None]] = [{} for _ in cpus]  # for each CPU: who has something to do there
        self.running: list[int | None] = [None for _ in cpus]
        self.began = [0 for _ in cpus]  # when the running context got its CPU
        self.slice_began = [0 for _ in cpus]  # when its present task came to it
        self.last_task: list[int | None] = [None for _ in cpus]
        self.contended: set[int | None] = set()  # CPUs on which several contexts could run
        self.stale: dict[int, None] = {}  # CPUs that may have something else to execute now
        self.ticks = [Due(self.env, cpu) for cpu in cpus]  # when a time slice is over

        self.watched = 0  # the fields that invariants and gauges look at
        self.heard = 0  # the same, and those that somebody waits for
        self.came: list[Due] = []  # the event that has come; SimPy puts it there
        self._calls: list[Callable[[Any], None]] = [self.came.append]

    # --- what takes time ----------------------------------------------------------------------

    def until_next(self, name: str) -> int | None:
        """The time until the next arrival; 0 if it is overdue, None if there is none."""
        at, before = next(self.traffic[name], None), self.arrived[name]
        if at is None:
            return None
        self.arrived[name] = checked_time(f"an arrival of {name}", at)
        if at < before:
            raise TimeError(f"{name} arrives at {at:,} ns, after what arrived at {before:,} ns. Give times in order.")
        return max(0, at - self.now)

    def rest_of_grace_period(self) -> int:
        """The time until the oldest RCU callback may be called."""
        return max(0, self.graces[0] - self.now)

    # --- a context and its time -----------------------------------------------------------------

    def _place(self, index: int, turn: Turn | None) -> None:
        """A context is about to do something else, or nothing."""
        before = self.turns[index]
        if before is not None and before.cpu is not None and (turn is None or turn.cpu != before.cpu):
            self.ready[before.cpu].pop(index, None)
            self.stale[before.cpu] = None
        self.turns[index], self.pending[index] = turn, None
        if index in self.since:
            del self.since[index]
            self.awake.discard(index)
            if index in self.waiting:  # it is taken from where it waits
                del self.waiting[index]
                self._listen()
        if turn is None or turn.starts:
            self.extra[index] = 0  # what is to come is no time of the context
        if turn is None:
            return
        if turn.paid:
            self._wait(index, turn)
            return
        cost: Any = turn.cost
        noted = 0
        if cost.__class__ is not int:
            cost = noted = cost(self)
            if cost is None:
                return  # never
        if self.extra[index]:
            cost += self.extra[index]
            noted += self.extra[index]
            self.extra[index] = 0
        if noted:
            self.tally.spent[turn.number] += noted
        cpu = turn.cpu
        if cpu is None:
            self._set_timer(index, cost, None)
            return
        self.left[index] = cost
        if self.running[cpu] == index and cpu not in self.contended:
            self._set_timer(index, cost, None)
        else:
            self.ready[cpu][index] = None
            self.stale[cpu] = None

    def _set_timer(self, index: int, delay: int, priority: float | None) -> None:
        event = self.spare[index]
        if event.callbacks is not None:  # it is in the calendar still, for something that did not come to pass
            event = self.spare[index] = Due(self.env, index)
        self.pending[index] = event
        event.callbacks, event.priority = self._calls, priority
        event.due = self.now + delay
        self.fresh.append(event)

    def _wait(self, index: int, turn: Turn) -> None:
        """A context has used its time and must wait; or, the second time, need not any more."""
        self.pending[index] = None
        if turn.cpu is not None:
            if self.running[turn.cpu] == index:
                self._note(turn.cpu)
            if not turn.spins:
                self.ready[turn.cpu].pop(index, None)
                self.stale[turn.cpu] = None
            else:
                self.left[index] = None
                if not self._has_its_cpu(index, turn.cpu):
                    self.ready[turn.cpu][index] = None
                    self.stale[turn.cpu] = None
        if index in self.since:
            self.awake.add(index)
        else:
            self.since[index] = (next(self.numbers), self.now)
        self._look_again(index)

    def _look_again(self, index: int) -> None:
        """Something has changed: can a context that waits go on?"""
        turn = self.turns[index]
        assert turn is not None
        if isinstance(turn.step.outcome(self.state), Blocked):
            self.waiting[index] = turn.step.mask
            self.heard |= turn.step.mask
            return
        if self.waiting.pop(index, None):
            self._listen()
        if turn.spins and turn.cpu is not None:
            self.extra[index] = drawn(self.costs.handover, self.rng)
            if self.running[turn.cpu] == index:
                self._note(turn.cpu)
            pending = self.pending[index]  # it may be on the way to its CPU, which takes a time, too
            left = pending.due - self.now if pending else self.left[index] or 0
            self.left[index], self.pending[index] = left, None
            if self._has_its_cpu(index, turn.cpu):
                self._set_timer(index, left, self._place_in_line(index))
            else:
                self.stale[turn.cpu] = None  # it goes on when it has its CPU
        else:
            # Who was woken in vain stays awake and goes on at once, as the first who waits for a mutex in the kernel.
            wakeup = 0 if index in self.awake else drawn(turn.wakeup, self.rng)
            self._set_timer(index, wakeup, self._place_in_line(index))

    def _place_in_line(self, index: int) -> float | None:
        """Who is first of those who could step at one moment: who has waited longest; all others at random."""
        return self.since[index][0] if index in self.since and self.costs.order == FIFO else None

    def _listen(self) -> None:
        self.heard = reduce(or_, self.waiting.values(), self.watched) if self.waiting else self.watched

    # --- the calendar -----------------------------------------------------------------------------

    def _next(self) -> Due | None:
        """Of what has been set in this step, the event that comes before all others; these go into the calendar."""
        fresh, first, least = self.fresh, None, self.env.peek()
        for event in fresh:
            if event.due <= least:
                first, least = (event if event.due < least else None), event.due
        if first is not None:
            fresh.remove(first)
            first.callbacks = None  # type: ignore[assignment]
        if fresh:
            self._enter()
        return first

    def _enter(self) -> None:
        """Enters what has been set in this step into the calendar."""
        env, now, pending = self.env, self.env.now, self.pending
        for event in self.fresh:
            if pending[event.index] is event:
                env.schedule(event, self._random() if event.priority is None else event.priority, event.due - now)
            else:
                event.callbacks = None  # type: ignore[assignment]  # taken back in the same step
        self.fresh.clear()

    # --- a CPU and who runs there -----------------------------------------------------------------

    def _dispatch_all(self) -> None:
        while self.stale:
            self._dispatch(self.stale.popitem()[0])

    def _dispatch(self, cpu: int) -> None:
        """Gives a CPU to whom the machine lets run there; among several tasks, to whom the scheduler chooses."""
        able = [index for index in self.ready[cpu] if not self._preempted(index)]
        current = self.running[cpu]
        if len(able) > 1:
            self.contended.add(cpu)
            chosen: int | None = self._scheduled(cpu, able)
        else:
            self.contended.discard(cpu)
            chosen = able[0] if able else None
        if chosen != current:
            self._stops(cpu)
            if chosen is not None:
                self._starts(cpu, chosen)
        if chosen is None:
            return
        left = self.left[chosen]
        if left is not None and self.pending[chosen] is None:
            self._set_timer(chosen, left, self._place_in_line(chosen))
        if len(able) > 1 and not self._all_wait(able):
            self._set_tick(cpu)

    def _has_its_cpu(self, index: int, cpu: int) -> bool:
        """Whether it runs there and nobody else could."""
        return self.running[cpu] == index and cpu not in self.contended

    def _preempted(self, index: int) -> bool:
        outcome = self.turns[index].step.outcome(self.state)  # type: ignore[union-attr]
        return isinstance(outcome, Blocked) and outcome.preempted

    def _scheduled(self, cpu: int, able: list[int]) -> int:
        """Which of several tasks runs now: the present one until its time slice is over, then the next one."""
        present, ready = self.last_task[cpu], self.ready[cpu]
        if present in able:
            if self.now - self.slice_began[cpu] < self.costs.slice or self._all_wait(able):
                return present
            del ready[present]
            ready[present] = None  # to the end of the line
            able = [*(index for index in able if index != present), present]
        self.slice_began[cpu] = self.now
        # Not to one that spins, waiting for what the others have yet to do.
        able = [index for index in able if index not in self.waiting] or able
        return able[0] if self.costs.order == FIFO else able[int(self._random() * len(able))]

    def _all_wait(self, indices: list[int]) -> bool:
        """Whether all of them spin, and nobody would get further in a time slice."""
        return all(index in self.waiting for index in indices)

    def _set_tick(self, cpu: int) -> None:
        """When the running task's slice is over, the next one is chosen, in the middle of an operation if need be."""
        over, tick = self.slice_began[cpu] + self.costs.slice, self.ticks[cpu]
        if self.costs.slice and tick.due != over:
            if tick.callbacks is not None:  # in the calendar still, for a task that has gone meanwhile
                tick = self.ticks[cpu] = Due(self.env, cpu)
            tick.due = over
            tick.callbacks = [self._slice_is_over]
            self.env.schedule(tick, self._random(), over - self.env.now)

    def _slice_is_over(self, tick: Any) -> None:
        if self.stop.pressed:
            raise Over(BY_HAND)
        if self.ticks[tick.index] is tick and tick.index in self.contended:
            self.now = tick.due
            self._dispatch(tick.index)
            self._enter()

    def _starts(self, cpu: int, index: int) -> None:
        turn = self.turns[index]
        assert turn is not None
        self.running[cpu], self.began[cpu] = index, self.now
        if turn.is_task and self.last_task[cpu] != index:
            switch = 0 if self.last_task[cpu] is None else drawn(self.costs.switch, self.rng)
            if switch:
                self.left[index] = switch + (self.left[index] or 0)
                self.tally.spent[turn.number] += switch
            self.last_task[cpu], self.slice_began[cpu] = index, self.now + switch

    def _stops(self, cpu: int) -> None:
        """Whoever runs on a CPU no longer does; what is left of its time is kept."""
        index = self.running[cpu]
        if index is None:
            return
        self._note(cpu)
        self.running[cpu] = None
        pending = self.pending[index]
        if pending and index in self.ready[cpu]:
            self.left[index] = pending.due - self.now
            self.pending[index] = None

    def _note(self, cpu: int) -> None:
        """Accounts for the time that the running context has had: it stops, begins to spin, or ends that."""
        index, begin, now = self.running[cpu], self.began[cpu], self.now
        assert index is not None
        if begin < now:
            spinning = self.left[index] is None and index in self.ready[cpu]
            self.tally.busy[cpu, index, spinning] += now - begin
            if len(self.stretches) < STRETCHES:
                self.stretches.append((cpu, index, spinning, begin, now))
            self.began[cpu] = now
