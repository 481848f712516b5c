"""Where a program stands in its source, and what is written there.

The listing that a reader sees is the program's own source. It comes from a file, from a notebook
cell (which Jupyter keeps for Python under a made-up file name), or, for code made from a string,
from nowhere: then there is no listing, and all the rest still works.
"""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import os
import sys
import traceback
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FrameType, FunctionType, GeneratorType, MethodType
from typing import Any, NamedTuple

#: Frames of files in here are the engine's own; the course's scenarios and exercises count as the reader's.
_PACKAGE = os.path.dirname(__file__)
_SCENARIOS = (os.path.join(_PACKAGE, "scenarios", ""), os.path.join(_PACKAGE, "grading", "chapters", ""))


class Place(NamedTuple):
    """A line of a program: what a listing marks and an error names."""

    function: str
    filename: str
    line: int
    code: CodeType

    def __str__(self) -> str:
        return f"{self.function}, line {self.line} of {shown_file(self.filename)}"

    @property
    def text(self) -> str:
        """The source line, as it is written; "" where there is no source."""
        return linecache.getline(self.filename, self.line).rstrip("\n")

    @property
    def remark(self) -> str:
        """The comment at the end of the line: how the author tells what the line does."""
        _, mark, comment = self.text.partition("  # ")
        return comment.strip() if mark and not comment.startswith(("type:", "noqa")) else ""

    @property
    def listing(self) -> list[tuple[int, str]]:
        """The lines of the whole function with their numbers; [] where there is no source."""
        return listing(self.code)


def listing(code: CodeType) -> list[tuple[int, str]]:
    """The source of a function, line by line, each with its number in its file; [] where there is none.

    The indentation of its first line is taken off all of them.
    """
    lines, first = _source(code)
    margin = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
    return [(number, line[margin:] if line[:margin].isspace() else line) for number, line in enumerate(lines, first)]


def source(code: CodeType) -> str:
    """The source of a function as it is written; "" where there is none."""
    return "\n".join(_source(code)[0])


def syntax_tree(code: CodeType) -> ast.Module | None:
    """The syntax tree of a function, with line numbers as in its file; None where there is no source.

    None, too, for a lambda in the middle of an expression: its source is no whole statement.
    """
    text, first = source(code), code.co_firstlineno
    if text[:1].isspace():
        text, first = "if 1:\n" + text, first - 1  # a method: indented
    try:
        return ast.increment_lineno(ast.parse(text), first - 1) if text else None
    except SyntaxError:
        return None


def _source(code: CodeType) -> tuple[list[str], int]:
    try:
        lines, first = inspect.getsourcelines(code)
    except (OSError, TypeError):
        return [], 0
    return [line.rstrip("\n") for line in lines], first


def shown_file(filename: str) -> str:
    """A file's name as a reader knows it: its last part, or the number of a notebook cell."""
    if cell := _cell(filename):
        return cell
    if "ipykernel" in filename:
        return "the notebook"
    return "code without a file" if filename.startswith("<") else filename.replace("\\", "/").rsplit("/", 1)[-1]


def _cell(filename: str) -> str:
    """"cell In[3]" if IPython runs and the file is one of its cells; it knows them by made-up names."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython and hasattr(ipython, "get_ipython") else None
    try:
        named = shell.compile.format_code_name(filename) if shell else None
    except AttributeError:
        return ""
    return f"cell {named[1]}" if named else ""


# --- which places --------------------------------------------------------------------------


def places(running: Any) -> tuple[Place, ...]:
    """Where a suspended generator stands, outermost first, down its chain of ``yield from``."""
    return tuple(
        Place(part.__name__, part.gi_frame.f_code.co_filename, part.gi_frame.f_lineno or 0, part.gi_frame.f_code)
        for part in chain(running)
        if part.gi_frame is not None
    )


def chain(running: Any) -> Iterator[Any]:
    """The generator and those that it delegates to with ``yield from``."""
    while isinstance(running, GeneratorType):
        yield running
        running = running.gi_yieldfrom


def places_of_error(error: BaseException) -> tuple[Place, ...]:
    """Where an exception has come from, outermost first, without the engine's own frames."""
    found = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        if not is_engine(frame.f_code.co_filename) and not _is_generated(frame):
            found.append(Place(frame.f_code.co_name, frame.f_code.co_filename, line, frame.f_code))
    return tuple(found)


def _is_generated(frame: FrameType) -> bool:
    """Whether it is a method that ``dataclass`` has made for an operation."""
    return frame.f_code.co_filename == "<string>" and str(frame.f_globals.get("__name__")).startswith(__package__)


@lru_cache(maxsize=10_000)
def is_engine(filename: str) -> bool:
    """Whether a file is the engine's own."""
    return filename.startswith(str(_PACKAGE)) and not filename.startswith(_SCENARIOS)


def in_words(error: BaseException) -> str:
    """" (in worker, line 7 of race.py)": the innermost line of the reader's own code; "" if there is none."""
    found = places_of_error(error)
    own = [place for place in found if not _foreign(place.filename)] or found
    return f" (in {own[-1]})" if own else ""


# --- which functions -------------------------------------------------------------------------


def functions_reached(start: Any, owner: Any = None) -> Iterator[FunctionType]:
    """``start`` and the functions that its code names, directly or through others; each once.

    Names are looked up in the function's module and, as ``self.name``, in the class of ``owner``
    (of the object that a method is bound to). What is reached in other ways is not found. Functions
    of installed packages, and the engine's own, are left out.
    """
    todo, seen = [start], set()
    while todo:
        function = todo.pop()
        if isinstance(function, MethodType):
            owner = function.__self__ if owner is None else owner
            function = function.__func__
        function = inspect.unwrap(function) if callable(function) else function
        if not isinstance(function, FunctionType) or function in seen or _foreign(function.__code__.co_filename):
            continue
        seen.add(function)
        yield function
        names = names_in(function.__code__)
        todo += [function.__globals__.get(name) for name in sorted(names.read)]
        todo += [in_class(type(owner), name) for name in sorted(names.attributes)]


def in_class(kind: type, name: str) -> Any:
    """What a class has under this name, as it stands there; None if there is nothing."""
    return next((vars(cls)[name] for cls in kind.__mro__ if name in vars(cls)), None)


class Names(NamedTuple):
    """The names that a function's code uses, with those of functions inside it."""

    read: frozenset[str]  # globals
    written: frozenset[str]  # globals
    attributes: frozenset[str]


@lru_cache(maxsize=10_000)
def names_in(code: CodeType) -> Names:
    """The names that a function's code uses."""
    read, written, attributes = set(), set(), set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            read.add(instruction.argval)
        elif instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            written.add(instruction.argval)
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(instruction.argval)
    found = Names(frozenset(read), frozenset(written), frozenset(attributes))
    inside = [names_in(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return Names(*(frozenset().union(*each) for each in zip(found, *inside, strict=True)))


@lru_cache(maxsize=10_000)
def _foreign(filename: str) -> bool:
    return is_engine(filename) or "site-packages" in filename or filename.startswith((_STANDARD_LIBRARY, "<frozen"))


_STANDARD_LIBRARY = os.path.join(os.path.dirname(inspect.__file__), "")
