"""The search: what it counts, how it stops, and that the schedule it shows is the easiest to follow."""

import itertools
import signal

import pytest

from vmbus_teach import Scenario, ScenarioError, Session, at_end, explore, interrupt, invariant, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Completion,
    Mutex,
    SpinLock,
    atomic_inc,
    choose,
    complete,
    load,
    mutex_lock,
    mutex_unlock,
    raise_irq,
    smp_call_function_single,
    smp_cond_load_relaxed,
    spin_lock,
    spin_unlock,
    store,
    synchronize_rcu,
    wait_for_completion,
)
from vmbus_teach.scenarios.classics import AbBa, Increments, ListMove, LockInHandler


def complete_schedules(session):
    """Every complete schedule of a small scenario, with the faults in which it ends, by trying all choices."""
    choices = [choice for choice in session.choices() if choice.enabled]
    if not choices:
        yield session.schedule, session.failures
        return
    for choice in choices:
        session.step(choice)
        yield from complete_schedules(session)
        session.undo()


class TwoFailures(Scenario):
    """Can fail in two ways: the invariant in the middle, the property at the end."""

    def setup(self):
        self.a, self.b = Cell(0), Cell(0)

    @thread()
    def one(self):
        yield WRITE_ONCE(self.a, 1)
        yield WRITE_ONCE(self.b, 1)

    @thread()
    def other(self):
        yield WRITE_ONCE(self.b, 2)
        yield WRITE_ONCE(self.a, 2)

    @invariant
    def b_comes_first(self, s):
        return (s[self.a], s[self.b]) != (1, 0)

    @at_end
    def a_is_two(self, s):
        return s[self.a] == 2


class Preempted(Scenario):
    """Two tasks of one CPU and an interrupt; the failure needs the handler in the middle of the first."""

    cpus = 1

    def setup(self):
        self.x, self.seen = Cell(0), Cell(0)

    @thread(cpu=0)
    def first(self):
        yield WRITE_ONCE(self.x, 1)
        yield WRITE_ONCE(self.x, 2)
        yield WRITE_ONCE(self.x, 3)

    @thread(cpu=0)
    def second(self):
        yield raise_irq(self.handler)

    @interrupt(cpu=0)
    def handler(self):
        x = yield READ_ONCE(self.x)
        yield WRITE_ONCE(self.seen, x)

    @at_end
    def never_saw_two(self, s):
        return s[self.seen] != 2


SMALL = [
    *(Increments(), Increments(threads=3), Increments(times=2)),
    *(ListMove(readers=1), ListMove(readers=2)),
    *(LockInHandler(), AbBa(), TwoFailures(), Preempted()),
]


@pytest.mark.parametrize("scenario", SMALL, ids=str)
def test_schedule_has_the_fewest_switches_then_the_fewest_steps(scenario):
    """No failing schedule of the same failure switches less often, or as often with fewer steps."""
    every = list(complete_schedules(Session(scenario)))
    for failure in explore(scenario).failures:
        name = failure.message.partition(" ")[0]
        same = [s for s, faults in every if any(f.kind == failure.kind and f.message.startswith(name) for f in faults)]
        best = min((s.switches, len(s)) for s in same)
        assert (failure.schedule.switches, len(failure.schedule)) == best


@pytest.mark.parametrize("scenario", SMALL, ids=str)
def test_counts_agree_with_enumeration(scenario):
    """The number of schedules, and of those that end in each kind of failure, is what trying all of them gives."""
    every = list(complete_schedules(Session(scenario)))
    result = explore(scenario)
    assert result.schedules == len(every)
    assert len({str(schedule) for schedule, _ in every}) == len(every)
    for kind, failures in itertools.groupby(sorted(result.failures, key=lambda f: f.kind), key=lambda f: f.kind):
        assert sum(f.share for f in failures) == sum(any(x.kind == kind for x in faults) for _, faults in every)


@pytest.mark.parametrize("scenario", SMALL, ids=str)
def test_schedule_is_always_the_same(scenario):
    """Two searches tell the same story, and replaying its schedule fails in the same way."""
    for one, other in zip(explore(scenario).failures, explore(scenario).failures, strict=True):
        assert str(one) == str(other)
        session = Session(scenario)
        session.replay(one.schedule)
        assert one.message in [fault.message for fault in session.failures]


class WithoutEnd(Scenario):
    """Goes round for ever, and leaves by choice."""

    def setup(self):
        self.rounds = Cell(0)

    @thread()
    def loop(self):
        while (yield choose((True, False))):
            old = yield READ_ONCE(self.rounds)
            yield WRITE_ONCE(self.rounds, 1 - old)


def test_a_loop_has_infinitely_many_schedules():
    """The search comes to an end, and the number of schedules is None."""
    result = explore(WithoutEnd)
    assert result.ok
    assert result.schedules is None


class Big(Scenario):
    """Ten million states: seven counters that are each counted up to nine."""

    def setup(self):
        self.counters = [Cell(0) for _ in range(7)]
        for counter in self.counters:
            self.add_thread(self.count, counter)

    def count(self, counter):
        for _ in range(9):
            yield atomic_inc(counter)

    @invariant
    def first_does_not_run_ahead(self, s):
        return s[self.counters[0]] < 3 or sum(s[c] for c in self.counters) > 3


def test_a_bounded_search_says_so_and_keeps_what_it_found():
    """It stops at max_states, is not complete, is not ok, and keeps its failures."""
    result = explore(Big, max_states=1_000)
    assert not result.complete
    assert not result.ok
    assert result.schedules is None
    assert "max_states = 1,000" in str(result)
    assert "may hold more failures" in str(result)
    assert [f.kind for f in result.failures] == ["invariant"]
    assert len(result.failures[0].schedule) == 3


class Huge(Big):
    """The same without a property: nothing ends the search early."""

    def first_does_not_run_ahead(self, s):
        return True


def test_a_search_without_failure_that_was_cut_short_is_no_pass():
    """Nothing found is not the same as nothing there."""
    result = explore(Huge, max_states=500)
    assert not result.ok
    assert "no failure found so far" in str(result)


def test_progress_is_told_and_can_stop_the_search():
    """The function is called with growing numbers; False ends the search, and what was found is kept."""
    reports = []

    def progress(report):
        reports.append(report)
        return len(reports) < 3

    result = explore(Huge, progress=progress)
    assert [r.states for r in reports] == sorted(r.states for r in reports)
    assert "states" in str(reports[0])
    assert result.reason == "stopped by progress"
    assert result.states >= reports[-1].states


def test_progress_that_breaks_loses_nothing():
    """An error in the function ends the search with a sentence that names its line, and what was found is kept."""

    def progress(report):
        return 1 / 0

    result = explore(Huge, progress=progress)
    line = progress.__code__.co_firstlineno + 1
    assert result.reason == (
        f"stopped by progress, which breaks: ZeroDivisionError: division by zero (in progress, line {line} of "
        "test_explore.py)"
    )
    assert result.states > 10_000


def test_progress_is_no_number():
    """What cannot be called is refused before the search begins."""
    with pytest.raises(ScenarioError, match=r"^progress = 5; give a function, as in progress=print\.$"):
        explore(Huge, progress=5)


def test_stop_button_keeps_what_was_found():
    """An interrupt by hand (the notebook's stop button) ends the search like a bound does."""

    def press(report):
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = explore(Huge, progress=press)
    assert signal.getsignal(signal.SIGINT) is before
    assert not result.complete
    assert result.reason == "stopped by hand"
    assert result.states > 1_000


def test_stop_at_first():
    """The search ends with the first failure and does not call itself complete."""
    result = explore(TwoFailures, stop_at_first=True)
    assert len(result.failures) == 1
    assert not result.complete


def test_both_failures_are_told():
    """Two properties that fail in different schedules are two failures, with their shares."""
    result = explore(TwoFailures)
    assert {f.kind for f in result.failures} == {"invariant", "at_end"}
    assert [f.share for f in result.failures] == [1, 1]
    assert result.schedules == 4


class Fates(Scenario):
    """One task decides between good, bad, and leaving it to the other."""

    def setup(self):
        self.x = Cell(0)

    @thread()
    def one(self):
        way = yield choose(("good", "bad", "open"))
        yield WRITE_ONCE(self.x, {"good": 1, "bad": 2}.get(way, 0))
        if way == "open":
            yield WRITE_ONCE(self.x, (yield choose((1, 2))))

    @at_end
    def x_is_one(self, s):
        return s[self.x] == 1


def test_fates():
    """Behind each choice a failure is impossible, certain, or possible."""
    session = Session(Fates)
    assert explore(Fates).fates(session) == {"one:0": "impossible", "one:1": "certain", "one:2": "possible"}


class RoundAndRound(WithoutEnd):
    """The loop can be left into a failure only."""

    @at_end
    def never_ends(self, s):
        return False


def test_a_loop_can_avoid_a_failure():
    """Where one can go round for ever, the failure is possible and not certain."""
    result = explore(RoundAndRound)
    assert result.fate(result.machine.initial) == "possible"


def test_fate_of_a_state_that_was_not_looked_at_is_unknown():
    """A search that was cut short claims nothing for what it has not seen."""
    result = explore(Huge, max_states=100)
    assert result.fate(result.machine.initial) == "unknown"


class Racing(Scenario):
    """A plain write and a marked read of one cell, with nothing between them."""

    def setup(self):
        self.x = Cell(0)

    @thread()
    def writer(self):
        yield store(self.x, 1)

    @thread()
    def reader(self):
        yield READ_ONCE(self.x)


def test_a_data_race_ends_no_schedule():
    """It is reported, with a schedule to the state before either access, and both schedules go on."""
    result = explore(Racing)
    assert [f.kind for f in result.failures] == ["data-race"]
    assert result.failures[0].share is None
    assert len(result.failures[0].schedule) == 0
    assert result.schedules == 2
    assert not result.ok


class RacingUnderALock(Racing):
    """The same accesses, ordered by a lock."""

    def setup(self):
        super().setup()
        self.lock = SpinLock()

    def writer(self):
        yield spin_lock(self.lock)
        yield store(self.x, 1)
        yield spin_unlock(self.lock)

    def reader(self):
        yield spin_lock(self.lock)
        yield load(self.x)
        yield spin_unlock(self.lock)


def test_a_lock_orders_accesses():
    """Plain accesses under one lock never stand side by side."""
    assert explore(RacingUnderALock).ok


class ManyValues(Scenario):
    """One cell takes more values than a narrow field can number."""

    def setup(self):
        self.x = Cell(0)

    @thread()
    def count(self):
        for _ in range(300):
            yield atomic_inc(self.x)


def test_a_cell_with_very_many_values(monkeypatch):
    """The machine makes room by itself, more than once here; the result is right."""
    monkeypatch.setattr("vmbus_teach.machine.WIDTH", 3)
    result = explore(ManyValues)
    assert result.ok
    assert result.states == 301
    assert result.machine.width == 12
    assert result.schedules == 1


class MutexOwners(Scenario):
    """Identical tasks that hold a mutex and wait for each other through a completion."""

    def setup(self):
        self.lock, self.done, self.count = Mutex(), Completion(), Cell(0)

    @thread(copies=3)
    def worker(self):
        yield mutex_lock(self.lock)
        count = yield READ_ONCE(self.count)
        yield WRITE_ONCE(self.count, count + 1)
        yield mutex_unlock(self.lock)
        if count == 2:
            yield complete(self.done)
        if count == 0:
            yield wait_for_completion(self.done)

    @at_end
    def all_counted(self, s):
        return s[self.count] == 3


def test_identical_tasks_that_hold_locks_are_merged_soundly():
    """Who holds the lock follows the task when tasks change places: same verdict, same schedules, fewer states."""
    merged, apart = explore(MutexOwners), explore(MutexOwners, symmetry=False)
    assert merged.ok
    assert apart.ok
    assert merged.schedules == apart.schedules
    assert merged.states < apart.states


class TiedTasks(Scenario):
    """Identical tasks that wait in the same line, so that only the order of their coming tells them apart."""

    cpus = 2

    def setup(self):
        self.y = Cell(0)

    @thread()
    def caller(self):
        yield smp_call_function_single(0, self.spin)

    def spin(self):
        yield smp_cond_load_relaxed(self.y, bool)

    @thread(cpu=1, copies=2)
    def updater(self):
        yield synchronize_rcu()
        yield raise_irq(self.handler)

    @interrupt(cpu=0)
    def handler(self):
        yield READ_ONCE(self.y)


def test_fates_are_known_after_a_complete_search():
    """Also in a state whose identical tasks stand at one position in another order than the search met."""
    result = explore(TiedTasks)
    session, seen = Session(TiedTasks), 0

    def look(depth):
        nonlocal seen
        fates = result.fates(session)
        assert "unknown" not in fates.values()
        seen += 1
        for word in fates:
            if depth:
                session.step(word)
                look(depth - 1)
                session.undo()

    look(4)
    assert seen > 20
