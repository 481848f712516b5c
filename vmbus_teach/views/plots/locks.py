"""The graph of lock classes: what was wanted while what was held, and the circle or path that lockdep complains of.

The classes stand in one column, in the order in which they are taken. What keeps to the order leads down, on the
right; an arrow on the left breaks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from ...explore import Exploration
from ...kernel.base import show
from ...lockdep import LockClass, Lockdep, Report
from ...narrate import count
from ...scenario import ScenarioError
from . import style
from .picture import Picture, house_style, in_a_row, legend, shortened, wrapped, write

#: So many classes can be told apart.
MOST = 16
BOX, ROW = 0.5, 0.72  # the height of a box, and from row to row; in inches
BOX_WIDTH, MIDDLE = 2.5, style.WIDTH / 2
TOP, BOTTOM = 0.85, 0.85
BROKEN, DOTTED = (0, (4, 2)), (0, (1, 1.6))


class Arrow(NamedTuple):
    """What is drawn between two classes: ``marks`` are the numbers of the report's places, "" for no part of it."""

    before: str
    after: str
    marks: str
    irq: str  # "interrupt" or "softirq": one may come to who holds ``before``, and want ``after``
    harmless: bool  # readers that stop nobody


def lock_graph(found: Exploration | Lockdep, report: Report | None = None) -> Picture:
    """Lock classes with their letters and kinds; an arrow leads from what was held to what was wanted.

    ``report`` is marked: by thick arrows with the numbers of its places, and thick frames; an interrupt that closes the
    circle is a broken arrow. Without one, the first that lockdep makes is. ``rows`` of the picture has the arrows.

    Raises ScenarioError where there are no locks, more classes than can be told apart, or a report from elsewhere.
    """
    if not isinstance(found, Exploration | Lockdep):
        raise ScenarioError(f"lock_graph({show(found)}): give it what explore found, or what lockdep says of that.")
    said = found.lockdep if isinstance(found, Exploration) else found
    if not said.classes:
        raise ScenarioError(f"{said.scenario} takes no locks, so there is nothing to draw.")
    if len(said.classes) > MOST:
        raise ScenarioError(f"{len(said.classes)} lock classes; more than {MOST} cannot be told apart. Print them.")
    if report is not None and not {*report.classes} <= {each.name for each in said.classes}:
        raise ScenarioError(f"this report ({report.kind}) is about other lock classes than those of {said.scenario}.")
    report = report or next(iter(said.reports), None)
    arrows = tuple(_arrows(said, report))
    with house_style():
        return Picture(_figure(said, report, arrows), _alt(said, report, arrows), arrows)


def _arrows(said: Lockdep, report: Report | None) -> Iterator[Arrow]:
    marks: dict[tuple[str, str], list[str]] = {}
    for number, side in enumerate(report.sides if report else (), 1):
        for edge in said.edges:
            if side.shows == f"{edge.before} -> {edge.after}":
                marks.setdefault((edge.before, edge.after), []).append(str(number))
    stops = {(edge.before, edge.after): True for edge in said.edges}
    for edge in said.edges:
        if not edge.recursive:
            stops[edge.before, edge.after] = False
    for (before, after), harmless in sorted(stops.items()):
        numbers = ", ".join(dict.fromkeys(marks.get((before, after), ())))
        yield Arrow(before, after, numbers, "", harmless and not numbers)
    for link in sorted(report.circle if report else ()):
        if link.irq and report:
            places = (number for number, side in enumerate(report.sides, 1) if side.shows.startswith("{"))
            word = "interrupt" if link.irq == "HARDIRQ" else "softirq"
            yield Arrow(link.before, link.after, ", ".join(map(str, places)), word, False)


# --- drawing ------------------------------------------------------------------------------------------


def _in_order(names: list[str], arrows: tuple[Arrow, ...]) -> list[str]:
    """The classes so that most arrows go down: all of them, where there is no circle."""
    leads: dict[str, list[str]] = {name: [] for name in names}
    for arrow in arrows:
        if not arrow.irq:
            leads[arrow.before].append(arrow.after)
    done: list[str] = []

    def visit(name: str, way: tuple[str, ...]) -> None:
        if name not in done and name not in way:
            for after in reversed(leads[name]):
                visit(after, (*way, name))
            done.append(name)

    for name in reversed(names):
        visit(name, ())
    return done[::-1]


def _figure(said: Lockdep, report: Report | None, arrows: tuple[Arrow, ...]) -> Figure:
    names = _in_order([each.name for each in said.classes], arrows)
    height = TOP + ROW * len(names) + BOTTOM
    figure = Figure(figsize=(style.WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))  # in inches
    axes.set_xlim(0, style.WIDTH)
    axes.set_ylim(0, height)
    axes.axis("off")
    heights = {name: BOTTOM + ROW * (len(names) - row - 0.5) for row, name in enumerate(names)}
    for each in said.classes:
        _draw_class(axes, each, heights[each.name], marked=bool(report and each.name in report.classes))
    for arrow in sorted(arrows, key=lambda arrow: bool(arrow.marks)):  # what is marked lies on top
        _draw_arrow(axes, arrow, heights[arrow.before], heights[arrow.after])
    top = height - 0.28
    title = f"Lock classes of {said.scenario}: {said.verdict}"
    title = shortened(title, style.WIDTH - 0.3, style.TITLE, "bold")
    write(axes, 0.13, top, title, fontsize=style.TITLE, weight="bold", va="center")
    told = f"Marked: {report.kind}: {report.message}." if report else "Down is the order in which locks are taken."
    for number, line in enumerate(wrapped(told, style.WIDTH - 0.3, style.TEXT, 2)):
        write(axes, 0.13, top - 0.25 - 0.18 * number, line, color=style.GREY, va="center")
    _legend(figure, arrows)
    return figure


def _draw_class(axes: Any, each: LockClass, y: float, *, marked: bool) -> None:
    axes.add_patch(FancyBboxPatch(
        (MIDDLE - BOX_WIDTH / 2, y - BOX / 2), BOX_WIDTH, BOX, boxstyle="round,pad=0,rounding_size=0.08",
        gid=f"class {each.name}", facecolor="white", edgecolor=style.RED if marked else style.INK,
        linewidth=2.6 if marked else 0.9, zorder=3,
    ))  # fmt: skip
    name = shortened(each.name, BOX_WIDTH - 0.15, style.TEXT, "bold")
    write(axes, MIDDLE, y + 0.11, name, ha="center", va="center", weight="bold", zorder=4)
    below = f"{{{each.letters}}}  {each.kind}".rstrip()
    write(axes, MIDDLE, y - 0.11, below, ha="center", va="center", fontsize=style.SMALL, zorder=4)


def _draw_arrow(axes: Any, arrow: Arrow, start: float, end: float) -> None:
    """Down on the right of the boxes, up on their left; the further, the wider. None crosses a box."""
    marked = bool(arrow.marks)
    right = end < start or (end == start and not arrow.irq)
    side = 1 if right else -1
    rows = abs(end - start) / ROW
    reach = side * min(0.55 + 0.42 * rows if rows else 1.2, MIDDLE - BOX_WIDTH / 2 - 0.3)
    edge = MIDDLE + side * BOX_WIDTH / 2
    near = 0.1 if rows else 0.16  # away from the middle of the box, where others come in
    begin, finish = (start - near, end + near) if end <= start else (start + near, end - near)
    path = Path(
        [(edge, begin), (edge + reach, begin), (edge + reach, finish), (edge + side * 0.04, finish)],
        [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
    )
    axes.add_patch(FancyArrowPatch(
        path=path, arrowstyle="-|>", mutation_scale=15 if marked else 11, color=style.RED if marked else style.BLUE,
        linewidth=2.4 if marked else 1.1, linestyle=_line(arrow), zorder=2 + marked * 0.5,
        gid=f"{arrow.before} -> {arrow.after}" + (f" by {arrow.irq}" if arrow.irq else ""),
    ))  # fmt: skip
    if words := " ".join(filter(None, [arrow.irq, arrow.marks])):
        face = {"boxstyle": "round,pad=0.22", "facecolor": "white", "edgecolor": style.RED, "linewidth": 0.9}
        at = edge + reach * 0.75  # where the curve is widest
        write(axes, at, (begin + finish) / 2, words, ha="center", va="center", fontsize=style.SMALL, weight="bold",
              zorder=5, bbox=face)  # fmt: skip


def _line(arrow: Arrow) -> Any:
    return BROKEN if arrow.irq else DOTTED if arrow.harmless else "-"


def _legend(figure: Figure, arrows: tuple[Arrow, ...]) -> None:
    kinds: tuple[tuple[str, Any, float, str, list[Arrow]], ...] = (
        (style.BLUE, "-", 1.1, "held, then wanted", [a for a in arrows if not (a.irq or a.harmless or a.marks)]),
        (style.BLUE, DOTTED, 1.1, "the same, and stops no reader", [a for a in arrows if a.harmless]),
        (style.RED, "-", 2.4, "held, then wanted: part of the report", [a for a in arrows if a.marks and not a.irq]),
        (style.RED, BROKEN, 2.4, "held, and wanted by what interrupts", [a for a in arrows if a.irq]),
    )
    entries = [
        Line2D([], [], color=colour, linestyle=line, linewidth=width, label=word)
        for colour, line, width, word, of in kinds
        if of
    ]
    if entries:
        legend(figure, entries, 2)
    note = "Letters: hardirqs, the same by readers; softirqs, the same by readers."
    note += "  . neither   - in one   + with them on   ? both"
    write(figure, 0.015, 0.66 / figure.get_figheight(), note, fontsize=style.SMALL, color=style.GREY, va="center")


def _alt(said: Lockdep, report: Report | None, arrows: tuple[Arrow, ...]) -> str:
    classes = in_a_row(f"{each.name} {{{each.letters}}} {each.kind}".rstrip() for each in said.classes)
    told = [f"{a.before} -> {a.after}" for a in arrows if not a.irq]
    text = f"Lock classes of {said.scenario}: {count(len(said.classes), 'class', 'es')}, {classes}. "
    text += f"Wanted while held: {in_a_row(told)}." if told else "None was wanted while another was held."
    if report:
        text += f" Marked: {report.kind}: {report.message}."
    return text
