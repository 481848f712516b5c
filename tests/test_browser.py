"""The browser's fixtures, tried on small notebooks: what they should notice, they notice."""

import nbformat
import pytest
from browser import (
    DARK,
    axe,
    cell_errors,
    cells,
    choose_theme,
    dead_widgets,
    open_notebook,
    output_area,
    outputs,
    restart_kernel,
    run_all,
    run_cell,
    shot,
    trust,
    write_notebook,
)

pytestmark = pytest.mark.needs("chromium")


COUNTER = """
import anywidget, traitlets

class Counter(anywidget.AnyWidget):
    _esm = '''
    function render({ model, el }) {
        const button = document.createElement("button");
        const show = () => { button.textContent = "count " + model.get("count"); };
        button.onclick = () => { model.set("count", model.get("count") + 1); model.save_changes(); };
        model.on("change:count", show);
        show();
        el.append(button);
    }
    export default { render };
    '''
    count = traitlets.Int(0).tag(sync=True)

counter = Counter()
counter
"""


def stored(html, plain="no picture", **data):
    """A cell with an output that was stored at some time."""
    output = nbformat.v4.new_output("display_data", {"text/html": html, "text/plain": plain} | data)
    return nbformat.v4.new_code_cell("pass", outputs=[output], execution_count=1)


def test_a_widget_of_our_own(page, lab):
    """An anywidget is drawn, and what is clicked in the page is known in the kernel."""
    write_notebook(lab, "counter.ipynb", [COUNTER, "counter.count"])
    open_notebook(page, "counter.ipynb")
    run_all(page)
    page.get_by_role("button", name="count 0").click()
    page.get_by_role("button", name="count 1").click()
    page.get_by_role("button", name="count 2").wait_for()
    run_cell(page, "cell-2")
    assert outputs(page)["cell-2"][0]["data"]["text/plain"] == "2"
    assert dead_widgets(page) == []


def test_a_dead_widget_is_noticed(page, lab, watch):
    """A stored widget, trusted and without a kernel that knows it, is noticed."""
    watch.allow("widget model not found")
    view = {"model_id": "0" * 32, "version_major": 2, "version_minor": 0}
    dead = stored("<b>a table</b>", **{"application/vnd.jupyter.widget-view+json": view})
    write_notebook(lab, "dead.ipynb", [dead])
    trust(lab, "dead.ipynb")
    open_notebook(page, "dead.ipynb")
    page.get_by_text("model not found").wait_for()
    assert "model not found" in dead_widgets(page)


@pytest.mark.parametrize("trusted", [False, True])
def test_trust(page, lab, trusted):
    """The page runs a stored script if the notebook is trusted, and not otherwise."""
    write_notebook(lab, "script.ipynb", [stored("<p>a picture</p><script>window.scriptRan = true</script>")])
    if trusted:
        trust(lab, "script.ipynb")
    page.evaluate("window.scriptRan = false")
    open_notebook(page, "script.ipynb")
    page.get_by_text("a picture").wait_for()
    assert page.evaluate("Boolean(window.scriptRan)") == trusted


def test_an_error_stops_the_run(page, lab):
    """A cell that ends with an error fails the test that has run it."""
    write_notebook(lab, "error.ipynb", ["1 / 0", "2"])
    open_notebook(page, "error.ipynb")
    with pytest.raises(pytest.fail.Exception, match="cell-1: ZeroDivisionError: division by zero"):
        run_all(page)
    assert cell_errors(page) == ["cell-1: ZeroDivisionError: division by zero"]
    assert outputs(page)["cell-2"] == []


def test_an_outside_address_is_noticed(page, lab, watch):
    """A picture on another machine is not loaded, and fails the test."""
    write_notebook(lab, "outside.ipynb", [stored('<img src="https://example.org/lane.png" alt="a lane">')])
    open_notebook(page, "outside.ipynb")
    page.wait_for_timeout(500)
    assert list(watch.complaints()) == [
        "The page asked another machine: https://example.org/lane.png",
        "The page reported: Failed to load resource: net::ERR_NAME_NOT_RESOLVED (https://example.org/lane.png)",
    ]
    watch.outside.clear()
    watch.errors.clear()


def test_errors_of_the_page_are_noticed(page, lab, watch):
    """What a page throws or writes to its console as an error fails the test, unless it is allowed."""
    open_notebook(page, "00-reading-an-interleaving.ipynb")
    page.evaluate("console.error('no lane'); setTimeout(() => { throw new Error('no step') }, 0); undefined")
    page.wait_for_timeout(200)
    logged, thrown = watch.complaints()
    assert "no lane" in logged and "no step" in thrown
    watch.allow("no (lane|step)")
    assert list(watch.complaints()) == []


def test_changed_cells_are_noticed(page, lab):
    """After the keys d d on a selected cell, one cell is missing."""
    write_notebook(lab, "cells.ipynb", ["1", nbformat.v4.new_markdown_cell("text"), "2"])
    open_notebook(page, "cells.ipynb")
    before = cells(page)
    assert before == [("cell-1", "code", "1"), ("cell-2", "markdown", "text"), ("cell-3", "code", "2")]
    page.locator(".jp-Notebook .jp-Cell .jp-InputPrompt").first.click()
    page.keyboard.type("dd")
    assert cells(page) == before[1:]


def test_restart(page, lab):
    """After a restart the kernel knows nothing of what was run before."""
    write_notebook(lab, "restart.ipynb", ["'again' if 'seen' in globals() else 'first'", "seen = True"])
    open_notebook(page, "restart.ipynb")
    shown = output_area(page, "cell-1")
    for expected in "first", "again":
        run_all(page)
        assert expected in shown.inner_text()
    restart_kernel(page)
    run_all(page)
    assert "first" in shown.inner_text()


def test_dark_theme(new_page, lab):
    """The theme that a test chooses is the one that the next page has."""
    write_notebook(lab, "theme.ipynb", ["1"])
    choose_theme(lab, DARK)
    page = new_page()
    open_notebook(page, "theme.ipynb")
    assert page.locator("body").get_attribute("data-jp-theme-light") == "false"


@pytest.mark.needs("axe")
def test_axe(page, lab):
    """Axe notices a button without a name, and nothing where the button has one."""
    write_notebook(lab, "axe.ipynb", [stored("<button></button>"), stored("<button>Step</button>")])
    trust(lab, "axe.ipynb")
    open_notebook(page, "axe.ipynb")
    [unnamed] = axe(page, ".jp-Cell:nth-of-type(1) .jp-RenderedHTMLCommon")
    assert unnamed.startswith("button-name (critical): ")
    assert axe(page, ".jp-Cell:nth-of-type(2) .jp-RenderedHTMLCommon") == []


def test_a_picture_shows_what_has_changed(page, lab):
    """A picture is a file, and another one after a click."""
    write_notebook(lab, "counter.ipynb", [COUNTER])
    open_notebook(page, "counter.ipynb")
    run_all(page)
    button = page.get_by_role("button", name="count")
    before = shot(button, "counter").read_bytes()
    button.click()
    page.get_by_role("button", name="count 1").wait_for()
    assert shot(button, "counter").read_bytes() != before
