"""One run in time: SimPy's clock and calendar, the machine's moves.

Each context takes the time of its operation; when that is over, the operation takes effect, by a move of the same
machine that a search goes through. So whatever happens here is one of the schedules that a search knows, and the
same words replay it. A context whose CPU is taken away (by an interrupt, by another task) keeps what is left of its
time. One that has to wait, waits until something that its step reads has changed.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any, NamedTuple

import simpy

from ..choices import failures_of
from ..outcome import Blocked, Fault, Move
from ..search import StopButton
from .costs import FIFO, drawn
from .plan import Effect, Plan, Turn
from .tally import Tally

REPORT_EVERY = 10_000

#: How many of these are kept.
STRETCHES = 100_000

A_FAILURE = "a failure"


class Moment(NamedTuple):
    """How far a run has come; handed to ``progress`` every 10,000 steps."""

    time: int  # simulated, in nanoseconds
    steps: int
    until: int | None  # the time at which the run is to end

    def __str__(self) -> str:
        of = f" of {self.until:,}" if self.until else ""
        return f"{self.time:,}{of} ns, {self.steps:,} steps"


class Kept(NamedTuple):
    """A time in which a CPU was given to one context, without a break; for the picture of a run."""

    cpu: int  # its number in the plan
    who: int  # the index of the context
    begin: int
    end: int
    spinning: bool


class _Over(Exception):
    """The run ends here; the text says why."""


class _Due(simpy.Event):
    """The moment at which the time of a context's operation is over."""

    def __init__(self, env: simpy.Environment, index: int) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        self.callbacks = None  # type: ignore[assignment]  # as after it has come
        self.index = index


class Drive:
    """A run that is going on: ``go`` lets it, the other attributes are what it has come to."""

    def __init__(
        self,
        plan: Plan,
        seed: int,
        until: int | None,
        max_steps: int,
        progress: Callable[[Moment], object] | None,
        stop: StopButton,
    ) -> None:
        self.plan, self.costs, self.machine = plan, plan.costs, plan.machine
        self.until, self.max_steps, self.progress, self.stop = until, max_steps, progress, stop
        self.env: Any = simpy.Environment()  # Any: SimPy's time may be a float, and ours is always an int
        # A stream for each purpose, so that another cost model meets the same traffic.
        self.rng = Random(f"{seed}/costs")
        self._random = Random(f"{seed}/order").random
        self.traffic = {name: p.arrivals(Random(f"{seed}/traffic/{name}")) for name, p in plan.traffic.items()}

        self.state = plan.machine.initial
        self.path: list[Effect] = []
        self.times = array("q")
        self.fault: Fault | None = None
        self.reason = ""
        self.tally = Tally()
        self.stretches: list[Kept] = []

        contexts = len(plan.machine.contexts)
        self.turns: list[Turn | None] = [None] * contexts
        self.pending: list[_Due | None] = [None] * contexts
        self.spare = [_Due(self.env, index) for index in range(contexts)]  # an event is used again once it has come
        self.due = [0] * contexts  # the time at which the pending event comes
        self.left: list[int | None] = [0] * contexts  # of its operation's time, when it last had no CPU; None: it spins
        self.extra = [0] * contexts  # to be added to its next operation
        self.waiting: dict[int, int] = {}  # who waits, and for a change of which fields
        self.since: dict[int, tuple[int, int]] = {}  # who waits or has just been let go on: (number, since when)
        self.numbers = count(-(1 << 60))  # negative: who has waited goes before all others of the same moment
        cpus = range(len(plan.cpus))
        self.ready: list[dict[int, None]] = [{} for _ in cpus]  # for each CPU: who has something to do there
        self.running: list[int | None] = [None for _ in cpus]
        self.began = [0 for _ in cpus]  # when the running context got its CPU
        self.slice_began = [0 for _ in cpus]  # when its present task came to it
        self.last_task: list[int | None] = [None for _ in cpus]
        self.contended: set[int | None] = set()  # CPUs on which several contexts could run
        self.stale: dict[int, None] = {}  # CPUs that may have something else to execute now
        self.graces: deque[int] = deque()  # for each RCU callback: before when it is not to be called
        self.watched = 0  # the fields that invariants and gauges look at
        self._calls: list[Callable[[Any], None]] = [self._step]
        self._next_report = min(REPORT_EVERY, max_steps)
        self._last_report = -1

    # --- the run ----------------------------------------------------------------------------

    def go(self) -> None:
        """Lets time pass until the end; ``reason`` says what ended the run."""
        try:
            self._look(-1)
            for index in range(len(self.turns)):
                self._place(index, self.plan.turn(self.state, index))
            self._dispatch_all()
            self.env.run(until=self.until)
            self.reason = "the time is over"
        except _Over as over:
            self.reason = str(over)
        if self.fault is None and not any(self.pending):
            self._nothing_comes()
        self._settle()

    def _step(self, event: Any) -> None:
        """A context's time is over, and its operation takes effect. (The inner loop of a run.)"""
        index = event.index
        if self.pending[index] is not event:
            return  # its CPU was taken away meanwhile
        turn: Any = self.turns[index]
        state = self.state
        effect = turn.effects.get(state & turn.mask) if turn.mask is turn.step.mask else None
        if effect is None:
            effect = self._effect(index, turn)
            if effect is None:
                return
        now = self.due[index]
        self.path.append(effect)
        self.times.append(now)
        self.state = state + effect.delta
        changed = effect.changed
        if changed & self.watched or effect.move.fault:
            self._look(changed, effect.move.fault)
        if effect.reaches_out:
            self._reach_out(index, effect)
        following: Any = effect.next  # Any: it is not None where the context goes on
        if effect.goes_on and following.cpu not in self.contended and index not in self.since:
            self.turns[index] = following
            cost = following.cost
            if cost.__class__ is not int:
                cost = cost(self)
                self.tally.spent[following.number] += cost
            self.due[index] = now + cost
            event.callbacks = self._calls  # SimPy has taken them off; the event can be used once more
            self.env.schedule(event, self._random(), cost)
        else:
            if turn.starts:
                self.extra[index] += drawn(turn.entry, self.rng)
            self._place(index, following)
        if self.stale:
            self._dispatch_all()
        if self.waiting:
            for other in [other for other, mask in self.waiting.items() if mask & changed]:
                self._look_again(other)
            if self.stale:
                self._dispatch_all()
        if len(self.path) >= self._next_report:
            self._report()

    def _effect(self, index: int, turn: Turn) -> Effect | None:
        """What comes of a context's step; None if it has to wait."""
        state, step = self.state, turn.step
        outcome = step.outcome(state)
        if isinstance(outcome, Blocked):
            self._wait(index, turn)
            self._dispatch_all()
            return None
        effect = self.plan.effect(self._choose(turn, outcome), state)
        if turn.mask is not step.mask:
            turn.effects.clear()
            turn.mask = step.mask
        if len(outcome) == 1:
            turn.effects[state & turn.mask] = effect
        return effect

    def _choose(self, turn: Turn, moves: tuple[Move, ...]) -> Move:
        """What the scenario leaves open is left to chance; an order in which things are done is that of asking."""
        if len(moves) == 1 or (self.costs.order == FIFO and not turn.operation.chooses):
            return moves[0]
        return moves[int(self._random() * len(moves))]

    def _reach_out(self, index: int, effect: Effect) -> None:
        """A step that concerns others, too: it starts, wakes or stops somebody, or a lock changes hands."""
        if effect.locks:
            self._note_locks(index, effect)
        if effect.callbacks:
            self._note_callbacks(effect.callbacks)
        for other, its_turn in effect.others:
            self._place(other, its_turn)
        for cpu in effect.cpus:
            self.stale[cpu] = None

    def _note_locks(self, index: int, effect: Effect) -> None:
        """Locks have changed hands."""
        now = self.env.now
        waited = now - self.since[index][1] if index in self.since else None
        for lock, taken in effect.locks:
            if taken:
                self.tally.locks[lock].take(now, waited)
            else:
                self.tally.locks[lock].release(now)

    def _note_callbacks(self, more: int) -> None:
        """RCU callbacks have come, or (negative) gone, the oldest first."""
        self.graces.extend(self.env.now + drawn(self.costs.grace_period, self.rng) for _ in range(more))
        for _ in range(-more):
            self.graces.popleft()

    def _look(self, changed: int, fault: Fault | None = None) -> None:
        """Asks the invariants and reads the gauges that look at what has changed. Raises _Over at a failure."""
        faults = (p.fault(self.state) for p in self.machine.invariants if changed & p.mask or changed == -1)
        self.fault = fault or next(filter(None, faults), None)
        for measure in self.plan.measures:
            if changed & measure.mask or changed == -1:
                for name, level in measure.levels(self.state).items():
                    self.tally.levels[name].set(level, self.env.now)
        for mask in (*(p.mask for p in self.machine.invariants), *(m.mask for m in self.plan.measures)):
            self.watched |= mask
        if self.fault:
            raise _Over(A_FAILURE)

    def _report(self) -> None:
        """Every so many steps: is it time to stop? Raises _Over then."""
        now, steps = self.env.now, len(self.path)
        if steps >= self.max_steps:
            raise _Over(f"stopped after {steps:,} steps, as max_steps says")
        if self.stop.pressed:
            raise _Over("stopped by hand")
        if self.progress and self.progress(Moment(now, steps, self.until)) is False:
            raise _Over("stopped by progress")
        if self.until is not None and now == self._last_report:
            raise _Over(f"time stands still: {REPORT_EVERY:,} steps took none; give some operation in the loop a cost")
        self._last_report = now
        self._next_report = min(steps + REPORT_EVERY, self.max_steps)

    def _nothing_comes(self) -> None:
        """Nobody has anything to do at any time: because all is done, or because something failed?"""
        if any(turn and index not in self.waiting for index, turn in enumerate(self.turns)):
            self.reason = "no more traffic arrives"
            return
        self.reason = "nothing is left to do"
        self.fault = next(iter(failures_of(self.machine, self.state)), None)
        if self.fault:
            self.reason = A_FAILURE

    def _settle(self) -> None:
        """Everything is counted up to the end: of what still goes on, the part that is over."""
        now = self.env.now
        for effect in self.path:
            if effect.turn.cost.__class__ is int:
                self.tally.spent[effect.turn.number] += effect.turn.cost
        for index, turn in enumerate(self.turns):
            if turn is None or turn.paid or index in self.waiting:
                continue
            if self.pending[index] is not None:
                over = now - self.due[index]
            elif turn.cpu is not None and index in self.ready[turn.cpu]:
                over = -(self.left[index] or 0)
            else:
                continue
            self.tally.spent[turn.number] += min(0, over) + (turn.cost if isinstance(turn.cost, int) else 0)
        for cpu in range(len(self.ready)):
            self._stops(cpu)
        for level in self.tally.levels.values():
            level.pass_until(now)

    # --- what takes time ----------------------------------------------------------------------

    def until_next(self, name: str) -> int | None:
        """The time until the next arrival; 0 if it is overdue, None if there is none."""
        at = next(self.traffic[name], None)
        return None if at is None else max(0, at - self.env.now)

    def rest_of_grace_period(self) -> int:
        """The time until the oldest RCU callback may be called."""
        return max(0, self.graces[0] - int(self.env.now))

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
            self.waiting.pop(index, None)
        if turn is None:
            return
        if turn.paid:
            self._wait(index, turn)
            return
        if isinstance(turn.cost, int):
            cost, noted = turn.cost, 0
        else:
            drawn_cost = turn.cost(self)
            if drawn_cost is None:
                return  # never
            cost = noted = drawn_cost
        if self.extra[index]:
            cost += self.extra[index]
            noted += self.extra[index]
            self.extra[index] = 0
        if noted:
            self.tally.spent[turn.number] += noted
        if turn.cpu is None:
            self._set_timer(index, cost, self._random())
            return
        self.left[index] = cost
        if self._has_its_cpu(index, turn.cpu):
            self._set_timer(index, cost, self._random())
        else:
            self.ready[turn.cpu][index] = None
            self.stale[turn.cpu] = None

    def _set_timer(self, index: int, delay: int, priority: float) -> None:
        event = self.spare[index]
        if event.callbacks is not None:  # it is in the calendar still, for something that did not come to pass
            event = self.spare[index] = _Due(self.env, index)
        self.pending[index] = event
        event.callbacks = self._calls
        self.due[index] = self.env.now + delay
        self.env.schedule(event, priority, delay)

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
        if index not in self.since:
            self.since[index] = (next(self.numbers), self.env.now)
        self.waiting[index] = -1
        self._look_again(index)

    def _look_again(self, index: int) -> None:
        """Something has changed: can a context that waits go on?"""
        turn = self.turns[index]
        assert turn is not None
        if isinstance(turn.step.outcome(self.state), Blocked):
            self.waiting[index] = turn.step.mask
            return
        del self.waiting[index]
        if turn.spins and turn.cpu is not None:
            self.extra[index] += drawn(self.costs.handover, self.rng)
            if self.running[turn.cpu] == index:
                self._note(turn.cpu)
            self.left[index], self.pending[index] = 0, None
            if self._has_its_cpu(index, turn.cpu):
                self._set_timer(index, 0, self._place_in_line(index))
            else:
                self.stale[turn.cpu] = None  # it goes on when it has its CPU
        else:
            self._set_timer(index, drawn(turn.wakeup, self.rng), self._place_in_line(index))

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
            chosen = self._scheduled(cpu, able, current)
        else:
            self.contended.discard(cpu)
            chosen = able[0] if able else None
        if chosen != current:
            self._stops(cpu)
            if current in able:  # another task's turn: this one to the end
                del self.ready[cpu][current]
                self.ready[cpu][current] = None
        if chosen is None:
            return
        if chosen != current:
            self._starts(cpu, chosen)
        if self.pending[chosen] is None:
            left = self.left[chosen]
            if left is None and len(able) > 1:
                left = max(0, self.costs.slice - (self.env.now - self.slice_began[cpu]))  # so long it may spin
            if left is not None:
                self._set_timer(chosen, left, self._place_in_line(chosen))

    def _has_its_cpu(self, index: int, cpu: int) -> bool:
        """Whether it runs there and nobody else could."""
        return self.running[cpu] == index and cpu not in self.contended

    def _place_in_line(self, index: int) -> float:
        """Who is first of those who could step at one moment: who has waited longest; all others at random."""
        if index in self.since and self.costs.order == FIFO:
            return self.since[index][0]
        return self._random()

    def _preempted(self, index: int) -> bool:
        outcome = self.turns[index].step.outcome(self.state)  # type: ignore[union-attr]
        return isinstance(outcome, Blocked) and outcome.preempted

    def _scheduled(self, cpu: int, able: list[int], current: int | None) -> int | None:
        """Which of several tasks runs now: the present one until its time slice is over, then the next one."""
        if current in able and self.env.now - self.slice_began[cpu] < self.costs.slice:
            return current
        if self.costs.order != FIFO:
            return able[int(self._random() * len(able))]
        return next(index for index in able if index != current)

    def _starts(self, cpu: int, index: int) -> None:
        turn = self.turns[index]
        assert turn is not None
        self.running[cpu], self.began[cpu] = index, self.env.now
        if turn.is_task and self.last_task[cpu] != index:
            if self.last_task[cpu] is not None:
                switch = drawn(self.costs.switch, self.rng)
                self.left[index] = switch + (self.left[index] or 0)
                self.tally.spent[turn.number] += switch
            self.last_task[cpu], self.slice_began[cpu] = index, self.env.now

    def _stops(self, cpu: int) -> None:
        """Whoever runs on a CPU no longer does; what is left of its time is kept."""
        index = self.running[cpu]
        if index is None:
            return
        self._note(cpu)
        self.running[cpu] = None
        if index in self.ready[cpu] and self.pending[index] is not None:
            if self.left[index] is not None:
                self.left[index] = self.due[index] - self.env.now
            self.pending[index] = None

    def _note(self, cpu: int) -> None:
        """Accounts for the time that the running context has had: it stops, begins to spin, or ends that."""
        index, begin, now = self.running[cpu], self.began[cpu], self.env.now
        assert index is not None
        spinning = index in self.ready[cpu] and self.left[index] is None
        if spinning:
            self.tally.spun[cpu] += now - begin
        if begin < now and len(self.stretches) < STRETCHES:
            self.stretches.append(Kept(cpu, index, begin, now, spinning))
        self.began[cpu] = now
