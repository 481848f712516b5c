"""When things arrive from outside: the times of ``next_arrival``, in nanoseconds from the start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, runtime_checkable

from ..kernel.base import show
from .costs import TimeError, standard_exponential

SECOND = 1_000_000_000


@runtime_checkable
class Pattern(Protocol):
    """When something arrives."""

    def arrivals(self, rng: Random) -> Iterator[int]:
        """The times, none before the one before it. They may end."""


def times_of(name: str, pattern: Pattern, rng: Random) -> Iterator[int]:
    """The times at which ``name`` arrives. Raises TimeError if the pattern gives none."""
    times = pattern.arrivals(rng)
    if not isinstance(times, Iterator):
        raise TimeError(f"arrivals of {name} gives {show(times)}; it must yield the times, one after the other.")
    return times


def _check_whole(what: str, value: Any, least: int) -> None:
    if type(value) is not int or value < least:
        raise TimeError(f"{what} = {show(value)}; it is a whole number, at least {least}.")


@dataclass(frozen=True)
class poisson:
    """At any moment, no matter what was before: ``per_second`` on average."""

    per_second: float

    def __post_init__(self) -> None:
        rate = self.per_second
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 1e-9 <= rate < float("inf"):
            raise TimeError(f"poisson({show(self.per_second)}): how many arrive per second? At least 1e-9.")

    def arrivals(self, rng: Random) -> Iterator[int]:
        mean, at = SECOND / self.per_second, 0.0
        while True:
            at += mean * standard_exponential(rng)
            yield round(at)


@dataclass(frozen=True)
class periodic:
    """Every ``every`` ns, the first at ``first`` (after one period, if not given)."""

    every: int
    first: int | None = None

    def __post_init__(self) -> None:
        _check_whole("every", self.every, 1)
        if self.first is not None:
            _check_whole("first", self.first, 0)

    def arrivals(self, rng: Random) -> Iterator[int]:
        at = self.every if self.first is None else self.first
        while True:
            yield at
            at += self.every


@dataclass(frozen=True)
class bursts:
    """``size`` at a time, ``spacing`` ns apart; the next burst begins ``every`` ns after the last one did, on average.

    When a burst begins does not depend on the one before it.
    """

    size: int
    every: int
    spacing: int = 0

    def __post_init__(self) -> None:
        _check_whole("size", self.size, 1)
        _check_whole("every", self.every, 1)
        _check_whole("spacing", self.spacing, 0)

    def arrivals(self, rng: Random) -> Iterator[int]:
        begins = last = 0
        while True:
            begins += round(self.every * standard_exponential(rng))
            for number in range(self.size):
                last = max(last, begins + number * self.spacing)
                yield last


@dataclass(frozen=True)
class at_times:
    """At the times of a list, then no more."""

    times: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.times, Iterable):
            raise TimeError(f"at_times({show(self.times)}): give the times, as in at_times([0, 500, 1000]).")
        object.__setattr__(self, "times", tuple(self.times))
        for time in self.times:
            _check_whole("a time of at_times(...)", time, 0)
        if list(self.times) != sorted(self.times):
            raise TimeError("at_times(...): the times must be in order, the first one first.")

    def arrivals(self, rng: Random) -> Iterator[int]:
        yield from self.times
