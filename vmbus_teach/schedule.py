"""Schedules: who takes the next step, written down.

    PerCpuLists@9f31: host*2 target_cpu_store*3 vmbus_isr_0

Each word is a context; ``*2`` repeats it. Where a step leaves something open, ``:1`` says which
alternative was taken. The part before the colon names the scenario and a short hash of its
programs: a schedule recorded for other code says so.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import itertools
import re
import tokenize
from dataclasses import dataclass

from .kernel.base import ModelError, show
from .scenario import Scenario


class ScheduleError(ModelError):
    """A schedule cannot be read, or does not fit the scenario; the text says at which step and what would."""


@dataclass(frozen=True)
class Schedule:
    """Who steps, one word per step; for which scenario, and a hash of its programs (both may be "")."""

    steps: tuple[str, ...] = ()
    scenario: str = ""
    digest: str = ""

    def __str__(self) -> str:
        runs = [(word, len(list(group))) for word, group in itertools.groupby(self.steps)]
        text = " ".join(word if count == 1 else f"{word}*{count}" for word, count in runs)
        return f"{self.scenario}@{self.digest}: {text}".rstrip() if self.digest else text

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def switches(self) -> int:
        """How often the next step is another context's."""
        who = [word.partition(":")[0] for word in self.steps]
        return sum(a != b for a, b in itertools.pairwise(who))

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """The schedule that ``str`` wrote. Raises ScheduleError for text that is none."""
        if not isinstance(text, str):
            raise ScheduleError(f"a schedule is a text such as 'host*2 worker_0', not {show(text)}.")
        text = " ".join(text.split())
        head = re.match(r"(?P<scenario>\S.*?)@(?P<digest>[0-9a-f]{4,}):(?: |$)", text)
        steps: list[str] = []
        for word in (text[head.end() :] if head else text).split():
            match = re.fullmatch(r"(?P<who>[^\s*]+?)(?:\*(?P<times>\d{1,6}))?", word)
            if not match:
                raise ScheduleError(
                    f"{word!r} is no step of a schedule. A step is a context's name, repeated with *: 'host*2 worker_0'."
                )
            steps += [match["who"]] * int(match["times"] or 1)
        return cls(tuple(steps), head["scenario"] if head else "", head["digest"] if head else "")


def digest(scenario: Scenario) -> str:
    """A short hash of a scenario's programs and parameters; comments and layout don't count."""
    parts = [f"{name}={show(value)}" for name, value in scenario._parameters.items()]
    for cls in type(scenario).__mro__:
        if cls is Scenario:
            break
        parts += _tokens(cls)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:6]


def _tokens(cls: type) -> list[str]:
    try:
        source = inspect.getsource(cls)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (OSError, TypeError, tokenize.TokenError, IndentationError):
        codes = [f.__code__ for f in vars(cls).values() if inspect.isfunction(f)]
        return [cls.__name__, *(code.co_code.hex() + repr(code.co_names) for code in codes)]
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    return [token.string for token in tokens if token.type not in skipped]
