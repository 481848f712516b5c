"""vmbus_teach: be the scheduler of real kernel races, then have every schedule searched.

    from vmbus_teach import Scenario, thread, at_end, explore, Session
    from vmbus_teach.kernel import Cell, READ_ONCE, WRITE_ONCE

A race is a ``Scenario``, written once; ``Session`` steps it by hand, ``explore`` searches all its
interleavings, ``Stepper`` (imported when first used) shows it in a notebook.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .explore import Exploration, explore
from .failure import Failure
from .kernel.base import ModelError
from .lockdep import Lockdep, lockdep
from .program import ProgramError
from .scenario import Scenario, ScenarioError, at_end, gauge, interrupt, invariant, thread
from .schedule import Schedule, ScheduleError
from .session import Session

__version__ = "0.1.0"

__all__ = [
    "Exploration",
    "Failure",
    "Lockdep",
    "ModelError",
    "ProgramError",
    "Scenario",
    "ScenarioError",
    "Schedule",
    "ScheduleError",
    "Session",
    "at_end",
    "explore",
    "gauge",
    "interrupt",
    "invariant",
    "lockdep",
    "thread",
]


#: What needs more packages than the rest, or knows the whole course: imported when it is first named.
_LATER = {
    "Stepper": "views.stepper",
    "grade": "grading",
    "hint": "grading",
    "simulate": "timed",
    "simulate_each": "timed",
    "simulate_many": "timed",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f".{_LATER[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
