"""A run in time: who had which CPU when, and when the host did something."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ...scenario import ScenarioError
from ...timed.run import INTERRUPTS, SOFTIRQS, SPINNING, TASKS, Run, Stretch, in_ns
from . import style
from .picture import Picture, house_style, legend, mark, shortened, width_of, write

#: How each account is drawn: colour, and a hatch that tells it apart without colour.
LOOKS = {
    TASKS: (style.BLUE, ""),
    INTERRUPTS: (style.RED, "////"),
    SOFTIRQS: (style.PURPLE, "...."),
    SPINNING: (style.GREY, "xxx"),
}

#: So many stretches can be told apart on a screen, more cannot.
MOST = 1_000

#: In what times are told: unit, its size in ns, and from which time on it is used.
UNITS = (("s", 1_000_000_000, 10_000_000_000), ("ms", 1_000_000, 10_000_000), ("µs", 1_000, 10_000), ("ns", 1, 0))
LEFT, RIGHT = 1.35, 0.4  # inches beside the axes; half of the last time stands in the right one


def timeline(run: Run, *, begin: int = 0, end: int | None = None) -> Picture:
    """Who had which CPU from ``begin`` to ``end`` (ns; the end of the run, if not given).

    Ticks in the row of a host's thread are its steps. ``rows`` of the picture holds the stretches.

    Raises ScenarioError where the run has not kept them, or there are more than can be seen.
    """
    if not isinstance(run, Run) or run.stretches is None or run.times is None or run.words is None:
        raise ScenarioError("timeline draws a run of simulate(...), which keeps what happened when; many runs do not.")
    end = run.time if end is None else end
    if not 0 <= begin < end:
        raise ScenarioError(f"timeline(begin={begin}, end={end}): there is no time between the two.")
    shown = tuple(s for s in run.stretches if s.begin < end and s.end > begin)
    hosts = {c.name for c in run.scenario.cast.contexts if c.kind == "host"}
    steps = [
        (time, who)
        for time, word in zip(run.times, run.words, strict=True)
        if begin <= time <= end and (who := word.partition(":")[0]) in hosts
    ]
    if len(shown) + len(steps) > MOST:
        raise ScenarioError(
            f"between {in_ns(begin)} and {in_ns(end)} there is more than can be seen ({len(shown) + len(steps):,} "
            "stretches and steps). Give a shorter time: timeline(run, begin=..., end=...)."
        )
    with house_style():
        return Picture(_figure(run, shown, steps, begin, end), _alt(run, shown, steps, begin, end), shown)


def _figure(run: Run, shown: tuple[Stretch, ...], steps: list[tuple[int, str]], begin: int, end: int) -> Figure:
    lanes = [*run.cpus, *dict.fromkeys(who for _, who in steps)]
    height = 1.65 + 0.42 * len(lanes)
    figure = Figure(figsize=(style.WIDTH, height))
    wide = 1 - (LEFT + RIGHT) / style.WIDTH
    axes = figure.add_axes((LEFT / style.WIDTH, 0.95 / height, wide, 0.42 * len(lanes) / height))
    inch = (end - begin) / (style.WIDTH - LEFT - RIGHT)  # of nanoseconds
    for stretch in shown:
        y, left, right = lanes.index(stretch.cpu), max(begin, stretch.begin), min(end, stretch.end)
        colour, hatch = LOOKS[stretch.account]
        axes.barh(y, right - left, 0.62, left, facecolor="white", edgecolor=colour, hatch=hatch, linewidth=1)
        if width_of(stretch.context, style.SMALL) < (right - left) / inch - 0.08:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            middle = (left + right) / 2
            write(axes, middle, y, stretch.context, fontsize=style.SMALL, ha="center", va="center", bbox=box)
    for time, who in steps:
        axes.plot([time], [lanes.index(who)], "|", color=style.INK, markersize=11, markeredgewidth=1.4, gid="step")
    axes.set(xlim=(begin, end), ylim=(len(lanes) - 0.5, -0.5))
    axes.set_yticks(range(len(lanes)), [shortened(lane, LEFT - 0.2, style.TEXT) for lane in lanes], parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    unit, size = next((unit, size) for unit, size, least in UNITS if end >= least)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / size:,.9g} {unit}"))
    axes.grid(axis="x", color=style.PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=style.GREY, labelsize=style.TEXT, labelcolor=style.INK, length=0)
    title = shortened(_title(run), style.WIDTH - 0.3, style.TITLE, "bold")
    write(figure, 0.015, 1 - 0.27 / height, title, fontsize=style.TITLE, weight="bold", va="center")
    used = dict.fromkeys(s.account for s in shown)
    entries: list[Any] = [
        Patch(facecolor="white", edgecolor=colour, hatch=hatch, label=account)
        for account, (colour, hatch) in LOOKS.items()
        if account in used
    ]
    if steps:
        entries.append(mark("|", style.INK, "a step of the host", size=9))
    if entries:
        legend(figure, entries, len(entries))
    return figure


def _title(run: Run) -> str:
    return f"{run.scenario} in time, seed {run.seed}"


def _alt(run: Run, shown: tuple[Stretch, ...], steps: list[tuple[int, str]], begin: int, end: int) -> str:
    happens = [(time, f"{who} steps at {time:,} ns") for time, who in steps]
    for s in shown:
        verb = "spins in" if s.account == SPINNING else "executes"
        left, right = max(begin, s.begin), min(end, s.end)
        happens.append((left, f"{s.cpu} {verb} {s.context} from {left:,} to {right:,} ns"))
    said = [text for _, text in sorted(happens, key=lambda one: one[0])]
    if len(said) > 12:
        said[12:] = [f"and {len(said) - 12:,} more of these"]
    return f"{_title(run)}, from {begin:,} to {end:,} ns: {'; '.join(said) or 'nothing happens'}."
