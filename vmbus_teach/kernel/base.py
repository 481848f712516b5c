"""What every primitive of the model is made of: shared state, operations, contexts.

A *program* is a generator that yields **operations**. An operation is a small frozen
record (``READ_ONCE(cell)``) with one method, ``step``, which is executed atomically. It
reads and writes **shared state** through the object it is given (``now``), and nothing
else. What a step was seen to read and write *is* its footprint: nobody declares one, so
none can be declared wrongly.

A **context** is anything that executes a program: a task, an interrupt handler, a tasklet,
a work item. What differs between them is how they start and what happens when they return.

To add a primitive, write a file beside this one: subclass ``Shared`` for its state and
``Operation`` for what programs may do to it. Nothing else has to change.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import MISSING, dataclass, fields
from functools import partial
from types import GeneratorType, NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    NoReturn,
    Protocol,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from .lockmap import without_indices

if TYPE_CHECKING:
    from .cpu import Cpu
    from .lockmap import Acquisition, WaitType

Program = Callable[..., Generator["Operation", Any, Any]]


class ModelError(Exception):
    """The model itself is used wrongly (not: the modelled code has a bug).

    The text says what, where, the likely cause and the next step. IPython shows the text alone;
    the engine's own frames would only hide it.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class Fixed:
    """Something that does not change while programs run, so that its identity says all about it."""


class Shared(Fixed):
    """One piece of shared state; its value must be immutable.

    ``initial`` is the value at the start, ``words`` says how a value is shown. ``name`` is set by the
    scenario, from the attribute that holds the object. An object that is made of several pieces
    lists the others in ``parts``.
    """

    _made: ClassVar[int] = 0
    _in_use: bool = False
    name: str = ""
    #: The value lies on the heap in this object (see ``heap.py``); None for everything else.
    owner: Shared | None = None
    #: Of a lock: what its holder may wait for (inner), and where it may be taken (outer; None: the same).
    wait_type_inner: ClassVar[WaitType | None] = None
    wait_type_outer: ClassVar[WaitType | None] = None
    #: Of a lock, and of what lockdep treats as one: what its holder does, in words.
    holding: ClassVar[str] = "holds {}"

    def __init__(self, initial: Any = None, *, words: Callable[[Any], str] | None = None) -> None:
        self.initial = initial
        self.words = words or show
        # Position in order of creation: a hash that is the same in every run, so that sets of
        # kernel objects are iterated in the same order everywhere. Scenario restarts the count.
        self._serial = Shared._made
        Shared._made += 1

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get("_in_use"):
            raise ModelError(
                f"{self!r}.{name} = {show(value)} changes nothing that the machine can see. "
                "To change shared state, a program yields an operation, such as WRITE_ONCE(cell, value)."
            )
        super().__setattr__(name, value)

    def __hash__(self) -> int:
        return self._serial

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return self.name or f"<{type(self).__name__}>"

    def parts(self) -> Iterator[tuple[str, Shared]]:
        """The further pieces of state, each with what is appended to the name: ``(".count", cell)``."""
        return iter(())

    def contexts(self) -> Iterator[Context]:
        """The contexts that exist because this object does (a tasklet brings its own)."""
        return iter(())

    def holders(self, value: Any) -> Iterator[tuple[Context, Acquisition]]:
        """Of a lock, and of what lockdep treats as one: who holds what, given its value."""
        return iter(())

    def is_held_by(self, context: Context, value: Any) -> bool:
        """Whether ``context`` is one of those holders."""
        return any(holder is context for holder, _ in self.holders(value))

    def lock_class(self) -> str:
        """The name that lockdep has for it and for all others of its kind."""
        if self.owner is not None:
            return self.owner.lock_class() + self.name.removeprefix(self.owner.name)
        return without_indices(self.name)

    def show(self, value: Any) -> str:
        """``value`` in words, for the reader."""
        return self.words(value)


def show(value: Any) -> str:
    """A value as the reader sees it: sets in order, functions by name."""
    if isinstance(value, frozenset | set):
        return "{" + ", ".join(sorted(map(show, value))) + "}"
    if type(value) is tuple:
        return "(" + ", ".join(map(show, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = zip(value._fields, value, strict=True)
        return f"{type(value).__name__}({', '.join(f'{name}={show(item)}' for name, item in fields)})"
    if isinstance(value, partial):
        return f"{show(value.func)}({', '.join(map(show, value.args))})"
    if isinstance(value, GeneratorType) or (callable(value) and hasattr(value, "__name__")):
        return str(value.__name__)
    return repr(value)


def listed(items: Iterable[Any], nothing: str = "none") -> str:
    """Several things in one line, for the reader."""
    return ", ".join(item if isinstance(item, str) else show(item) for item in items) or nothing


def check_program(program: Any, where: str) -> None:
    """Raises ModelError unless ``program`` is named: called, it would run outside of the model."""
    if not callable(program):
        called = " Name it without calling it." if isinstance(program, GeneratorType) else ""
        raise ModelError(
            f"{where} takes a program, not {show(program)} ({an(type(program))}).{called} "
            "A program is a method that yields operations, such as self.worker."
        )


class Context(Fixed):
    """Something that executes a program, and where it does so.

    ``kind`` is "task", "host", "work", "irq", "ipi", "tasklet" or "softirq" (RCU's callbacks). The
    host has no CPU of the guest; a tasklet has one only while it is scheduled. ``program`` and
    ``args`` say what it executes.
    """

    kind = "task"

    def __init__(
        self, name: str, cpu: Cpu | None, program: Program | None = None, args: tuple[Any, ...] = ()
    ) -> None:
        self.name = name
        self.cpu = cpu
        self.program = program
        self.args = args
        self.index = -1  # position among the scenario's contexts

    def __repr__(self) -> str:
        return self.name

    def finish(self, now: Now) -> None:
        """The program has returned. The default: nothing; the context is never seen again."""


class Now(Protocol):
    """The moment in which one context executes one operation: all that a step can see and do."""

    context: Context
    cpu: Cpu | None
    #: 0 when the operation is first tried; what ``wait`` was given when it waits for the second time.
    phase: int
    #: Which of the operation's ``alternatives`` is being executed.
    alternative: Any
    #: Every CPU of the scenario, in order (private ones of single tasks last), and every context.
    cpus: tuple[Cpu, ...]
    contexts: tuple[Context, ...]
    #: Every piece of shared state.
    shared: tuple[Shared, ...]

    def __getitem__(self, shared: Shared) -> Any:
        """The value of a piece of shared state."""

    def __setitem__(self, shared: Shared, value: Any) -> None:
        """Gives a piece of shared state a new value; nothing is changed if the step waits or fails."""

    def wait(self, reason: str, *on: Context, phase: int = 1) -> NoReturn:
        """The operation can't be completed now.

        If the step has changed something before (a spinner has switched preemption off), that is
        done and the context waits in the given phase. Otherwise the context is blocked: there is
        no such step, and ``reason`` says why, beginning with a verb: "waits for ...". ``on`` names
        the contexts that it waits for.
        """

    def fail(self, kind: str, message: str) -> NoReturn:
        """A check has failed; the schedule ends here."""

    def start(self, context: Context, program: Program, args: tuple[Any, ...]) -> None:
        """``context`` goes on at the start of ``program``."""

    def wake(self, context: Context, operation: Operation, cpu: Cpu | None = None) -> None:
        """``context``, which does nothing now, will try ``operation`` next (on ``cpu``, if given)."""

    def sleep(self, context: Context) -> None:
        """``context`` does nothing until it is woken."""

    def asleep(self, context: Context) -> bool:
        """Whether ``context`` does nothing: it has returned, or was never woken."""


@dataclass_transform(frozen_default=True, eq_default=True)
@dataclass(frozen=True, eq=False, repr=False)
class Operation:
    """The only thing a program may yield. Subclasses are frozen dataclasses with a ``step``."""

    #: May put the caller to sleep, so must not be used where sleeping is forbidden.
    sleeps: ClassVar[bool] = False
    #: The host may do it too: it needs no CPU of the guest.
    host: ClassVar[bool] = False
    #: In time: its CPU can do something else for as long as it takes.
    frees_the_cpu: ClassVar[bool] = False
    #: How memory is accessed: "", "plain", "once", "acquire", "release", "full".
    ordering: ClassVar[str] = ""
    #: Which memory access it is, if any: "r", "w", "rw".
    access: ClassVar[str] = ""
    #: What it gives is what was chosen, so that None says something, too.
    chooses: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if any(not hasattr(Operation, name) for name in cls.__annotations__):  # it has arguments of its own
            dataclass(frozen=True, eq=False, repr=False)(cls)

    # The same for all of them, so that no class needs its own: importing the vocabulary takes half as long.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return str(self)

    def __post_init__(self) -> None:
        for name, wanted in self._wanted().items():
            value = getattr(self, name)
            if wanted is Program:
                check_program(value, f"{type(self).__name__} ({name})")
            elif not isinstance(value, wanted):
                self._reject(name, wanted, value)

    def _reject(self, name: str, wanted: Any, value: Any) -> NoReturn:
        kind = (get_args(wanted) or (wanted,))[0]
        what = "a function" if kind is Callable else an(kind)
        text = f"{type(self).__name__} takes {what} as {name}, not {show(value)} ({an(type(value))})."
        if kind is not Callable and issubclass(kind, Shared):
            text += f" Give it the {kind.__name__} that setup made"
            text += "; an object has fields: name one." if hasattr(value, "fields") else "."
        raise ModelError(text)

    @classmethod
    def _wanted(cls) -> dict[str, Any]:
        """What the operation's arguments must be, where that can be checked."""
        found: dict[str, Any] | None = cls.__dict__.get("_found")
        if found is None:
            hints = get_type_hints(cls)
            kinds = {f.name: _checkable(hints[f.name]) for f in fields(cls)}
            found = cls._found = {name: kind for name, kind in kinds.items() if kind}  # type: ignore[attr-defined]
        return found

    def alternatives(self, now: Now) -> tuple[Any, ...]:
        """What the model leaves open: each entry is a choice of its own. One entry where nothing is."""
        return (None,)

    def touches(self) -> Iterator[Shared]:
        """The pieces of shared state that are named by the operation's arguments."""
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Shared):
                yield value

    def raises(self, state: Any) -> Iterator[Shared]:
        """The interrupts that it raises in ``state``, those that are pending already included; to be counted."""
        return iter(())

    def takes(self, state: Any) -> Iterator[Acquisition]:
        """The locks, and what lockdep treats as one, that it waits for in ``state`` if it must; not a trylock's."""
        return iter(())

    def statistic(self) -> Shared | None:
        """The statistic to which it adds one; what a run comes to is told by CPU."""
        return None

    def step(self, now: Now) -> Any:
        """Does it, atomically; returns what ``yield`` returns to the program."""
        raise NotImplementedError(f"{type(self).__name__}.step")

    def __str__(self) -> str:
        """As one would write it: arguments at the end that are left at their defaults are left out."""
        arguments = [(getattr(self, f.name), f.default) for f in fields(self)]
        while arguments and arguments[-1][1] is not MISSING and arguments[-1][0] == arguments[-1][1]:
            arguments.pop()
        return f"{type(self).__name__}({', '.join(show(value) for value, _ in arguments)})"


def an(kind: type) -> str:
    """The name of a class with its article."""
    return f"{'an' if kind.__name__[0] in 'AEIOUXaeio' else 'a'} {kind.__name__}"


def _checkable(hint: Any) -> Any:
    """A type that ``isinstance`` understands, or Program, or None where anything goes."""
    if get_origin(hint) is Callable:
        return Program if get_origin(get_args(hint)[-1]) is Generator else Callable
    if isinstance(hint, UnionType):
        return hint if all(map(_checkable, get_args(hint))) else None
    return hint if isinstance(hint, type) and issubclass(hint, Shared | int | NoneType) else None
