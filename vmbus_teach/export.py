"""Writes pages that are alive without a kernel and without a network, from notebooks and from scenarios.

    python -m vmbus_teach.export notebooks/02-the-per-cpu-list-bug.ipynb pages/
    python -m vmbus_teach.export PerCpuLists per-cpu-lists.html
    python -m vmbus_teach.export notebooks/*.ipynb catalogue pages/
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError

from .advice import meant
from .scenario import ScenarioError
from .scenarios import Entry, catalogue
from .views.notebook_page import card, write_notebook_page
from .views.page import plain_head, save, whole, write_page

CATALOGUE = "catalogue"


class WrongWord(Exception):
    """What was asked for cannot be written; the text says why."""


def main(words: list[str] | None = None) -> int:
    """Writes what the command line asks for; returns 0, or 1 after a sentence that says what is wrong."""
    arguments = _arguments().parse_args(words)
    try:
        sources: list[Path | Entry] = []
        for word in arguments.what:
            sources += [source for source in find(word) if source not in sources]
        for source, path in _targets(sources, arguments.to):
            _write(source, path)
    except (WrongWord, ScenarioError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vmbus_teach.export",
        description="Writes pages that work in any browser, without a kernel and without a network.",
    )
    parser.add_argument(
        "what", nargs="+", help="a notebook (.ipynb), which is run first; a scenario, by its name in the catalogue; "
        f"or the word '{CATALOGUE}': all of them"
    )  # fmt: skip
    parser.add_argument("to", type=Path, help="a file (.html) for one page, a folder for any number of them")
    return parser


def find(word: str) -> list[Path | Entry]:
    """The notebook or the scenarios that a word of the command line stands for."""
    known = {entry.scenario.__name__: entry for entry in catalogue()}
    if word == CATALOGUE:
        return list(known.values())
    if word in known:
        return [known[word]]
    path = Path(word)
    if path.suffix != ".ipynb":
        raise WrongWord(_sentence(
            f"'{word}' is no scenario of the catalogue, and no notebook (its name would end in .ipynb).",
            meant(word, [*known, CATALOGUE]),
        ))  # fmt: skip
    if not path.is_file():
        beside = [str(other) for other in path.parent.glob("*.ipynb")]
        raise WrongWord(_sentence(f"There is no notebook '{word}'.", meant(word, beside)))
    return [path]


def _sentence(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _targets(sources: list[Path | Entry], to: Path) -> Iterator[tuple[Path | Entry, Path]]:
    """Where each page goes; several of them get an index."""
    if to.suffix == ".html":
        if len(sources) > 1:
            raise WrongWord(f"These are {len(sources)} pages, and '{to}' is one file. Name a folder instead.")
        yield sources[0], to
        return
    if to.suffix or to.is_file():
        raise WrongWord(f"Pages go into a folder, or one page into a file that ends in .html; '{to}' is neither.")
    several = len(sources) > 1
    taken = {"index.html": "the list of all pages"} if several else {}
    for source in sources:
        name = page_name(source)
        if name in taken:
            raise WrongWord(
                f"{taken[name]} and {_said(source)} would both be '{to / name}'. Write them into two folders."
            )
        taken[name] = _said(source)
    yield from ((source, to / page_name(source)) for source in sources)
    if several:
        save(index(sources), to / "index.html")


def _said(source: Path | Entry) -> str:
    return f"'{source}'" if isinstance(source, Path) else source.scenario.__name__


def page_name(source: Path | Entry) -> str:
    """What the page of a notebook or a scenario is called."""
    return f"{source.stem if isinstance(source, Path) else source.scenario.__name__}.html"


def _write(source: Path | Entry, path: Path) -> None:
    if isinstance(source, Entry):
        write_page(source.make(), path)
    else:
        try:
            write_notebook_page(source, path)
        except CellExecutionError as error:
            raise WrongWord(f"A cell of {source} ended with {error.ename}: {error.evalue}") from error
    print(f"{path}: {path.stat().st_size / 1000:,.0f} kB")


def index(sources: list[Path | Entry]) -> str:
    """The page that leads to all others."""
    title = "Interrupts in flight"
    notebooks = [source for source in sources if isinstance(source, Path)]
    scenarios = [source for source in sources if isinstance(source, Entry)]
    body = [f"<h1>{title}</h1>", "<p>Be the scheduler of real races in the Linux kernel. Every page works as it is, "
            "without a kernel and without a network.</p>"]  # fmt: skip
    if notebooks:
        body += ["<h2>Chapters</h2>", _list(map(_chapter, notebooks))]
    if scenarios:
        body += ["<h2>Scenarios</h2>", "<p>A stepper each, without a story around it.</p>"]
        body += [_list(map(_scenario, scenarios))]
    return whole(plain_head(title), "\n".join(body))


def _chapter(path: Path) -> str:
    title, line = card(nbformat.read(path, as_version=4))
    return f'<a href="{escape(page_name(path))}">{escape(title or path.stem)}</a> <span>{escape(line)}</span>'


def _scenario(entry: Entry) -> str:
    # Not whether it fails: that is for the reader to find out.
    name = escape(entry.scenario.__name__)
    return f'<a href="{escape(page_name(entry))}">{name}</a> <span>{escape(entry.title)}</span>'


def _list(items: Iterator[str]) -> str:
    return '<ul class="vt-list">' + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


if __name__ == "__main__":
    sys.exit(main())
