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

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from itertools import chain, groupby, pairwise, permutations
from typing import Any

from .checkers.properties import Property
from .kernel.base import Context, ModelError, Operation, Program, Shared, an
from .outcome import Outcome
from .program import Automaton, ProgramError
from .scenario import Cast, Scenario, ScenarioError
from .step import Position, Step, crash_fault
from .values import key, storable

#: Bits of a field, to begin with.
WIDTH = 8

#: A shift, and what one exchange there adds to a state (see ``Machine.exchanges``).
Exchange = tuple[int, int]


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
        self.steps: list[list[Any]] = [[None] for _ in self.contexts]
        self._mentions: set[Shared] = set()  # state whose values have named a context
        #: Identical tasks can be put into order by exchanging their positions, since nothing else names them.
        self.sortable = True
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
                yield context, self.steps[index][number].outcome(state)

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
                self.sortable = False
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
                self.sortable = False
            table = self.positions[index]
            if len(table) > self.field:
                raise SlotOverflow(self.contexts[index].name)
            known = numbers[at] = len(table)
            table.append(position)
            for i, other in enumerate(self.positions):
                if other is table:
                    self.steps[i].append(Step(self, i, position))
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
                    raise ProgramError(crash_fault(context, node, at_start=True).message)
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
            at = (key(context.program), key(context.args), context.kind, cpu)
            groups.setdefault(at, []).append(context)
        return [tuple(group) for group in groups.values() if len(group) > 1]

    def exchanges(self, index: int) -> tuple[list[Exchange], list[Exchange]]:
        """For one of several identical tasks: how it goes down, and how it goes up in their order.

        Place by place: the shift of the other one's position, and what one exchange with it adds to a
        state, per unit by which the positions differ.
        """
        for members in self.classes:
            if self.contexts[index] in members:
                shifts = [self.place_shift[self.context_index[c]] for c in members]
                i = shifts.index(self.place_shift[index])
                down = [(lower, (1 << lower) - (1 << upper)) for lower, upper in pairwise(shifts[: i + 1])]
                up = [(upper, (1 << upper) - (1 << lower)) for lower, upper in pairwise(shifts[i:])]
                return down[::-1], up
        return [], []

    def canonical(self, state: int) -> int:
        """A state that stands for ones that differ only in which identical task is which.

        It need not be the only one: two tasks at the same position keep their order, though one of
        them may hold a lock. That costs states, and is never wrong.
        """
        return self.in_order(state)[0] if self.classes else state

    def in_order(self, state: int) -> tuple[int, dict[Context, Context]]:
        """The canonical state, and for each task that has moved: which takes its part there."""
        return next(self.arrangements(state))

    def arrangements(self, state: int) -> Iterator[tuple[int, dict[Context, Context]]]:
        """Every way to put identical tasks into order: more than one where several stand at one position."""
        for orders in _each_of([partial(self._orders, state, members) for members in self.classes]):
            arranged, becomes = state, dict[Context, Context]()
            for members, order in zip(self.classes, orders, strict=True):
                shifts = [self.place_shift[self.context_index[c]] for c in members]
                for new, old in enumerate(order):
                    if new != old:
                        moved = (state >> shifts[old] & self.field) - (state >> shifts[new] & self.field)
                        arranged += moved << shifts[new]
                        becomes[members[old]] = members[new]
            yield (self._rename(arranged, becomes) if becomes and self._mentions else arranged), becomes

    def _orders(self, state: int, members: tuple[Context, ...]) -> Iterator[tuple[int, ...]]:
        """The orders of a class by position, the one that moves the fewest first."""
        at = [state >> self.place_shift[self.context_index[c]] & self.field for c in members]
        standing = groupby(sorted(range(len(at)), key=at.__getitem__), key=at.__getitem__)
        for order in _each_of([partial(permutations, tuple(group)) for _, group in standing]):
            yield tuple(chain.from_iterable(order))

    def _rename(self, state: int, becomes: dict[Context, Context]) -> int:
        """What names a task names the one that takes its part; a private CPU goes with its task."""
        before = state
        cpu_of = {old.cpu: new.cpu for old, new in becomes.items() if old.cpu and new.cpu and old.cpu.private}
        for shared in tuple(self._mentions):  # numbering a value may rebuild the set
            to = cpu_of.get(shared, shared)  # type: ignore[call-overload]
            number = self.number(to, _renamed(self.value(before, shared), becomes))
            state += (number - (before >> self.shift[to] & self.field)) << self.shift[to]
        return state


def _each_of(ways: list[Callable[[], Iterable[Any]]]) -> Iterator[tuple[Any, ...]]:
    """As itertools.product, which would make all the permutations before it gives the first."""
    if not ways:
        yield ()
        return
    for one in ways[0]():
        for others in _each_of(ways[1:]):
            yield (one, *others)


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
        f"a program uses {an(type(shared))} that is no attribute of the scenario, so it belongs to no state. "
        f"Make it in setup: self.name = {type(shared).__name__}(...)."
    )
