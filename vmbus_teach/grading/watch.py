"""The learner's code while it is graded: it cannot run for ever, end the kernel, or change the course.

Programs are supervised by the machine wherever it runs them (``supervise.py``). What is left is here: ``setup``,
predicates, and whatever else of a scenario Python can call.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

from ..program import ProgramError
from ..source import _foreign
from ..supervise import MAX_LINES, Supervision, place_of


class Watch(Supervision):
    """As Supervision, for all that the learner's code does outside of programs: only its own lines are counted."""

    kept = ProgramError
    instead_of_input = "Nothing that is judged can ask anybody; write down the value that you would type."

    def watches(self, frame: types.FrameType) -> bool:
        """Only the learner's own; what code of others calls is asked about again, and begins anew."""
        if _foreign(frame.f_code.co_filename):
            return False
        if frame.f_back is None or _foreign(frame.f_back.f_code.co_filename):
            self.lines = 0
        return True

    def endless(self, frame: types.FrameType) -> str:
        """Without a word of yields: there are none in a setup."""
        return (
            f"{self.title} has executed {MAX_LINES:,} lines in one go (it is now at {place_of(frame)}); it seems to "
            "run for ever. Look for a loop that never ends."
        )


# --- the course itself ------------------------------------------------------------------------

#: Where something of the course stands: module, class ("" for none), name.
At = tuple[str, str, str]


def course() -> dict[At, Any]:
    """Every function, class and plain class attribute that a verdict depends on.

    Somebody who wants to cheat in a process of their own can; this is for the line that seemed a good idea.
    """
    mine = __package__.partition(".")[0]
    return {
        (module, owner, name): value
        for module, space in list(sys.modules.items())
        if module.partition(".")[0] == mine and not module.startswith(f"{mine}.views")
        for owner, name, value in _content(space)
    }


def changed(before: dict[At, Any]) -> str:
    """What is no longer as it was in ``course()``, by name; "" if nothing is."""
    now, classes = course(), {at[:2] for at in before}
    for at in [*before, *now]:
        if (at in before or (at[1] and at[:2] in classes)) and now.get(at) is not before.get(at):
            return ".".join(filter(None, at[1:]))
    return ""


def _content(space: types.ModuleType) -> Iterator[tuple[str, str, Any]]:
    for name, value in list(vars(space).items()):
        if isinstance(value, types.FunctionType):
            yield "", name, value
        if isinstance(value, type) and value.__module__ == space.__name__:
            yield "", name, value
            for inner, member in list(vars(value).items()):
                plain = isinstance(member, int | str | tuple) and not inner.startswith("_")
                if plain or isinstance(member, types.FunctionType | property | staticmethod | classmethod):
                    yield name, inner, member
