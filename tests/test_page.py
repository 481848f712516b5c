"""Pages that need no kernel: what `python -m vmbus_teach.export` writes, opened in a browser that reaches nobody."""

import base64
import http.server
import re
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest
from browser import Watch, axe, shot
from made import OF_THE_COURSE
from places import ROOT
from playwright.sync_api import expect

from vmbus_teach import Scenario, ScenarioError, Stepper, at_end, export
from vmbus_teach.kernel import WRITE_ONCE, Cell, Mutex, mutex_lock, mutex_unlock
from vmbus_teach.scenarios import catalogue
from vmbus_teach.scenarios.classics import AtomicIncrements, Increments, LockedIncrements
from vmbus_teach.scenarios.retarget import PerCpuLists
from vmbus_teach.views import page as pages
from vmbus_teach.views import stepper as steppers
from vmbus_teach.views.notebook_page import notebook_page, write_notebook_page
from vmbus_teach.views.page import write_page

in_a_browser = pytest.mark.needs("chromium")
#: One chapter: it is run for its page. The others have the same kinds of cells, and so has the made-up notebook.
[CHAPTER] = (ROOT / "notebooks").glob("02-*.ipynb")
#: The scenarios that have a kind of thing that none before has; and of those the first of each chapter, to be opened.
SCENARIOS = {entry.scenario.__name__: entry for entry in catalogue() if entry.scenario.__name__ in OF_THE_COURSE}
OPENED = {entry.chapter: entry for entry in reversed(SCENARIOS.values())}.values()
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

# One cell for every kind of output: (what it runs, what the page must show).
CELLS = {
    "imports": ("from vmbus_teach import *; from vmbus_teach import Stepper\n"
                "from vmbus_teach.scenarios.classics import *; from vmbus_teach.scenarios.retarget import *\n"
                "from vmbus_teach.views import *; from IPython.display import *; import base64, sys", None),
    "stream": ("print('a < b & c')", "a < b & c"),
    "stderr": ("print('beware', file=sys.stderr)", "beware"),
    "result": ("{'a': [1, 2]}", "{'a': [1, 2]}"),
    "source": ("source(Increments)", "def increment(self):"),
    "table": ("judge([Increments, AtomicIncrements])", "shortest counterexample"),
    "picture": (f"Image(base64.b64decode('{PIXEL}'))", None),
    "guess": ("Predict('Is it so?', ['yes', 'no'])", "( ) yes"),
    "error": ("explore(Increments).failures[7]", "IndexError"),
    "one": ("Stepper(Increments)", "all 12 states in this page"),
    "two": ("mine = Stepper(PerCpuLists)\nmine", "all 354 states in this page"),
    "large": ("from vmbus_teach.views import stepper\nstepper.SHIPPED = 3\nStepper(PerCpuLists)", "all 354 states"),
    "beside": ("Stepper(Increments, 'worker_0 worker_1', beside=LockedIncrements)", "You schedule this one."),
}  # fmt: skip
CARD = """# Made up, by `hand`

**Every kind of output.**

[on](02-the-per-cpu-list-bug.ipynb#Step) ![a dot](dot.png)
"""


def made_up():
    """A notebook with a cell for every kind of output."""
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell(CARD, id="card")]
    cells += [v4.new_code_cell(source, id=name) for name, (source, _) in CELLS.items()]
    next(cell for cell in cells if cell.id == "error").metadata.tags = ["raises-exception"]
    return v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


def run_export(*words):
    """Calls the command as a user does."""
    command = [sys.executable, "-m", "vmbus_teach.export", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with some of what `make pages` writes, and a page of the made-up notebook."""
    folder = tmp_path_factory.mktemp("pages")
    nbformat.write(made_up(), folder / "made-up.ipynb")
    (folder / "dot.png").write_bytes(base64.b64decode(PIXEL))
    run = run_export(CHAPTER, folder / "made-up.ipynb", *SCENARIOS, folder)
    assert run.returncode == 0, run.stderr
    return folder


# ---- A browser that reaches nobody ----


class OnlyThisPage(Watch):
    """Writes down every request but the one for the page itself."""

    url = ""

    def see(self, url):
        """Keep what was asked for."""
        if url != self.url and not url.startswith("data:"):
            self.outside.append(url)


@pytest.fixture
def watch():
    """Fails the test at its end if a page has asked for anything, or reported an error."""
    watch = OnlyThisPage()
    yield watch
    if complaints := list(watch.complaints()):
        pytest.fail("\n".join(complaints), pytrace=False)


@pytest.fixture
def visit(chromium, watch):
    """Opens a page, by default as a file: `visit(path)`, `visit(url, width=420)`."""
    contexts = []

    def visit(where, width=1200, theme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        context.set_default_timeout(20_000)
        contexts.append(context)
        watch.listen(context)
        watch.url = where.as_uri() if isinstance(where, Path) else where
        page = context.new_page()
        page.goto(watch.url)
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def served(folder):
    """The folder's address on a server of this machine, and the paths that the server was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def steps(stepper):
    """How many steps a stepper says it has taken."""
    return stepper.locator(".vt-steps").inner_text()


def click(stepper, word):
    """Clicks the button of a step, and waits until its step is there."""
    rows = stepper.locator(".vt-row").count()
    stepper.locator(f'[data-word="{word}"]').click()
    expect(stepper.locator(".vt-row")).to_have_count(rows + 1)


def in_cell(page, name):
    """The cell of a notebook's page."""
    return page.locator(f'[id="cell-id={name}"]')


# ---- A page with one stepper ----


@in_a_browser
@pytest.mark.parametrize("name", ["PerCpuLists", "made-up"])
def test_as_a_file_and_from_a_server(folder, served, visit, name):
    """A page is alive in both cases, and asks for nothing but itself."""
    address, asked = served
    for where in (folder / f"{name}.html", f"{address}/{name}.html"):
        stepper = visit(where).locator(".vt", has_text="354 states").first
        click(stepper, "host_sends")
        stepper.press("1")
        expect(stepper.locator(".vt-steps")).to_have_text("2 steps")
        stepper.press("ArrowLeft")
        expect(stepper.locator(".vt-steps")).to_have_text("1 of 2 steps")
    assert asked == [f"/{name}.html"]


@in_a_browser
def test_scenarios_of_the_catalogue(folder, visit):
    """Each has a page with all its states, on which a walk at random goes on. (One of each chapter is looked at.)"""
    for entry in OPENED:
        page = visit(folder / f"{entry.scenario.__name__}.html")
        assert page.locator("h1").all_inner_texts() == [str(entry.make())] == [page.title()]
        stepper = page.locator(".vt")
        assert re.search(r"all [\d,]+ states in this page", stepper.inner_text())
        stepper.press("w")
        expect(stepper.locator(".vt-row").first).to_be_visible()
        page.context.close()


@in_a_browser
def test_find_a_failure(folder, visit):
    """The search's result is in the page: a failure is loaded, and what decided it is told."""
    stepper = visit(folder / "PerCpuLists.html").locator(".vt")
    stepper.get_by_role("button", name="Find a failure").click()
    expect(stepper.get_by_role("status")).to_contain_text("no_message_is_left does not hold")
    expect(stepper.get_by_role("status")).to_contain_text("Decided in step")
    assert steps(stepper) == "21 steps"


@in_a_browser
def test_schedule_and_second_scenario(tmp_path, visit):
    """A page opens at its schedule, with the second scenario beside the first."""
    path = write_page(Increments, tmp_path / "page.html", schedule="worker_0 worker_1", beside=LockedIncrements)
    page = visit(path)
    assert page.locator("h1").inner_text() == "Increments beside LockedIncrements"
    expect(page.locator(".vt-steps")).to_have_text("2 steps")
    assert "goes as far as step 1 of 2" in page.locator(".vt-pane").nth(1).inner_text()


def test_a_stepper_is_written_where_it_stands(tmp_path):
    """A Stepper that is given has its place in the page, and is itself as it was."""
    stepper = Stepper(Increments, "worker_0*2")
    stepper.undo()
    text = write_page(stepper, tmp_path / "page.html").read_text()
    assert '"schedule":"worker_0*2","at":1' in text
    assert stepper.documents[0]["scenario"]["about"].startswith("Several threads")


def test_folders_are_made(tmp_path):
    """A page goes into a folder that is not there yet."""
    assert write_page(Increments, tmp_path / "no" / "where.html").is_file()


def test_every_page_names_its_licences(folder):
    """Whoever finds a page can read in its source whose it is, and on what terms."""
    pages_written = list(folder.glob("*.html"))
    assert len(pages_written) > len(SCENARIOS)
    for path in pages_written:
        [notice] = re.findall("<!--.*?-->", path.read_text().partition("<style>")[0], re.DOTALL)
        for said in ("Interrupts in flight", "the vmbus_teach authors", "BSD-3-Clause", "CC-BY-4.0"):
            assert said in notice


@pytest.mark.parametrize("path, said", [
    (None, "None is no path. Name the file to write, such as 'page.html'"),
    (5, "5 is no path"),
    (".", "'.' is a folder. Name a file in it, such as 'page.html'"),
    ("pages", "'pages' is a folder. Name a file in it, such as 'pages/page.html'"),
])  # fmt: skip
def test_a_page_goes_into_a_file(path, said, tmp_path, monkeypatch):
    """What can be no file is refused before anything is searched or run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pages").mkdir()
    monkeypatch.setattr(pages, "Stepper", None)
    for write, what in ((write_page, Increments), (write_notebook_page, "no.ipynb")):
        with pytest.raises(ScenarioError, match=f"^{re.escape(said)}"):
            write(what, path)


@pytest.mark.parametrize("more", [{"schedule": "worker_0"}, {"schedule": ""}, {"beside": LockedIncrements}], ids=str)
def test_a_stepper_has_its_schedule_already(more, tmp_path):
    """What would be ignored is refused."""
    with pytest.raises(ScenarioError, match="a Stepper has its schedule already"):
        write_page(Stepper(Increments), tmp_path / "page.html", **more)
    assert not list(tmp_path.iterdir())


def test_too_many_states(tmp_path, monkeypatch):
    """A scenario that a page cannot hold is refused, with what to do; nothing is written."""
    monkeypatch.setattr(steppers, "SHIPPED", 10)
    monkeypatch.setattr(pages, "IN_A_PAGE", 353)
    with pytest.raises(ScenarioError, match=r"PerCpuLists has more than 353 states.* smaller parameters"):
        write_page(PerCpuLists, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(pages, "IN_A_PAGE", 354)
    assert '"complete":true' in write_page(PerCpuLists, tmp_path / "page.html").read_text()


END = "</script><script>alert(1)</script><!-- <script>"


class Markup(Scenario):
    """</script><script>alert(0)</script>"""

    def setup(self):
        self.lock, self.text = Mutex(), Cell(END)
        self.add_thread(self.write, name="<b>bold</b></script>")

    def write(self):
        yield mutex_lock(self.lock)  # </script><i>slanted</i>
        yield WRITE_ONCE(self.text, "<img src=x onerror=alert(2)>")  # "quoted" & <u>under</u>
        yield mutex_unlock(self.lock)

    @at_end
    def never(self, s):
        """</script>"""
        return "<h1>loud</h1></script>"[:0] or "<h1>loud</h1></script>"


@in_a_browser
def test_markup_stays_text(tmp_path, visit):
    """Markup in a name, a value, a remark, a message or a docstring is shown as it is, and ends no script."""
    page = visit(write_page(Markup, tmp_path / "page.html"))
    stepper = page.locator(".vt")
    assert page.locator("main > p").inner_text() == Markup.__doc__
    seen = page.locator("main").inner_text()
    for _ in range(3):
        stepper.press("1")
        seen += page.locator("main").inner_text()
    expect(stepper.get_by_role("status")).to_contain_text("<h1>loud</h1></script>")
    for text in ("<b>bold</b></script>", END, "</script><i>slanted</i>", "<img src=x onerror=alert(2)>", "& <u>under"):
        assert text in seen
    assert page.locator("main :is(b, i, u, img, h1)", has_text=re.compile("^(bold|slanted|under|loud)$")).count() == 0
    assert page.locator("main script").count() == 1


# ---- A notebook ----


@in_a_browser
def test_every_kind_of_output(folder, visit):
    """Text, tables, pictures, sources, errors and what stands in for other widgets are on the page."""
    page = visit(folder / "made-up.html")
    for name, (_, shown) in CELLS.items():
        if shown:
            assert shown in in_cell(page, name).locator(".jp-Cell-outputWrapper").inner_text(), name
    for name in ("card", "picture"):
        assert in_cell(page, name).locator("img").evaluate("image => image.naturalWidth") == 1
    assert page.title() == "Made up, by hand"
    assert page.locator("h1").all_inner_texts() == ["Made up, by hand"]
    assert page.locator("html").get_attribute("lang") == "en"


@in_a_browser
def test_all_outputs_of_a_notebook(folder, visit):
    """What the stored notebook shows is on its page; where it has a stepper, the page has one that is alive."""
    page = visit(folder / f"{CHAPTER.stem}.html")
    for cell in nbformat.read(CHAPTER, as_version=4).cells:
        area = in_cell(page, cell.id)
        assert area.count() == 1
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if re.match(r".*, after \d+ steps?\n", data.get("text/plain", "")):      # what stands in for a stepper
                assert re.search(r"all [\d,]+ states in this page", area.inner_text())
            elif "text/html" in data:
                for tag in ("table", "img"):
                    assert area.locator(tag).count() == data["text/html"].count(f"<{tag}")
            elif "text/markdown" not in data:
                text = output.get("text") or data["text/plain"]
                assert "".join(text.split()) in "".join(area.inner_text().split())
            else:
                assert area.locator(".jp-Cell-outputWrapper .highlight").count() >= 1


@in_a_browser
def test_two_steppers_do_not_disturb_each_other(folder, visit):
    """Steps, keys and schedules of one are not those of another, even of the same scenario."""
    page = visit(folder / "made-up.html")
    one, two, large = (in_cell(page, name).locator(".vt") for name in ("one", "two", "large"))
    click(one, "worker_0")
    click(two, "target_cpu_store")
    two.press("1")
    expect(two.locator(".vt-steps")).to_have_text("2 steps")
    one.press("2")
    expect(one.locator(".vt-steps")).to_have_text("2 steps")
    one.press("m")
    expect(one.locator(".vt-fate").first).to_be_visible()
    assert two.locator(".vt-fate").count() == 0
    assert steps(large) == "0 steps"


@in_a_browser
def test_a_stepper_that_asked_its_kernel_is_completed(folder, visit):
    """One that had not all states while the notebook ran has them in the page, and finds a failure."""
    stepper = in_cell(visit(folder / "made-up.html"), "large").locator(".vt")
    stepper.press("f")
    expect(stepper.locator(".vt-steps")).to_have_text("21 steps")


@in_a_browser
def test_outside_of_what_is_known(tmp_path, monkeypatch, visit):
    """In a page that lacks states the stepper says so, where one walks out of the known ones, and stays there."""
    monkeypatch.setattr(steppers, "SHIPPED", 3)
    text = pages.whole(pages.head("partial"), pages.place(Stepper(PerCpuLists).get_state()))
    path = tmp_path / "partial.html"
    path.write_text(text)
    stepper = visit(path).locator(".vt")
    for _ in range(6):
        stepper.press("1")
    expect(stepper.get_by_role("status")).to_contain_text("there is no kernel to ask")
    stepper.press("f")
    expect(stepper.get_by_role("status")).to_contain_text("there is no kernel to ask")
    stepper.press("Home")
    expect(stepper.locator(".vt-steps")).to_contain_text("0 of")


def test_a_stored_notebook_shows_what_stands_in(tmp_path):
    """Without having been run, a page shows the stored text and tables, and no stepper."""
    notebook = made_up()
    notebook.cells = [notebook.cells[0], nbformat.v4.new_code_cell("Stepper(Increments)", id="one")]
    data, _ = Stepper(Increments)._repr_mimebundle_()
    notebook.cells[1].outputs = [nbformat.v4.new_output("display_data", data)]
    text = write_notebook_page(notebook, tmp_path / "page.html").read_text()
    assert "Shared state of Increments" in text
    assert "<div data-stepper" not in text
    assert nbformat.v4.new_output("display_data", data) == notebook.cells[1].outputs[0], "the notebook was changed"


def test_nothing_is_left_of_the_widgets(folder):
    """A page has no state of widgets, and no element that would load something."""
    for path in folder.glob("*.html"):
        text = re.sub(r"<script.*?</script>", lambda found: found[0].partition(">")[0], path.read_text(), flags=re.S)
        assert "widget-state" not in text and "widget-view" not in text
        assert not re.search(r' src="(?!data:)|<link[^>]* href="(?!data:)|@import|url\(', text)


def test_links_to_notebooks_lead_to_their_pages(folder):
    """A link to the next notebook leads to the next page; the index leads to each page."""
    assert 'href="02-the-per-cpu-list-bug.html#Step"' in (folder / "made-up.html").read_text()
    linked = re.findall(r'<a href="([^"]+)"', (folder / "index.html").read_text())
    assert sorted([*linked, "index.html"]) == sorted(path.name for path in folder.glob("*.html"))


def test_without_a_heading(tmp_path):
    """A notebook without cells, or without a heading, has the name that it is given."""
    empty = nbformat.v4.new_notebook()
    assert "<title>nothing</title>" in notebook_page(empty, "nothing")
    empty.cells = [nbformat.v4.new_code_cell("1")]
    assert "<title>page</title>" in write_notebook_page(empty, tmp_path / "page.html").read_text()


# ---- What a notebook would load ----


def loading(address):
    """A notebook with an output that asks another machine for a picture."""
    output = nbformat.v4.new_output("display_data", {"text/html": f'<img src="{address}/picture.png">'})
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[output], id="loads")])


@in_a_browser
def test_what_would_be_loaded_is_refused(tmp_path, served, watch, visit):
    """An output that would ask another machine is kept from it by the page itself."""
    address, asked = served
    watch.allow("Content Security Policy")
    page = visit(write_notebook_page(loading(address), tmp_path / "page.html"))
    page.wait_for_load_state("networkidle")
    assert asked == []
    watch.outside.clear()


@in_a_browser
def test_what_is_loaded_would_be_seen(tmp_path, served, watch, visit):
    """Without that rule the same picture is asked for, and these tests notice it."""
    address, asked = served
    watch.allow("404")
    path = tmp_path / "page.html"
    path.write_text(notebook_page(loading(address)).replace("Content-Security-Policy", "nothing"))
    visit(path).wait_for_load_state("networkidle")
    assert asked[0] == "/picture.png"
    assert list(watch.complaints()) == [f"The page asked another machine: {address}/picture.png"]
    watch.outside.clear()


# ---- Looks ----


@in_a_browser
@pytest.mark.parametrize("name", ["index", "PerCpuLists", "02-the-per-cpu-list-bug", "made-up"])
def test_looks(folder, visit, name):
    """A page follows the system's colours, and fits narrow screens."""
    for width in (1200, 420, 320):
        page = visit(folder / f"{name}.html", width)
        for theme, background in {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}.items():
            page.emulate_media(color_scheme=theme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == background
            if width != 320:
                shot(page, f"page-{name}-{theme}-{width}")


@pytest.mark.needs("chromium", "axe")
@pytest.mark.parametrize("name", ["index", "PerCpuLists", "02-the-per-cpu-list-bug", "made-up"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe(folder, visit, name, theme):
    """Axe finds nothing serious, neither in the page nor in its steppers."""
    page = visit(folder / f"{name}.html", 700, theme)
    assert axe(page, "html") == []


# ---- The command ----


def test_the_catalogue_is_every_scenario(monkeypatch, tmp_path):
    """The word stands for a page of each scenario of the course."""
    written = []
    monkeypatch.setattr(export, "_write", lambda source, path: written.append((source, path.stem)))
    assert export.main([export.CATALOGUE, str(tmp_path)]) == 0
    assert written == [(entry, entry.scenario.__name__) for entry in catalogue()]


def test_one_page(tmp_path, capsys):
    """A scenario goes into a file of any name, or into a folder under its own; the size is told."""
    assert export.main(["Increments", str(tmp_path / "new" / "mine.html")]) == 0
    assert export.main(["Increments", str(tmp_path / "pages")]) == 0
    assert [path.name for path in sorted(tmp_path.rglob("*.html"))] == ["mine.html", "Increments.html"]
    assert re.search(r"mine\.html: \d+ kB\n", capsys.readouterr().out)


@pytest.mark.parametrize("words, said", [
    (["Increment", "x"], "'Increment' is no scenario of the catalogue, and no notebook .* Did you mean Increments?"),
    (["catalog", "x"], "Did you mean catalogue?"),
    (["notebooks/00-reading-interleaving.ipynb", "x"],
     "There is no notebook .* Did you mean notebooks/00-reading-an-interleaving.ipynb?"),
    (["?!", "x"], r"its name would end in \.ipynb\)\.$"),
    (["catalogue", "x.html"], r"These are \d+ pages, and 'x.html' is one file. Name a folder"),
    (["Increments", "x.pdf"], r"a file that ends in \.html; 'x.pdf' is neither"),
])  # fmt: skip
def test_wrong_words(words, said, capsys, monkeypatch, tmp_path):
    """What cannot be written is told in a sentence, and nothing is written."""
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    monkeypatch.chdir(tmp_path)
    assert export.main(words) == 1
    assert re.search(said, capsys.readouterr().err.strip())
    assert [path.name for path in tmp_path.iterdir()] == ["notebooks"]


@pytest.mark.parametrize("words, said", [
    (["a/x.ipynb", "b/x.ipynb"], "'a/x.ipynb' and 'b/x.ipynb' would both be 'pages/x.html'. Write them into two"),
    (["a/index.ipynb", "b/x.ipynb"], "the list of all pages and 'a/index.ipynb' would both be 'pages/index.html'"),
    (["a/Increments.ipynb", "catalogue"], "'a/Increments.ipynb' and Increments would both be"),
])  # fmt: skip
def test_no_page_overwrites_another(words, said, capsys, monkeypatch, tmp_path):
    """Two pages with one name are refused, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    for path in ("a/x.ipynb", "b/x.ipynb", "a/index.ipynb", "a/Increments.ipynb"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(), tmp_path / path)
    assert export.main([*words, "pages"]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "pages").exists()


def test_what_is_named_twice_is_written_once(capsys, tmp_path):
    """A scenario that is named beside the catalogue has one page, and stands once in the list."""
    assert export.main(["Increments", "Increments", "Peterson", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("Increments.html") == 1
    assert (tmp_path / "index.html").read_text().count("Increments.html") == 1


def test_a_cell_that_fails(tmp_path):
    """A notebook that does not run has no page; the command names the error."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(notebook, tmp_path / "fails.ipynb")
    run = run_export(tmp_path / "fails.ipynb", tmp_path / "page.html")
    assert run.returncode == 1
    assert run.stderr.strip() == f"A cell of {tmp_path / 'fails.ipynb'} ended with ZeroDivisionError: division by zero"
    assert not (tmp_path / "page.html").exists()


def test_a_scenario_that_is_fine_stays_fine(tmp_path):
    """The page of a scenario that holds says so, and has no failure to load."""
    assert '"verdict":"holds' in write_page(AtomicIncrements, tmp_path / "page.html").read_text()
