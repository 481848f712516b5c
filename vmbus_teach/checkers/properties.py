"""The scenario's own properties: what must hold in every state, or when all has been done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..kernel.base import ModelError, Shared, show
from ..outcome import Fault
from ..scenario import ScenarioError

if TYPE_CHECKING:
    from ..machine import Machine


class View:
    """A state as a property sees it: ``s[cell]``; notes what is read."""

    def __init__(self, machine: Machine, state: int) -> None:
        self._machine = machine
        self._state = state
        self._mask = 0

    def __getitem__(self, shared: Shared) -> Any:
        if not isinstance(shared, Shared):
            raise ScenarioError(f"s[{show(shared)}]: a state is asked for a Cell or another piece of shared state.")
        value = self._machine.value(self._state, shared)
        self._mask |= self._machine.field << self._machine.shift[shared]
        return value


@dataclass
class Property:
    """An ``@invariant`` or ``@at_end`` of the scenario, evaluated once per combination of what it reads."""

    machine: Machine
    method: Callable[[Any], Any]
    kind: str

    def __post_init__(self) -> None:
        self.name = self.method.__name__
        self.mask = 0
        self.memo: dict[int, Fault | None] = {}

    def fault(self, state: int) -> Fault | None:
        at = state & self.mask
        if at in self.memo:
            return self.memo[at]
        view = View(self.machine, state)
        fault = self._evaluate(view)
        if view._mask | self.mask != self.mask:
            self.mask |= view._mask
            self.memo.clear()
        self.memo[state & self.mask] = fault
        return fault

    def reads(self) -> set[Shared]:
        """The pieces of state that it has been seen to look at."""
        machine = self.machine
        return {shared for shared in machine.shared if self.mask >> machine.shift[shared] & machine.field}

    def _evaluate(self, view: View) -> Fault | None:
        scenario = self.machine.scenario
        try:
            holds = self.method(view)
        except AssertionError as error:
            holds = f"{error}" or False
        except ModelError:
            raise
        except Exception as error:
            raise ScenarioError(
                f"the property {self.name} of {scenario} raises {type(error).__name__}: {error}. "
                "It is asked in every state that it is declared for, so it must be able to answer in each."
            ) from error
        if holds is None:
            raise ScenarioError(
                f"the property {self.name} of {scenario} returns nothing. It must return whether it holds: "
                "write return before the condition."
            )
        if hasattr(holds, "__next__"):
            raise ScenarioError(
                f"the property {self.name} of {scenario} yields; a property is a plain method that returns."
            )
        said = "" if holds is False or not isinstance(holds, str) else f": {holds}"
        if holds is True or (holds and not said):
            return None
        when = "at the end" if self.kind == "at_end" else "in this state"
        return Fault(self.kind, f"{self.name} does not hold {when}{said}", self.name)
