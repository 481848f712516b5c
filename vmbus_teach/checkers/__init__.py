"""Checks that watch every step; one small file each.

A check that looks at single steps is a ``StepCheck``, listed in ``STEP_CHECKS`` below. What it
reads becomes part of the step's footprint, so it costs nothing once a step is known.

A check that looks at whole states is a function of ``(machine, state)`` that ``states.py`` calls: in
every state, or where nothing is left to do.
"""

from __future__ import annotations

from .atomic_sleep import AtomicSleep
from .freed_memory import FreedMemory
from .left_behind import LeftBehind
from .step_check import StepCheck

STEP_CHECKS: tuple[StepCheck, ...] = (FreedMemory(), AtomicSleep(), LeftBehind())
