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

from ..scenario import Scenario, ScenarioError
from ..schedule import Schedule
from .stepper import STATIC, Stepper

#: A page has nobody to ask, so it takes in larger scenarios than a notebook does: 2 MB at most.
IN_A_PAGE = 20_000

#: All that a page may load; the browser refuses the rest, so a page that is opened here asks nobody anywhere else.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:"


def write_page(
    scenario: Scenario | type[Scenario] | Stepper,
    path: str | Path,
    *,
    schedule: Schedule | str | None = None,
    beside: Scenario | type[Scenario] | None = None,
) -> Path:
    """Writes a page with a stepper that is alive wherever it is opened; returns its path.

    ``schedule`` and ``beside`` are as for ``Stepper``; a Stepper can be given as it is. Raises
    ScenarioError if the scenario has more states than a page can hold.
    """
    given: Any = scenario
    stepper: Stepper = given if isinstance(given, Stepper) else Stepper(given, schedule, beside=beside)
    for pane in stepper.panes:
        if not pane.document.complete and not pane.document.expand_all(IN_A_PAGE):
            raise ScenarioError(
                f"{pane.machine.scenario} has more than {IN_A_PAGE:,} states, too many for a page that works without "
                "a kernel. Give it smaller parameters, or fewer CPUs."
            )
    target = Path(path)
    target.write_text(page(stepper), encoding="utf-8")
    return target


def page(stepper: Stepper) -> str:
    """The text of such a page."""
    complete(stepper)
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
