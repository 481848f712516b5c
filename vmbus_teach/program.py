"""Programs as automata: generators, executed once per position instead of once per schedule.

A program is deterministic: where it goes depends on the results it is given and on nothing
else. So its positions form an automaton, which is found lazily: a ``Node`` is a position at
which the generator hands over an operation, and each result leads to another node.

Two ways to come to a node are the same if the generator cannot tell them apart: same code, same
instruction, same values in the variables that may still be read, same hidden values (a loop's
iterator), down the whole ``yield from`` chain. Where something in there has no readable
content, nodes are told apart by the results that led to them: more nodes, never a wrong one.
"""

from __future__ import annotations

import contextlib
import gc
import io
import sys
import traceback
import types
import warnings
from collections.abc import Generator, Hashable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from .kernel.base import ModelError, Operation, Program, show
from .liveness import live_after
from .values import _KEYS, Met, Opaque, _key, key, meet

#: Lines that a program may execute between two operations before it is said to run forever.
MAX_LINES = 100_000

Running = Generator[Operation, Any, Any]


class ProgramError(ModelError):
    """A program does what no program may do; the text says where and what to do instead."""


class Place(NamedTuple):
    """A line of a program: what a listing marks and an error names."""

    function: str
    filename: str
    line: int
    code: types.CodeType

    def __str__(self) -> str:
        return f"{self.function}, line {self.line} of {shown_file(self.filename)}"


def shown_file(filename: str) -> str:
    """A file's name as a reader knows it: the last part, and no temporary name for a notebook cell."""
    return "the notebook" if "ipykernel" in filename or filename.startswith("<") else filename.rsplit("/", 1)[-1]


class Node:
    """A position of a program: the operation that it hands over there, or how it ended."""

    __slots__ = ("crash", "edges", "history", "operation", "parked", "places")

    def __init__(
        self, operation: Operation | None, places: tuple[Place, ...], crash: BaseException | None, history: tuple[Any, ...]
    ) -> None:
        self.operation = operation  # None: the program has ended
        self.places = places  # outermost first
        self.crash = crash
        self.history = history  # results that lead here from the start
        self.parked: Running | None = None  # a generator that stands here, to be used once
        self.edges: dict[Hashable, Node] = {}

    @property
    def place(self) -> Place | None:
        return self.places[-1] if self.places else None


class Automaton:
    """One program with its arguments: its start, and where each result leads."""

    def __init__(self, program: Program, args: tuple[Any, ...]) -> None:
        self.program = program
        self.args = args
        self.title = getattr(program, "__name__", repr(program))
        self.nodes: dict[Hashable, Node] = {}
        self.printed = ""
        self.start = self._arrive(self._fresh(), (), None)

    def advance(self, node: Node, result: Any) -> Node:
        """The node that the program reaches when the operation at ``node`` gives ``result``."""
        edge = key(result)
        known = node.edges.get(edge)
        if known is None:
            running, node.parked = node.parked, None
            if running is None:
                running = self._replay(node)
            known = node.edges[edge] = self._arrive(running, (*node.history, result), result)
        return known

    # --- running the generator ----------------------------------------------------------

    def _fresh(self) -> Running:
        try:
            running = self.program(*self.args)
        except TypeError as error:
            raise ProgramError(f"{self.title} cannot be started: {error}. Check the arguments it is given.") from None
        if not isinstance(running, types.GeneratorType):
            raise ProgramError(
                f"{self.title} is not a program: it has no yield, so it gives {show(running)} instead of operations. "
                "Write yield before each operation, as in: value = yield READ_ONCE(cell)."
            )
        return running

    def _replay(self, node: Node) -> Running:
        """A fresh generator, led to ``node`` again; it must hand over what it did the first time."""
        running = self._fresh()
        at, result = self.start, None
        for step in range(len(node.history) + 1):
            operation, _ = self._resume(running, result, first=step == 0)
            if _operation_key(operation) != _operation_key(at.operation):
                raise ProgramError(
                    f"{self.title} does not always do the same: with the same results it handed over "
                    f"{at.operation} first and {operation} later. A program may depend only on its arguments and on "
                    "the results of its operations; look for random numbers, the time, or a variable outside of it."
                )
            if step < len(node.history):
                result = node.history[step]
                at = at.edges[key(result)]
        return running

    def _arrive(self, running: Running, history: tuple[Any, ...], result: Any) -> Node:
        operation, crash = self._resume(running, result, first=not history)
        if operation is None:
            places = _crash_places(crash) if crash else ()
            return Node(None, places, crash, history)
        try:
            if not _frames_can_be_read():
                raise Opaque
            at: Hashable = (_position(running), _operation_key(operation))
        except Opaque:
            at = ("history", tuple(map(key, history)))
        except RecursionError:
            raise ProgramError(
                f"{self.title} has called itself too deep (at {list(_places(running))[-1]}). "
                "A program that repeats something does so in a loop, not by calling itself."
            ) from None
        node = self.nodes.get(at)
        if node is None:
            node = self.nodes[at] = Node(operation, tuple(_places(running)), None, history)
            node.parked = running
        return node

    def _resume(
        self, running: Running, result: Any, first: bool = False
    ) -> tuple[Operation | None, BaseException | None]:
        """Runs to the next operation; (None, None) at the end, (None, error) where it breaks."""
        watch = _Watch(self.title)
        prints = io.StringIO()
        try:
            with contextlib.redirect_stdout(prints), watch:
                yielded = running.send(None if first else result)
        except StopIteration:
            return None, None
        except ModelError as error:
            if isinstance(error, ProgramError):
                raise
            raise ProgramError(f"{self.title}: {error}{_where(error)}") from None
        except _Endless as error:
            raise ProgramError(str(error)) from None
        except (Exception, SystemExit) as error:
            return None, error
        finally:
            if prints.getvalue() and not self.printed:
                self.printed = prints.getvalue()
                warnings.warn(
                    f"{self.title} prints {self.printed.strip()[:60]!r}. Its text is not shown: a program is executed "
                    "once per position, not once per schedule, so what it prints tells nothing. Look at the trace of "
                    "a Session, or keep the value in a Cell.",
                    stacklevel=2,
                )
        if not isinstance(yielded, Operation):
            place = list(_places(running))[-1]
            raise ProgramError(f"{place} yields {_what(yielded)}, which is no operation. {_advice(yielded)}")
        return yielded, None


def _what(value: Any) -> str:
    if isinstance(value, types.GeneratorType):
        return f"the generator {value.__name__}"
    if isinstance(value, type) and issubclass(value, Operation):
        return f"{value.__name__} itself"
    return "nothing (None)" if value is None else f"{show(value)} (a {type(value).__name__})"


def _advice(value: Any) -> str:
    if isinstance(value, types.GeneratorType):
        return f"To run another program inside this one, write: yield from {value.__name__}(...)."
    if isinstance(value, type) and issubclass(value, Operation):
        return f"Call it, as in: yield {value.__name__}(...)."
    return "A program yields operations only, as in: value = yield READ_ONCE(cell)."


class _Endless(BaseException):
    """No Exception: a program that catches everything must not catch this."""


class _Watch:
    """Ends a program that executes MAX_LINES lines without yielding."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.lines = 0

    def __enter__(self) -> None:
        self.before = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)

    def _trace(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        if event == "line" or event == "call":
            self.lines += 1
            if self.lines > MAX_LINES:
                raise _Endless(
                    f"{self.title} has executed {MAX_LINES} lines without a yield (last: line {frame.f_lineno} of "
                    f"{shown_file(frame.f_code.co_filename)}); it seems to run forever. Each round of a loop must "
                    "yield an operation; to wait for a value, yield smp_cond_load_relaxed(cell, predicate)."
                )
        return self._trace


# --- where a generator stands ----------------------------------------------------------------


def _chain(running: Any) -> Iterator[Any]:
    """The generator and those that it delegates to with ``yield from``."""
    while isinstance(running, types.GeneratorType):
        yield running
        running = running.gi_yieldfrom


def _places(running: Running) -> Iterator[Place]:
    for part in _chain(running):
        frame = part.gi_frame
        if frame is not None:
            yield Place(part.__name__, frame.f_code.co_filename, frame.f_lineno, frame.f_code)


def _crash_places(error: BaseException) -> tuple[Place, ...]:
    """The frames of the program in the traceback, without the engine's own."""
    found = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename != __file__:
            found.append(Place(frame.f_code.co_name, frame.f_code.co_filename, line, frame.f_code))
    return tuple(found)


def _where(error: BaseException) -> str:
    from .kernel import base

    inside = [p for p in _crash_places(error) if not p.filename.startswith(base.__file__.rsplit("/", 1)[0])]
    return f" (in {inside[-1]})" if inside else ""


def _position(running: Running) -> Hashable:
    met: Met = {}
    return _generator(running, met)


def _generator(running: Any, met: Met) -> Hashable:
    """A key of all that the generator can still see: what CPython's collector would visit in it."""
    if again := meet(running, met):
        return again
    frame = running.gi_frame
    if frame is None:
        return (running.gi_code, "ended")
    if running.gi_running:
        raise Opaque("a generator that runs itself")
    code = running.gi_code
    local = frame.f_locals
    live = live_after(code)
    readable = None if live is None or frame.f_lasti < 0 else live.get(frame.f_lasti)
    captured = {*code.co_cellvars, *code.co_freevars}
    # The first values visited are the variables in their order, the rest is the hidden stack: the
    # values of dead variables are taken out of the list one by one.
    visited = [x for x in gc.get_referents(running) if x is not local and not isinstance(x, types.FrameType)]
    names = []
    for name in code.co_varnames:
        if name not in local or name in captured:
            continue
        if readable is None or name in readable:
            names.append(name)
        else:
            value = local[name]
            for i, other in enumerate(visited):
                if other is value:
                    del visited[i]
                    break
    return (code, frame.f_lasti, tuple(names), tuple(_key(value, met) for value in visited))


_KEYS[types.GeneratorType] = _generator


def _operation_key(operation: Operation | None) -> Hashable:
    if operation is None:
        return None
    try:
        return (type(operation), tuple(_key(v, {}) for v in vars(operation).values()))
    except Opaque as error:
        raise ProgramError(
            f"the machine cannot see what is in {error}, which {operation} is given. "
            "Give operations numbers, strings, tuples, functions and the objects of setup."
        ) from None


@lru_cache(maxsize=1)
def _frames_can_be_read() -> bool:
    """A canary: whether this Python shows every loop's position in a suspended generator.

    Loops over three equal elements of each built-in kind, nested, in a ``yield from``: all their
    positions must differ. If any two look the same, frames are not read at all.
    """

    def inner(items: Any) -> Iterator[None]:
        for _ in items:
            yield
            for _ in items:
                yield

    def outer(items: Any) -> Iterator[None]:
        yield from inner(items)

    kinds: list[Any] = [(0, 0, 0), [0, 0, 0], range(3), "aaa", b"aaa", {1: 0, 2: 0, 3: 0}]
    if sys.implementation.name != "cpython":
        return False
    for items in kinds:
        running: Any = outer(items)
        seen = set()
        count = 0
        for _ in running:
            count += 1
            try:
                seen.add(_position(running))
            except Opaque:
                return False
        if len(seen) != count or count != 12:
            return False
    return True
