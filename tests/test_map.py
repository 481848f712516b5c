"""The map: every claim leads to scenarios of the catalogue or to a reason, and the page tells what a search says."""

import re
import sys

import pytest
from places import ROOT

from vmbus_teach import ScenarioError
from vmbus_teach.scenarios import catalogue, claims
from vmbus_teach.scenarios.classics import Increments
from vmbus_teach.views import course_map
from vmbus_teach.views import map as module

sys.path.append(str(ROOT / "tools"))
import map as tool

ALL = [claim for source in claims.SOURCES for claim in source.claims]


@pytest.fixture(scope="module")
def found():
    """The map, searched once."""
    return course_map()


def without_times(text):
    """A table's lines without their last column."""
    return re.sub(r"\| *\d+ \|$", "| |", text, flags=re.MULTILINE)


def test_a_claim_is_shown_or_has_a_reason():
    """Never both, never neither."""
    assert [claim.text for claim in ALL if bool(claim.shown_by) == bool(claim.reason)] == []


def test_every_chapter_with_a_text_takes_part():
    """Each chapter but the first has a scenario on the map."""
    shown = {scenario for claim in ALL for scenario in claim.shown_by}
    chapters = {entry.chapter for entry in catalogue() if entry.scenario in shown}
    assert chapters == {entry.chapter for entry in catalogue()} - {"00"}


def test_the_verdicts_are_those_of_the_catalogue(found):
    """What the search says here is what the catalogue expects."""
    expected = {str(entry.make()): entry.expected for entry in catalogue()}
    for row in found.rows():
        for shown in row.shown:
            assert shown.verdict.removeprefix("fails: ").removesuffix(" that ends") == expected[shown.name], row.claim


def test_the_page_of_the_docs(found):
    """docs/map.md is what `make map` writes, but for the times."""
    written = (ROOT / "docs" / "map.md").read_text()
    assert without_times(written) == without_times(tool.HEAD + found.markdown()), "run: make map"


def test_the_table_of_a_notebook(found):
    """Each claim stands in it once, with a row for each scenario; times are marked, so that nbval can overlook them."""
    html = found._repr_html_()
    rows = sum(max(len(row.shown), 1) for row in found.rows())
    assert html.count("<tr>") == rows + len(claims.SOURCES)
    assert len(re.findall(r'class="ms"[^>]*>\d+<', html)) == sum(len(row.shown) for row in found.rows())


def test_as_text(found):
    """Without HTML it tells the same, and no times, which would differ from run to run."""
    text = str(found)
    assert text.startswith(found.summary())
    assert all(shown.name in text for row in found.rows() for shown in row.shown)
    assert " ms" not in text


def test_a_scenario_that_the_catalogue_lacks(monkeypatch):
    """Whoever enters a claim with a scenario of no chapter is told where to enter it."""

    class Stray(Increments):
        """In no catalogue."""

    source = claims.Source("a text", "00", (claims.Claim("something", (Stray,)),))
    monkeypatch.setattr(module, "SOURCES", (source,))
    with pytest.raises(ScenarioError, match="Stray is to show a claim, but catalogue"):
        course_map()
