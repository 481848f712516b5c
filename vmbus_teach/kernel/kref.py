"""Reference counts: an object lives as long as somebody counts on it.

    channel = yield kzalloc(self.vmbus_channel)          # with refs=inside(Kref): counted once, for who allocates it
    yield kref_get(channel.refs)
    if (yield kref_put(channel.refs)):                   # the last one goes
        yield kfree(channel)

Who gets a reference must have one already, or hold a lock under which the object cannot lose its last one.
In C, ``kref_put`` itself calls a function for the last reference; here the program does what comes then.
(Source: include/linux/kref.h and lib/refcount.c, Linux 6.1. The model has no saturation: a count that has been
broken ends the schedule, where the kernel warns and leaks the object.)
"""

from __future__ import annotations

from typing import ClassVar

from .base import Now, Operation, Shared
from .memory import ReadModifyWrite


class Kref(Shared):
    """``struct kref``; its value counts the references. It begins with one, as after ``kref_init``."""

    def __init__(self, references: int = 1) -> None:
        super().__init__(references)

    def show(self, value: int) -> str:
        return f"{value} reference" + ("" if value == 1 else "s")


class _Counted(ReadModifyWrite):
    """Works on a count; the guest's own, never the host's."""

    kref: Kref
    host: ClassVar[bool] = False
    access: ClassVar[str] = ""  # no cell; the count is atomic, and never part of a data race


class kref_get(_Counted):
    """One reference more. There must be one already: counting up from 0 is a failure."""

    ordering: ClassVar[str] = "once"

    def step(self, now: Now) -> None:
        if now[self.kref] == 0:
            now.fail("error", f"{now.context} gets a reference from {self.kref!r}, which has none left")
        now[self.kref] += 1


class kref_get_unless_zero(_Counted):
    """One reference more, unless there is none left; the result says whether it did."""

    def step(self, now: Now) -> bool:
        if now[self.kref] == 0:
            return False
        now[self.kref] += 1
        return True


class kref_read(Operation):
    """How many references there are at this moment."""

    kref: Kref
    ordering: ClassVar[str] = "once"

    def step(self, now: Now) -> int:
        return int(now[self.kref])


class refcount_dec_not_one(_Counted):
    """One reference less, unless it is the last; the result says whether it did.

    A put that must hold a lock for the last reference, and only for that, begins with it (``kref_put_lock``).
    """

    def step(self, now: Now) -> bool:
        if now[self.kref] == 0:
            now.fail("error", f"{now.context} puts a reference of {self.kref!r}, which has none left")
        if now[self.kref] == 1:
            return False
        now[self.kref] -= 1
        return True


class kref_put(_Counted):
    """One reference less; the result says whether it was the last: then the caller must free the object."""

    def step(self, now: Now) -> bool:
        if now[self.kref] == 0:
            now.fail("error", f"{now.context} puts a reference of {self.kref!r}, which has none left")
        now[self.kref] -= 1
        return bool(now[self.kref] == 0)
