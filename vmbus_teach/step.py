"""One step of one context: executed in full where its values are new, looked up everywhere else."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from .advice import hint
from .checkers import STEP_CHECKS
from .kernel.base import Context, ModelError, Now, Operation, Program, Shared
from .kernel.cpu import Cpu, may_run
from .outcome import Blocked, Fault, Move, Outcome
from .program import Automaton, Node, Place, ProgramError
from .values import storable

if TYPE_CHECKING:
    from .machine import Machine


class Position(NamedTuple):
    """Where a context stands: an operation, how far it has come in it, and the node that follows from."""

    operation: Operation
    phase: int
    node: Node | None  # None: the operation is a start (an interrupt arrives), not part of a program
    automaton: Automaton | None
    cpu: Cpu | None  # where the context runs, if that differs from time to time


class Step:
    """The next step of one context at one position: executed once per combination of what it reads."""

    __slots__ = ("context", "index", "machine", "mask", "memo", "position", "simple")

    def __init__(self, machine: Machine, index: int, position: Position) -> None:
        self.machine = machine
        self.index = index
        self.context = machine.contexts[index]
        self.position = position
        self.mask = 0
        self.memo: dict[int, Outcome] = {}
        #: The same for steps that do not fail: just what each alternative adds (nothing, if it is blocked).
        self.simple: dict[int, tuple[int, ...]] = {}

    def outcome(self, state: int) -> Outcome:
        known = self.memo.get(state & self.mask)
        if known is None:
            known, mask = self._execute(state)
            if mask | self.mask != self.mask:
                self.mask |= mask
                self.memo.clear()  # keyed by too little
                self.simple.clear()
            self.memo[state & self.mask] = known
            if isinstance(known, Blocked):
                self.simple[state & self.mask] = ()
            elif all(move.fault is None for move in known):
                self.simple[state & self.mask] = tuple(move.delta for move in known)
        return known

    def _execute(self, state: int) -> tuple[Outcome, int]:
        """All alternatives, and the mask of what they read."""
        operation = self.position.operation
        asking = _Moment(self, state, None)
        alternatives = operation.alternatives(asking)
        mask, moves, blocked = asking.mask, [], None
        for number, alternative in enumerate(alternatives):
            now = _Moment(self, state, alternative)
            outcome = now.run(number if len(alternatives) > 1 else None)
            mask |= now.mask
            if isinstance(outcome, Blocked):
                blocked = outcome
            else:
                moves.append(outcome)
        if not moves and blocked is not None:
            return blocked, mask
        return tuple(moves), mask


class _Wait(Exception):
    def __init__(self, reason: str, on: tuple[Context, ...], phase: int) -> None:
        self.reason, self.on, self.phase = reason, on, phase


class _Fail(Exception):
    def __init__(self, kind: str, message: str) -> None:
        self.kind, self.message = kind, message


class _Moment(Now):
    """One execution of one step in one state: notes what is read, collects what is written."""

    def __init__(self, step: Step, state: int, alternative: Any) -> None:
        self.machine = step.machine
        self.context = step.context
        self.position = step.position
        self.cpu = step.position.cpu or step.context.cpu
        self.phase = step.position.phase
        self.alternative = alternative
        self.cpus = tuple(step.machine.cast.cpus)
        self.contexts = step.machine.contexts
        self.shared = step.machine.shared
        self.state = state
        self.mask = 0
        self.written: dict[Shared, Any] = {}
        self.placed: dict[int, int] = {}  # contexts that now stand elsewhere

    def __getitem__(self, shared: Shared) -> Any:
        if shared in self.written:
            return self.written[shared]
        value = self.machine.value(self.state, shared)
        self.mask |= self.machine.field << self.machine.shift[shared]
        return value

    def __setitem__(self, shared: Shared, value: Any) -> None:
        self[shared]  # a write is part of the footprint, too: the delta depends on what was there
        self.written[shared] = storable(value)

    def wait(self, reason: str, *on: Context, phase: int = 1) -> NoReturn:
        raise _Wait(reason, on, phase)

    def fail(self, kind: str, message: str) -> NoReturn:
        raise _Fail(kind, message)

    def start(self, context: Context, program: Program, args: tuple[Any, ...]) -> None:
        automaton = self.machine.automaton(program, args)
        index = self.machine.context_index[context]
        self._read_place(index)
        old = self.machine.position(self.state, index)
        self._arrive(index, automaton, automaton.start, old.cpu if old else None)

    def wake(self, context: Context, operation: Operation, cpu: Cpu | None = None) -> None:
        index = self.machine.context_index[context]
        self._read_place(index)
        self.placed[index] = self.machine.position_number(index, Position(operation, 0, None, None, cpu))

    def sleep(self, context: Context) -> None:
        index = self.machine.context_index[context]
        self._read_place(index)
        self.placed[index] = 0

    def asleep(self, context: Context) -> bool:
        index = self.machine.context_index[context]
        self._read_place(index)
        return self.machine.position(self.state, index) is None and not self.placed.get(index)

    def _read_place(self, index: int) -> None:
        self.mask |= self.machine.field << self.machine.place_shift[index]

    # --- what the machine does with it --------------------------------------------------------

    def run(self, alternative: int | None) -> Move | Blocked:
        position, me = self.position, self.machine.context_index[self.context]
        fault: Fault | None = None
        result: Any = None
        before: dict[Shared, Any] = {}
        preempted = True
        try:
            # A context that is to start (an interrupt, a tasklet) does not run yet: its own
            # operation says when it may.
            if position.node is not None:
                may_run(self)
                before = dict(self.written)
                preempted = False
                for check in STEP_CHECKS:
                    check.before(self, position.operation)
            if position.operation.host is False and self.context.kind == "host":
                raise ModelError(
                    f"{self.context} is on the host, which cannot execute {position.operation}: that takes a CPU of "
                    "the guest. The host may access memory and raise interrupts; put the rest into a guest thread."
                )
            result = position.operation.step(self)
            self._go_on(me, result)
        except _Wait as wait:
            changed = {s for s in self.written if s not in before or before[s] is not self.written[s]}
            if not any(self.machine.value(self.state, s) != self.written[s] for s in changed) and not self.placed:
                return Blocked(wait.reason, wait.on, preempted and position.node is not None)
            waiting = position._replace(phase=wait.phase)
            self.placed[me] = self.machine.position_number(me, waiting)
        except _Fail as failed:
            fault = Fault(failed.kind, failed.message, self._where())
        except ModelError as error:
            if isinstance(error, ProgramError):
                raise
            raise ProgramError(f"{error}{self._in_words()}") from None
        return Move(self.context, alternative, self._delta(), fault, result)

    def _go_on(self, me: int, result: Any) -> None:
        """The context's next position, unless the step itself has said where it goes on."""
        automaton, node = self.position.automaton, self.position.node
        if automaton is None or node is None:
            assert me in self.placed, f"{self.position.operation} says nothing of where {self.context} goes on"
            return
        reached = automaton.advance(node, result)
        self.machine.scenario.check_unchanged(automaton.title)
        self._arrive(me, automaton, reached, self.position.cpu)

    def _arrive(self, index: int, automaton: Automaton, node: Node, cpu: Cpu | None) -> None:
        if node.operation is not None:
            position = Position(node.operation, 0, node, automaton, cpu)
            self.placed[index] = self.machine.position_number(index, position)
            return
        context = self.machine.contexts[index]
        if node.crash is not None:
            broken = crash_fault(context, node)
            self.fail(broken.kind, broken.message)
        # The program has returned. What its kind of context does then may wake it again.
        me, self.context, my_cpu, self.cpu = self.context, context, self.cpu, cpu or context.cpu
        for check in STEP_CHECKS:
            check.returned(self)
        self.placed[index] = 0
        context.finish(self)
        self.context, self.cpu = me, my_cpu

    def _delta(self) -> int:
        machine, delta = self.machine, 0
        for shared, value in self.written.items():
            shift = machine.shift[shared]
            delta += (machine.number(shared, value) - (self.state >> shift & machine.field)) << shift
        for index, number in self.placed.items():
            shift = machine.place_shift[index]
            delta += (number - (self.state >> shift & machine.field)) << shift
        return delta

    def _where(self) -> Hashable:
        node = self.position.node
        place = node.place if node else None
        return (self.machine.title(self.context), str(self.position.operation), place[:3] if place else None)

    def _in_words(self) -> str:
        place = self.position.node.place if self.position.node else None
        return f" (in {place})" if place else ""


def crash_fault(context: Context, node: Node, at_start: bool = False) -> Fault:
    """The fault of a program that has ended in an exception."""
    error = node.crash
    place: Place | None = node.places[-1] if node.places else None
    where = f" in {place}" if place else ""
    if isinstance(error, AssertionError):
        said = f": {error}" if str(error) else ""
        return Fault("assertion", f"an assertion of {context} fails{where}{said}", where)
    when = " before its first operation" if at_start else ""
    said = f"{context} raises {type(error).__name__}: {error}{where}{when}"
    advice = hint(error)
    return Fault("error", f"{said}. {advice}" if advice else said, where)
