"""Schedules: who takes the next step, written down.

    PerCpuLists@9f31: host*2 target_cpu_store*3 vmbus_isr_0

Each word is a context; ``*2`` repeats it. Where a step leaves something open, ``:1`` says which
alternative was taken. The part before the colon names the scenario and a short hash of its
programs: a schedule recorded for other code says so.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

from .kernel.base import ModelError, show
from .scenario import Scenario
from .source import functions_reached, names_in, syntax_tree


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
        text = " ".join(text.split())  # it may have been broken into lines
        head = re.match(r"(?P<scenario>\S.*?)@(?P<digest>[0-9a-f]{4,}):(?: |$)", text)
        steps: list[str] = []
        for word in (text[head.end() :] if head else text).split():
            match = re.fullmatch(r"(?P<who>[^\s*]+?)(?:\*(?P<times>[1-9]\d{0,5}))?", word)
            if not match:
                raise ScheduleError(
                    f"{word!r} is no step of a schedule. A step is a context's name, repeated with *: "
                    "'host*2 worker_0'."
                )
            steps += [match["who"]] * int(match["times"] or 1)
        return cls(tuple(steps), head["scenario"] if head else "", head["digest"] if head else "")


def digest(scenario: Scenario) -> str:
    """A short hash of a scenario's programs and parameters.

    Comments, doc strings and layout don't count. What counts is the code of the scenario's methods and of
    the functions that they name, and the plain values that these use.
    """
    known = scenario.__dict__.get("_digest")
    if known is None:
        import hashlib  # only here: it loads OpenSSL

        parts = sorted(set(_parts(scenario)))
        parts += [f"{name}={show(value)}" for name, value in scenario._parameters.items()]
        known = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:6]
        scenario.__dict__["_digest"] = known
    return str(known)


def _parts(scenario: Scenario) -> Iterator[str]:
    """Everything that makes the scenario what it is, as text."""
    starts: list[Any] = [context.program for context in scenario.cast.contexts]
    for cls in type(scenario).__mro__:
        if cls is Scenario:
            break
        for name, member in vars(cls).items():
            if isinstance(member, _PLAIN) and not name.startswith("__"):
                yield f"{cls.__name__}.{name} = {show(member)}"
            starts.append(getattr(member, "__func__", member))  # what is in a static or class method
    functions = {id(f.__code__): f for start in starts for f in functions_reached(start, scenario)}  # each once
    for function in functions.values():
        yield f"{function.__qualname__}: {_shape_of(function.__code__)}"
        for name in names_in(function.__code__).read:
            value = function.__globals__.get(name)
            if isinstance(value, _PLAIN):
                yield f"{name} = {show(value)}"


_PLAIN = (int, float, str, bytes, tuple, frozenset)


def _shape_of(code: CodeType) -> str:
    """A function's code without comments, layout and doc strings; its instructions if there is no source.

    Kept for the next scenario that has the same function. By identity: two functions that differ in nothing but a
    default have equal code.
    """
    known = _shapes.get(id(code))
    if known is None:
        if len(_shapes) >= _MOST_SHAPES:
            _shapes.clear()
        tree = syntax_tree(code)
        known = _shapes[id(code)] = (code, _shape(tree) if tree else _instructions(code))
    return known[1]


#: By the id of the code, which the entry keeps alive.
_shapes: dict[int, tuple[CodeType, str]] = {}
_MOST_SHAPES = 5_000


def _shape(node: Any) -> str:
    """A syntax tree in brackets; the same in every version of Python, which ``ast.dump`` is not."""
    if isinstance(node, list):
        return "".join(map(_shape, node))
    if not isinstance(node, ast.AST):
        return repr(node)
    body = getattr(node, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        node.body = body[1:]  # type: ignore[attr-defined]
    inside = (f" {name}={_shape(part)}" for name, part in ast.iter_fields(node) if part not in (None, []))
    return f"({type(node).__name__}{''.join(inside)})"


def _instructions(code: CodeType) -> str:
    constants = [_instructions(c) if isinstance(c, CodeType) else show(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {constants}"
