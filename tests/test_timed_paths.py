"""One semantics: whatever happens in simulated time is a path that a search knows, and is accounted for."""

import hashlib
import os
import subprocess
import sys
from functools import cache
from itertools import pairwise

import pytest
from made import MADE, TRIED
from places import ROOT
from test_timed import Arrivals, Contended, Shared

from vmbus_teach import Scenario, Schedule, Session, explore, simulate
from vmbus_teach.checkers.properties import View
from vmbus_teach.explore import explore_machine
from vmbus_teach.graph import fault_key
from vmbus_teach.kernel import Traffic
from vmbus_teach.machine import Machine
from vmbus_teach.scenarios import classics, retarget
from vmbus_teach.timed import Costs, exponential, mixture, poisson, simulate_many, uniform
from vmbus_teach.timed.costs import OPERATIONS

#: Everything takes a time that differs, so short that everything meets everything.
SHAKEN = Costs(
    {kind: uniform(0, 40) for kind in OPERATIONS}, interrupt=uniform(0, 100), entry=exponential(30),
    call=uniform(0, 90), tasklet=uniform(0, 50), worker=mixture({0: 1, uniform(0, 100): 2}),
    grace_period=uniform(0, 300), wakeup=uniform(0, 60), handover=uniform(0, 20), switch=uniform(0, 30), slice=40,
    order="random",
)
IN_TURN = Costs({kind: uniform(0, 40) for kind in OPERATIONS}, slice=60, grace_period=500, interrupt=exponential(50))
MODELS = {"instant": Costs.instant(), "default": Costs(), "shaken": SHAKEN, "in turn": IN_TURN}
ENOUGH_STATES = 20_000

#: It has more states than that.
TOO_LARGE = ("calls2",)


@cache
def searched(name):
    """Every state of a scenario, with identical tasks told apart."""
    machine = Machine(MADE[name](), width=32)
    machine.classes = []
    found = explore_machine(machine, ENOUGH_STATES)
    assert found.complete
    return found


def traffic_of(scenario):
    """Something arrives all the time, wherever something can."""
    return {s.name: poisson(10**7) for s in scenario.cast.shared if isinstance(s, Traffic)}


def is_a_path(run, found):
    """Raises unless each step of a run leads from one state of a search to another, and its end is the search's."""
    session = Session(found.scenario, found.machine)
    for word in run.words:
        assert not session.failures
        session.step(word)
        if not (session.trace[-1].fault):
            assert session.number in found.graph.numbers
    if run.fault:
        assert run.reason == "a failure"
        assert fault_key(run.fault) in {failure.at for failure in found.failures}
        assert (run.fault.kind, run.fault.message) in [fault[:2] for fault in session.failures]
    elif run.reason == "nothing is left to do":
        assert found.graph.numbers[session.number] in found.graph.ends
    else:
        assert run.reason.startswith("stopped after")


def adds_up(run):
    """Raises unless all that a run counted fits together."""
    assert list(run.times) == sorted(run.times)
    assert run.steps == len(run.words) == len(run.times)
    assert all(0 <= time <= run.time for time in run.times)
    for cpu, use in run.cpus.items():
        assert min(use.spent.values()) >= 0
        assert sum(use.spent.values()) <= run.time == use.time
        stretches = [stretch for stretch in run.stretches if stretch.cpu == cpu]
        assert all(a.end <= b.begin for a, b in pairwise(stretches))
        for account, spent in use.spent.items():
            assert sum(s.end - s.begin for s in stretches if s.account == account) == spent
    for line in run.interrupts.values():
        assert line.coalesced >= 0
        assert 0 <= line.raised - line.coalesced - line.handled <= 1  # pending
    for gauge in run.gauges.values():
        assert gauge.came - len(gauge.latency) == gauge.last
        assert gauge.last <= gauge.most
        assert 0 <= gauge.mean <= gauge.most
    for lock in run.locks.values():
        assert len(lock.waits) <= lock.taken
        assert lock.longest <= lock.held <= run.time
    assert all(use.spent >= 0 and use.count > 0 for use in run.operations)
    assert sum(use.count for use in run.operations) == run.steps


@pytest.mark.parametrize("costs", MODELS)
@pytest.mark.parametrize("name", [name for name in TRIED if name not in TOO_LARGE])
def test_every_run_is_a_path_of_the_state_graph(name, costs):
    """Whatever things cost: all states and failures are ones that the search knows, and the accounts are right."""
    found = searched(name)
    scenario = MADE[name]()
    for seed in range(2):
        run = simulate(scenario, costs=MODELS[costs], seed=seed, traffic=traffic_of(scenario), max_steps=250)
        is_a_path(run, found)
        adds_up(run)


def test_a_wrong_path_would_be_seen():
    """The test above refuses a run whose steps are told in another order."""
    found = searched("ListMove")
    run = simulate(MADE["ListMove"](), costs=Costs.instant())
    run.words = run.words[::-1]
    with pytest.raises(Exception, match=r"cannot step|has nothing to do|ended") as refused:
        is_a_path(run, found)
    assert refused.type.__name__ in ("ScheduleError", "AssertionError")


#: Small scenarios with many endings, with how many runs are made of each.
COVERED = {
    "two increments, twice": (lambda: classics.Increments(threads=2, times=2), 500),
    "a list": (classics.ListMove, 400),
    "Peterson, turn first": (classics.PetersonTurnFirst, 400),
    "a lock and a handler": (classics.LockInHandler, 100),
    "two locks": (classics.AbBa, 100),
    "per-CPU lists": (retarget.PerCpuLists, 600),
    "host is early": (retarget.HostIsEarly, 600),
    **{name: (MADE[name], 1500) for name in ("Handlers", "Rcu", "RcuEarly", "Works", "Open", "FailsAfterWaiting")},
}


@pytest.mark.parametrize("name", COVERED)
def test_chance_alone_meets_everything(name):
    """Where nothing takes time, enough seeds meet each failure that ends a schedule, and each outcome that there is."""
    make, seeds = COVERED[name]
    scenario = make()
    found = explore(scenario)
    met, outcomes = set(), set()
    outcome = getattr(scenario, "outcome", None)
    for run in simulate_many(scenario, seeds=seeds, costs=Costs.instant(), executor=False, max_steps=500):
        if run.fault:
            met.add(fault_key(run.fault))
    assert met == {failure.at for failure in found.failures if failure.kind != "data-race"}
    if outcome:
        for seed in range(seeds // 4):
            run = simulate(scenario, seed=seed, costs=Costs.instant())
            session = Session(scenario)
            session.replay(" ".join(run.words))
            if run.fault is None or run.fault.kind == "at_end":
                outcomes.add(outcome(View(session.machine, session.number)))
        assert outcomes == found.outcomes


@pytest.mark.parametrize("name", ["ListMove", "PerCpuLists", "Open", "RcuEarly", "LockInHandler"])
def test_a_failure_in_time_carries_its_schedule(name):
    """What failed replays in a Session, from the text too, and ends in the same failure; the story tells it."""
    scenario = MADE[name]()
    runs = (simulate(scenario, seed=seed, costs=Costs.instant()) for seed in range(200))
    run = next(run for run in runs if run.fault)
    session = Session(scenario)
    session.replay(str(run.failure.schedule))
    assert [fault.kind for fault in session.failures] == [run.failure.kind] == [run.fault.kind]
    assert len(run.failure.trace) == run.steps
    assert run.failure.message in str(run.failure)
    assert f'replay("{run.schedule}")' in str(run.failure)


def test_it_opens_in_the_stepper():
    """The stepper takes the schedule of a failed run, and stands at its end, with the failure."""
    from vmbus_teach import Stepper

    run = simulate(retarget.PerCpuLists, seed=1)
    assert run.failure is not None
    stepper = Stepper(retarget.PerCpuLists, schedule=str(run.failure.schedule))
    assert Schedule.parse(stepper.schedule).steps == run.words


# --- the same on every machine -----------------------------------------------------------------------------


def digest_of(runs):
    """All that runs have come to, as a few digits."""
    told = [
        (
            run.words, list(run.times), run.reason, run.fault and run.fault[:2], run.row(), run.operations, run.waits,
            run.stretches, run.locks, [list(gauge.latency.values) for gauge in run.gauges.values()],
        )
        for run in runs
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


def some_runs():
    """Runs with everything in them that is drawn at random."""
    names = ("Handlers", "Works", "Rcu", "Open", "ListMove", "softirqs2", "everything1")
    for scenario in (*(MADE[name]() for name in names), Arrivals(), Contended(tasks=3), Shared()):
        for costs in MODELS.values():
            yield simulate(scenario, costs=costs, seed=7, traffic=traffic_of(scenario), max_steps=2000)


#: Another number means that a seed no longer means what it meant: say why in the commit.
GOLDEN = "7f7926f60cfc"


def test_a_seed_means_the_same_everywhere():
    """The runs of some seeds are, to the last digit, what they were when this was written, on another machine."""
    assert digest_of(some_runs()) == GOLDEN


def test_not_even_hashes_matter():
    """Nor does Python's random order of sets: other interpreters with other PYTHONHASHSEEDs give the same."""
    code = "import sys; sys.path[:0] = ['.', 'tests']\nfrom test_timed_paths import *\nprint(digest_of(some_runs()))"
    for seed in ("0", "12345"):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True,
            text=True, timeout=120, check=True,
        )
        assert done.stdout.strip() == digest_of(some_runs())


def test_what_ran_before_does_not_matter():
    """A run of many is the same as one made alone: what earlier ones have left in the machine shows nowhere."""
    many = simulate_many(MADE["Handlers"], seeds=range(5, 20), costs=SHAKEN, executor=False)
    for run in many:
        alone = simulate(MADE["Handlers"](), costs=SHAKEN, seed=run.seed)
        assert (alone.row(), alone.operations, alone.locks) == (run.row(), run.operations, run.locks)
    backwards = simulate_many(MADE["Handlers"], seeds=range(19, 4, -1), costs=SHAKEN, executor=False)
    assert [run.row() for run in backwards][::-1] == [run.row() for run in many]


def test_another_seed_is_another_run():
    """Seeds matter: ten of them give ten courses of events."""
    runs = [simulate(MADE["Handlers"](), costs=SHAKEN, seed=seed) for seed in range(10)]
    assert len({digest_of([run]) for run in runs}) == 10


class Wide(Scenario):
    """Takes more values than a field of eight bits can number."""

    def setup(self):
        from vmbus_teach.kernel import Cell

        self.count = Cell(0)
        self.add_thread(self.task)

    def task(self):
        from vmbus_teach.kernel import atomic_inc

        for _ in range(1000):
            yield atomic_inc(self.count)


def test_a_field_that_overflows_is_made_wider():
    """A counter may count to 1,000, though a search would begin with fields of 256 values."""
    run = simulate(Wide)
    assert (run.steps, run.time, run.reason) == (1000, 20_000, "nothing is left to do")
