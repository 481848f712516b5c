"""What does not change from one run to the next: every step with its price, every move with its consequences.

A machine's moves are known once for all (a number to add to the state). So are their consequences: which contexts have
been woken, which CPUs now execute something else, which locks have changed hands. They are found once per move, by
comparing the state before with the one after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..advice import meant
from ..checkers.properties import Question, View
from ..kernel.base import Operation, Shared, show
from ..kernel.cpu import HARDIRQS, TASKS, Cpu
from ..kernel.interrupts import Interrupt
from ..kernel.locks import Lock
from ..kernel.rcu import rcu
from ..kernel.time import Traffic, ndelay, next_arrival, usleep_range
from ..machine import Machine
from ..outcome import Fault, Move
from ..scenario import Scenario, ScenarioError
from ..step import Step
from .costs import Cost, Costs, Distribution, TimeError, drawn, uniform
from .traffic import Pattern

if TYPE_CHECKING:
    from .cpus import Cpus


@dataclass(slots=True, eq=False)
class Turn:
    """What a context is about to do, and what that takes."""

    number: int  # position among the plan's turns
    index: int  # of the context
    step: Step
    operation: Operation
    cpu: int | None  # the number of the CPU that it keeps busy; None: the host, sleeping, or the start of a context
    cost: int | Callable[[Cpus], int | None]  # ns, or what draws them; None: it never comes
    paid: bool  # it waits, and has taken its time already
    starts: bool  # an interrupt arrives, a tasklet starts, ...
    entry: Cost  # what is added to the first operation of what it starts
    wakeup: Cost  # until it goes on, once it need not wait any more
    spins: bool  # keeps its CPU busy when it has to wait
    is_task: bool  # gets its CPU from the scheduler; a handler or a tasklet just comes
    mask: int = 0  # what the step was known to read when its effects were noted
    effects: dict[int, Effect] = field(default_factory=dict)  # by what it reads, where there is only one move


@dataclass(slots=True, eq=False)
class Effect:
    """What a move comes to."""

    turn: Turn
    move: Move
    word: str  # what a schedule calls it
    delta: int
    changed: int  # a mask of the fields that have another value now
    fault: Fault | None
    next: Turn | None  # of the context itself
    others: tuple[tuple[int, Turn | None], ...]  # contexts that now stand elsewhere
    cpus: tuple[int, ...]  # CPUs that may execute something else now
    locks: tuple[tuple[str, bool], ...]  # taken (True) or released
    raises: tuple[Interrupt, ...]  # also one that is pending already
    deferred: bool  # an RCU callback has been queued
    called: int | None  # which of the RCU callbacks has gone
    opens: bool  # other tasks of its CPU may run now, and so may it
    #: It goes on with its next operation on the same CPU, and others are concerned only if they want that CPU, or if
    #: they wait for a change of what is in ``changed``.
    quiet: bool
    plain: bool  # quiet, and with the CPU and all locks it is as it was


class Measure(Question[dict[str, int]]):
    """A ``@gauge``; the answer is how much there is, by name."""

    def _ask(self, view: View) -> dict[str, int]:
        where = f"the gauge {self.name} of {self.machine.scenario}"
        try:
            found = self.method(view)
        except ScenarioError:
            raise
        except Exception as error:
            raise ScenarioError(f"{where} raises {type(error).__name__}: {error}.") from error
        levels = {self.name: found}
        if isinstance(found, dict):
            levels = {f"{self.name}[{show(which)}]": level for which, level in found.items()}
        for level in levels.values():
            if not isinstance(level, int) or level < 0:
                raise ScenarioError(
                    f"{where} gives {show(found)}. It must return how much there is: a whole number, 0 or more, or a "
                    "dict of such numbers."
                )
        return levels


class Plan:
    """A machine with prices: what all runs of it share. ``traffic`` maps names to patterns.

    Raises TimeError where costs or traffic do not fit the scenario.
    """

    def __init__(
        self, scenario: Scenario, costs: Costs, traffic: Mapping[str, Pattern], width: int | None = None
    ) -> None:
        costs.check(scenario)
        self.scenario = scenario
        self.costs = costs
        self.machine = Machine(scenario, width)
        self.traffic = _checked(scenario, traffic)
        self.turns: list[Turn] = []
        self.effects: dict[int, Effect] = {}  # by the id of the move, which the effect keeps alive
        self.measures = [Measure(self.machine, method) for method in self.machine.cast.gauges]
        self._turn_at: dict[tuple[int, int], Turn] = {}
        self._place_masks = [self.machine.field << shift for shift in self.machine.place_shift]
        self.cpus = [shared for shared in self.machine.shared if isinstance(shared, Cpu)]
        self._cpu_number = {cpu: number for number, cpu in enumerate(self.cpus)}
        self._masks = [*self._place_masks, *map(self._mask, self.machine.shared)]
        self._locks = [shared for shared in self.machine.shared if isinstance(shared, Lock)]

    def turn(self, state: int, index: int) -> Turn | None:
        """What a context is about to do; None if nothing."""
        number = state >> self.machine.place_shift[index] & self.machine.field
        if number == 0:
            return None
        known = self._turn_at.get((index, number))
        if known is None:
            known = self._turn_at[index, number] = self._price(index, self.machine.steps[index][number])
            self.turns.append(known)
        return known

    def effect(self, move: Move, state: int) -> Effect:
        """What a move comes to; ``state`` is the one before it."""
        known = self.effects.get(id(move))
        if known is None:
            known = self.effects[id(move)] = self._follow(move, state)
        return known

    # --- prices -----------------------------------------------------------------------------

    def _price(self, index: int, step: Step) -> Turn:
        position, context = step.position, step.context
        operation, cpu = position.operation, position.cpu or context.cpu
        starts = position.node is None
        guest = context.kind != "host" and cpu is not None
        return Turn(
            number=len(self.turns),
            index=index,
            step=step,
            operation=operation,
            cpu=self._cpu_number[cpu] if cpu and guest and not starts and not operation.frees_the_cpu else None,
            cost=0 if position.phase else _asked(self._cost(step)),
            paid=position.phase > 0,
            starts=starts,
            entry=self.costs.entry if starts and context.kind in HARDIRQS else 0,
            wakeup=self.costs.wakeup if operation.sleeps and guest and not starts else 0,
            spins=guest and not starts and not operation.sleeps,
            is_task=context.kind in TASKS,
        )

    def _cost(self, step: Step) -> Cost | Callable[[Cpus], int | None]:
        position, costs = step.position, self.costs
        operation = position.operation
        if position.node is None:
            kind = step.context.kind
            if kind == "softirq":
                return lambda run: run.rest_of_grace_period()
            return {
                "irq": costs.interrupt, "ipi": costs.call, "tasklet": costs.tasklet, "work": costs.worker,
                "host": costs.message,
            }[kind]  # fmt: skip
        if isinstance(operation, next_arrival):
            name = operation.traffic.name
            if name not in self.traffic:
                raise TimeError(
                    f"{step.context} waits for {name}, and nothing says when it arrives. Write: "
                    f"simulate(..., traffic={{{name!r}: poisson(per_second=1000)}})."
                )
            return lambda run: run.until_next(name)
        if isinstance(operation, ndelay):
            return operation.nsecs
        if isinstance(operation, usleep_range):
            return uniform(operation.least * 1000, operation.most * 1000)
        return costs.of(operation, tuple(place.function for place in position.node.places))

    # --- consequences -----------------------------------------------------------------------

    def _follow(self, move: Move, state: int) -> Effect:
        machine = self.machine
        after = state + move.delta
        me = machine.context_index[move.context]
        before = self.turn(state, me)
        assert before is not None
        changed = sum(mask for mask in self._masks if (state ^ after) & mask)
        others = tuple(
            (index, self.turn(after, index))
            for index, mask in enumerate(self._place_masks)
            if index != me and changed & mask
        )
        following = self.turn(after, me)
        goes_on = following is not None and _follows_at_once(before, following)
        cpus = tuple(
            number
            for number, cpu in enumerate(self.cpus)
            if changed & self._mask(cpu) and not self._keeps(me, cpu, after)
        )
        opens = goes_on and before.cpu in cpus and not machine.value(after, self.cpus[before.cpu])
        if opens:
            cpus = tuple(cpu for cpu in cpus if cpu != before.cpu)
        locks = tuple(
            (repr(lock), machine.value(after, lock) is not None) for lock in self._locks if changed & self._mask(lock)
        )
        deferred, called = self._callbacks(state, after)
        quiet = goes_on and not (others or cpus or deferred or called is not None or move.fault)
        return Effect(
            turn=before,
            move=move,
            word=move.word,
            delta=move.delta,
            changed=changed,
            fault=move.fault,
            next=following,
            others=others,
            cpus=cpus,
            locks=locks,
            raises=tuple(before.operation.raises(View(machine, state))),  # type: ignore[arg-type]
            deferred=deferred,
            called=called,
            opens=opens,
            quiet=quiet,
            plain=quiet and not opens and not locks,
        )

    def _callbacks(self, state: int, after: int) -> tuple[bool, int | None]:
        """Whether an RCU callback has been queued, and which one has gone."""
        old, new = (self.machine.value(at, rcu.callbacks) for at in (state, after))
        if len(old) <= len(new):
            return len(old) < len(new), None
        return False, next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(new))

    def _keeps(self, index: int, cpu: Cpu, state: int) -> bool:
        """Whether nobody but this context can run on the CPU."""
        stack = self.machine.value(state, cpu)
        return bool(stack) and stack[-1].context is self.machine.contexts[index]

    def _mask(self, shared: Shared) -> int:
        return self.machine.field << self.machine.shift[shared]


def _follows_at_once(turn: Turn, following: Turn) -> bool:
    """Whether the CPU (or the host) goes on from one operation to the next, and only time has to pass."""
    if turn.starts or turn.operation.sleeps or following.starts or following.paid:
        return False
    return turn.cpu == following.cpu and not following.operation.frees_the_cpu


def _asked(cost: Cost | Callable[[Cpus], int | None]) -> int | Callable[[Cpus], int | None]:
    """A cost as a run asks for it: a number, or a function that draws one."""
    if isinstance(cost, Distribution):
        return lambda run: drawn(cost, run.rng)
    return cost


def _checked(scenario: Scenario, traffic: Mapping[str, Pattern]) -> dict[str, Pattern]:
    if not isinstance(traffic, Mapping):
        raise TimeError(f"traffic = {show(traffic)}; give a dict: traffic={{'packets': poisson(per_second=1000)}}.")
    names = [shared.name for shared in scenario.cast.shared if isinstance(shared, Traffic)]
    for name, pattern in traffic.items():
        if name not in names:
            has = f"it has {', '.join(names)}" if names else "it has none: no program waits for next_arrival"
            raise TimeError(f"{scenario} has no traffic {show(name)}; {has}. {meant(str(name), names)}".rstrip())
        if not isinstance(pattern, Pattern) or isinstance(pattern, type):
            raise TimeError(
                f"the traffic {name} is to arrive at {show(pattern)}. Give a pattern: poisson(per_second=1000), "
                "periodic(every=1_000_000), bursts(size=10, every=1_000_000) or at_times([0, 500])."
            )
    return dict(traffic)
