"""A question that the reader answers before the machine does."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets


class Predict(widgets.VBox):  # type: ignore[misc]
    """Shows a question with its options, keeps what is chosen, and compares it later.

        guess = Predict("Can the counter be 1 at the end?", ["yes", "no"])      # one cell
        guess.compare("yes" if 1 in explore(Increments).outcomes else "no")      # a later one

    The right answer is computed by the cell that compares, so it stands nowhere before. Raises ValueError if there are
    not two different options.
    """

    def __init__(self, question: str, options: list[str] | tuple[str, ...]) -> None:
        if len(options) < 2 or len(set(options)) < len(options):
            raise ValueError(f"a prediction needs at least two different options, not {list(options)}")
        self.question = question
        self.options = tuple(options)
        self._buttons = widgets.RadioButtons(options=self.options, value=None, layout={"width": "max-content"})
        text = widgets.HTML()
        text.value = f"<b>Your prediction.</b> {escape(question)}"
        super().__init__([text, self._buttons])

    @property
    def answer(self) -> str | None:
        """What the reader has chosen; None before that."""
        return self._buttons.value  # type: ignore[no-any-return]

    def choose(self, option: str) -> None:
        """Chooses an option by its text; raises ValueError if there is none."""
        if option not in self.options:
            raise ValueError(f"{option!r} is no option; the options are {', '.join(self.options)}")
        self._buttons.value = option

    def compare(self, truth: str) -> None:
        """Prints the reader's answer beside ``truth``, one of the options; raises ValueError if it is none."""
        if truth not in self.options:
            raise ValueError(f"the machine's answer {truth!r} is none of the options: {', '.join(self.options)}")
        if self.answer is None:
            print(f"You made no prediction. The machine says: {truth}.")
        elif self.answer == truth:
            print(f"You said {self.answer!r}, and so does the machine.")
        else:
            print(f"You said {self.answer!r}; the machine says {truth!r}.")

    def __repr__(self) -> str:
        return "\n".join([f"Your prediction. {self.question}", *(f"  ( ) {option}" for option in self.options)])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data = super()._repr_mimebundle_(**kwargs)
        data["text/plain"] = repr(self)
        return data
