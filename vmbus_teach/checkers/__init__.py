"""Checks that watch every step; one small file each.

A check that looks at single steps has two methods: ``before(now, operation)``, asked when a
program is about to execute an operation, and ``returned(now)``, asked when a program has
returned. Both may ``now.fail(kind, message)``. What they read becomes part of the step's
footprint, so they cost nothing once a step is known.

A check that looks at whole states is a function of ``(machine, state)`` in ``STATE_CHECKS``
(asked everywhere) or ``END_CHECKS`` (asked where nothing is left to do).
"""

from __future__ import annotations

from typing import Protocol

from ..kernel.base import Now, Operation
from .atomic_sleep import AtomicSleep
from .freed_memory import FreedMemory
from .left_behind import LeftBehind


class StepCheck(Protocol):
    """What a check of single steps looks like."""

    def before(self, now: Now, operation: Operation) -> None: ...

    def returned(self, now: Now) -> None: ...


STEP_CHECKS: tuple[StepCheck, ...] = (FreedMemory(), AtomicSleep(), LeftBehind())
