"""What a check of single steps looks like."""

from __future__ import annotations

from ..kernel.base import Now, Operation


class StepCheck:
    """Override one or both; each may ``now.fail(kind, message)``."""

    def before(self, now: Now, operation: Operation) -> None:
        """A program is about to execute an operation."""

    def returned(self, now: Now) -> None:
        """A program has returned."""
