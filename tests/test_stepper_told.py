"""What the stepper says, and what it does not: in a page of its own, which needs no kernel and no Jupyter."""

import re

import pytest
from playwright.sync_api import expect

from vmbus_teach import Scenario, Session, explore, invariant, thread
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, Struct, choose, kfree, kzalloc, load, store
from vmbus_teach.scenarios.classics import AbBa, Increments, LockedIncrements
from vmbus_teach.scenarios.retarget import HostIsLate, PerCpuLists
from vmbus_teach.views import stepper as module
from vmbus_teach.views import write_page

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def opened(chromium, tmp_path, watch):
    """Opens the page of a stepper, and gives the stepper in it."""
    contexts = []

    def opened(scenario, **browser):
        context = chromium.new_context(viewport={"width": 1200, "height": 1000}, **browser)
        contexts.append(context)
        watch.listen(context)
        page = context.new_page()
        page.goto(write_page(scenario, tmp_path / "page.html").as_uri())
        return page.locator(".vt")

    yield opened
    for context in contexts:
        context.close()


def press(stepper, *keys):
    """Presses keys in the stepper, one after the other, and waits until it is done."""
    for key in keys:
        stepper.press(key)
        stepper.evaluate("({stepper}) => stepper.turn")


def status(stepper):
    """What the stepper says."""
    return stepper.get_by_role("status")


class Racy(Scenario):
    """Two plain accesses that nothing orders."""

    def setup(self):
        self.x = Cell(0)

    @thread()
    def writer(self):
        yield store(self.x, 1)  # writes x

    @thread()
    def reader(self):
        yield load(self.x)  # reads x


def test_a_data_race_is_told_where_it_is_and_at_the_end(opened):
    """A schedule through a data race does not end green, and the race is said once."""
    stepper = opened(Racy)
    expect(status(stepper)).to_contain_text("✗ data race")
    press(stepper, "1", "2")
    expect(status(stepper)).to_contain_text("All has been done. On the way there was a data race, at the start.")
    expect(status(stepper)).not_to_contain_text("nothing failed")
    press(stepper, "f")
    assert status(stepper).inner_text().count("data race") == 1


def test_every_schedule_fails_is_said_only_where_it_was_proved(opened):
    """Where all ways fail, the stepper says so; where another choice would have helped, it names the step."""

    class Doomed(Increments):
        """The counter can't be what is asked for."""

        def setup(self):
            super().setup()
            self.expected = 3

    stepper = opened(Doomed)
    press(stepper, "w")
    expect(status(stepper)).to_contain_text("every schedule of this scenario fails")
    stepper = opened(Increments)
    press(stepper, "1", "2", "1", "2")
    expect(status(stepper)).to_contain_text("Decided in step 2: worker_1 reads the counter.")


def test_a_search_that_was_cut_short_proves_nothing(opened, monkeypatch):
    """Then a failure is shown without a word on what could have avoided it, and marks may say that they do not know."""
    monkeypatch.setattr(module, "SEARCHED", 60)
    stepper = opened(HostIsLate)
    press(stepper, "m")
    expect(status(stepper)).to_contain_text("The search was cut short")
    for word in explore(HostIsLate).failures[0].schedule.steps:
        stepper.locator(f'[data-word="{word}"]').click()
    expect(status(stepper)).to_contain_text("no_message_is_left does not hold")
    for claim in ("could have avoided", "Decided in step"):
        expect(status(stepper)).not_to_contain_text(claim)
    press(stepper, "Home")
    assert "? not known" in stepper.locator(".vt-lanes").inner_text() or "◐ possible" in stepper.inner_text()


def test_marks_are_those_of_the_search(opened):
    """Along a failing schedule, each mark is the fate that Exploration gives the choice."""
    result = explore(HostIsLate)
    session = Session(HostIsLate)
    stepper = opened(HostIsLate)
    press(stepper, "m")
    for word in result.failures[0].schedule.steps:
        for choice, fate in result.fates(session).items():
            marked = stepper.locator(f'.vt-choice:has([data-word="{choice}"])')
            expect(marked).to_contain_text(fate)
        stepper.locator(f'[data-word="{word}"]').click()
        session.step(word)


def test_a_context_that_waits_is_not_told_to_be_stopped(opened):
    """In a deadlock, the log does not say that somebody could have gone on."""
    stepper = opened(AbBa)
    press(stepper, "f")
    expect(status(stepper)).to_contain_text("deadlock")
    log = stepper.locator(".vt-log").inner_text()
    assert "before one " in log and "before other " not in log


def test_the_value_none_can_be_chosen(opened):
    """Each alternative has its button with its value, None included, and the log says which was taken."""

    class Allocation(Scenario):
        """It may fail."""

        def setup(self):
            self.got = Cell("nothing yet")

        @thread()
        def asks(self):
            found = yield choose((1, None))
            yield WRITE_ONCE(self.got, found)

    stepper = opened(Allocation)
    stepper.get_by_role("button", name="Step: None").click()
    expect(stepper.locator(".vt-row")).to_contain_text("= None")
    press(stepper, "Home", "1")
    expect(status(stepper)).to_contain_text("asks leaves something open: choose with Tab and Enter.")
    expect(stepper.get_by_role("button", name="Step: 1")).to_be_focused()


def test_marks_and_what_disappears_leave_the_focus(opened):
    """A mark that appears does not move the focus; where its button is gone, the focus goes to the next thing to do."""
    stepper = opened(LockedIncrements)
    button = stepper.locator('[data-word="worker_0"]')
    button.focus()
    button.press("m")
    expect(stepper.locator(".vt-fate").first).to_be_visible()
    expect(button).to_be_focused()
    for _ in range(4):
        button.press("1")
    expect(stepper.locator('[data-word="worker_1"]')).to_be_focused()


def test_steps_stay_in_their_places(opened):
    """Along the failing schedule of the course's main race, no button moves sideways or changes its lane."""
    stepper = opened(PerCpuLists)
    places = {}
    for word in explore(PerCpuLists).failures[0].schedule.steps:
        button = stepper.locator(f'[data-word="{word}"]')
        box = button.bounding_box()
        assert places.setdefault(word, round(box["x"])) == round(box["x"]), word
        button.click()
        stepper.evaluate("({stepper}) => stepper.turn")


class FreedTooEarly(Scenario):
    """A reader keeps a pointer that another frees."""

    def setup(self):
        self.channel = Struct("channel", relid=7)
        self.pointer = Cell(None)

    @thread()
    def owner(self):
        thing = yield kzalloc(self.channel)  # allocates the channel
        yield WRITE_ONCE(self.pointer, thing)  # publishes it
        yield kfree(thing)  # frees it

    @thread()
    def reader(self):
        thing = yield READ_ONCE(self.pointer)  # takes the pointer
        if thing is not None:
            yield READ_ONCE(thing.relid)  # looks at the channel


def test_objects_show_their_life(opened):
    """An object appears when it is allocated, with who did it; then it is freed, and used too late."""
    stepper = opened(FreedTooEarly)
    table = stepper.locator(".vt-state")
    expect(table).not_to_contain_text("channel#0")
    press(stepper, "1")
    expect(table.locator("tr", has_text=re.compile("^channel#0[^.]"))).to_contain_text("owner (1)")
    press(stepper, "1", "2", "1")
    expect(table.locator("tr", has_text=re.compile("^channel#0[^.]"))).to_contain_text("freed")
    press(stepper, "2")
    expect(status(stepper)).to_contain_text("use-after-free")
    expect(stepper.locator(".vt-failed-here")).to_have_text("✗ failed in this step")


class TwoFailures(Scenario):
    """Two properties that fail in different schedules."""

    def setup(self):
        self.first = Cell(None)

    @thread(copies=1)
    def left(self):
        yield WRITE_ONCE(self.first, "left")

    @thread(copies=1)
    def right(self):
        yield WRITE_ONCE(self.first, "right")

    @invariant
    def not_left(self, s):
        return s[self.first] != "left"

    @invariant
    def not_right(self, s):
        return s[self.first] != "right"


def test_failures_come_one_after_the_other(opened):
    """The button loads the next failure each time, says which one it is, and begins again after the last."""
    stepper = opened(TwoFailures)
    seen = []
    for number in (1, 2, 1):
        press(stepper, "f")
        expect(status(stepper)).to_contain_text(f"This is failure {number} of 2.")
        seen.append(stepper.locator(".vt-row").inner_text())
    assert seen[0] != seen[1] and seen[0] == seen[2]


def test_an_empty_field_and_other_letters(opened):
    """Playing nothing keeps the walk, CapsLock changes no key, and a digit that is nobody's says so."""
    stepper = opened(Increments)
    press(stepper, "1", "2", "p")
    stepper.get_by_role("button", name="Play it").click()
    expect(status(stepper)).to_contain_text("There is no schedule in the field.")
    expect(stepper.locator(".vt-row")).to_have_count(2)
    stepper.get_by_role("button", name="Close").click()
    stepper.focus()
    stepper.evaluate("root => root.dispatchEvent(new KeyboardEvent('keydown', {key: 'F', bubbles: true}))")
    expect(status(stepper)).to_contain_text("wrong at the end")
    press(stepper, "7")
    expect(status(stepper)).to_contain_text("No context has the key 7.")


def test_forced_colours_keep_the_diagram(opened):
    """Where the system chooses the colours, the dots of the diagram are still drawn."""
    stepper = opened(Increments, forced_colors="active")
    press(stepper, "1")
    colour, ground = stepper.locator(".vt-dot").evaluate(
        "dot => [getComputedStyle(dot).backgroundColor, getComputedStyle(document.body).backgroundColor]"
    )
    assert colour != ground and colour != "rgba(0, 0, 0, 0)"
