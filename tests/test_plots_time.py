"""The pictures of races in time: what is drawn, what their sentences say, and what they refuse."""

import pytest

from vmbus_teach import Scenario, ScenarioError, simulate, simulate_many, thread
from vmbus_teach.kernel import READ_ONCE, Cell, SpinLock, ndelay, spin_lock, spin_unlock
from vmbus_teach.scenarios.retarget import PerCpuLists
from vmbus_teach.timed.estimate import share
from vmbus_teach.views import curves, timeline


class TwoSpin(Scenario):
    """Two CPUs want one lock for 500 ns each; the host looks on."""

    cpus = 2

    def setup(self):
        self.lock = SpinLock()
        self.x = Cell(0)
        for cpu in range(2):
            self.add_thread(self.work, cpu=cpu, name=f"work_{cpu}")

    def work(self):
        yield spin_lock(self.lock)
        yield ndelay(500)
        yield spin_unlock(self.lock)

    @thread(host=True)
    def onlooker(self):
        yield READ_ONCE(self.x)
        yield READ_ONCE(self.x)


def drawn(picture, gid):
    """The artists of a picture that have this name."""
    return [artist for axes in picture.figure.axes for artist in axes.lines if artist.get_gid() == gid]


def bars(picture):
    """The bars of a time line: (lane, begin, end) of each."""
    [axes] = picture.figure.axes
    return sorted((round(bar.get_y() + 0.31), bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches)


def test_a_time_line_has_a_bar_for_every_stretch():
    """The bars are where the run says that a CPU was given to somebody, lane by lane."""
    run = simulate(TwoSpin)
    picture = timeline(run)
    lanes = list(run.cpus)
    assert bars(picture) == sorted((lanes.index(s.cpu), s.begin, s.end) for s in run.stretches)
    assert picture.rows == tuple(run.stretches)
    assert any(s.account == "spinning" for s in run.stretches)


def test_the_steps_of_the_host_are_ticks():
    """Each step of a host's thread has a tick at its time."""
    run = simulate(TwoSpin)
    ticks = [tick.get_xdata()[0] for tick in drawn(timeline(run), "step")]
    assert ticks == [time for time, word in zip(run.times, run.words, strict=True) if word == "onlooker"] == [10, 20]


def test_a_part_of_a_run():
    """Of a shorter time only what is in it is drawn, cut at its ends."""
    run = simulate(TwoSpin)
    picture = timeline(run, begin=100, end=200)
    assert [(begin, end) for _, begin, end in bars(picture)] == [(100, 200), (100, 200)]
    assert drawn(picture, "step") == []
    assert "from 100 to 200 ns: CPU" in picture.alt


def test_the_sentence_tells_in_the_order_of_time():
    """The alternative text begins with what comes first, and says how much it leaves out."""
    alt = timeline(simulate(PerCpuLists, seed=3)).alt
    assert alt.startswith("PerCpuLists in time, seed 3, from 0 to")
    said = ("CPU 0 executes target_cpu_store from 0", "host_sends steps", "more of these")
    places = [alt.index(text) for text in said]
    assert places == sorted(places)


@pytest.mark.parametrize("begin, end", [(-1, 10), (10, 10), (20, 10)])
def test_no_time_between(begin, end):
    """A time that is none is refused."""
    with pytest.raises(ScenarioError, match="no time between"):
        timeline(simulate(TwoSpin), begin=begin, end=end)


def test_too_much_to_be_seen():
    """A run with thousands of stretches has to be looked at in parts, and the message says how."""

    class Busy(Scenario):
        cpus = 1

        def setup(self):
            self.x = Cell(0)

        @thread(host=True)
        def host(self):
            while True:
                yield READ_ONCE(self.x)

    run = simulate(Busy, until=100_000)
    with pytest.raises(ScenarioError, match="Give a shorter time"):
        timeline(run)
    assert timeline(run, end=500).alt


def test_one_of_many_runs_has_no_time_line():
    """What many runs do not keep cannot be drawn, and the message says what can."""
    with pytest.raises(ScenarioError, match="many runs do not"):
        timeline(simulate_many(TwoSpin, seeds=1)[0])


def test_curves_draw_every_point():
    """Each series has its points; an estimate has its interval, too."""
    estimate = share(3, 10)
    picture = curves({"exact": {1: 0.25, 2: 0.5}, "estimated": {1: estimate}}, x="rate", y="lost")
    [exact], [estimated] = drawn(picture, "exact"), drawn(picture, "estimated")
    assert list(zip(exact.get_xdata(), exact.get_ydata(), strict=True)) == [(1, 0.25), (2, 0.5)]
    assert list(estimated.get_ydata()) == [0.3]
    [interval] = drawn(picture, "interval")
    assert list(interval.get_ydata()) == [estimate.low, estimate.high]
    assert picture.alt == "lost by rate: lost by rate. exact: 1: 0.25; 2: 0.5. estimated: 1: 0.3 (0.108 to 0.603)."
    assert [point.series for point in picture.rows] == ["exact", "exact", "estimated"]


def test_words_stand_beside_each_other():
    """With words along x, the series stand side by side at each word, and the words are on the axis."""
    picture = curves({"a": {"batched": 3, "direct": 1}, "b": {"batched": 2}}, x="mode", y="ns")
    [a], [b] = drawn(picture, "a"), drawn(picture, "b")
    assert a.get_xdata()[0] < b.get_xdata()[0] and a.get_linestyle() == "None"
    [axes] = picture.figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["batched", "direct"]


def test_the_same_numbers_give_the_same_bytes():
    """Two pictures of one thing are the same file."""
    assert len({curves({"a": {1: 2, 3: 4}}, x="x", y="y").png() for _ in range(2)}) == 1
    run = simulate(TwoSpin)
    assert len({timeline(run).png() for _ in range(2)}) == 1


@pytest.mark.parametrize(
    "series, options, said",
    [
        ([1, 2], {}, "one dict of points for each series"),
        ({"a": [1, 2]}, {}, "one dict of points for each series"),
        ({}, {}, "1 to 6 series"),
        ({"a": {}}, {}, "at least one point"),
        ({str(i): {1: 1} for i in range(7)}, {}, "1 to 6 series"),
        ({"a": {1: "high"}}, {}, "no number"),
        ({"a": {1: float("nan")}}, {}, "no number"),
        ({"a": {1: 2, "two": 3}}, {}, "words as well as numbers"),
        ({"a": {1: 2}}, {"log": "z"}, 'it is "x", "y", "xy" or ""'),
        ({"a": {0: 2}}, {"log": "x"}, "not all numbers along x are above 0"),
        ({"a": {1: 0}}, {"log": "xy"}, "not all numbers along y are above 0"),
    ],
)
def test_what_cannot_be_drawn(series, options, said):
    """What is no curve is refused in a sentence."""
    with pytest.raises(ScenarioError, match=said):
        curves(series, x="x", y="y", **options)


def test_long_names_and_signs_are_drawn_as_they_are():
    """A name that is too long is shortened, and a dollar sign makes no formula."""
    picture = curves({"$x_1$ " + "long " * 40: {"$y$ " + "word " * 30: 1.0}}, x="$x$", y="a" * 300, title="t" * 300)
    assert picture.png() and "$x_1$" in picture.alt
