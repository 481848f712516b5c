"""The grader itself: what it says, what it shows, and that neither a shortcut nor hostile code gets past it.

The answers to single exercises are in ``answers_NN.py``; here one exercise, 02-retarget, stands for all.
"""

import itertools
import os
import random
import re
import signal
import sys
import time

import pytest
from answers import answer_in
from answers_02 import OnlyTheOrder, Right, ToAndFro

from vmbus_teach import ScenarioError, Schedule, Session, at_end, explore, grade, hint, interrupt, thread
from vmbus_teach.grading import FEWEST, BreakIt, exercise, exercises, grader
from vmbus_teach.grading.chapters.ch00 import SixIncrements
from vmbus_teach.grading.chapters.ch02 import Retarget
from vmbus_teach.grading.examine import examine
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, atomic_inc, raise_irq, set_bit, smp_cond_load_relaxed
from vmbus_teach.kernel.base import Operation
from vmbus_teach.scenario import Scenario
from vmbus_teach.scenarios.classics import Increments, Peterson
from vmbus_teach.scenarios.retarget import NEW, RELID, PassItOn, PerCpuLists
from vmbus_teach.shortest import BOUND

NAME = "02-retarget"


def judged(answer):
    """The grade of an answer to the exercise that stands for all."""
    return grade(NAME, answer)


# --- what is said ----------------------------------------------------------------------------------------


def test_solved_says_what_was_checked_and_no_more():
    """The text has a line for each case, with the numbers of a search of that case."""
    graded = judged(Right)
    lines = [
        f"Right(messages={messages}) holds under all {found.schedules:,} schedules of this scenario ({found.states} "
        f"states)."
        for messages in (1, 2)
        for found in [explore(Right(messages=messages))]
    ]
    assert str(graded) == "\n".join(["02-retarget: solved.", "", *lines])


def test_a_failure_is_the_story_of_a_schedule():
    """The text is the failure's own, told of the learner's class, and its last line replays it there."""
    graded = judged(OnlyTheOrder)
    assert graded.failure is not None
    assert str(graded.failure) in graded.text
    assert f"To replay it: Session(OnlyTheOrder(messages=1)).replay(\"{graded.failure.schedule}\")" in graded.text
    assert str(judged(OnlyTheOrder)) == str(graded)


def test_schedules_without_end_are_worded_as_such():
    """Where a loop makes schedules infinitely many, the verdict speaks only of those that end."""
    assert str(examine(PassItOn(), max_states=1000)) == (
        "PassItOn holds under every schedule of this scenario that ends (445 states). There is a loop, so they are "
        "infinitely many; from every state an end can be reached."
    )
    assert "holds under every schedule of this scenario, infinitely many" in str(examine(Peterson(), max_states=1000))


def test_an_unknown_exercise():
    """A name that is none is an error that lists the names and guesses which was meant."""
    with pytest.raises(ScenarioError, match=r"no exercise '02-retraget'. Did you mean 02-retarget\? There are 00-two, "
                                            r""):
        grade("02-retraget", Right)
    with pytest.raises(ScenarioError, match="no exercise 7"):
        hint(7)


def test_hints_come_one_at_a_time(monkeypatch):
    """Unasked, none is told; each call tells the next; a number tells that one; the grade says how many are left."""
    monkeypatch.setattr(grader, "_told", {})
    assert hint(NAME, 0).startswith("There are 3 hints")
    for number in (1, 2, 3):
        assert str(judged(OnlyTheOrder)).endswith(f'Stuck? hint("02-retarget") gives hint {number} of 3.')
        told = hint(NAME)
        assert told == hint(NAME, number)
        assert repr(told).startswith(f"Hint {number} of 3: ")
        assert told not in str(judged(OnlyTheOrder))
    assert hint(NAME) == hint(NAME, 3)
    last = 'You have seen all 3 hints; hint("02-retarget", 1) tells the first again.'
    assert str(judged(OnlyTheOrder)).endswith(last)
    with pytest.raises(ScenarioError, match="the hints have the numbers 1 to 3"):
        hint(NAME, 4)


def test_what_a_notebook_shows(monkeypatch):
    """The text as text and HTML; below a failure, a stepper with that schedule loaded; the same every time."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *things, **_: shown.append(things[0]))
    judged(Right)._ipython_display_()
    assert [sorted(thing) for thing in shown] == [["text/html", "text/plain"]]
    graded = judged(OnlyTheOrder)
    graded._ipython_display_()
    text, below = shown[1:]
    assert text["text/plain"] == str(graded)
    assert "<b>02-retarget: not solved yet.</b>" in text["text/html"]
    assert below.stepper.session.failures[0].where == "no_message_is_left"
    data = below._repr_mimebundle_()[0]
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == "With a kernel, this is a stepper with that schedule loaded."


def test_without_widgets_the_text_is_enough(monkeypatch):
    """Where ipywidgets is missing, the story is shown and nothing breaks."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *things, **_: shown.append(things[0]))
    monkeypatch.setitem(sys.modules, "vmbus_teach.views.stepper", None)
    judged(OnlyTheOrder)._ipython_display_()
    assert len(shown) == 1


def test_html_is_escaped():
    """What a learner's code says cannot become markup."""

    class Marked(Right):
        def not_found(self, cpu):
            raise AssertionError("<script>")
            yield

    assert "&lt;script&gt;" in judged(Marked)._repr_html_()
    assert "<script>" not in judged(Marked)._repr_html_()


# --- never-ending schedules --------------------------------------------------------------------------------


class Polls(Scenario):
    """One polls for what the other may never say."""

    def setup(self, says=True):
        self.says = says
        self.said = Cell(0)

    @thread()
    def one(self):
        while not (yield READ_ONCE(self.said)):
            pass

    @thread()
    def other(self):
        if (yield READ_ONCE(self.said)) == 0 and self.says:
            yield WRITE_ONCE(self.said, 1)

    @at_end
    def fine(self, s):
        return True


class MayGetLost(Polls):
    """Of two who poll in vain one is woken, if the other comes late."""

    def other(self):
        seen = yield READ_ONCE(self.said)
        yield WRITE_ONCE(self.said, 0 if seen else 1)
        if seen:
            return

    @thread()
    def third(self):
        yield WRITE_ONCE(self.said, 2)


@pytest.mark.parametrize(
    "scenario, must_end, kind",
    [
        (Polls(), False, None),
        (Polls(), True, "endless"),
        (Polls(says=False), False, "livelock"),
        (MayGetLost(), False, "livelock"),
        (Increments(threads=1), True, None),
        (Increments(), True, "at_end"),
        (Peterson(), False, None),
    ],
    ids=str,
)
def test_a_schedule_without_end(scenario, must_end, kind):
    """A state from which no end can be reached is a failure; a mere loop is one only where all must end."""
    finding = examine(scenario, max_states=1000, must_end=must_end)
    assert (finding.failure and finding.failure.kind) == kind
    assert finding.holds == (kind is None)


def test_the_way_round_is_a_way_round():
    """The schedule of an endless failure comes back to the state that it names."""
    failure = judged(ToAndFro).failure
    first, second = map(int, re.findall(r"after step (\d+)", failure.message)[::-1])
    found = explore(failure.scenario, symmetry=False)
    session = Session(failure.scenario, found.machine)
    states = [session.number]
    for word in failure.schedule.steps:
        session.step(word)
        states.append(session.number)
    assert len(failure.schedule) == second
    assert states[first] == states[second]


# --- shortcuts ---------------------------------------------------------------------------------------------


class NoProperty(Right):
    """Says that the property holds."""

    def no_message_is_left(self, s):
        return True


class PropertyGone(Right):
    """Takes the property away."""

    no_message_is_left = None


class OneMoreProperty(Right):
    """Has a property of its own."""

    @at_end
    def mine(self, s):
        return True


class NothingIsSent(Right):
    """A host that never sends."""

    def host_sends(self):
        yield from ()


class NothingIsSignalled(Right):
    """A host that signals nobody."""

    def signal(self, cpu):
        yield from ()


class OneCpu(Right):
    """A machine with one CPU."""

    cpus = 1


class NoSetup(Right):
    """Makes nothing of what is given."""

    def setup(self, messages=1):
        self.messages = messages


class NoMessages(Right):
    """Hands on another parameter."""

    def setup(self, messages=1):
        super().setup(0)


class OneFlagForBoth(Right):
    """Makes one cell of two."""

    def setup(self, messages=1):
        super().setup(messages)
        self.event_flags[1] = self.event_flags[0]


class MovedAlready(Right):
    """Begins where it should end."""

    def setup(self, messages=1):
        super().setup(messages)
        self.chan_list = [Cell(frozenset()), Cell(frozenset({RELID}))]


class CoversTheProperty(Right):
    """Puts a function of its own before the property."""

    def setup(self, messages=1):
        super().setup(messages)
        self.no_message_is_left = lambda s: True


class ChangesTheClass(Right):
    """Changes the class that is searched, while it is set up."""

    def setup(self, messages=1):
        super().setup(messages)
        type(self).no_message_is_left = lambda self, s: True


class ChangesTheCourse(Right):
    """Changes the scenario of the course."""

    def setup(self, messages=1):
        super().setup(messages)
        PerCpuLists.relid2channel = Right.not_found


class AThreadMore(Right):
    """Adds a task by decorator."""

    @thread(cpu=0)
    def helper(self):
        yield READ_ONCE(self.chan_list[0])


class AnInterruptMore(Right):
    """Adds an interrupt."""

    @interrupt(cpu=0)
    def helper(self):
        yield READ_ONCE(self.chan_list[0])


class AThreadMoreInSetup(Right):
    """Adds a task in setup."""

    def setup(self, messages=1):
        super().setup(messages)
        self.add_thread(self.helper)

    def helper(self):
        yield READ_ONCE(self.chan_list[0])


class OtherInit(Right):
    """Has its own __init__, and takes the properties away there."""

    def __init__(self, **parameters):
        super().__init__(**parameters)
        self.cast.at_ends.clear()


class OtherAttributes(Right):
    """Gives out other attributes than there are."""

    def __getattribute__(self, name):
        return super().__getattribute__(name)


class EmptiesTheCast(Right):
    """Makes the engine's own methods its own."""

    def _gather(self):
        cast = super()._gather()
        cast.at_ends.clear()
        return cast


class Magic(Operation):
    """An operation that the kernel does not have."""

    cell: Cell

    def step(self, now):
        now[self.cell] = 0


class UsesMagic(OnlyTheOrder):
    """Yields an operation of its own."""

    def not_found(self, cpu):
        yield Magic(self.ring)


class MyCell(Cell):
    """A cell that the kernel does not have."""


class UsesMyCell(Right):
    """Has state of a kind of its own."""

    def setup(self, messages=1):
        super().setup(messages)
        self.mine = MyCell(0)


class Catches(OnlyTheOrder):
    """Catches whatever may be raised in it."""

    def move_channel(self):
        try:
            yield from super().move_channel()
        except BaseException:
            pass


class FromTheSide(Retarget, PassItOn):
    """Brings the forbidden methods in from another class, below the given one."""

    def not_found(self, cpu):
        yield from ()


class OnePropertyLess(type):
    """A metaclass."""


class WithMetaclass(Right, metaclass=OnePropertyLess):
    """Has a metaclass."""


SHORTCUTS = {
    NoProperty: ("refused", "no_message_is_left, which cannot count here: a property .* stays as it is given"),
    PropertyGone: ("refused", "no_message_is_left, which cannot count here"),
    OneMoreProperty: ("refused", "has mine, .* its own properties, and asks no others"),
    NothingIsSent: ("refused", "host_sends, .* that program of the host stays as it is given"),
    NothingIsSignalled: ("refused", "signal, .* that method stays as it is given"),
    OneCpu: ("refused", "cpus, .* that number stays as it is given"),
    NoSetup: ("refused", r"self.event_flags is missing, .* Begin NoSetup.setup with super\(\).setup"),
    NoMessages: ("refused", "self.messages is not as it is given: at the start it must be 1"),
    OneFlagForBoth: ("refused", "self.event_flags is not as it is given: .* each part an object of its own"),
    MovedAlready: ("refused", r"self.chan_list is not as it is given: .* here it is \[Cell\(\{\}\), Cell\(\{7\}\)\]"),
    CoversTheProperty: ("refused", "setup gives self.no_message_is_left another value"),
    ChangesTheClass: ("refused", "no_message_is_left was given another value while"),
    ChangesTheCourse: ("refused", "PerCpuLists.relid2channel, a part of the course, is not what it was"),
    AThreadMore: ("refused", "has helper, .* adds a context of its own"),
    AnInterruptMore: ("refused", "has helper, .* adds a context of its own"),
    AThreadMoreInSetup: ("refused", "helper is a context that the scenario does not have"),
    OtherInit: ("refused", "has __init__, which cannot count here"),
    OtherAttributes: ("refused", "has __getattribute__, which cannot count here"),
    EmptiesTheCast: ("refused", "has _gather, which cannot count here"),
    UsesMagic: ("refused", r"Magic\(ring\) .* is no operation of the kernel"),
    UsesMyCell: ("refused", "mine is a MyCell, which is none of the kernel's"),
    Catches: ("fails", "no_message_is_left does not hold"),
    FromTheSide: ("refused", "PassItOn has vmbus_chan_sched, which cannot count here"),
    WithMetaclass: ("refused", "has a metaclass, OnePropertyLess"),
    Retarget: ("refused", "is the scenario as it is given, which fails"),
    PerCpuLists: ("refused", "is no subclass of Retarget"),
}


@pytest.fixture
def course(monkeypatch):
    """Undoes what an answer changes of the course."""
    monkeypatch.setattr(PerCpuLists, "relid2channel", PerCpuLists.relid2channel)


@pytest.mark.parametrize("answer", SHORTCUTS, ids=lambda answer: answer.__name__)
def test_a_shortcut_does_not_count(answer, course):
    """What the exercise gives cannot be changed, and the answer is told what it may not have."""
    verdict, reason = SHORTCUTS[answer]
    graded = judged(answer)
    assert graded.verdict == verdict, graded
    assert re.search(reason, graded.text, re.DOTALL), graded


def test_what_is_given_is_in_force_however_it_was_changed(monkeypatch):
    """Even if nothing were noticed, the properties and programs that are searched are the exercise's."""
    from vmbus_teach.grading import given

    for check in ("check_class", "check_start", "check_still_given", "check_operations"):
        monkeypatch.setattr(given, check, lambda *_: None)
    for answer in (NoProperty, CoversTheProperty, NothingIsSent, OtherInit, EmptiesTheCast):

        class Both(answer):
            not_found = Retarget.not_found

        assert grader._find(NAME).grade(Both).verdict == "fails", answer


def test_own_methods_and_own_state_are_welcome():
    """Helpers, constants, class attributes, and more state do not stand in the way."""

    class Tidy(Right):
        """With helpers."""

        LIMIT = 3

        def setup(self, messages=1):
            """More state."""
            super().setup(messages)
            self.passed = Cell(0)

        @staticmethod
        def other(cpu):
            return NEW

        def pass_on(self, cpu):
            yield atomic_inc(self.passed)
            yield set_bit(RELID, self.event_flags[self.other(cpu)])
            yield raise_irq(self.vmbus_isr_1)

        def not_found(self, cpu):
            yield from self.pass_on(cpu)

    assert judged(Tidy).solved


def test_an_instance_is_not_taken():
    """The grader makes its own instances, with all the cases."""
    assert 'Give the class: grade("02-retarget", Right)' in judged(Right()).text


# --- hostile code --------------------------------------------------------------------------------------------


def hostile_setup(code):
    """An answer whose setup executes this first."""

    class Hostile(Right):
        """Hostile in setup."""

        def setup(self, messages=1):
            code()
            super().setup(messages)

    return Hostile


def hostile_program(code):
    """An answer one of whose programs executes this first."""

    class Hostile(Right):
        """Hostile in a program."""

        def move_channel(self):
            code()
            yield from super().move_channel()

    return Hostile


def hostile_predicate(code):
    """An answer with a predicate that executes this."""

    class Hostile(Right):
        """Hostile in a predicate."""

        def move_channel(self):
            yield smp_cond_load_relaxed(self.event_flags[NEW], lambda value: code() or True)
            yield from super().move_channel()

    return Hostile


def endless():
    """Runs for ever, and says so in one line."""
    while True: pass  # noqa: E701


def stubborn():
    """Runs for ever, and catches what it can."""
    while True:
        try:
            endless()
        except Exception:
            pass


def deep():
    """Calls itself."""
    return deep()


def asks():
    """Asks."""
    return input("?")


def leaves():
    """Leaves."""
    sys.exit(3)


def wrong():
    """Raises."""
    raise KeyError("key")


def prints():
    """Prints."""
    print("here")


HOSTILE = {
    endless: "seems to run for ?ever",
    stubborn: "seems to run for ?ever",
    deep: "RecursionError|calls itself too deep",
    asks: r"calls input\(\) \(in asks, line \d+ of test_grading.py\)",
    leaves: r"calls exit\(\)",
    wrong: "raises KeyError: 'key'",
}


@pytest.mark.parametrize("where", [hostile_setup, hostile_program, hostile_predicate], ids=lambda w: w.__name__)
@pytest.mark.parametrize("code", HOSTILE, ids=lambda code: code.__name__)
def test_hostile_code_ends_in_a_sentence(code, where):
    """Wherever it is called, it does not pass, and the sentence names it."""
    graded = judged(where(code))
    assert not graded
    assert re.search(HOSTILE[code], graded.text), graded


@pytest.mark.parametrize("where", [hostile_setup, hostile_program, hostile_predicate], ids=lambda w: w.__name__)
def test_what_is_printed_is_only_noted(where, capsys):
    """Printing changes no verdict; the text says that it is not shown."""
    graded = judged(where(prints))
    assert graded.solved
    assert "prints 'here" in graded.text
    assert capsys.readouterr().out == ""


class Sleeps(Right):
    """Sleeps by the clock."""

    def not_found(self, cpu):
        time.sleep(3600)
        yield from super().not_found(cpu)


class SleepsByAnotherName(Right):
    """Sleeps by the clock, with the function imported."""

    def setup(self, messages=1):
        nap(3600)
        super().setup(messages)


nap = time.sleep


@pytest.mark.parametrize("answer", [Sleeps, SleepsByAnotherName])
def test_nobody_sleeps_by_the_clock(answer):
    """A call of time.sleep is refused before anything is run."""
    assert "calls time.sleep" in judged(answer).text


class YieldsANumber(Right):
    """Yields no operation."""

    def not_found(self, cpu):
        yield 3


class ForgetsTheYield(Right):
    """Makes an operation and drops it."""

    def not_found(self, cpu):
        set_bit(RELID, self.event_flags[NEW])
        yield raise_irq(self.vmbus_isr_1)


class HasNoYield(Right):
    """Is no program at all."""

    def not_found(self, cpu):
        return None


class KeepsANote(Right):
    """Keeps something in self."""

    def not_found(self, cpu):
        self.note = cpu
        yield from super().not_found(cpu)


class TakesNoParameter(Right):
    """Has a setup without the parameter."""

    def setup(self):
        super().setup()


class NotAMethod(Right):
    """Puts a value where a method belongs."""

    not_found = 3


@pytest.mark.parametrize(
    "answer, reason",
    [
        (YieldsANumber, "yields 3 .* no operation"),
        (ForgetsTheYield, "does not yield it"),
        (HasNoYield, "it has no yield, so it is no program"),
        (KeepsANote, r"self.note = 0 in a running program .* Cell"),
        (TakesNoParameter, r"setup does not take these parameters .* setup\(\)"),
        (NotAMethod, "not_found, .* it must be a method, not 3"),
    ],
)
def test_a_slip_is_told_as_one(answer, reason):
    """The usual mistakes of writing programs are told with the line and the remedy."""
    graded = judged(answer)
    assert not graded
    assert re.search(reason, graded.text), graded


class CountsForEver(Right):
    """Makes ever more states."""

    def setup(self, messages=1):
        super().setup(messages)
        self.rounds = Cell(0)

    def move_channel(self):
        while True:
            yield atomic_inc(self.rounds)


def test_a_search_without_end_is_cut_short():
    """Too many states are no pass: the text says how many were looked at, and what grows."""
    graded = judged(CountsForEver)
    assert graded.verdict == "undecided"
    assert "no failure in 20,001 states; then the search was stopped at max_states = 20,000" in graded.text
    assert "Most of them come from rounds" in graded.text


class Interrupted(Right):
    """Is interrupted by hand, as with the notebook's stop button."""

    def not_found(self, cpu):
        raise KeyboardInterrupt
        yield


def test_an_interrupt_stays_an_interrupt():
    """What the reader stops is not turned into a verdict, and afterwards all is as it was."""
    before = sys.gettrace(), sys.stdout
    with pytest.raises(KeyboardInterrupt):
        judged(Interrupted)
    assert (sys.gettrace(), sys.stdout) == before
    assert judged(Right).solved


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_the_stop_button_decides_nothing():
    """A search that is stopped by hand says so, and is no pass."""

    class Stopped(Right):
        """Presses the stop button while it is searched."""

        def not_found(self, cpu):
            signal.raise_signal(signal.SIGINT)
            yield from super().not_found(cpu)

    graded = judged(Stopped)
    assert graded.verdict == "undecided"
    assert "then the search was stopped by hand" in graded.text


# --- the other two kinds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", [e for e in exercises() if isinstance(e, BreakIt)], ids=lambda e: e.name)
def test_the_bound_on_switches_can_be_kept(exercise):
    """The solution needs no more than are allowed, and with FEWEST as many as a search that looked at everything."""
    scenario = exercise.scenario(**exercise.cases[0])
    found = explore(scenario)
    mine = Schedule.parse(answer_in("solutions", exercise.name)).switches
    fewest = exercise._fewest(scenario)
    assert found.states * len(found.machine.contexts) < BOUND  # so that the search for few switches went to its end
    assert mine == fewest if exercise.switches == FEWEST else fewest <= mine <= exercise.switches


def test_a_schedule_may_be_copied_from_anywhere():
    """With its head, with quotes, over several lines, or as a Schedule: it is the same schedule."""
    text = answer_in("solutions", "00-two")
    session = Session(SixIncrements)
    session.replay(text)
    for same in (text, f'"{text}"', text.replace(" ", "\n"), str(session.schedule), session.schedule):
        assert grade("00-two", same).solved


# --- setup, and what differs each time ---------------------------------------------------------------------


def spin():
    """Never comes back."""
    while True:
        pass


class Swallows(Right):
    """Its setup catches everything, and goes on."""

    def setup(self, messages=1):
        super().setup(messages)
        try:
            spin()
        except:  # noqa: E722
            pass


class Chance(Right):
    """Leaves it to chance what it does."""

    def not_found(self, cpu):
        if random.random() < 0.5:
            yield from super().not_found(cpu)


class Yields(Right):
    """Its setup is a program."""

    def setup(self, messages=1):
        super().setup(messages)
        yield


class Awaits(Right):
    """Its setup is a coroutine."""

    async def setup(self, messages=1):
        super().setup(messages)


def test_a_setup_that_swallows_its_end_is_stopped_each_time():
    """An endless helper below a bare except in setup is told of, though setup is called once for each case."""
    graded = judged(Swallows)
    assert graded.verdict == "refused"
    assert "seems to run for ever" in graded.text


def test_chance_is_refused():
    """A program that draws random numbers is refused before anything is searched."""
    graded = judged(Chance)
    assert (graded.verdict, "not_found uses random" in graded.text) == ("refused", True)


@pytest.mark.parametrize("answer", [Yields, Awaits])
def test_a_setup_is_no_program(answer):
    """A setup that yields or awaits is refused for that, not for the state that it does not make."""
    assert "a setup is no program" in judged(answer).text


@pytest.mark.parametrize("turns", [(True, False), (False, True), (True, True, False), (False, False, True)])
def test_what_differs_each_time_ends_in_a_sentence(turns):
    """A program that goes by something which the machine cannot see is told so, or caught; nothing is raised."""
    turn = itertools.cycle(turns)

    class Clock(Right):
        def move_channel(self):
            yield from (Right if next(turn) else Retarget).move_channel(self)

    assert judged(Clock).verdict in ("refused", "fails", "solved")


def test_mutations_are_searched_once_unless_the_course_has_changed(monkeypatch):
    """A second judgement asks what the first has found; once somebody has changed the course, nothing is known."""
    right = answer_in("solutions", "02-changes")
    assert grade("02-changes", right).solved
    known = dict(exercise.FOUND)
    assert grade("02-changes", right).solved
    assert all(exercise.FOUND[mutation] is found for mutation, found in known.items())
    monkeypatch.setattr(exercise, "examine", lambda *_, **__: pytest.fail("searched again"))
    assert "not what it was" in grade("02-changes", right).text
    assert not exercise.FOUND
    monkeypatch.undo()
    assert grade("02-changes", right).solved
