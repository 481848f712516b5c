"""What lockdep says: reports in words, each place with a schedule to it, and the table of classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ..failure import Failure
from ..kernel.lockmap import Acquisition, How, WaitType
from ..narrate import count
from ..scenario import Scenario
from ..schedule import Schedule
from ..source import Place
from .rules import CIRCULAR, INCONSISTENT, RECURSIVE, WAIT_CONTEXT
from .seen import HARDIRQ, IN, ON, SOFTIRQ, Blocks, Edge, Seen, Usage

IRQS = {HARDIRQ: "an interrupt", SOFTIRQ: "a softirq"}


@dataclass(frozen=True)
class Side:
    """One of the places that disagree: what happens there, in words; the line; the shortest schedule to it.

    After the schedule, ``context`` is about to do ``operation``; or, where that has ``done`` it (it has switched
    interrupts on), it was its last step. ``shows`` is what lockdep takes it for: {IN-HARDIRQ-W}, left -> right.
    """

    sentence: str
    shows: str
    context: str
    operation: str
    done: bool
    place: Place | None
    schedule: Schedule

    def __str__(self) -> str:
        return f"{self.sentence} ({self.place})" if self.place else self.sentence


@dataclass(frozen=True)
class Report:
    """Something that lockdep complains of. ``kind`` is the kernel's title for it.

    ``classes`` are the lock classes, in order; ``sides`` the places that disagree. ``circle`` says what would hold up
    what in such a deadlock. ``reached`` is a failure of the exploration in which a schedule ends so; None if no
    schedule (that was looked at) does. With an invalid wait context, it is a failure that says the same.
    """

    kind: str
    message: str
    classes: tuple[str, ...]
    sides: tuple[Side, ...]
    reached: Failure | None = field(repr=False)
    circle: frozenset[Blocks] = field(repr=False)
    complete: bool = field(repr=False)
    scenario: Scenario = field(repr=False)

    @property
    def verdict(self) -> str:
        """Whether a schedule of the scenario ends so, and why it is reported if none does."""
        if self.reached:
            return f"A schedule of this scenario ends so: {self.reached.message}."
        known = "No schedule of this scenario" if self.complete else "So far, no schedule of this scenario"
        if self.kind == WAIT_CONTEXT:
            return (
                f"{known} fails here: on the kernel of this scenario, both spin. It is reported for the kinds of lock "
                "alone: on a real-time kernel a spinlock_t sleeps, and what spins must not wait for what sleeps."
            )
        return (
            f"{known} ends in this deadlock: here, something keeps these places apart. It is reported all the same, "
            "since each was seen, and a program in which they meet would be stuck."
        )

    def __str__(self) -> str:
        lines = [f"{self.kind}: {self.message}"]
        for number, side in enumerate(self.sides, 1):
            lines.append(f"  {number}. {side.shows:<{max(len(s.shows) for s in self.sides)}}  {side}")
            lines.append(f'     To see it: Session({self.scenario}).replay("{side.schedule}")')
        return "\n".join([*lines, f"  {self.verdict}"])

    __repr__ = __str__


class LockClass(NamedTuple):
    """A class of locks, how it was used, and what was wanted while it was held.

    ``letters`` are those of /proc/lockdep: hardirqs, hardirqs by readers, softirqs, softirqs by readers. Each is ``.``
    (interrupts off, and not in one), ``-`` (in one), ``+`` (with them on) or ``?`` (both). ``kind`` says how it is
    waited for, "" if that is not looked at.
    """

    name: str
    letters: str
    kind: str
    after: tuple[str, ...]

    def __str__(self) -> str:
        return f"{{{self.letters}}}: {self.name}" + "".join(f"\n      -> {name}" for name in self.after)


@dataclass(frozen=True)
class Lockdep:
    """What lockdep has seen and what it predicts. Printed, it is the reports and the table of classes.

    ``ok``: it has nothing to report. That says less than ``Exploration.ok`` about this scenario, and more about others
    that take the same locks in the same ways. ``complete`` is the exploration's.
    """

    scenario: Scenario
    reports: tuple[Report, ...]
    classes: tuple[LockClass, ...]
    edges: tuple[Edge, ...] = field(repr=False)
    complete: bool
    raw_nesting: bool

    @property
    def ok(self) -> bool:
        """Whether there is nothing to report."""
        return not self.reports

    @property
    def verdict(self) -> str:
        """In a few words."""
        so_far = "" if self.complete else " so far"
        if not self.classes:
            return f"no locks seen{so_far}"
        return f"{count(len(self.reports), 'report')}{so_far}" if self.reports else f"nothing to report{so_far}"

    def __str__(self) -> str:
        lines = [f"lockdep on {self.scenario}: {self.verdict}"]
        if len(self.reports) > 1:
            lines[0] += " (the kernel's lockdep turns itself off after the first; here are all)"
        for report in self.reports:
            lines += ["", str(report)]
        if self.classes:
            lines += ["", "Lock classes, and what was wanted while they were held:", *self._table()]
        return "\n".join(lines)

    __repr__ = __str__

    def _table(self) -> Iterator[str]:
        names = max(len(each.name) for each in self.classes)
        kinds = max(len(each.kind) for each in self.classes)
        for each in self.classes:
            after = f"-> {', '.join(each.after)}" if each.after else ""
            yield f"  {{{each.letters}}}  {each.name:<{names}}  {each.kind:<{kinds}}  {after}".rstrip()


# --- words ----------------------------------------------------------------------------------------


def message_of(kind: str, classes: tuple[str, ...], irq: str) -> str:
    """What is wrong, in one sentence."""
    first, *_ = classes
    way = " -> ".join(classes)
    if kind == INCONSISTENT:
        comes = IRQS[irq]
        return f"{first} is taken in {comes}, and held where {comes} can come, which would wait for what it has stopped"
    if kind == RECURSIVE:
        return f"{first} is wanted by somebody who holds a lock of that class already"
    if kind == CIRCULAR:
        return f"{way} -> {first}: each is wanted by somebody who holds the one before"
    if kind == WAIT_CONTEXT and irq:
        return f"{first} must not be waited for in {IRQS[irq]}"
    if kind == WAIT_CONTEXT:
        return f"{classes[1]} must not be waited for while {first} is held"
    return (
        f"{way}: {first} is taken in {IRQS[irq]}, and {classes[-1]} is held where {IRQS[irq]} can come, which would "
        f"wait for {first} while its holder waits for {classes[-1]}"
    )


def sentence_of(
    what: Usage | Edge, context: str, takes: Acquisition | None, holds: Acquisition | None, operation: str
) -> str:
    """What happens at a place: with ``operation``, or, where nothing is taken, after it."""
    held = holds.lock.holding.format(_name(holds)) if holds else ""
    if takes:
        does = f"{context} calls {operation}" if takes.how is not How.EXCLUSIVE else f"{context} takes {_name(takes)}"
    if isinstance(what, Edge):
        return f"{does} while it {held}"
    if what.where == IN:
        return f"{does} in {IRQS[what.irq]}"
    switched = "interrupts on" if what.irq == HARDIRQ else "softirqs on"
    return f"{does} with {switched}" if takes else f"{context} {held} with {switched}, after {operation}"


def _name(acquisition: Acquisition) -> str:
    return repr(acquisition.lock) + (f" as {acquisition.lock_class}" if acquisition.subclass else "")


def letters_of(seen: Seen, name: str) -> str:
    """The four letters of a class, as in /proc/lockdep."""

    def letter(irq: str, read: bool) -> str:
        on, inside = (Usage(name, irq, where, read) in seen.usages for where in (ON, IN))
        return "?" if on and inside else "+" if on else "-" if inside else "."

    return "".join(letter(irq, read) for irq in (HARDIRQ, SOFTIRQ) for read in (False, True))


def class_of(seen: Seen, name: str) -> LockClass:
    """A class with what was seen of it."""
    inner = seen.wait_types[name][1]
    after = sorted({edge.after for edge in seen.edges if edge.before == name})
    return LockClass(name, letters_of(seen, name), _KINDS[inner] if inner else "", tuple(after))


_KINDS = {WaitType.FREE: "", WaitType.SPIN: "raw spinlock", WaitType.CONFIG: "spinlock", WaitType.SLEEP: "sleeps"}
