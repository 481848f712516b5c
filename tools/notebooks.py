"""Runs notebooks from top to bottom and stores them as the course wants them: `make notebooks`.

Stored are the outputs as text and HTML, and nothing that differs from run to run: no widget state
(without a kernel it would only hide the text), no times, no machine paths, no trace of how the kernel
has cut into messages what was printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

from vmbus_teach.views.notebook_page import WIDGET_VIEW, execute

ROOT = Path(__file__).resolve().parent.parent


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Takes out of a notebook what must not be stored."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
            if output.output_type == "error":
                output["traceback"] = [f"{output.ename}: {output.evalue}"]


def joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """What was printed in one go as one output, which is how it is shown."""
    found: list[nbformat.NotebookNode] = []
    for output in outputs:
        if found and output.output_type == found[-1].output_type == "stream" and output.name == found[-1].name:
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def run(path: Path) -> None:
    """Executes one notebook and writes it back."""
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, path.parent)
    normalise(notebook)
    nbformat.write(notebook, path)
    print(f"{path.relative_to(ROOT)}: {len(notebook.cells)} cells")


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted((ROOT / "notebooks").glob("*.ipynb")):
        run(path.resolve())
