"""Leaks: an object that is still allocated at the end, and that no cell leads to any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from ..kernel.base import Shared
from ..kernel.heap import ALLOCATED, Object
from ..kernel.memory import Cell
from ..outcome import Fault

if TYPE_CHECKING:
    from ..machine import Machine


def leaks(machine: Machine, state: int) -> list[Fault]:
    """The objects that are lost. One that no cell led to from the start belongs to the scenario itself."""
    objects = [s for s in machine.shared if isinstance(s, Object)]
    alive = [thing for thing in objects if machine.value(state, thing) == ALLOCATED]
    if not alive:
        return []
    found = _reachable(machine, state)
    at_start = _reachable(machine, machine.initial)
    lost = [
        thing
        for thing in alive
        if thing not in found and (thing in at_start or machine.value(machine.initial, thing) != ALLOCATED)
    ]
    why = "is never freed, and nothing points to it any more"
    return [Fault("leak", f"{thing!r} {why}", thing.name) for thing in lost]


def _reachable(machine: Machine, state: int) -> set[Object]:
    """The objects that a cell outside the heap leads to, directly or through fields of allocated objects."""
    found: set[Object] = set()
    todo: list[Shared] = [s for s in machine.shared if isinstance(s, Cell) and s.owner is None]
    while todo:
        for thing in _objects(machine.value(state, todo.pop())):
            if thing not in found and machine.value(state, thing) == ALLOCATED:
                found.add(thing)
                todo += thing.fields.values()
    return found


def _objects(value: Any) -> Iterator[Object]:
    if isinstance(value, Object):
        yield value
    elif isinstance(value, tuple | frozenset):
        for item in value:
            yield from _objects(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _objects(getattr(value, field.name))
