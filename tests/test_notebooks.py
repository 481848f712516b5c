"""What every stored notebook must look like. (nbval checks that its cells still print the same.)

Each rule below takes a notebook and yields one sentence for everything that breaks it. The tests at the
end break each rule on purpose, in a small made-up notebook.
"""

import re

import nbformat
import pytest
from places import ROOT

NOTEBOOKS = sorted(path for folder in ("notebooks", "solutions") for path in (ROOT / folder).glob("*.ipynb"))
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
RANDOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?")
MACHINE_PATH = re.compile(r"/(?:home|root|Users|tmp)/\S*|[A-Z]:\\\\?Users\S*")
RUN_AGAIN = "Choose Kernel > Restart Kernel and Run All Cells, then save."


def code_cells(notebook):
    """The code cells that hold code; Jupyter gives an empty one no number."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def was_executed_in_order(notebook):
    """Every code cell ran, in order 1, 2, 3 …: nbval doesn't compare the output of a cell that never ran."""
    for number, cell in enumerate(code_cells(notebook), start=1):
        if cell.execution_count != number:
            name, found = cell.get("id"), cell.execution_count
            yield f"cell '{name}' has the number {found} instead of {number}. {RUN_AGAIN}"


def stores_no_errors(notebook):
    """Only a cell tagged raises-exception may have stopped with an error."""
    for cell in code_cells(notebook):
        if "raises-exception" in cell.metadata.get("tags", []):
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                yield (f"cell '{cell.get('id')}' ended with {output.ename}: {output.evalue}. "
                       "Mend the cell, or tag it raises-exception if the error is the point.")


def stores_no_widgets(notebook):
    """Without a kernel a stored widget is a dead box that hides its own text; so only the text is stored."""
    if "widgets" in notebook.metadata:
        yield "metadata.widgets holds the state of widgets. Delete it."
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if WIDGET_VIEW in output.get("data", {}):
                yield f"cell '{cell.get('id')}' stores {WIDGET_VIEW}. Delete that key; keep text/plain."


def opens_with_a_card(notebook):
    """The first cell says what the reader will be able to do, what they need first, and how long it takes."""
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown":
        yield "the first cell is not a text cell; it must be the card."
        return
    if not re.match(r"# \S", first.source):
        yield f"the card (cell '{first.get('id')}') doesn't begin with a heading ('# ...')."
    for phrase in (r"You will be able to", r"You need", r"\d+ minutes"):
        if not re.search(phrase, first.source):
            yield f"the card (cell '{first.get('id')}') doesn't say '{phrase}'."


def has_fixed_cell_ids(notebook):
    """Every cell has a name of its own, given by a person: links, exercises and diffs rely on it."""
    seen = set()
    for position, cell in enumerate(notebook.cells, start=1):
        name = cell.get("id")
        if not name:
            yield f"cell {position} has no id. Give it one, and set nbformat_minor to 5."
        elif RANDOM_ID.fullmatch(name):
            yield f"cell {position} has the random id '{name}'. Give it a name that will stay."
        elif name in seen:
            yield f"cell {position} has the id '{name}', and so has an earlier cell. Rename one."
        seen.add(name)


def names_no_machine(notebook):
    """The kernel is plain python3, and nothing that is stored names a folder of the author's machine."""
    kernel = notebook.metadata.get("kernelspec", {})
    if kernel.get("name") != "python3":
        yield f"metadata.kernelspec names the kernel {kernel.get('name')!r}; make it 'python3'."
    places = [("metadata", str(notebook.metadata))]
    places += [(f"the output of cell '{cell.get('id')}'", str(cell.outputs)) for cell in code_cells(notebook)]
    for where, text in places:
        if found := MACHINE_PATH.search(text):
            yield f"{where} names a folder of one machine: {found[0]}"


def links_lead_somewhere(notebook):
    """A link to another file of the course names one that is there (as seen from a folder beside notebooks/)."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#:]+)\)", cell.source):
                if not (ROOT / "notebooks" / target).exists() and not (ROOT / "exercises" / target).exists():
                    yield f"cell '{cell.get('id')}' links to {target}, which is not there."


RULES = [
    was_executed_in_order,
    stores_no_errors,
    stores_no_widgets,
    opens_with_a_card,
    has_fixed_cell_ids,
    names_no_machine,
    links_lead_somewhere,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, rule):
    """A notebook of the course keeps the rule."""
    complaints = list(rule(nbformat.read(path, as_version=nbformat.NO_CONVERT)))
    assert not complaints, "\n".join(f"{path.relative_to(ROOT)}: {complaint}" for complaint in complaints)


# ---- The rules themselves, tried on made-up notebooks ----

CARD = "# Lost updates\n\nYou will be able to find one.\n\nYou need C.\n\n20 minutes"


def made_up():
    """A notebook that keeps every rule."""
    v4 = nbformat.v4
    output = v4.new_output("execute_result", {"text/plain": "2"}, execution_count=1)
    return v4.new_notebook(
        cells=[
            v4.new_markdown_cell(CARD, id="card"),
            v4.new_code_cell("1 + 1", id="sum", execution_count=1, outputs=[output]),
            v4.new_code_cell("x = 3", id="assign", execution_count=2),
            v4.new_code_cell("", id="empty"),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}},
    )


STOPPED = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])

# For every rule, changes to the made-up notebook `nb` that break it once.
BROKEN = {
    was_executed_in_order: [
        "nb.cells[2].execution_count = None",
        "nb.cells[2].execution_count = 1",
        "nb.cells[2].execution_count = 3",
    ],
    stores_no_errors: [
        "nb.cells[2].outputs = [STOPPED]",
    ],
    stores_no_widgets: [
        "nb.metadata.widgets = {'state': {}}",
        "nb.cells[1].outputs[0].data[WIDGET_VIEW] = {'model_id': '0'}",
    ],
    opens_with_a_card: [
        "nb.cells = []",
        "del nb.cells[0]",
        "nb.cells[0].source = CARD.removeprefix('# ')",
        "nb.cells[0].source = CARD.replace('be able', 'be')",
        "nb.cells[0].source = CARD.replace('You need', 'Take')",
        "nb.cells[0].source = CARD.replace('20 minutes', 'some minutes')",
    ],
    has_fixed_cell_ids: [
        "del nb.cells[1]['id']",
        "nb.cells[1].id = 'assign'",
        "nb.cells[1].id = '8f14e45f'",
        "nb.cells[1].id = '8f14e45f-ceea-467f-a0e6-1d2b3c4d5e6f'",
    ],
    links_lead_somewhere: [
        "nb.cells[0].source += '[next](99-nowhere.ipynb)'",
    ],
    names_no_machine: [
        "nb.metadata.kernelspec.name = 'course-venv'",
        "del nb.metadata['kernelspec']",
        "nb.metadata.kernelspec.display_name = 'Python (/home/ada/venv)'",
        "nb.cells[1].outputs[0].data['text/plain'] = '/tmp/ipykernel_12/3.py:1'",
    ],
}


def test_a_good_notebook_keeps_every_rule():
    """The made-up notebook has nothing to complain about, so that what the next test sees is the change."""
    assert [complaint for rule in RULES for complaint in rule(made_up())] == []


def test_every_rule_is_tried():
    """No rule is without a notebook that breaks it."""
    assert set(BROKEN) == set(RULES)


@pytest.mark.parametrize(
    "rule, change",
    [pytest.param(rule, change, id=change) for rule, changes in BROKEN.items() for change in changes],
)
def test_a_broken_notebook_is_noticed(rule, change):
    """One change to the made-up notebook breaks one rule, and that rule complains exactly once."""
    notebook = made_up()
    exec(change, globals() | {"nb": notebook})
    assert len(list(rule(notebook))) == 1


def test_an_expected_error_is_allowed():
    """A cell tagged raises-exception may end with an error."""
    notebook = made_up()
    notebook.cells[2].outputs = [STOPPED]
    notebook.cells[2].metadata.tags = ["raises-exception"]
    assert list(stores_no_errors(notebook)) == []
