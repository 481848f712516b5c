"""Slips that everybody makes once, and the sentence that helps.

A forgotten ``yield`` is no error in Python: an operation that is made and dropped just does
nothing. It is looked for in the source, before a program runs. Other slips end in an exception
whose text speaks of Python and not of programs; ``hint`` adds what to do.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

from . import kernel
from .kernel.base import Fixed, Operation, Program, Shared
from .source import functions_reached, in_class, shown_file, syntax_tree


def forgotten_yields(program: Program, owner: Any = None) -> Iterator[str]:
    """A sentence for each statement that makes an operation, or calls a program, and drops it."""
    owner = getattr(program, "__self__", owner)
    for function in functions_reached(program, owner):
        for called, said, line in _dropped_calls(function.__code__):
            if called.startswith("."):
                what = in_class(type(owner), called[1:])
            else:
                what = function.__globals__.get(called)
            if isinstance(what, type) and issubclass(what, Operation):
                slip = f"makes {said} but does not yield it, so nothing happens. Write: yield {said}"
            elif inspect.isgeneratorfunction(what):
                slip = f"calls the program {said} but does not run it. Write: yield from {said}"
            else:
                continue
            where = f"line {line} of {shown_file(function.__code__.co_filename)}"
            yield f"{function.__name__}, {where}, {slip}."


@lru_cache(maxsize=10_000)
def _dropped_calls(code: CodeType) -> tuple[tuple[str, str, int], ...]:
    """Calls in a program whose result nobody uses: what is called (".name" for self.name), its text, its line."""
    if not code.co_flags & inspect.CO_GENERATOR:
        return ()
    tree, found = syntax_tree(code), []
    for statement in ast.walk(tree) if tree else ():
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            called, said = statement.value.func, ast.unparse(statement.value)
            if isinstance(called, ast.Name):
                found.append((called.id, said, statement.lineno))
            elif isinstance(called, ast.Attribute) and ast.unparse(called.value) in ("self", "super()"):
                found.append((f".{called.attr}", said, statement.lineno))
    return tuple(found)


def hint(error: BaseException | None) -> str:
    """What to do about an exception that a program has raised; "" where nothing fits."""
    text = str(error)
    if isinstance(error, NameError) and error.name:
        if error.name in kernel.__all__:
            return f"Import it: from vmbus_teach.kernel import {error.name}."
        return meant(error.name, [*kernel.__all__, *_variables(error)])
    if isinstance(error, AttributeError) and isinstance(error.obj, Shared):
        return "The value of a cell is read by: value = yield READ_ONCE(cell)."
    if isinstance(error, AttributeError) and isinstance(error.obj, Fixed):
        return meant(error.name, [name for name in dir(error.obj) if not name.startswith("_")])
    if isinstance(error, TypeError):
        if "'NoneType' object is not iterable" in text:
            return "What follows yield from must be a program: does that method have a yield?"
        mentioned = [getattr(kernel, name, None) for name in re.findall(r"'(\w+)'", text)]
        kinds = [kind for kind in mentioned if isinstance(kind, type)]
        if any(issubclass(kind, Operation) for kind in kinds):
            if "not iterable" in text:
                return "Before an operation write yield, not yield from."
            return "An operation gives its value only through yield: value = yield READ_ONCE(cell)."
        if any(issubclass(kind, Shared) for kind in kinds):
            return "A cell is read by value = yield READ_ONCE(cell), and written by yield WRITE_ONCE(cell, value)."
    return ""


def _variables(error: BaseException) -> list[str]:
    """The names that could have been meant where the error arose."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return [] if trace is None else [*trace.tb_frame.f_locals, *trace.tb_frame.f_globals]


def meant(name: str | None, known: list[str]) -> str:
    """"Did you mean ...?", with the nearest of the known names; "" if none is near."""
    import difflib  # only here: it takes longer to load than most of this package

    near = difflib.get_close_matches(name or "", known, 1)
    return f"Did you mean {near[0]}?" if near else ""
