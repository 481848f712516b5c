"""The stepper: a scenario to be scheduled by hand, in a notebook.

It shows one lane per context with its source and the line it stands on, the shared state, and a
button for each step that could be next; those that must wait say why. It only draws what a
``Session`` knows. Text without a browser: ``str(stepper)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import ipywidgets as widgets

from ..explore import Exploration, explore
from ..kernel.base import Context, ModelError
from ..narrate import story
from ..scenario import Scenario
from ..session import Choice, Session
from ..source import Place

#: How many states "Find a failure" looks at, so that a huge scenario does not block the page for long.
SEARCH_BOUND = 200_000


class Stepper(widgets.VBox):  # type: ignore[misc]
    """``Stepper(PerCpuLists)`` in the last line of a cell shows the scenario, ready to be stepped.

    ``schedule`` is replayed first, if given. ``session`` is the Session behind the buttons.
    """

    def __init__(self, scenario: Scenario | type[Scenario], schedule: str | None = None) -> None:
        self.session = Session(scenario)
        if schedule:
            self.session.replay(schedule)
        self._exploration: Exploration | None = None
        self._next_failure = 0
        self._said = ""
        self._picture = widgets.HTML()
        self._steps = widgets.VBox()
        self._message = widgets.HTML()
        self._story = widgets.HTML()
        self._undo = _button("Undo", "undo", "Take the last step back", self._do(self.session.undo))
        self._redo = _button("Redo", "repeat", "Take the undone step again", self._do(self.session.redo))
        self._reset = _button("Start again", "fast-backward", "Back to the start", self._do(self.session.reset))
        self._find = _button("Find a failure", "search", "Search every interleaving", self._do(self._find_a_failure))
        tools = widgets.HBox([self._undo, self._redo, self._reset, self._find], layout={"flex_flow": "row wrap"})
        super().__init__([self._picture, self._message, self._steps, tools, self._story])
        self._draw()

    # --- what the buttons do --------------------------------------------------------------

    def step(self, word: str) -> None:
        """Takes the step that a schedule calls ``word``, as its button does."""
        self.session.step(word)
        self._draw()

    def find_a_failure(self) -> None:
        """Loads the shortest schedule of a failure; of the next one, when called again."""
        self._find_a_failure()
        self._draw()

    def _find_a_failure(self) -> None:
        if self._exploration is None:
            self._exploration = explore(self.session.scenario, max_states=SEARCH_BOUND)
        result = self._exploration
        if not result.failures:
            self._said = str(result).replace("\n  ", "; ", 1)
            return
        failure = result.failures[self._next_failure % len(result.failures)]
        self._next_failure += 1
        self.session.replay(failure.schedule)
        if failure.kind == "data-race":
            self._said = f"data-race: {failure.message}"

    def _do(self, action: Callable[[], Any]) -> Callable[[Any], None]:
        def clicked(_: Any) -> None:
            self._said = ""
            try:
                action()
            except ModelError as error:
                self._said = str(error)
            self._draw()

        return clicked

    # --- drawing ----------------------------------------------------------------------------

    def _draw(self) -> None:
        session = self.session
        self._picture.value = STYLE + f'<div class="vt">{self._heading()}{self._lanes()}{self._state()}</div>'
        failures = session.failures
        choices = session.choices()
        self._message.value = self._message_html(bool(choices))
        self._steps.children = [self._choice(choice) for choice in choices]
        self._undo.disabled = not session.trace
        self._redo.disabled = not session.can_redo
        self._reset.disabled = not session.trace
        lines = story(session.trace)
        opened = " open" if failures else ""
        text = escape("\n".join(lines)) if lines else "Nothing has happened yet."
        self._story.value = (
            f'<details class="vt"{opened}><summary>{len(session.trace)} steps so far</summary>'
            f"<pre>{text}</pre></details>"
        )

    def _choice(self, choice: Choice) -> Any:
        button = _button(choice.word, "", choice.text, self._do(lambda: self.session.step(choice.word)))
        button.disabled = not choice.enabled
        button.layout.width = "14em"
        said = choice.remark or choice.text
        reason = f' <span class="vt-why">{escape(choice.reason)}</span>' if not choice.enabled else ""
        title = escape(choice.text, quote=True)
        label = widgets.HTML(f'<span class="vt" title="{title}">{escape(said)}{reason}</span>')
        return widgets.HBox([button, label])

    def _heading(self) -> str:
        return f"<div class='vt-title'>{escape(str(self.session.scenario))}</div>"

    def _message_html(self, can_go_on: bool) -> str:
        failures = self.session.failures
        if failures:
            text = "; ".join(f"{fault.kind}: {fault.message}" for fault in failures)
            return f'<div class="vt vt-bad" role="status">✗ {escape(text)}</div>'
        if self._said:
            return f'<div class="vt vt-note" role="status">{escape(self._said)}</div>'
        if not can_go_on:
            text = "✓ All has been done, and nothing failed in this schedule."
            return f'<div class="vt vt-good" role="status">{text}</div>'
        return '<div class="vt" role="status">Who goes next?</div>'

    def _lanes(self) -> str:
        lanes = "".join(self._lane(context) for context in self._contexts())
        return f'<div class="vt-lanes">{lanes}</div>'

    def _contexts(self) -> Iterator[Context]:
        """The contexts that are doing something, or have a program of their own."""
        machine = self.session.machine
        for index, context in enumerate(machine.contexts):
            if context.program is not None or machine.position(self.session.number, index):
                yield context

    def _lane(self, context: Context) -> str:
        places, doing = self.session.standing(context)
        on = context.cpu.name if context.cpu is not None and not context.cpu.private else context.kind
        head = f"<b>{escape(context.name)}</b> <span class='vt-why'>{escape(on)}</span>"
        if not places:
            return f'<div class="vt-lane vt-idle"><div>{head}</div><p>{escape(doing)}</p></div>'
        return f'<div class="vt-lane"><div>{head}</div>{_listing(places[-1])}</div>'

    def _state(self) -> str:
        trace = self.session.trace
        changed = {name: trace[-1].choice.context for name, *_ in trace[-1].changes} if trace else {}
        rows = []
        for name, value in self.session.values():
            by = f"by {changed[name]}" if name in changed else ""
            mark = ' class="vt-changed"' if by else ""
            rows.append(f"<tr{mark}><th>{escape(name)}</th><td>{escape(value)}</td><td>{escape(by)}</td></tr>")
        head = "<tr><th>shared state</th><th>value</th><th>just changed</th></tr>"
        return f'<table class="vt-state"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'

    # --- without a browser --------------------------------------------------------------------

    def __repr__(self) -> str:
        session = self.session
        lines = [f"{session.scenario}, after {len(session.trace)} steps"]
        width = max((len(name) for name, _ in session.values()), default=0)
        lines += [f"  {name.ljust(width)}  {value}" for name, value in session.values()]
        lines += [f"  {fault.kind}: {fault.message}" for fault in session.failures]
        for choice in session.choices():
            mark = ">" if choice.enabled else "x"
            reason = "" if choice.enabled else f" [{choice.reason}]"
            lines.append(f"  {mark} {choice.word}: {choice.remark or choice.text}{reason}")
        return "\n".join(lines)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data = super()._repr_mimebundle_(**kwargs)
        data["text/plain"] = repr(self)
        return data


def _button(text: str, icon: str, tooltip: str, clicked: Callable[[Any], None]) -> Any:
    button = widgets.Button(description=text, icon=icon, tooltip=tooltip)
    button.on_click(clicked)
    return button


def _listing(place: Place) -> str:
    """The source of the function that a context is in, with its line marked."""
    lines = place.listing
    if not lines:
        return f"<p>line {place.line}, whose source is not at hand</p>"
    shown = []
    for number, line in lines:
        text, here = escape(line), number == place.line
        shown.append(f'<span class="vt-here" aria-current="step">▸ {text}</span>' if here else f"  {text}")
    return "<pre>" + "\n".join(shown) + "</pre>"


STYLE = """<style>
.vt { color: var(--jp-ui-font-color1, #212121); font-family: var(--jp-ui-font-family, sans-serif); font-size: 13px; }
.vt-title { font-size: 16px; font-weight: 600; margin: 4px 0 8px; }
.vt-lanes { display: grid; grid-template-columns: repeat(auto-fill, minmax(22em, 1fr)); gap: 8px; }
.vt-lane { border: 1px solid var(--jp-border-color2, #e0e0e0); border-radius: 4px; padding: 6px 8px; overflow-x: auto; }
.vt-lane p { margin: 4px 0 0; }
.vt-idle { opacity: 0.75; }
.vt pre { white-space: pre; overflow-x: auto; margin: 6px 0 0; font-size: 12px; line-height: 1.45; }
.vt pre { background: none; color: inherit; }
.vt-here { background: var(--jp-warn-color3, #fff3c4); color: #1b1b1b; font-weight: 600; }
.vt-here { display: inline-block; min-width: 100%; }
.vt-why { color: var(--jp-ui-font-color2, #616161); }
table.vt-state { border-collapse: collapse; margin: 10px 0 4px; font-size: 12px; line-height: 1.35; }
.vt-state th, .vt-state td { text-align: left; padding: 1px 18px 1px 0; font-weight: normal; line-height: 1.35; }
.vt-state tbody th, .vt-state td:nth-child(2) { font-family: var(--jp-code-font-family, monospace); }
.vt-state thead th { color: var(--jp-ui-font-color2, #616161); }
.vt-state thead th { border-bottom: 1px solid var(--jp-border-color2, #e0e0e0); }
.vt-changed th, .vt-changed td { font-weight: 600; }
.vt-bad { border-left: 4px solid #b3261e; padding: 4px 8px; }
.vt-good { border-left: 4px solid #1b7f3b; padding: 4px 8px; }
.vt-note { border-left: 4px solid #0072b2; padding: 4px 8px; }
</style>"""
