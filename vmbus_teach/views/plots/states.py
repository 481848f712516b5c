"""The graph of all states, layer by layer, with the road to a failure.

A layer holds the states at one distance from the start, in steps. A graph that is small enough is drawn state by
state; of a larger one, how many states each layer has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ...explore import Exploration
from ...failure import Failure
from ...graph import CERTAIN, IMPOSSIBLE, POSSIBLE, UNKNOWN
from ...narrate import count
from ...scenario import ScenarioError
from ...session import Session
from . import style
from .picture import Picture, house_style, in_a_row, legend, mark, shortened, wrapped, write

FAILING = "failing"
BOW = "#8c8c8c"  # of the lines that lead to no further layer
#: How a state is drawn, by what can come after it: shape, colour, hollow or not, hatch of a bar, and in words.
LOOKS = {
    IMPOSSIBLE: ("o", style.GREEN, True, "", "no failure can come"),
    POSSIBLE: ("o", style.BLUE, False, "//", "a failure can come"),
    CERTAIN: ("D", style.PURPLE, False, "xx", "a failure must come"),
    FAILING: ("X", style.RED, False, "", "fails"),
    UNKNOWN: ("s", style.GREY, True, "..", "not known, as the search was cut short"),
}
#: The largest graph that is drawn state by state: states, layers, states in a layer.
DOTS = (500, 80, 60)


def state_graph(result: Exploration, failure: Failure | None = None) -> Picture:
    """The states that ``explore`` has found, in layers, and the road to ``failure`` (the first, if not given).

    Raises ScenarioError if ``result`` is nothing that explore returns, or ``failure`` was not found there.
    """
    if not isinstance(result, Exploration):
        raise ScenarioError(
            f"{getattr(result, '__name__', type(result).__name__)} is no Exploration. Give what explore returns: "
            "state_graph(explore(Increments))."
        )
    if failure is not None and not any(failure is known for known in result.failures):
        raise ScenarioError(
            f"the failure was not found by this search of {result.scenario}. Give one of result.failures."
        )
    if failure is None and result.failures:
        failure = result.failures[0]
    with house_style():
        return _Layers(result, failure).picture()


class _Layers:
    """What there is to draw. A step that fails leads to a node of its own, after the numbers of the states."""

    def __init__(self, result: Exploration, failure: Failure | None) -> None:
        graph = result.graph
        self.result, self.failure = result, failure
        self.fates = _fates(result)
        self.layer = _distances(result)
        self.edges = [(n, f) for n in range(graph.expanded) for f in dict.fromkeys(graph.followers(n))]
        crash_of = {}
        for number in sorted(graph.failing_steps):
            crash_of[number] = len(self.fates)
            self.edges.append((number, len(self.fates)))
            self.layer.append(self.layer[number] + 1)
            self.fates.append(FAILING)
        self.road = _road(result, failure) if failure else []
        if failure and failure.trace and failure.trace[-1].fault and self.road[-1] in crash_of:
            self.road.append(crash_of[self.road[-1]])
        self.members: list[list[int]] = [[] for _ in range(max(self.layer) + 1)]
        for number, layer in enumerate(self.layer):
            self.members[layer].append(number)
        self.counts = Counter(self.fates)

    def picture(self) -> Picture:
        states, layers, most = DOTS
        small = len(self.fates) <= states and len(self.members) <= layers
        as_dots = small and max(map(len, self.members)) <= most
        figure = self._dots() if as_dots else self._silhouette()
        return Picture(figure, self._alt("" if as_dots else "as the number of states "))

    # --- state by state ------------------------------------------------------------------------

    def _dots(self) -> Figure:
        most = max(map(len, self.members))
        height = min(7.0, max(2.9, 1.9 + 0.19 * most))
        figure, axes = self._frame(height)
        places = _places(self.members, self.edges)
        room = min((style.WIDTH - 0.6) / len(self.members), (height - 1.9) / most) * 72  # points for each state
        size = min(9.0, max(3.5, 0.55 * room))
        paths = [_curve(places[a], places[b]) for a, b in self.edges]
        colours = [style.PALE if self._onward(a, b) else BOW for a, b in self.edges]
        axes.add_collection(PathCollection(
            paths, facecolors="none", edgecolors=colours, linewidths=0.8, zorder=1, gid="steps",
        ))  # fmt: skip
        axes.add_collection(PathCollection(
            [_curve(places[a], places[b]) for a, b in pairwise(self.road)],
            facecolors="none", edgecolors=style.INK, linewidths=2.2, zorder=2, gid="road",
        ))  # fmt: skip
        for fate, (marker, colour, hollow, _, _) in LOOKS.items():
            x, y = _columns(places[n] for n, known in enumerate(self.fates) if known == fate)
            larger = fate == FAILING
            axes.plot(x, y, marker, markersize=size + 2 * larger, markeredgecolor=colour, linestyle="none", gid=fate,
                      markerfacecolor="white" if hollow else colour, zorder=3 + larger)  # fmt: skip
        axes.annotate("start", places[0], (-8, 0), textcoords="offset points", ha="right", va="center",
                      fontsize=style.SMALL, weight="bold", color=style.INK)  # fmt: skip
        axes.set(xlim=(-0.9, len(self.members) - 0.1), ylim=(-(most + 1) / 2, (most + 1) / 2), yticks=[])
        entries = [mark(m, c, self._entry(f, w), hollow=h) for f, (m, c, h, _, w) in LOOKS.items() if self.counts[f]]
        if not all(self._onward(a, b) for a, b in self.edges):
            entries.append(Line2D([], [], color=BOW, label="bowed: a step within its layer, or back"))
        self._legend(figure, entries)
        return figure

    def _onward(self, start: int, end: int) -> bool:
        """Whether a step leads to the next layer."""
        return self.layer[end] == self.layer[start] + 1

    # --- layer by layer ------------------------------------------------------------------------

    def _silhouette(self) -> Figure:
        figure, axes = self._frame(4.6)
        edges = [layer - 0.5 for layer in range(len(self.members) + 1)]
        below = [0] * len(self.members)
        entries = []
        for fate, (_, colour, hollow, hatch, word) in LOOKS.items():
            if not self.counts[fate]:
                continue
            heights = [sum(self.fates[n] == fate for n in members) for members in self.members]
            face = "white" if hollow else colour
            how: dict[str, Any] = {"facecolor": face, "edgecolor": colour if hollow else "white", "hatch": hatch}
            top = [b + h for b, h in zip(below, heights, strict=True)]
            axes.stairs(top, edges, baseline=below, fill=True, gid=fate, linewidth=0, **how)
            below = top
            entries.append(Patch(label=self._entry(fate, word), linewidth=0.8, **how))
        axes.stairs(below, edges, color=style.INK, linewidth=0.8)
        most = max(below)
        axes.set(xlim=(edges[0], edges[-1]), ylim=(-0.16 * most, 1.05 * most))
        axes.axhline(0, color=style.GREY, linewidth=0.8)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 0 else ""))
        write(axes, 0.0, 1.02, "states in the layer", transform=axes.transAxes, fontsize=style.SMALL, color=style.GREY)
        self._road_below(axes, -0.08 * most)
        self._legend(figure, entries)
        return figure

    def _road_below(self, axes: Any, y: float) -> None:
        if not self.road:
            return
        x = [self.layer[number] for number in self.road]
        axes.plot(x, [y] * len(x), color=style.INK, linewidth=2.2, gid="road", solid_capstyle="butt")
        for fate, (marker, colour, hollow, _, _) in LOOKS.items():
            at = [layer for layer, number in zip(x, self.road, strict=True) if self.fates[number] == fate]
            axes.plot(at, [y] * len(at), marker, markersize=5 + 4 * (fate == FAILING), markeredgecolor=colour,
                      markerfacecolor="white" if hollow else colour, linestyle="none", zorder=4)  # fmt: skip

    # --- around both ---------------------------------------------------------------------------

    def _frame(self, height: float) -> tuple[Figure, Any]:
        figure = Figure(figsize=(style.WIDTH, height))
        axes = figure.add_axes((0.08, 1.12 / height, 0.9, (height - 1.95) / height))
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(style.GREY)
        axes.tick_params(colors=style.GREY, labelsize=style.SMALL, labelcolor=style.INK)
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
        axes.set_xlabel("distance from the start, in steps", fontsize=style.TEXT, color=style.INK)
        title = f"{self.result.scenario}: {count(self.result.states, 'state')}, {self.result.verdict}"
        shown = shortened(title, style.WIDTH - 0.3, style.TITLE, "bold")
        write(figure, 0.015, 1 - 0.22 / height, shown, fontsize=style.TITLE, weight="bold", va="center")
        road = wrapped(self._road_in_words(), style.WIDTH - 0.3, style.TEXT, 1)
        write(figure, 0.015, 1 - 0.47 / height, "".join(road), color=style.GREY, va="center")
        return figure, axes

    def _legend(self, figure: Figure, entries: list[Any]) -> None:
        if self.road:
            entries.append(mark("", style.INK, f"the road to the {self._what()}", line=True))
        legend(figure, entries, 3)

    def _entry(self, fate: str, word: str) -> str:
        return f"{word} ({self.counts[fate]:,})"

    def _what(self) -> str:
        return "data race" if self.failure and self.failure.kind == "data-race" else "failure"

    def _road_in_words(self) -> str:
        if self.failure is None:
            steps = f"Steps from state to state: {self.result.transitions:,}."
            return steps if self.result.complete else f"Not searched completely: {self.result.reason}."
        steps = count(len(self.failure.schedule), "step")
        return f"The bold road takes {steps}: {self.failure.message}"

    def _alt(self, how: str) -> str:
        shown = [f"{self.counts[fate]:,} ({word})" for fate, (*_, word) in LOOKS.items() if self.counts[fate]]
        layers = f"{count(len(self.members), 'layer')} by the distance from the start"
        said = f"State graph of {self.result.scenario}, {how}in {layers}: "
        said += f"{count(self.result.states, 'state')}, {in_a_row(shown)}."
        if crashes := len(self.fates) - self.result.states:
            said += f" Among those that fail are {count(crashes, 'end')} of failing steps."
        if not self.result.complete:
            said += f" Not searched completely: {self.result.reason}."
        if self.failure is not None:
            steps = count(len(self.failure.schedule), "step")
            said += f" The bold road to the {self._what()} takes {steps}: {self.failure.message}."
        return said


def _fates(result: Exploration) -> list[str]:
    failing = result.graph.failing_states
    return [FAILING if n in failing else result.fate(state) for n, state in enumerate(result.graph.states)]


def _distances(result: Exploration) -> list[int]:
    """How far each state is from the start; the search has met them in this order."""
    graph = result.graph
    distance = {0: 0}
    for number in range(graph.expanded):
        for follower in graph.followers(number):
            distance.setdefault(follower, distance[number] + 1)
    return [distance[number] for number in range(len(graph.states))]


def _road(result: Exploration, failure: Failure) -> list[int]:
    """The numbers of the states through which the failure's schedule goes."""
    session = Session(result.scenario, result.machine)
    road = []
    for word in ("", *failure.schedule.steps):
        if word and session.step(word).fault:
            break  # where a failing step leads to is no state
        same = (result.graph.numbers.get(state) for state, _ in result.machine.arrangements(session.number))
        road += [number for number in same if number is not None][:1]
    return road


def _places(members: list[list[int]], edges: list[tuple[int, int]]) -> dict[int, tuple[float, float]]:
    """Where each state is drawn: in its layer, near the middle of those that it is joined to."""
    joined = defaultdict[int, list[int]](list)
    for a, b in edges:
        joined[a].append(b)
        joined[b].append(a)
    layer = {number: x for x, numbers in enumerate(members) for number in numbers}
    height = {number: 0.0 for number in layer}

    def settle(numbers: list[int], side: int) -> None:
        """Puts a layer in the order of its neighbours on one side."""
        middle = {}
        for number in numbers:
            near = [height[other] for other in joined[number] if layer[other] == layer[number] + side]
            middle[number] = sum(near) / len(near) if near else height[number]
        for rank, number in enumerate(sorted(numbers, key=lambda n: (middle[n], height[n], n))):
            height[number] = (len(numbers) - 1) / 2 - (len(numbers) - 1 - rank)

    for _ in range(6):
        for numbers in members:
            settle(numbers, -1)
        for numbers in reversed(members):
            settle(numbers, +1)
    return {number: (float(layer[number]), height[number]) for number in layer}


def _curve(start: tuple[float, float], end: tuple[float, float]) -> Path:
    """A straight line to the next layer; a bow to any other."""
    if end[0] == start[0] + 1:
        return Path([start, end])
    bow = 1.2 + 0.25 * abs(end[0] - start[0])
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - bow)
    return Path([start, middle, end], [Path.MOVETO, Path.CURVE3, Path.CURVE3])


def _columns(points: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    both = list(points)
    return [x for x, _ in both], [y for _, y in both]
