"""How long things take: numbers, distributions, and a model of what each operation costs.

All times are whole nanoseconds. The default costs are orders of magnitude, chosen for this course and measured
nowhere: what a simulation can show is how things depend on each other, not how fast a machine is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, runtime_checkable

from ..advice import meant
from ..kernel import (
    kfree,
    kzalloc,
    queue_work,
    raise_irq,
    schedule_work,
    smp_call_function_single,
    synchronize_rcu,
    synchronize_srcu,
    tasklet_schedule,
)
from ..kernel.base import ModelError, Operation, show
from ..kernel.memory import ReadModifyWrite
from ..scenario import Scenario
from ..source import functions_reached


class TimeError(ModelError):
    """A simulation was asked for something that it cannot do; the text says what and what to do instead."""


@runtime_checkable
class Distribution(Protocol):
    """A time that differs from one moment to the next."""

    def draw(self, rng: Random) -> int:
        """The next one, in nanoseconds, 0 or more."""


Cost = int | Distribution

#: No time is later, and nothing takes longer: 146 years in ns. Times are kept in 64 bits.
LATEST = 2**62


def check_cost(what: str, cost: Any) -> Cost:
    """``cost``, if it is one. Raises TimeError otherwise."""
    if type(cost) is int and 0 <= cost <= LATEST:
        return cost
    if isinstance(cost, Distribution) and not isinstance(cost, type):
        return cost
    raise TimeError(
        f"{what} is to take {show(cost)}. A time is a whole number of nanoseconds, 0 or more (at most 146 years), or a "
        "distribution such as uniform(100, 200) or exponential(1000)."
    )


@dataclass(frozen=True)
class uniform:
    """Any time from ``least`` to ``most``, each as likely as the others."""

    least: int
    most: int

    def __post_init__(self) -> None:
        check_cost("the least of uniform(...)", self.least)
        check_cost("the most of uniform(...)", self.most)
        if type(self.least) is not int or type(self.most) is not int or self.least > self.most:
            raise TimeError(f"{self}: give two whole numbers, the smaller one first.")

    def draw(self, rng: Random) -> int:
        return self.least + int(rng.random() * (self.most - self.least + 1))


@dataclass(frozen=True)
class exponential:
    """``least``, and on top of it a time that is often short and seldom long; ``mean`` is the mean of both together."""

    mean: int
    least: int = 0

    def __post_init__(self) -> None:
        check_cost("the mean of exponential(...)", self.mean)
        check_cost("the least of exponential(...)", self.least)
        if type(self.mean) is not int or type(self.least) is not int or self.least > self.mean:
            raise TimeError(f"{self}: give whole numbers, and a mean that is not below the least.")

    def draw(self, rng: Random) -> int:
        return self.least + round((self.mean - self.least) * standard_exponential(rng))


def standard_exponential(rng: Random) -> float:
    """A number of the exponential distribution with mean 1.

    By comparing uniform numbers alone, after John von Neumann (1951). The usual way is a logarithm, whose last bit
    differs from one C library to the next: then a seed would not mean the same on every machine.
    """
    whole = 0
    while True:
        first = last = rng.random()
        odd = True  # the length of the falling run that begins with ``first``
        while (next_one := rng.random()) < last:
            last = next_one
            odd = not odd
        if odd:
            return whole + first
        whole += 1


@dataclass(frozen=True)
class mixture:
    """One of several times, each with its weight: ``mixture({100: 99, exponential(50_000): 1})``."""

    weights: Mapping[Cost, float]

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Mapping) or not self.weights or not all(map(_is_weight, self.weights.values())):
            raise TimeError(f"mixture({show(self.weights)}): give times with weights, as in {{100: 99, 5_000: 1}}.")
        for cost in self.weights:
            check_cost("one part of mixture(...)", cost)
        if not sum(self.weights.values()):
            raise TimeError(f"mixture({show(self.weights)}): all weights are 0, so there is nothing to choose.")
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))

    def __hash__(self) -> int:
        return hash(tuple(self.weights.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self.weights),)

    def draw(self, rng: Random) -> int:
        [cost] = rng.choices(tuple(self.weights), tuple(self.weights.values()))
        return drawn(cost, rng)


def _is_weight(weight: Any) -> bool:
    return isinstance(weight, int | float) and 0 <= weight <= 1e100


@dataclass(frozen=True)
class observed:
    """Times that were observed somewhere: any of them, each as likely as the others."""

    times: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.times, Iterable):
            raise TimeError(f"observed({show(self.times)}): give the times, as in observed([100, 120, 900]).")
        object.__setattr__(self, "times", tuple(self.times))
        if not self.times:
            raise TimeError("observed(...) needs at least one time.")
        for time in self.times:
            if type(time) is not int or time < 0:
                raise TimeError(f"one of observed(...) is {show(time)}; give whole numbers of nanoseconds, 0 or more.")

    def draw(self, rng: Random) -> int:
        return self.times[int(rng.random() * len(self.times))]


def drawn(cost: Cost, rng: Random) -> int:
    """A time, drawn if it has to be."""
    return cost if isinstance(cost, int) else checked_time(cost, cost.draw(rng))


def checked_time(what: object, time: Any) -> int:
    """``time``, which ``what`` has given. Raises TimeError if it is none."""
    if type(time) is int and 0 <= time <= LATEST:
        return time
    raise TimeError(
        f"{what} gave {show(time)}. A time is a whole number of nanoseconds, 0 or more (at most 146 years)."
    )


# --- what each operation takes ------------------------------------------------------------------

#: What an operation takes if nothing else is said: the entry of its nearest base class.
OPERATIONS: Mapping[type[Operation], Cost] = MappingProxyType({
    Operation: 10,
    ReadModifyWrite: 20,  # locked instructions
    raise_irq: 200,
    tasklet_schedule: 50,
    smp_call_function_single: 200,
    queue_work: 100,
    schedule_work: 100,
    kzalloc: 100,
    kfree: 50,
    synchronize_srcu: 100_000,  # and until the readers of its domain are gone
})

#: Orders of the contexts that could go on at one moment.
FIFO, RANDOM = "fifo", "random"


@dataclass(frozen=True)
class Costs:
    """What everything takes, in nanoseconds: whole numbers or distributions.

    ``operations`` says what single operations take, more closely than the defaults. Its keys are operations,
    ``{READ_ONCE: 5}``, also for those derived from them; functions in which an operation stands,
    ``{"host_retargets": 20_000}``; or both, ``{"host_retargets.WRITE_ONCE": exponential(20_000)}``. The closest one
    counts.

    ``order`` says who goes first of those who wait for the same thing: "fifo", who has waited longest, or
    "random".
    """

    operations: Mapping[type[Operation] | str, Cost] = field(default_factory=dict)
    interrupt: Cost = 1_000  # from raise_irq until the CPU enters the handler
    entry: Cost = 300  # what the CPU spends to get into a handler and out of it
    call: Cost = 1_500  # from smp_call_function_single until the other CPU executes it
    tasklet: Cost = 200  # from when a tasklet could start until it does
    worker: Cost = 5_000  # until a worker has taken up an item
    message: Cost = 20_000  # until the host has taken a message of the guest
    grace_period: Cost = uniform(5_000_000, 15_000_000)  # of RCU: at least this, and until its readers are gone
    wakeup: Cost = 3_000  # until somebody who sleeps goes on
    handover: Cost = 50  # until somebody who spins has seen that it can go on
    switch: Cost = 1_000  # from one task to another, on one CPU
    slice: int = 3_000_000  # how long a task keeps its CPU while others want it, too
    order: str = FIFO

    #: The fields that are times.
    TIMES: ClassVar[tuple[str, ...]] = (
        "interrupt", "entry", "call", "tasklet", "worker", "message", "grace_period", "wakeup", "handover", "switch",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not isinstance(self.operations, Mapping):
            raise TimeError(f"Costs({show(self.operations)}): give a dict, as in Costs({{READ_ONCE: 5}}).")
        for name, cost in self.operations.items():
            if not isinstance(name, str) and not (isinstance(name, type) and issubclass(name, Operation)):
                raise TimeError(
                    f"Costs({{{show(name)}: ...}}): name an operation (READ_ONCE), a function of the scenario "
                    "('host_sends') or both ('host_sends.READ_ONCE')."
                )
            check_cost(name if isinstance(name, str) else name.__name__, cost)
        for name in self.TIMES:
            check_cost(name, getattr(self, name))
        if type(self.slice) is not int or self.slice < 0:
            raise TimeError(f"slice = {show(self.slice)}; it is a whole number of nanoseconds, 0 or more.")
        if self.order not in (FIFO, RANDOM):
            raise TimeError(f"order = {show(self.order)}; it is 'fifo' or 'random'.")

    @classmethod
    def instant(cls) -> Costs:
        """Nothing takes any time, and who goes first is always left to chance: a random walk through all schedules."""
        return cls(dict.fromkeys(OPERATIONS, 0), **dict.fromkeys(cls.TIMES, 0), slice=0, order=RANDOM)

    def of(self, operation: Operation, functions: tuple[str, ...]) -> Cost:
        """What an operation takes that stands in these functions, outermost first."""
        kinds = [kind for kind in type(operation).__mro__ if issubclass(kind, Operation)]
        for function in reversed(functions):
            for name in (*(f"{function}.{kind.__name__}" for kind in kinds), function):
                if name in self.operations:
                    return self.operations[name]
        costs: dict[Any, Cost] = dict(OPERATIONS)
        costs[synchronize_rcu] = self.grace_period
        costs.update(self.operations)
        return next(costs[kind] for kind in kinds if kind in costs)

    def check(self, scenario: Scenario) -> None:
        """Raises TimeError if a function is named that the scenario does not have, or an unknown operation."""
        names = [name for name in self.operations if isinstance(name, str)]
        if not names:
            return
        functions, kinds = _functions(scenario), _kinds(Operation)
        for name in names:
            function, dot, operation = name.partition(".")
            if function in kinds and function not in functions:
                raise TimeError(f"Costs names {name!r}. An operation is written without quotes: {{{function}: 5}}.")
            _check_name(function, functions, f"the function {function!r}, which {scenario} does not have")
            if dot:
                _check_name(operation, kinds, f"{name!r}, and there is no operation {operation!r}")


def _check_name(name: str, known: set[str], said: str) -> None:
    if name not in known:
        raise TimeError(f"Costs names {said}. {meant(name, sorted(known))}".rstrip())


def _functions(scenario: Scenario) -> set[str]:
    """The names of all functions in which an operation of the scenario could stand."""
    starts = [context.program for context in scenario.cast.contexts if context.program]
    reached = {function.__name__ for start in starts for function in functions_reached(start, scenario)}
    return reached | {name for name in dir(type(scenario)) if not name.startswith("_")}


def _kinds(kind: type) -> set[str]:
    """Its name and those of all that derive from it."""
    return {kind.__name__}.union(*map(_kinds, kind.__subclasses__()))
