"""Lists: objects on a ``struct list_head``, and what comes of following a pointer of one that has left it.

    self.kvm = Struct("kvm", irqfds=inside(ListHead)).new()          # in setup
    self.irqfd = Struct("irqfd", list=inside(ListEntry)).new()
    yield list_add_tail(self.irqfd.list, self.kvm.irqfds)            # in a program
    irqfd = yield list_first(self.kvm.irqfds)                        # an object, or None
    irqfd = yield list_next(irqfd.list)

Nothing here is a lock: who changes a list while another walks it needs one. Each operation is one step, as far as a
walker can tell: the pointer that it follows next is written in one. (Source: include/linux/list.h, v6.1.)
"""

from __future__ import annotations

from typing import Any

from .base import Now, Operation, Shared, listed
from .heap import check_in_use

#: The value of an entry after ``list_del``: its pointers lead nowhere (LIST_POISON1 and 2).
POISONED = "poisoned"


class ListHead(Shared):
    """A list; its value holds the entries, first to last."""

    def __init__(self) -> None:
        super().__init__((), words=lambda entries: listed((_object(entry) for entry in entries), "empty"))

    def begin_with(self, *entries: ListEntry) -> None:
        """What is on the list from the start; for ``setup``."""
        self.initial = entries
        for entry in entries:
            entry.initial = self


class ListEntry(Shared):
    """The ``struct list_head`` in an object. Its value: the list that it is on, None (a list of its own), or poison."""

    def __init__(self) -> None:
        super().__init__(None)

    def show(self, value: ListHead | str | None) -> str:
        return f"on {value!r}" if isinstance(value, ListHead) else value or "on no list"


def _object(entry: ListEntry) -> Any:
    """What the entry lies in: what the program works with."""
    return entry.owner or entry


def _place(now: Now, entry: ListEntry, what: str) -> tuple[ListHead, int]:
    """Its list and its position there; fails where it is on none, or where a neighbour has been freed."""
    head = now[entry]
    if not isinstance(head, ListHead):
        why = "has been taken off its list" if head == POISONED else "is on no list"
        now.fail("error", f"{now.context} {what} {_object(entry)!r}, which {why}")
    return head, now[head].index(entry)


def _take_off(now: Now, entry: ListEntry, then: Any) -> None:
    head, at = _place(now, entry, "takes off a list")
    entries = now[head]
    check_in_use(now, head)
    for neighbour in entries[max(0, at - 1) : at] + entries[at + 1 : at + 2]:
        check_in_use(now, neighbour)  # its pointer is written, too
    now[head] = entries[:at] + entries[at + 1 :]
    now[entry] = then


class list_add_tail(Operation):
    """Puts the entry last on the list."""

    entry: ListEntry
    head: ListHead

    def step(self, now: Now) -> None:
        if isinstance(now[self.entry], ListHead):
            where = now[self.entry]
            now.fail("error", f"{now.context} puts {_object(self.entry)!r} on {self.head!r}, but it is on {where!r}")
        for neighbour in now[self.head][-1:]:
            check_in_use(now, neighbour)
        now[self.head] = (*now[self.head], self.entry)
        now[self.entry] = self.head


class list_del(Operation):
    """Takes the entry off its list and poisons its pointers. A failure if that has been done before.

    Of an entry that never was on a list, it just poisons the pointers.
    """

    entry: ListEntry

    def step(self, now: Now) -> None:
        if now[self.entry] is None:
            now[self.entry] = POISONED
        else:
            _take_off(now, self.entry, POISONED)


class list_del_init(Operation):
    """Takes the entry off its list and makes it a list of its own, which is empty. Harmless if it is that already."""

    entry: ListEntry

    def step(self, now: Now) -> None:
        if now[self.entry] is not None:
            _take_off(now, self.entry, None)


class list_empty(Operation):
    """Whether a list is empty; of an entry: whether it is on no list. An entry that was poisoned is not empty."""

    entry: ListHead | ListEntry

    def step(self, now: Now) -> bool:
        return now[self.entry] in ((), None)


class list_first(Operation):
    """The first object on the list, or None."""

    head: ListHead

    def step(self, now: Now) -> Any:
        entries = now[self.head]
        return _object(entries[0]) if entries else None


class list_next(Operation):
    """The object after this one, or None. A failure if the entry has left its list: its pointer leads nowhere."""

    entry: ListEntry

    def step(self, now: Now) -> Any:
        head, at = _place(now, self.entry, "goes on from")
        after = now[head][at + 1 : at + 2]
        return _object(after[0]) if after else None
