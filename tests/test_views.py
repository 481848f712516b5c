"""What people look at, without a browser: the stepper, predictions, tables."""

import pytest

from vmbus_teach import ScenarioError
from vmbus_teach.scenarios.classics import AtomicIncrements, Increments
from vmbus_teach.scenarios.retarget import PassItOn
from vmbus_teach.views import Predict, judge, source


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
    with pytest.raises(ScenarioError, match="no row 'Increment'; it has Increments, AtomicIncrements, PassItOn"):
        table["Increment"]


def test_source_is_shown_as_written():
    """The listing in a notebook is the scenario's own source."""
    assert "def increment(self):" in source(Increments).data
