"""Makes exercises/ from solutions/: `make exercises`.

A solution notebook has nbgrader's marks: what stands between BEGIN SOLUTION and END SOLUTION goes, and so do hidden
tests. nbgrader's own preprocessors do that, with a stub that runs (`nbgrader_config.py`), so that an exercise can be
run from top to bottom as it is opened. Both folders are stored with their outputs.

    python tools/exercises.py            # run the solutions, then make and run the exercises
    python tools/exercises.py 02         # only those whose name begins so
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import CheckCellMetadata, ClearHiddenTests, ClearMarkScheme, ClearSolutions, LockCells
from traitlets.config import PyFileConfigLoader

from notebooks import ROOT, normalise, run
from vmbus_teach.views.notebook_page import execute

CONFIG = PyFileConfigLoader("nbgrader_config.py", str(ROOT)).load_config()


def exercise(solution: NotebookNode) -> NotebookNode:
    """The exercise that belongs to a solution, without outputs; always the same for the same solution."""
    notebook = nbformat.from_dict(solution)
    for make in (CheckCellMetadata, LockCells, ClearSolutions, ClearHiddenTests, ClearMarkScheme):
        notebook, _ = make(config=CONFIG).preprocess(notebook, {})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def write(path: Path) -> None:
    """Runs a solution and stores it; then makes the exercise, runs it and stores that."""
    run(path)
    notebook = exercise(nbformat.read(path, as_version=4))
    target = ROOT / "exercises" / path.name
    target.parent.mkdir(exist_ok=True)
    execute(notebook, target.parent)
    normalise(notebook)
    nbformat.write(notebook, target)
    print(f"{target.relative_to(ROOT)}: {len(notebook.cells)} cells")


if __name__ == "__main__":
    for path in sorted((ROOT / "solutions").glob(f"{''.join(sys.argv[1:2])}*.ipynb")):
        write(path)
