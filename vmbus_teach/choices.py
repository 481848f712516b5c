"""What could be next in a state: each context's step, or why it has to wait; or what has failed there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .checkers.states import end_faults, is_end, state_faults
from .kernel.base import show
from .machine import Machine
from .outcome import Blocked, Fault, Move
from .source import Place
from .step import Position


@dataclass(frozen=True)
class Choice:
    """A step that could be next, or, with ``enabled`` False, one that has to wait, and why (``reason``).

    ``word`` is what a Schedule calls it. ``text`` says what the step does, ``remark`` repeats the
    comment of its source line, ``place`` is that line (None for the arrival of an interrupt and
    the like). ``waits_for`` names the contexts that stand in its way.
    """

    word: str
    context: str
    text: str
    remark: str
    place: Place | None
    enabled: bool
    reason: str = ""
    waits_for: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.word}: {self.text}" + ("" if self.enabled else f"  [{self.reason}]")


def options(machine: Machine, state: int) -> Iterator[tuple[Choice, Move | None]]:
    """Every context that has something to do: its next step with the move behind it, None if it must wait."""
    for context, outcome in machine.moves(state):
        position = machine.position(state, machine.context_index[context])
        assert position is not None
        place = position.node.place if position.node else None
        text, about = str(position.operation), place.remark if place else ""
        if isinstance(outcome, Blocked):
            waits_for = tuple(map(str, outcome.on))
            yield Choice(context.name, context.name, text, about, place, False, outcome.reason, waits_for), None
            continue
        if position.phase > 0:
            about = f"has waited, and goes on after {text}"
        for move in outcome:
            told = move.alternative is not None and (move.result is not None or position.operation.chooses)
            gives = f" gives {show(move.result)}" if told else ""
            yield Choice(move.word, context.name, text + gives, about, place, True), move


def about_to(position: Position | None) -> str:
    """What a context is about to do, for "before it ...": the remark on its line, else the operation."""
    if position is None or position.node is None:
        return ""
    return (position.node.place.remark if position.node.place else "") or f"does {position.operation}"


def failures_of(machine: Machine, state: int) -> tuple[Fault, ...]:
    """What is wrong with a state, so that it has no next steps; empty in most."""
    return tuple(state_faults(machine, state) or (end_faults(machine, state) if is_end(machine, state) else ()))
