"""The stepper: a scenario to be scheduled by hand, in a notebook.

What it looks like and how it moves is in ``static/stepper.js``, which draws a ``Document``. Small scenarios are
in the page as a whole and are stepped there; of larger ones the page asks for more states as it needs them.
Without a browser it is a table and a time line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

import anywidget
import traitlets

from ..document import Document
from ..explore import Exploration, explore_machine
from ..machine import Machine
from ..narrate import count
from ..scenario import Scenario
from ..schedule import Schedule, ScheduleError
from ..session import Session, as_scenario
from .fallback import as_html, as_text

#: A scenario with no more states than this is shipped as a whole: 0.2 MB, and 0.15 s to begin with, at most. Of a
#: larger one, those that are known when so many have been met.
SHIPPED = 2_000

#: How many states a search from the page looks at, so that a huge scenario does not block it for long.
SEARCHED = 200_000

STATIC = Path(__file__).parent / "static"


class Stepper(anywidget.AnyWidget):
    """``Stepper(PerCpuLists)`` in the last line of a cell shows the scenario, ready to be stepped.

    ``schedule`` is replayed first, if given. ``beside`` is a second scenario (the repaired one) on which the
    same schedule is played, as far as it goes. ``session`` is the Session at the place that the page shows.

    Raises ScheduleError if the schedule does not fit, ScenarioError or ProgramError if a scenario is wrong.
    """

    _esm = STATIC / "stepper.js"
    _css = STATIC / "stepper.css"

    #: Every stepper that has not been closed.
    alive: ClassVar[WeakSet[Stepper]] = WeakSet()

    documents: traitlets.List[dict[str, Any]] = traitlets.List(read_only=True).tag(sync=True)
    schedule = traitlets.Unicode("").tag(sync=True)  # all steps, undone ones included
    at = traitlets.Int(0).tag(sync=True)  # how many of them have been taken
    marks = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        scenario: Scenario | type[Scenario],
        schedule: Schedule | str | None = None,
        *,
        beside: Scenario | type[Scenario] | None = None,
    ) -> None:
        shown = [as_scenario(scenario)] + ([] if beside is None else [as_scenario(beside)])
        self.panes = [Pane(one) for one in shown]
        self._session = Session(shown[0], self.panes[0].machine)
        self._beside = Session(shown[1], self.panes[1].machine) if beside is not None else None
        self._is_at = ("", 0)  # what self._session has followed so far
        if schedule is not None and schedule != "":
            self._session.replay(schedule)
            for pane in self.panes:
                pane.document.follow(self._session.schedule.steps)
        super().__init__()
        self.set_trait("documents", [pane.document.content() for pane in self.panes])
        self._tell()
        self.on_msg(self._hear)
        self.alive.add(self)

    # --- for Python ---------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session at the place that the page shows; move it by ``step``, ``undo`` and the others below."""
        if self._is_at != (self.schedule, self.at):
            if self._is_at[0] != self.schedule:
                self._session.replay(self.schedule)
            self._session.go_to(self.at)
            self._is_at = (self.schedule, self.at)
        return self._session

    def step(self, word: str) -> None:
        """Takes the step that a schedule calls ``word``, as its button does."""
        self._move(lambda session: session.step(word))

    def undo(self) -> None:
        """Takes the last step back."""
        self._move(Session.undo)

    def redo(self) -> None:
        """Takes the undone step again."""
        self._move(Session.redo)

    def replay(self, schedule: Schedule | str) -> None:
        """From the start, takes the steps of a schedule; stays where it was if that does not fit."""
        self._move(lambda session: session.replay(schedule))

    @property
    def exploration(self) -> Exploration:
        """What a search of every interleaving found; searched when first asked for."""
        return self.panes[0].explored()

    def find_a_failure(self, which: int = 0) -> None:
        """Loads the schedule that shows failure number ``which`` (from 0) best; nothing if there is none at all.

        Raises ScheduleError if there are fewer.
        """
        failures = self.exploration.failures
        if failures and which not in range(len(failures)):
            raise ScheduleError(f"there is no failure number {which}: {count(len(failures), 'failure')}, from 0.")
        if failures:
            self.replay(Schedule(failures[which].schedule.steps))

    def _move(self, action: Callable[[Session], object]) -> None:
        action(self.session)
        for pane in self.panes:
            if not pane.document.complete:
                pane.document.follow(self._session.schedule.steps)
        self._tell()

    def _tell(self) -> None:
        """Shows the page where the session is."""
        place = str(self._session.whole), self._session.at
        self._is_at = place
        with self.hold_sync():
            self.schedule, self.at = place

    # --- for the page -------------------------------------------------------------------------

    def _hear(self, _: Any, request: dict[str, Any], __: Any) -> None:
        """Answers the page: what can come after a state, along a schedule, or what a search found.

        "nothing" only asks whether there is somebody. A program can turn out to be wrong in a state that nobody
        has reached before: then the answer is what the error says.
        """
        pane = self.panes[request["pane"]]
        answer: dict[str, Any] = {"id": request["id"], "pane": request["pane"]}
        try:
            match request["do"]:
                case "expand":
                    pane.document.expand_around(request["state"])
                case "follow":
                    pane.document.follow(tuple(request["steps"]))
                case "explore":
                    pane.explored()
                case "nothing":
                    pass
            answer["news"] = pane.document.news(request["known"])
        except Exception as error:
            answer["error"] = str(error) or type(error).__name__
        self.send(answer)

    # --- without a browser ----------------------------------------------------------------------

    def __repr__(self) -> str:
        return as_text(self.session, self._beside)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, *metadata = super()._repr_mimebundle_(**kwargs) or ({},)
        return ({**data, "text/plain": repr(self), "text/html": as_html(self.session, self._beside)}, *metadata)


class Pane:
    """A scenario in the stepper: its machine, and what the page knows of it."""

    def __init__(self, scenario: Scenario) -> None:
        self.machine = Machine(scenario, width=32)
        self.document = Document(self.machine)
        self._exploration: Exploration | None = None
        if self.document.expand_all(SHIPPED):
            self.explored()

    def explored(self) -> Exploration:
        """What a search of the scenario finds; the document then knows it, too."""
        if self._exploration is None:
            self._exploration = explore_machine(self.machine, SEARCHED)
            self.document.add(self._exploration)
        return self._exploration
