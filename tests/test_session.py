"""Stepping by hand: choices, undo and redo, replay, what a trace tells, and the fate behind each choice."""

import pytest

from vmbus_teach import Scenario, Schedule, ScheduleError, Session, at_end, explore, invariant, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Mutex,
    choose,
    mutex_lock,
    mutex_unlock,
    smp_cond_load_acquire,
)


class Pair(Scenario):
    """Two threads under a mutex, and a third that waits for what they write."""

    def setup(self, limit=2):
        self.limit = limit
        self.lock = Mutex()
        self.count = Cell(0)

    @thread(copies=2)
    def adder(self):
        yield mutex_lock(self.lock)
        value = yield READ_ONCE(self.count)  # looks at the count
        yield WRITE_ONCE(self.count, value + 1)  # adds one
        yield mutex_unlock(self.lock)

    @thread()
    def waiter(self):
        yield smp_cond_load_acquire(self.count, is_positive)

    @invariant
    def the_count_is_small(self, s):
        return s[self.count] <= self.limit or f"it is {s[self.count]}"


def is_positive(value):
    """Is positive."""
    return value > 0


class Lost(Scenario):
    """The lost update."""

    def setup(self):
        self.count = Cell(0)

    @thread(copies=2)
    def adder(self):
        value = yield READ_ONCE(self.count)
        yield WRITE_ONCE(self.count, value + 1)

    @at_end
    def nothing_is_lost(self, s):
        return s[self.count] == 2


def words(session):
    """Words."""
    return [choice.word for choice in session.choices() if choice.enabled]


def test_choices():
    """Everybody who has something to do is listed, with the reason where it must wait."""
    session = Session(Pair)
    session.step("adder_0")
    first, second, third = session.choices()
    assert (first.word, first.context, first.enabled, first.reason) == ("adder_0", "adder_0", True, "")
    assert (first.text, first.remark) == ("READ_ONCE(count)", "looks at the count")
    assert first.place.function == "adder" and first.place.text.strip().startswith("value = yield READ_ONCE")
    assert str(first) == "adder_0: READ_ONCE(count)"
    assert (second.enabled, second.reason, second.waits_for) == (False, "waits for lock, held by adder_0", ("adder_0",))
    assert (third.enabled, third.waits_for) == (False, ())
    assert third.reason == "waits for count to change, which is 0"
    assert str(third) == f"waiter: {third.text}  [{third.reason}]"


def test_the_listing_of_a_place():
    """A place knows the source of its function and the line in it."""
    place = Session(Pair).choices()[0].place
    assert place.listing[0][1] == "@thread(copies=2)"
    marked = [text for number, text in place.listing if number == place.line]
    assert marked == ["    yield mutex_lock(self.lock)"]


def test_trace():
    """Each step: who, what, where it ran, what it changed, what it gave."""
    session = Session(Pair)
    for _ in range(3):
        session.step("adder_0")
    lock, read, write = session.trace
    assert [name for name, _, _ in lock.changes] == ["lock"]
    assert (read.changes, read.result, read.kind, read.fault) == ((), 0, "task", None)
    assert (write.changes, write.result) == ((("count", "0", "1"),), None)
    assert (write.choice.word, write.choice.remark) == ("adder_0", "adds one")
    assert str(write.operation) == "WRITE_ONCE(count, 1)"
    assert session.state[session.scenario.count] == 1
    assert ("count", "1") in session.values()


def test_changes_tell_true_from_one():
    """A cell that goes from 1 to True has changed."""

    class Kinds(Scenario):
        def setup(self):
            self.flag = Cell(1)

        @thread()
        def worker(self):
            yield WRITE_ONCE(self.flag, True)
            yield WRITE_ONCE(self.flag, True)

    session = Session(Kinds)
    assert session.step("worker").changes == (("flag", "1", "True"),)
    assert session.step("worker").changes == ()


def test_undo_redo_reset_go_to():
    """All that was done can be taken back and done again, until another way is taken."""
    session = Session(Lost)
    assert not session.undo() and not session.redo() and not session.can_redo
    for word in ("adder_0", "adder_1", "adder_0"):
        session.step(word)
    seen = [session.number]
    assert session.undo() and session.can_redo
    assert len(session.trace) == 2
    assert session.redo() and session.number == seen[0] and not session.redo()
    session.reset()
    assert session.trace == () and session.state[session.scenario.count] == 0
    session.go_to(3)
    assert session.number == seen[0]
    session.go_to(99)
    assert len(session.trace) == 3
    session.go_to(-1)
    assert session.trace == ()
    session.go_to(1)
    session.step("adder_0")  # another way: what was undone is gone
    assert not session.can_redo
    assert session.schedule.steps == ("adder_0", "adder_0")


def test_a_step_that_cannot_be_taken_changes_nothing():
    """Neither the steps taken nor those undone are lost."""
    session = Session(Pair)
    session.step("adder_0"), session.step("adder_0")
    session.undo()
    before = session.number
    for wrong, said in (
        ("waiter", "waiter cannot step now: it waits for count to change, which is 0. Possible now: adder_0."),
        ("adder_7", "there is no context 'adder_7' in Pair. Did you mean adder_"),
        ("adder_0:3", "adder_0:3 has nothing to do now. Possible now: adder_0."),
        ("", "there is no context '' in Pair."),
    ):
        with pytest.raises(ScheduleError) as caught:
            session.step(wrong)
        assert said in str(caught.value)
        assert session.number == before and session.can_redo


def test_after_a_failure_there_are_no_steps():
    """A state in which a property fails ends the schedule; undo leads out of it."""
    session = Session(Pair(limit=0))
    for _ in range(3):
        session.step("adder_0")
    assert [fault.kind for fault in session.failures] == ["invariant"]
    assert session.choices() == ()
    with pytest.raises(ScheduleError, match=r"'waiter' cannot step: the schedule has ended .* it is 1"):
        session.step("waiter")
    assert session.undo() and not session.failures


def test_failures_at_the_end():
    """At the end the properties of the end are asked."""
    session = Session(Lost)
    session.replay("adder_0 adder_1 adder_0")
    assert session.failures == ()
    session.step("adder_1")
    assert [fault.kind for fault in session.failures] == ["at_end"]
    assert words(session) == []


def test_replay():
    """Text, Schedule and the schedule of another session are all the same."""
    session = Session(Lost)
    trace = session.replay("adder_1*2 adder_0")
    assert [step.choice.word for step in trace] == ["adder_1", "adder_1", "adder_0"]
    for same in (session.schedule, str(session.schedule)):
        again = Session(Lost)
        assert [str(step.operation) for step in again.replay(same)] == [str(step.operation) for step in trace]
        assert again.schedule == session.schedule
    assert session.replay("") == ()


def test_replay_that_does_not_fit_loses_nothing():
    """The step is named, what would have been possible, and the session stays where it was."""
    session = Session(Lost)
    session.replay("adder_0 adder_1")
    session.undo()
    with pytest.raises(ScheduleError) as caught:
        session.replay("adder_0*2 adder_1*2 adder_0")
    assert str(caught.value).startswith("step 5 of 5 of the schedule does not fit: 'adder_0' cannot step: ") or (
        "step 5 of 5 of the schedule does not fit: adder_0 has nothing to do now." in str(caught.value)
    )
    assert session.schedule.steps == ("adder_0",) and session.can_redo
    for wrong in (None, 3, ["adder_0"]):
        with pytest.raises(ScheduleError, match=r"is no schedule. Give a Schedule, or its text"):
            session.replay(wrong)


def test_replay_of_a_schedule_for_other_code():
    """A schedule that was recorded for other programs says so, once it does not fit."""
    session = Session(Lost)
    with pytest.raises(ScheduleError) as caught:
        session.replay("Lost@0123ab: adder_0*3")
    here = session.schedule.digest
    assert str(caught.value).endswith(
        f" The schedule was recorded for other code: Lost@0123ab, and this is Lost@{here}."
    )
    with pytest.raises(ScheduleError) as caught:
        session.replay(f"Lost@{here}: adder_0*3")
    assert "other code" not in str(caught.value)
    assert session.replay("Lost@0123ab: adder_0*2")  # it fits all the same


def test_replay_that_breaks_the_model_loses_nothing():
    """Also where not the schedule but a program is wrong."""

    class Breaks(Lost):
        def adder(self):
            value = yield READ_ONCE(self.count)
            yield value

    session = Session(Breaks)
    with pytest.raises(Exception, match="yields 0"):
        session.replay("adder_0")
    assert session.trace == () and session.number == session.machine.initial


def test_alternatives():
    """Where the model leaves something open, each possibility is a choice of its own, and is replayed as such."""

    class Open(Scenario):
        def setup(self):
            self.out = Cell(None)

        @thread()
        def worker(self):
            yield WRITE_ONCE(self.out, (yield choose(("a", "b"))))

    session = Session(Open)
    assert words(session) == ["worker:0", "worker:1"]
    assert [choice.text.rsplit(" gives ")[-1] for choice in session.choices()] == ["'a'", "'b'"]
    session.step("worker:1"), session.step("worker")
    assert str(session.schedule).endswith(": worker:1 worker")
    again = Session(Open)
    again.replay(str(session.schedule))
    assert again.schedule == session.schedule
    assert session.state[session.scenario.out] == "b"


class Lamp(Scenario):
    """A small machine with every fate: a fuse that blows for certain, and a loop that can go on for ever."""

    def setup(self):
        self.lamp = Cell("off")

    @thread()
    def worker(self):
        while True:
            way = yield choose(("round", "out", "blow"))
            if way == "out":
                return
            if way == "blow":
                yield WRITE_ONCE(self.lamp, "on")
                yield WRITE_ONCE(self.lamp, "blown")
                return

    @invariant
    def it_is_not_blown(self, s):
        return s[self.lamp] != "blown"


def test_fates():
    """Behind each choice a failure is possible, impossible or certain; going round for ever avoids it."""
    result, session = explore(Lamp), Session(Lamp)
    assert result.schedules is None
    assert result.fates(session) == {"worker:0": "possible", "worker:1": "impossible", "worker:2": "certain"}
    session.step("worker:0")
    assert result.fates(session)["worker:0"] == "possible"
    session.step("worker:2")
    assert result.fates(session) == {"worker": "certain"}


def test_fates_look_without_touching():
    """Asking for the fates leaves what was undone."""
    result, session = explore(Lost), Session(Lost)
    session.replay("adder_0 adder_1")
    session.undo()
    assert result.fates(session) == {"adder_0": "impossible", "adder_1": "certain"}
    assert session.can_redo and session.redo()
    assert session.schedule.steps == ("adder_0", "adder_1")


def test_fates_after_a_search_that_was_cut_short():
    """What was not looked at is unknown, never impossible."""
    result = explore(Pair, max_states=3)
    assert not result.complete
    assert set(result.fates(Session(Pair)).values()) == {"unknown"}


def test_a_session_takes_a_class_or_an_instance():
    """Parameters come with the instance."""
    assert Session(Pair).scenario.limit == 2
    session = Session(Pair(limit=5))
    assert session.scenario.limit == 5
    assert session.schedule.scenario == "Pair(limit=5)"
    assert isinstance(session.schedule, Schedule)
