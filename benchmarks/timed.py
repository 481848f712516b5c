"""Simulated time: steps per second, beside SimPy alone.

Two yardsticks. SimPy's own rate of events is that of a loop over ``env.timeout``, the least that anything can take
there. And some of the systems are written once more by hand, with SimPy's processes and resources: a lock or an
interrupt takes several events there, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from statistics import median
from time import process_time
from typing import Any

import simpy

from vmbus_teach import Scenario, gauge, interrupt, simulate, simulate_many, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    SpinLock,
    Traffic,
    atomic_fetch_add,
    ndelay,
    next_arrival,
    raise_irq,
    spin_lock,
    spin_unlock,
    xchg,
)
from vmbus_teach.scenarios import array_lookup, retarget
from vmbus_teach.scenarios.classics import Peterson
from vmbus_teach.timed import Costs, exponential, poisson

from .table import large, table

HEAD = ("system", "steps", "steps/s", "of SimPy's events/s", "SimPy by hand", "events/s", "time, of ours")
MANY = ("many runs", "runs", "steps per run", "runs/s")

#: Simulated nanoseconds.
LONG, SHORT = 3_000_000, 300_000


# --- systems, each as a scenario and (some) by hand ----------------------------------------------------------


class Plain(Scenario):
    """Two tasks that compute, on CPUs of their own."""

    def setup(self):
        for nsecs in (10, 13):
            self.add_thread(self.task, nsecs, name=f"every{nsecs}")

    def task(self, nsecs):
        while True:
            yield ndelay(nsecs)


def plain(env: Any) -> None:
    """The same by hand, and SimPy's own rate."""

    def task(nsecs: int) -> Any:
        while True:
            yield env.timeout(nsecs)

    for nsecs in (10, 13):
        env.process(task(nsecs))


class Contended(Scenario):
    """Two CPUs that want one lock most of the time."""

    cpus = 2

    def setup(self):
        self.lock, self.number = SpinLock(), Cell(0)
        for cpu in range(self.cpus):
            self.add_thread(self.task, cpu=cpu, name=f"task{cpu}")

    def task(self):
        while True:
            yield spin_lock(self.lock)
            number = yield READ_ONCE(self.number)
            yield WRITE_ONCE(self.number, (number + 1) % 8)
            yield spin_unlock(self.lock)
            yield ndelay(30)


def contended(env: Any) -> None:
    """The same by hand."""
    lock, number = simpy.Resource(env), [0]

    def task() -> Any:
        while True:
            yield env.timeout(10)
            request = lock.request()
            waits = not request.triggered
            yield request
            if waits:
                yield env.timeout(50)
            yield env.timeout(10)
            read = number[0]
            yield env.timeout(10)
            number[0] = (read + 1) % 8
            yield env.timeout(10)
            lock.release(request)
            yield env.timeout(30)

    for _ in range(2):
        env.process(task())


class Interrupts(Scenario):
    """Packets come at random, 200,000 per second; each is an interrupt of a CPU that computes."""

    cpus = 1

    def setup(self):
        self.packets, self.ring = Traffic(), Cell(0)

    @thread(host=True)
    def host(self):
        while True:
            yield next_arrival(self.packets)
            before = yield atomic_fetch_add(1, self.ring)
            if before == 0:
                yield raise_irq(self.isr)

    @interrupt(cpu=0)
    def isr(self):
        yield xchg(self.ring, 0)
        yield ndelay(500)

    @thread(cpu=0)
    def work(self):
        while True:
            yield ndelay(1000)

    @gauge
    def waiting(self, s):
        return s[self.ring]


def interrupts(env: Any) -> None:
    """The same by hand: the CPU is a resource that the handler takes away, and the task asks for what is left."""
    cpu, ring, rng = simpy.PreemptiveResource(env), [0], Random(1)
    inside: list[int] = []  # when each packet that waits has come
    stays: list[int] = []

    def host() -> Any:
        at = 0.0
        while True:
            at += rng.expovariate(200_000 / 1e9)
            yield env.timeout(max(0, round(at) - env.now))
            yield env.timeout(20)
            ring[0] += 1
            inside.append(env.now)
            if ring[0] == 1:
                yield env.timeout(200)
                env.process(isr())

    def isr() -> Any:
        yield env.timeout(1000)
        with cpu.request(priority=0) as mine:
            yield mine
            yield env.timeout(320)
            stays.extend(env.now - came for came in inside)
            inside.clear()
            ring[0] = 0
            yield env.timeout(500)

    def work() -> Any:
        left = 1000
        while True:
            with cpu.request(priority=1) as mine:
                try:
                    yield mine
                    while True:
                        begin = env.now
                        yield env.timeout(left)
                        left = 1000
                except simpy.Interrupt:
                    left -= env.now - begin

    env.process(host())
    env.process(work())


Run = Callable[[int], Any]


def systems() -> list[tuple[str, Run, Callable[[Any], None] | None, int]]:
    """What is measured: a title, the simulation for so many nanoseconds, the same by hand, and times how long."""

    def ours(scenario: type[Scenario], **how: Any) -> Run:
        return lambda until: simulate(scenario, until=until, max_steps=10**9, **how)

    packets = {"packets": poisson(200_000)}
    moves = {"packets": poisson(200_000), "moves": poisson(1000)}
    return [
        ("plain steps", ours(Plain), plain, 1),
        ("Peterson's algorithm", ours(Peterson), None, 1),
        ("a contended spin lock", ours(Contended), contended, 2),
        ("interrupts and traffic", ours(Interrupts, traffic=packets), interrupts, 30),
        ("RetargetingGlobalArray", ours(retarget.RetargetingGlobalArray, traffic=moves), None, 30),
        ("ArrayIndex", ours(array_lookup.ArrayIndex, traffic={"messages": poisson(200_000)}), None, 30),
    ]


# --- measuring -------------------------------------------------------------------------------------------------


def by_hand(make: Callable[[Any], None], until: int) -> tuple[int, float]:
    """Runs a system of SimPy processes: its events, and the seconds of the processor."""
    env = simpy.Environment()
    make(env)
    begin = process_time()
    env.run(until=until)
    return next(env._eid), process_time() - begin


def rates(repeats: int, quick: bool) -> str:
    """The table. Each is measured in turn with SimPy's own rate, and what is printed is the median of the ratios."""
    rows = []
    for title, run, hand, longer in systems():
        until = (SHORT if quick else LONG) * longer
        run(until // 100)
        speeds, ratios, theirs, times = [], [], [], []
        for _ in range(repeats):
            events, seconds = by_hand(plain, (SHORT if quick else LONG) // 2)
            begin = process_time()
            made = run(until)
            spent = process_time() - begin
            speeds.append(made.steps / spent)
            ratios.append(speeds[-1] / (events / seconds))
            if hand:
                events, seconds = by_hand(hand, until)
                theirs.append(events / seconds)
                times.append(seconds / spent)
        beside = ("yes", large(round(median(theirs))), f"{median(times):.2f}") if hand else ("", "", "")
        rows.append((title, large(made.steps), large(round(median(speeds))), f"{median(ratios):.2f}", *beside))
    return table(HEAD, rows)


def many(quick: bool) -> str:
    """How many runs of a scenario there are in a second, one after the other."""
    rows = []
    longer = Costs({"host_retargets.WRITE_ONCE": exponential(20_000)})
    cases = {"PerCpuLists": partial(simulate_many, retarget.PerCpuLists), "Peterson": partial(simulate_many, Peterson)}
    cases["PerCpuLists, drawn costs"] = partial(simulate_many, retarget.PerCpuLists, costs=longer)
    for title, make in cases.items():
        make(seeds=5, executor=False, max_steps=1000)
        begin = process_time()
        runs = make(seeds=100 if quick else 3000, executor=False, max_steps=1000)
        spent = process_time() - begin
        steps = runs.mean(lambda run: run.steps).value
        rows.append((title, large(len(runs)), f"{steps:.0f}", large(round(len(runs) / spent))))
    return table(MANY, rows)
