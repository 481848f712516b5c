"""The stepper as people use it: in JupyterLab and Notebook 7, by mouse, keyboard and ear, and when things go wrong."""

import re

import pytest
from browser import (
    DARK,
    axe,
    cells,
    choose_theme,
    open_notebook,
    outputs,
    restart_kernel,
    run_all,
    run_cell,
    shot,
    write_notebook,
)
from conftest import ROOT
from playwright.sync_api import expect

from vmbus_teach import explore
from vmbus_teach.scenarios.retarget import HostIsLate

pytestmark = pytest.mark.needs("chromium")

IMPORTS = """
from vmbus_teach import *
from vmbus_teach import Stepper
from vmbus_teach.kernel import *
from vmbus_teach.scenarios.classics import *
from vmbus_teach.scenarios.retarget import *
"""
ASKS_THE_KERNEL = "from vmbus_teach.views import stepper\nstepper.SHIPPED = 3\n"


def show(page, lab, *sources):
    """Opens a notebook with these cells, runs it, and gives the steppers on the page."""
    write_notebook(lab, "stepper.ipynb", [IMPORTS + sources[0], *sources[1:]])
    open_notebook(page, "stepper.ipynb")
    run_all(page)
    found = page.locator(".vt")
    expect(found.first.locator(".vt-lane").first).to_be_visible()
    return found


def step(stepper, word):
    """Clicks the button of a step, and waits until the log has it."""
    rows = stepper.locator(".vt-row").count()
    stepper.locator(f'[data-word="{word}"]').click()
    expect(stepper.locator(".vt-row")).to_have_count(rows + 1)


def status(stepper):
    """What the stepper says, and a screen reader with it."""
    return stepper.get_by_role("status")


def settle(stepper):
    """Waits until the stepper has done all that it was asked to."""
    stepper.evaluate("""async ({stepper}) => {
        for (let turn; turn !== stepper.turn; await turn) turn = stepper.turn;
        await stepper.looking;
    }""")


def tab_into(page, stepper):
    """Presses Tab until the focus is on the first step button of a stepper."""
    inside = "stepper => stepper.contains(document.activeElement) && document.activeElement.matches('.vt-step')"
    for _ in range(80):
        if stepper.evaluate(inside):
            return
        page.keyboard.press("Tab")
    pytest.fail("80 times Tab, and no step button of the stepper has the focus")


def in_sight(line, box):
    """Whether a line lies within the part of a scrolling box that can be seen."""
    return line.evaluate(
        "(line, box) => { const a = line.getBoundingClientRect(), b = line.closest(box).getBoundingClientRect();"
        " return a.top >= b.top - 1 && a.bottom <= b.bottom + 1; }", box
    )


# ---- by mouse ----


def test_step_undo_find_and_jump(page, lab):
    """The buttons do what they say, and Python is at the same place."""
    stepper = show(page, lab, "shown = Stepper(Increments)\nshown", "print(shown.session.schedule.steps)").first
    for word in ("worker_0", "worker_1", "worker_0", "worker_1"):
        step(stepper, word)
    expect(status(stepper)).to_contain_text("nothing_is_lost does not hold at the end: 1 of 2 are left")
    expect(status(stepper)).to_contain_text("Decided in step 2: worker_1 reads the counter.")
    stepper.get_by_role("button", name="Undo").click()
    expect(status(stepper)).to_contain_text("Step 3, worker_0: writes back one more")
    stepper.locator(".vt-row").nth(0).click()
    expect(stepper.locator(".vt-row[aria-current]")).to_have_text(re.compile("^Step 1, worker_0"))
    page.wait_for_timeout(200)  # the page reports where it is when it has been painted
    run_cell(page, "cell-2")
    assert outputs(page)["cell-2"][0]["text"] == "('worker_0',)\n"
    stepper.get_by_role("button", name="Find a failure").click()
    expect(stepper.locator(".vt-row")).to_have_count(4)
    expect(status(stepper)).to_contain_text("✗ wrong at the end")


def test_what_python_does_is_on_the_page(page, lab):
    """A step taken by a cell is drawn, and an undone one is undone."""
    stepper = show(page, lab, "shown = Stepper(Increments)\nshown", "shown.step('worker_1')", "shown.undo()").first
    expect(stepper.locator(".vt-row")).to_have_count(1)
    expect(stepper.locator(".vt-steps")).to_have_text("0 of 1 step")
    run_cell(page, "cell-2")
    expect(status(stepper)).to_contain_text("Step 1, worker_1: reads the counter")


def test_two_steppers_do_not_disturb_each_other(page, lab):
    """Two steppers of one scenario, and two views of one stepper: the first are apart, the second together."""
    steppers = show(page, lab, "first = Stepper(Increments)\nfirst", "Stepper(Increments)", "first")
    step(steppers.nth(0), "worker_1")
    expect(steppers.nth(2).locator(".vt-row")).to_have_count(1)
    expect(steppers.nth(1).locator(".vt-row")).to_have_count(0)


def test_what_waits_says_why(page, lab):
    """A context that cannot go on keeps its button; pressed, it gives the reason, and nothing happens."""
    stepper = show(page, lab, "Stepper(LockedIncrements, 'worker_0')").first
    button = stepper.locator('[data-word="worker_1"]')
    expect(button).to_have_attribute("aria-disabled", "true")
    button.click(force=True)  # Playwright takes it for disabled, a person may try
    expect(status(stepper)).to_contain_text("worker_1 cannot step now: it spins for count_lock, held by worker_0.")
    expect(stepper.locator(".vt-row")).to_have_count(1)


def test_a_schedule_is_pasted_and_a_wrong_one_gets_its_sentence(page, lab):
    """What fits is played, what does not says at which step and what would be possible; nothing is lost."""
    stepper = show(page, lab, "Stepper(Increments, 'worker_0')").first
    stepper.get_by_role("button", name="Paste").click()
    for text, said in (
        ("worker_0*3", "step 3 of 3 of the schedule does not fit: worker_0 has nothing to do now."),
        ("worker_0 * 3", "'*' is no step of a schedule."),
        ("nobody", "there is no context 'nobody' in Increments. Possible now: worker_0, worker_1."),
    ):
        stepper.get_by_role("textbox").fill(text)
        stepper.get_by_role("button", name="Play it").click()
        expect(status(stepper)).to_contain_text(said)
        expect(stepper.locator(".vt-row")).to_have_count(1)
    stepper.get_by_role("textbox").fill("Increments@0000: worker_1*2\n worker_0")
    stepper.get_by_role("button", name="Play it").click()
    expect(stepper.locator(".vt-row")).to_have_count(3)


def test_before_and_after(page, lab):
    """The same schedule on the repaired scenario goes as far as it can, and a sentence says why not further."""
    stepper = show(page, lab, "Stepper(Increments, beside=LockedIncrements)").first
    step(stepper, "worker_0")
    step(stepper, "worker_1")
    expect(stepper.locator(".vt-pane").nth(1)).to_contain_text(
        "The same schedule goes as far as step 1 of 2: worker_1 cannot step now: it spins for count_lock"
    )
    shot(stepper, "before-and-after")


# ---- by keyboard ----


def test_by_keyboard_alone(page, lab):
    """Lose an interrupt, undo it, find the failure, read the verdict: without a mouse."""
    stepper = show(page, lab, "Stepper(HostIsLate)").first
    tab_into(page, stepper)
    schedule = explore(HostIsLate).failures[0].schedule.steps
    for number, word in enumerate(schedule, 1):  # each context has its key, which stands on its button
        page.keyboard.press(stepper.locator(f'[data-word="{word}"]').get_attribute("data-key"))
        expect(stepper.locator(".vt-steps")).to_have_text(re.compile(f"^{number} step"))
    expect(status(stepper)).to_contain_text("no_message_is_left does not hold")
    page.keyboard.press("ArrowLeft")
    expect(status(stepper)).not_to_contain_text("✗")
    page.keyboard.press("f")
    expect(status(stepper)).to_contain_text("no_message_is_left does not hold")
    lost = stepper.locator(".vt-row").last.text_content()
    assert "vmbus_isr_0 on CPU 0: looks the channel up in this CPU's list" in lost and "fails" in lost
    for _ in range(8):  # back to before the step that decided
        page.keyboard.press("ArrowLeft")
    expect(stepper.locator(".vt-steps")).to_have_text("14 of 22 steps")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("m")
    expect(stepper.locator(".vt-fate").first).to_be_visible()
    page.keyboard.press("Home")
    expect(stepper.locator(".vt-steps")).to_have_text("0 of 22 steps")
    page.keyboard.press("Shift+Digit3")  # target_cpu_store runs until it waits
    expect(stepper.locator(".vt-row").first).to_contain_text("begins to move the channel")
    page.keyboard.press("?")
    expect(stepper.locator(".vt-help")).to_be_visible()


@pytest.mark.parametrize("app", ["lab", "notebook"])  # they differ in who gets a key first
def test_keys_leave_the_notebook_as_it_was(page, lab):
    """d d, x, m, a, b, y, z typed in the stepper cut, insert and change no cell; Escape gives the keys back."""
    stepper = show(page, lab, "Stepper(Increments)", "1 + 1").first
    before = cells(page)
    tab_into(page, stepper)
    for key in "ddxmabyzcvjk" + "0":
        page.keyboard.press(key)
    page.keyboard.press("Control+x")
    page.keyboard.press("ArrowDown")
    stepper.get_by_role("slider").focus()
    for key in ("d", "d", "x", "ArrowLeft"):
        page.keyboard.press(key)
    page.wait_for_timeout(200)
    assert cells(page) == before


def test_the_focus_stays_where_it_is(page, lab):
    """A button that is pressed keeps the focus, also when its context has to wait next."""
    stepper = show(page, lab, "Stepper(LockedIncrements)").first
    button = stepper.locator('[data-word="worker_1"]')
    step(stepper, "worker_0")
    button.focus()
    page.keyboard.press("Enter")
    expect(status(stepper)).to_contain_text("worker_1 cannot step now")
    expect(button).to_be_focused()
    page.keyboard.press("1")
    expect(stepper.locator(".vt-row")).to_have_count(2)
    expect(button).to_be_focused()


# ---- by ear ----


def test_axe_finds_nothing_serious(page, lab):
    """At the start, with marks and help, and at a failure; in the stepper, and in the page around it for its sake."""
    stepper = show(page, lab, "Stepper(HostIsLate)").first
    assert axe(page, ".vt") == []
    tab_into(page, stepper)
    for key in ("m", "?", "p"):
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    assert axe(page, ".vt") == []
    stepper.get_by_role("button", name="Find a failure").click()
    expect(status(stepper)).to_contain_text("✗")
    assert axe(page, ".vt") == []


def test_every_step_has_its_sentence(page, lab):
    """A screen reader hears each step with number, context, place, what it does and what it changes."""
    stepper = show(page, lab, "Stepper(HostIsLate, explore(HostIsLate).failures[0].schedule)").first
    stepper.locator(".vt-scroll").evaluate("log => { log.scrollTop = 0; }")
    first = stepper.locator(".vt-row").first
    expect(first).to_have_text(
        "Step 1, target_cpu_store on CPU 0: begins to move the channel: mutex_lock(channel_mutex); "
        "changes channel_mutex free → held by target_cpu_store"
    )
    for row in stepper.locator(".vt-row").all():
        assert re.match(r"Step \d+, \w+ on (CPU \d|host): \w", row.text_content())
    assert status(stepper).get_attribute("aria-live") == "polite"


# ---- when things go wrong ----


def test_kernel_restart_is_told_and_the_page_goes_on(page, lab, watch):
    """A stepper that is in the page as a whole says that its kernel is gone, and still steps; run again, it is new."""
    watch.allow("comm|kernel|Kernel")
    stepper = show(page, lab, "Stepper(Increments)").first
    step(stepper, "worker_0")
    restart_kernel(page)
    expect(stepper.locator(".vt-where")).to_contain_text("it goes on in this page")
    step(stepper, "worker_1")
    run_all(page)
    expect(page.locator(".vt .vt-where")).to_have_text("all 12 states in this page")
    expect(page.locator(".vt .vt-row")).to_have_count(0)


def test_kernel_restart_under_a_large_scenario(page, lab, watch):
    """One that asks the kernel says that it can no longer, keeps what it has, and is well after its cell has run."""
    watch.allow("comm|kernel|Kernel")
    stepper = show(page, lab, ASKS_THE_KERNEL + "Stepper(PerCpuLists)").first
    step(stepper, "host_sends")
    step(stepper, "host_sends")
    restart_kernel(page)
    expect(stepper.locator(".vt-where")).to_contain_text("run its cell again")
    while "not in the page" not in status(stepper).inner_text():
        rows = stepper.locator(".vt-row").count()
        stepper.locator(".vt-step:not([aria-disabled])").first.click()
        page.wait_for_timeout(100)
        assert rows < 20
    expect(stepper.locator(".vt-row")).to_have_count(rows)
    run_all(page)
    step(page.locator(".vt").first, "host_sends")


def test_with_and_without_the_kernel_it_is_the_same(page, lab):
    """The same clicks show the same, whether the states are in the page or asked for one by one."""
    steppers = show(page, lab, "Stepper(HostIsLate)", ASKS_THE_KERNEL + "Stepper(HostIsLate)")
    texts = []
    for stepper in (steppers.nth(0), steppers.nth(1)):
        seen = []
        stepper.locator(".vt-step").first.focus()
        for key in ("Shift+Digit3", "Digit1", "w", "ArrowLeft", "ArrowLeft", "m", "f", "Home", "ArrowRight"):
            page.keyboard.press(key)
            settle(stepper)
            seen.append([stepper.locator(part).inner_text() for part in (".vt-status", ".vt-panes", ".vt-steps")])
        texts.append(seen)
    for here, there in zip(*texts, strict=True):
        assert here == there
    assert steppers.nth(1).locator(".vt-where").inner_text() == "asks the kernel for new states"


MARKUP = """
class Markup(Scenario):
    "<b>about</b> <img src=x onerror=window.hacked=1>"
    def setup(self):
        self.text = Cell("<script>window.hacked=1</script>")
        self.add_thread(self.write, name="<b>bold</b>")
    def write(self):
        yield WRITE_ONCE(self.text, "<img src=x onerror=window.hacked=1>")  # <i>slanted</i> & "quoted"
    @at_end
    def never(self, s):
        return "<h1>loud</h1>"
Stepper(Markup)
"""


def test_markup_stays_text(page, lab):
    """Names, values, comments, doc strings and messages are shown as they are written, and nothing of them runs."""
    stepper = show(page, lab, MARKUP).first
    step(stepper, "<b>bold</b>")
    for text in ("<b>bold</b>", "<i>slanted</i>", "<h1>loud</h1>", "onerror=window.hacked=1"):
        expect(stepper).to_contain_text(text)
    assert stepper.locator("img, i:not([class]), h1, script").count() == 0
    assert page.evaluate("window.hacked") is None


# ---- how it looks: the pictures lie in build/pictures ----

TALL = 3000  # a window in which a stepper is not cut off


FAILED = "found = explore(HostIsLate).failures[0]\nStepper(HostIsLate, str(found.schedule))"
OVERFLOW = "stepper => stepper.scrollWidth - stepper.clientWidth"


@pytest.mark.parametrize("looks, options", [
    ({"light": 1280, "narrow": 640}, {}),
    ({"zoomed": 640}, {"device_scale_factor": 2}),
], ids=["as it is", "zoomed"])  # fmt: skip
def test_pictures(new_page, lab, looks, options):
    """Wide and narrow, and zoomed, at a failure and before it: nothing overflows, nothing is cut off."""
    page = new_page(height=TALL, **options)
    stepper = show(page, lab, FAILED).first
    for name, width in looks.items():
        page.set_viewport_size({"width": width, "height": TALL})
        stepper.press("End")
        shot(stepper, f"failure-{name}")
        assert stepper.evaluate(OVERFLOW) <= 0, name
        for _ in range(6):
            stepper.get_by_role("button", name="Undo").click()
        shot(stepper, f"step-{name}")
        assert stepper.evaluate(OVERFLOW) <= 0, name


def test_pictures_in_the_dark(new_page, lab):
    """The same in JupyterLab's dark theme, in which axe finds nothing serious."""
    choose_theme(lab, DARK)
    stepper = show(page := new_page(height=TALL), lab, FAILED).first
    shot(stepper, "failure-dark")
    assert axe(page, ".vt") == []
    for _ in range(6):
        stepper.get_by_role("button", name="Undo").click()
    shot(stepper, "step-dark")


def test_pictures_of_the_readme(page, lab):
    """The README's picture has the marks in it; `make picture` takes it from build/pictures/."""
    page.set_viewport_size({"width": 1280, "height": TALL})
    schedule = "target_cpu_store*3 host_retargets*2 ipi0*2 host_sends*4 vmbus_isr_1"
    stepper = show(page, lab, f"Stepper(PerCpuLists, {schedule!r})").first
    stepper.get_by_role("button", name="Mark").click()
    expect(stepper.locator(".vt-fate").first).to_be_visible()
    shot(stepper, "readme")


def test_many_cpus_long_listings_long_schedules(new_page, lab):
    """Twenty CPUs, 400 lines and 2,000 steps are drawn without overflow, and the present line and step are in sight."""
    page = new_page(height=TALL)
    imports = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom benchmarks.large import *\n"
    steppers = show(
        page, lab, imports + "Stepper(TwentyCpus)", "Stepper(LongListing)", "Stepper(Endless, LONG_SCHEDULE)"
    )
    for number, name in enumerate(("twenty-cpus", "long-listing", "long-schedule")):
        stepper = steppers.nth(number)
        shot(stepper, name)
        assert stepper.evaluate("stepper => stepper.scrollWidth - stepper.clientWidth") <= 0, name
    listing = steppers.nth(1)
    for _ in range(30):
        listing.locator(".vt-step").first.click()
    expect(listing.locator(".vt-row")).not_to_have_count(0)
    assert in_sight(listing.locator(".vt-here").first, "pre")
    long = steppers.nth(2)
    assert long.locator(".vt-row").count() < 60
    expect(long.locator(".vt-row[aria-current]")).to_have_text(re.compile("^Step 2000, "))
    assert in_sight(long.locator(".vt-row[aria-current]"), ".vt-scroll")
