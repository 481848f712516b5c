"""The stepper without a browser: what it ships, what it answers, and what stands in its place as text."""

import json

import pytest

from vmbus_teach import Scenario, ScheduleError, Stepper, at_end, thread
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, Mutex, mutex_lock, mutex_unlock
from vmbus_teach.scenarios.classics import AtomicIncrements, Increments, LockedIncrements
from vmbus_teach.scenarios.retarget import HostIsLate, PerCpuLists
from vmbus_teach.views import stepper as module
from vmbus_teach.views.fallback import SHOWN


def ask(stepper, **request):
    """What the stepper answers to a page that has all states that were sent."""
    sent, pane = [], request.get("pane", 0)
    stepper.send = sent.append
    known = stepper.panes[pane].document._sent["states"]
    stepper._hear(stepper, {"pane": pane, "id": "1", "known": known, **request}, [])
    return json.loads(json.dumps(sent[0]))


def test_a_small_scenario_is_shipped_as_a_whole():
    """Its document is complete, has the verdict and a fate for each state: nobody has to be asked."""
    document = Stepper(PerCpuLists).documents[0]
    assert document["complete"]
    assert len(document["states"]) == len(document["fates"]) == 354
    assert document["explored"]["failures"][0]["kind"] == "at_end"


def test_a_large_scenario_is_shipped_in_part_and_answers(monkeypatch):
    """Beyond the bound the page gets what is known, and asks for more: after a state, along a schedule, a search."""
    monkeypatch.setattr(module, "SHIPPED", 10)
    stepper = Stepper(PerCpuLists)
    document = stepper.documents[0]
    assert not document["complete"] and document["explored"] is None
    known = set(document["states"])
    to = next(str(move[2]) for entry in document["states"].values() for move in entry[2] if str(move[2]) not in known)
    assert to in ask(stepper, do="expand", state=int(to))["news"]["states"]
    late = stepper.exploration.failures[0].schedule.steps
    followed = ask(stepper, do="follow", steps=list(late))["news"]
    assert len(followed["states"]) >= len(late) - 10
    explored = ask(stepper, do="explore")["news"]["explored"]
    assert explored["failures"][0]["steps"] == list(late)


class WrongLater(Scenario):
    """A program that turns out to be wrong only behind the other one's step."""

    def setup(self):
        self.ready = Cell(0)

    @thread()
    def first(self):
        for _ in range(20):
            yield READ_ONCE(self.ready)
        yield WRITE_ONCE(self.ready, 1)

    @thread()
    def second(self):
        if (yield READ_ONCE(self.ready)):
            yield 7


def test_a_program_that_turns_out_to_be_wrong_ends_in_a_sentence(monkeypatch):
    """The page gets what the error says instead of no answer, for a search as for a step, and can ask again."""
    monkeypatch.setattr(module, "SHIPPED", 4)
    stepper = Stepper(WrongLater)
    wrong = "yields 7 (an int), which is no operation"
    assert wrong in ask(stepper, do="explore")["error"]
    assert wrong in ask(stepper, do="follow", steps=["first"] * 21 + ["second"])["error"]
    assert "error" not in ask(stepper, do="follow", steps=["first"] * 3)


def test_a_second_view_that_has_missed_something_gets_everything(monkeypatch):
    """A page says how many states it has; if that is not all that was sent, the answer begins at the start."""
    monkeypatch.setattr(module, "SHIPPED", 10)
    stepper = Stepper(PerCpuLists)
    few = len(stepper.documents[0]["states"])
    followed = ask(stepper, do="follow", steps=["host_sends"] * 3)["news"]
    assert followed["texts"]["from"] > 0
    everything = ask(stepper, do="follow", steps=["host_sends"] * 3, known=few)["news"]
    assert everything["texts"]["from"] == 0
    assert len(everything["states"]) == few + len(followed["states"])


def test_python_and_the_page_are_at_the_same_place():
    """What Python does is in the traits, and what the page writes there moves the session."""
    stepper = Stepper(Increments)
    stepper.step("worker_0")
    stepper.step("worker_1")
    stepper.undo()
    assert (stepper.schedule, stepper.at) == ("worker_0 worker_1", 1)
    stepper.redo()
    stepper.schedule, stepper.at = "worker_1*2 worker_0", 2  # as the page does
    assert [step.choice.word for step in stepper.session.trace] == ["worker_1", "worker_1"]
    assert stepper.session.can_redo
    stepper.step("worker_0")
    assert (stepper.schedule, stepper.at) == ("worker_1*2 worker_0", 3)


def test_find_a_failure_loads_its_schedule():
    """The stepper then stands at the end of the failing schedule; where nothing fails, nothing moves."""
    stepper = Stepper(Increments)
    stepper.find_a_failure()
    assert len(stepper.session.trace) == 4
    assert stepper.session.failures[0].kind == "at_end"
    fine = Stepper(AtomicIncrements)
    fine.find_a_failure()
    assert fine.exploration.ok and not fine.session.trace


def test_a_schedule_can_be_loaded_and_a_wrong_one_is_refused():
    """The second argument is replayed; one that does not fit raises an error that says where, and loses nothing."""
    stepper = Stepper(Increments, "worker_0*2")
    assert len(stepper.session.trace) == 2
    with pytest.raises(ScheduleError, match="step 3 of 3"):
        Stepper(Increments, "worker_0*3")
    with pytest.raises(ScheduleError, match="step 3 of 3"):
        stepper.replay("worker_0*3")
    assert (stepper.schedule, stepper.at) == ("worker_0*2", 2)


def test_two_scenarios_side_by_side():
    """The second one is shipped, too; the schedule belongs to the first."""
    stepper = Stepper(Increments, "worker_0 worker_1", beside=LockedIncrements)
    assert [document["scenario"]["title"] for document in stepper.documents] == ["Increments", "LockedIncrements"]
    assert str(stepper.session.scenario) == "Increments"
    assert ask(stepper, pane=1, do="explore")["pane"] == 1
    stops = "LockedIncrements: the same schedule goes as far as step 1 of 2: worker_1 cannot step now: it spins for"
    assert stops in repr(stepper) and stops in stepper._repr_mimebundle_()[0]["text/html"]
    stepper.undo()
    assert "the same 1 step, and nothing has failed" in repr(stepper)
    fails_too = Stepper(Increments, "worker_0 worker_1*2 worker_0", beside=Increments)
    assert "fails here, too: nothing_is_lost" in repr(fails_too)


def test_text_of_a_fresh_stepper():
    """Without a browser the stepper is the state and the choices, as text; nbval compares it."""
    expected = [
        "Increments, after 0 steps",
        "  count  0",
        "  > worker_0: reads the counter",
        "  > worker_1: reads the counter",
    ]
    assert repr(Stepper(Increments)).splitlines() == expected


def test_text_is_a_time_line():
    """After some steps there is a line for each, with a track per lane and what it changed."""
    expected = [
        "LockedIncrements, after 3 steps",
        "  o  worker_0's CPU",
        "  o    1  worker_0 waits until nobody else is at the counter: spin_lock(count_lock)"
        "  [count_lock free -> held by worker_0]",
        "  o    2  worker_0 reads the counter: READ_ONCE(count) gives 0",
        "  o    3  worker_0 writes back one more: WRITE_ONCE(count, 1)  [count 0 -> 1]",
        "  count       1",
        "  count_lock  held by worker_0",
        "  > worker_0: lets the next one in",
        "  x worker_1: waits until nobody else is at the counter [spins for count_lock, held by worker_0]",
    ]
    assert repr(Stepper(LockedIncrements, "worker_0*3")).splitlines() == expected


def test_every_place_finds_something_to_show():
    """A live page gets the widget; one without a kernel a table with a caption, or text."""
    stepper = Stepper(HostIsLate)
    stepper.find_a_failure()
    data, _ = stepper._repr_mimebundle_()
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}
    assert data["text/plain"] == repr(stepper)
    html = data["text/html"]
    assert html.count("<caption") == 2 and "HostIsLate, after 22 steps" in html
    assert "no_message_is_left does not hold" in html
    assert "<script" not in html and "<style" not in html


class Endless(Scenario):
    """Steps without end."""

    def setup(self):
        self.bit = Cell(0)

    @thread()
    def toggle(self):
        while True:
            bit = yield READ_ONCE(self.bit)
            yield WRITE_ONCE(self.bit, 1 - bit)


def test_of_a_long_schedule_the_end_is_shown():
    """A table of 2,000 rows helps nobody: the last steps are there, with their numbers."""
    stepper = Stepper(Endless, "toggle*2000")
    assert len(repr(stepper).splitlines()) < SHOWN + 10
    assert "  2000  toggle" in repr(stepper) and "    1  toggle" not in repr(stepper)
    assert stepper._repr_mimebundle_()[0]["text/html"].count("<tr>") < SHOWN + 10


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
        html = stepper._repr_mimebundle_()[0]["text/html"]
        for bad in ("<script", "<i>", "<u>", "<img", "<h1>", "<b>"):
            assert bad not in html
        stepper.step("<b>bold</b>")
    assert "&lt;h1&gt;loud" in stepper._repr_mimebundle_()[0]["text/html"]
