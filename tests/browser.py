"""Real JupyterLab and Notebook 7 in a headless Chromium, for the tests that look at what a reader sees.

A test asks for a page, opens a notebook in it, and looks:

    @pytest.mark.needs("chromium")
    def test_it_counts(page, lab):
        write_notebook(lab, "count.ipynb", ["1 + 1"])
        open_notebook(page, "count.ipynb")
        run_all(page)
        assert "2" in page.locator(".jp-OutputArea").inner_text()

The same in both applications:

    @pytest.mark.parametrize("app", ["lab", "notebook"])

One server of each kind runs for all tests, one browser for all tests of a file. Loading JupyterLab takes longer than
most tests, so its page stays, and each test opens its notebook in it, as a reader opens the next one; in Notebook 7
every notebook has a page of its own. Each test has a kernel of its own, and begins with no notebook open and with fresh
copies of the course's notebooks and exercises. It fails at its end if the page has asked another machine for something,
or has reported an error that the test does not allow.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary
from places import AXE, ROOT

from benchmarks.chromium import launch

PICTURES = ROOT / "build" / "pictures"
SECONDS = 30                # how long anything may take
RUN_SECONDS = 300           # how long a whole notebook may take
SIZE = {"width": 1280, "height": 900}
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
# What a widget says instead of itself when no kernel stands behind it.
DEAD = ("Error displaying widget", "model not found", "Error creating widget", "Failed to load")
LOADING = "Loading widget"
# The Python module that serves an application, and where a notebook is found in it.
MODULE = {"lab": "jupyterlab", "notebook": "notebook"}
PLACE = {"lab": "/lab/tree/", "notebook": "/notebooks/"}
# Errors that the applications report by themselves, whatever is opened in them.
THEIR_OWN = [
    r"reading 'schema'\)\s+at \S+/notebook_core\.",       # Notebook 7, whenever a notebook is opened
    "Could not restore the debugger state",                # both, at times, when a kernel is restarted
]


# ---- The server ----

@dataclass
class Lab:
    """A server of one application, "lab" or "notebook": its address, and the folder with all that belongs to it."""

    app: str
    url: str
    folder: Path

    @property
    def notebooks(self):
        """The folder of notebooks that it serves."""
        return self.folder / "notebooks"

    def ask(self, method, path):
        """Call the server's REST interface, and return the answer's JSON."""
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.loads(answer.read() or "null")

    def set(self, plugin, **values):
        """Write settings of one plugin of JupyterLab, as the settings editor would."""
        extension, name = plugin.split(":")
        path = self.folder / "settings" / extension / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def make_fresh(self):
        """End all kernels and forget what a test has written, chosen or trusted."""
        for session in self.ask("GET", "sessions"):
            self.ask("DELETE", f"sessions/{session['id']}")
        for left in self.notebooks.iterdir():    # not the folder itself: JupyterLab looks into it now and then
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        for folder in ("notebooks", "exercises"):
            left_out = shutil.ignore_patterns(".ipynb_checkpoints")
            shutil.copytree(ROOT / folder, self.notebooks, ignore=left_out, dirs_exist_ok=True)
        choose_theme(self, LIGHT)
        with notary(self) as trusted:
            trusted.store.db.execute("DELETE FROM nbsignatures")
            trusted.store.db.commit()


@contextlib.contextmanager
def notary(lab):
    """The server's list of trusted notebooks."""
    trusted = NotebookNotary(data_dir=str(lab.folder / "data"))
    try:
        yield trusted
    finally:
        trusted.store.close()


def free_port():
    """A port of this machine on which nobody listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def environment(folder):
    """This process's environment, but with Jupyter's own files in `folder`, and with the course importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    own = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython",
    }
    own = {name: str(folder / value) for name, value in own.items()}
    # The kernel "python3" must be the one of this environment.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return kept | own | {"PATH": path, "PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1"}


# A shell that runs a command until its own input ends. That also happens when pytest is killed.
UNTIL_WE_END = ["sh", "-c", '"$@" & read -r nothing; kill $!; wait $!', "sh"]


def start(lab, log):
    """Start the server as a process of its own."""
    return subprocess.Popen(
        [
            *UNTIL_WE_END, sys.executable, "-m", MODULE[lab.app], "--no-browser", "--allow-root", "--ip=127.0.0.1",
            f"--port={lab.url.rpartition(':')[2]}", "--ServerApp.port_retries=0",
            "--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True",
            f"--ServerApp.root_dir={lab.notebooks}",
            "--LabApp.extension_manager=readonly",
            "--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True",
        ],
        env=environment(lab.folder), cwd=lab.folder, start_new_session=True,
        stdin=subprocess.PIPE, stdout=log, stderr=log,
    )


def wait_until_it_answers(lab, log):
    """Wait until the server answers. If it does not, say what it has written."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            return lab.ask("GET", "status")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(f"{MODULE[lab.app]} did not start. It wrote:\n{Path(log.name).read_text()[-3000:]}")


def stop(process):
    """End the server; kernels end with it."""
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def running(app, folder):
    """A server of this application, as long as the block lasts."""
    lab = Lab(app, f"http://127.0.0.1:{free_port()}", folder)
    lab.notebooks.mkdir()
    (folder / "data").mkdir()
    lab.set("@jupyterlab/apputils-extension:notification", fetchNews="false", checkForUpdates=False)
    # Every cell is in the page, also those that are not on the screen.
    lab.set("@jupyterlab/notebook-extension:tracker", windowingMode="none")
    with open(folder / "server.log", "w") as log:
        process = start(lab, log)
        try:
            wait_until_it_answers(lab, log)
            yield lab
        finally:
            stop(process)


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Gives the server of an application, which is started when it is first asked for."""
    with contextlib.ExitStack() as until_the_end:

        @functools.cache
        def server(app):
            return until_the_end.enter_context(running(app, tmp_path_factory.mktemp(app)))

        yield server


@pytest.fixture
def app():
    """The application that the test looks at. A test that looks at both is parametrized with "app"."""
    return "lab"


@pytest.fixture
def lab(servers, app):
    """The server, as if it had just been started."""
    server = servers(app)
    server.make_fresh()
    yield server
    server.make_fresh()


def write_notebook(lab, name, sources, **metadata):
    """Write a notebook that has not been run. A source is text (a code cell) or a cell made by nbformat.v4."""
    v4 = nbformat.v4
    cells = [v4.new_code_cell(source) if isinstance(source, str) else source for source in sources]
    for number, cell in enumerate(cells, start=1):
        cell.id = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel} | metadata)
    nbformat.write(notebook, lab.notebooks / name)


def trust(lab, name):
    """Trust a stored notebook, as if it had been run and saved on this machine."""
    with notary(lab) as trusted:
        trusted.sign(nbformat.read(lab.notebooks / name, as_version=4))


def choose_theme(lab, theme):
    """Choose LIGHT or DARK for the pages that are opened from now on."""
    lab.set("@jupyterlab/apputils-extension:themes", theme=theme)


# ---- The browser ----

@dataclass
class Watch:
    """What the pages of one test have asked of other machines, and the errors that they have reported."""

    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def allow(self, pattern):
        """Errors in which this regular expression is found are no failure of this test."""
        self.allowed.append(pattern)

    def complaints(self):
        """One sentence for everything that should not have been."""
        yield from (f"The page asked another machine: {url}" for url in self.outside)
        for error in self.errors:
            if not any(re.search(pattern, error) for pattern in self.allowed):
                yield f"The page reported: {error}"

    def listen(self, context):
        """Write down what happens in the pages of this browser context."""
        listen(context, lambda: self)

    def hear(self, message):
        """Keep what the page has written into its console as an error, with the address of the script."""
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location['url']})")

    def see(self, url):
        """Keep an address if it is not on this machine."""
        if not re.match(r"(http|ws)://127\.0\.0\.1[:/]|(data|blob|about|file):", url):
            self.outside.append(url)


def listen(context, watch):
    """Let `watch()` write down what happens in the pages of this browser context."""
    context.on("request", lambda request: watch().see(request.url))
    context.on("page", lambda page: page.on("websocket", lambda socket: watch().see(socket.url)))
    context.on("console", lambda message: watch().hear(message))
    context.on("weberror", lambda error: watch().errors.append(error.error.stack or error.error.message))


@pytest.fixture(scope="module")
def chromium():
    """The browser. It ends with the file of tests: while it runs, no other test could use asyncio in this thread."""
    from playwright.sync_api import sync_playwright  # only here: importing it takes a while

    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def watch():
    """Fails the test at its end, if its pages reported errors or asked other machines."""
    watch = Watch(allowed=list(THEIR_OWN))
    yield watch
    if complaints := list(watch.complaints()):
        pytest.fail("\n".join(complaints), pytrace=False)


def new_context(chromium, lab, **options):
    """What a browser calls a profile: its pages share nothing with those of another."""
    size = {side: options.pop(side, usual) for side, usual in SIZE.items()}
    context = chromium.new_context(base_url=lab.url + PLACE[lab.app], viewport=size, **options)
    context.set_default_timeout(SECONDS * 1000)
    return context


@pytest.fixture
def new_page(chromium, lab, watch):
    """Makes pages: `new_page(width=400)`. Further options are those of Playwright's `new_context`."""
    contexts = []

    def make(**options):
        contexts.append(new_context(chromium, lab, **options))
        watch.listen(contexts[-1])
        return contexts[-1].new_page()

    yield make
    for context in contexts:
        context.close()


class Window:
    """The page of JupyterLab that stays from test to test; ``watch`` is that of the present test."""

    page = watch = None

    def open(self, chromium, lab):
        """The page; a new one, if there is none or something is left in the old one."""
        if self.page is None:
            context = new_context(chromium, lab)
            listen(context, lambda: self.watch)
            self.page = context.new_page()
        self.page.set_viewport_size(SIZE)
        return self.page

    def clear(self):
        """Close all notebooks, unsaved, with their kernels. Where that is not all, the page goes."""
        page, self.page = self.page, None       # it is gone, too, if it does not answer
        if runs(page) and page.evaluate(CLOSE_ALL):
            self.page = page
        else:
            page.context.close()


@pytest.fixture(scope="module")
def window(chromium):
    """The page that stays, as long as the browser does."""
    return Window()


@pytest.fixture
def page(request, chromium, lab, watch):
    """A page of usual size in which no notebook is open."""
    if lab.app != "lab":
        yield request.getfixturevalue("new_page")()
        return
    window = request.getfixturevalue("window")
    window.watch = watch
    yield window.open(chromium, lab)
    window.clear()


# ---- A notebook in a page ----

# The open notebook, as JavaScript: both applications are made of the same parts.
NOTEBOOK = "window.jupyterapp?.shell?.currentWidget"
IS_READY = f"""() => {{
    const notebook = {NOTEBOOK};
    const kernel = notebook?.sessionContext?.session?.kernel;
    return Boolean(notebook?.context?.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle");
}}"""


#: Closes every notebook, without asking, and says whether there is nothing left that a reader would have to answer.
CLOSE_ALL = """async () => {
    for (const widget of [...window.jupyterapp.shell.widgets("main")]) {
        await widget.sessionContext?.shutdown();
        widget.dispose();
    }
    return !document.querySelector(".jp-Dialog");
}"""


def runs(page):
    """Whether JupyterLab, or Notebook 7, is loaded in a page."""
    return page.evaluate("Boolean(window.jupyterapp)")


def open_notebook(page, name):
    """Open a notebook, and wait until its kernel is idle."""
    if runs(page):
        page.evaluate(CLOSE_ALL)
        page.evaluate("path => void window.jupyterapp.commands.execute('docmanager:open', {path})", name)
        page.wait_for_function(f"path => {NOTEBOOK}?.context?.path === path", arg=name)
    else:
        page.goto(f"{name}?reset")      # without the other notebooks that JupyterLab had open
    wait_until_idle(page)


def wait_until_idle(page):
    """Wait until the open notebook has a kernel that has nothing to do."""
    page.wait_for_function(IS_READY)


def ask_notebook(page, expression, seconds=SECONDS):
    """The value of a JavaScript expression in which `notebook` is the open notebook; waits for a promise."""
    return page.evaluate(
        f"""([seconds]) => {{
            const notebook = {NOTEBOOK};
            const late = new Promise((_, no) =>
                setTimeout(() => no(new Error(`no answer after ${{seconds}} seconds`)), seconds * 1000));
            return Promise.race([(async () => {expression})(), late]);
        }}""",
        [seconds],
    )


def command(page, name, seconds=SECONDS):
    """Do what the menu entry with this command name does, and wait until it is done."""
    return ask_notebook(page, f"await window.jupyterapp.commands.execute({name!r})", seconds)


def run_all(page):
    """Run all cells, and wait until the last one has run and every widget has been drawn."""
    run(page, "notebook:run-all-cells")


def run_cell(page, cell):
    """Run one cell, given by its id, and wait until it has run and its widget has been drawn."""
    ask_notebook(page, f"notebook.content.activeCellIndex = {position(page, cell)}")
    run(page, "notebook:run-cell")


def run(page, how):
    """Run cells as the command `how` does. One that ends with an error, and is not tagged so, fails the test."""
    if not command(page, how, RUN_SECONDS):
        pytest.fail("A cell stopped with an error:\n" + "\n".join(cell_errors(page)))
    wait_until_drawn(page)


def wait_until_drawn(page):
    """Wait until no output says that a widget is being loaded."""
    page.wait_for_function("text => !document.body.innerText.includes(text)", arg=LOADING)
    wait_until_idle(page)


def restart_kernel(page):
    """Restart the kernel, as the menu does; what is on the page stays there."""
    ask_notebook(page, "void await notebook.sessionContext.restartKernel()")
    wait_until_idle(page)


def cells(page):
    """The cells of the open notebook, not yet saved: (id, type, source) of each."""
    model = "notebook.content.model.sharedModel.cells"
    found = ask_notebook(page, f"{model}.map(cell => [cell.id, cell.cell_type, cell.getSource()])")
    return [tuple(cell) for cell in found]


def position(page, cell):
    """Where a cell, given by its id, stands in the open notebook."""
    return [name for name, *_ in cells(page)].index(cell)


def outputs(page):
    """What the code cells of the open notebook have put out: {cell id: list of outputs as they would be stored}."""
    model = "notebook.content.model.sharedModel.cells"
    code = f"{model}.filter(cell => cell.cell_type === 'code')"
    return dict(ask_notebook(page, f"{code}.map(cell => [cell.id, cell.toJSON().outputs])"))


def cell_errors(page):
    """One line for every output of the open notebook that is an error."""
    return [
        f"{name}: {output['ename']}: {output['evalue']}"
        for name, found in outputs(page).items() for output in found if output["output_type"] == "error"
    ]


def output_area(page, cell):
    """Where the outputs of a cell, given by its id, are drawn."""
    return page.locator(".jp-Notebook .jp-Cell").nth(position(page, cell)).locator(".jp-Cell-outputArea")


def dead_widgets(page):
    """The phrases on the page that tell of a widget that could not be drawn."""
    text = page.locator("body").inner_text()
    return [phrase for phrase in DEAD if phrase in text]


# ---- Looking closer ----

def axe(page, selector):
    """What axe finds serious or critical for people with disabilities, inside `selector`: one line for each."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE.read_text() + "; undefined")
    found = page.evaluate("selector => axe.run(selector, {resultTypes: ['violations']})", selector)
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: " + "; ".join(node["html"][:200] for node in rule["nodes"])
        for rule in found["violations"] if rule["impact"] in ("serious", "critical")
    ]


def shot(page_or_locator, name):
    """Put a picture into build/pictures/, to be looked at; the tests do not compare it with anything."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    page_or_locator.screenshot(path=path, animations="disabled")
    return path
