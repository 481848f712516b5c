"""Locks: spin locks in all their variants, and mutexes.

A spin lock keeps its holder's CPU: preemption is off while it is held *and while it is waited
for*. Who waits with interrupts off stays deaf as long. A mutex is waited for asleep, and the CPU
does something else meanwhile.
"""

from __future__ import annotations

from typing import Any, ClassVar

from .base import Context, Now, Operation, Shared
from .cpu import change, own_level, runs_on, saved


class Lock(Shared):
    """A lock; its value is the context that holds it, or None."""

    def __init__(self) -> None:
        super().__init__(None)

    def show(self, value: Context | None) -> str:
        return f"held by {value}" if value else "free"


class SpinLock(Lock):
    """``spinlock_t``."""


class RawSpinLock(SpinLock):
    """``raw_spinlock_t``: one that really spins also on a real-time kernel."""


class Mutex(Lock):
    """``struct mutex``."""


def _acquire(now: Now, lock: Lock, verb: str, phase: int = 1) -> None:
    holder = now[lock]
    if holder is now.context:
        now.wait(f"{verb} {lock!r}, which it holds itself", holder, phase=phase)
    if holder is not None:
        now.wait(f"{verb} {lock!r}, held by {holder}", holder, phase=phase)
    now[lock] = now.context


def _release(now: Now, lock: Lock) -> None:
    holder = now[lock]
    if holder is not now.context:
        who = f"{holder} holds it" if holder else "nobody holds it"
        now.fail("error", f"{now.context} unlocks {lock!r}, but {who}")
    now[lock] = None


class _SpinLock(Operation):
    """Takes a spin lock, with ``before`` done to the CPU first and for as long as it is held."""

    lock: SpinLock
    before: ClassVar[dict[str, Any]] = {"preempt": 1}

    def step(self, now: Now) -> Any:
        cpu = runs_on(now, type(self).__name__)
        if now.phase == 0:
            # On a CPU of its own nobody can tell a context that spins from one that is about to:
            # there it is just blocked. Elsewhere the spinner takes its CPU first.
            if not (cpu.private and now[self.lock] is not None):
                change(now, **self.before)
        _acquire(now, self.lock, "spins for")


class spin_lock(_SpinLock):
    """Takes the lock; interrupts stay as they are."""


class spin_lock_bh(_SpinLock):
    """Takes the lock with softirqs off."""

    before: ClassVar[dict[str, Any]] = {"bh": 1}


class spin_lock_irq(_SpinLock):
    """Takes the lock with interrupts off."""

    before: ClassVar[dict[str, Any]] = {"irqs_on": False, "preempt": 1}


class spin_lock_irqsave(Operation):
    """Takes the lock with interrupts off; the result says whether they were on.

    ``flags = yield spin_lock_irqsave(lock)``
    """

    lock: SpinLock

    def step(self, now: Now) -> bool:
        cpu = runs_on(now, type(self).__name__)
        # While it spins, interrupts are off: the phase remembers what they were before.
        flags = own_level(now).irqs_on if now.phase == 0 else now.phase == _WERE_ON
        if now.phase == 0 and not (cpu.private and now[self.lock] is not None):
            change(now, irqs_on=False, preempt=1)
        _acquire(now, self.lock, "spins for", _WERE_ON if flags else _WERE_OFF)
        return flags


_WERE_ON, _WERE_OFF = 1, 2


class spin_trylock(Operation):
    """Takes the lock if it is free; the result says whether it did."""

    lock: SpinLock

    def step(self, now: Now) -> bool:
        runs_on(now, "spin_trylock")
        if now[self.lock] is not None:
            return False
        change(now, preempt=1)
        now[self.lock] = now.context
        return True


class _SpinUnlock(Operation):
    """Releases a spin lock, then does ``after`` to the CPU."""

    lock: SpinLock
    after: ClassVar[dict[str, Any]] = {"preempt": -1}

    def step(self, now: Now) -> None:
        _release(now, self.lock)
        change(now, **self.after)


class spin_unlock(_SpinUnlock):
    """Releases the lock; interrupts stay as they are."""


class spin_unlock_bh(_SpinUnlock):
    """Releases the lock and switches softirqs on again."""

    after: ClassVar[dict[str, Any]] = {"bh": -1}


class spin_unlock_irq(_SpinUnlock):
    """Releases the lock and switches interrupts on, **whatever they were before**."""

    after: ClassVar[dict[str, Any]] = {"irqs_on": True, "preempt": -1}


class spin_unlock_irqrestore(Operation):
    """Releases the lock and puts interrupts back as they were when ``flags`` was saved."""

    lock: SpinLock
    flags: bool

    def step(self, now: Now) -> None:
        _release(now, self.lock)
        change(now, irqs_on=saved(self.flags), preempt=-1)


class raw_spin_lock_irqsave(spin_lock_irqsave):
    """As ``spin_lock_irqsave``, for a raw lock."""

    lock: RawSpinLock


class raw_spin_unlock_irqrestore(spin_unlock_irqrestore):
    """As ``spin_unlock_irqrestore``, for a raw lock."""

    lock: RawSpinLock


class mutex_lock(Operation):
    """Takes the mutex; sleeps while another context holds it."""

    lock: Mutex
    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        runs_on(now, "mutex_lock")
        _acquire(now, self.lock, "waits for")


class mutex_trylock(Operation):
    """Takes the mutex if it is free; the result says whether it did. Never sleeps."""

    lock: Mutex

    def step(self, now: Now) -> bool:
        runs_on(now, "mutex_trylock")
        if now[self.lock] is not None:
            return False
        now[self.lock] = now.context
        return True


class mutex_unlock(Operation):
    """Releases the mutex."""

    lock: Mutex

    def step(self, now: Now) -> None:
        _release(now, self.lock)
