"""The machine: what every context does next, and what that changes.

A **state** is one integer. Every piece of shared state, and the position of every context, is a
field of it: the number of a value in that field's table. A step is then ``state + delta``, and
what a step reads is ``state & mask``:

    memo[state & mask] -> delta

So each step is executed once for each combination of values that it reads, by the one piece of
code that says what the operation means (``Operation.step``), and is an addition ever after. The
mask is not declared: it is what the step was seen to read.

Drivers (``explore``, ``Session``) only choose among ``moves``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from .checkers import STEP_CHECKS
from .kernel.base import Context, ModelError, Now, Operation, Program, Shared, show
from .kernel.cpu import Cpu, may_run
from .outcome import Blocked, Fault, Move, Outcome
from .program import Automaton, Node, Place, ProgramError
from .scenario import Cast, Scenario, ScenarioError
from .values import key, storable


class Position(NamedTuple):
    """Where a context stands: an operation, how far it has come in it, and the node that follows from."""

    operation: Operation
    phase: int
    node: Node | None  # None: the operation is a start (an interrupt arrives), not part of a program
    automaton: Automaton | None
    cpu: Cpu | None  # where the context runs, if that differs from time to time


#: Bits of a field, to begin with.
WIDTH = 16


class SlotOverflow(Exception):
    """A field has more values than its width can number; build the machine again, wider."""


class Machine:
    """A scenario, ready to be stepped. ``width`` is the number of bits of a field, WIDTH if not given."""

    def __init__(self, scenario: Scenario, width: int | None = None) -> None:
        width = width or WIDTH
        self.scenario = scenario
        self.cast: Cast = scenario.cast
        self.width = width
        self.field = (1 << width) - 1
        self.contexts = tuple(self.cast.contexts)
        self.shared = tuple(self.cast.shared)
        self.context_index = {context: i for i, context in enumerate(self.contexts)}
        self.shift: dict[Shared, int] = {s: (len(self.contexts) + i) * width for i, s in enumerate(self.shared)}
        self.place_shift = [i * width for i in range(len(self.contexts))]
        self.values: dict[Shared, list[Any]] = {s: [] for s in self.shared}
        self._numbers: dict[Shared, dict[Hashable, int]] = {s: {} for s in self.shared}
        self._automata: dict[Hashable, Automaton] = {}
        self.classes = self._symmetric_classes()
        # Members of a class of identical tasks share one table of positions.
        leaders = {member: members[0] for members in self.classes for member in members}
        tables: dict[Context, list[Position | None]] = {c: [None] for c in self.contexts}
        numbers: dict[Context, dict[Hashable, int]] = {c: {} for c in self.contexts}
        self.positions = [tables[leaders.get(c, c)] for c in self.contexts]
        self._position_numbers = [numbers[leaders.get(c, c)] for c in self.contexts]
        #: For each context, by position: what its next step reads, and what came of it.
        self.steps: list[list[Step | None]] = [[] for _ in self.contexts]
        self._mentions: set[Shared] = set()  # state whose values have named a context
        #: What puts identical tasks into their order, by their positions; only while no state names a task.
        self.reorder: dict[int, int] = {}
        self.class_mask = sum(self.field << self.place_shift[self.context_index[c]] for c in leaders)
        self._private_cpus = {cpu for cpu in self.cast.cpus if cpu.private}
        self.plain_accesses = False  # whether any program makes one
        self.initial = self._initial_state()
        self.invariants = [Property(self, method, "invariant") for method in self.cast.invariants]
        self.at_ends = [Property(self, method, "at_end") for method in self.cast.at_ends]

    # --- reading a state -----------------------------------------------------------------

    def value(self, state: int, shared: Shared) -> Any:
        try:
            return self.values[shared][state >> self.shift[shared] & self.field]
        except KeyError:
            raise ProgramError(_stranger(shared)) from None

    def position(self, state: int, index: int) -> Position | None:
        """Where the context number ``index`` stands; None if it does nothing."""
        return self.positions[index][state >> self.place_shift[index] & self.field]

    def operation(self, state: int, context: Context) -> Operation | None:
        """What a context is about to do; None if it does nothing."""
        position = self.position(state, self.context_index[context])
        return position.operation if position else None

    def title(self, context: Context) -> str:
        """A name that identical tasks share."""
        return next((members[0].name for members in self.classes if context in members), context.name)

    def moves(self, state: int) -> Iterator[tuple[Context, Outcome]]:
        """What every context that is awake can do: its moves, or why it is blocked."""
        for index, context in enumerate(self.contexts):
            number = state >> self.place_shift[index] & self.field
            if number:
                yield context, self.step_at(index, number).outcome(state)

    def step_at(self, index: int, number: int) -> Step:
        steps = self.steps[index]
        while len(steps) <= number:
            steps.append(None)
        step = steps[number]
        if step is None:
            position = self.positions[index][number]
            assert position is not None
            step = steps[number] = Step(self, index, position)
        return step

    # --- writing a state -----------------------------------------------------------------

    def number(self, shared: Shared, value: Any) -> int:
        """The number of a value in its field's table."""
        value = storable(value)
        numbers = self._numbers[shared]
        at = key(value)
        known = numbers.get(at)
        if known is None:
            if len(numbers) > self.field:
                raise SlotOverflow(shared.name)
            known = numbers[at] = len(numbers)
            self.values[shared].append(value)
            if shared not in self._mentions and _names_a_context(value):
                self._mentions.update(self._private_cpus if shared in self._private_cpus else (shared,))
                self.reorder.clear()
        return known

    def position_number(self, index: int, position: Position) -> int:
        numbers = self._position_numbers[index]
        at = (position.node or position.operation, position.phase, position.cpu)
        known = numbers.get(at)
        if known is None:
            if position.cpu is not None and position.cpu.private:
                # Something else lives on this task's CPU now: too much to rename. It is never
                # wrong to tell identical tasks apart, only slower.
                self.classes = [c for c in self.classes if all(task.cpu is not position.cpu for task in c)]
                self.reorder.clear()
            table = self.positions[index]
            if len(table) > self.field:
                raise SlotOverflow(self.contexts[index].name)
            known = numbers[at] = len(table)
            table.append(position)
            self.plain_accesses |= position.operation.ordering == "plain"
        return known

    def automaton(self, program: Program, args: tuple[Any, ...]) -> Automaton:
        at = (key(program), key(args))
        known = self._automata.get(at)
        if known is None:
            known = self._automata[at] = Automaton(program, args)
            self.scenario.check_unchanged(known.title)
        return known

    def _initial_state(self) -> int:
        state = 0
        for shared in self.shared:
            try:
                state += self.number(shared, shared.initial) << self.shift[shared]
            except ModelError as error:
                raise ScenarioError(f"{self.scenario}: {shared.name}: {error}") from None
        for index, context in enumerate(self.contexts):
            if context.kind in ("task", "host") and context.program is not None:
                automaton = self.automaton(context.program, context.args)
                node = automaton.start
                if node.crash:
                    raise ProgramError(_crash(context, node, at_start=True).message)
                if node.operation is not None:
                    position = Position(node.operation, 0, node, automaton, None)
                    state += self.position_number(index, position) << self.place_shift[index]
        return state

    # --- identical tasks -------------------------------------------------------------------

    def _symmetric_classes(self) -> list[tuple[Context, ...]]:
        """Groups of tasks that nobody can tell apart: same program, same arguments, same kind of CPU."""
        groups: dict[Hashable, list[Context]] = {}
        for context in self.contexts:
            if context.kind not in ("task", "host") or context.program is None:
                continue
            cpu = None if context.cpu is None or context.cpu.private else context.cpu
            try:
                at = (key(context.program), key(context.args), context.kind, cpu)
            except Exception:
                continue
            groups.setdefault(at, []).append(context)
        return [tuple(group) for group in groups.values() if len(group) > 1]

    def neighbours(self, index: int) -> tuple[int, int]:
        """The shifts of the identical tasks before and after a context in their order; -1 where there is none."""
        for members in self.classes:
            if self.contexts[index] in members:
                shifts = [-1, *(self.place_shift[self.context_index[c]] for c in members), -1]
                i = shifts.index(self.place_shift[index])
                return shifts[i - 1], shifts[i + 1]
        return -1, -1

    def canonical(self, state: int) -> int:
        """A state that stands for ones that differ only in which identical task is which.

        It need not be the only one: two tasks at the same position keep their order, though one of
        them may hold a lock. That costs states, and is never wrong.
        """
        ordered, _ = self.in_order(state)
        if not self._mentions:
            self.reorder[state & self.class_mask] = ordered - state
        return ordered

    def in_order(self, state: int) -> tuple[int, dict[Context, Context]]:
        """The canonical state, and for each task that has moved: which takes its part there."""
        becomes: dict[Context, Context] = {}
        for members in self.classes:
            shifts = [self.place_shift[self.context_index[c]] for c in members]
            at = [state >> shift & self.field for shift in shifts]
            order = sorted(range(len(at)), key=at.__getitem__)
            for new, old in enumerate(order):
                state += (at[old] - at[new]) << shifts[new]
                if new != old:
                    becomes[members[old]] = members[new]
        if becomes and self._mentions:
            state = self._rename(state, becomes)
        return state, becomes

    def _rename(self, state: int, becomes: dict[Context, Context]) -> int:
        """What names a task names the one that takes its part; a private CPU goes with its task."""
        before = state
        cpu_of = {old.cpu: new.cpu for old, new in becomes.items() if old.cpu and new.cpu and old.cpu.private}
        for shared in tuple(self._mentions):  # numbering a value may rebuild the set
            to = cpu_of.get(shared, shared)  # type: ignore[call-overload]
            number = self.number(to, _renamed(self.value(before, shared), becomes))
            state += (number - (before >> self.shift[to] & self.field)) << self.shift[to]
        return state


def _names_a_context(value: Any) -> bool:
    if isinstance(value, Context):
        return True
    return isinstance(value, tuple | frozenset) and any(map(_names_a_context, value))


def _renamed(value: Any, becomes: dict[Context, Context]) -> Any:
    if isinstance(value, Context):
        return becomes.get(value, value)
    if isinstance(value, frozenset):
        return frozenset(_renamed(item, becomes) for item in value)
    if isinstance(value, tuple):
        items = [_renamed(item, becomes) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value


def _stranger(shared: Shared) -> str:
    return (
        f"a program uses a {type(shared).__name__} that is no attribute of the scenario, so it belongs to no state. "
        f"Make it in setup: self.name = {type(shared).__name__}(...)."
    )


# --- one step ---------------------------------------------------------------------------------


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
        #: The same for the common case, a single step that does not fail: just what it adds.
        self.simple: dict[int, int] = {}

    def outcome(self, state: int) -> Outcome:
        known = self.memo.get(state & self.mask)
        if known is None:
            known, mask = self._execute(state)
            if mask | self.mask != self.mask:
                self.mask |= mask
                self.memo.clear()  # keyed by too little
                self.simple.clear()
            self.memo[state & self.mask] = known
            if not isinstance(known, Blocked) and len(known) == 1 and known[0].fault is None:
                self.simple[state & self.mask] = known[0].delta
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
            crash = _crash(context, node)
            self.fail(crash.kind, crash.message)
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


def _crash(context: Context, node: Node, at_start: bool = False) -> Fault:
    error = node.crash
    place: Place | None = node.places[-1] if node.places else None
    where = f" in {place}" if place else ""
    if isinstance(error, AssertionError):
        said = f": {error}" if str(error) else ""
        return Fault("assertion", f"an assertion of {context} fails{where}{said}", where)
    when = "before its first operation" if at_start else ""
    return Fault("error", f"{context} raises {type(error).__name__}: {error}{where} {when}".rstrip(), where)


# --- the properties of a state ------------------------------------------------------------------


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
            raise ScenarioError(f"the property {self.name} of {scenario} yields; a property is a plain method that returns.")
        said = "" if holds is False or not isinstance(holds, str) else f": {holds}"
        if holds is True or (holds and not said):
            return None
        when = "at the end" if self.kind == "at_end" else "in this state"
        return Fault(self.kind, f"{self.name} does not hold {when}{said}", self.name)
