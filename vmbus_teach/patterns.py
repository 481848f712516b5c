"""The name of a failure's pattern, where its trace shows one."""

from __future__ import annotations

from typing import Any, NamedTuple

from .kernel.base import Operation, Shared
from .kernel.locks import Lock
from .session import TraceStep

Trace = tuple[TraceStep, ...]


class Waits(NamedTuple):
    """A context that cannot go on at the end, and the operation that it waits in."""

    context: str
    operation: Operation
    open_before: list[int]  # after which steps it could have gone on, if it had been there already


def name_pattern(kind: str, trace: Trace, waiting: list[Waits], about: set[Shared]) -> str | None:
    """A phrase such as "a lost update: ..."; None where no pattern fits. Never a guess beyond the trace.

    ``about`` is what the property that failed looks at: an update of something else explains nothing.
    """
    if kind == "use-after-free":
        return _use_after_free(trace)
    if kind == "deadlock":
        return _lost_wakeup(trace, waiting)
    if kind in ("invariant", "at_end", "assertion", "error"):
        return _uninitialised(trace) or _lost_update(trace, about)
    return None


def _use_after_free(trace: Trace) -> str | None:
    last = trace[-1]
    for step in reversed(trace[:-1]):
        for name, _, after in step.changes:
            if after == "freed" and name in (last.fault.message if last.fault else ""):
                late = last.choice.context
                return f"a use after free: {step.choice.context} freed {name}, {late} still had a pointer to it"
    return None


def _uninitialised(trace: Trace) -> str | None:
    """A pointer is published, and somebody reads through it what nobody has filled in."""
    published: dict[Any, TraceStep] = {}
    read: dict[str, tuple[TraceStep, TraceStep]] = {}
    for step in trace:
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
        earlier = trace[: trace.index(reader)]
        if not any(name == changed for step in earlier for changed, *_ in step.changes):
            return (
                f"publication before initialisation: {publisher.choice.context} published the pointer, and "
                f"{reader.choice.context} read {name} through it, which nobody had written since the allocation"
            )
    return None


def _lost_update(trace: Trace, about: set[Shared]) -> str | None:
    """Both read a cell before either wrote it back; the later write covers the earlier one."""
    read_by: dict[Any, dict[str, int]] = {}
    written_by: dict[Any, list[tuple[str, int]]] = {}
    for number, step in enumerate(trace):
        operation, context = step.operation, step.choice.context
        cell = getattr(operation, "cell", None)
        if cell is None or cell not in about:
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


def _lost_wakeup(trace: Trace, waiting: list[Waits]) -> str | None:
    """Somebody waits for a signal that was given, and taken back, before the waiting began."""
    for context, operation, open_before in waiting:
        for thing in operation.touches():
            steps = [trace[number] for number in open_before]
            given = [s for s in steps if s.choice.context != context and _changed(s, thing)]
            if given and not isinstance(thing, Lock):
                return (
                    f"a lost wake-up: {given[-1].choice.context} changed {thing!r} before {context} waited for it, "
                    "and will not do so again"
                )
    return None


def _changed(step: TraceStep, thing: Shared) -> bool:
    return any(name == thing.name for name, *_ in step.changes)
