"""The scenario's own properties: what must hold in every state, or when all has been done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..kernel.base import ModelError, Shared, show
from ..outcome import Fault
from ..scenario import ScenarioError

if TYPE_CHECKING:
    from ..machine import Machine

Answer = TypeVar("Answer")


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


class Question(Generic[Answer]):
    """A method of the scenario that is asked about states: once per combination of what it reads."""

    def __init__(self, machine: Machine, method: Callable[[Any], Any]) -> None:
        self.machine = machine
        self.method = method
        self.name = method.__name__
        self.mask = 0  # of the fields that it has been seen to look at
        self.memo: dict[int, Answer] = {}

    def answer(self, state: int) -> Answer:
        """What it says of a state."""
        at = state & self.mask
        if at in self.memo:
            return self.memo[at]
        view = View(self.machine, state)
        answer = self._ask(view)
        if view._mask | self.mask != self.mask:
            self.mask |= view._mask
            self.memo.clear()  # keyed by too little
        self.memo[state & self.mask] = answer
        return answer

    def reads(self) -> set[Shared]:
        """The pieces of state that it has been seen to look at."""
        machine = self.machine
        return {shared for shared in machine.shared if self.mask >> machine.shift[shared] & machine.field}

    def _ask(self, view: View) -> Answer:
        raise NotImplementedError


class Property(Question[Fault | None]):
    """An ``@invariant`` or ``@at_end`` of the scenario; the answer is the fault where it does not hold."""

    def __init__(self, machine: Machine, method: Callable[[Any], Any], kind: str) -> None:
        super().__init__(machine, method)
        self.kind = kind

    def _ask(self, view: View) -> Fault | None:
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
