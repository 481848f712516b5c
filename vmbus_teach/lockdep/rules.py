"""The rules: which of the things that were seen cannot all be without a deadlock being possible.

An interrupt closes circles, too. Where a class is held with interrupts *on*, one may come, and want whatever is taken
*in* it: as if that were an edge from the one class to the other. So every rule but the last is about one circle:

    inconsistent lock state      the interrupt wants what is held: no other edge
    recursion                    an edge from a class to itself
    circular dependency          edges alone, two or more
    safe -> unsafe               edges from a class taken in an interrupt to one held with interrupts on

A circle counts if it can stop somebody at each of its classes: not where a recursive reader comes to a class that is
held by readers (the kernel's strong paths; source: the comments above usage_accumulate and in
Documentation/locking/lockdep-design.rst, v6.1). The last rule is about what may wait at all under what.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..kernel.lockmap import WaitType
from .seen import HARDIRQ, IN, ON, SOFTIRQ, Blocks, Edge, Seen, Usage

INCONSISTENT = "inconsistent lock state"
RECURSIVE = "possible recursive locking detected"
CIRCULAR = "possible circular locking dependency detected"
WAIT_CONTEXT = "Invalid wait context"


def irq_order(irq: str) -> str:
    """The title of a path from a class that is safe to one that is not."""
    return f"{irq}-safe -> {irq}-unsafe lock order detected"


class Conflict(NamedTuple):
    """What contradicts what: a title of the kernel's, the classes in order, and what was seen."""

    kind: str
    classes: tuple[str, ...]
    seen: tuple[Usage | Edge, ...]

    @property
    def irq(self) -> str:
        """HARDIRQ or SOFTIRQ, if an interrupt takes part."""
        return next((each.irq for each in self.seen if isinstance(each, Usage)), "")

    @property
    def circle(self) -> frozenset[Blocks]:
        """What holds up what in a deadlock of just this kind; empty for a wait context, which is none."""
        if self.kind == WAIT_CONTEXT:
            return frozenset()
        links = {Blocks(edge.before, edge.after) for edge in self.seen if isinstance(edge, Edge)}
        if self.irq:
            links.add(Blocks(self.classes[-1], self.classes[0], self.irq))
        return frozenset(links)


def conflicts(seen: Seen, *, raw_nesting: bool) -> Iterator[Conflict]:
    """All of them, rule by rule, each in the order of the classes."""
    edges = defaultdict[str, list[Edge]](list)
    for edge in sorted(seen.edges):
        edges[edge.before].append(edge)
    yield from _inconsistent(seen)
    yield from _recursive(seen)
    yield from _circular(seen, edges)
    yield from _safe_to_unsafe(seen, edges)
    yield from _wait_contexts(seen, raw_nesting=raw_nesting)


# --- circles ------------------------------------------------------------------------------------


def _inconsistent(seen: Seen) -> Iterator[Conflict]:
    for name in seen.classes:
        for irq in (HARDIRQ, SOFTIRQ):
            for reads_in, reads_on in ((False, False), (False, True), (True, False)):  # readers alone do no harm
                both = Usage(name, irq, IN, reads_in), Usage(name, irq, ON, reads_on)
                if all(usage in seen.usages for usage in both):
                    yield Conflict(INCONSISTENT, (name,), both)
                    break


def _recursive(seen: Seen) -> Iterator[Conflict]:
    told = set()
    for edge in sorted(seen.edges):
        if edge.before == edge.after and not (edge.shared and edge.recursive) and edge.before not in told:
            told.add(edge.before)
            yield Conflict(RECURSIVE, (edge.before,), (edge,))


def _circular(seen: Seen, edges: dict[str, list[Edge]]) -> Iterator[Conflict]:
    """For each edge that lies on a circle, the shortest; each circle once."""
    told = set()
    for first in sorted(seen.edges):
        if first.before == first.after:
            continue

        def closes(last: Edge, first: Edge = first) -> bool:
            return last.after == first.before and not (last.recursive and first.shared)

        rest = _path(edges, first.after, closes, recursive=first.recursive)
        if rest is None:
            continue
        circle = (first, *rest)
        start = circle.index(min(circle))
        circle = (*circle[start:], *circle[:start])
        names = tuple(edge.before for edge in circle)
        if names not in told:
            told.add(names)
            yield Conflict(CIRCULAR, names, circle)


def _safe_to_unsafe(seen: Seen, edges: dict[str, list[Edge]]) -> Iterator[Conflict]:
    """For each pair of classes the shortest path; not one that goes on before or after another."""
    found: dict[tuple[str, tuple[str, ...]], Conflict] = {}
    for safe in sorted(usage for usage in seen.usages if usage.where == IN):
        for unsafe in sorted(usage for usage in seen.usages if usage.where == ON and usage.irq == safe.irq):
            if unsafe.lock_class == safe.lock_class:
                continue

            def ends(last: Edge, unsafe: Usage = unsafe) -> bool:
                return last.after == unsafe.lock_class and not (last.recursive and unsafe.read)

            path = _path(edges, safe.lock_class, ends, recursive=safe.read)
            if path is not None:
                names = (safe.lock_class, *(edge.after for edge in path))
                found.setdefault((safe.irq, names), Conflict(irq_order(safe.irq), names, (safe, *path, unsafe)))
    for (irq, names), conflict in sorted(found.items()):
        if not any(irq == other and _inside(inner, names) for other, inner in found if inner != names):
            yield conflict


def _path(
    edges: dict[str, list[Edge]], start: str, ends: Callable[[Edge], bool], *, recursive: bool
) -> tuple[Edge, ...] | None:
    """The shortest strong path from a class; ``recursive``: only a recursive reader comes to it. None if there is none.

    A place is a class together with how it was come to, since that decides how one may leave it.
    """
    before: dict[tuple[str, bool], Edge | None] = {(start, recursive): None}
    ahead = deque(before)
    came_from: dict[tuple[str, bool], tuple[str, bool]] = {}
    while ahead:
        here = ahead.popleft()
        for edge in edges.get(here[0], ()):
            if edge.before == edge.after or (here[1] and edge.shared):
                continue
            if ends(edge):
                way, place = [edge], here
                while (last := before[place]) is not None:
                    way.append(last)
                    place = came_from[place]
                return tuple(reversed(way))
            there = (edge.after, edge.recursive)
            if there not in before:
                before[there], came_from[there] = edge, here
                ahead.append(there)
    return None


def _inside(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    return any(outer[i : i + len(inner)] == inner for i in range(len(outer) - len(inner) + 1))


# --- wait contexts --------------------------------------------------------------------------------


def _wait_contexts(seen: Seen, *, raw_nesting: bool) -> Iterator[Conflict]:
    """What is wanted must not wait in a worse way than what is held may, or the handler in which it is wanted.

    Without the proof of raw nesting, spinlock_t counts as a raw one: that is what it is, but on a real-time kernel.
    """

    def rank(wait_type: WaitType | None) -> int:
        if wait_type is WaitType.CONFIG and not raw_nesting:
            return WaitType.SPIN
        return wait_type or 0

    def wanted(name: str) -> int:
        outer, inner = seen.wait_types[name]
        return rank(inner if outer is None else outer)

    told = set()
    for edge in sorted(seen.edges):
        limit = rank(seen.wait_types[edge.before][1])
        names = (edge.before, edge.after)
        if limit and wanted(edge.after) > limit and names not in told:
            told.add(names)
            yield Conflict(WAIT_CONTEXT, names, (edge,))
    for usage in sorted(usage for usage in seen.usages if usage.where == IN):
        limit = rank(WaitType.SPIN if usage.irq == HARDIRQ else WaitType.CONFIG)
        if wanted(usage.lock_class) > limit and (usage.irq, usage.lock_class) not in told:
            told.add((usage.irq, usage.lock_class))
            yield Conflict(WAIT_CONTEXT, (usage.lock_class,), (usage,))
