"""What simulate is told: costs of every kind, and everything that can be said wrongly or go on for ever."""

import pickle
import re
import signal

import pytest

from vmbus_teach import ProgramError, Scenario, ScenarioError, Session, explore, gauge, simulate, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Traffic,
    atomic_fetch_add,
    atomic_inc,
    atomic_read,
    choose,
    load,
    ndelay,
    next_arrival,
    raise_irq,
    smp_mb,
    smp_rmb,
    spin_lock,
    synchronize_rcu,
    usleep_range,
    xchg,
)
from vmbus_teach.kernel.base import ModelError, Operation
from vmbus_teach.kernel.memory import Load, ReadModifyWrite
from vmbus_teach.timed import (
    Costs,
    Moment,
    TimeError,
    at_times,
    bursts,
    exponential,
    mixture,
    observed,
    periodic,
    poisson,
    uniform,
)

# --- what operations cost --------------------------------------------------------------------------------------


def cost(costs, operation, *functions):
    """What an operation takes that stands in these functions."""
    return costs.of(operation, functions or ("task",))


CELL = Cell(0)
READ, ADD = READ_ONCE(CELL), atomic_fetch_add(1, CELL)


def test_defaults():
    """An ordinary operation takes 10 ns, a locked one 20; synchronize_rcu takes a grace period."""
    costs = Costs(grace_period=5)
    assert (cost(costs, READ), cost(costs, smp_mb()), cost(costs, ADD), cost(costs, xchg(CELL, 1))) == (10, 10, 20, 20)
    assert cost(costs, synchronize_rcu()) == 5


@pytest.mark.parametrize(("operations", "expected"), [
    ({READ_ONCE: 3}, 3),
    ({Load: 4}, 4),
    ({Operation: 5}, 5),
    ({Load: 4, READ_ONCE: 3, Operation: 5}, 3),
    ({load: 4}, 10),
    ({"task": 6, READ_ONCE: 3}, 6),
    ({"task.READ_ONCE": 7, "task": 6}, 7),
    ({"task.Load": 8, "task": 6}, 8),
    ({"task.WRITE_ONCE": 8, READ_ONCE: 3}, 3),
    ({"helper": 9}, 10),
    ({READ_ONCE: uniform(1, 2)}, uniform(1, 2)),
])
def test_the_closest_entry_counts(operations, expected):
    """An operation before what it derives from, its function before both, and before that function and operation."""
    assert cost(Costs(operations), READ) == expected


def test_an_operation_costs_what_it_derives_from_does():
    """atomic_read is a READ_ONCE, smp_rmb an smp_mb; a locked one stays one where all operations are named."""
    assert cost(Costs({READ_ONCE: 3}), atomic_read(CELL)) == 3
    assert cost(Costs({smp_mb: 3}), smp_rmb()) == 3
    assert cost(Costs({Operation: 3}), ADD) == 20
    assert cost(Costs({ReadModifyWrite: 3}), ADD) == 3
    assert cost(Costs({synchronize_rcu: 3}), synchronize_rcu()) == 3


def test_the_innermost_function_counts():
    """Of functions that call each other (``yield from``), the one in which the operation stands comes first."""
    costs = Costs({"outer": 1, "inner": 2})
    assert cost(costs, READ, "outer", "inner") == 2
    assert cost(costs, READ, "outer", "other") == 1
    assert cost(Costs({"outer.READ_ONCE": 1, "inner": 2}), READ, "outer", "inner") == 2


class Helped(Scenario):
    """A task that calls two helpers."""

    def setup(self):
        self.cell = Cell(0)

    @thread()
    def task(self):
        yield from self.helper()
        yield READ_ONCE(self.cell)

    def helper(self):
        yield READ_ONCE(self.cell)
        yield WRITE_ONCE(self.cell, 1)


def test_costs_reach_into_helpers():
    """In a run: 100 for what is in the helper, but 7 for its write, and 10 elsewhere."""
    run = simulate(Helped, costs=Costs({"helper": 100, "helper.WRITE_ONCE": 7}))
    assert list(run.times) == [100, 107, 117]


def test_costs_can_be_sent():
    """A cost model with everything in it is the same after a way through another process."""
    costs = Costs({READ_ONCE: mixture({1: 2, exponential(5): 1}), "task": observed((1, 2))}, wakeup=uniform(1, 2))
    assert pickle.loads(pickle.dumps(costs)) == costs
    assert hash(mixture({1: 2})) == hash(mixture({1: 2}))


# --- what can be said wrongly --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "said"), [
    (lambda: Costs({READ_ONCE: -1}), "READ_ONCE is to take -1. A time is a whole number of nanoseconds, 0 or more"),
    (lambda: Costs({READ_ONCE: 2**63}), "READ_ONCE is to take 9223372036854775808.* .at most 146 years"),
    (lambda: Costs({READ_ONCE: 1.5}), "READ_ONCE is to take 1.5"),
    (lambda: Costs({READ_ONCE: True}), "READ_ONCE is to take True"),
    (lambda: Costs({READ_ONCE: uniform}), "READ_ONCE is to take uniform"),
    (lambda: Costs({READ: 1}), r"name an operation \(READ_ONCE\), a function of the scenario"),
    (lambda: Costs({int: 1}), r"name an operation \(READ_ONCE\), a function"),
    (lambda: Costs(10), r"Costs\(10\): give a dict, as in Costs\(\{READ_ONCE: 5\}\)"),
    (lambda: Costs(wakeup="soon"), "wakeup is to take 'soon'"),
    (lambda: Costs(slice=-1), "slice = -1; it is a whole number"),
    (lambda: Costs(order="lifo"), "order = 'lifo'; it is 'fifo' or 'random'"),
    (lambda: uniform(5, 3), "give two whole numbers, the smaller one first"),
    (lambda: uniform(0.5, 3), "the least of uniform"),
    (lambda: exponential(5, least=6), "a mean that is not below the least"),
    (lambda: exponential(-5), "the mean of exponential"),
    (lambda: mixture({}), "give times with weights"),
    (lambda: mixture({5: 0}), "all weights are 0"),
    (lambda: mixture({5: -1}), "give times with weights"),
    (lambda: mixture({5: "much"}), "give times with weights"),
    (lambda: mixture({5: 10**400}), "give times with weights"),
    (lambda: mixture({"5": 1}), "one part of mixture"),
    (lambda: mixture([1, 2]), "give times with weights"),
    (lambda: observed([]), "at least one time"),
    (lambda: observed([1, -1]), "one of observed"),
    (lambda: observed([uniform(1, 2)]), "one of observed"),
    (lambda: observed(5), r"observed\(5\): give the times"),
    (lambda: poisson(0), r"poisson\(0\): how many arrive per second\? At least"),
    (lambda: poisson(1e-300), r"how many arrive per second\? At least"),
    (lambda: poisson("many"), "how many arrive per second"),
    (lambda: poisson(float("nan")), "how many arrive per second"),
    (lambda: poisson(float("inf")), "how many arrive per second"),
    (lambda: periodic(0), "every = 0; it is a whole number, at least 1"),
    (lambda: periodic(5, first=-1), "first = -1"),
    (lambda: bursts(0, 100), "size = 0"),
    (lambda: at_times([5, 3]), "the times must be in order"),
    (lambda: at_times([0.5]), r"a time of at_times\(\.\.\.\) = 0\.5"),
    (lambda: at_times(5), r"at_times\(5\): give the times"),
    (lambda: usleep_range(5, 3), r"usleep_range\(5, 3\): give the least and the most, in microseconds"),
    (lambda: ndelay(-1), r"ndelay\(-1\): a time is 0 or more"),
])  # fmt: skip
def test_wrong_times_are_told(make, said):
    """What is wrong, and what to write instead."""
    with pytest.raises(ModelError, match=said):
        make()


class Packets(Scenario):
    """Something that arrives."""

    def setup(self):
        self.packets, self.ring = Traffic(), Cell(0)

    @thread(host=True)
    def host_receives(self):
        while True:
            yield next_arrival(self.packets)
            yield WRITE_ONCE(self.ring, 1 - (yield READ_ONCE(self.ring)))


class Strange:
    """A pattern, or a distribution, that gives what is no time."""

    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return "Strange"

    def arrivals(self, rng):
        yield self.value

    def draw(self, rng):
        return self.value


class Backwards:
    """A pattern whose times go back."""

    def arrivals(self, rng):
        yield from (500, 300)


class NoTimes:
    """A pattern that returns a number."""

    def arrivals(self, rng):
        return 5


P = {"packets": poisson(1000)}


@pytest.mark.parametrize(("arguments", "said"), [
    (dict(), r"host_receives waits for packets, .* Write: simulate\(\.\.\., traffic=\{'packets': poisson"),
    (dict(traffic={"packet": poisson(1)}), "has no traffic 'packet'; it has packets. Did you mean packets"),
    (dict(traffic={"packets": 1000}), r"packets is to arrive at 1000\. Give a pattern: poisson"),
    (dict(traffic={"packets": poisson}), "packets is to arrive at poisson"),
    (dict(traffic=poisson(1000)), "give a dict: traffic="),
    (dict(traffic={"packets": Strange(0.5)}), r"an arrival of packets gave 0\.5\. A time is a whole number"),
    (dict(traffic={"packets": Strange(-5)}), r"an arrival of packets gave -5"),
    (dict(traffic=P, costs=Costs({WRITE_ONCE: Strange(-5)})), "Strange gave -5. A time is"),
    (dict(traffic=P, costs=Costs(order="random", operations={"host_recieves": 5})),
     "names the function 'host_recieves', which Packets does not have. Did you mean host_receives"),
    (dict(traffic=P, costs=Costs({"host_receives.READ_ONC": 5})),
     "'host_receives.READ_ONC', and there is no operation 'READ_ONC'. Did you mean READ_ONCE"),
    (dict(traffic=P, costs=Costs({"host_receives.": 5})), "'host_receives.', and there is no operation ''"),
    (dict(traffic=P, costs=Costs({"READ_ONCE": 5})),
     "'READ_ONCE'. An operation is written without quotes: {READ_ONCE: 5}"),
    (dict(traffic=P, costs={READ_ONCE: 5}), r"write costs=Costs\(\{READ_ONCE: 5\}\)"),
    (dict(traffic=P, until=1.5), "until = 1.5; it is a time in whole nanoseconds: 1_000_000 is a millisecond"),
    (dict(traffic=P, until=-1), "until = -1"),
    (dict(traffic=P, until=2**63), "until = 9223372036854775808; .* some 146 years, is the longest"),
    (dict(traffic=P, progress=5), r"progress = 5; give a function, as in progress=print"),
    (dict(traffic={"packets": Backwards()}),
     "packets arrives at 300 ns, after what arrived at 500 ns. Give times in order"),
    (dict(traffic={"packets": NoTimes()}), "arrivals of packets gives 5; it must yield the times"),
    (dict(traffic=P, max_steps=0), "max_steps = 0; it is the number of steps after which to stop"),
    (dict(traffic=P, seed="one"), "seed = 'one'; a seed is a whole number"),
])  # fmt: skip
def test_wrong_arguments_are_told(arguments, said):
    """Each in a sentence that names the likely cause."""
    with pytest.raises(TimeError, match=said):
        simulate(Packets, **{"until": 10_000_000, **arguments})


def test_the_clock_has_an_end():
    """A run that comes to the end of 64 bits ends there, with a reason, and keeps what has been."""
    run = simulate(Packets, traffic={"packets": periodic(1, first=2**62)}, costs=Costs({READ_ONCE: 2**62}))
    assert run.reason == "stopped after 292 years, when the clock ends"
    assert not run.finished
    assert run.steps == len(run.times) == 1


def test_a_scenario_without_traffic_says_so():
    """Traffic for a scenario in which nothing waits for any."""
    with pytest.raises(TimeError, match="it has none: no program waits for next_arrival"):
        simulate(Helped, traffic=P)


@pytest.mark.parametrize("returned", [-1, 0.5, "many", None, {"a": -1}])
def test_a_gauge_that_is_none_is_told(returned):
    """It must say how much there is."""

    class Measured(Helped):
        """With a gauge."""

        @gauge
        def level(self, s):
            return returned

    with pytest.raises(ScenarioError, match=r"the gauge level of Measured gives .* a whole number, 0 or more"):
        simulate(Measured)


def test_a_gauge_that_raises_is_told():
    """With its name and its error."""

    class Measured(Helped):
        """With a gauge."""

        @gauge
        def level(self, s):
            return s[self.cell] // 0

    with pytest.raises(ScenarioError, match="the gauge level of Measured raises ZeroDivisionError"):
        simulate(Measured)


# --- programs that are hostile by accident ------------------------------------------------------------------------


class Hostile(Scenario):
    """A program that does what it must not."""

    def setup(self, program):
        self.cell = Cell(0)
        self.add_thread(getattr(self, program))

    def never_yields(self):
        yield READ_ONCE(self.cell)
        while True:
            pass

    def yields_a_number(self):
        yield READ_ONCE(self.cell)
        yield 5

    def asks(self):
        yield READ_ONCE(self.cell)
        input()

    def exits(self):
        yield READ_ONCE(self.cell)
        exit()

    def sets(self):
        yield READ_ONCE(self.cell)
        self.cell = 5

    def unlocks_a_number(self):
        yield READ_ONCE(self.cell)
        yield spin_lock(5)

    def raises_a_number(self):
        yield READ_ONCE(self.cell)
        yield raise_irq(5)


@pytest.mark.parametrize("program", [name for name in vars(Hostile) if not name.startswith("_") and name != "setup"])
def test_hostile_programs_get_the_sentence_that_explore_gives(program):
    """Word for word, a line number included."""
    with pytest.raises(ModelError) as searched:
        explore(Hostile(program=program))
    with pytest.raises(ModelError) as simulated:
        simulate(Hostile(program=program))
    assert str(simulated.value) == str(searched.value)
    assert type(simulated.value) is type(searched.value)


def test_a_program_that_breaks_is_a_failure_with_its_schedule():
    """An exception of the modelled code is a failure in time as in a search."""

    class Breaks(Helped):
        """Divides by what it reads."""

        def helper(self):
            value = yield READ_ONCE(self.cell)
            yield WRITE_ONCE(self.cell, 1 // value)

    run = simulate(Breaks)
    [searched] = explore(Breaks).failures
    assert (run.failure.kind, run.failure.message) == (searched.kind, searched.message)
    assert run.words == searched.schedule.steps


# --- for ever -----------------------------------------------------------------------------------------------------


class Endless(Scenario):
    """Two tasks turn a bit over, for ever."""

    def setup(self):
        self.bit = Cell(0)

    @thread(copies=2)
    def toggle(self):
        while True:
            yield WRITE_ONCE(self.bit, 1 - (yield READ_ONCE(self.bit)))


class Counting(Scenario):
    """Counts for ever."""

    def setup(self):
        self.count = Cell(0)

    @thread()
    def counter(self):
        while True:
            yield atomic_inc(self.count)


def test_programs_for_ever_are_searched_and_simulated():
    """A search of what repeats is complete; in time it goes on until the time is over, or until max_steps."""
    result = explore(Endless)
    assert result.complete
    assert result.schedules is None
    run = simulate(Endless, until=100_000)
    assert (run.steps, run.reason, run.finished) == (19_998, "the time is over", True)
    run = simulate(Endless, max_steps=500)
    assert (run.steps, run.finished) == (500, False)
    assert run.reason == "stopped after 500 steps, as max_steps says"


def test_what_never_repeats_is_bounded():
    """A counter without end: the search stops at max_states, the run at the end of its time."""
    assert not explore(Counting, max_states=500).complete
    assert simulate(Counting, until=20_000).steps == 999


def test_time_that_stands_still_is_told():
    """Where the operations of a loop cost nothing, no time would ever pass."""
    run = simulate(Endless, until=100, costs=Costs.instant())
    assert run.reason.startswith("time stands still: 10,000 steps took none; give some operation in the loop a cost")
    assert not run.finished
    assert run.time == 0
    assert simulate(Endless, costs=Costs.instant(), max_steps=50_000).steps == 50_000  # without an end of time it may


def test_progress_is_told_and_can_stop_a_run():
    """Every 10,000 steps, with the time; False ends the run, and what has happened until then is kept."""
    told = []

    def progress(moment):
        told.append(moment)
        return len(told) < 3

    run = simulate(Endless, until=10**9, progress=progress)
    assert told == [Moment(n * 50_000, n * 10_000, 10**9) for n in (1, 2, 3)]
    assert str(told[0]) == "50,000 of 1,000,000,000 ns, 10,000 steps"
    assert (run.steps, run.time, run.reason, run.finished) == (30_000, 150_000, "stopped by progress", False)
    assert run.cpus["toggle_0's CPU"].busy == 1
    run = simulate(Endless, until=10**9, progress=lambda moment: moment.nothing)
    assert (run.steps, run.finished) == (10_000, False)
    assert run.reason.startswith("stopped by progress, which breaks: AttributeError: 'Moment' object has no attribute")


def test_the_stop_button_keeps_what_has_happened():
    """An interrupt by hand ends the run like a bound does, and the old handler is put back."""
    before = signal.getsignal(signal.SIGINT)
    run = simulate(Endless, until=10**9, progress=lambda moment: signal.raise_signal(signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is before
    assert run.reason == "stopped by hand"
    assert run.steps == 20_000
    assert run.time == 100_000
    assert run.operations


class Patient(Scenario):
    """Two tasks of one CPU with a hundred thousand years of work each: no step for a very long time."""

    cpus = 1

    def setup(self):
        for n in range(2):
            self.add_thread(self.task, cpu=0, name=f"task{n}")

    def task(self):
        yield ndelay(3 * 10**21)


def test_the_stop_button_works_between_steps():
    """Also where nothing happens but the end of one time slice after the other."""
    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        run = simulate(Patient)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (run.reason, run.steps) == ("stopped by hand", 0)


class FailsLate(Scenario):
    """Two tasks take turns for a while, then an assertion fails."""

    def setup(self, rounds):
        self.cell, self.rounds = Cell(0), rounds

    @thread()
    def task(self):
        for number in range(self.rounds):
            yield WRITE_ONCE(self.cell, number % 3)
        assert self.cell is None, "at last"


@pytest.mark.parametrize("rounds", [100, 101, 300])
def test_a_long_story_is_told_from_near_its_end(rounds):
    """Beyond 100 steps the last 60 are told, and how many are left out; the schedule is named, not printed."""
    failure = simulate(FailsLate(rounds=rounds)).failure
    text = str(failure)
    told = [int(line.split()[0]) for line in text.splitlines() if re.match(r"  +\d+  ", line)]
    if rounds == 100:
        assert told == list(range(1, 101))
        assert f'replay("{failure.schedule}")' in text
    else:
        assert told == list(range(rounds - 59, rounds + 1))
        assert f"(The first {rounds - 60:,} steps are left out.)" in text
        assert text.endswith(f"Session(FailsLate(rounds={rounds})).replay(failure.schedule)")
        session = Session(FailsLate(rounds=rounds))
        session.replay(failure.schedule)
        assert session.failures[0].kind == "assertion"


class Choosing(Scenario):
    """What the model leaves open is left to chance."""

    def setup(self):
        self.log = Cell(0)

    @thread()
    def task(self):
        yield WRITE_ONCE(self.log, (yield choose((1, 2, 3))))

    @gauge
    def chosen(self, s):
        return s[self.log]


@pytest.mark.parametrize("order", ["fifo", "random"])
def test_choices_have_equal_chances(order):
    """Whatever the order of those who wait: each of three about a third of the time."""
    chosen = [simulate(Choosing, seed=seed, costs=Costs(order=order)).gauges["chosen"].last for seed in range(300)]
    assert [chosen.count(n) for n in (1, 2, 3)] == pytest.approx([100] * 3, abs=30)


# --- what is told -------------------------------------------------------------------------------------------------


def test_a_run_is_told():
    """The text of a run names the scenario, the seed, the time, and each thing that was measured."""
    text = str(simulate(Packets, until=10_000_000, traffic=P, seed=4))
    assert re.match(r"Packets, seed 4: 10 ms in \d+ steps; the time is over", text)
    text = str(simulate(Endless, until=1000))
    assert "toggle_0's CPU: 100.0% busy (tasks 100.0%)" in text


def test_wrong_percentiles_are_told():
    """Between 0 and 100."""
    latency = simulate(Choosing).gauges["chosen"].latency
    with pytest.raises(ValueError, match=r"percentile\(101\): give a percentage from 0 to 100"):
        latency.percentile(101)


def test_programs_are_no_place_for_simulation():
    """What no scenario is, is refused as explore refuses it."""
    with pytest.raises(ScenarioError, match="is no scenario"):
        simulate(5)
    assert issubclass(TimeError, ModelError)
    assert not issubclass(TimeError, ProgramError)
