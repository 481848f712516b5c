"""One run in time: SimPy's clock and calendar, the machine's moves.

Each context takes the time of its operation; when that is over, the operation takes effect, by a move of the same
machine that a search goes through. So whatever happens here is one of the schedules that a search knows, and the
same words replay it. ``_run`` is what happens when a time is over; who then has a CPU, and for how long, is decided in
``cpus.py``.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, NamedTuple

import simpy

from ..choices import failures_of
from ..kernel.time import next_arrival
from ..outcome import Blocked, Fault
from ..stop import BY_HAND, StopButton, why_stopped
from .costs import FIFO, drawn
from .cpus import Cpus, Due, Over
from .plan import Effect, Plan, Turn

REPORT_EVERY = 10_000

A_FAILURE = "a failure"

#: The priority of the end of time among what comes at one moment.
BEFORE_ALL = float("-inf")

#: A mask of all fields of a state.
EVERYTHING = -1


class Moment(NamedTuple):
    """How far a run has come; handed to ``progress`` every 10,000 steps."""

    time: int  # simulated, in nanoseconds
    steps: int
    until: int | None  # the time at which the run is to end

    def __str__(self) -> str:
        of = f" of {self.until:,}" if self.until else ""
        return f"{self.time:,}{of} ns, {self.steps:,} steps"


class Drive(Cpus):
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
        super().__init__(plan, seed, stop)
        self.until, self.max_steps, self.progress = until, max_steps, progress
        self.path: list[Effect] = []
        self.times = array("q")
        self.fault: Fault | None = None
        self.reason = ""
        self._next_report = min(REPORT_EVERY, max_steps)
        self._last_report = -1

    # --- the run ----------------------------------------------------------------------------

    def go(self) -> None:
        """Lets time pass until the end; ``reason`` says what ended the run."""
        try:
            self._look(EVERYTHING)
            for index in range(len(self.turns)):
                self._place(index, self.plan.turn(self.state, index))
            self._dispatch_all()
            if self.until is not None:
                end = Due(self.env, -1)
                end.callbacks = [self._end]
                self.env.schedule(end, BEFORE_ALL, self.until)
            try:
                self._run()
            except simpy.core.EmptySchedule:
                self._end()
            except OverflowError:
                raise Over("stopped after 292 years, when the clock ends") from None
        except Over as over:
            self.reason = str(over)
        self._settle()

    def _run(self) -> None:
        """Times are over, one after the other, and operations take effect. (The inner loop of a run.)"""
        path, times, turns, pending = self.path, self.times, self.turns, self.pending
        came, pass_time, peek, schedule = self.came, self.env.step, self.env.peek, self.env.schedule
        event: Any = self._next()
        clock = 0
        while True:
            if event is None:
                while not came:
                    pass_time()
                event = came.pop()
                clock = event.due
            index, now = event.index, event.due
            if pending[index] is not event:
                event = None  # its CPU was taken away meanwhile
                continue
            self.now = now
            turn: Any = turns[index]
            state = self.state
            effect = turn.effects.get(state & turn.mask) or self._effect(index, turn)
            if effect is None:
                event = self._next()
                continue
            times.append(now)
            path.append(effect)
            self.state = state + effect.delta
            quiet = effect.quiet and turn.cpu not in self.contended
            if quiet and (effect.plain or self._keeps_cpu(index, turn, effect)):
                turn = turns[index] = effect.next
                cost = turn.cost
                if cost.__class__ is not int:
                    cost = cost(self)
                    self.tally.spent[turn.number] += cost
                if index in self.since:
                    cost += self._has_waited(index, turn)
                event.due = due = now + cost
                told = effect.changed & self.heard
                if told and self.waiting:  # somebody may be let go on, and come before this
                    event.callbacks, event.priority = self._calls, None
                    self.fresh.append(event)
                    self._tell(index, effect)
                    event = self._next()
                else:
                    if told:
                        self._look(effect.changed)
                    if due >= peek():  # else nothing comes before, and that needs no entry in the calendar
                        event.callbacks = self._calls
                        schedule(event, self._random(), due - clock)
                        event = None
            else:
                self._carry_on(index, turn, effect)
                event = self._next() if self.fresh else None
            if len(path) >= self._next_report:
                self._report()

    def _keeps_cpu(self, index: int, turn: Turn, effect: Effect) -> bool:
        """Whether nobody else wants the CPU that a quiet step may have opened to others; locks are noted."""
        if effect.opens and turn.cpu is not None and len(self.ready[turn.cpu]) > 1:
            return False
        self._note_locks(index, effect)
        return True

    def _has_waited(self, index: int, turn: Turn) -> int:
        """A context goes on after it had to wait; the time that this adds to its next operation."""
        del self.since[index]
        self.awake.discard(index)
        extra, self.extra[index] = self.extra[index], 0
        if extra:
            self.tally.spent[turn.number] += extra
        return extra

    def _effect(self, index: int, turn: Turn) -> Effect | None:
        """What comes of a context's step; None if it has to wait."""
        state, step = self.state, turn.step
        outcome = step.outcome(state)
        if isinstance(outcome, Blocked):
            self._wait(index, turn)
            self._dispatch_all()
            return None
        effects = [self.plan.effect(move, state) for move in outcome]
        if len(effects) > 1:
            return self._choice(turn, effects)
        if turn.mask is not step.mask:
            turn.effects.clear()
            turn.mask = step.mask
        turn.effects[state & turn.mask] = effects[0]
        return effects[0]

    def _choice(self, turn: Turn, effects: list[Effect]) -> Effect:
        """What the scenario leaves open is left to chance; an order in which things are done is that of asking."""
        if self.costs.order == FIFO and not turn.operation.chooses:
            return effects[0]
        possible = [e for e in effects if e.called is None or self.graces[e.called] <= self.now]
        return possible[int(self._random() * len(possible))]

    def _carry_on(self, index: int, turn: Turn, effect: Effect) -> None:
        """A step that concerns others, too, has been taken: it starts, wakes or stops somebody."""
        if effect.fault:
            self._look(effect.changed, effect.fault)
        if effect.locks:
            self._note_locks(index, effect)
        if effect.deferred:
            grace = self.now + drawn(self.costs.grace_period, self.rng)
            self.graces.append(max([grace, *self.graces]))  # they end in order
        if effect.called is not None:
            del self.graces[effect.called]
        for other, its_turn in effect.others:
            self._place(other, its_turn)
        for cpu in effect.cpus:
            self.stale[cpu] = None
        if effect.opens and turn.cpu is not None:
            self.stale[turn.cpu] = None
        if turn.starts:
            self.extra[index] = drawn(turn.entry, self.rng)
        self._place(index, effect.next)
        if self.stale:
            self._dispatch_all()
        if effect.changed & self.heard:
            self._tell(index, effect)

    def _tell(self, index: int, effect: Effect) -> None:
        """Something has changed that others look at, or wait for."""
        changed = effect.changed
        if changed & self.watched:
            self._look(changed)
        if self.waiting:
            for other in [other for other, mask in self.waiting.items() if mask & changed and other != index]:
                self._look_again(other)
            if self.stale:
                self._dispatch_all()

    def _note_locks(self, index: int, effect: Effect) -> None:
        """Locks have changed hands."""
        waited = self.now - self.since[index][1] if index in self.since else None
        for lock, taken in effect.locks:
            if taken:
                self.tally.locks[lock].take(self.now, waited)
            else:
                self.tally.locks[lock].release(self.now)

    def _look(self, changed: int, fault: Fault | None = None) -> None:
        """Asks the invariants and reads the gauges that look at what has changed. Raises Over at a failure."""
        state = self.state
        for prop in self.machine.invariants:
            if changed & prop.mask or changed == EVERYTHING:
                fault = fault or prop.answer(state)
                if prop.mask & ~self.watched:
                    self._watch(prop.mask)
        for measure in self.plan.measures:
            if changed & measure.mask or changed == EVERYTHING:
                levels = measure.answer(state)
                if self.tally.last.get(measure.name) is not levels:
                    self.tally.measure(measure.name, levels, self.now)
                if measure.mask & ~self.watched:
                    self._watch(measure.mask)
        if fault:
            self.fault = fault
            raise Over(A_FAILURE)

    def _watch(self, mask: int) -> None:
        """Steps that change any of these fields are to be looked at from now on."""
        self.watched |= mask
        self._listen()

    def _report(self) -> None:
        """Every so many steps: is it time to stop? Raises Over then."""
        now, steps = self.now, len(self.path)
        if steps >= self.max_steps:
            raise Over(f"stopped after {steps:,} steps, as max_steps says")
        if self.stop.pressed:
            raise Over(BY_HAND)
        if reason := why_stopped(self.progress, Moment(now, steps, self.until)):
            raise Over(reason)
        if self.until is not None and now == self._last_report:
            raise Over(f"time stands still: {REPORT_EVERY:,} steps took none; give some operation in the loop a cost")
        self._last_report = now
        self._next_report = min(steps + REPORT_EVERY, self.max_steps)

    # --- the end ----------------------------------------------------------------------------

    def _end(self, event: object = None) -> None:
        """The time is over, or nothing comes any more: because all is done, or because something failed?"""
        arrives_never = any(
            turn and isinstance(turn.operation, next_arrival) and index not in self.waiting
            for index, turn in enumerate(self.turns)
        )
        if any(self.pending) or arrives_never:
            self.now = self.until or self.now
            raise Over("the time is over" if any(self.pending) else "no more traffic arrives")
        self.fault = next(iter(failures_of(self.machine, self.state)), None)
        raise Over(A_FAILURE if self.fault else "nothing is left to do")

    def _settle(self) -> None:
        """Everything is counted up to the end: of what still goes on, the part that is over."""
        spent = self.tally.spent
        for effect in self.path:
            if effect.turn.cost.__class__ is int:
                spent[effect.turn.number] += effect.turn.cost
        for index, turn in enumerate(self.turns):
            if turn is None or turn.paid:
                continue
            pending, constant = self.pending[index], turn.cost if isinstance(turn.cost, int) else 0
            left: int | None = 0  # of who waits, or only has to wake up
            if index not in self.since:
                left = pending.due - self.now if pending else self.left[index]
            if pending or index in self.since or (turn.cpu is not None and index in self.ready[turn.cpu]):
                spent[turn.number] += constant - (left or 0)
        for cpu in range(len(self.ready)):
            self._stops(cpu)
        for level in self.tally.levels.values():
            level.pass_until(self.now)
