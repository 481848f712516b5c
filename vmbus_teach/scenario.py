"""Declaring a race: shared state, the programs that run on each CPU, the properties that must hold.

    class Counter(Scenario):
        def setup(self):
            self.count = Cell(0)

        @thread(copies=2)
        def worker(self):
            value = yield READ_ONCE(self.count)
            yield WRITE_ONCE(self.count, value + 1)

        @at_end
        def nothing_is_lost(self, s):
            return s[self.count] == 2

A repair is a subclass that overrides a method; the decorators of the original stay in force.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from .kernel import EVERYWHERE
from .kernel.base import Context, Fixed, ModelError, Program, Shared, show
from .kernel.cpu import Cpu
from .kernel.interrupts import Interrupt
from .kernel.time import Traffic
from .source import in_words
from .values import Opaque, key

F = TypeVar("F", bound=Callable[..., Any])


class ScenarioError(ModelError):
    """A scenario is declared wrongly; the text says where and what to do instead."""


class State(Protocol):
    """A state of a scenario, as its properties see it: ``s[self.count]`` is the value of a cell."""

    def __getitem__(self, shared: Shared) -> Any: ...


@dataclass(frozen=True)
class _Role:
    """What a decorator says about a method."""

    kind: str  # "thread", "interrupt", "invariant", "at_end", "gauge"
    cpu: int | None = None
    host: bool = False
    copies: int = 1


def _mark(role: _Role) -> Callable[[F], F]:
    def mark(method: F) -> F:
        if not callable(method):
            raise ScenarioError(f"@{role.kind} is put on {show(method)}, which is no method.")
        method._role = role  # type: ignore[attr-defined]
        return method

    return mark


def thread(*misplaced: Any, cpu: int | None = None, host: bool = False, copies: int = 1) -> Callable[[F], F]:
    """Makes a method a task: on CPU ``cpu``, on the host, or (neither given) on a CPU of its own.

    ``copies`` identical tasks run the same program; with no ``cpu``, each has a CPU of its own.
    """
    if misplaced:
        raise ScenarioError("write @thread() with parentheses, or @thread(cpu=0), @thread(host=True).")
    return _mark(_Role("thread", cpu, host, copies))


def interrupt(*misplaced: Any, cpu: int | None = None) -> Callable[[Callable[..., Any]], Any]:
    """Makes a method the handler of an interrupt of CPU ``cpu``; raised by ``raise_irq(self.method)``."""
    if misplaced or cpu is None:
        raise ScenarioError("write @interrupt(cpu=0): an interrupt belongs to a CPU.")
    return _mark(_Role("interrupt", cpu))


def invariant(method: F) -> F:
    """Makes a method a property of every state: ``method(self, s)`` is true, or says what is wrong."""
    return _mark(_Role("invariant"))(method)


def at_end(method: F) -> F:
    """Makes a method a property of every state in which all has been done."""
    return _mark(_Role("at_end"))(method)


def gauge(method: F) -> F:
    """Makes a method a measure of every state, for ``simulate``: how much of something there is, such as messages.

    ``method(self, s)`` returns a number, or a dict of numbers, one for each channel or queue. A search
    does not ask for it.
    """
    return _mark(_Role("gauge"))(method)


@dataclass
class Cast:
    """What a scenario consists of, once it has been set up."""

    cpus: list[Cpu] = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)
    invariants: list[Callable[[State], Any]] = field(default_factory=list)
    at_ends: list[Callable[[State], Any]] = field(default_factory=list)
    gauges: list[Callable[[State], Any]] = field(default_factory=list)
    named: list[Shared] = field(default_factory=list)  # the state that setup made, for the reader


class Scenario(Fixed):
    """A race, written once. Subclasses define ``setup``, programs and properties.

    ``cpus`` is the number of CPUs (0, 1, ...) that several programs may share. Parameters of the
    constructor are handed to ``setup``. ``outcome(self, s)``, where defined, names the result of a
    complete schedule; ``explore`` collects all of them.
    """

    cpus: int = 0

    def __init__(self, *args: Any, **parameters: Any) -> None:
        if args:
            raise ScenarioError(
                f"{type(self).__name__}({', '.join(map(show, args))}): parameters are given by name. "
                f"It is declared as setup{inspect.signature(self.setup)}."
            )
        self._parameters = parameters
        self._threads: list[tuple[Program, tuple[Any, ...], int | None, bool, str]] = []
        self._interrupts: dict[str, Interrupt] = {}
        self._running = False
        Shared._made = 1000  # after the state that exists everywhere
        if type(self.cpus) is not int or self.cpus < 0:
            raise ScenarioError(f"{self}: cpus = {self.cpus!r}; it is the number of CPUs, such as cpus = 2.")
        self._cpus = [Cpu(number, f"CPU {number}") for number in range(self.cpus)]
        try:
            inspect.signature(self.setup).bind(**parameters)
        except TypeError as error:
            raise ScenarioError(
                f"{type(self).__name__}({', '.join(parameters)}): setup does not take these parameters ({error}). "
                f"It is declared as setup{inspect.signature(self.setup)}."
            ) from None
        self._declare_interrupts()
        try:
            self.setup(**parameters)
        except ModelError as error:
            said = str(error).removeprefix(f"{self}: ")
            where = in_words(error)
            raise type(error)(f"{self}: {said}{where if where not in said else ''}") from None
        except Exception as error:
            raise ScenarioError(f"setup of {self} raises {type(error).__name__}: {error}{in_words(error)}.") from error
        self._declare_threads()
        self.cast = self._gather()
        for shared in self.cast.shared:
            if not shared._in_use:
                shared._in_use = True  # from now on, only steps change anything
        self._running = True
        self._state_of_self = self._content()

    def setup(self) -> None:
        """Makes the shared state, as attributes of ``self``; may add programs. Override it."""

    def add_thread(
        self, program: Program, *args: Any, cpu: int | None = None, host: bool = False, name: str | None = None
    ) -> None:
        """Adds a task that runs ``program(*args)``; for ``setup``. Where it runs is told as in ``@thread``."""
        title = self._title(program, args, name)
        self._cpu(cpu, title)
        self._place_of(title, cpu, host)
        self._threads.append((program, args, cpu, host, title))

    def add_interrupt(self, program: Program, *args: Any, cpu: int, name: str | None = None) -> Interrupt:
        """Adds an interrupt of CPU ``cpu`` and returns it, for ``raise_irq``; for ``setup``."""
        title = self._title(program, args, name)
        line = Interrupt(self._free_name(title), self._cpu(cpu, title) or self._cpus[0], program, args)
        self._interrupts[line.name] = line
        return line

    # --- what the engine asks -----------------------------------------------------------

    def __str__(self) -> str:
        parameters = ", ".join(f"{name}={show(value)}" for name, value in self._parameters.items())
        return f"{type(self).__name__}({parameters})" if parameters else type(self).__name__

    __repr__ = __str__

    def __reduce__(self) -> tuple[Any, ...]:
        """How it goes to another process: set up there once more."""
        return _made, (type(self), self._parameters)

    def check_unchanged(self, who: str) -> None:
        """Raises if a program has changed the scenario's own attributes behind the machine's back."""
        now = self._content()
        if now != self._state_of_self:
            before, self._state_of_self = self._state_of_self, now  # say it once
            changed = ["self." + name for name in {**before, **now} if before.get(name) != now.get(name)]
            raise ScenarioError(
                f"{who} has changed {' and '.join(changed)} while it ran. What programs share must be in cells, which "
                "the machine can see: make a Cell in setup and yield WRITE_ONCE(cell, ...)."
            )

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get("_running") and name not in _ENGINE:
            raise ScenarioError(
                f"self.{name} = {show(value)} in a running program of {self}. What programs share must be in cells, "
                f"which the machine can see: make self.{name} = Cell(...) in setup and "
                f"yield WRITE_ONCE(self.{name}, ...)."
            )
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if self.__dict__.get("_running"):
            raise ScenarioError(f"del self.{name} in a running program of {self}: only setup may change the scenario.")
        super().__delattr__(name)

    # --- inside ---------------------------------------------------------------------------

    def _gather(self) -> Cast:
        """Everything that takes part, in a fixed order, with its name."""
        cast = Cast(cpus=list(self._cpus))
        copies: dict[str, int] = {}
        for *_, title in self._threads:
            copies[title] = copies.get(title, 0) + 1
        count: dict[str, int] = {}
        for program, args, cpu, host, title in self._threads:
            number = count[title] = count.get(title, -1) + 1
            name = f"{title}_{number}" if copies[title] > 1 else title
            context = Context(name, None if cpu is None else self._cpus[cpu], program, args)
            context.kind = "host" if host else "task"
            cast.contexts.append(context)
        if not cast.contexts:
            raise ScenarioError(
                f"{self} has no programs, so nothing can happen. Put @thread(cpu=0) or @thread(host=True) "
                "on a method, or call self.add_thread(...) in setup."
            )
        found: dict[int, Shared] = {}
        for name, value in vars(self).items():
            if name not in _ENGINE:
                _collect(name, value, found)
        cast.named = [shared for shared in found.values() if not isinstance(shared, Interrupt | Traffic)]
        for line in self._interrupts.values():
            _collect(line.name, line, found)
        for shared in (*EVERYWHERE, *cast.cpus):
            _collect(shared.name, shared, found)
        for context in [c for shared in found.values() for c in shared.contexts()]:
            if context not in cast.contexts:
                cast.contexts.append(context)
        for context in cast.contexts:
            if context.cpu is None and context.kind in ("task", "work"):
                context.cpu = Cpu(None, f"{context.name}'s CPU")
            if context.cpu is not None and context.cpu not in cast.cpus:
                cast.cpus.append(context.cpu)
                _collect(context.cpu.name, context.cpu, found)
        for index, context in enumerate(cast.contexts):
            if context.index < 0:
                context.index = index
        names = [context.name for context in cast.contexts]
        for name in names:
            if not _A_NAME.fullmatch(name):
                raise ScenarioError(f"{self}: {_NO_NAME.format(repr(name))}")
            if names.count(name) > 1:
                raise ScenarioError(f"{self} has two contexts named {name!r}; give one another name.")
        cast.shared = list(found.values())
        for name, role in self._roles():
            if role.kind == "invariant":
                cast.invariants.append(getattr(self, name))
            if role.kind == "at_end":
                cast.at_ends.append(getattr(self, name))
            if role.kind == "gauge":
                cast.gauges.append(getattr(self, name))
        return cast

    def _content(self) -> dict[str, Any]:
        """What is in the scenario's own attributes, as far as it can be read; those of its class included."""
        inside = {name: value for name, value in vars(self).items() if name not in _ENGINE}
        for cls in type(self).__mro__[:-1]:
            if cls is Scenario:
                break
            inside = {n: value for n, value in vars(cls).items() if isinstance(value, _PLAIN)} | inside
        found = {}
        for name, value in inside.items():
            try:
                found[name] = key(value)
            except Opaque:
                pass
        return found

    def _title(self, program: Any, args: tuple[Any, ...], name: str | None) -> str:
        """What a task or interrupt is called; checks what it was given."""
        if not callable(program):
            hint = " Give the method itself and its arguments: self.add_thread(self.worker, 1)."
            raise ScenarioError(f"{self}: {show(program)} is no program: it cannot be called.{hint}")
        title = name or getattr(program, "__name__", "") or type(program).__name__
        if not isinstance(title, str) or not _A_NAME.fullmatch(title):
            raise ScenarioError(f"{self}: {_NO_NAME.format(repr(title))}")
        for what, value in ((title, program), *((f"an argument of {title}", arg) for arg in args)):
            try:
                key(value)
            except Opaque as error:
                raise ScenarioError(
                    f"{self}: the machine cannot see what is in {what}, {show(value)} (a {error}), so it could not "
                    "tell positions apart. Give a method and plain arguments: self.add_thread(self.worker, 1)."
                ) from None
        return title

    def _place_of(self, title: str, cpu: int | None, host: bool) -> None:
        if host and cpu is not None:
            raise ScenarioError(f"{self}: {title} is declared on the host and on CPU {cpu}; choose one.")

    def _roles(self) -> Iterator[tuple[str, _Role]]:
        """Decorated methods, in the order of their first declaration; overriding keeps the role."""
        seen: dict[str, _Role] = {}
        for cls in reversed(type(self).__mro__):
            for name, member in vars(cls).items():
                role = getattr(member, "_role", None)
                if role is not None:
                    seen[name] = role
                elif name in seen and not callable(member):
                    raise ScenarioError(
                        f"{cls.__name__} sets {name} to {show(member)}, but {name} is declared with @{seen[name].kind} "
                        "and stays so. Override it with a method; a property that always holds returns True."
                    )
        return iter(seen.items())

    def _cpu(self, number: int | None, title: str) -> Cpu | None:
        if number is None:
            return None
        if type(number) is not int or not 0 <= number < len(self._cpus):
            have = f"CPUs 0 to {len(self._cpus) - 1}" if self._cpus else "no shared CPU"
            raise ScenarioError(
                f"{self}: {title} is to run on CPU {number!r}, but the scenario has {have}. "
                + ("CPUs are numbered 0, 1, ..." if type(number) is not int or number < 0
                   else f"Set cpus = {number + 1} in the class.")
            )
        return self._cpus[number]

    def _free_name(self, title: str) -> str:
        if title not in self._interrupts:
            return title
        return next(n for i in range(1, 10_000) if (n := f"{title}_{i}") not in self._interrupts)

    def _declare_interrupts(self) -> None:
        for name, role in self._roles():
            if role.kind == "interrupt":
                line = Interrupt(name, self._cpu(role.cpu, name) or self._cpus[0], getattr(self, name))
                self._interrupts[name] = line
                self.__dict__[name] = line

    def _declare_threads(self) -> None:
        declared = []
        for name, role in self._roles():
            if role.kind != "thread":
                continue
            self._title(getattr(self, name), (), name)
            self._cpu(role.cpu, name)
            if type(role.copies) is not int or role.copies < 1:
                raise ScenarioError(f"{self}: @thread(copies={role.copies!r}) on {name}; copies is at least 1.")
            self._place_of(name, role.cpu, role.host)
            declared += [(getattr(self, name), (), role.cpu, role.host, name)] * role.copies
        self._threads = [*declared, *self._threads]


def _made(scenario: type[Scenario], parameters: dict[str, Any]) -> Scenario:
    return scenario(**parameters)


#: The engine's own attributes of a scenario; all others are the author's.
_ENGINE = frozenset(
    {"_parameters", "_threads", "_interrupts", "_running", "_cpus", "_state_of_self", "_digest", "cast", "__dict__"}
)
#: What a class may hold beside methods, and a program must leave alone.
_PLAIN = (int, float, str, bytes, tuple, frozenset, list, dict, set)
_A_NAME = re.compile(r"[^\s*:@]+")
_NO_NAME = (
    "{} cannot be the name of a context, because a schedule writes names with spaces between them and marks them "
    "with * : and @. Use letters, digits, _ and -, as in name='reader_1'."
)


def _collect(name: str, value: Any, found: dict[int, Shared]) -> None:
    """Names the pieces of shared state in an attribute: ``event_flag[0]``, ``channel.relid``."""
    if isinstance(value, Shared):
        if id(value) in found:
            return
        if not value.name:
            value.name = name
        found[id(value)] = value
        for suffix, part in value.parts():
            _collect(value.name + suffix, part, found)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _collect(f"{name}[{i}]", item, found)
    elif isinstance(value, dict):
        for k, item in value.items():
            _collect(f"{name}[{show(k)}]", item, found)
