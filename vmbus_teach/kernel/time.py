"""Time: what arrives from outside, and waiting for a while.

A search has no clock: there, each of these is a step that changes nothing and that is always possible, so that
what follows may come at any moment. In a simulation (``simulate``) it takes the time that it says.
"""

from __future__ import annotations

from typing import ClassVar

from .base import ModelError, Now, Operation, Shared


class Traffic(Shared):
    """Something that arrives from outside, again and again: packets, requests, writes to a file.

    When, is told to the simulation: ``simulate(..., traffic={"packets": poisson(per_second=1000)})``.
    """

    def __init__(self) -> None:
        super().__init__(None)


class _Passes(Operation):
    """Changes nothing; only time goes by."""

    host: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        """Nothing."""


class next_arrival(_Passes):
    """Waits for the next arrival of ``traffic``; no time at all, if it has come already."""

    traffic: Traffic
    sleeps: ClassVar[bool] = True
    frees_the_cpu: ClassVar[bool] = True


class ndelay(_Passes):
    """Keeps the CPU busy for ``nsecs`` nanoseconds, in a handler, too."""

    nsecs: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nsecs < 0:
            raise ModelError(f"ndelay({self.nsecs}): a time is 0 or more, in nanoseconds.")


class usleep_range(_Passes):
    """Sleeps for ``least`` to ``most`` microseconds."""

    least: int
    most: int
    sleeps: ClassVar[bool] = True
    frees_the_cpu: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.least <= self.most:
            raise ModelError(
                f"usleep_range({self.least}, {self.most}): give the least and the most, in microseconds, as in "
                "usleep_range(100, 200)."
            )
