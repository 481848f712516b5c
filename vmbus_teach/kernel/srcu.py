"""Sleepable RCU: readers of one **domain**, who may sleep, and updaters who wait for just those readers.

    self.srcu = Srcu()                                   # in setup; or in an object: srcu=inside(Srcu)
    index = yield srcu_read_lock(self.srcu)              # in a program
    yield srcu_read_unlock(self.srcu, index)

A grace period waits for the read-side sections of its own domain that were there at the call, and for nothing else:
neither for readers of other domains nor for whoever has preemption off. So it is no harm that readers sleep; who
never leaves holds up one domain only. (Source: kernel/rcu/srcutree.c, v6.1. There, two sets of counters stand for the
sections, and the index says which set a section is counted in. Here each section is known by itself, and of the index
a program knows only that it must be handed back. How two counters come to do, scenarios/srcu_counters.py shows.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from .base import Context, Now, Operation, Shared, listed
from .lockmap import Acquisition, How


class Section(NamedTuple):
    """A read-side critical section that somebody is in."""

    reader: Context
    number: int

    def __str__(self) -> str:
        return str(self.reader)


class CleanedUp(NamedTuple):
    """The value of a domain whose counters have been freed."""

    by: Context


class Srcu(Shared):
    """``struct srcu_struct``, a domain. Its value: the sections that somebody is in, or that it was cleaned up."""

    holding = "is inside {}"

    def __init__(self) -> None:
        super().__init__(())
        #: Grace periods that are waited for: (who waits, the sections that are still to end).
        self.grace = Shared((), words=_show_grace)

    def parts(self) -> Iterator[tuple[str, Shared]]:
        yield " waited for", self.grace

    def show(self, value: tuple[Section, ...] | CleanedUp) -> str:
        return "cleaned up" if isinstance(value, CleanedUp) else listed(map(str, value), "no readers")

    def holders(self, value: tuple[Section, ...] | CleanedUp) -> Iterator[tuple[Context, Acquisition]]:
        for section in () if isinstance(value, CleanedUp) else value:
            yield section.reader, Acquisition(self, How.RECURSIVE_READ)


def _show_grace(waiting: tuple[tuple[Context, frozenset[Section]], ...]) -> str:
    return listed(f"{who} waits for {listed(map(str, _in_order(sections)), 'nobody')}" for who, sections in waiting)


def _in_order(sections: frozenset[Section] | tuple[Section, ...]) -> tuple[Section, ...]:
    return tuple(sorted(sections, key=lambda section: (section.reader.index, section.number)))


def _sections(now: Now, domain: Srcu) -> tuple[Section, ...]:
    """Who is inside; fails if the domain's counters are no more."""
    value = now[domain]
    if isinstance(value, CleanedUp):
        who = "it" if value.by is now.context else value.by
        now.fail("use-after-free", f"{now.context} uses {domain!r} after {who} called cleanup_srcu_struct")
    return value  # type: ignore[no-any-return]


class srcu_read_lock(Operation):
    """Enters a read-side section of the domain; never waits. The result is what ``srcu_read_unlock`` wants back."""

    domain: Srcu

    def takes(self, state: Any) -> Iterator[Acquisition]:
        yield Acquisition(self.domain, How.RECURSIVE_READ)

    def step(self, now: Now) -> int:
        inside = _sections(now, self.domain)
        mine = {section.number for section in inside if section.reader is now.context}
        index = next(i for i in range(len(mine) + 1) if i not in mine)
        now[self.domain] = _in_order((*inside, Section(now.context, index)))
        return index


class srcu_read_unlock(Operation):
    """Leaves the section that ``srcu_read_lock`` gave ``index`` for."""

    domain: Srcu
    index: int

    def step(self, now: Now) -> None:
        inside, mine = _sections(now, self.domain), Section(now.context, self.index)
        if mine not in inside:
            own = [section.number for section in inside if section.reader is now.context]
            why = f"is in the section with index {listed(map(str, own))}" if own else "is in no section of it"
            now.fail("error", f"{now.context} calls {self}, and {why}")
        now[self.domain] = tuple(section for section in inside if section != mine)
        if now[self.domain.grace]:
            now[self.domain.grace] = tuple((who, sections - {mine}) for who, sections in now[self.domain.grace])


class synchronize_srcu(Operation):
    """Sleeps until every section of this domain that somebody is in now has ended.

    Called inside one, it waits for its caller and never returns. Inside a section of another domain it may be called.
    """

    domain: Srcu
    sleeps: ClassVar[bool] = True
    frees_the_cpu: ClassVar[bool] = True

    def takes(self, state: Any) -> Iterator[Acquisition]:
        yield Acquisition(self.domain, How.WAIT)

    def step(self, now: Now) -> None:
        inside, grace = _sections(now, self.domain), self.domain.grace
        if now.phase == 0:
            if not inside:
                return
            now[grace] = (*now[grace], (now.context, frozenset(inside)))
        (mine,) = (entry for entry in now[grace] if entry[0] is now.context)
        if mine[1]:
            now.wait(*self._waits_for(now.context, _in_order(mine[1])))
        now[grace] = tuple(entry for entry in now[grace] if entry is not mine)

    def _waits_for(self, me: Context, sections: tuple[Section, ...]) -> Any:
        """The reason to wait for them, and who they are."""
        who = list(dict.fromkeys(section.reader for section in sections))
        itself = ", so for itself" if me in who else ""
        return (f"waits for the reader{'s' * (len(who) > 1)} {listed(who)} of {self.domain!r}{itself}", *who)


class cleanup_srcu_struct(Operation):
    """Frees the domain's counters: nobody may be inside, or come later.

    With a reader inside, the kernel warns and leaks them; that is a failure here.
    """

    domain: Srcu
    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        inside = _sections(now, self.domain)
        if inside:
            who = listed(dict.fromkeys(map(str, inside)))
            now.fail("error", f"{now.context} calls {self} while {who} is inside")
        now[self.domain] = CleanedUp(now.context)
