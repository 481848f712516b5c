"""Deadlock: nobody can go on, and somebody has not finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..outcome import Blocked, Fault

if TYPE_CHECKING:
    from ..machine import Machine


def deadlock(machine: Machine, state: int) -> Fault | None:
    """The fault of a state without moves: who waits for what; None if all have finished."""
    waiting = [(context, move) for context, move in machine.moves(state) if isinstance(move, Blocked)]
    if not waiting:
        return None
    reasons = "; ".join(f"{context} {blocked.reason}" for context, blocked in waiting)
    # Who is merely preempted by one that waits is a victim; where it stands makes no other deadlock.
    stuck = [context for context, blocked in waiting if not blocked.preempted]
    where = sorted((machine.title(context), str(machine.operation(state, context))) for context in stuck)
    return Fault("deadlock", f"nobody can go on: {reasons}", tuple(where))
