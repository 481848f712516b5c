"""What the grader answers: a text for every reader, and in a notebook a stepper on what went wrong."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ..failure import Failure
from ..schedule import Schedule
from .watch import Watch

SOLVED, FAILS, UNDECIDED, REFUSED = "solved", "fails", "undecided", "refused"

_WORDS = {
    SOLVED: "solved",
    FAILS: "not solved yet",
    UNDECIDED: "not decided",  # the search was cut short
    REFUSED: "not judged yet",  # the answer cannot be judged as it is; the text says what to do
}


@dataclass(frozen=True)
class Grade:
    """The answer of the grader; true if the exercise is solved.

    ``verdict`` is "solved", "fails", "undecided" (the search was cut short) or "refused" (the answer cannot be judged
    as it is). ``failure`` is the schedule that shows what is wrong, if there is one.
    """

    exercise: str
    verdict: str
    text: str
    failure: Failure | None = field(default=None, repr=False)

    @property
    def solved(self) -> bool:
        """Whether the exercise is solved."""
        return self.verdict == SOLVED

    def __bool__(self) -> bool:
        return self.solved

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        return f"{self.exercise}: {_WORDS[self.verdict]}."

    def __str__(self) -> str:
        return f"{self.headline}\n\n{self.text}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        style = "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; margin: 0"
        return f'<p><b>{escape(self.headline)}</b></p><pre style="{style}">{escape(self.text)}</pre>'

    def _ipython_display_(self) -> None:
        """The text, and below it a stepper with the failing schedule loaded, where there are widgets."""
        from IPython.display import display as shown

        display: Any = shown  # IPython has no types for it
        display({"text/plain": str(self), "text/html": self._repr_html_()}, raw=True)
        if self.failure is None:
            return
        try:
            from ..views.stepper import Stepper
        except ImportError:  # the text has told it all
            return
        with warnings.catch_warnings(), Watch(str(self.failure.scenario)):
            warnings.simplefilter("ignore")  # the text has said it
            stepper = Stepper(self.failure.scenario, Schedule(self.failure.schedule.steps))
        display(_Below(stepper))


class _Below:
    """A stepper below the text that tells the same schedule, so without a browser one line must do."""

    said = "With a kernel, this is a stepper with that schedule loaded."

    def __init__(self, stepper: Any) -> None:
        self.stepper = stepper

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, *metadata = self.stepper._repr_mimebundle_(**kwargs)
        return ({**data, "text/plain": self.said, "text/html": f"<p>{self.said}</p>"}, *metadata)
