"""What people look at, without a browser: the stepper, predictions, tables."""

import pytest

from vmbus_teach import Scenario, ScheduleError, Stepper, at_end, thread
from vmbus_teach.kernel import WRITE_ONCE, Cell, Mutex, mutex_lock, mutex_unlock
from vmbus_teach.scenarios.classics import AtomicIncrements, Increments
from vmbus_teach.scenarios.retarget import PassItOn, PerCpuLists
from vmbus_teach.views import Predict, judge, source


def buttons(stepper):
    """The step buttons of a stepper, by their label."""
    return {row.children[0].description: row.children[0] for row in stepper._steps.children}


def test_stepper_shows_lanes_state_and_choices():
    """At the start there is a lane per context, every cell with its value, and a button per choice."""
    stepper = Stepper(PerCpuLists)
    picture = stepper._picture.value
    for name in ("host_sends", "host_retargets", "target_cpu_store", "vmbus_isr_0", "vmbus_isr_1", "chan_list[0]"):
        assert name in picture
    assert "def host_sends(self):" in picture
    assert not buttons(stepper)["host_sends"].disabled
    assert buttons(stepper)["host_retargets"].disabled
    assert "waits for modify_request to change" in stepper._steps.children[1].children[1].value


def test_buttons_step_undo_and_redo():
    """Clicking does what it says, and Undo and Redo are only alive where there is something to do."""
    stepper = Stepper(Increments)
    assert stepper._undo.disabled
    buttons(stepper)["worker_0"].click()
    assert [step.choice.word for step in stepper.session.trace] == ["worker_0"]
    stepper._undo.click()
    assert stepper._undo.disabled
    assert not stepper._redo.disabled
    stepper._redo.click()
    assert len(stepper.session.trace) == 1
    stepper._reset.click()
    assert not stepper.session.trace


def test_find_a_failure_loads_its_schedule_and_says_what_failed():
    """The stepper stands at the end of the failing schedule and tells the failure in words."""
    stepper = Stepper(Increments)
    stepper._find.click()
    assert len(stepper.session.trace) == 4
    assert "nothing_is_lost does not hold" in stepper._message.value
    assert "writes back one more" in stepper._story.value
    assert not stepper._steps.children


def test_find_a_failure_where_there_is_none_says_so():
    """Nothing moves, and the verdict is told."""
    stepper = Stepper(AtomicIncrements)
    stepper.find_a_failure()
    assert "holds under every interleaving" in stepper._message.value
    assert not stepper.session.trace


def test_the_end_without_a_failure_is_told():
    """When all has been done well, the stepper says that this schedule is fine, and claims no more."""
    stepper = Stepper(AtomicIncrements)
    stepper.step("worker_0")
    stepper.step("worker_1")
    assert "nothing failed in this schedule" in stepper._message.value


def test_a_schedule_can_be_loaded_and_a_wrong_one_is_refused():
    """The second argument is replayed; one that does not fit raises an error that says where."""
    assert len(Stepper(Increments, "worker_0*2").session.trace) == 2
    with pytest.raises(ScheduleError, match="step 3 of 3"):
        Stepper(Increments, "worker_0*3")


def test_text_fallback():
    """Without a browser the stepper is the state and the choices, as text; nbval compares it."""
    stepper = Stepper(Increments, "worker_0")
    expected = [
        "Increments, after 1 steps",
        "  count  0",
        "  > worker_0: writes back one more",
        "  > worker_1: reads the counter",
    ]
    assert repr(stepper).splitlines() == expected
    assert stepper._repr_mimebundle_()["text/plain"] == repr(stepper)


class Markup(Scenario):
    """Names and values that would be markup if they were not escaped."""

    def setup(self):
        self.lock, self.text = Mutex(), Cell("<script>alert(1)</script>")
        self.add_thread(self.write, name="<b>bold</b>")

    def write(self):
        yield mutex_lock(self.lock)  # <i>slanted</i>
        yield WRITE_ONCE(self.text, "<img src=x onerror=alert(2)>")  # "quoted" & <u>under</u>
        yield mutex_unlock(self.lock)

    @at_end
    def never(self, s):
        return "<h1>loud</h1>"[:0] or "<h1>loud</h1>"


def test_markup_stays_text():
    """Names, values, comments and messages with markup are shown as they are."""
    stepper = Stepper(Markup)
    for _ in range(3):
        html = stepper._picture.value.replace("<b>&lt;b&gt;", "")
        html += "".join(row.children[1].value for row in stepper._steps.children)
        html += stepper._message.value + stepper._story.value
        for bad in ("<script", "<i>", "<u>", "<img", "<h1>", "<b>bold"):
            assert bad not in html
        stepper.step("<b>bold</b>")
    assert "&lt;h1&gt;loud" in stepper._message.value


def test_predict_keeps_and_compares(capsys):
    """A chosen answer is compared with the machine's; without one the machine just answers."""
    guess = Predict("Is it so?", ["yes", "no"])
    guess.compare("no")
    guess.choose("yes")
    guess.compare("no")
    guess.choose("no")
    guess.compare("no")
    assert capsys.readouterr().out.splitlines() == [
        "You made no prediction. The machine says: no.",
        "You said 'yes'; the machine says 'no'.",
        "You said 'no', and so does the machine.",
    ]


def test_predict_refuses_what_is_no_option():
    """An answer that was not offered is an error that lists the options."""
    guess = Predict("Is it so?", ["yes", "no"])
    with pytest.raises(ValueError, match="options are yes, no"):
        guess.choose("perhaps")
    with pytest.raises(ValueError, match="none of the options: yes, no"):
        guess.compare("perhaps")
    with pytest.raises(ValueError, match="at least two"):
        Predict("?", ["only"])


def test_verdicts_side_by_side():
    """The table has a row per scenario, with verdict and numbers, as text and as HTML."""
    table = judge([Increments, AtomicIncrements, PassItOn])
    text = repr(table).splitlines()
    assert text[0].split("  ")[0] == "scenario"
    assert "66.7 %" in text[1]
    assert "4 steps, 2 switches" in text[1]
    assert text[2].split()[:2] == ["AtomicIncrements", "holds"]
    assert "without end" in text[3]
    assert table["AtomicIncrements"].ok
    assert "<table>" in table._repr_html_()


def test_source_is_shown_as_written():
    """The listing in a notebook is the scenario's own source."""
    assert "def increment(self):" in source(Increments).data


class Racy(Scenario):
    """A data race in the initial state."""

    def setup(self):
        self.x = Cell(0)

    @thread(copies=2)
    def write(self):
        from vmbus_teach.kernel import store

        yield store(self.x, 1)


def test_find_a_failure_names_a_data_race():
    """A data race ends no schedule, so the stepper says in words what it has found."""
    stepper = Stepper(Racy)
    stepper.find_a_failure()
    assert "data-race" in stepper._message.value
