"""The pictures: what is drawn in them, what their sentences say, and that the same input gives the same bytes."""

import io
import sys
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from vmbus_teach import Scenario, ScenarioError, Session, Stepper, at_end, explore, interrupt, invariant, thread
from vmbus_teach.graph import CERTAIN, IMPOSSIBLE, POSSIBLE
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, choose, load, raise_irq, smp_cond_load_relaxed, store
from vmbus_teach.narrate import shortly
from vmbus_teach.scenarios.classics import AtomicIncrements, Increments, Peterson, PetersonTurnFirst
from vmbus_teach.scenarios.retarget import HostIsLate, PerCpuLists
from vmbus_teach.views.plots import growth, space_time, state_graph
from vmbus_teach.views.plots import states as state_graph_module
from vmbus_teach.views.plots.picture import house_style, shortened, width_of, wrapped
from vmbus_teach.views.plots.style import BLUE, GREEN, GREY, INK, PURPLE, RED


class Endless(Scenario):
    """A task that never ends, an interrupt, and the host."""

    cpus = 1

    def setup(self):
        self.x = Cell(0)

    @thread(cpu=0)
    def flipper(self):
        while True:
            value = yield READ_ONCE(self.x)  # looks at x
            yield WRITE_ONCE(self.x, 1 - value)  # flips x

    @thread(host=True)
    def device(self):
        yield raise_irq(self.handler)  # interrupts

    @interrupt(cpu=0)
    def handler(self):
        yield READ_ONCE(self.x)


class Idle(Scenario):
    """A task that has nothing to do."""

    cpus = 1

    @thread(cpu=0)
    def task(self):
        yield from ()


class Long(Scenario):
    """Every name and text is too long, and full of signs that mean something to others."""

    def setup(self):
        self.a_cell_with_a_name_that_is_much_too_long_for_any_column = Cell(0)
        for i in range(3):
            self.add_thread(self.work, i, name=f"a_task_whose_name_is_far_too_long_for_any_lane_number_{i}")

    def work(self, i):
        # what follows is drawn as it is: $x_1$ is no formula
        cell = self.a_cell_with_a_name_that_is_much_too_long_for_any_column
        yield WRITE_ONCE(cell, f"$x_{i}$ <b>and</b>{' so' * 40}")

    @at_end
    def promise(self, s):
        return "$x$ & <b>a message</b> " + "that goes on and on " * 20


class Broken(Scenario):
    """Fails in the initial state."""

    def setup(self):
        self.x = Cell(0)

    @thread()
    def task(self):
        yield READ_ONCE(self.x)

    @invariant
    def is_one(self, s):
        return s[self.x] == 1


class Crash(Scenario):
    """Fails in a step: an assertion of a program."""

    def setup(self):
        self.x = Cell(0)

    @thread(copies=2)
    def task(self):
        value = yield READ_ONCE(self.x)
        yield WRITE_ONCE(self.x, value + 1)
        assert value == 0


class Racy(Scenario):
    """A data race, which ends no schedule."""

    def setup(self):
        self.x = Cell(0)

    @thread(copies=2)
    def task(self):
        value = yield load(self.x)
        yield store(self.x, value)


class Coins(Scenario):
    """Many schedules and few states: players toss one after the other, 28 times each, and forget what came."""

    def setup(self, players=1):
        self.turn = Cell(0)
        for me in range(players):
            self.add_thread(self.player, me)

    def player(self, me):
        yield smp_cond_load_relaxed(self.turn, lambda turn: turn == me)
        for _ in range(28):
            yield choose((0, 1))
        yield WRITE_ONCE(self.turn, me + 1)


def marks(picture, name):
    """The points of everything in the figure that is marked with a name, in the order in which it was drawn."""
    lines = [line for axes in picture.figure.axes for line in axes.lines if line.get_gid() == name]
    return [point for line in lines for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def texts(picture):
    """Every text of the figure but those of axes' ticks."""
    found = [text.get_text() for text in picture.figure.texts]
    for axes in picture.figure.axes:
        found += [text.get_text() for text in axes.texts]
    for legend in picture.figure.legends:
        found += [text.get_text() for text in legend.get_texts()]
    return found


def legend_of(picture):
    """The words of the legend."""
    return [text.get_text() for legend in picture.figure.legends for text in legend.get_texts()]


def curves(picture, name):
    """How many lines a collection of the figure has."""
    found = [c for axes in picture.figure.axes for c in axes.collections if c.get_gid() == name]
    return sum(len(collection.get_paths()) for collection in found)


def drawn(picture):
    """What measures the texts of a figure, once it has been drawn."""
    with house_style():
        canvas = FigureCanvasAgg(picture.figure)
        canvas.draw()
    return canvas.get_renderer()


def check_that_all_fits(picture):
    """No text leaves the figure, and none is smaller than 8 points."""
    renderer = drawn(picture)
    box = picture.figure.bbox
    found = [*picture.figure.texts, *(t for legend in picture.figure.legends for t in legend.get_texts())]
    for axes in picture.figure.axes:
        found += [*axes.texts, axes.xaxis.label]
        for side, axis, (low, high) in ((0, axes.xaxis, axes.get_xlim()), (1, axes.yaxis, axes.get_ylim())):
            if axes.axison:  # ticks beyond the limits are not drawn
                found += [text for text in axis.get_ticklabels() if low <= text.get_position()[side] <= high]
    assert found
    for text in filter(lambda text: text.get_text(), found):
        extent = text.get_window_extent(renderer)
        assert text.get_fontsize() >= 8, text
        assert extent.x0 >= 0 and extent.x1 <= box.width, text
        assert extent.y0 >= 0 and extent.y1 <= box.height, text


# --- a schedule in space and time ----------------------------------------------------------------


def test_each_step_has_its_marker_in_its_lane():
    """A failure of the course: one marker per step, of the shape of its kind, in the lane of its CPU."""
    failure = explore(HostIsLate).failures[0]
    picture = space_time(failure)
    kinds = {"task": "task", "host": "host", "irq": "interrupt handler", "ipi": "call from another CPU"}
    for kind, word in kinds.items():
        assert len(marks(picture, word)) == sum(step.kind == kind for step in failure.trace)
    lane = {name: marks(picture, f"lane {name}")[0][0] for name in ("CPU 0", "CPU 1", "host")}
    assert lane["CPU 0"] < lane["CPU 1"] < lane["host"]
    assert {x for x, _ in marks(picture, "host")} == {lane["host"]}
    assert {x for x, _ in marks(picture, "task")} == {lane["CPU 0"]}
    drawn = sorted((y, x) for word in kinds.values() for x, y in marks(picture, word))
    assert [x for _, x in drawn] == [lane[step.cpu or "host"] for step in failure.trace]


def test_the_line_goes_from_step_to_step_and_ends_at_the_cross():
    """From the first marker to the last, and on to the failure: as many pieces as there are steps."""
    failure = explore(Increments).failures[0]
    picture = space_time(failure)
    line = marks(picture, "line")
    assert len(line) == 2 * 4
    assert [(a[0] != b[0]) for a, b in zip(line[::2], line[1::2], strict=True)] == [True, False, True, False]
    assert line[-1] == marks(picture, "failure")[0]


def test_what_happens_and_what_it_changes_stand_beside_the_steps():
    """Beside a step are its number, who takes it at each switch, its remark, and what it changes."""
    found = texts(space_time(explore(HostIsLate).failures[0]))
    assert [str(n) for n in range(1, 23)] == [text for text in found if text.isdigit()]
    for text in ("vmbus_isr_0", "takes the event", "READ_ONCE(chan_list[0])", "ring: 0 → 1", "host_target: 0 → 1"):
        assert text in found
    assert found.count("target_cpu_store") == 3 + 1  # each time that it takes over, and once as the end of a line


def test_a_failure_is_told_in_the_picture_and_in_its_sentence():
    """A cross, the word FAILS, the message, and a legend that says what the shapes mean."""
    picture = space_time(explore(Increments).failures[0])
    said = "FAILS after step 4: nothing_is_lost does not hold at the end: 1 of 2 are left (at_end)"
    assert said in " ".join(texts(picture))
    assert legend_of(picture) == ["task", "failure"]
    assert len(marks(picture, "failure")) == 1
    assert picture.alt == (
        "Space-time diagram of Increments: 4 steps, 2 switches between contexts, in the lanes worker_0 and worker_1. "
        f"In this order: worker_0 worker_1*2 worker_0. {said}."
    )


def test_failures_of_steps_states_and_races_differ_in_words():
    """It is said where the schedule fails: in a step, after one, at the start; a data race is called a race."""
    assert "FAILS in step 4:" in space_time(explore(Crash).failures[0]).alt
    assert "FAILS at the start: is_one" in space_time(explore(Broken).failures[0]).alt
    race = explore(Racy).failures[0]
    assert f"RACE after step {len(race.schedule)}: " in space_time(race).alt


def test_handlers_can_be_told_from_tasks():
    """A handler has a shape of its own, in the lane of the task that it interrupts."""
    picture = space_time(Endless, "flipper device handler*2 flipper")
    assert legend_of(picture) == ["task", "host", "interrupt handler"]
    assert {x for x, _ in marks(picture, "interrupt handler")} == {x for x, _ in marks(picture, "task")}
    shapes = {line.get_gid(): line.get_marker() for line in picture.figure.axes[0].lines if line.get_gid()}
    assert len({shapes["task"], shapes["host"], shapes["interrupt handler"]}) == 3


def test_of_a_long_session_the_middle_is_left_out():
    """2,000 steps take no giant figure: the first and last are drawn, and a sentence says how many are not."""
    session = Session(Endless)
    for _ in range(2_000):
        session.step("flipper")
    picture = space_time(session, first=5, last=3)
    assert len(marks(picture, "task")) == 8
    found = texts(picture)
    assert "1,992 steps are left out here" in found
    assert [text for text in found if text.replace(",", "").isdigit()] == [*"12345", "1,998", "1,999", "2,000"]
    assert len(marks(picture, "line")) == 2 * (4 + 2)  # none across the gap
    assert space_time(session).figure.get_figheight() < 16
    assert "2,000 steps" in picture.alt
    with pytest.raises(ScenarioError, match="at least one step"):
        space_time(session, first=0)


def test_a_session_that_goes_well_or_has_not_begun():
    """Without a step there are lanes and a sentence; at a good end it says so; in between it says nothing."""
    session = Session(AtomicIncrements)
    picture = space_time(session)
    assert "Nothing has happened yet." in texts(picture)
    assert not picture.figure.legends
    check_that_all_fits(picture)
    session.step("worker_0")
    assert space_time(session).alt.endswith("In this order: worker_0.")
    session.step("worker_1")
    assert "All has been done, and nothing failed in this schedule." in texts(space_time(session))
    assert not marks(space_time(session), "failure")
    assert len(session.trace) == 2


def test_a_schedule_is_given_only_with_a_scenario():
    """A failure and a session have one already."""
    with pytest.raises(ScenarioError, match="have a schedule already"):
        space_time(Session(Increments), "worker_0")


@pytest.mark.parametrize("wrong", [42, explore(Increments), explore(Increments).failures, Stepper(Increments), None],
                         ids=lambda wrong: type(wrong).__name__)  # fmt: skip
def test_space_time_says_what_it_takes(wrong):
    """A whole search, a stepper or anything else is refused by its kind, with what to give instead."""
    said = rf"^{type(wrong).__name__} is no scenario.*Give result\.failures\[0\], stepper\.session, or a scenario"
    with pytest.raises(ScenarioError, match=said):
        space_time(wrong)


# --- the graph of all states ---------------------------------------------------------------------


def test_every_state_is_drawn_by_what_can_come_after_it():
    """As many marks of each shape as there are states of each fate; the legend says how many."""
    result = explore(PerCpuLists)
    picture = state_graph(result)
    fates = [result.fate(state) for n, state in enumerate(result.graph.states) if n not in result.graph.failing_states]
    words = {IMPOSSIBLE: "no failure can come", POSSIBLE: "a failure can come", CERTAIN: "a failure must come"}
    for fate, word in words.items():
        assert len(marks(picture, fate)) == fates.count(fate) > 0
        assert f"{word} ({fates.count(fate)})" in legend_of(picture)
        assert f"{fates.count(fate)} ({word})" in picture.alt
    assert len(marks(picture, "failing")) == len(result.graph.failing_states)
    assert sum(len(marks(picture, fate)) for fate in (*words, "failing")) == 354
    assert "354 states" in picture.alt


def test_no_two_states_are_drawn_on_one_another():
    """Every state has a place of its own."""
    picture = state_graph(explore(PerCpuLists))
    places = [point for fate in (IMPOSSIBLE, POSSIBLE, CERTAIN, "failing") for point in marks(picture, fate)]
    assert len(set(places)) == len(places) == 354


@pytest.mark.parametrize("scenario", [Increments, PerCpuLists, PetersonTurnFirst, Crash], ids=lambda s: s.__name__)
def test_the_road_leads_from_the_start_to_the_failure(scenario):
    """One piece for each step of the failure's schedule, joined, from the start to a cross."""
    result = explore(scenario)
    picture = state_graph(result)
    assert curves(picture, "road") == len(result.failures[0].schedule)
    road = next(c for axes in picture.figure.axes for c in axes.collections if c.get_gid() == "road").get_paths()
    ends = [(tuple(path.vertices[0]), tuple(path.vertices[-1])) for path in road]
    assert ends[0][0] == (0.0, 0.0)
    assert all(before[1] == after[0] for before, after in pairwise(ends))
    assert ends[-1][1] in marks(picture, "failing")
    assert "the road to the failure" in legend_of(picture)
    assert f"road to the failure takes {len(road)} steps" in picture.alt


def test_failing_steps_are_ends_of_their_own():
    """A step that fails leads to no state, so it gets a cross; the sentence says how many there are."""
    result = explore(Crash)
    picture = state_graph(result)
    assert not result.graph.failing_states
    crashes = sum(len(faults) > 0 for faults in result.graph.failing_steps.values())
    assert len(marks(picture, "failing")) == crashes > 0
    assert f"{crashes} end" in picture.alt


def test_a_chosen_failure_gets_the_road():
    """Any failure of this result can be chosen; one of another search is refused."""
    result = explore(PetersonTurnFirst)
    assert state_graph(result, result.failures[-1]).alt.count(result.failures[-1].message) == 1
    race = explore(Racy)
    assert "the road to the data race" in legend_of(state_graph(race))
    with pytest.raises(ScenarioError, match=r"one of result\.failures"):
        state_graph(result, race.failures[0])


@pytest.mark.parametrize("wrong", [Increments, Increments(), explore(Increments).failures[0], None],
                         ids=lambda wrong: type(wrong).__name__)  # fmt: skip
def test_state_graph_says_what_it_takes(wrong):
    """What has not been explored is refused, with what to give instead."""
    with pytest.raises(ScenarioError, match=r"is no Exploration\. Give what explore returns: state_graph\(explore\("):
        state_graph(wrong)


def test_loops_are_drawn_as_bows():
    """Where a step leads back, the line is bowed and the legend says so; without a failure there is no road."""
    picture = state_graph(explore(Peterson))
    assert "bowed: a step within its layer, or back" in legend_of(picture)
    assert curves(picture, "road") == 0
    assert "bowed: a step within its layer, or back" not in legend_of(state_graph(explore(Increments)))


def test_a_large_graph_is_drawn_layer_by_layer(monkeypatch):
    """Beyond some hundreds of states: how many there are in each layer, by what can come, and the road below."""
    result = explore(Increments(threads=3, times=2))
    monkeypatch.setattr(state_graph_module, "DOTS", (100, 80, 60))
    assert result.states > 100
    picture = state_graph(result)
    layers = {patch.get_gid(): patch.get_data() for patch in picture.figure.axes[0].patches if patch.get_gid()}
    drawn = sum(sum(data.values) - sum(data.baseline) for data in layers.values())
    assert drawn == result.states
    failing = layers["failing"]
    assert sum(failing.values) - sum(failing.baseline) == len(result.graph.failing_states)
    assert len(marks(picture, "road")) == len(result.failures[0].schedule) + 1
    assert picture.alt.startswith("State graph of Increments(threads=3, times=2), as the number of states in ")
    hatches = [patch.get_hatch() for patch in picture.figure.legends[0].get_patches()]
    assert len(set(hatches)) == len(hatches) or "" in hatches
    check_that_all_fits(picture)


def test_a_search_that_was_cut_short_says_so():
    """What was not looked at has no known fate."""
    picture = state_graph(explore(PerCpuLists, max_states=150))
    assert "Not searched completely: stopped at max_states = 150." in picture.alt
    assert len(marks(picture, "unknown")) > 0
    assert not marks(picture, IMPOSSIBLE)


def test_a_graph_of_one_state():
    """A scenario in which nothing happens, and one that fails before anything happens."""
    picture = state_graph(explore(Idle))
    assert marks(picture, IMPOSSIBLE) == [(0.0, 0.0)]
    assert "in 1 layer" in picture.alt
    check_that_all_fits(picture)
    broken = state_graph(explore(Broken))
    assert marks(broken, "failing") == [(0.0, 0.0)]
    check_that_all_fits(broken)


# --- growth ----------------------------------------------------------------------------------------


def test_growth_has_the_numbers_of_explore():
    """Rows, points, numbers and sentence are what explore says."""
    picture = growth(lambda n: Increments(threads=n), [1, 2, 3, 4], label="threads")
    for n, row in zip([1, 2, 3, 4], picture.rows, strict=True):
        result = explore(Increments(threads=n))
        assert (row.size, row.states, row.schedules, row.complete) == (n, result.states, result.schedules, True)
        assert f"threads {n}: states {result.states:,}, schedules {result.schedules:,}" in picture.alt
        assert f"{result.schedules:,}" in texts(picture)
    powers = [10**y for _, y in marks(picture, "schedules")]
    assert powers == pytest.approx([1, 6, 90, 2520])
    assert legend_of(picture) == ["schedules", "states"]


def test_growth_says_where_there_is_no_number():
    """Infinitely many schedules, and a search that was cut short, have a mark of their own and are told in words."""
    picture = growth(lambda scenario: scenario(), [Increments, Peterson, PerCpuLists], label="scenario", max_states=100)
    assert [row.told_schedules for row in picture.rows] == ["6", "infinitely many", "not counted"]
    assert picture.rows[2].told_states.endswith(" and more")
    assert [x for x, _ in marks(picture, "no number")] == [1, 2]
    assert [x for x, _ in marks(picture, "schedules")] == [0]
    assert "scenario Peterson: states 92, schedules infinitely many" in picture.alt
    assert "schedules without a number" in legend_of(picture)
    check_that_all_fits(picture)


def test_growth_beyond_floats():
    """The number of schedules can be larger than any float."""
    picture = growth(lambda n: Coins(players=n), [1, 40], label="players")
    assert picture.rows[1].schedules == 2**1120 > sys.float_info.max
    assert marks(picture, "schedules")[1][1] == pytest.approx(337.15, abs=0.01)
    assert "players 40: states 1,201, schedules 1.4 × 10³³⁷" in picture.alt
    check_that_all_fits(picture)


@pytest.mark.parametrize("make, sizes, said", [
    (5, [1], "5 is no function that makes a scenario"),
    (Increments(), [1], "is no function that makes a scenario"),
    (Increments, 5, "5 is one size, not several"),
    (lambda n: n, [1], "1 is no scenario"),
])  # fmt: skip
def test_growth_says_what_it_takes(make, sizes, said):
    """What makes no scenario, or is no list of sizes, is refused with what to give instead."""
    with pytest.raises(ScenarioError, match=said):
        growth(make, sizes)


def test_growth_needs_a_size():
    """An empty list is an error with a sentence."""
    with pytest.raises(ScenarioError, match="at least one size"):
        growth(lambda n: Increments(threads=n), [])


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1"), (9_999_999, "9,999,999"), (10**7, "1.0 × 10⁷"), (9_960_000_000, "1.0 × 10¹⁰")],
)
def test_large_numbers_are_told_shortly(number, text):
    """Up to seven digits in full, then a power of ten."""
    assert shortly(number) == text


def test_numbers_that_python_would_not_print_are_told():
    """Beyond 4,300 digits, str(number) is an error; the power of ten is not."""
    assert shortly(12 * 10**5000) == "1.2 × 10⁵⁰⁰¹"


# --- what all pictures have in common ------------------------------------------------------------


def pictures():
    """One picture of each kind."""
    result = explore(PetersonTurnFirst)
    return [
        space_time(result.failures[0]),
        state_graph(result),
        growth(lambda n: AtomicIncrements(threads=n), [1, 2], label="threads"),
    ]


def test_the_same_input_gives_the_same_bytes():
    """Twice the same picture, as PNG and as SVG, whatever the reader has set in between."""
    before = [(picture.alt, picture.png(), picture.svg()) for picture in pictures()]
    with matplotlib.rc_context({"font.size": 30, "figure.facecolor": "black", "svg.hashsalt": "other"}):
        again = pictures()
        assert [(picture.alt, picture.png(), picture.svg()) for picture in again] == before
        assert matplotlib.rcParams["font.size"] == 30
    assert [(picture.png(), picture.svg()) for picture in again] == [(png, svg) for _, png, svg in before]


def test_svg_is_readable_and_names_no_day():
    """The SVG is XML, has the sentence as its title, and no date."""
    picture = space_time(explore(Increments).failures[0])
    ElementTree.fromstring(picture.svg())
    assert picture.alt in picture.svg()
    assert "<dc:date>" not in picture.svg()


def test_in_a_notebook_the_image_has_its_sentence():
    """The HTML image has the sentence as alternative text, with all signs escaped; the text is the sentence."""
    picture = space_time(explore(Long).failures[0])
    data = picture._repr_mimebundle_()
    assert data["text/plain"] == repr(picture) == picture.alt
    image = ElementTree.fromstring(data["text/html"].replace('">', '"/>'))
    assert image.attrib["alt"] == picture.alt
    assert image.attrib["width"] == str(round(picture.figure.get_figwidth() * 96))
    assert image.attrib["src"].startswith("data:image/png;base64,")
    assert "<b>" in picture.alt
    assert "<b>" not in data["text/html"]


@pytest.mark.parametrize("scenario", [Increments, HostIsLate, Long, Crash, Endless], ids=lambda s: s.__name__)
def test_nothing_leaves_the_figure(scenario):
    """Neither long names nor long messages are cut off by the edge, nor is any letter too small."""
    result = explore(scenario)
    for picture in [state_graph(result), space_time(result.failures[0] if result.failures else result.scenario)]:
        check_that_all_fits(picture)


def test_columns_do_not_run_into_each_other():
    """What happens ends before what it changes begins, and a turned name of a lane is below the title."""
    picture = space_time(explore(Long).failures[0])
    renderer = drawn(picture)
    boxes = {text: text.get_window_extent(renderer) for text in picture.figure.axes[0].texts}
    found = list(boxes)
    for i, text in enumerate(found):
        for other in found[i + 1 :]:
            assert not boxes[text].overlaps(boxes[other]), (text.get_text(), other.get_text())


def test_signs_are_drawn_as_they_are():
    """A dollar sign begins no formula."""
    picture = space_time(explore(Long).failures[0])
    with_dollars = [text for text in picture.figure.axes[0].texts if "$" in text.get_text()]
    assert with_dollars
    assert not any(text.get_parse_math() for text in with_dollars)


def test_colours_stand_out_from_white():
    """Every colour of marks has a contrast of 3:1 or more."""

    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for colour in (BLUE, GREEN, RED, PURPLE, GREY, INK, state_graph_module.BOW):
        assert 1.05 / (light(colour) + 0.05) >= 3, colour


def test_colours_survive_the_smaller_image():
    """The PNG has 256 colours; those of the marks are among them."""
    with Image.open(io.BytesIO(state_graph(explore(HostIsLate)).png())) as image:
        found = {colour for _, colour in image.convert("RGB").getcolors(1000)}
    for colour in (BLUE, GREEN, RED, PURPLE):
        assert tuple(bytes.fromhex(colour[1:])) in found


def test_texts_are_made_to_fit():
    """Long texts are broken into lines, and cut with an ellipsis; of long names the middle goes."""
    lines = wrapped("many words that do not fit into one line of this width", 1.0, 9, 2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert all(width_of(line, 9) <= 1.0 for line in lines)
    assert wrapped("short", 1.0, 9) == ["short"]
    name = shortened("a_name_that_is_too_long_1", 1.0, 9)
    assert name.startswith("a_name") and name.endswith("_1") and "…" in name
    assert width_of(name, 9) <= 1.0
    assert shortened("short", 1.0, 9) == "short"
