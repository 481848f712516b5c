"""Checks of whole states: the scenario's properties, deadlock, leaks.

A state in which a property fails ends its schedule, as does one in which nobody can go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..outcome import Blocked, Fault
from .deadlock import deadlock
from .leaks import leaks

if TYPE_CHECKING:
    from ..machine import Machine


def state_faults(machine: Machine, state: int) -> list[Fault]:
    """The invariants that do not hold here."""
    return [fault for p in machine.invariants if (fault := p.answer(state))]


def is_end(machine: Machine, state: int) -> bool:
    """Whether no context can take a step."""
    return all(isinstance(outcome, Blocked) for _, outcome in machine.moves(state))


def end_faults(machine: Machine, state: int) -> list[Fault]:
    """What is wrong with a state in which nobody can go on; nothing, if all has been done well."""
    stuck = deadlock(machine, state)
    if stuck:
        return [stuck]
    return [fault for p in machine.at_ends if (fault := p.answer(state))] + leaks(machine, state)
