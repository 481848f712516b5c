"""Memory: cells, and every way to read and write one.

A cell holds one immutable value: a number, a pointer (a kernel object), a tuple, a frozenset.
Memory is sequentially consistent: each operation takes effect at once for everybody. The
orderings (once, acquire, release, full) are kept on the operations, for the reader and for the
check of data races; here they do not change what a program can see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from .base import ModelError, Now, Operation, Shared, show


class Cell(Shared):
    """One memory location.

    >>> Cell(0), Cell(frozenset({7}))
    (<Cell>, <Cell>)
    """


class Load(Operation):
    """Reads a cell; the result is its value. The subclasses differ in what they promise."""

    cell: Cell
    host: ClassVar[bool] = True
    access: ClassVar[str] = "r"

    def step(self, now: Now) -> Any:
        return now[self.cell]


class Store(Operation):
    """Writes a cell. The subclasses differ in what they promise."""

    cell: Cell
    value: Any
    host: ClassVar[bool] = True
    access: ClassVar[str] = "w"

    def step(self, now: Now) -> None:
        now[self.cell] = self.value


class load(Load):
    """A plain read, as ``x`` in C. With a concurrent write it is a data race."""

    ordering: ClassVar[str] = "plain"


class store(Store):
    """A plain write, as ``x = v`` in C. With any concurrent access it is a data race."""

    ordering: ClassVar[str] = "plain"


class READ_ONCE(Load):
    """A read that the compiler may neither tear, repeat nor leave out."""

    ordering: ClassVar[str] = "once"


class WRITE_ONCE(Store):
    """A write that the compiler may neither tear, repeat nor leave out."""

    ordering: ClassVar[str] = "once"


class smp_load_acquire(Load):
    """A read that comes before everything after it in the program."""

    ordering: ClassVar[str] = "acquire"


class smp_store_release(Store):
    """A write that comes after everything before it in the program."""

    ordering: ClassVar[str] = "release"


class smp_store_mb(Store):
    """A write followed by a full barrier."""

    ordering: ClassVar[str] = "full"


class virt_store_mb(smp_store_mb):
    """As ``smp_store_mb``, also on a one-CPU guest: the other side may be the host."""


class atomic_read(READ_ONCE):
    """Reads an atomic counter."""


class atomic_set(WRITE_ONCE):
    """Writes an atomic counter."""


class smp_mb(Operation):
    """A full barrier: orders this CPU's accesses before it with those after it."""

    ordering: ClassVar[str] = "full"
    host: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        """Memory is sequentially consistent, so there is nothing left to order."""


class smp_rmb(smp_mb):
    """A barrier for reads."""


class smp_wmb(smp_mb):
    """A barrier for writes."""


class virt_mb(smp_mb):
    """A full barrier, also on a one-CPU guest."""


class barrier(smp_mb):
    """A barrier for the compiler alone."""

    ordering: ClassVar[str] = "once"


class ReadModifyWrite(Operation):
    """Reads a cell and writes it in one indivisible step.

    Those that return a value are fully ordered, the others order nothing (source: ORDERING in
    Documentation/atomic_t.txt, v6.1).
    """

    host: ClassVar[bool] = True
    ordering: ClassVar[str] = "full"
    access: ClassVar[str] = "rw"


class xchg(ReadModifyWrite):
    """Writes ``value``; the result is what was there before."""

    cell: Cell
    value: Any

    def step(self, now: Now) -> Any:
        old = now[self.cell]
        now[self.cell] = self.value
        return old


class cmpxchg(ReadModifyWrite):
    """Writes ``new`` if the cell holds ``old``; the result is what was there before."""

    cell: Cell
    old: Any
    new: Any

    def step(self, now: Now) -> Any:
        found = now[self.cell]
        if found == self.old:
            now[self.cell] = self.new
        return found


def _number(cell: Cell, value: Any, what: str) -> int:
    if not isinstance(value, int):
        raise ModelError(f"{what} needs a number in {cell!r}, which holds {show(value)}.")
    return value


class _Counting(ReadModifyWrite):
    """Adds to a cell that holds a number."""

    cell: Cell

    def _add(self, now: Now, amount: int) -> tuple[int, int]:
        old = _number(self.cell, now[self.cell], type(self).__name__)
        now[self.cell] = old + amount
        return old, old + amount


class atomic_inc(_Counting):
    """Adds 1; no result."""

    ordering: ClassVar[str] = "once"

    def step(self, now: Now) -> None:
        self._add(now, 1)


class atomic_dec(_Counting):
    """Subtracts 1; no result."""

    ordering: ClassVar[str] = "once"

    def step(self, now: Now) -> None:
        self._add(now, -1)


class atomic_inc_return(_Counting):
    """Adds 1; the result is the new value."""

    def step(self, now: Now) -> int:
        return self._add(now, 1)[1]


class atomic_dec_return(_Counting):
    """Subtracts 1; the result is the new value."""

    def step(self, now: Now) -> int:
        return self._add(now, -1)[1]


class atomic_dec_and_test(_Counting):
    """Subtracts 1; the result says whether that made it 0."""

    def step(self, now: Now) -> bool:
        return self._add(now, -1)[1] == 0


class atomic_inc_not_zero(_Counting):
    """Adds 1 unless the value is 0; the result says whether it did."""

    def step(self, now: Now) -> bool:
        if _number(self.cell, now[self.cell], "atomic_inc_not_zero") == 0:
            return False
        self._add(now, 1)
        return True


class atomic_fetch_add(ReadModifyWrite):
    """Adds ``amount``; the result is the old value."""

    amount: int
    cell: Cell

    def step(self, now: Now) -> int:
        old = _number(self.cell, now[self.cell], type(self).__name__)
        now[self.cell] = old + self.amount
        return old


class atomic_add(atomic_fetch_add):
    """Adds ``amount``; no result."""

    ordering: ClassVar[str] = "once"

    def step(self, now: Now) -> None:  # type: ignore[override]
        super().step(now)


class _Bit(ReadModifyWrite):
    """Works on bit ``nr`` of a cell that holds a number."""

    nr: int
    cell: Cell

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nr < 0:
            raise ModelError(f"{type(self).__name__} is given bit {self.nr}; bits are numbered from 0.")

    def _put(self, now: Now, on: bool) -> bool:
        """Sets or clears the bit; returns whether it was set before."""
        word = _number(self.cell, now[self.cell], type(self).__name__)
        now[self.cell] = word | 1 << self.nr if on else word & ~(1 << self.nr)
        return bool(word >> self.nr & 1)


class test_bit(_Bit):
    """Whether the bit is set (a plain question; nothing is written)."""

    access: ClassVar[str] = "r"
    ordering: ClassVar[str] = "once"

    def step(self, now: Now) -> bool:
        return bool(_number(self.cell, now[self.cell], "test_bit") >> self.nr & 1)


class set_bit(_Bit):
    """Sets the bit; no result."""

    ordering: ClassVar[str] = "once"

    def step(self, now: Now) -> None:
        self._put(now, True)


class clear_bit(_Bit):
    """Clears the bit; no result."""

    ordering: ClassVar[str] = "once"

    def step(self, now: Now) -> None:
        self._put(now, False)


class test_and_set_bit(_Bit):
    """Sets the bit; the result says whether it was set before."""

    def step(self, now: Now) -> bool:
        return self._put(now, True)


class test_and_clear_bit(_Bit):
    """Clears the bit; the result says whether it was set before."""

    def step(self, now: Now) -> bool:
        return self._put(now, False)


class sync_test_and_clear_bit(test_and_clear_bit):
    """As ``test_and_clear_bit``, also against the host on a one-CPU guest."""


class smp_cond_load_relaxed(Operation):
    """Spins until ``predicate(value)`` is true; the result is that value.

    The waiting is one blocked choice, not a loop of reads. It does not switch preemption off: a
    task that waits so can be preempted; a handler that waits so keeps its CPU.
    """

    cell: Cell
    predicate: Callable[[Any], bool]
    host: ClassVar[bool] = True
    ordering: ClassVar[str] = "once"
    access: ClassVar[str] = "r"

    def step(self, now: Now) -> Any:
        value = now[self.cell]
        if not self._holds(value):
            now.wait(f"waits for {self.cell!r} to change, which is {self.cell.show(value)}")
        return value

    def _holds(self, value: Any) -> bool:
        asked = f"the predicate {show(self.predicate)} of {type(self).__name__} is asked about {show(value)}"
        try:
            holds: Any = self.predicate(value)
        except Exception as error:
            raise ModelError(f"{asked} and raises {type(error).__name__}: {error}.") from error
        if isinstance(holds, Iterator):
            raise ModelError(f"{asked} and yields. It must be a plain function of the value that returns.")
        return bool(holds)


class smp_cond_load_acquire(smp_cond_load_relaxed):
    """As ``smp_cond_load_relaxed``, and what follows comes after it."""

    ordering: ClassVar[str] = "acquire"


class choose(Operation):
    """Takes any of ``values``: where the model leaves open what happens (an allocation that may fail)."""

    values: tuple[Any, ...]
    host: ClassVar[bool] = True
    chooses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple) or not self.values:
            raise ModelError(
                f"choose takes a tuple with at least one value, not {show(self.values)}. "
                "Write choose((True, False))."
            )

    def alternatives(self, now: Now) -> tuple[Any, ...]:
        return self.values

    def step(self, now: Now) -> Any:
        return now.alternative
