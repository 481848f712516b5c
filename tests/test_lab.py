"""Every notebook of the course in a real JupyterLab and in Notebook 7: run, untrusted, and trusted without running."""

import re

import nbformat
import pytest
from browser import (
    cell_errors,
    dead_widgets,
    open_notebook,
    output_area,
    run_all,
    trust,
    write_notebook,
)
from places import ROOT

pytestmark = pytest.mark.needs("chromium")

NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("name", NOTEBOOKS)


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


@pytest.mark.parametrize("app", ["lab", "notebook"])
@every_notebook
def test_every_cell_runs(page, name):
    """All cells run, none ends with an error, and every widget is there."""
    open_notebook(page, name)
    run_all(page)
    assert cell_errors(page) == []
    assert dead_widgets(page) == []


@every_notebook
def test_untrusted(page, lab, name):
    """Who opens the notebook without having run it sees every stored output as text or table."""
    open_notebook(page, name)
    assert dead_widgets(page) == []
    assert list(missing_on_the_page(page, lab, name)) == []


@every_notebook
def test_trusted(page, lab, name):
    """Who trusts the notebook, and has not run it, sees every stored output and no dead widget."""
    trust(lab, name)
    open_notebook(page, name)
    assert dead_widgets(page) == []
    assert list(missing_on_the_page(page, lab, name)) == []


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
