"""Numbers as text, in columns."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Rows under a head; the first ``left`` columns are texts, the others numbers."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        texts = [cell.ljust(width) for cell, width in zip(cells[:left], widths, strict=False)]
        numbers = [cell.rjust(width) for cell, width in zip(cells[left:], widths[left:], strict=True)]
        return "  ".join([*texts, *numbers]).rstrip()

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)])


def milliseconds(seconds: float | None) -> str:
    """Three digits are all that is known; "-" where nothing was measured."""
    if seconds is None:
        return "-"
    value = seconds * 1000
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def large(number: int | None) -> str:
    """A count; beyond a billion only its size, and what None means to ``schedules``: no end."""
    if number is None:
        return "infinite"
    return f"{number:,}" if number < 10**9 else f"{number:.1e}"
