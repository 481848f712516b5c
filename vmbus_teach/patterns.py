"""The name of a failure's pattern, where its trace shows one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .kernel.base import Shared
from .kernel.locks import Lock

if TYPE_CHECKING:
    from .explore import Failure
    from .session import TraceStep


def name_pattern(failure: Failure) -> str | None:
    """A phrase such as "a lost update: ..."; None where no pattern fits. Never a guess beyond the trace."""
    for look in (_use_after_free, _uninitialised, _lost_update, _lost_wakeup):
        if phrase := look(failure):
            return phrase
    return None


def _use_after_free(failure: Failure) -> str | None:
    if failure.kind != "use-after-free" or not failure.trace:
        return None
    last = failure.trace[-1]
    for step in reversed(failure.trace[:-1]):
        for name, _, after in step.changes:
            if after == "freed" and name in (last.fault.message if last.fault else ""):
                late = last.choice.context
                return f"a use after free: {step.choice.context} freed {name}, {late} still had a pointer to it"
    return None


def _uninitialised(failure: Failure) -> str | None:
    """A pointer is published, somebody reads through it, and the object is filled in only later."""
    if failure.kind not in ("assertion", "invariant", "at_end", "error"):
        return None
    published: dict[Any, TraceStep] = {}
    read: dict[str, tuple[TraceStep, TraceStep]] = {}
    for step in failure.trace:
        operation = step.operation
        value = getattr(operation, "value", None)
        if "w" in operation.access and hasattr(value, "fields"):
            published.setdefault(value, step)
        cell = getattr(operation, "cell", None)
        owner = getattr(cell, "owner", None)
        if cell is None or owner not in published:
            continue
        publisher = published[owner]
        if operation.access == "r" and step.choice.context != publisher.choice.context:
            read.setdefault(cell.name, (publisher, step))
    for name, (publisher, reader) in read.items():
        earlier = failure.trace[: failure.trace.index(reader)]
        if not any(name == changed for step in earlier for changed, *_ in step.changes):
            return (
                f"publication before initialisation: {publisher.choice.context} published the pointer, and "
                f"{reader.choice.context} read {name} through it before it was filled in"
            )
    return None


def _lost_update(failure: Failure) -> str | None:
    """Both read a cell before either wrote it back; the later write covers the earlier one."""
    if failure.kind not in ("invariant", "at_end", "assertion"):
        return None
    read_by: dict[Any, dict[str, int]] = {}
    written_by: dict[Any, list[tuple[str, int]]] = {}
    for number, step in enumerate(failure.trace):
        operation, context = step.operation, step.choice.context
        cell = getattr(operation, "cell", None)
        if cell is None:
            continue
        if operation.access == "w" and context in read_by.get(cell, {}):
            for other, when in written_by.get(cell, []):
                if other != context and read_by[cell][context] < when and other in read_by[cell]:
                    return (
                        f"a lost update: {other} and {context} both read {cell!r} before either wrote it back, "
                        f"so {context} overwrote what {other} had written"
                    )
        if operation.access == "r":
            read_by.setdefault(cell, {})[context] = number
        if operation.access == "w":
            written_by.setdefault(cell, []).append((context, number))
    return None


def _lost_wakeup(failure: Failure) -> str | None:
    """Somebody waits for a signal that was given, and taken back, before the waiting began."""
    if failure.kind != "deadlock":
        return None
    for context, operation in failure.waiting:
        for thing in operation.touches():
            given = [s for s in failure.trace if s.choice.context != context and _changed(s, thing)]
            if given and not isinstance(thing, Lock):
                return (
                    f"a lost wake-up: {given[-1].choice.context} changed {thing!r} before {context} waited for it, "
                    "and will not do so again"
                )
    return None


def _changed(step: TraceStep, thing: Shared) -> bool:
    return any(name == thing.name for name, *_ in step.changes)
