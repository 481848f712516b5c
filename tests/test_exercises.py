"""Exercises as notebooks: made from solutions/, kept like every notebook of the course, taken by nbgrader."""

import json
import re
import subprocess
import sys
import warnings

import nbformat
import pytest
from places import ROOT
from test_notebooks import RULES, code_cells

from vmbus_teach.grading import exercises

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # nbgrader's own
    sys.path.append(str(ROOT / "tools"))
    from exercises import CONFIG
    from exercises import exercise as made_from

SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))
NAMES = [exercise.name for exercise in exercises()]


def read(path):
    """A notebook as it is stored."""
    return nbformat.read(path, as_version=4)


def without_outputs(notebook):
    """What a person has written of a notebook."""
    return [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells]


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_the_exercise_is_made_from_the_solution(path):
    """What is stored in exercises/ is what `make exercises` makes of the solution as it is now."""
    stored = read(ROOT / "exercises" / path.name)
    assert without_outputs(stored) == without_outputs(made_from(read(path))), "call `make exercises`"


def test_nothing_else_is_there():
    """Each exercise has its solution, and the other way round."""
    assert SOLUTIONS
    assert [path.name for path in SOLUTIONS] == sorted(path.name for path in (ROOT / "exercises").glob("*.ipynb"))


def test_drift_is_noticed():
    """A changed solution makes another exercise; one whose solution alone has changed does not."""
    notebook = read(SOLUTIONS[0])
    before = without_outputs(made_from(notebook))
    cell = next(cell for cell in notebook.cells if "### BEGIN SOLUTION" in cell.source)
    cell.source = cell.source.replace("### END SOLUTION", "pass\n### END SOLUTION")
    assert without_outputs(made_from(notebook)) == before
    notebook.cells[0].source += "!"
    assert without_outputs(made_from(notebook)) != before


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_keeps_the_rules_of_notebooks(path, rule):
    """An exercise is stored as every notebook of the course is. (Solutions are in tests/test_notebooks.py.)"""
    assert list(rule(read(ROOT / "exercises" / path.name))) == []


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_no_solution_is_left_in_an_exercise(path):
    """Neither marks nor hidden tests nor a solved exercise are in what a learner opens; a stub is, for each."""
    notebook = read(ROOT / "exercises" / path.name)
    text = nbformat.writes(notebook)
    for never in ("### BEGIN", "### END", "solved.", "hidden", "assert result"):
        assert never not in text
    of_chapter = [name for name in NAMES if name[:2] == path.name[:2]]
    stub = CONFIG.ClearSolutions.code_stub["python"]
    assert sum(stub in cell.source for cell in notebook.cells) == len(of_chapter)


@pytest.mark.parametrize("name", NAMES)
def test_each_exercise_has_its_cells(name):
    """An answer cell, a locked grade cell with points and a hidden test, and a cell that offers hints."""
    [path] = (ROOT / "solutions").glob(f"{name[:2]}-*.ipynb")
    word = name.partition("-")[2]
    cells = {cell.id: cell for cell in read(path).cells}
    answer, grading = (cells[at].metadata.nbgrader for at in (word, f"{word}-grade"))
    assert (answer.schema_version, answer.solution, answer.grade, answer.locked) == (3, True, False, False)
    assert (grading.schema_version, grading.solution, grading.grade, grading.locked) == (3, False, True, True)
    assert grading.points > 0
    assert f'grade("{name}", ' in cells[f"{word}-grade"].source
    assert "### BEGIN HIDDEN TESTS\nassert result, result\n### END HIDDEN TESTS" in cells[f"{word}-grade"].source
    assert cells[f"{word}-hint"].source.startswith(f'hint("{name}", 0) ')


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_every_grade_is_of_an_exercise(path):
    """The notebook of a chapter asks for the grades of that chapter's exercises, each once."""
    asked = re.findall(r'grade\("(.*?)"', "\n".join(cell.source for cell in code_cells(read(path))))
    assert asked == [name for name in NAMES if name[:2] == path.name[:2]]


@pytest.mark.parametrize("folder", ["solutions", "exercises"])
@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path, folder):
    """Every link to a notebook has one there; one of them is the chapter's."""
    here = ROOT / folder / path.name
    text = "\n".join(cell.source for cell in read(here).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#:]+\.ipynb)\)", text)
    assert any(link.startswith(f"../notebooks/{path.name[:2]}-") for link in links)
    assert [link for link in links if not (here.parent / link).exists()] == []


def test_nbgrader_takes_them(tmp_path):
    """nbgrader hands an exercise out and grades it: all points for the solution, none for what was handed out."""
    command = [sys.executable, "-W", "ignore", ROOT / "tests" / "nbgrader_course.py", SOLUTIONS[0], tmp_path]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(tmp_path), timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    graded = json.loads(ran.stdout.splitlines()[-1])
    points = sum(cell.metadata.nbgrader.points for cell in read(SOLUTIONS[0]).cells
                 if cell.metadata.get("nbgrader", {}).get("grade"))  # fmt: skip
    assert graded == {"solver": [points, points], "idler": [0, points]}


def environment(folder):
    """This process's, but with all settings and kernels' files in a folder of their own."""
    import os

    own = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    path = os.pathsep.join(map(str, [ROOT, ROOT / "tools", os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, **own, "PYTHONPATH": path}
