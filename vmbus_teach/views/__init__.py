"""What people look at: the stepper, predictions, tables, pictures. Needs packages that the core does without.

The pictures (``curves``, ``growth``, ``interrupts``, ``space_time``, ``state_graph``, ``timeline``) are imported when
first named, which ``import *`` does, too: matplotlib takes its time.
"""

from __future__ import annotations

from typing import Any

from .page import write_page
from .predict import Predict
from .proc_interrupts import ProcInterrupts, proc_interrupts
from .source import source
from .stepper import Stepper
from .tables import Verdicts, judge
from .vary import Vary

_PLOTS = ("curves", "growth", "interrupts", "space_time", "state_graph", "timeline")

__all__ = [
    "Predict", "ProcInterrupts", "Stepper", "Vary", "Verdicts", "judge", "proc_interrupts", "source", "write_page",
    *_PLOTS,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _PLOTS:
        from . import plots

        return getattr(plots, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
