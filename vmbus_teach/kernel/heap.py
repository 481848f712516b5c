"""The heap: objects with fields, that are allocated, freed, and used too late.

    self.vmbus_channel = Struct("vmbus_channel", relid=0, rescind=False)   # in setup
    channel = yield kzalloc(self.vmbus_channel, relid=7)                   # in a program
    relid = yield READ_ONCE(channel.relid)

A field is a cell, or, with ``inside``, another kernel object that lies there: a lock, a work item.

    Struct("vmbus_channel", lock=inside(SpinLock), work=inside(lambda channel: Work(self.release, channel)))

Memory is never handed out twice, so that every use of freed memory is seen as one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from .base import Context, ModelError, Now, Operation, Shared, show
from .memory import Cell

UNUSED, ALLOCATED = "not allocated", "allocated"


class Freed(NamedTuple):
    """The value of an object that is no more."""

    by: Context


@dataclass(frozen=True)
class inside:
    """A field of a ``Struct`` that is no cell: each object has its own, which is freed with it.

    ``make`` is a class (``inside(SpinLock)``), or a function of the object that the field lies in.
    """

    make: Callable[..., Shared]

    def __post_init__(self) -> None:
        if not callable(self.make):
            raise ModelError(
                f"inside({show(self.make)}): give a class, or a function of the object: inside(SpinLock), "
                "inside(lambda channel: Work(self.release, channel))."
            )

    def made_for(self, thing: Object) -> Shared:
        """What lies in this object. Raises ModelError if nothing of the kernel comes out."""
        made = self.make() if inspect.isclass(self.make) else self.make(thing)
        if not isinstance(made, Shared) or isinstance(made, Object):
            raise ModelError(
                f"inside({show(self.make)}) makes {show(made)}, which cannot lie in an object: it is no lock, work "
                "item or the like. A field with a plain value is written without inside(...)."
            )
        return made


class Struct(Shared):
    """A kind of object. Its value counts how many have been allocated.

    ``fields`` are the fields with their values at allocation; one that is no cell is given as
    ``inside(...)``. ``capacity`` bounds how many objects a schedule can allocate.
    """

    def __init__(self, title: str, /, *, capacity: int = 4, **fields: Any) -> None:
        super().__init__(0)
        self.title = title
        taken = [name for name in fields if name.startswith("_") or name in _OWN_NAMES]
        if taken:
            raise ModelError(f"Struct({title!r}): a field cannot be called {taken[0]!r}, which is taken.")
        self.objects = tuple(self._object(i, fields) for i in range(capacity))

    def _object(self, number: int, fields: dict[str, Any]) -> Object:
        """What it consists of; for kinds of objects that have more than fields."""
        return Object(self, number, fields)

    def parts(self) -> Iterator[tuple[str, Shared]]:
        for i, thing in enumerate(self.objects):
            thing.name = f"{self.title}#{i}"
            yield f"#{i}", thing

    def new(self, **values: Any) -> Object:
        """An object that exists from the start; for ``setup``."""
        if self.initial >= len(self.objects):
            raise ModelError(_full(self))
        thing: Object = self.objects[self.initial]
        self.initial += 1
        thing.initial = ALLOCATED
        for name, value in values.items():
            thing.cell(name).initial = value
        return thing


class Object(Shared):
    """An object on the heap; its value says whether it is allocated, or who has freed it.

    Its fields are attributes: ``channel.relid``.
    """

    def __init__(self, struct: Struct, number: int, fields: dict[str, Any], name: str = "") -> None:
        super().__init__(UNUSED)
        self.struct = struct
        self.number = number
        self.name = name or f"{struct.title}#{number}"
        self.fields: dict[str, Shared] = {}
        for name, value in fields.items():
            field = value.made_for(self) if isinstance(value, inside) else Cell(value)
            field.owner = self
            field.name = f"{self.name}.{name}"
            self.fields[name] = field

    def parts(self) -> Iterator[tuple[str, Shared]]:
        for name, cell in self.fields.items():
            yield f".{name}", cell

    def workings(self) -> Iterator[Shared]:
        """What fields that are no cells consist of: how a queue works inside is nothing that a reader asks for."""
        for field in self.fields.values():
            yield from (part for _, part in field.parts())

    def cell(self, name: str) -> Cell:
        """The field ``name``, to be given a value; an error if it is no cell."""
        field = self.field(name)
        if not isinstance(field, Cell):
            raise ModelError(
                f"{field!r} is a {type(field).__name__}, which lies in each {self.struct.title} and has no value "
                "to be given."
            )
        return field

    def field(self, name: str) -> Any:
        """The field ``name``; an error that lists the fields if there is none."""
        if name not in self.fields:
            raise ModelError(
                f"{self.struct.title} has no field {name!r}; it has {', '.join(self.fields) or 'none'}. "
                f"Fields are declared in setup: Struct({self.struct.title!r}, {name}=...)."
            )
        return self.fields[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "fields" not in self.__dict__:
            raise AttributeError(name)
        return self.field(name)

    def lock_class(self) -> str:
        return self.struct.title

    def show(self, value: str | Freed) -> str:
        return "freed" if isinstance(value, Freed) else value


#: What every object has besides its fields.
_OWN_NAMES = frozenset({*dir(Object), "initial", "words", "struct", "number", "fields"})


def _full(struct: Struct) -> str:
    return (
        f"one schedule allocates more {struct.title!r} objects than there is room for ({len(struct.objects)}). If that "
        f"is meant, raise the bound: Struct({struct.title!r}, capacity={len(struct.objects) + 4}, ...)."
    )


class kzalloc(Operation):
    """Allocates an object of a kind: ``yield kzalloc(self.vmbus_channel, relid=7)``.

    Never fails and never sleeps. Where it may fail, ``choose`` between the object and None.
    """

    struct: Struct
    values: tuple[tuple[str, Any], ...] = ()

    def __init__(self, struct: Struct, **values: Any) -> None:
        object.__setattr__(self, "struct", struct)
        object.__setattr__(self, "values", tuple(values.items()))
        self.__post_init__()

    def step(self, now: Now) -> Object:
        number = now[self.struct]
        if number >= len(self.struct.objects):
            raise ModelError(_full(self.struct))
        now[self.struct] = number + 1
        thing: Object = self.struct.objects[number]
        now[thing] = ALLOCATED
        for name, value in self.values:
            now[thing.cell(name)] = value
        return thing

    def __str__(self) -> str:
        values = "".join(f", {name}={show(value)}" for name, value in self.values)
        return f"kzalloc({self.struct.title}{values})"


class kfree(Operation):
    """Frees the object at once. As in C, ``kfree(None)`` does nothing."""

    object: Object | None

    def step(self, now: Now) -> None:
        if self.object is not None:
            free(now, self.object)


def free(now: Now, thing: Object) -> None:
    """What every way to free an object comes down to."""
    check_allocated(now, thing)
    now[thing] = Freed(now.context)


def check_allocated(now: Now, thing: Object) -> None:
    """Fails if ``thing``, which is about to be freed, is not there to be freed."""
    value = now[thing]
    if isinstance(value, Freed):
        who = "it has freed itself before" if value.by is now.context else f"{value.by} has freed before"
        now.fail("double-free", f"{now.context} frees {thing!r}, which {who}")
    if value == UNUSED:
        now.fail("error", f"{now.context} frees {thing!r}, which was never allocated")


def check_in_use(now: Now, shared: Shared) -> None:
    """Fails if ``shared``, which is about to be used, lies in an object that is not there."""
    thing = shared.owner
    if thing is None:
        return
    value = now[thing]
    if isinstance(value, Freed):
        who = "it" if value.by is now.context else value.by
        now.fail("use-after-free", f"{now.context} uses {shared!r} after {who} freed {thing!r}")
    if value == UNUSED:
        now.fail("error", f"{now.context} uses {shared!r}, but {thing!r} was never allocated")
