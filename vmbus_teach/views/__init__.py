"""What people look at: the stepper, predictions, tables, pictures. Needs packages that the core does without.

The pictures (``curves``, ``growth``, ``interrupts``, ``lock_graph``, ``space_time``, ``state_graph``, ``timeline``) and
what reads runs (``proc_interrupts``) are imported when first named, which ``import *`` does, too: matplotlib and SimPy
take their time.
"""

from __future__ import annotations

from typing import Any

from .page import write_page
from .predict import Predict
from .source import source
from .stepper import Stepper
from .tables import Verdicts, judge
from .vary import Vary

_PLOTS = ("curves", "growth", "interrupts", "lock_graph", "space_time", "state_graph", "timeline")
_RUNS = ("ProcInterrupts", "proc_interrupts")

__all__ = ["Predict", "Stepper", "Vary", "Verdicts", "judge", "source", "write_page", *_PLOTS, *_RUNS]


def __getattr__(name: str) -> Any:
    if name in _PLOTS:
        from . import plots

        return getattr(plots, name)
    if name in _RUNS:
        from . import proc

        return getattr(proc, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
