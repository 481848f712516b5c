"""Programs as automata: generators, executed once per position instead of once per schedule.

A program is deterministic: where it goes depends on the results it is given and on nothing
else. So its positions form an automaton, which is found lazily: a ``Node`` is a position at
which the generator hands over an operation, and each result leads to another node.

Two ways to come to a node are the same if the generator cannot tell them apart (``position``).
Where it has something in it with no readable content, nodes are told apart by the results that
led to them: more nodes, never a wrong one.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Generator, Hashable
from typing import Any

from .advice import forgotten_yields
from .kernel.base import ModelError, Operation, Program, an, show
from .position import frames_can_be_read, position
from .source import Place, chain, in_words, places, places_of_error, shown_file
from .supervise import ProgramError, Supervision, Surroundings, handled
from .values import Opaque, _key, key

__all__ = ["Automaton", "Node", "Place", "ProgramError", "shown_file"]

Running = Generator[Operation, Any, Any]


class Node:
    """A position of a program: the operation that it hands over there, or how it ended."""

    __slots__ = ("before", "crash", "edges", "operation", "parked", "places")

    def __init__(
        self,
        operation: Operation | None,
        places: tuple[Place, ...],
        crash: BaseException | None,
        before: tuple[Node, Any] | None,
    ) -> None:
        self.operation = operation  # None: the program has ended
        self.places = places  # outermost first
        self.crash = crash
        self.before = before  # one way to come here: from which node, with which result; None at the start
        self.parked: Running | None = None  # a generator that stands here, to be used once
        self.edges: dict[Hashable, Node] = {}

    def __del__(self) -> None:
        if self.parked is not None:
            _dismiss(self.parked)

    @property
    def place(self) -> Place | None:
        return self.places[-1] if self.places else None

    def history(self) -> list[Any]:
        """The results that lead here from the start."""
        results, node = [], self
        while node.before is not None:
            node, result = node.before
            results.append(result)
        return results[::-1]


class Automaton:
    """One program with its arguments: its start, and where each result leads."""

    def __init__(self, program: Program, args: tuple[Any, ...]) -> None:
        self.program = program
        self.args = args
        self.title = getattr(program, "__name__", repr(program))
        self.nodes: dict[Hashable, Node] = {}
        self.printed = ""
        self._surroundings = Surroundings(self.title, program, args)
        for slip in forgotten_yields(program):
            raise ProgramError(slip)
        self.start = self._arrive(self._fresh(), None)

    def advance(self, node: Node, result: Any) -> Node:
        """The node that the program reaches when the operation at ``node`` gives ``result``."""
        edge = key(result)
        known = node.edges.get(edge)
        if known is None:
            running, node.parked = node.parked, None
            if running is None:
                running = self._replay(node)
            known = node.edges[edge] = self._arrive(running, (node, result))
        return known

    def _arrive(self, running: Running, before: tuple[Node, Any] | None) -> Node:
        """Resumes the generator with the result, and finds the node that it comes to."""
        operation, crash = self._resume(running, before[1] if before else None, first=before is None)
        if operation is None:
            return Node(None, places_of_error(crash) if crash else (), crash, before)
        at = self._identity(running, operation)
        node = self.nodes.get(at)
        if node is None:
            node = self.nodes[at] = Node(operation, places(running), None, before)
            node.parked = running
        else:
            _dismiss(running)
        return node

    def _identity(self, running: Running, operation: Operation) -> Hashable:
        """What tells this position from all others; like nothing else, if its frame cannot be read."""
        handed_over = self._operation_key(running, operation)
        try:
            if frames_can_be_read():
                return (position(running), handed_over)
        except Opaque:
            pass
        except ModelError as error:
            raise self._error(f"{error} (in {places(running)[-1]})") from None
        except RecursionError:
            raise self._too_deep(places(running)[-1]) from None
        return object()

    def _operation_key(self, running: Running, operation: Operation) -> Hashable:
        try:
            return _operation_key(operation)
        except Opaque as error:
            raise self._error(
                f"the machine cannot see what is in a {error}, which {operation} is given (in {places(running)[-1]}). "
                "Give operations numbers, strings, tuples, functions and the objects of setup."
            ) from None

    # --- running the generator ----------------------------------------------------------

    def _fresh(self) -> Running:
        """A generator at the very start."""
        try:
            with Supervision(self.title) as watch:
                running = self.program(*self.args)
        except BaseException as error:
            watch.raise_if_broken()
            if not isinstance(error, Exception):
                raise  # the stop button
            if isinstance(error, RecursionError):
                raise self._too_deep(places_of_error(error)[-1]) from None
            why = f"{error}. Check the arguments it is given"
            if where := in_words(error):
                why = f"{type(error).__name__}: {error}{where}"
            raise ProgramError(f"{self.title} cannot be started: {why}.") from None
        if not isinstance(running, types.GeneratorType):
            raise ProgramError(
                f"{self.title} is not a program: it has no yield, so it gives {_what(running)} instead of operations. "
                "Write yield before each operation, as in: value = yield READ_ONCE(cell)."
            )
        return running

    def _replay(self, node: Node) -> Running:
        """A fresh generator, led to ``node`` again; it must hand over what it did the first time."""
        running = self._fresh()
        at, result, history = self.start, None, node.history()
        for step in range(len(history) + 1):
            operation, _ = self._resume(running, result, first=step == 0)
            if operation is None or at.operation is None or _operation_key(operation) != _operation_key(at.operation):
                later = f"handed over {operation}" if operation else "ended"
                raise ProgramError(
                    f"{self.title} does not always do the same: with the same results it handed over "
                    f"{at.operation} first and {later} later. A program may depend only on its arguments and on "
                    "the results of its operations; look for random numbers, the time, a Cell that it makes itself, "
                    "or a variable outside of it."
                )
            if step < len(history):
                result = history[step]
                at = at.edges[key(result)]
        return running

    def _resume(
        self, running: Running, result: Any, first: bool = False
    ) -> tuple[Operation | None, BaseException | None]:
        """Runs to the next operation; (None, None) at the end, (None, error) where it breaks."""
        yielded, crash = self._supervised(running, result, first)
        self._surroundings.check()
        if crash is None and yielded is not _RETURNED and not isinstance(yielded, Operation):
            place = places(running)[-1]
            raise ProgramError(f"{place} yields {_what(yielded)}, which is no operation. {_advice(yielded)}")
        return (None if yielded is _RETURNED else yielded), crash

    def _supervised(self, running: Running, result: Any, first: bool) -> tuple[Any, BaseException | None]:
        watch = Supervision(self.title)
        yielded: Any = _RETURNED
        crash: BaseException | None = None
        try:
            with watch:
                yielded = running.send(None if first else result)
        except StopIteration:
            pass
        except RuntimeError as error:
            # Where exactly the limit strikes, Python may wrap a RecursionError in a plain RuntimeError.
            if "recursion depth" in f"{error} {error.__cause__}":
                found = places_of_error(error)
                raise self._too_deep(found[-1] if found else self.title) from None
            crash = error
        except SystemExit as error:
            raise ProgramError(
                f"{self.title} calls exit(){in_words(error)}. A program ends where it returns; to report a failure, "
                "write assert."
            ) from None
        except BaseException as error:
            crash = error
        self._note_printing(watch.printed)
        if isinstance(watch.broken, ProgramError):
            raise watch.broken from None
        if watch.broken is not None:
            raise self._error(f"{watch.broken}{in_words(watch.broken)}") from None
        if crash is not None and not isinstance(crash, Exception):
            raise crash  # the stop button
        return yielded, crash

    def _note_printing(self, printed: str) -> None:
        if printed and not self.printed:
            self.printed = printed
            warnings.warn(
                f"{self.title} prints {printed.strip()[:60]!r}. Its text is not shown: a program is executed "
                "once per position, not once per schedule, so what it prints tells nothing. Look at the trace of "
                "a Session, or keep the value in a Cell.",
                stacklevel=2,
            )

    def _error(self, text: str) -> ProgramError:
        return ProgramError(f"{self.title}: {text}")

    def _too_deep(self, place: Place | str) -> ProgramError:
        return ProgramError(
            f"{self.title} calls itself too deep (it is now at {place}). "
            "A program that repeats something does so in a loop, not by calling itself."
        )


#: What a generator gives that has ended, so that it differs from everything that one can yield.
_RETURNED = object()


def _dismiss(running: Running) -> None:
    """Ends a generator that is not needed any more.

    Python would do so by itself, and complain on the screen about one that yields in its
    ``finally``: natural in a program, where that unlocks.
    """
    if not any(handled(part.gi_code) for part in chain(running)):
        return
    for _ in range(100):
        try:
            with Supervision(""):
                running.close()
            return
        except RuntimeError:
            continue  # it has yielded once more
        except BaseException:
            return


def _operation_key(operation: Operation) -> Hashable:
    return (type(operation), tuple(_key(v, {}) for v in vars(operation).values()))


def _what(value: Any) -> str:
    if isinstance(value, Operation):
        return str(value)
    if isinstance(value, types.GeneratorType):
        return f"the generator {value.__name__}"
    if isinstance(value, type) and issubclass(value, Operation):
        return f"{value.__name__} itself"
    return "nothing (None)" if value is None else f"{show(value)} ({an(type(value))})"


def _advice(value: Any) -> str:
    if isinstance(value, types.GeneratorType):
        return f"To run another program inside this one, write: yield from {value.__name__}(...)."
    if isinstance(value, type) and issubclass(value, Operation):
        return f"Call it, as in: yield {value.__name__}(...)."
    return "A program yields operations only, as in: value = yield READ_ONCE(cell)."
