"""Which CPU took which interrupts: a dot for each line of /proc/interrupts and each CPU, as large as its count."""

from __future__ import annotations

from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ...scenario import ScenarioError
from ...timed.run import INTERRUPTS, SOFTIRQS, SPINNING, TASKS, Run
from ..proc import Line, proc_interrupts
from . import style
from .curves import number
from .picture import Picture, house_style, in_a_row, legend, mark, shortened, write

#: So many lines of the file and so many CPUs can be told apart.
MOST_LINES, MOST_CPUS = 40, 16
LEFT, RIGHT, TOP, STEP = 1.75, 0.95, 0.95, 0.27  # inches; STEP is the height of a line
LOAD = 1.0  # inches, below the dots

#: What the load of a CPU is made of: colour and hatch, as in a time line.
LOOKS = {
    INTERRUPTS: (style.RED, "////"),
    SOFTIRQS: (style.PURPLE, "...."),
    TASKS: (style.BLUE, ""),
    SPINNING: (style.PALE, "xxxx"),
}


class Count(NamedTuple):
    """A dot: how often a line was counted on a CPU."""

    line: str
    cpu: int
    times: int


def interrupts(run: Run, *, title: str = "") -> Picture:
    """The lines of /proc/interrupts against the CPUs, and below it how busy each CPU was, and with what.

    The area of a dot is in proportion to the count; lines that were never counted are left out. ``rows`` of the picture
    has all counts.

    Raises ScenarioError where nothing was counted, or there are more lines or CPUs than can be told apart.
    """
    file = proc_interrupts(run)
    lines = [line for line in file.lines if line.total]
    if not lines:
        raise ScenarioError(f"no interrupt was counted in this run of {run.scenario}. Let it run for longer.")
    if len(lines) > MOST_LINES or len(file.cpus) > MOST_CPUS:
        raise ScenarioError(
            f"{len(lines)} lines and {len(file.cpus)} CPUs; more than {MOST_LINES} and {MOST_CPUS} cannot be told "
            "apart. print(proc_interrupts(run)) shows all of them."
        )
    counts = (Count(_name(line), *one) for line in lines for one in zip(file.cpus, line.counts, strict=True))
    rows = tuple(row for row in counts if row.times)
    title = title or f"Interrupts of {run.scenario}"
    with house_style():
        return Picture(_figure(run, lines, list(file.cpus), title), _alt(run, rows, list(file.cpus), title), rows)


def _name(line: Line) -> str:
    return f"{line.text} ({line.hwirq})" if line.chip else line.label


def _figure(run: Run, lines: list[Line], cpus: list[int], title: str) -> Figure:
    height = TOP + STEP * len(lines) + 0.3 + LOAD + 0.75
    figure = Figure(figsize=(style.WIDTH, height))
    wide = (style.WIDTH - LEFT - RIGHT) / style.WIDTH
    table = STEP * len(lines)
    dots = figure.add_axes((LEFT / style.WIDTH, 1 - (TOP + table) / height, wide, table / height))
    most = max(max(line.counts) for line in lines)
    column = (style.WIDTH - LEFT - RIGHT) / len(cpus)
    largest = (min(column, STEP * 0.95) * 72) ** 2  # of the largest dot: the square of its diameter, in points
    for row, line in enumerate(lines):
        colour = style.BLUE if line.chip else style.INK
        dots.axhline(row, color=style.PALE, linewidth=0.6, zorder=0)
        for at, count in enumerate(line.counts):
            if count:
                size = max(largest * count / most, 4)
                dots.scatter([at], [row], s=size, color=colour, linewidths=0, gid="dot", zorder=2, clip_on=False)
        right = len(cpus) - 0.5 + 0.55 / column
        write(dots, right, row, f"{line.total:,}", fontsize=style.SMALL, va="center", ha="right")
    dots.set_xlim(-0.5, len(cpus) - 0.5)
    dots.set_ylim(len(lines) - 0.4, -0.6)
    names = [shortened(_name(line), LEFT - 0.3, style.SMALL) for line in lines]
    dots.set_yticks(range(len(lines)), names, parse_math=False)
    dots.set_xticks(range(len(cpus)), [f"CPU {cpu}" for cpu in cpus])
    dots.xaxis.tick_top()
    load = figure.add_axes((LEFT / style.WIDTH, 0.75 / height, wide, LOAD / height))
    _draw_load(run, load, len(cpus))
    for axes in (dots, load):
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(colors=style.GREY, labelsize=style.SMALL, labelcolor=style.INK, length=0)
    top = 1 - 0.28 / height
    title = shortened(title, style.WIDTH - 0.3, style.TITLE, "bold")
    write(figure, 0.015, top, title, fontsize=style.TITLE, weight="bold", va="center")
    said = "The area of a dot is the number of interrupts; the number on the right is the line's sum"
    write(figure, 0.015, top - 0.25 / height, said, color=style.GREY, va="center", fontsize=style.TEXT)
    _legend(run, figure)
    return figure


def _draw_load(run: Run, axes: Any, cpus: int) -> None:
    """A bar for each CPU: how much of its time went where; the frame is all of its time, so that pictures compare."""
    for at in range(cpus):
        axes.plot([at - 0.3, at - 0.3, at + 0.3, at + 0.3], [0, 100, 100, 0], color=style.PALE, linewidth=0.8, zorder=0)
    bottoms = [0.0] * cpus
    uses = list(run.cpus.values())[:cpus]
    for account, (colour, hatch) in LOOKS.items():
        parts = [100 * use.part(account) for use in uses]
        if any(parts):
            look = {"facecolor": "white", "edgecolor": colour, "hatch": hatch, "linewidth": 0.8}
            busy = [at for at, part in enumerate(parts) if part]
            axes.bar(busy, [parts[at] for at in busy], 0.6, [bottoms[at] for at in busy], gid=account, **look)
            bottoms = [bottom + part for bottom, part in zip(bottoms, parts, strict=True)]
    axes.set_xlim(-0.5, cpus - 0.5)
    axes.set_ylim(0, 125)  # above the frame is what the bar says
    axes.set_yticks([])
    axes.set_xticks([])
    for at, bottom in enumerate(bottoms):
        said = "idle" if not bottom else f"{number(bottom)} %" if bottom >= 0.01 else "< 0.01 %"
        write(axes, at, 104, said, fontsize=style.SMALL, ha="center", va="bottom")
    write(axes, -0.62, 50, "busy", fontsize=style.SMALL, ha="right", va="center", clip_on=False)


def _legend(run: Run, figure: Figure) -> None:
    entries: list[Any] = [mark("o", style.BLUE, "an IRQ of a channel"), mark("o", style.INK, "another line")]
    entries += [
        Patch(facecolor="white", edgecolor=colour, hatch=hatch, label=account)
        for account, (colour, hatch) in LOOKS.items()
        if any(use.part(account) for use in run.cpus.values())
    ]
    legend(figure, entries, len(entries))


def _alt(run: Run, rows: tuple[Count, ...], cpus: list[int], title: str) -> str:
    told = []
    for name in dict.fromkeys(row.line for row in rows):
        own = [f"{row.times:,} on CPU {row.cpu}" for row in rows if row.line == name]
        told.append(f"{name}: {in_a_row(own)}")
    if len(told) > 12:
        told[9:] = [f"and {len(told) - 9} more lines"]
    busy = in_a_row(f"CPU {cpu} {100 * use.busy:.3g} %" for cpu, use in zip(cpus, run.cpus.values(), strict=False))
    return f"{title}. {'; '.join(told)}. Busy: {busy}."
