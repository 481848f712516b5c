"""XArray: entries by index, and the spin lock under which they change.

    self.lpi_xa = XArray({8192: irq})                       # in setup
    irq = yield xa_load(self.lpi_xa, 8192)                  # in a program: no lock needed
    yield from xa_erase(self.lpi_xa, 8192)                  # takes the lock itself, and gives it back

What is found may be freed right after it was found: stay inside ``rcu_read_lock``, or hold the lock. Who takes the lock
himself changes entries by the operations that end in ``_locked``. In C, those begin with two underscores
(``__xa_erase``); Python has another use for such names inside a class.

Each function has three forms. What they do to the CPU is all that tells them apart:

    xa_erase        nothing to interrupts or softirqs
    xa_erase_bh     softirqs off for as long as the lock is held
    xa_erase_irq    interrupts off, and then *on*, whatever they were before

Only the bare lock has a form that saves the interrupt flag and restores it. (Source: include/linux/xarray.h and
lib/xarray.c, v6.1. ``XA_FLAGS_LOCK_IRQ`` changes nothing of the above and is not modelled: it tells a store that may
sleep how to drop the lock while it allocates. Left out as well: marks, ranges, and values that are no pointers.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .base import Fixed, ModelError, Now, Operation, listed, show
from .locks import (
    SpinLock,
    spin_lock,
    spin_lock_bh,
    spin_lock_irq,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_bh,
    spin_unlock_irq,
    spin_unlock_irqrestore,
)
from .memory import Cell

ENOMEM = 12  # what is returned is negative, as in the kernel
GFP_KERNEL, GFP_NOWAIT = "GFP_KERNEL", "GFP_NOWAIT"  # memory that may have to be waited for, and that may not


class _Reserved(Fixed):
    """XA_ZERO_ENTRY: the entry has its memory, and looks empty to everybody."""

    def __repr__(self) -> str:
        return "reserved"


RESERVED = _Reserved()


class XArray(Cell):
    """``struct xarray``; its value is a tuple of (index, entry) in order. ``xa_lock`` is its spin lock.

    ``entries`` are there from the start. With ``may_fail``, storing where nothing is and nothing is reserved may find
    no memory. Raises ModelError for an index that is no number.
    """

    def __init__(self, entries: Mapping[int, Any] | None = None, *, may_fail: bool = False) -> None:
        if not isinstance(entries, Mapping | None):
            raise ModelError(f"XArray takes a dict of entries by index, not {show(entries)}: XArray({{8192: irq}}).")
        wrong = [index for index in entries or () if type(index) is not int or index < 0]
        if wrong:
            raise ModelError(f"XArray: {show(wrong[0])} is no index; an index is a number from 0.")
        super().__init__(tuple(sorted((entries or {}).items())), words=_in_words)
        self.may_fail = may_fail
        self.xa_lock = SpinLock()

    def parts(self) -> Any:
        yield ".xa_lock", self.xa_lock


def _in_words(entries: tuple[tuple[int, Any], ...]) -> str:
    return listed((f"{index}: {show(entry)}" for index, entry in entries), "empty")


# --- the lock ---------------------------------------------------------------------------------------


def _lock_of(xa: XArray, name: str) -> SpinLock:
    if not isinstance(xa, XArray):
        raise ModelError(f"{name} takes an XArray, not {show(xa)}. Give it the XArray that setup made.")
    return xa.xa_lock


def xa_lock(xa: XArray) -> spin_lock:
    """Takes the lock of ``xa``; a macro, as in C."""
    return spin_lock(_lock_of(xa, "xa_lock"))


def xa_lock_bh(xa: XArray) -> spin_lock_bh:
    """Takes the lock of ``xa`` with softirqs off."""
    return spin_lock_bh(_lock_of(xa, "xa_lock_bh"))


def xa_lock_irq(xa: XArray) -> spin_lock_irq:
    """Takes the lock of ``xa`` with interrupts off."""
    return spin_lock_irq(_lock_of(xa, "xa_lock_irq"))


def xa_lock_irqsave(xa: XArray) -> spin_lock_irqsave:
    """Takes the lock of ``xa`` with interrupts off; the result says whether they were on."""
    return spin_lock_irqsave(_lock_of(xa, "xa_lock_irqsave"))


def xa_unlock(xa: XArray) -> spin_unlock:
    """Releases the lock of ``xa``."""
    return spin_unlock(_lock_of(xa, "xa_unlock"))


def xa_unlock_bh(xa: XArray) -> spin_unlock_bh:
    """Releases the lock of ``xa`` and switches softirqs on again."""
    return spin_unlock_bh(_lock_of(xa, "xa_unlock_bh"))


def xa_unlock_irq(xa: XArray) -> spin_unlock_irq:
    """Releases the lock of ``xa`` and switches interrupts on, **whatever they were before**."""
    return spin_unlock_irq(_lock_of(xa, "xa_unlock_irq"))


def xa_unlock_irqrestore(xa: XArray, flags: Any) -> spin_unlock_irqrestore:
    """Releases the lock of ``xa`` and puts interrupts back as they were when ``flags`` was saved."""
    return spin_unlock_irqrestore(_lock_of(xa, "xa_unlock_irqrestore"), flags)


# --- entries ----------------------------------------------------------------------------------------


class _OnEntry(Operation):
    """Works on the entry at ``index``."""

    xa: XArray
    index: int

    def entry(self, now: Now) -> Any:
        """What is there: None where nothing is."""
        return dict(now[self.xa]).get(self.index)

    def put(self, now: Now, entry: Any) -> None:
        """Has ``entry`` there from now on; nothing, if it is None."""
        entries = {**dict(now[self.xa]), self.index: entry}
        now[self.xa] = tuple((index, there) for index, there in sorted(entries.items()) if there is not None)


class xa_load(_OnEntry):
    """Looks an entry up; the result is None where nothing is. Needs no lock."""

    ordering: ClassVar[str] = "once"

    def step(self, now: Now) -> Any:
        return _seen(self.entry(now))


def _seen(entry: Any) -> Any:
    return None if entry is RESERVED else entry


class _Locked(_OnEntry):
    """Changes an entry; the caller holds the lock."""

    ordering: ClassVar[str] = "release"

    def needs_memory(self, now: Now) -> bool:
        """Whether there has to be memory for it, which may not be there."""
        return False

    def alternatives(self, now: Now) -> tuple[Any, ...]:
        return (0, -ENOMEM) if self.xa.may_fail and self.needs_memory(now) else (0,)

    def step(self, now: Now) -> Any:
        holder = now[self.xa.xa_lock]
        if holder is not now.context:
            who = f"{holder} holds it" if holder else "nobody holds it"
            now.fail("error", f"{now.context} calls {self} without {self.xa.xa_lock!r}: {who}")
        return now.alternative or self.change(now)

    def change(self, now: Now) -> Any:
        """Does it; there is memory."""
        raise NotImplementedError


class xa_store_locked(_Locked):
    """``__xa_store``: puts an entry where one was or none; the result is 0, or -ENOMEM."""

    new: Any

    def needs_memory(self, now: Now) -> bool:
        return self.new is not None and self.entry(now) is None

    def change(self, now: Now) -> int:
        self.put(now, self.new)
        return 0


class xa_erase_locked(_Locked):
    """``__xa_erase``: takes the entry away, whatever it is; the result is the entry."""

    def change(self, now: Now) -> Any:
        old = self.entry(now)
        self.put(now, None)
        return _seen(old)


class xa_cmpxchg_locked(_Locked):
    """``__xa_cmpxchg``: puts ``new`` where ``old`` is; the result is what was there, or -ENOMEM."""

    old: Any
    new: Any

    def needs_memory(self, now: Now) -> bool:
        return self.new is not None and self.old is None and self.entry(now) is None

    def change(self, now: Now) -> Any:
        found = self.entry(now)
        if found == self.old:
            self.put(now, self.new)
        return _seen(found)


class might_alloc(Operation):
    """What an allocation that may sleep does first: it sleeps, or could have."""

    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        """Nothing that anybody else can see."""


# --- functions of several steps -----------------------------------------------------------------------


def xa_erase(xa: XArray, index: int) -> Any:
    """Takes the entry away, under the lock; returns it."""
    yield xa_lock(xa)  # takes xa_lock; interrupts stay as they are
    old = yield xa_erase_locked(xa, index)  # takes the entry out
    yield xa_unlock(xa)  # gives xa_lock back
    return old


def xa_erase_bh(xa: XArray, index: int) -> Any:
    """As ``xa_erase``, with softirqs off."""
    yield xa_lock_bh(xa)  # takes xa_lock, softirqs off
    old = yield xa_erase_locked(xa, index)  # takes the entry out
    yield xa_unlock_bh(xa)  # gives xa_lock back, softirqs on
    return old


def xa_erase_irq(xa: XArray, index: int) -> Any:
    """As ``xa_erase``, with interrupts off; they are on afterwards."""
    yield xa_lock_irq(xa)  # takes xa_lock, interrupts off
    old = yield xa_erase_locked(xa, index)  # takes the entry out
    yield xa_unlock_irq(xa)  # gives xa_lock back, interrupts on, whatever they were
    return old


def xa_store(xa: XArray, index: int, entry: Any, gfp: str = GFP_KERNEL) -> Any:
    """Puts an entry there, under the lock; returns 0 or -ENOMEM. With ``GFP_KERNEL`` it may sleep."""
    if gfp == GFP_KERNEL:
        yield might_alloc()  # may sleep until there is memory
    yield xa_lock(xa)  # takes xa_lock; interrupts stay as they are
    error = yield xa_store_locked(xa, index, entry)  # puts the entry in
    yield xa_unlock(xa)  # gives xa_lock back
    return error


def xa_store_bh(xa: XArray, index: int, entry: Any, gfp: str = GFP_KERNEL) -> Any:
    """As ``xa_store``, with softirqs off."""
    if gfp == GFP_KERNEL:
        yield might_alloc()  # may sleep until there is memory
    yield xa_lock_bh(xa)  # takes xa_lock, softirqs off
    error = yield xa_store_locked(xa, index, entry)  # puts the entry in
    yield xa_unlock_bh(xa)  # gives xa_lock back, softirqs on
    return error


def xa_store_irq(xa: XArray, index: int, entry: Any, gfp: str = GFP_KERNEL) -> Any:
    """As ``xa_store``, with interrupts off; they are on afterwards."""
    if gfp == GFP_KERNEL:
        yield might_alloc()  # may sleep until there is memory
    yield xa_lock_irq(xa)  # takes xa_lock, interrupts off
    error = yield xa_store_locked(xa, index, entry)  # puts the entry in
    yield xa_unlock_irq(xa)  # gives xa_lock back, interrupts on, whatever they were
    return error


def xa_reserve(xa: XArray, index: int, gfp: str = GFP_KERNEL) -> Any:
    """Has memory ready for an entry, so that a store needs none; returns 0 or -ENOMEM.

    Where an entry is already, nothing is reserved: once that one goes, a store needs memory again.
    """
    if gfp == GFP_KERNEL:
        yield might_alloc()  # may sleep until there is memory
    yield xa_lock(xa)  # takes xa_lock; interrupts stay as they are
    found = yield xa_cmpxchg_locked(xa, index, None, RESERVED)  # reserves the entry, if nothing is there
    yield xa_unlock(xa)  # gives xa_lock back
    return -ENOMEM if found == -ENOMEM else 0


def xa_reserve_bh(xa: XArray, index: int, gfp: str = GFP_KERNEL) -> Any:
    """As ``xa_reserve``, with softirqs off."""
    if gfp == GFP_KERNEL:
        yield might_alloc()  # may sleep until there is memory
    yield xa_lock_bh(xa)  # takes xa_lock, softirqs off
    found = yield xa_cmpxchg_locked(xa, index, None, RESERVED)  # reserves the entry, if nothing is there
    yield xa_unlock_bh(xa)  # gives xa_lock back, softirqs on
    return -ENOMEM if found == -ENOMEM else 0


def xa_reserve_irq(xa: XArray, index: int, gfp: str = GFP_KERNEL) -> Any:
    """As ``xa_reserve``, with interrupts off; they are on afterwards."""
    if gfp == GFP_KERNEL:
        yield might_alloc()  # may sleep until there is memory
    yield xa_lock_irq(xa)  # takes xa_lock, interrupts off
    found = yield xa_cmpxchg_locked(xa, index, None, RESERVED)  # reserves the entry, if nothing is there
    yield xa_unlock_irq(xa)  # gives xa_lock back, interrupts on, whatever they were
    return -ENOMEM if found == -ENOMEM else 0


def xa_release(xa: XArray, index: int) -> Any:
    """Gives a reservation back, if nothing was stored there. It takes the lock itself, and has this one form only."""
    yield xa_lock(xa)  # takes xa_lock; interrupts stay as they are
    yield xa_cmpxchg_locked(xa, index, RESERVED, None)  # takes the reservation away, if it is one still
    yield xa_unlock(xa)  # gives xa_lock back
