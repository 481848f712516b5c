"""Many runs: whoever makes them, they are the same; stopped, they keep what is over."""

import signal
import subprocess
import sys
import textwrap
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from importlib import import_module
from multiprocessing import get_context

import pytest
from places import ROOT

from vmbus_teach import (
    Scenario,
    Schedule,
    Session,
    Stepper,
    at_end,
    gauge,
    simulate,
    simulate_each,
    simulate_many,
    thread,
)
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, Traffic, ndelay, next_arrival, xchg
from vmbus_teach.scenarios.classics import ListMove
from vmbus_teach.timed import Costs, Done, TimeError, exponential, many, poisson
from vmbus_teach.timed import simulate_many as same


class Race(Scenario):
    """Two increments that seldom meet."""

    def setup(self, rounds=1):
        self.count, self.rounds = Cell(0), rounds
        self.packets = Traffic()

    @thread(copies=2)
    def worker(self):
        for _ in range(self.rounds):
            yield next_arrival(self.packets)
            value = yield READ_ONCE(self.count)
            yield WRITE_ONCE(self.count, value + 1)

    @at_end
    def nothing_is_lost(self, s):
        return s[self.count] == 2 * self.rounds

    @gauge
    def counted(self, s):
        return s[self.count]


RACE = dict(costs=Costs({WRITE_ONCE: exponential(300)}), traffic={"packets": poisson(1_000_000)})


def rows(runs):
    """What runs have come to, to be compared."""
    return [(run.row(), run.fault, run.words, run.operations, run.locks, run.gauges) for run in runs]


# --- whoever makes them ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here():
    """The runs, made in this process one after the other."""
    return simulate_many(Race, seeds=60, executor=False, **RACE)


def test_runs_made_here(here):
    """60 runs in the order of their seeds, some failed; each is what simulate gives for its seed."""
    assert [run.seed for run in here] == list(range(60))
    assert here.complete
    assert 0 < len(here.failed) < 60
    for run in here[:5]:
        assert run.row() == simulate(Race, seed=run.seed, **RACE).row()


def test_threads_make_the_same(here):
    """So does a pool of threads, and the text of progress is not swallowed by what programs may print."""
    with ThreadPoolExecutor(3) as pool:
        before = sys.stdout
        runs = simulate_many(Race, seeds=60, executor=pool, progress=lambda done: sys.stdout is before or 1 / 0, **RACE)
    assert sys.stdout is before
    assert rows(runs) == rows(here)


def test_processes_make_the_same(here):
    """So does Python's own pool of processes, for a scenario that stands in a module."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        runs = simulate_many(ListMove, seeds=40, costs=Costs.instant(), executor=pool)
    assert rows(runs) == rows(simulate_many(ListMove, seeds=40, costs=Costs.instant(), executor=False))
    assert runs.failed


NOTEBOOK = """
    from vmbus_teach import Scenario, thread, at_end, simulate_many
    from vmbus_teach.kernel import Cell, READ_ONCE, WRITE_ONCE
    from vmbus_teach.timed import Costs, many

    class Mine(Scenario):
        def setup(self):
            self.count = Cell(0)

        @thread(copies=2)
        def worker(self):
            value = yield READ_ONCE(self.count)
            yield WRITE_ONCE(self.count, value + 1)

        @at_end
        def both(self, s):
            return s[self.count] == 2

    if __name__ == "__main__":
        here = simulate_many(Mine, seeds=100, costs=Costs.instant(), executor=False)
        many.WORTH_IT = 0
        asked = []
        pool = many._processes
        many._processes = lambda: asked.append(1) or pool()
        there = simulate_many(Mine, seeds=100, costs=Costs.instant())
        print(len(asked), [r.row() for r in there] == [r.row() for r in here], len(there.failed) > 10)
        print(there.failed[0].failure.kind, there.scenario is there[50].scenario)
"""


def test_the_pool_takes_classes_of_a_notebook(tmp_path):
    """The pool that is used by default takes a class that is defined in ``__main__``, and its runs are the same."""
    script = tmp_path / "notebook.py"
    script.write_text(textwrap.dedent(NOTEBOOK))
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["1 True True", "at_end True"]


def test_dask_makes_the_same(here):
    """A real Dask cluster takes the runs through the executor of its client, and ends cleanly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dask's own, such as of ports that are taken
        from distributed import Client, LocalCluster

        local = dict(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1")
        with LocalCluster(**local) as cluster, Client(cluster) as client, client.get_executor() as executor:
            runs = simulate_many(ListMove, seeds=40, costs=Costs.instant(), executor=executor)
    assert rows(runs) == rows(simulate_many(ListMove, seeds=40, costs=Costs.instant(), executor=False))


def test_a_small_job_starts_no_processes(monkeypatch):
    """What is done in a moment is done here."""
    monkeypatch.setattr(many, "_processes", lambda: pytest.fail("a pool was started"))
    assert len(simulate_many(Race, seeds=20, **RACE)) == 20


def test_a_large_job_does_and_without_processes_it_goes_on_here(monkeypatch):
    """After the first run it is known to be large; where there can be no processes, all runs are made here."""
    asked = []
    monkeypatch.setattr(many, "WORTH_IT", 0)
    monkeypatch.setattr(many, "_processes", lambda: asked.append(1))
    assert len(simulate_many(Race, seeds=20, **RACE)) == 20
    assert asked == [1]


# --- several cases -------------------------------------------------------------------------------------------


def test_cases_are_kept_apart():
    """Each case has its own runs with all seeds, in the order given; arguments of all are given once."""
    rates = (1_000, 1_000_000, 10_000_000)
    cases = {rate: {"traffic": {"packets": poisson(rate)}} for rate in rates}
    found = simulate_each(cases, scenario=Race, costs=RACE["costs"], seeds=80, executor=False)
    assert list(found) == list(rates)
    shares = [found[rate].failing().value for rate in rates]
    assert shares == sorted(shares)
    assert shares[0] < 0.05 < 0.3 < shares[2]
    with ThreadPoolExecutor(2) as pool:
        elsewhere = simulate_each(cases, scenario=Race, costs=RACE["costs"], seeds=80, executor=pool)
    assert {rate: rows(runs) for rate, runs in elsewhere.items()} == {r: rows(runs) for r, runs in found.items()}


def test_seeds_may_be_listed():
    """Any numbers, each once, in their order."""
    runs = simulate_many(Race, seeds=[7, 3, 7], executor=False, **RACE)
    assert [run.seed for run in runs] == [7, 3]


# --- what they say together ----------------------------------------------------------------------------------


def test_estimates(here):
    """How often it fails, a share, a mean, with their intervals; latencies of all runs together."""
    failing = here.failing()
    assert failing.value == len(here.failed) / 60
    assert failing.low < failing.value < failing.high
    assert here.failing("at_end") == failing
    assert here.failing("deadlock").value == 0
    assert here.share(lambda run: run.seed < 30).value == 0.5
    assert here.mean(lambda run: run.seed).value == 29.5
    assert len(here.latency("counted")) == sum(len(run.gauges["counted"].latency) for run in here)
    assert "60 runs" in str(here)
    with pytest.raises(TimeError, match=r"there is no kind of failure 'deadlok'\. Did you mean deadlock"):
        here.failing("deadlok")
    with pytest.raises(TimeError, match=r"has no gauge 'count'; it has counted"):
        here.latency("count")


def test_a_failed_run_carries_its_schedule(here):
    """It replays, and opens in the stepper; of the others no schedule is kept, and how to get it is said."""
    run = here.failed[0]
    session = Session(Race)
    session.replay(run.failure.schedule)
    assert session.failures[0].kind == "at_end"
    stepper = Stepper(Race, schedule=str(run.failure.schedule))
    assert Schedule.parse(stepper.schedule).steps == run.words
    other = next(run for run in here if not run.fault)
    assert other.failure is None
    with pytest.raises(TimeError, match=rf"simulate\(\.\.\., seed={other.seed}\) gives this one"):
        _ = other.schedule


def test_a_data_frame(here):
    """One row per run, one column per number."""
    frame = here.frame()
    assert len(frame) == 60
    assert frame["seed"].tolist() == list(range(60))
    assert (frame["failed"] == "at_end").sum() == len(here.failed)
    assert frame["counted: came"].max() == 2


def test_without_pandas_a_sentence_says_so(here, monkeypatch):
    """Where pandas is not installed, rows() is named instead."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(TimeError, match=r"pip install pandas.*rows\(\) gives plain records"):
        here.frame()


# --- stopped ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [0, 2])
def test_progress_is_told_and_can_stop(threads):
    """It is told how many are over, of how many; False ends it, and those that are over are kept, unbroken."""
    told = []

    def progress(done):
        told.append(done)
        return done.runs < 20

    with ThreadPoolExecutor(threads or 1) as pool:
        runs = simulate_many(Race, seeds=100, executor=pool if threads else False, progress=progress, **RACE)
    assert [done.runs for done in told] == sorted(done.runs for done in told)
    assert told[-1] == Done(len(runs), 100)
    assert "of 100 runs" in str(told[-1])
    assert 20 <= len(runs) < 40
    assert (runs.complete, runs.reason) == (False, "stopped by progress")
    assert "stopped by progress" in str(runs)
    assert all(run.finished for run in runs)


@pytest.mark.parametrize("threads", [0, 2])
def test_the_stop_button_keeps_what_is_over(threads):
    """An interrupt by hand ends it, and the old handler is put back."""
    before = signal.getsignal(signal.SIGINT)

    def press(done):
        if done.runs >= 10:
            signal.raise_signal(signal.SIGINT)

    with ThreadPoolExecutor(threads or 1) as pool:
        # The first press stops; a second one, of the portion that is over by then, would break off.
        runs = simulate_many(Race, seeds=200, executor=pool if threads else False, progress=once(press), **RACE)
    assert signal.getsignal(signal.SIGINT) is before
    assert (runs.complete, runs.reason) == (False, "stopped by hand")
    assert 10 <= len(runs) < 200


def once(press):
    """Presses until it has been pressed."""
    pressed = []

    def progress(done):
        if done.runs >= 10 and not pressed:
            pressed.append(1)
            press(done)

    return progress


def test_what_was_not_finished_is_told():
    """Runs that max_steps cuts off have not failed, but nobody knows whether they would: the text says so."""
    runs = simulate_many(Race, seeds=5, executor=False, max_steps=2, **RACE)
    assert (len(runs.failed), len(runs.unfinished), runs.complete) == (0, 5, True)
    assert "; 5 came to no end (stopped after 2 steps, as max_steps says)" in str(runs)


class Endless(Scenario):
    """Packets are received for ever."""

    def setup(self):
        self.packets, self.ring = Traffic(), Cell(0)

    @thread()
    def receive(self):
        while True:
            yield next_arrival(self.packets)
            yield xchg(self.ring, 0)


class Presses:
    """Arrivals, in the third run of which the stop button is pressed."""

    def __init__(self):
        self.runs = 0

    def arrivals(self, rng):
        self.runs += 1
        for number in range(1, 100_000):
            if (self.runs, number) == (3, 5):
                signal.raise_signal(signal.SIGINT)
            yield number * 1000


def test_a_run_that_was_stopped_is_not_kept():
    """Of a run in the middle of which the button is pressed nothing is kept; those before it are whole."""
    arguments = dict(traffic={"packets": Presses()}, max_steps=15_000)
    runs = simulate_many(Endless, seeds=3, executor=False, **arguments)
    assert ([run.steps for run in runs], runs.complete, runs.reason) == ([15_000] * 2, False, "stopped by hand")


def test_progress_that_breaks_loses_no_run():
    """An error in the function ends the runs with a sentence, and those that are over are kept."""
    runs = simulate_many(Race, seeds=100, executor=False, progress=lambda done: 1 / (3 - done.runs), **RACE)
    assert (len(runs), runs.complete) == (3, False)
    assert runs.reason.startswith("stopped by progress, which breaks: ZeroDivisionError: division by zero (in <lambda>")


def test_progress_may_simulate():
    """Within progress, another simulation may be made, also of many runs."""
    def progress(done):
        assert len(simulate_many(Race, seeds=2, executor=False, **RACE)) == 2

    with ThreadPoolExecutor(2) as pool:
        assert len(simulate_many(Race, seeds=4, executor=pool, progress=progress, **RACE)) == 4


STOPPED = """
    from vmbus_teach import simulate_many
    from vmbus_teach.scenarios.classics import Peterson
    from vmbus_teach.timed import many

    if __name__ == "__main__":
        many.WORTH_IT = 0
        runs = simulate_many(Peterson, seeds=200, max_steps=20_000, progress=lambda done: done.runs < 20)
        print(20 <= len(runs) < 200, runs.complete, runs.reason)
"""


def test_a_pool_that_is_stopped_says_nothing(tmp_path):
    """The default pool is given up in silence, and long runs are handed out one by one, so that few are lost."""
    script = tmp_path / "stopped.py"
    script.write_text(textwrap.dedent(STOPPED))
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stderr, done.stdout) == ("", "True False stopped by progress\n")


def test_nothing_at_all_has_no_estimate():
    """Stopped before the first run, a question says why there is no answer."""
    runs = simulate_many(Race, seeds=[], executor=False, **RACE)
    with pytest.raises(TimeError, match=r"no run of Race to look at \(no seeds were given\)"):
        runs.failing()


# --- wrong input -------------------------------------------------------------------------------------------------


class NoFuture:
    """Something with a submit that is no executor: as Dask's client."""

    def submit(self, *_):
        return "later"


@pytest.mark.parametrize(("arguments", "said"), [
    (dict(seeds=0), r"seeds = 0; give the number of runs, at least 1, or the seeds: range\(10, 20\)"),
    (dict(seeds="ten"), "seeds = 'ten'; give the number"),
    (dict(seeds=[1, "two"]), "seed = 'two'; a seed is a whole number"),
    (dict(executor=3), r"executor = 3; give something with the interface of concurrent.futures.Executor \(of a Dask"),
    (dict(executor=NoFuture()), r"gives a str; give something with the interface .* client.get_executor\(\)"),
    (dict(until=0), "until = 0; it is a time in whole nanoseconds"),
    (dict(costs={}), r"\{\}; write costs=Costs"),
    (dict(traffic={"packet": poisson(3)}), "has no traffic 'packet'; it has packets. Did you mean packets"),
])
def test_what_is_wrong_is_said_before_anything_runs(arguments, said):
    """Each mistake ends in a sentence that says what, and what to write instead."""
    with pytest.raises(TimeError, match=said):
        simulate_many(Race, **{**RACE, **arguments})


def test_wrong_cases():
    """simulate_each says what a case may hold."""
    with pytest.raises(TimeError, match="takes a dict of cases"):
        simulate_each([Race])
    with pytest.raises(TimeError, match="a case has no scenario"):
        simulate_each({1: {}})
    with pytest.raises(TimeError, match="sped: no argument of simulate that many runs can have"):
        simulate_each({1: {"scenario": Race, "sped": 1}})
    with pytest.raises(TimeError, match="each a dict of simulate's arguments"):
        simulate_each({1: Race})


def test_a_class_that_cannot_be_sent_is_told():
    """Python's own pool does not take a class of a function; the sentence says which pool does."""

    class Local(Race):
        """Inside a function."""

    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(TimeError, match=r"Local cannot be sent to another process .* those of a notebook, too"),
    ):
        simulate_many(Local, seeds=3, executor=pool, **RACE)


def end_this_process(*_):
    """What brings a pool down."""
    import os

    os._exit(1)


def test_a_pool_that_breaks_down_is_told():
    """A process that dies ends in a sentence."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(end_this_process)
        with pytest.raises(TimeError, match=r"the executor has broken down: .* With executor=False"):
            simulate_many(ListMove, seeds=3, executor=pool)


class WrongYield(Scenario):
    """A program that yields no operation."""

    @thread()
    def task(self):
        yield ndelay(5)
        yield 3


def test_a_wrong_program_is_told_as_explore_tells_it():
    """From another thread, too."""
    from vmbus_teach import ProgramError, explore

    with pytest.raises(ProgramError) as searched:
        explore(WrongYield)
    for executor in (False, ThreadPoolExecutor(1)):
        with pytest.raises(ProgramError) as simulated:
            simulate_many(WrongYield, seeds=2, executor=executor)
        assert str(simulated.value) == str(searched.value)


def test_the_package_names_it():
    """``from vmbus_teach import simulate_many`` is the same function."""
    assert simulate_many is same
    assert import_module("vmbus_teach").simulate is simulate
