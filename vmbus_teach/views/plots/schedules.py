"""A schedule in space and time: a lane per CPU, a row per step, and the line that goes from lane to lane.

Everything is drawn in inches from the upper left corner, so what fits can be computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.figure import Figure

from ...failure import Failure
from ...narrate import count
from ...scenario import Scenario, ScenarioError
from ...schedule import Schedule
from ...session import Session, TraceStep, as_scenario
from . import style
from .picture import Picture, house_style, in_a_row, legend, mark, shortened, width_of, wrapped, write

#: How a context is drawn, by its kind: shape, colour, and the word for it.
SHAPES = {
    "task": ("o", style.BLUE, "task"),
    "host": ("s", style.INK, "host"),
    "irq": ("^", style.PURPLE, "interrupt handler"),
    "ipi": ("v", style.PURPLE, "call from another CPU"),
    "tasklet": ("D", style.GREEN, "tasklet"),
    "softirq": ("D", style.GREEN, "softirq"),
    "work": ("P", style.GREEN, "work item"),
}
HOST = "host"

MARGIN = 0.12  # inches, around everything
LINE, GAP = 0.165, 0.1  # inches: a line of text, and the space between two rows
MANY_LANES = 12  # beyond, lanes in which nothing happens are left out


@dataclass(frozen=True)
class Row:
    """What stands beside one step (None: beside steps that are left out), in lines that fit."""

    number: int
    step: TraceStep | None
    who: str
    what: list[str]
    changed: list[str]

    @property
    def height(self) -> float:
        return GAP + LINE * max(bool(self.who) + len(self.what), len(self.changed))


def space_time(
    what: Failure | Session | Scenario | type[Scenario],
    schedule: Schedule | str = "",
    *,
    first: int = 20,
    last: int = 20,
) -> Picture:
    """A schedule as a space-time diagram: that of a failure, that of a session, or a scenario's ``schedule``.

    Time runs downwards. Of a long schedule the ``first`` and the ``last`` steps are shown.

    Raises ScenarioError if ``what`` is nothing of that, ScheduleError if the schedule does not fit.
    """
    if first < 1 or last < 1:
        raise ScenarioError(f"first={first}, last={last}: space_time shows at least one step at each end.")
    session, failure = _session(what, schedule), what if isinstance(what, Failure) else None
    with house_style():
        return _Drawing(session, _ending(session, failure), first, last).picture()


def _session(what: Failure | Session | Scenario | type[Scenario], schedule: Schedule | str) -> Session:
    if isinstance(what, Failure | Session) and schedule:
        raise ScenarioError("a Failure and a Session have a schedule already; give a scenario with a schedule.")
    if isinstance(what, Session):
        return what
    if not isinstance(what, Failure | Scenario | type):
        raise ScenarioError(
            f"{type(what).__name__} is no scenario, and no one schedule. Give result.failures[0], stepper.session, "
            "or a scenario with a schedule."
        )
    session = Session(what.scenario if isinstance(what, Failure) else as_scenario(what))
    session.replay(what.schedule if isinstance(what, Failure) else schedule)
    return session


@dataclass(frozen=True)
class Ending:
    """How a schedule ends, in a sentence; ``bad`` if in a failure."""

    text: str
    bad: bool


def _ending(session: Session, failure: Failure | None) -> Ending:
    trace = session.trace
    where = f"after step {len(trace):,}" if trace else "at the start"
    if trace and trace[-1].fault:
        where = f"in step {len(trace):,}"
    if failure is not None:
        word = "RACE" if failure.kind == "data-race" else "FAILS"
        return Ending(f"{word} {where}: {failure.message} ({failure.kind})", True)
    if faults := session.failures:
        return Ending(f"FAILS {where}: {'; '.join(f'{fault.message} ({fault.kind})' for fault in faults)}", True)
    if not session.choices():
        return Ending("All has been done, and nothing failed in this schedule.", False)
    return Ending("" if trace else "Nothing has happened yet.", False)


class _Drawing:
    """One diagram: the lanes and columns first, then every row from top to bottom."""

    def __init__(self, session: Session, ending: Ending, first: int, last: int) -> None:
        self.session, self.ending, self.trace = session, ending, session.trace
        self.title, self.lanes = str(session.scenario), _lanes(session)
        names = [_short(lane) for lane in self.lanes]
        widest = max(width_of(name, style.SMALL, "bold") for name in names)
        self.upright = widest > 1.0 or widest * len(names) > 3.2  # too wide: names of lanes are turned
        pitch = max(0.34 if self.upright else 0.55, 0 if self.upright else widest + 0.16)
        self.head = min(widest, 1.4) + 0.1 if self.upright else LINE + 0.06
        self.names = [shortened(name, 1.4, style.SMALL, "bold") for name in names]
        #: Where the numbers of the steps end, each lane is, and the words begin.
        self.numbers = MARGIN + max(0.3, width_of(f"{len(self.trace):,}", style.SMALL))
        self.at = {lane: self.numbers + 0.1 + (i + 0.5) * pitch for i, lane in enumerate(self.lanes)}
        self.left = self.numbers + 0.1 + pitch * len(names) + 0.15
        self.width = max(style.WIDTH, self.left + 5.0)
        space = self.width - self.left - MARGIN
        changes = any(step.changes for step in self.trace)
        self.what = 0.56 * space if changes else space
        self.changed = self.left + self.what + 0.2
        self.rows = list(self._rows(first, last))
        self.end = wrapped(ending.text, space - 0.1, style.TEXT, 3, "bold")

    # --- what stands in the rows -------------------------------------------------------------

    def _rows(self, first: int, last: int) -> Sequence[Row]:
        numbered = list(enumerate(self.trace, 1))
        hidden = len(numbered) - first - last
        if hidden <= 0:
            return self._told(numbered)
        said = wrapped(f"{count(hidden, 'step')} {'is' if hidden == 1 else 'are'} left out here", self.what, style.TEXT)
        gap = Row(0, None, "", said, [])
        return [*self._told(numbered[:first]), gap, *self._told(numbered[-last:])]

    def _told(self, numbered: list[tuple[int, TraceStep]]) -> list[Row]:
        rows = []
        before = ""
        for number, step in numbered:
            who = "" if step.choice.context == before else step.choice.context
            before = step.choice.context
            changes = "; ".join(f"{name}: {old} → {new}" for name, old, new in step.changes)
            space = self.width - MARGIN - self.changed
            name = shortened(who, self.what, style.TEXT, "bold")
            rows.append(Row(number, step, name, wrapped(_said(step), self.what, style.TEXT),
                            wrapped(changes, space, style.SMALL) if changes else []))  # fmt: skip
        return rows

    # --- drawing -------------------------------------------------------------------------------

    def picture(self) -> Picture:
        kinds = {step.kind: SHAPES[step.kind] for step in self.trace}
        top = MARGIN + 0.62 + self.head
        bottom = top + 0.12 + sum(row.height for row in self.rows) + (GAP + LINE * len(self.end) if self.end else 0)
        height = bottom + (0.45 if kinds else 0.1)
        figure = Figure(figsize=(self.width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, self.width), ylim=(height, 0))
        axes.set_axis_off()
        self.axes = axes
        self._heading(top)
        for lane in self.lanes:
            axes.plot([self.at[lane]] * 2, [top, bottom], color=style.PALE, linewidth=1, zorder=1, gid=f"lane {lane}")
        self._draw_rows(top + 0.12)
        ends = [mark("X", style.RED, "failure", size=9)] if self.ending.bad else []
        if kinds:
            legend(figure, [*(mark(*kinds[kind]) for kind in SHAPES if kind in kinds), *ends], 6)
        return Picture(figure, self.alt())

    def _heading(self, top: float) -> None:
        title = shortened(self.title, self.width - 2 * MARGIN, style.TITLE, "bold")
        write(self.axes, MARGIN, MARGIN + 0.1, title, fontsize=style.TITLE, weight="bold", va="center")
        write(self.axes, MARGIN, MARGIN + 0.36, f"{self._size()}. Time runs downwards.", color=style.GREY, va="center")
        how = {"fontsize": style.SMALL, "weight": "bold", "ha": "center", "va": "bottom"}
        for lane, name in zip(self.lanes, self.names, strict=True):
            write(self.axes, self.at[lane], top - 0.05, name, rotation=90 if self.upright else 0, **how)
        how |= {"ha": "left", "color": style.GREY, "weight": "normal"}
        if self.rows:
            write(self.axes, self.left, top - 0.05, "what happens", **how)
        if any(row.changed for row in self.rows):
            write(self.axes, self.changed, top - 0.05, "what it changes", **how)
        self.axes.plot([MARGIN, self.width - MARGIN], [top, top], color=style.GREY, linewidth=0.8)

    def _draw_rows(self, y: float) -> None:
        points: list[tuple[float, float] | None] = []
        for row in self.rows:
            middle = y + GAP / 2 + LINE / 2
            for i, line in enumerate([row.who] * bool(row.who) + row.what):
                bold = "bold" if row.who and i == 0 else "normal"
                slant = "italic" if row.step is None else "normal"
                write(self.axes, self.left, middle + i * LINE, line, va="center", weight=bold, style=slant)
            for i, line in enumerate(row.changed):
                at = middle + i * LINE
                write(self.axes, self.changed, at, line, va="center", fontsize=style.SMALL, color=style.GREY)
            points.append(self._step(row.number, row.step, middle) if row.step else None)
            y += row.height
        if self.end:
            points.append(self._end(y + GAP / 2 + LINE / 2))
        for here, there in pairwise(points):
            if here and there:
                across, down = zip(here, there, strict=True)
                self.axes.plot(across, down, color=style.GREY, linewidth=1.4, zorder=2, gid="line")

    def _step(self, number: int, step: TraceStep, y: float) -> tuple[float, float]:
        x, (marker, colour, word) = self.at[_lane(step)], SHAPES[step.kind]
        small = {"fontsize": style.SMALL, "color": style.GREY}
        write(self.axes, self.numbers, y, f"{number:,}", ha="right", va="center", **small)
        self.axes.plot([x], [y], marker=marker, color=colour, markersize=8, linestyle="none", zorder=3, gid=word)
        return x, y

    def _end(self, y: float) -> tuple[float, float] | None:
        """The row below the last step, with a cross for a failure."""
        for i, line in enumerate(self.end):
            write(self.axes, self.left, y + i * LINE, line, va="center", weight="bold")
        if not self.ending.bad:
            return None
        x = self.at[_lane(self.trace[-1])] if self.trace else self.at[self.lanes[0]]
        self.axes.plot([x], [y], marker="X", color=style.RED, markersize=11, linestyle="none", zorder=4, gid="failure")
        return x, y

    # --- in words ------------------------------------------------------------------------------

    def _size(self) -> str:
        switches = self.session.schedule.switches
        return f"{count(len(self.trace), 'step')}, {count(switches, 'switch', 'es')} between contexts"

    def alt(self) -> str:
        lanes = f"lane{'s' * (len(self.lanes) > 1)} {in_a_row(map(_short, self.lanes))}"
        said = [f"Space-time diagram of {self.title}: {self._size()}, in the {lanes}."]
        runs = str(Schedule(self.session.schedule.steps)).split()
        if runs and len(runs) <= 20:
            said.append(f"In this order: {' '.join(runs)}.")
        elif runs:
            taken = Counter(step.choice.context for step in self.trace)
            said.append(f"Steps taken: {in_a_row(f'{n:,} by {who}' for who, n in taken.items())}.")
        ending = self.ending.text
        return " ".join([*said, ending if ending.endswith(".") or not ending else ending + "."]).rstrip()


def _lane(step: TraceStep) -> str:
    return step.cpu or HOST


def _short(lane: str) -> str:
    """The name of a lane; that of a private CPU is the name of its task."""
    return lane.removesuffix("'s CPU")


def _lanes(session: Session) -> list[str]:
    """CPUs in the order of the scenario, the host last; other private CPUs than tasks' only if something runs there."""
    cast, used = session.scenario.cast, {_lane(step) for step in session.trace}
    private = {c.cpu.name for c in cast.contexts if c.kind == "task" and c.cpu is not None}
    lanes = [cpu.name for cpu in cast.cpus if not cpu.private or cpu.name in private | used]
    lanes += [HOST] if any(context.kind == "host" for context in cast.contexts) else []
    if len(lanes) > MANY_LANES and used:
        lanes = [lane for lane in lanes if lane in used]
    return lanes


def _said(step: TraceStep) -> str:
    """What a step does, in its author's words if there are some."""
    text = step.choice.remark or step.choice.text
    return f"{text}; it {step.waits}" if step.waits else text
