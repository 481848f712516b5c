"""The map of the course: what its five texts claim, and what a search says of the scenario that shows it.

    course_map()              # a table in a notebook; print() it elsewhere
    course_map().markdown()   # docs/map.md

Nothing in it is stored: each scenario is looked up in ``catalogue()``, with its parameters there, and searched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from time import perf_counter
from typing import NamedTuple

from ..explore import explore
from ..narrate import count, shortly
from ..scenario import Scenario, ScenarioError
from ..scenarios import Entry, catalogue
from ..scenarios.claims import SOURCES, Claim, Source


class Found(NamedTuple):
    """A scenario of the catalogue, searched. ``milliseconds`` is the time of this search, on this machine."""

    name: str
    verdict: str
    states: int
    schedules: int | None  # None: without end
    milliseconds: float

    def cells(self) -> tuple[str, str, str, str, str]:
        """As they stand in a table."""
        many = "without end" if self.schedules is None else shortly(self.schedules)
        return (self.name, self.verdict, f"{self.states:,}", many, f"{self.milliseconds:.0f}")


COLUMNS = ("claim", "scenario", "verdict", "states", "schedules", "ms")


class Row(NamedTuple):
    """A claim with what shows it; without that, the reason why the course does not model it."""

    claim: str
    shown: tuple[Found, ...]
    reason: str


@dataclass(frozen=True)
class CourseMap:
    """The texts with their rows; prints as text, shows as a table in a notebook."""

    parts: tuple[tuple[Source, tuple[Row, ...]], ...]

    def rows(self) -> Iterator[Row]:
        """All rows, in order."""
        for _, rows in self.parts:
            yield from rows

    def summary(self) -> str:
        """How much there is, in a sentence."""
        rows = list(self.rows())
        modelled = [row for row in rows if row.shown]
        names = {shown.name for row in modelled for shown in row.shown}
        by = f"{len(modelled)} of them modelled, by {len(names)} scenarios"
        return f"{len(self.parts)} texts, {len(rows)} claims: {by}; {len(rows) - len(modelled)} not, with the reason."

    def __str__(self) -> str:
        lines = [self.summary()]
        for source, rows in self.parts:
            lines += ["", f"{source.title} ({_chapters(source)})"]
            for row in rows:
                lines.append(f"- {row.claim}" + (f" [not modelled: {row.reason}]" if row.reason else ""))
                lines += [f"    {_sentence(shown)}" for shown in row.shown]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>" + "".join(_table(source, rows) for source, rows in self.parts)

    def markdown(self) -> str:
        """As a page of the docs."""
        text = [self.summary()]
        for source, rows in self.parts:
            text += ["", f"## {source.title}", "", f"{_chapters(source).capitalize()}.", ""]
            text += [_line(COLUMNS), "|---|---|---|--:|--:|--:|"]
            for row in rows:
                if row.reason:
                    text.append(_line((row.claim, f"*not modelled: {row.reason}*", "", "", "", "")))
                text += [_line((row.claim if i == 0 else "", *s.cells())) for i, s in enumerate(row.shown)]
        return "\n".join(text) + "\n"


def course_map() -> CourseMap:
    """Searches every scenario that shows a claim of the five texts; takes seconds.

    Raises ScenarioError if a claim names a scenario that the catalogue does not have.
    """
    entries: dict[type[Scenario], list[Entry]] = {}
    for entry in catalogue():
        entries.setdefault(entry.scenario, []).append(entry)
    searched: dict[type[Scenario], tuple[Found, ...]] = {}

    def show(scenario: type[Scenario]) -> tuple[Found, ...]:
        if scenario not in entries:
            raise ScenarioError(
                f"{scenario.__name__} is to show a claim, but catalogue() has no such scenario. "
                "Enter it in vmbus_teach/scenarios/__init__.py, or name another in claims.py."
            )
        if scenario not in searched:
            searched[scenario] = tuple(map(_search, entries[scenario]))
        return searched[scenario]

    def row(claim: Claim) -> Row:
        return Row(claim.text, tuple(shown for s in claim.shown_by for shown in show(s)), claim.reason)

    return CourseMap(tuple((source, tuple(map(row, source.claims))) for source in SOURCES))


def _search(entry: Entry) -> Found:
    begun = perf_counter()
    result = explore(entry.make())
    took = 1_000 * (perf_counter() - begun)
    kinds = ", ".join(sorted({failure.kind for failure in result.failures}))
    verdict = f"fails: {kinds}" if kinds else result.verdict.removesuffix(" under every interleaving")
    return Found(str(result.scenario), verdict, result.states, result.schedules, took)


def _chapters(source: Source) -> str:
    return f"chapter{'s' * (' ' in source.chapters)} {source.chapters}"


def _sentence(shown: Found) -> str:
    many = "schedules without end" if shown.schedules is None else f"{shortly(shown.schedules)} schedules"
    many = "1 schedule" if shown.schedules == 1 else many
    return f"{shown.name}: {shown.verdict} ({count(shown.states, 'state')}, {many})"


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _align(column: int) -> str:
    return "left" if column < 3 else "right"


def _html(text: str) -> str:
    """A text that a narrow table breaks where a reader would: not in use-after-free, but before parameters."""
    whole = re.sub(r"\S+-\S+", r'<span style="white-space:nowrap">\g<0></span>', escape(text))
    return whole.replace("(", "<wbr>(")


def _table(source: Source, rows: tuple[Row, ...]) -> str:
    def cell(i: int, text: str, attributes: str = "") -> str:
        return f'<td{attributes} style="text-align:{_align(i)};vertical-align:top">{_html(text)}</td>'

    body = []
    for row in rows:
        if not row.shown:
            why = cell(1, f"not modelled: {row.reason}", f' colspan="{len(COLUMNS) - 1}"')
            body.append(f"<tr>{cell(0, row.claim)}{why}</tr>")
        for first, shown in enumerate(row.shown):
            claim = "" if first else cell(0, row.claim, f' rowspan="{len(row.shown)}"')
            *cells, took = shown.cells()
            rest = "".join(cell(i, text) for i, text in enumerate(cells, 1)) + cell(5, took, ' class="ms"')
            body.append(f"<tr>{claim}{rest}</tr>")
    head = "".join(
        f'<th scope="col" style="text-align:{_align(i)}">{c}</th>' for i, c in enumerate(COLUMNS)
    )
    caption = f'<caption style="text-align:left">{escape(source.title)} ({_chapters(source)})</caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
