"""Running a stretch of a program safely: it cannot run forever, ask for input, or change things unseen.

A program may do between two operations whatever a generator can do, so what it must not do is
caught while it runs, and told with the line where it happened.
"""

from __future__ import annotations

import builtins
import dis
import io
import sys
import types
from collections.abc import Callable, Hashable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from .kernel.base import ModelError, Program
from .source import Place, functions_reached, is_engine, names_in, shown_file
from .values import Opaque, key

#: Lines that a program may execute between two operations before it is said to run forever.
MAX_LINES = 100_000


class ProgramError(ModelError):
    """A program does what no program may do; the text says where and what to do instead."""


class _Endless(BaseException):
    """No Exception: a program that catches all of these must not catch this.

    One that catches everything does. By then nobody counts any more: where a trace function raises, Python stops to
    trace. But what has been caught and is let go of gets deleted, and then counting goes on. (Beyond reach is who keeps
    it, or never leaves the ``except``.)
    """

    def __init__(self, watch: Supervision) -> None:
        self.watch = watch

    def __del__(self) -> None:
        self.watch.resume(sys._getframe().f_back)  # None: Python ends


class Supervision:
    """While it is entered: counts lines, captures what is printed, forbids input.

    Afterwards ``raise_if_broken`` raises what went wrong, also where the program has caught it.
    A loop inside a C function (``sum(itertools.count())``) is beyond its reach.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.lines = 0
        self.printed = ""
        self.broken: ModelError | None = None

    def __enter__(self) -> Supervision:
        self._before = sys.gettrace(), sys.stdout, builtins.input
        self._entered = True
        sys.stdout, builtins.input = io.StringIO(), self._input
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        self._entered = False
        sys.settrace(self._before[0])
        if isinstance(sys.stdout, io.StringIO):
            self.printed = sys.stdout.getvalue()
        sys.stdout, builtins.input = self._before[1:]

    def resume(self, frame: types.FrameType | None) -> None:
        """Goes on counting in ``frame`` and its callers, if the program is still running."""
        if not self._entered:
            return
        while frame is not None and not is_engine(frame.f_code.co_filename):
            frame.f_trace = self._trace
            frame.f_trace_opcodes = True  # between the lines is where nothing is caught
            frame = frame.f_back
        sys.settrace(self._trace)

    def raise_if_broken(self) -> None:
        if self.broken is not None:
            raise self.broken

    #: Errors that a program may cause, but not catch.
    kept: type[ModelError] = ModelError
    instead_of_input = (
        "A program is executed once per position, not once per schedule, so it cannot ask anybody. For a value that is "
        "open, yield choose((1, 2)): every one is tried."
    )

    def watches(self, frame: types.FrameType) -> bool:
        """Whether what happens in this frame counts; asked anew whenever something is called."""
        return True

    def endless(self, frame: types.FrameType) -> str:
        """What is said of code that does not come to an end."""
        return (
            f"{self.title} has executed {MAX_LINES:,} lines without a yield (it is now at {place_of(frame)}); it seems "
            "to run forever. Each round of a loop must yield an operation; to wait for a value, yield "
            "smp_cond_load_relaxed(cell, predicate)."
        )

    def _trace(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_name == "ask_exit":
            raise SystemExit  # IPython's exit() would end the notebook's kernel
        if event == "call":
            if not self.watches(frame):
                return None
            if jumps_to_itself(frame.f_code):
                frame.f_trace_opcodes = True  # there Python 3.11 tells of no lines
        if event in ("line", "call", "opcode"):
            self.lines += 1
            too_many = self.lines > MAX_LINES and event != "call"  # closing a generator is a call, too, and cannot fail
            if too_many and (self.lines > 2 * MAX_LINES or not _would_be_caught(frame)):
                self.broken = self.broken or ProgramError(self.endless(frame))
                raise _Endless(self)
        elif event == "exception" and self.broken is None and isinstance(arg[1], self.kept):
            self.broken = arg[1]
        return self._trace

    def _input(self, *_: object) -> NoReturn:
        frame = sys._getframe(1)
        raise ProgramError(f"{self.title} calls input() (in {place_of(frame)}). {self.instead_of_input}")


def place_of(frame: types.FrameType) -> Place:
    return Place(frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno, frame.f_code)


def _would_be_caught(frame: types.FrameType | None) -> bool:
    """Whether an exception raised here would come to an ``except`` or ``finally`` of the program."""
    while frame is not None and not is_engine(frame.f_code.co_filename):
        if any(start <= frame.f_lasti < end for start, end in handled(frame.f_code)):
            return True
        frame = frame.f_back
    return False


@lru_cache(maxsize=10_000)
def jumps_to_itself(code: types.CodeType) -> bool:
    """Whether a function has a loop of one instruction, as ``while True: pass`` in one line is."""
    return any(i.opname.startswith("JUMP") and i.argval == i.offset for i in dis.get_instructions(code))


@lru_cache(maxsize=10_000)
def handled(code: types.CodeType) -> tuple[tuple[int, int], ...]:
    """The stretches of a function's instructions from which an exception comes to a handler of its own."""
    instructions = list(dis.get_instructions(code))
    index = {instruction.offset: i for i, instruction in enumerate(instructions)}
    # What Python adds by itself: it passes the exception on, or makes a RuntimeError of StopIteration.
    passes_on = (["COPY", "POP_EXCEPT", "RERAISE"], ["CALL_INTRINSIC_1", "RERAISE"])
    found = []
    for entry in dis.Bytecode(code).exception_entries:  # type: ignore[attr-defined]
        names = [instruction.opname for instruction in instructions[index[entry.target] :][:3]]
        if not any(names[: len(those)] == those for those in passes_on):
            found.append((entry.start, entry.end))
    return tuple(found)


# --- what a program could change behind the machine's back --------------------------------------


class _Watched(NamedTuple):
    what: str
    value: Callable[[], Any]
    before: Hashable


class Surroundings:
    """What lies outside of a program and is not shared state: its arguments, and variables that it uses.

    Changes to them would make a program depend on the order in which the machine happens to
    execute it. Found are those in the program's own code and in functions that this code names.
    """

    def __init__(self, title: str, program: Program, args: tuple[Any, ...]) -> None:
        self.title = title
        self.watched = [
            _Watched(what, value, at)
            for what, value in self._outside(program, args)
            if (at := _key_or_none(value)) is not None
        ]

    def _outside(self, program: Program, args: tuple[Any, ...]) -> Iterator[tuple[str, Callable[[], Any]]]:
        for number, arg in enumerate(args, 1):
            yield f"its argument number {number}", lambda arg=arg: arg  # type: ignore[misc]
        for function in functions_reached(program):
            code, outside = function.__code__, function.__globals__
            names = names_in(code)
            for name in sorted(names.written):
                where = f"(in {code.co_qualname})"
                raise ProgramError(f"{self.title} changes the global variable {name} {where}. {_ADVICE}")
            for name in sorted(names.read):
                if name in outside and not isinstance(outside[name], type | types.ModuleType | types.FunctionType):
                    yield f"the global variable {name}", lambda name=name, outside=outside: outside.get(name)  # type: ignore[misc]
            for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
                yield f"the variable {name} of the function around it", lambda cell=cell: cell  # type: ignore[misc]

    def check(self) -> None:
        """Raises if any of it has changed."""
        for what, value, before in self.watched:
            if _key_or_none(value) != before:
                raise ProgramError(
                    f"{what} has changed while {self.title} ran. {_ADVICE} "
                    "If another cell of the notebook has changed it, make a new Session."
                )


_ADVICE = (
    "What programs share must be in cells, which the machine can see: make self.name = Cell(...) in setup "
    "and yield WRITE_ONCE(self.name, ...)."
)


def _key_or_none(value: Callable[[], Any]) -> Hashable | None:
    try:
        return key(value())
    except (Opaque, ModelError):
        return None


__all__ = ["MAX_LINES", "ProgramError", "Supervision", "Surroundings", "handled", "shown_file"]
