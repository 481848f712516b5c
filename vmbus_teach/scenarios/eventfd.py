"""Eventfds and wait queues, as far as chapter 06 needs them: the functions of the kernel that take several steps.

Each is a program with the kernel's name, to be called with ``yield from self.``. An **eventfd** is a counter that a
program or the kernel adds to, and a queue of those who are to be told: of an event (POLLIN), and that the last file is
closed (POLLHUP). Scenarios derive from ``Eventfd``, and a mutation overrides one of the functions. (Source:
fs/eventfd.c, v6.1. Left out: reading by a task that sleeps, semaphores, several entries that are woken one at a time.)
"""

from __future__ import annotations

from ..kernel import (
    POLLHUP,
    POLLIN,
    READ_ONCE,
    WRITE_ONCE,
    Kref,
    SpinLock,
    Struct,
    WaitQueueHead,
    add_wait_entry,
    inside,
    kfree,
    kref_put,
    remove_wait_entry,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
    wait_entries,
)
from ..scenario import Scenario

#: The largest count (2**64 - 2 or so in the kernel: a search would not end).
LARGEST = 2


class Eventfd(Scenario):
    """What all scenarios with eventfds share. ``setup`` makes contexts with ``eventfd_ctx``."""

    def eventfd_ctx(self, number=1, references=1):
        """``number`` contexts; each has ``references`` references, of which one is the file's."""
        kind = Struct(
            "eventfd",
            capacity=number,
            count=0,
            wqh=inside(WaitQueueHead),
            wqh_lock=inside(SpinLock),  # wqh.lock in C
            refs=inside(lambda ctx: Kref(references)),
        )
        return [kind.new() for _ in range(number)]

    # --- something happens ---------------------------------------------------------------------

    def eventfd_signal(self, ctx):
        flags = yield spin_lock_irqsave(ctx.wqh_lock)  # takes the queue's lock, with interrupts off
        count = yield READ_ONCE(ctx.count)
        yield WRITE_ONCE(ctx.count, min(count + 1, LARGEST))  # counts the event
        yield from self.wake_up_locked_poll(ctx, POLLIN)
        yield spin_unlock_irqrestore(ctx.wqh_lock, flags)

    def eventfd_release(self, ctx):
        yield from self.wake_up_poll(ctx, POLLHUP)
        yield from self.eventfd_ctx_put(ctx)

    def wake_up_poll(self, ctx, key):
        flags = yield spin_lock_irqsave(ctx.wqh_lock)  # takes the queue's lock, with interrupts off
        yield from self.wake_up_locked_poll(ctx, key)
        yield spin_unlock_irqrestore(ctx.wqh_lock, flags)

    def wake_up_locked_poll(self, ctx, key):
        entries = yield wait_entries(ctx.wqh)  # looks who is to be told
        for entry in entries:
            yield from entry.func(*entry.args, key)

    # --- who is told -----------------------------------------------------------------------------

    def add_wait_queue(self, ctx, entry):
        flags = yield spin_lock_irqsave(ctx.wqh_lock)
        yield add_wait_entry(ctx.wqh, entry)  # is told from now on
        yield spin_unlock_irqrestore(ctx.wqh_lock, flags)

    def remove_wait_queue(self, ctx, entry):
        flags = yield spin_lock_irqsave(ctx.wqh_lock)  # waits for the callbacks that run now
        yield remove_wait_entry(ctx.wqh, entry)  # is told no more
        yield spin_unlock_irqrestore(ctx.wqh_lock, flags)

    def eventfd_poll(self, ctx, entry):
        yield from self.add_wait_queue(ctx, entry)
        count = yield READ_ONCE(ctx.count)  # looks what has happened before
        return POLLIN if count else 0

    def eventfd_ctx_do_read(self, ctx):
        count = yield READ_ONCE(ctx.count)  # under wqh.lock: takes the events
        yield WRITE_ONCE(ctx.count, 0)
        return count

    def eventfd_ctx_put(self, ctx):
        last = yield kref_put(ctx.refs)
        if last:
            yield kfree(ctx)  # frees the eventfd's context
