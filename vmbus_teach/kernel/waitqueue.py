"""Wait queues: who is to be told when something happens, by a **callback** that whoever makes it happen executes.

A task that sleeps is hooked with a callback that wakes it; KVM hooks one that injects an interrupt. The queue's lock is
held, with interrupts off, while callbacks run, so none of them may sleep. What takes several steps (``add_wait_queue``,
``wake_up_poll``) is a program, in scenarios/eventfd.py; here is what they work on. (Source: kernel/sched/wait.c, v6.1.)
"""

from __future__ import annotations

from typing import Any

from .base import Now, Operation, Program, Shared, check_program, listed
from .heap import check_in_use

#: Bits of a wake-up's key: what has happened (include/uapi/asm-generic/poll.h).
POLLIN, POLLHUP = 0x0001, 0x0010


class WaitQueueHead(Shared):
    """``wait_queue_head_t``, without its lock; its value holds the entries, first come first."""

    def __init__(self) -> None:
        super().__init__((), words=lambda entries: listed((entry.owner or entry for entry in entries), "nobody"))

    def begin_with(self, *entries: WaitEntry) -> None:
        """Who is hooked from the start; for ``setup``."""
        self.initial = entries
        for entry in entries:
            entry.initial = self


class WaitEntry(Shared):
    """``wait_queue_entry_t``: a wake-up executes ``func(*args, key)``. Its value: where it is hooked, or None."""

    def __init__(self, func: Program, *args: Any) -> None:
        check_program(func, "WaitEntry")
        super().__init__(None)
        self.func = func
        self.args = args

    def show(self, value: WaitQueueHead | None) -> str:
        return f"hooked on {value!r}" if value else "not hooked"


class add_wait_entry(Operation):
    """Hooks the entry as the last one; the caller holds the queue's lock (``__add_wait_queue``)."""

    head: WaitQueueHead
    entry: WaitEntry

    def step(self, now: Now) -> None:
        if now[self.entry] is not None:
            now.fail("error", f"{now.context} hooks {self.entry!r}, which is hooked already")
        now[self.head] = (*now[self.head], self.entry)
        now[self.entry] = self.head


class remove_wait_entry(Operation):
    """Unhooks the entry; the caller holds the queue's lock (``__remove_wait_queue``). A failure if it is not hooked."""

    head: WaitQueueHead
    entry: WaitEntry

    def step(self, now: Now) -> None:
        if self.entry not in now[self.head]:
            now.fail("error", f"{now.context} unhooks {self.entry!r}, which is not hooked on {self.head!r}")
        now[self.head] = tuple(entry for entry in now[self.head] if entry is not self.entry)
        now[self.entry] = None


class wait_entries(Operation):
    """The entries that a wake-up calls, in order. One that lies in freed memory is found here."""

    head: WaitQueueHead

    def step(self, now: Now) -> tuple[WaitEntry, ...]:
        for entry in now[self.head]:
            check_in_use(now, entry)
        return now[self.head]  # type: ignore[no-any-return]
