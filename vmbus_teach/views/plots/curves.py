"""Numbers against numbers, with the intervals that hold the true ones: what many simulated runs come to."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from ...kernel.base import show
from ...narrate import count
from ...scenario import ScenarioError
from . import style
from .picture import Picture, house_style, legend, mark, shortened, write

#: How the series are drawn, in their order: each has a colour and a shape of its own.
LOOKS = (
    (style.BLUE, "o"), (style.RED, "s"), (style.GREEN, "^"), (style.PURPLE, "D"), (style.INK, "v"), (style.GREY, "P"),
)  # fmt: skip

EXAMPLE = 'Give a dict of dicts: curves({"list": {1: 30, 10: 210}, "array": {1: 25, 10: 25}}, x="channels", y="ns").'


class Point(NamedTuple):
    """One value of a series, with the interval that holds the true one (None: it is exact, or not known)."""

    series: str
    x: Any
    y: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        interval = f" ({number(self.low)} to {number(self.high)})" if self.low is not None else ""
        return f"{_name(self.x)}: {number(self.y)}{interval}"


def curves(
    series: Mapping[str, Mapping[Any, Any]], *, x: str, y: str, title: str = "", log: str = ""
) -> Picture:
    """One curve for each series, a dict from x to y.

    A y is a number, or an estimate with its interval (``value``, ``low``, ``high``), which is drawn, too. ``x`` and
    ``y`` say what is along the axes, with the unit; ``log`` ("x", "y" or "xy") which of them are logarithmic. Words
    instead of numbers along x stand side by side. ``rows`` of the picture has all points.

    Raises ScenarioError where that is not what it was given.
    """
    points = _points(series)
    if set(log) - set("xy"):
        raise ScenarioError(f'log = {show(log)}; it is "x", "y", "xy" or "".')
    for axis, values in (("x", [p.x for p in points]), ("y", [p.y for p in points])):
        if axis in log and not all(isinstance(value, int | float) and value > 0 for value in values):
            raise ScenarioError(f"log = {show(log)}, but not all numbers along {axis} are above 0.")
    title = title or f"{y} by {x}"
    with house_style():
        return Picture(_figure(list(series), points, title, x, y, log), _alt(list(series), points, title, x, y), points)


def _points(series: Mapping[str, Mapping[Any, Any]]) -> tuple[Point, ...]:
    if not isinstance(series, Mapping) or not all(isinstance(values, Mapping) for values in series.values()):
        raise ScenarioError(f"curves takes one dict of points for each series. {EXAMPLE}")
    if not 1 <= len(series) <= len(LOOKS) or not all(series.values()):
        raise ScenarioError(f"curves draws 1 to {len(LOOKS)} series, each with at least one point. {EXAMPLE}")
    points = []
    for name, values in series.items():
        for x, y in values.items():
            value, low, high = (getattr(y, part, None) for part in ("value", "low", "high"))
            value = y if value is None else value
            if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
                raise ScenarioError(f"{name} at {show(x)} is {show(y)}, which is no number. {EXAMPLE}")
            if low is None or high is None or not (isfinite(low) and isfinite(high)):
                low = high = None  # of a single run, the interval is infinite
            points.append(Point(str(name), x, value, low, high))
    words = [isinstance(point.x, str) for point in points]
    if any(words) and not all(words):
        raise ScenarioError("along x there are words as well as numbers; give one kind.")
    return tuple(points)


def _figure(names: list[str], points: tuple[Point, ...], title: str, x: str, y: str, log: str) -> Figure:
    figure = Figure(figsize=(style.WIDTH, 4.4))
    rows = -(-len(names) // 3)
    axes = figure.add_axes((0.105, 0.165 + 0.05 * rows, 0.865, 0.69 - 0.05 * rows))
    words = list(dict.fromkeys(_name(point.x) for point in points)) if isinstance(points[0].x, str) else []
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
    for at, (name, (colour, marker)) in enumerate(zip(names, LOOKS, strict=False)):
        own = [point for point in points if point.series == name]
        # Words: the series stand beside each other at each of them.
        xs = [words.index(p.x) + 0.12 * (at - (len(names) - 1) / 2) if words else p.x for p in own]
        ys = [point.y for point in own]
        for where, point in zip(xs, own, strict=True):
            if point.low is not None and point.high is not None:
                low, high = max(point.low, 0) if point.y >= 0 else point.low, point.high
                axes.plot([where, where], [low, high], "_-", color=colour, markersize=7, linewidth=1.1, gid="interval")
        line = "none" if words else "-"
        size = 8 - at  # so that of two points at one place both can be seen
        axes.plot(
            xs, ys, marker=marker, color=colour, markersize=size, linewidth=1.6, linestyle=line, gid=name, clip_on=False
        )
    if words:
        short = [shortened(word, 6.5 / len(words), style.SMALL) for word in words]
        axes.set_xticks(range(len(words)), short, parse_math=False)
        axes.set_xlim(-0.6, len(words) - 0.4)
    else:
        if "x" not in log and all(isinstance(point.x, int) for point in points):
            # There is no half a CPU.
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    if "y" not in log:
        axes.set_ylim(bottom=min(0.0, *(point.y for point in points)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color=style.PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=style.GREY, labelsize=style.SMALL, labelcolor=style.INK, length=0, which="both")
    axes.tick_params(axis="x", pad=6)  # a point may lie on the axis
    axes.set_xlabel(x, fontsize=style.TEXT, color=style.INK, parse_math=False)
    title = shortened(title, style.WIDTH - 0.3, style.TITLE, "bold")
    write(figure, 0.015, 0.945, title, fontsize=style.TITLE, weight="bold", va="center")
    write(figure, 0.015, 0.89, shortened(f"Upwards: {y}", style.WIDTH - 0.3, style.TEXT), color=style.GREY, va="center")
    room = (style.WIDTH - 1.2) / min(3, len(names))
    entries = [
        mark(marker, colour, shortened(name, room - 0.5, style.TEXT), line=False)
        for name, (colour, marker) in zip(names, LOOKS, strict=False)
    ]
    legend(figure, entries, min(3, len(names)))
    return figure


def number(value: float | None) -> str:
    """A number in a few digits: 0.0123, 4.5, 1,230, 2 million."""
    if value is None:
        return "not known"
    if value == 0:
        return "0"
    if abs(value) >= 1_000_000:
        return f"{float(f'{value / 1_000_000:.3g}'):,.10g} million"
    if abs(value) >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def _name(x: Any) -> str:
    return x if isinstance(x, str) else number(x) if isinstance(x, int | float) else show(x)


def _alt(names: list[str], points: tuple[Point, ...], title: str, x: str, y: str) -> str:
    told = []
    for name in names:
        own = [str(point) for point in points if point.series == name]
        if len(own) > 12:
            own[6:-3] = [f"{count(len(own) - 9, 'point')} more"]
        told.append(f"{name}: {'; '.join(own)}")
    return f"{title}: {y} by {x}. {'. '.join(told)}."
