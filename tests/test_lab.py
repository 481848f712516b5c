"""Every notebook of the course in a real JupyterLab, as it is stored, then run; two also trusted."""

import re

import nbformat
import pytest
from browser import (
    DARK,
    LIGHT,
    cell_errors,
    choose_theme,
    dead_widgets,
    open_notebook,
    output_area,
    run_all,
    shot,
    trust,
    write_notebook,
)
from places import ROOT
from playwright.sync_api import expect

pytestmark = pytest.mark.needs("chromium")

NOTEBOOKS, EXERCISES = (sorted(path.name for path in (ROOT / f).glob("*.ipynb")) for f in ("notebooks", "exercises"))
#: Two that have all kinds of cells between them; the others would only take their time once more.
SOME = ["00-reading-an-interleaving.ipynb", "02-exercises.ipynb"]


def words(text):
    """A text without its spaces and line ends, which a browser may set as it likes."""
    return re.sub(r"\s+", "", text)


def stored_outputs(lab, name):
    """(cell id, output) for every output that is stored in a notebook and has something to show."""
    notebook = nbformat.read(lab.notebooks / name, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield cell.id, output


def missing_on_the_page(page, lab, name):
    """One sentence for every stored output that the page does not show."""
    for cell, output in stored_outputs(lab, name):
        area = output_area(page, cell)
        data = output.get("data", {})
        if "text/html" in data:
            if area.locator("table").count() < data["text/html"].count("<table"):
                yield f"cell '{cell}' shows no table"
        elif "text/markdown" in data:
            if not "".join(area.locator(".jp-RenderedMarkdown").all_inner_texts()).strip():
                yield f"cell '{cell}' shows no source"
        elif words(output.get("text") or data.get("text/plain", "")) not in words(area.inner_text()):
            yield f"cell '{cell}' does not show the text that is stored in it"


@pytest.mark.parametrize("name", NOTEBOOKS + EXERCISES)
def test_is_shown_and_runs(page, lab, name):
    """Who opens it sees every stored output as text or table; then all cells run without an error, with their widgets.

    One test, since opening a notebook takes longer than looking at it.
    """
    open_notebook(page, name)
    assert dead_widgets(page) == []
    assert list(missing_on_the_page(page, lab, name)) == []
    run_all(page)
    assert cell_errors(page) == []
    assert dead_widgets(page) == []


@pytest.mark.parametrize("name", SOME)
def test_trusted(page, lab, name):
    """Who trusts the notebook, and has not run it, sees every stored output and no dead widget."""
    trust(lab, name)
    open_notebook(page, name)
    assert dead_widgets(page) == []
    assert list(missing_on_the_page(page, lab, name)) == []


WRONG_ANSWER = """
from vmbus_teach import grade
from vmbus_teach.grading.chapters.ch02 import Retarget

class MyFix(Retarget):
    def move_channel(self):
        yield from super().move_channel()

grade("02-retarget", MyFix)
"""


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_wrong_answer_has_a_stepper(request, lab, theme):
    """Below the story of the schedule that breaks an answer, the stepper stands at its end, and can be stepped back."""
    choose_theme(lab, theme)
    write_notebook(lab, "wrong.ipynb", [WRONG_ANSWER])
    page = request.getfixturevalue("page") if theme == LIGHT else request.getfixturevalue("new_page")()
    open_notebook(page, "wrong.ipynb")
    run_all(page)
    area = output_area(page, "cell-1")
    expect(area).to_contain_text("MyFix(messages=1) fails.")
    status = area.locator(".vt").get_by_role("status")
    expect(status).to_contain_text("no_message_is_left does not hold")
    shot(page, f"grade-{theme.rsplit(' ')[-1].lower()}")
    area.locator(".vt").get_by_role("button", name="Undo").click()
    expect(status).not_to_contain_text("no_message_is_left does not hold")


def test_what_is_missing_is_noticed(page, lab):
    """A stored text, source or table that the page does not show is noticed."""
    v4 = nbformat.v4
    kinds = {"text/plain": "12 states", "text/markdown": "`yield`", "text/html": "<table><tr><td>1</td></tr></table>"}
    stored = [v4.new_output("display_data", {kind: text}) for kind, text in kinds.items()]
    write_notebook(lab, "shown.ipynb", [v4.new_code_cell("1", outputs=[output]) for output in stored])
    open_notebook(page, "shown.ipynb")
    assert list(missing_on_the_page(page, lab, "shown.ipynb")) == []
    write_notebook(lab, "shown.ipynb", [v4.new_code_cell("1", outputs=[stored[(i + 1) % 3]]) for i in range(3)])
    assert [line.split()[1] for line in missing_on_the_page(page, lab, "shown.ipynb")] == [
        "'cell-1'", "'cell-2'", "'cell-3'"
    ]
