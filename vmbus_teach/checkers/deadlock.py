"""Deadlock: nobody can go on, and somebody has not finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..outcome import Blocked, Fault

if TYPE_CHECKING:
    from ..machine import Machine


def deadlock(machine: Machine, state: int) -> Fault | None:
    """The fault of a state without moves: who waits for what; None if all have finished."""
    waiting = [(context, outcome) for context, outcome in machine.moves(state) if isinstance(outcome, Blocked)]
    if not waiting:
        return None
    reasons = "; ".join(f"{context} {outcome.reason}" for context, outcome in waiting)
    where = tuple(sorted((machine.title(context), str(machine.operation(state, context))) for context, _ in waiting))
    return Fault("deadlock", f"nobody can go on: {reasons}", where)
