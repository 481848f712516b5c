"""Pages that need no kernel, no network and nothing beside them: to be mailed, or put on a server.

    write_page(PerCpuLists, "per-cpu-lists.html")

writes one with a stepper; ``notebook_page`` writes whole notebooks, from the same parts: ``head`` is what a page needs
once, ``place`` what it needs where a stepper is to be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from ..kernel.base import show
from ..scenario import Scenario, ScenarioError
from ..schedule import Schedule
from .stepper import STATIC, Stepper

#: A page has nobody to ask, so it takes in larger scenarios than a notebook does: 2 MB at most.
IN_A_PAGE = 20_000

#: All that a page may load; the browser refuses the rest, so a page that is opened here asks nobody anywhere else.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:"

#: What a page says of itself in its source, wherever it is mailed to.
NOTICE = """<!-- Made with the course "Interrupts in flight". What is from it: copyright 2026 the vmbus_teach authors;
     program and scenarios BSD-3-Clause, https://opensource.org/license/bsd-3-clause;
     text and pictures CC-BY-4.0, https://creativecommons.org/licenses/by/4.0/legalcode -->"""


def write_page(
    scenario: Scenario | type[Scenario] | Stepper,
    path: str | Path,
    *,
    schedule: Schedule | str | None = None,
    beside: Scenario | type[Scenario] | None = None,
) -> Path:
    """Writes a page with a stepper that is alive wherever it is opened; returns its path.

    ``schedule`` and ``beside`` are as for ``Stepper``; a Stepper can be given as it is. Folders are made as needed.
    Raises ScenarioError if the scenario has more states than a page can hold, or ``path`` is no file to be written.
    """
    target = a_file(path)
    stepper = _as_stepper(scenario, schedule, beside)
    complete(stepper)
    for pane in stepper.panes:
        if not pane.document.complete:
            raise ScenarioError(
                f"{pane.machine.scenario} has more than {IN_A_PAGE:,} states, too many for a page that works without "
                "a kernel. Give it smaller parameters, or fewer CPUs."
            )
    return save(page(stepper), target)


def _as_stepper(
    given: Scenario | type[Scenario] | Stepper,
    schedule: Schedule | str | None,
    beside: Scenario | type[Scenario] | None,
) -> Stepper:
    if not isinstance(given, Stepper):
        return Stepper(given, schedule, beside=beside)
    if schedule is not None or beside is not None:
        raise ScenarioError(
            "a Stepper has its schedule already, and what stands beside it; give a scenario with a schedule."
        )
    return given  # type: ignore[return-value]  # ipywidgets has no types, so for mypy a class could be a Stepper


def a_file(path: str | Path) -> Path:
    """The path of a file to be written; raises ScenarioError if it can be none."""
    if not isinstance(path, str | Path):
        raise ScenarioError(f"{show(path)} is no path. Name the file to write, such as 'page.html'.")
    target = Path(path)
    if target.is_dir():
        raise ScenarioError(f"'{target}' is a folder. Name a file in it, such as '{target / 'page.html'}'.")
    return target


def save(text: str, path: Path) -> Path:
    """Writes a text, and before that the folder that it goes into; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def page(stepper: Stepper) -> str:
    """The text of the page of a stepper that is complete."""
    state = stepper.get_state()
    title = " beside ".join(document["scenario"]["title"] for document in state["documents"])
    about = state["documents"][0]["scenario"]["about"]
    state["documents"] = [one | {"scenario": one["scenario"] | {"about": ""}} for one in state["documents"]]
    body = f"<h1>{escape(title)}</h1>\n<p>{escape(about)}</p>\n{place(state)}"
    return whole(head(title, ".vt-title { display: none; }  /* the heading of the page says it */"), body)


def whole(head: str, body: str) -> str:
    """A page from what stands in its head, and what stands in its body."""
    return f"""<!doctype html>
<html lang="en" class="vt-page">
<head>
{head}
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def head(title: str, *styles: str) -> str:
    """What a page with steppers needs once, in its head: title, looks, and the stepper's program."""
    script = "\n".join([read("stepper.js"), read("page.js")])
    return f'{plain_head(title, read("stepper.css"), *styles)}\n<script type="module">\n{script}\n</script>'


def plain_head(title: str, *styles: str) -> str:
    """The head of a page without any."""
    return "\n".join([
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        '<link rel="icon" href="data:,">',  # or the browser asks the server for one
        NOTICE,
        *(f"<style>\n{style}\n</style>" for style in (read("page.css"), *styles)),
    ])  # fmt: skip


def place(state: Mapping[str, Any]) -> str:
    """What a page needs for each stepper, where it is to be. ``state`` has the values of the stepper's traits."""
    shown = {name: state[name] for name in ("documents", "schedule", "at", "marks")} | {"offline": True}
    data = json.dumps(shown, separators=(",", ":")).replace("<", "\\u003c")
    without = "<noscript>Here is a stepper, and it needs JavaScript.</noscript>"
    return f'<div data-stepper>{without}<script type="application/json">{data}</script></div>'


def complete(stepper: Stepper) -> None:
    """Puts every state into the documents of a stepper, and what a search finds; less if there are too many."""
    for pane in stepper.panes:
        if pane.document.complete or pane.document.expand_all(IN_A_PAGE):
            pane.explored()
    stepper.set_trait("documents", [pane.document.content() for pane in stepper.panes])


def complete_all() -> None:
    """The same for every stepper that there is, before their kernel goes."""
    for stepper in list(Stepper.alive):
        complete(stepper)


def read(name: str) -> str:
    """A file that pages are made of."""
    return (STATIC / name).read_text(encoding="utf-8").strip()
