"""From a learner's class to what is searched: their methods where they may have a say, the exercise's everywhere else.

Nothing of this relies on finding out what a learner has done. The class that is searched is made on top of theirs, with
everything that the exercise gives put back in force; its state at the start is compared with that of the original,
piece by piece; and what its programs do is read off the operations that they handed over in the search. Where an answer
has something that does not count, it is told so in a sentence rather than judged without it.
"""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from .. import kernel
from ..advice import meant
from ..kernel.base import Context, ModelError, Operation, Shared, an, listed, show
from ..kernel.interrupts import Interrupt
from ..machine import Machine
from ..program import Place
from ..scenario import _ENGINE, Scenario
from ..source import functions_reached, names_in
from ..values import Opaque, key

if TYPE_CHECKING:
    from .exercise import RepairIt


class Refused(ModelError):
    """The answer cannot be judged as it is; the text says what, why, and what to do."""


# --- the class --------------------------------------------------------------------------------------


def check_class(exercise: RepairIt, answer: Any) -> None:
    """Raises Refused unless ``answer`` is a class that the exercise can judge."""
    given, call = exercise.scenario, f'grade("{exercise.name}", MyFix)'
    start = f"Write class MyFix({given.__name__}): with {_names(exercise.may_change)} in it, and call {call}."
    if isinstance(answer, Scenario):
        name = type(answer).__name__
        raise Refused(
            f"This is an instance, {answer}; the grader makes its own. Give the class: "
            f'grade("{exercise.name}", {name}).'
        )
    if not isinstance(answer, type):
        raise Refused(f"The answer to this exercise is a class, not {described(answer)}. {start}")
    if answer is given:
        raise Refused(f"{given.__name__} is the scenario as it is given, which fails. {start}")
    if not issubclass(answer, given):
        raise Refused(f"{answer.__name__} is no subclass of {given.__name__}, which this exercise is about. {start}")
    if type(answer) is not type(given):
        raise Refused(f"{answer.__name__} has a metaclass, {type(answer).__name__}. Leave it out: none is needed.")
    own = list(_own(answer, given))
    if not own:
        raise Refused(
            f"{answer.__name__} is still as it was given: nothing is in it. "
            f"Override {_names(exercise.may_change, 'or')}, run its cell, and then this one again."
        )
    for cls, name, member in own:
        if why := _not_allowed(exercise, cls, name, member):
            raise Refused(f"{cls.__name__} has {name}, which cannot count here: {why}")
        if sleeper := _reached(member, _sleeps):
            raise Refused(
                f"{cls.__name__}.{sleeper} calls time.sleep. Nothing waits by the clock here: a schedule says who goes "
                "next, and every one is tried. Delete that line."
            )
        if gambler := _reached(member, _draws):
            raise Refused(
                f"{cls.__name__}.{gambler} uses random. Here nothing is left to chance: for what is open, yield "
                "choose((1, 2)), and every one is tried."
            )


def _reached(member: Any, does: Callable[[list[Any], Collection[str]], bool]) -> str:
    """The first function that is reached from here and ``does`` it, given what it names and the attributes; or ""."""
    for function in functions_reached(member):
        names = names_in(function.__code__)
        if does([function.__globals__.get(name) for name in names.read], names.attributes):
            return str(function.__name__)
    return ""


def _sleeps(named: list[Any], attributes: Collection[str]) -> bool:
    """It would really sleep."""
    return time.sleep in named or (time in named and "sleep" in attributes)


def _draws(named: list[Any], attributes: Collection[str]) -> bool:
    """It draws random numbers."""
    return any(it is random or isinstance(getattr(it, "__self__", it), random.Random) for it in named)


def _own(answer: type, given: type) -> Iterator[tuple[type, str, Any]]:
    """What the learner's classes define, wherever in the order of inheritance they stand."""
    for cls in answer.__mro__:
        if cls not in given.__mro__:
            for name, member in vars(cls).items():
                if name not in _BY_PYTHON:
                    yield cls, name, member


#: What a class has without anybody having written it, in one version of Python or another.
_BY_PYTHON = frozenset({
    "__annotate__", "__annotate_func__", "__annotations__", "__annotations_cache__", "__classdictcell__", "__dict__",
    "__doc__", "__firstlineno__", "__module__", "__orig_bases__", "__qualname__", "__static_attributes__",
    "__weakref__",
})  # fmt: skip


def _not_allowed(exercise: RepairIt, cls: type, name: str, member: Any) -> str:
    """Why a class of the learner may not have this; "" if it may."""
    given = exercise.scenario
    may = f"You may change {_names(exercise.may_change)}, and add methods of your own, and state in setup."
    role = getattr(member, "_role", None)
    if name == "setup" or name in exercise.may_change:
        if not isinstance(member, FunctionType):
            return f"it must be a method, not {described(member)}. {may}"
        if inspect.isgeneratorfunction(getattr(given, name)) and not inspect.isgeneratorfunction(member):
            return "it has no yield, so it is no program. To do what another program does, write yield from before it."
        if name == "setup" and (inspect.isgeneratorfunction(member) or inspect.iscoroutinefunction(member)):
            return "a setup is no program: nothing in it may be yielded or awaited, it only makes the state."
        return ""
    if name.startswith("__"):
        return f"it would change how Python treats the scenario. Delete it. {may}"
    if hasattr(given, name):
        kind = _kind(given, name)
        return f"{kind} stays as it is given. Delete it from your class, or give your own another name. {may}"
    if role is not None and role.kind in ("thread", "interrupt"):
        return f"it adds a context of its own, and the scenario consists of those that are given. Delete it. {may}"
    if role is not None:
        return (
            f"the exercise has its own properties, and asks no others. Look at yours with explore({cls.__name__}), "
            "and delete it before you ask for a grade."
        )
    return ""


def _kind(given: type, name: str) -> str:
    """What a name of the given scenario is, in words."""
    role = next((r for c in given.__mro__ if (r := getattr(vars(c).get(name), "_role", None))), None)
    if role is None:
        return "that method" if callable(getattr(given, name)) else "that number"
    if role.kind == "thread":
        return "that program of the host" if role.host else "that program"
    return {"interrupt": "that interrupt handler"}.get(role.kind, "a property says what must hold, and")


def composed(answer: type[Scenario], exercise: RepairIt) -> type[Scenario]:
    """A subclass of the learner's class in which everything that may not be changed is the original's again."""
    given = exercise.scenario
    names = {name for cls in given.__mro__[:-1] for name in vars(cls)} - _BY_PYTHON - {"setup", *exercise.may_change}
    fixed = {name: inspect.getattr_static(given, name) for name in sorted(names)}
    fixed.setdefault("outcome", None)  # nobody asks for it here
    return type(answer.__name__, (answer,), {**fixed, "__module__": answer.__module__, "__doc__": answer.__doc__})


# --- the state at the start ---------------------------------------------------------------------------


def check_start(original: Scenario, learners: Scenario) -> None:
    """Raises Refused unless all that the original's setup makes is there, and as it was; more may be there."""
    name = type(learners).__name__
    advice = f"Begin {name}.setup with super().setup(...), hand its parameters on, and only add to what it makes."
    pairs = _Pairs()
    for attribute, value in vars(original).items():
        if attribute in _ENGINE:
            continue
        if attribute not in vars(learners):
            raise Refused(f"self.{attribute} is missing, which the setup of {original} makes. {advice}")
        mine = vars(learners)[attribute]
        if not pairs.alike(value, mine):
            raise Refused(
                f"self.{attribute} is not as it is given: at the start it must be {_start(value)}, each part an object "
                f"of its own; here it is {_start(mine)}. {advice}"
            )
    for attribute in vars(learners):
        if attribute not in vars(original) and attribute not in _ENGINE and hasattr(type(learners), attribute):
            raise Refused(f"setup gives self.{attribute} another value, which covers the method of that name. {advice}")
    want, have = _contexts(original), _contexts(learners)
    for context in want - have:
        raise Refused(f"{context[0]} is not there, or not as it is given. {advice}")
    for context in have - want:
        raise Refused(f"{context[0]} is a context that the scenario does not have. Delete it: those given must do.")
    for shared in learners.cast.shared:
        if not _of_the_kernel(type(shared)):
            raise Refused(f"{shared!r} is a {type(shared).__name__}, which is none of the kernel's. Use a Cell.")


def _contexts(scenario: Scenario) -> set[tuple[Any, ...]]:
    """The contexts that are declared: their names, kinds, places, and the functions that they run."""
    lines = {shared.handler for shared in scenario.cast.shared if isinstance(shared, Interrupt)}
    return {
        (context.name, context.kind, context.cpu and context.cpu.name, _name(context.program), show(context.args))
        for context in scenario.cast.contexts
        if context.kind in ("task", "host") or context in lines
    }


def _name(program: Any) -> str:
    return str(getattr(program, "__name__", program))


class _Pairs:
    """Compares two networks of objects: which object of one stands for which of the other."""

    def __init__(self) -> None:
        self.there: dict[int, Any] = {}
        self.back: dict[int, Any] = {}

    def alike(self, one: Any, other: Any) -> bool:
        if isinstance(one, Shared | Context | list | dict | set):
            if id(one) in self.there or id(other) in self.back:
                return self.there.get(id(one)) is other and self.back.get(id(other)) is one
            self.there[id(one)], self.back[id(other)] = other, one
        if type(one) is not type(other):
            return False
        if isinstance(one, Shared | Context):
            mine, theirs = vars(one), vars(other)
            return all(self.alike(value, theirs.get(name)) for name, value in mine.items() if name not in _OWN)
        if isinstance(one, list | tuple):
            return len(one) == len(other) and all(map(self.alike, one, other))
        if isinstance(one, dict):
            return one.keys() == other.keys() and all(self.alike(value, other[name]) for name, value in one.items())
        if callable(one):
            return bool(_name(one) == _name(other))
        try:
            return bool(key(one) == key(other))
        except Opaque:
            return True  # nothing that could be read


#: What kernel objects have that depends on what else was made.
_OWN = frozenset({"_serial", "_in_use", "index"})


def _start(value: Any) -> str:
    """A value that setup has made, with what its cells hold at the start."""
    if isinstance(value, Shared):
        return f"{type(value).__name__}({value.show(value.initial)})"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_start, value))}]"
    return show(value)


# --- what was put in force ------------------------------------------------------------------------------


def enforce(original: Scenario, learners: Scenario) -> None:
    """Has the exercise's properties asked, and none besides, whatever the class or its setup has said."""
    for which in ("invariants", "at_ends"):
        names = [method.__name__ for method in getattr(original.cast, which)]
        setattr(learners.cast, which, [getattr(type(original), name).__get__(learners) for name in names])


def check_still_given(searched: type[Scenario], original: type[Scenario]) -> None:
    """Raises Refused if the class that was searched is not what it was made to be: some code has changed it."""
    for name, member in vars(searched).items():
        if name not in _BY_PYTHON and member is not inspect.getattr_static(original, name, None):
            raise Refused(f"{name} was given another value while the scenario was set up or ran. {_CHANGES}")


_CHANGES = "What a program changes must be in a Cell; the scenario's methods stay as they are given."


# --- what was done in the search ------------------------------------------------------------------------


def given_code(given: type[Scenario]) -> frozenset[CodeType]:
    """The code of everything that the exercise gives, functions inside functions too."""
    found: set[CodeType] = set()
    members = [member for cls in given.__mro__ for member in vars(cls).values()]
    ahead = [member.__code__ for member in members if isinstance(member, FunctionType)]
    while ahead:
        code = ahead.pop()
        found.add(code)
        ahead += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(found)


def check_operations(exercise: RepairIt, machine: Machine) -> None:
    """Raises Refused for what the learner's code was seen to do and the exercise forbids."""
    given = given_code(exercise.scenario)
    for index, context in enumerate(machine.contexts):
        for position in machine.positions[index]:
            if position is None or position.node is None:
                continue
            operation, places = position.operation, position.node.places
            if not _of_the_kernel(type(operation)):
                raise Refused(f"{operation} (in {places[-1]}) is no operation of the kernel. Use vmbus_teach.kernel.")
            if why := _forbidden(exercise, machine.scenario, context, operation, places, given):
                raise Refused(why)


def _forbidden(
    exercise: RepairIt,
    scenario: Scenario,
    context: Context,
    operation: Operation,
    places: tuple[Place, ...],
    given: frozenset[CodeType],
) -> str:
    """What is wrong with an operation that was handed over; "" if nothing is."""
    learners = [place.code not in given for place in places]
    if learners[-1]:
        for rule in exercise.forbids:
            if rule.applies(context, operation):
                return f"{context.name} does {operation} (in {places[-1]}). {rule.why}"
        for name in exercise.reserved:
            if _touches(operation, getattr(scenario, name, None)):
                return (
                    f"{context.name} does {operation} (in {places[-1]}), and {name} is not for your code to touch. "
                    f"{exercise.reserved[name]}"
                )
    for i, place in enumerate(places):
        if place.function in exercise.reserved and not learners[i] and (i == 0 or any(learners[:i])):
            by = f"from {places[learners.index(True)]}" if i else f"as a program of its own, in {context.name}"
            return f"{place.function} is run {by}, and is not for your code to run. {exercise.reserved[place.function]}"
    return ""


def _touches(operation: Operation, state: Any) -> bool:
    """Whether an operation works on this piece of state, or on one of these."""
    pieces = list(state.values()) if isinstance(state, dict) else state if isinstance(state, list | tuple) else [state]
    return any(piece is touched for piece in pieces for touched in operation.touches())


def _of_the_kernel(kind: type) -> bool:
    """Whether a class is one of the kernel's own, and no other with its name."""
    module = inspect.getmodule(kind)
    mine = module is not None and module.__name__.startswith(f"{kernel.__name__}.")
    return mine and getattr(module, kind.__name__, None) is kind


# --- words ----------------------------------------------------------------------------------------------


def _names(names: tuple[str, ...], last: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def described(value: Any) -> str:
    """A value of the wrong kind, in words."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if callable(value):
        return f"the function {_name(value)}"
    text = show(value)
    return f"{text if len(text) < 60 else text[:57] + '...'} ({an(type(value))})"


def unknown(names: Mapping[str, Any], name: str) -> str:
    """Which names there are, and which was meant."""
    return " ".join(filter(None, [meant(name, list(names)), f"There are {listed(names)}."]))
