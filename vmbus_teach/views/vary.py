"""A scenario whose parameters the reader varies: each change is searched at once.

    Vary(Increments, threads=(1, 4), times=[1, 2])

A list is chosen from with the arrow keys or the mouse, as every other list on the page. (A slider of ipywidgets
has no name that a screen reader could say; a list has one.)
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from ..advice import meant
from ..explore import Exploration, explore
from ..kernel.base import ModelError, show
from ..narrate import count
from ..scenario import Scenario, ScenarioError

#: How many states are looked at after each change, so that the page is not blocked for long.
SEARCH_BOUND = 50_000
#: How many values a parameter may be offered.
MOST = 100


class Vary(widgets.VBox):  # type: ignore[misc]
    """A list to choose from for each parameter of ``setup``, and below it what the search finds.

    ``threads=(1, 4)`` offers 1 to 4, ``threads=[1, 2, 4]`` just these. What is not named keeps its default, with
    which those that are named begin. ``max_states`` bounds each search; one that was cut short says so.

    Raises ScenarioError if there is nothing to vary, or what is offered is no list of values.
    """

    def __init__(self, scenario: type[Scenario], /, *, max_states: int = SEARCH_BOUND, **offered: Any) -> None:
        self._scenario, self._max_states = scenario, max_states
        defaults = _defaults(scenario, offered)
        if not isinstance(max_states, int) or max_states < 1:
            raise ScenarioError(
                f"Vary({scenario.__name__}, max_states={show(max_states)}): it is the number of states after which "
                "each search stops, at least 1."
            )
        self._values: dict[str, dict[str, Any]] = {}
        for name, offer in offered.items():
            self._values[name] = {show(value): value for value in _offered(scenario, name, offer)}
        self._lists = {}
        for name, values in self._values.items():
            start = show(defaults[name]) if show(defaults[name]) in values else next(iter(values))
            chooser = widgets.Dropdown(options=list(values), value=start, description=name)
            chooser.style.description_width = "initial"
            chooser.layout.width = "max-content"
            chooser.observe(self._changed, "value")
            self._lists[name] = chooser
        self._table = widgets.HTML()
        #: What the search has found; None where the scenario could not be set up, and then ``error`` says why.
        self.result: Exploration | None = None
        self.error = ""
        super().__init__([widgets.HBox(list(self._lists.values()), layout={"flex_flow": "row wrap"}), self._table])
        self._search()

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that are chosen now."""
        return {name: self._values[name][chooser.value] for name, chooser in self._lists.items()}

    def choose(self, **parameters: Any) -> None:
        """Chooses values by name, as the lists on the page do: ``choose(threads=3)``. Then searches once.

        Raises ScenarioError, and changes nothing, if one of them is not offered.
        """
        for name, value in parameters.items():
            if name not in self._values:
                raise ScenarioError(f"{name} is not varied here; what is varied: {', '.join(self._values)}.")
            if show(value) not in self._values[name]:
                raise ScenarioError(f"{name} = {show(value)} is not offered; offered: {', '.join(self._values[name])}.")
        for name, value in parameters.items():
            chooser = self._lists[name]
            chooser.unobserve(self._changed, "value")  # what is chosen so far is nothing that anybody asked for
            chooser.value = show(value)
            chooser.observe(self._changed, "value")
        self._search()

    def _changed(self, _: Any) -> None:
        self._search()

    def _search(self) -> None:
        self.result, self.error = None, ""
        try:
            self.result = explore(self._scenario(**self.parameters), max_states=self._max_states)
        except ModelError as error:
            self.error = str(error)
        except Exception as error:  # here nobody else would see it: a list that is changed has nowhere to raise
            self.error = f"{type(error).__name__}: {error}"
        self._table.value = f'<div role="status">{self._html()}</div>'

    # --- what has been found ------------------------------------------------------------------

    def _title(self) -> str:
        values = ", ".join(f"{name}={show(value)}" for name, value in self.parameters.items())
        return f"{self._scenario.__name__}({values})"

    def _rows(self) -> list[tuple[str, str]]:
        """What is said of the result, line by line."""
        result = self.result
        if result is None:
            return [("error", self.error)]
        rows = [("verdict", result.verdict)]
        if result.failures:
            rows.append(("first failure", result.failures[0].message))
            schedule = result.failures[0].schedule
            steps, switches = count(len(schedule), "step"), count(schedule.switches, "switch", "es")
            rows.append(("shown in", f"{steps} with {switches}"))
        rows.append(("states", f"{result.states:,}" if result.complete else f"{result.states:,} and more"))
        if not result.complete:
            rows.append(("schedules", f"not counted: {result.reason}, and what was not looked at may hold failures"))
        elif result.schedules is None:
            rows.append(("schedules", "infinitely many (there is a loop)"))
        else:
            rows.append(("schedules", f"{result.schedules:,}"))
        return rows

    def _html(self) -> str:
        left = 'style="text-align:left"'
        rows = "".join(
            f'<tr><th scope="row" {left}>{escape(name)}</th><td {left}>{escape(text)}</td></tr>'
            for name, text in self._rows()
        )
        caption = f"<caption {left}><b>{escape(self._title())}</b></caption>"
        return f"<table>{caption}<tbody>{rows}</tbody></table>"

    def __repr__(self) -> str:
        offers = "; ".join(f"{name}: {', '.join(values)}" for name, values in self._values.items())
        width = max(len(name) for name, _ in self._rows())
        lines = [f"  {name.ljust(width)}  {text}" for name, text in self._rows()]
        return "\n".join([f"{self._title()}, varied ({offers})", *lines])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data = super()._repr_mimebundle_(**kwargs)
        data["text/plain"], data["text/html"] = repr(self), self._html()
        return data


def _defaults(scenario: Any, offered: dict[str, Any]) -> dict[str, Any]:
    """What setup takes if nothing is said, by name; raises unless it takes everything that is offered."""
    if not (isinstance(scenario, type) and issubclass(scenario, Scenario)):
        raise ScenarioError(
            f"{show(scenario)} is no class of scenarios. Give the class, and what to vary by name: "
            "Vary(Increments, threads=(1, 4))."
        )
    taken = inspect.signature(scenario.setup).parameters
    named = [n for n, p in taken.items() if n != "self" and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    anything = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    declared = f"It is declared as setup{inspect.signature(scenario.setup)}."
    if not offered:
        raise ScenarioError(
            f"Vary({scenario.__name__}) has nothing to vary. Name a parameter of setup, and what it may be: "
            f"name=(1, 4) or name=[1, 2, 4]. {declared}"
        )
    for name in offered:
        if name not in named and not anything:
            said = (f"setup of {scenario.__name__} takes no parameter {name!r}.", meant(name, named), declared)
            raise ScenarioError(" ".join(filter(None, said)))
    return {name: taken[name].default if name in taken else inspect.Parameter.empty for name in offered}


def _offered(scenario: type[Scenario], name: str, offer: Any) -> Sequence[Any]:
    """The values to choose from: a pair of whole numbers is a range with both ends, a list is what it lists."""
    where = f"Vary({scenario.__name__}, {name}={show(offer)})"
    if isinstance(offer, tuple):
        if len(offer) != 2 or any(type(end) is not int for end in offer):
            raise ScenarioError(f"{where}: a range is two whole numbers, such as (1, 4). For others give a list.")
        if offer[0] > offer[1]:
            raise ScenarioError(f"{where}: the range ends before it begins; write ({offer[1]}, {offer[0]}).")
        if offer[1] - offer[0] >= MOST:
            raise ScenarioError(f"{where}: those are more than {MOST} values; give a shorter range, or a list.")
        return range(offer[0], offer[1] + 1)
    if not isinstance(offer, list | range):
        raise ScenarioError(f"{where}: say what {name} may be: a range such as (1, 4), or a list such as [1, 2, 4].")
    if not offer:
        raise ScenarioError(f"{where}: the list is empty; give at least one value.")
    if len(offer) > MOST:
        raise ScenarioError(f"{where}: those are more than {MOST} values; give fewer.")
    words = [show(value) for value in offer]
    if len(set(words)) < len(words):
        twice = next(word for word in words if words.count(word) > 1)
        raise ScenarioError(f"{where}: {twice} is listed twice.")
    return list(offer)
