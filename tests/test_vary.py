"""The widget with which a reader varies a scenario's parameters."""

import html
import re

import pytest

from vmbus_teach import Scenario, ScenarioError, at_end, explore, thread
from vmbus_teach.kernel import WRITE_ONCE, Cell
from vmbus_teach.scenarios.classics import AtomicIncrements, Increments, Peterson
from vmbus_teach.views import vary as vary_module
from vmbus_teach.views.vary import Vary


class Picky(Scenario):
    """Its setup refuses one value, its outcome another; its programs yield nonsense for a third."""

    def setup(self, mode="fine", *, flag=False):
        if mode == "bad":
            raise ValueError("<b>bad</b> is not allowed")
        self.mode, self.flag, self.x = mode, flag, Cell(mode)

    @thread()
    def task(self):
        yield 3 if self.mode == "nonsense" else WRITE_ONCE(self.x, "<i>done</i>")

    @at_end
    def promise(self, s):
        return "" if self.flag and s[self.x] else True

    def outcome(self, s):
        return {}[1] if self.mode == "crash" else s[self.x]


class Open(Scenario):
    """Takes whatever it is given."""

    def setup(self, **anything):
        self.x = Cell(anything.get("start", 0))

    @thread()
    def task(self):
        yield WRITE_ONCE(self.x, 1)


def table(vary):
    """The rows of the table on the page, as a dictionary."""
    rows = re.findall(r"<tr><th[^>]*>(.*?)</th><td[^>]*>(.*?)</td></tr>", vary._table.value)
    return {html.unescape(name): html.unescape(text) for name, text in rows}


def test_begins_with_the_defaults():
    """Each parameter has a list with its name, which begins with the default of setup."""
    vary = Vary(Increments, threads=(1, 4), times=[1, 2, 5])
    first, second = vary.children[0].children
    assert (first.description, first.options, first.value) == ("threads", ("1", "2", "3", "4"), "2")
    assert (second.description, second.options, second.value) == ("times", ("1", "2", "5"), "1")
    assert vary.parameters == {"threads": 2, "times": 1}
    assert Vary(Increments, threads=(3, 4)).parameters == {"threads": 3}


def test_what_is_shown_is_what_explore_says():
    """Verdict, failure, states and schedules, for the chosen values and for no others."""
    vary = Vary(Increments, threads=(1, 4))
    for threads in (3, 1, 4):
        vary.children[0].children[0].value = str(threads)
        result = explore(Increments(threads=threads))
        found = table(vary)
        assert found["verdict"] == result.verdict
        assert found["states"] == f"{result.states:,}"
        assert found["schedules"] == f"{result.schedules:,}"
        assert found.get("first failure") == (result.failures[0].message if result.failures else None)
        assert f"Increments(threads={threads})" in vary._table.value
        assert vary.result.states == result.states


def test_other_parameters_keep_their_defaults():
    """What is not varied is left to setup."""
    vary = Vary(AtomicIncrements, times=(1, 3))
    vary.choose(times=3)
    assert vary.result.schedules == explore(AtomicIncrements(times=3)).schedules


def test_a_search_that_is_cut_short_says_so():
    """Beyond max_states nothing is counted, and a verdict without a failure is none."""
    vary = Vary(AtomicIncrements, times=(1, 9), max_states=20)
    vary.choose(times=9)
    found = table(vary)
    assert found["verdict"] == "no failure found so far"
    assert found["schedules"].startswith("not counted: stopped at max_states = 20")
    assert found["states"].endswith(" and more")


def test_infinitely_many_schedules():
    """A loop is told as such."""

    class Many(Peterson):
        def setup(self, rounds=1):
            super().setup()

    assert table(Vary(Many, rounds=[1]))["schedules"] == "infinitely many (there is a loop)"


def test_errors_end_in_a_sentence_and_the_next_choice_works():
    """Whether setup, a program or the outcome raises: the table says so, and nothing old is left in it."""
    vary = Vary(Picky, mode=["fine", "bad", "nonsense", "crash"], flag=[False, True])
    assert table(vary)["verdict"] == "holds under every interleaving"
    vary.choose(mode="bad")
    assert table(vary) == {"error": vary.error}
    assert vary.error.startswith("setup of Picky(mode='bad', flag=False) raises ValueError: <b>bad</b> is not allowed")
    assert "<b>bad" not in vary._table.value
    assert vary.result is None
    vary.choose(mode="nonsense")
    assert "3" in vary.error and "yield" in vary.error
    vary.choose(mode="crash")
    assert vary.error == "KeyError: 1"
    vary.choose(mode="fine", flag=True)
    assert vary.error == ""
    assert table(vary)["verdict"] == "fails"


def test_values_that_are_equal_in_python_are_told_apart():
    """1, True and 1.0 are three values."""
    vary = Vary(Open, start=[1, True, 1.0])
    for value in (1.0, True, 1):
        vary.choose(start=value)
        assert type(vary.parameters["start"]) is type(value)


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ({}, "has nothing to vary"),
        ({"thread": (1, 4)}, "setup of Increments takes no parameter 'thread'. Did you mean threads?"),
        ({"threads": (1, 2, 3)}, "a range is two whole numbers"),
        ({"threads": (1, 2.5)}, "a range is two whole numbers"),
        ({"threads": (4, 1)}, r"the range ends before it begins; write \(1, 4\)"),
        ({"threads": (1, 1000)}, "more than 100 values"),
        ({"threads": list(range(1000))}, "more than 100 values"),
        ({"threads": []}, "the list is empty"),
        ({"threads": [1, 2, 1]}, "1 is listed twice"),
        ({"threads": 4}, r"say what threads may be: a range such as \(1, 4\)"),
        ({"threads": "14"}, "say what threads may be"),
    ],
    ids=str,
)
def test_what_cannot_be_varied_is_refused(offered, said):
    """A wrong name, or no range, is an error that says what to write."""
    with pytest.raises(ScenarioError, match=said):
        Vary(Increments, **offered)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, None])
def test_a_search_has_a_bound(wrong):
    """A bound that is none is an error at once, and not in every table."""
    with pytest.raises(ScenarioError, match=r"max_states=.*is the number of states after which each search stops"):
        Vary(Increments, threads=(1, 2), max_states=wrong)


def test_only_classes_of_scenarios_can_be_varied():
    """An instance has its parameters already."""
    for wrong in (Increments(), Cell, "Increments"):
        with pytest.raises(ScenarioError, match="is no class of scenarios"):
            Vary(wrong, threads=(1, 4))


def test_choose_searches_once(monkeypatch):
    """Several values are chosen together; no combination that nobody asked for is searched."""
    vary, searched = Vary(Increments, threads=(1, 4), times=(1, 2)), []

    def note(scenario, **_):
        searched.append(str(scenario))
        return explore(scenario)

    monkeypatch.setattr(vary_module, "explore", note)
    vary.choose(threads=1, times=2)
    assert searched == ["Increments(threads=1, times=2)"]
    vary.children[0].children[0].value = "3"  # as on the page: that is searched, too
    assert searched[1:] == ["Increments(threads=3, times=2)"]


def test_choose_refuses_what_is_not_offered():
    """And then nothing is changed."""
    vary = Vary(Increments, threads=(1, 4), times=(1, 2))
    with pytest.raises(ScenarioError, match="threads = 5 is not offered; offered: 1, 2, 3, 4"):
        vary.choose(times=2, threads=5)
    with pytest.raises(ScenarioError, match="thread is not varied here; what is varied: threads, times"):
        vary.choose(thread=1)
    assert vary.parameters == {"threads": 2, "times": 1}


def test_text_fallback():
    """Without a browser there is the same as text, and a table with a caption; nbval compares both."""
    vary = Vary(Increments, threads=(1, 3))
    assert repr(vary).splitlines() == [
        "Increments(threads=2), varied (threads: 1, 2, 3)",
        "  verdict        fails",
        "  first failure  nothing_is_lost does not hold at the end: 1 of 2 are left",
        "  shown in       4 steps with 2 switches",
        "  states         8",
        "  schedules      6",
    ]
    data = vary._repr_mimebundle_()
    assert data["text/plain"] == repr(vary) == repr(Vary(Increments, threads=(1, 3)))
    assert data["text/html"].startswith("<table><caption")
    assert "<b>Increments(threads=2)</b></caption>" in data["text/html"]


def test_the_result_is_announced_and_markup_stays_text():
    """A screen reader is told when the result has changed; values with markup are shown as they are."""
    vary = Vary(Picky, mode=["<u>x</u>"])
    assert vary._table.value.startswith('<div role="status">')
    assert "<u>" not in vary._table.value
    assert "mode=&#x27;&lt;u&gt;x" in vary._table.value
