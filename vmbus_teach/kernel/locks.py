"""Locks: spin locks in all their variants, and mutexes.

A spin lock keeps its holder's CPU: preemption is off while it is held *and while it is waited
for*. Who waits with interrupts off stays deaf as long. A mutex is waited for asleep, and the CPU
does something else meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from .base import Context, ModelError, Now, Operation, Shared, show
from .cpu import TASKS, change, check_flags, own_level, runs_on
from .lockmap import Acquisition, WaitType


class Nested(NamedTuple):
    """The value of a lock that was taken with a ``_nested`` operation: who holds it, as which subclass."""

    context: Context
    subclass: int

    def __str__(self) -> str:
        return f"{self.context} (nested)"


class Lock(Shared):
    """A lock; its value is the context that holds it, a ``Nested`` with that context, or None."""

    def __init__(self) -> None:
        super().__init__(None)

    def show(self, value: Context | Nested | None) -> str:
        return f"held by {value}" if value else "free"

    def holders(self, value: Any) -> Iterator[tuple[Context, Acquisition]]:
        if isinstance(value, Nested):
            yield value.context, Acquisition(self, subclass=value.subclass)
        elif value is not None:
            yield value, Acquisition(self)


class SpinningLock(Lock):
    """A lock that is waited for by spinning."""


class SpinLock(SpinningLock):
    """``spinlock_t``."""

    wait_type_inner = WaitType.CONFIG


class RawSpinLock(SpinningLock):
    """``raw_spinlock_t``: one that really spins also on a real-time kernel."""

    wait_type_inner = WaitType.SPIN


class Mutex(Lock):
    """``struct mutex``. Any of those who wait may be the next to get it."""

    wait_type_inner = WaitType.SLEEP


def _holder(value: Context | Nested | None) -> Context | None:
    return value.context if isinstance(value, Nested) else value


def _acquire(now: Now, lock: Lock, verb: str, phase: int = 1, subclass: int = 0) -> None:
    holder = _holder(now[lock])
    if holder is now.context:
        now.wait(f"{verb} {lock!r}, which it holds itself", holder, phase=phase)
    if holder is not None:
        now.wait(f"{verb} {lock!r}, held by {holder}", holder, phase=phase)
    now[lock] = Nested(now.context, subclass) if subclass else now.context


def _release(now: Now, lock: Lock) -> None:
    holder = _holder(now[lock])
    if holder is not now.context:
        who = f"{holder} holds it" if holder else "nobody holds it"
        now.fail("error", f"{now.context} unlocks {lock!r}, but {who}")
    now[lock] = None


def _starts_to_spin(now: Now, lock: Lock) -> bool:
    """Whether the context takes its CPU now, to hold it for as long as it spins.

    On a CPU of its own, where no tasklet waits either, nobody can tell a context that spins from
    one that is about to: there it is just blocked, which saves a state.
    """
    cpu = runs_on(now, "a spin lock")
    return not (cpu.private and now[lock] is not None and not now[cpu.softirqs])


# --- what all kinds of spin lock do -----------------------------------------------------------


class _Take(Operation):
    """Takes a spin lock, with ``before`` done to the CPU first and for as long as it is held."""

    lock: SpinningLock
    before: ClassVar[dict[str, Any]] = {"preempt": 1}

    def takes(self, state: Any) -> Iterator[Acquisition]:
        irqs_off, bh_off = self.before.get("irqs_on") is False, "bh" in self.before
        yield Acquisition(self.lock, subclass=_subclass(self), irqs_off=irqs_off, bh_off=bh_off)

    def step(self, now: Now) -> Any:
        if now.phase == 0 and _starts_to_spin(now, self.lock):
            change(now, **self.before)
        _acquire(now, self.lock, "spins for", subclass=_subclass(self))


class _TakeNested(_Take):
    """Takes a spin lock while another of its class is held, in an order that the caller vouches for."""

    subclass: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_subclass(self)


def _subclass(operation: Operation) -> int:
    """The annotation of a ``_nested`` operation; 0, a class's own, of every other."""
    return getattr(operation, "subclass", 0)


def _check_subclass(operation: Any) -> None:
    """The kernel has room for subclasses 0 to 7."""
    if type(operation.subclass) is not int or operation.subclass not in range(8):
        raise ModelError(
            f"{type(operation).__name__}: subclass = {show(operation.subclass)}; it is a number from 0 (the lock's own "
            "class) to 7. One that is nested in another of its class takes 1, SINGLE_DEPTH_NESTING in C."
        )


class _TakeSavingFlags(Operation):
    """Takes a spin lock with interrupts off; the result says whether they were on."""

    lock: SpinningLock

    def takes(self, state: Any) -> Iterator[Acquisition]:
        yield Acquisition(self.lock, irqs_off=True)

    def step(self, now: Now) -> bool:
        # While it spins, interrupts are off: the phase remembers what they were before.
        flags = own_level(now).irqs_on if now.phase == 0 else now.phase == _WERE_ON
        if now.phase == 0 and _starts_to_spin(now, self.lock):
            change(now, irqs_on=False, preempt=1)
        _acquire(now, self.lock, "spins for", _WERE_ON if flags else _WERE_OFF)
        return flags


_WERE_ON, _WERE_OFF = 1, 2


class _Release(Operation):
    """Releases a spin lock, then does ``after`` to the CPU."""

    lock: SpinningLock
    after: ClassVar[dict[str, Any]] = {"preempt": -1}

    def step(self, now: Now) -> None:
        _release(now, self.lock)
        change(now, **self.after)


class _ReleaseRestoringFlags(Operation):
    """Releases a spin lock and puts interrupts back as they were when ``flags`` was saved."""

    lock: SpinningLock
    flags: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flags(self)

    def step(self, now: Now) -> None:
        _release(now, self.lock)
        change(now, irqs_on=self.flags, preempt=-1)


# --- spin locks -------------------------------------------------------------------------------


class spin_lock(_Take):
    """Takes the lock; interrupts stay as they are."""

    lock: SpinLock


class spin_lock_nested(_TakeNested):
    """As ``spin_lock``, for a lock whose class is held already; lockdep takes ``subclass`` for another class.

    What makes the order of the two safe is the caller's affair.
    """

    lock: SpinLock
    subclass: int = 1


class spin_lock_bh(_Take):
    """Takes the lock with softirqs off."""

    lock: SpinLock
    before: ClassVar[dict[str, Any]] = {"bh": 1}


class spin_lock_irq(_Take):
    """Takes the lock with interrupts off."""

    lock: SpinLock
    before: ClassVar[dict[str, Any]] = {"irqs_on": False, "preempt": 1}


class spin_lock_irqsave(_TakeSavingFlags):
    """Takes the lock with interrupts off; the result says whether they were on.

    ``flags = yield spin_lock_irqsave(lock)``
    """

    lock: SpinLock


class spin_trylock(Operation):
    """Takes the lock if it is free; the result says whether it did."""

    lock: SpinLock

    def step(self, now: Now) -> bool:
        if now[self.lock] is not None:
            return False
        change(now, preempt=1)
        now[self.lock] = now.context
        return True


class spin_unlock(_Release):
    """Releases the lock; interrupts stay as they are."""

    lock: SpinLock


class spin_unlock_bh(_Release):
    """Releases the lock and switches softirqs on again; tasklets that wait run at once."""

    lock: SpinLock
    after: ClassVar[dict[str, Any]] = {"bh": -1}


class spin_unlock_irq(_Release):
    """Releases the lock and switches interrupts on, **whatever they were before**."""

    lock: SpinLock
    after: ClassVar[dict[str, Any]] = {"irqs_on": True, "preempt": -1}


class spin_unlock_irqrestore(_ReleaseRestoringFlags):
    """Releases the lock and puts interrupts back as they were when ``flags`` was saved."""

    lock: SpinLock


class raw_spin_lock(_Take):
    """As ``spin_lock``, for a raw lock."""

    lock: RawSpinLock


class raw_spin_lock_nested(_TakeNested):
    """As ``spin_lock_nested``, for a raw lock."""

    lock: RawSpinLock
    subclass: int = 1


class raw_spin_unlock(_Release):
    """As ``spin_unlock``, for a raw lock."""

    lock: RawSpinLock


class raw_spin_lock_irqsave(_TakeSavingFlags):
    """As ``spin_lock_irqsave``, for a raw lock."""

    lock: RawSpinLock


class raw_spin_unlock_irqrestore(_ReleaseRestoringFlags):
    """As ``spin_unlock_irqrestore``, for a raw lock."""

    lock: RawSpinLock


# --- mutexes ------------------------------------------------------------------------------------


class mutex_lock(Operation):
    """Takes the mutex; sleeps while another context holds it."""

    lock: Mutex
    sleeps: ClassVar[bool] = True

    def takes(self, state: Any) -> Iterator[Acquisition]:
        yield Acquisition(self.lock, subclass=_subclass(self))

    def step(self, now: Now) -> None:
        _acquire(now, self.lock, "waits for", subclass=_subclass(self))


class mutex_lock_nested(mutex_lock):
    """As ``mutex_lock``, for a mutex whose class is held already; see ``spin_lock_nested``."""

    lock: Mutex
    subclass: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_subclass(self)


class mutex_trylock(Operation):
    """Takes the mutex if it is free; the result says whether it did. Never sleeps; not for handlers."""

    lock: Mutex

    def step(self, now: Now) -> bool:
        if now.context.kind not in TASKS:
            now.fail("error", f"{now.context} is no task and calls {self}: a mutex belongs to a task")
        if now[self.lock] is not None:
            return False
        now[self.lock] = now.context
        return True


class mutex_unlock(Operation):
    """Releases the mutex."""

    lock: Mutex

    def step(self, now: Now) -> None:
        _release(now, self.lock)


#: The operations that take a lock, or try to.
TAKES = (_Take, _TakeSavingFlags, spin_trylock, mutex_lock, mutex_trylock)
