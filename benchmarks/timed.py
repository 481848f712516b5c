"""Simulated time: steps per second, beside SimPy alone.

Each system is written once more by hand, with SimPy's processes and resources: the same operations take the same times.
"speed" is the time that SimPy alone needs for a system, divided by ours: at 1 we are as fast, at 0.5 half as fast.

A step is no event of SimPy's: a lock that is waited for, or an interrupt, is one step or two here and several events
there. So the rates of both stand in the table, but they cannot be divided by each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

HEAD = ("system", "steps", "steps/s", "events by hand", "events/s by hand", "speed")
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
    """The same by hand: the least that SimPy can have to do for an event."""

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


def arrivals(env: Any, rng: Random, per_second: int) -> Iterator[Any]:
    """For SimPy: what to wait for, until the next one arrives."""
    at = 0.0
    while True:
        at += rng.expovariate(per_second / 1e9)
        yield env.timeout(max(0, round(at) - env.now))


def interrupts(env: Any) -> None:
    """The same by hand: the CPU is a resource that the handler takes away, and the task asks for what is left."""
    cpu, ring, rng = simpy.PreemptiveResource(env), [0], Random(1)
    inside: list[int] = []  # when each packet that waits has come
    stays: list[int] = []

    def host() -> Any:
        for arrival in arrivals(env, rng, 200_000):
            yield arrival
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


def peterson(env: Any) -> None:
    """Peterson's algorithm by hand; each access takes 10 ns, each change of the counter 20."""
    wants, turn, inside = [False, False], [0], [0]

    def worker(me: int) -> Any:
        while True:
            yield env.timeout(10)
            wants[me] = True
            yield env.timeout(10)
            turn[0] = 1 - me
            while True:
                yield env.timeout(10)
                if not wants[1 - me]:
                    break
                yield env.timeout(10)
                if turn[0] == me:
                    break
            yield env.timeout(20)
            inside[0] += 1
            assert inside[0] <= 1
            yield env.timeout(20)
            inside[0] -= 1
            yield env.timeout(10)
            wants[me] = False

    for me in (0, 1):
        env.process(worker(me))


def retargeting(env: Any) -> None:
    """RetargetingGlobalArray by hand: packets and moves arrive, each CPU is a resource that its handler takes."""
    rng, cpus = Random(1), [simpy.Resource(env) for _ in range(2)]
    ring, flags, target, channel = [0], [0, 0], [0], [True]
    pending = [False, False]
    asked = simpy.Store(env)

    def host_sends() -> Any:
        for arrival in arrivals(env, rng, 200_000):
            yield arrival
            yield env.timeout(20)
            before, ring[0] = ring[0], 1
            if before == 0:
                yield env.timeout(10)
                cpu = target[0]
                yield env.timeout(20)
                was, flags[cpu] = flags[cpu], 1
                if not was:
                    yield env.timeout(200)
                    if not pending[cpu]:
                        pending[cpu] = True
                        env.process(vmbus_isr(cpu))

    def vmbus_isr(cpu: int) -> Any:
        yield env.timeout(1000)
        with cpus[cpu].request() as mine:
            yield mine
            pending[cpu] = False
            yield env.timeout(320)
            was, flags[cpu] = flags[cpu], 0
            if was:
                yield env.timeout(10)
                if channel[0]:
                    yield env.timeout(20)
                    ring[0] = 0

    def host_retargets() -> Any:
        while True:
            yield asked.get()
            yield env.timeout(30)
            yield env.timeout(10)
            target[0] = 1 - target[0]

    def target_cpu_store() -> Any:
        for arrival in arrivals(env, rng, 1000):
            yield arrival
            for _ in range(3):
                yield env.timeout(10)
            yield asked.put(1)
            for _ in range(2):
                yield env.timeout(10)

    for program in (host_sends, host_retargets, target_cpu_store):
        env.process(program())


def array_index(env: Any) -> None:
    """ArrayIndex by hand, with one channel for each of two CPUs."""
    rng, cpus = Random(1), [simpy.Resource(env) for _ in range(2)]
    rings, flags, pending = [0, 0], [0, 0], [False, False]
    channels = {1: 1, 2: 2}
    inside: list[list[int]] = [[], []]  # when each message that waits has come
    stays: list[int] = []

    def host_sends() -> Any:
        for arrival in arrivals(env, rng, 200_000):
            yield arrival
            yield env.timeout(10)
            cpu = int(rng.random() * 2)
            yield env.timeout(20)
            before, rings[cpu] = rings[cpu], 1
            if before == 0:
                inside[cpu].append(env.now)
                yield env.timeout(20)
                flags[cpu] = 1
                yield env.timeout(200)
                if not pending[cpu]:
                    pending[cpu] = True
                    env.process(vmbus_isr(cpu))

    def vmbus_isr(cpu: int) -> Any:
        yield env.timeout(1000)
        with cpus[cpu].request() as mine:
            yield mine
            pending[cpu] = False
            yield env.timeout(310)
            while flags[cpu]:
                yield env.timeout(20)
                flags[cpu] = 0
                yield env.timeout(10)  # rcu_read_lock
                yield env.timeout(10)
                assert channels[1 + cpu] == 1 + cpu
                yield env.timeout(20)
                rings[cpu] = 0
                stays.extend(env.now - came for came in inside[cpu])
                inside[cpu].clear()
                yield env.timeout(0)  # what the message asks for
                yield env.timeout(10)  # rcu_read_unlock
                yield env.timeout(10)

    env.process(host_sends())


Run = Callable[[int], Any]


def systems() -> list[tuple[str, Run, Callable[[Any], None], int]]:
    """What is measured: a title, the simulation for so many nanoseconds, the same by hand, and times how long."""

    def ours(scenario: type[Scenario], **how: Any) -> Run:
        return lambda until: simulate(scenario, until=until, max_steps=10**9, **how)

    packets = {"packets": poisson(200_000)}
    moves = {"packets": poisson(200_000), "moves": poisson(1000)}
    return [
        ("plain steps", ours(Plain), plain, 1),
        ("Peterson's algorithm", ours(Peterson), peterson, 1),
        ("a contended spin lock", ours(Contended), contended, 2),
        ("interrupts and traffic", ours(Interrupts, traffic=packets), interrupts, 30),
        ("RetargetingGlobalArray", ours(retarget.RetargetingGlobalArray, traffic=moves), retargeting, 30),
        ("ArrayIndex", ours(array_lookup.ArrayIndex, traffic={"messages": poisson(200_000)}), array_index, 30),
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
    """The table. Each is measured in turn with the same by hand, and what is printed is the median."""
    rows = []
    for title, run, hand, longer in systems():
        until = (SHORT if quick else LONG) * longer
        run(until // 100)
        speeds, theirs, ratios = [], [], []
        for _ in range(repeats):
            begin = process_time()
            made = run(until)
            spent = process_time() - begin
            events, seconds = by_hand(hand, until)
            speeds.append(made.steps / spent)
            theirs.append(events / seconds)
            ratios.append(seconds / spent)
        numbers = (made.steps, round(median(speeds)), events, round(median(theirs)))
        rows.append((title, *map(large, numbers), f"{median(ratios):.2f}"))
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
