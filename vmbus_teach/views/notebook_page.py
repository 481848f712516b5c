"""A whole notebook as one page whose steppers are alive, without a kernel and without a network.

    write_notebook_page("notebooks/02-the-per-cpu-list-bug.ipynb", "pages/02-the-per-cpu-list-bug.html")

Every other widget is shown as the text, table or picture that stands in for it. Formulas stay as they are written:
what draws them would have to come from the network.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path

import nbformat
from jinja2 import FileSystemLoader
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from . import page
from .stepper import STATIC, Stepper

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"

#: Run after the last cell: what a stepper would have asked its kernel for is put into it.
LAST_CELL = f"import {page.__name__}\n{page.__name__}.complete_all()"

#: A link to a notebook beside this one; its page is beside this page.
TO_A_NOTEBOOK = re.compile(r'(<a href="[^":/#]+)\.ipynb(["#])')


def write_notebook_page(notebook: NotebookNode | str | Path, path: str | Path) -> Path:
    """Writes the page of a notebook; returns its path.

    A notebook that is given by its path is run first. One from memory is taken as it is; its steppers are alive if it
    was run by ``execute(..., widgets=True)``. Raises nbclient's CellExecutionError if a cell ends with an error, and
    ScenarioError if ``path`` is no file to be written.
    """
    target, folder = page.a_file(path), "."
    if isinstance(notebook, NotebookNode):
        ran = notebook
    else:
        ran, folder = nbformat.read(notebook, as_version=4), str(Path(notebook).parent)
        execute(ran, folder, widgets=True)
    return page.save(notebook_page(ran, target.stem, folder), target)


def execute(notebook: NotebookNode, folder: str | Path, *, widgets: bool = False) -> None:
    """Runs a notebook from top to bottom in a kernel of its own; with ``widgets``, keeps what they show, too."""
    if widgets:
        notebook.cells.append(nbformat.v4.new_code_cell(LAST_CELL))
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=120,
        store_widget_state=widgets,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],  # ipykernel warns of every port that is not encrypted
    )
    client.execute()
    if widgets:
        notebook.cells.pop()


def notebook_page(notebook: NotebookNode, name: str = "", folder: str = ".") -> str:
    """The text of the page. ``name`` is its title if the notebook has no heading; pictures are sought in ``folder``."""
    shown = with_steppers(notebook)
    exporter = HTMLExporter(
        template_name="lab",
        template_file="notebook.html.j2",
        extra_loaders=[FileSystemLoader(STATIC)],
        embed_images=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    head = page.head(card(notebook)[0] or name, page.read("notebook.css"))
    text, _ = exporter.from_notebook_node(shown, {"page_head": head, "metadata": {"path": folder}})
    return TO_A_NOTEBOOK.sub(r"\1.html\2", text)


def with_steppers(notebook: NotebookNode) -> NotebookNode:
    """A copy in which every stepper is HTML that is alive, and every other widget is what stands in for it."""
    shown = copy.deepcopy(notebook)
    widgets = shown.metadata.pop("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    for cell in shown.cells:
        for output in cell.get("outputs", []):
            view = output.get("data", {}).pop(WIDGET_VIEW, {})
            state = widgets.get(view.get("model_id"), {}).get("state", {})
            if state.get("_anywidget_id") == f"{Stepper.__module__}.{Stepper.__qualname__}":
                output["data"] = {"text/html": page.place(state)}
    return shown


def card(notebook: NotebookNode) -> tuple[str, str]:
    """The heading of a notebook and the line below it, as plain text; "" for what it has not."""
    lines = [line for line in notebook.cells[0].source.split("\n") if line.strip()] if notebook.cells else []
    if not lines or not lines[0].startswith("# "):
        return "", ""
    heading, below, *_ = [line.lstrip("# ").replace("*", "").replace("`", "") for line in [*lines, ""]]
    return heading, below
