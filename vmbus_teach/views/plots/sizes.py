"""How schedules and states grow with a scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import log10
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ...explore import explore
from ...kernel.base import show
from ...narrate import count, power_of_ten, shortly
from ...scenario import Scenario, ScenarioError
from . import style
from .picture import Picture, house_style, in_a_row, legend, mark, shortened, write

#: How many states are looked at for each size.
SEARCH_BOUND = 200_000

EXAMPLE = "Give both: growth(lambda n: Increments(threads=n), [1, 2, 3])."


@dataclass(frozen=True)
class Growth:
    """One size, with its numbers. ``schedules`` is None where they are infinitely many, or were not all searched."""

    size: Any
    scenario: str
    states: int
    schedules: int | None
    complete: bool

    @property
    def name(self) -> str:
        """The size, in words."""
        return self.size if isinstance(self.size, str) else show(self.size)

    @property
    def told_schedules(self) -> str:
        """The number of schedules, in words."""
        if not self.complete:
            return "not counted"
        return "infinitely many" if self.schedules is None else shortly(self.schedules)

    @property
    def told_states(self) -> str:
        """The number of states, in words."""
        return f"{self.states:,}" if self.complete else f"{self.states:,} and more"


def growth(
    make: Callable[[Any], Scenario], sizes: Iterable[Any], *, label: str = "size", max_states: int = SEARCH_BOUND
) -> Picture:
    """Schedules against states for ``make(size)``, size by size; ``rows`` of the picture has the exact numbers.

    Raises ScenarioError if there is no size, or ``make`` makes no scenario of it.
    """
    if not callable(make):
        raise ScenarioError(f"{show(make)} is no function that makes a scenario. {EXAMPLE}")
    if not isinstance(sizes, Iterable):
        raise ScenarioError(f"{show(sizes)} is one size, not several. {EXAMPLE}")
    rows = []
    for size in sizes:
        result = explore(make(size), max_states=max_states)
        rows.append(Growth(size, str(result.scenario), result.states, result.schedules, result.complete))
    if not rows:
        raise ScenarioError("growth needs at least one size, such as growth(make, [1, 2, 3]).")
    with house_style():
        return Picture(_figure(rows, label), _alt(rows, label), tuple(rows))


# --- drawing ---------------------------------------------------------------------------------------

#: How each curve is drawn: shape, colour, word.
SCHEDULES = ("s", style.RED, "schedules")
STATES = ("o", style.BLUE, "states")
#: So many sizes get a number at every point; of more, only the first and the last.
MANY = 8


def _figure(rows: list[Growth], label: str) -> Figure:
    figure = Figure(figsize=(style.WIDTH, 4.4))
    axes = figure.add_axes((0.105, 0.215, 0.865, 0.64))
    top = max(log10(max(row.states, row.schedules or 1)) for row in rows)
    infinite = top + max(0.6, 0.08 * top)  # where there is no number, above all numbers
    schedules = {x: log10(max(1, row.schedules)) for x, row in enumerate(rows) if row.schedules is not None}
    _curve(axes, SCHEDULES, schedules)
    _curve(axes, STATES, {x: log10(row.states) for x, row in enumerate(rows)})
    without = [x for x, row in enumerate(rows) if row.schedules is None]
    above = [infinite] * len(without)
    axes.plot(without, above, "^", color=style.RED, markerfacecolor="white", markersize=8, gid="no number")
    for x, row in enumerate(rows):
        if len(rows) <= MANY or x in (0, len(rows) - 1):
            upper = schedules.get(x, infinite)
            swapped = upper < log10(row.states)  # then the numbers change sides as well
            _number(axes, x, upper, row.told_schedules, above=not swapped)
            _number(axes, x, log10(row.states), row.told_states, above=swapped)
    room = max(0.6, 0.14 * top)
    axes.set(xlim=(-0.5, len(rows) - 0.5), ylim=(-room, (infinite if without else top) + room))
    axes.set_xticks(_shown(len(rows)), [rows[x].name for x in _shown(len(rows))], parse_math=False)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    axes.grid(axis="y", color=style.PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=style.GREY, labelsize=style.SMALL, labelcolor=style.INK, length=0)
    axes.set_xlabel(label, fontsize=style.TEXT, color=style.INK, parse_math=False)
    title = shortened(_title(rows), style.WIDTH - 0.3, style.TITLE, "bold")
    write(figure, 0.015, 0.945, title, fontsize=style.TITLE, weight="bold", va="center")
    scale = "The scale is logarithmic: the same distance is the same factor everywhere."
    write(figure, 0.015, 0.89, scale, color=style.GREY, va="center")
    entries = [mark(*SCHEDULES), mark(*STATES)]
    if without:
        entries.append(mark("^", style.RED, "schedules without a number", hollow=True))
    legend(figure, entries, 3)
    return figure


def _curve(axes: Any, look: tuple[str, str, str], points: dict[int, float]) -> None:
    marker, colour, word = look
    axes.plot(list(points), list(points.values()), marker=marker, color=colour, markersize=7, linewidth=1.6, gid=word)


def _number(axes: Any, x: int, y: float, text: str, *, above: bool) -> None:
    away = (0, 9 if above else -16)
    axes.annotate(text, (x, y), away, textcoords="offset points", ha="center", fontsize=style.SMALL, color=style.INK,
                  zorder=1.5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip


def _tick(exponent: float, _: int) -> str:
    if exponent < 0:
        return ""
    return f"{10 ** int(exponent):,}" if exponent < 7 else power_of_ten(int(exponent))


def _shown(sizes: int) -> list[int]:
    """Which sizes are named along the axis: at most a dozen."""
    return list(range(0, sizes, -(-sizes // 12)))


def _title(rows: list[Growth]) -> str:
    names = dict.fromkeys(row.scenario.partition("(")[0] for row in rows)
    return f"States and schedules of {in_a_row(names)}"


def _alt(rows: list[Growth], label: str) -> str:
    said = [f"{label} {row.name}: states {row.told_states}, schedules {row.told_schedules}" for row in rows]
    if len(said) > 12:
        said[6:-3] = [f"{count(len(said) - 9, 'size')} more"]
    return f"{_title(rows)} by {label}, on a logarithmic scale. {'; '.join(said)}."
