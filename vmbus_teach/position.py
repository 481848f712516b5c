"""Where a generator stands, as a key: equal keys mean that it cannot tell the two positions apart.

Same code, same instruction, same values in the variables that may still be read, same hidden
values (a loop's iterator, half an expression, the exception being handled), the same for every
generator that it delegates to or holds. On CPython, the garbage collector's view of a generator
shows all of that. Where it does not, ``Opaque`` is raised, or ``frames_can_be_read`` is False, and
positions have to be told apart by their history instead.
"""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable, Generator, Hashable, Iterator
from functools import lru_cache
from typing import Any

from .liveness import live_after
from .values import _KEYS, Met, Opaque, _key, meet


def position(running: Generator[Any, Any, Any]) -> Hashable:
    """A key of all that a suspended generator can still see."""
    return _generator(running, {})


def _generator(running: Any, met: Met) -> Hashable:
    if again := meet(running, met):
        return again
    code, frame = running.gi_code, running.gi_frame
    if frame is None:
        return (code, "ended")
    if running.gi_running:
        raise Opaque("a generator that runs now")
    local = frame.f_locals
    # In here are the variables, in their order, and after them what is hidden.
    hidden = [x for x in gc.get_referents(running) if x is not local and x is not frame]
    live = live_after(code)
    readable = None if live is None else live.get(frame.f_lasti)
    captured = {*code.co_cellvars, *code.co_freevars}  # these stay among the hidden, as closure cells
    variables = []
    for name in code.co_varnames:
        if name in captured or name not in local:
            continue
        value = local[name]
        _take_out(value, hidden)
        if readable is None or name in readable:
            variables.append((name, _key(value, met)))
    return (code, frame.f_lasti, tuple(variables), tuple(_key(x, met) for x in hidden))


def _take_out(value: Any, hidden: list[Any]) -> None:
    """Takes out the first that is ``value`` itself: at or before its own place, so never one that is hidden."""
    for i, other in enumerate(hidden):
        if other is value:
            del hidden[i]
            return
    raise Opaque("a variable that the collector does not visit")


_KEYS[types.GeneratorType] = _generator


@lru_cache(maxsize=1)
def frames_can_be_read() -> bool:
    """A canary: whether this Python shows all that a suspended generator can see.

    Some generators are run whose positions all differ, but only by something hidden. If any two
    of them look the same, frames are not read at all.
    """
    if sys.implementation.name != "cpython":
        return False
    try:
        return all(_all_differ(*each) for each in _CANARIES)
    except Opaque:
        return False


def _all_differ(program: Callable[..., Iterator[Any]], arguments: tuple[Any, ...], positions: int) -> bool:
    """Whether the program's positions look different, over all the arguments that it is run with."""
    seen, count = set(), 0
    for argument in arguments:
        running: Any = program(argument)
        for _ in running:
            seen.add(position(running))
            count += 1
    return len(seen) == count == positions


def _loops(items: Any) -> Iterator[None]:
    yield from _nested_loops(items)


def _nested_loops(items: Any) -> Iterator[None]:
    for _ in items:
        yield
        for _ in items:
            yield


def _half_an_expression(value: Any) -> Iterator[None]:
    return [value, (yield)]  # type: ignore[return-value]


def _handled_exception(value: Any) -> Iterator[None]:
    try:
        raise ValueError(value)
    except ValueError:
        yield
        raise


def _closure(value: Any) -> Iterator[None]:
    def read() -> Any:
        return value

    yield
    read()


def _ignoring(program: Callable[[Any], Iterator[None]]) -> Callable[[Any], Iterator[None]]:
    def run(value: Any) -> Iterator[None]:
        try:
            yield from program(value)
        except ValueError:
            pass

    return run


_EQUAL_ITEMS: tuple[Any, ...] = (
    *((0, 0, 0), [0, 0, 0], range(3), "aaa", b"aaa", bytearray(b"aaa")),
    *({1: 0, 2: 0, 3: 0}, {1: 0, 2: 0, 3: 0}.values(), {1: 0, 2: 0, 3: 0}.items(), {1, 2, 3}),
)
_VALUES: tuple[Any, ...] = (0, 1, True, 1 << 70, "a", None, 0.5)
_CANARIES: tuple[tuple[Callable[..., Iterator[Any]], tuple[Any, ...], int], ...] = (
    *((_loops, (items,), 12) for items in _EQUAL_ITEMS),
    *((program, _VALUES, len(_VALUES)) for program in (_half_an_expression, _closure, _ignoring(_handled_exception))),
)
