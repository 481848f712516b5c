"""Verdicts side by side: one row per scenario, filled by the machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from ..explore import Exploration, explore
from ..narrate import count
from ..scenario import Scenario, ScenarioError


@dataclass(frozen=True)
class Row:
    """One scenario with its verdict."""

    title: str
    result: Exploration

    def cells(self) -> tuple[str, ...]:
        result = self.result
        if result.failures:
            first = result.failures[0]
            verdict = "fails: " + first.message.removesuffix(" at the end")
            size = f"{count(len(first.schedule), 'step')}, {count(first.schedule.switches, 'switch', 'es')}"
        else:
            verdict, size = result.verdict.removesuffix(" under every interleaving"), ""
        schedules = "without end" if result.schedules is None else f"{result.schedules:,}"
        failing = sum(failure.share or 0 for failure in result.failures)
        share = f"{100 * failing / result.schedules:.1f} %" if result.schedules and failing else ""
        return (self.title, verdict, f"{result.states:,}", schedules, share, size)


COLUMNS = ("scenario", "verdict", "states", "schedules", "of them fail", "shortest counterexample")
NUMBERS = {2, 3, 4}


@dataclass(frozen=True)
class Verdicts:
    """A table of verdicts; prints as text, shows as HTML in a notebook. ``table["Increments"]`` is one Exploration."""

    rows: tuple[Row, ...]

    def __getitem__(self, title: str) -> Exploration:
        """What was found for the scenario with this title. Raises ScenarioError if the table has no such row."""
        results = {row.title: row.result for row in self.rows}
        if title not in results:
            raise ScenarioError(f"the table has no row {title!r}; it has {', '.join(results)}.")
        return results[title]

    def __repr__(self) -> str:
        table = [COLUMNS, *(row.cells() for row in self.rows)]
        widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS))]
        return "\n".join("  ".join(map(_padded, row, widths, range(len(row)))).rstrip() for row in table)

    def _repr_html_(self) -> str:
        def cell(tag: str, i: int, text: str) -> str:
            align = "right" if i in NUMBERS else "left"
            # Names may be broken after an underscore, so that a table fits a narrow window; "100.0 %" may not.
            text = escape(text).replace("_", "_<wbr>").replace(" %", "&nbsp;%")
            return f'<{tag} style="text-align:{align}">{text}</{tag}>'

        head = "".join(cell("th", i, c) for i, c in enumerate(COLUMNS))
        body = ["".join(cell("td", i, c) for i, c in enumerate(row.cells())) for row in self.rows]
        rows = "".join(f"<tr>{row}</tr>" for row in body)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _padded(text: str, width: int, column: int) -> str:
    return text.rjust(width) if column in NUMBERS else text.ljust(width)


def judge(scenarios: Iterable[Scenario | type[Scenario]]) -> Verdicts:
    """Explores each scenario and sets the verdicts side by side.

    Raises ScenarioError or ProgramError where a model itself is wrong.
    """
    rows = []
    for scenario in scenarios:
        result = explore(scenario)
        rows.append(Row(str(result.scenario), result))
    return Verdicts(tuple(rows))
