"""A stepper in one HTML file: no kernel, no network, nothing beside it. To be mailed, or put on a server.

    write_page(PerCpuLists, "per-cpu-lists.html")
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from ..scenario import Scenario, ScenarioError
from ..schedule import Schedule
from .stepper import STATIC, Stepper

#: A page has nobody to ask, so it takes in larger scenarios than a notebook does: 2 MB at most.
IN_A_PAGE = 20_000


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
    if isinstance(scenario, Stepper):
        stepper = scenario
    else:
        stepper = Stepper(scenario, schedule, beside=beside)
    target = Path(path)
    target.write_text(page(stepper), encoding="utf-8")
    return target


def page(stepper: Stepper) -> str:
    """The text of such a page."""
    title = " beside ".join(document["scenario"]["title"] for document in stepper.documents)
    about = stepper.documents[0]["scenario"]["about"]
    return f"""<!doctype html>
<html lang="en" class="vt-page">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{_read("page.css")}
</style>
{head()}
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p>{escape(about)}</p>
{place(stepper)}
</main>
</body>
</html>
"""


def head() -> str:
    """What a page needs once, in its head."""
    script = "\n".join([_read("stepper.js"), _read("page.js")])
    return f'<style>\n{_read("stepper.css")}\n</style>\n<script type="module">\n{script}\n</script>'


def place(stepper: Stepper) -> str:
    """What a page needs for each stepper, where it is to be."""
    state = json.dumps(offline(stepper), separators=(",", ":")).replace("<", "\\u003c")
    return f'<div data-stepper><script type="application/json">{state}</script></div>'


def offline(stepper: Stepper) -> dict[str, Any]:
    """The traits of a stepper, with every state in the documents."""
    for pane in stepper.panes:
        if not pane.document.complete and not pane.document.expand_all(IN_A_PAGE):
            raise ScenarioError(
                f"{pane.machine.scenario} has more than {IN_A_PAGE:,} states, too many for a page that works without "
                "a kernel. Give it smaller parameters, or fewer CPUs."
            )
        pane.explored()
    documents = [pane.document.content() for pane in stepper.panes]
    return {"documents": documents, "schedule": stepper.schedule, "at": stepper.at, "marks": False, "offline": True}


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8").strip()
