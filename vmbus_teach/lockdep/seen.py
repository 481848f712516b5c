"""What lockdep has seen: how each class of locks was used, and which was wanted while which was held.

It is read off the states of a search, after it. As in the kernel, an **attempt** counts, whether or not the lock can be
had: a context stands at an operation that takes a lock, and its CPU lets it run. Of each thing that was seen, the first
place is kept; states are numbered breadth first, so that no schedule to it has fewer steps.

Used *in* an interrupt: taken there, not by trylock. Used with interrupts *on*: taken so, or held when they are
switched on (source: mark_usage and mark_held_locks in kernel/locking/lockdep.c, v6.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..checkers.properties import View
from ..graph import Graph
from ..kernel.base import Context, Operation, Shared
from ..kernel.cpu import HARDIRQS, TASKS, Cpu, Level
from ..kernel.lockmap import Acquisition, How, WaitType
from ..machine import Machine
from ..outcome import Blocked

HARDIRQ, SOFTIRQ = "HARDIRQ", "SOFTIRQ"
IN, ON = "in", "on"
#: The kinds of context that count as softirqs. A callback of RCU does, since most kernels run it in one.
SOFTIRQS = ("tasklet", "softirq")


class Usage(NamedTuple):
    """A class was used in such interrupts, or with them on (``IN`` or ``ON``); by a reader, or exclusively."""

    lock_class: str
    irq: str  # HARDIRQ or SOFTIRQ
    where: str
    read: bool

    def __str__(self) -> str:
        """As the kernel writes it: IN-HARDIRQ-W, SOFTIRQ-ON-R."""
        return (f"IN-{self.irq}" if self.where == IN else f"{self.irq}-ON") + ("-R" if self.read else "-W")


class Edge(NamedTuple):
    """``after`` was wanted while ``before`` was held: ``shared`` by other readers, or not; ``recursive``, or not."""

    before: str
    after: str
    shared: bool
    recursive: bool


class Sight(NamedTuple):
    """Where something was first seen: the number of the state, and who is meant there.

    ``takes`` is what the context is about to take, ``holds`` what it holds.
    """

    state: int
    context: int
    takes: Acquisition | None
    holds: Acquisition | None


class Blocks(NamedTuple):
    """In a deadlock: who holds ``before`` waits for ``after``; or, with ``irq``, an interrupt on its CPU does."""

    before: str
    after: str
    irq: str = ""


def irq_of(context: Context) -> str:
    """HARDIRQ, SOFTIRQ, or "" for a task."""
    return HARDIRQ if context.kind in HARDIRQS else SOFTIRQ if context.kind in SOFTIRQS else ""


class Seen:
    """All that is seen in the states of ``graph``, each with its first place."""

    def __init__(self, machine: Machine, graph: Graph) -> None:
        self.machine = machine
        self.graph = graph
        self.usages: dict[Usage, Sight] = {}
        self.edges: dict[Edge, Sight] = {}
        self.wait_types: dict[str, tuple[WaitType | None, WaitType | None]] = {}
        self._holds: list[Acquisition] = []  # numbered, so that what somebody holds is a tuple of numbers
        self._locks = [
            (machine.shift[shared], _Table(self, shared))
            for shared in machine.shared
            if type(shared).holders is not Shared.holders
        ]
        self._takers: list[dict[int, _Taker | None]] = [{} for _ in machine.contexts]
        self._known = set[tuple[Any, ...]]()  # what has been looked at: a context, what it holds, its CPU, its place
        self._look()

    @property
    def classes(self) -> list[str]:
        """The names of all classes that were seen, in order."""
        return sorted(self.wait_types)

    def register(self, acquisition: Acquisition) -> str:
        """The class of what is taken or held; it is known from now on."""
        name = acquisition.lock_class
        self.wait_types.setdefault(name, (acquisition.lock.wait_type_outer, acquisition.lock.wait_type_inner))
        return name

    # --- the states of the search -----------------------------------------------------------------

    def _look(self) -> None:
        graph, field = self.graph, self.machine.field
        for number in range(graph.expanded):
            broken = graph.failing_states.get(number)
            if broken is not None and broken[0] == "invariant":
                continue  # the schedule has ended: nobody attempts anything
            state = graph.states[number]
            held = self._held(state)
            for index, shift in enumerate(self.machine.place_shift):
                at = state >> shift & field
                mine, taker = held.get(index, ()), self._taker(index, at)
                if mine or taker:
                    self._look_at(number, index, at, mine, taker if taker and taker.tries(state) else None)

    def _look_at(self, number: int, index: int, at: int, mine: tuple[int, ...], taker: _Taker | None) -> None:
        """One context in one state; most have been seen just so before."""
        machine, state, cpu = self.machine, self.graph.states[number], self._cpu(index, at)
        shift = machine.shift[cpu] if cpu else -1
        here = (index, mine, shift, state >> shift & machine.field if cpu else 0)
        if taker is None:
            if here not in self._known:
                self._known.add(here)
                self._note(number, index, cpu, mine, ())
        elif (*here, at, taker.mask, state & taker.mask) not in self._known:
            takes = taker.takes(state)
            self._known.add((*here, at, taker.mask, state & taker.mask))  # now it is known what it looks at
            self._note(number, index, cpu, mine, takes)

    def _note(
        self, number: int, index: int, cpu: Cpu | None, mine: tuple[int, ...], takes: tuple[Acquisition, ...]
    ) -> None:
        context = self.machine.contexts[index]
        level = self._level(self.graph.states[number], context, cpu)
        held = [self._holds[hold] for hold in mine]
        for hold in held:
            for irq in _on(context, level):
                usage = Usage(self.register(hold), irq, ON, hold.how.reads)
                self.usages.setdefault(usage, Sight(number, index, None, hold))
        for wanted in takes:
            name, reads, sight = self.register(wanted), wanted.how.reads, Sight(number, index, wanted, None)
            if irq := irq_of(context):
                self.usages.setdefault(Usage(name, irq, IN, reads), sight)
            if wanted.how is not How.WAIT:  # who waits so holds nothing that an interrupt could want
                for irq in _on(context, level, wanted):
                    self.usages.setdefault(Usage(name, irq, ON, reads), sight)
            for hold in held:
                edge = Edge(self.register(hold), name, hold.how.reads, wanted.how is How.RECURSIVE_READ)
                self.edges.setdefault(edge, sight._replace(holds=hold))

    # --- one state ----------------------------------------------------------------------------------

    def blocked(self, state: int) -> set[Blocks]:
        """Of a deadlock, in terms of classes: what holds up what."""
        machine, held, found = self.machine, self._held(state), set[Blocks]()
        for index, context in enumerate(machine.contexts):
            at = state >> machine.place_shift[index] & machine.field
            position = machine.positions[index][at]
            if position is None or position.node is None:
                continue
            outcome = machine.steps[index][at].outcome(state)
            if not isinstance(outcome, Blocked) or outcome.preempted:
                continue
            cpu = position.cpu or context.cpu
            stack = machine.value(state, cpu) if cpu else ()
            below = [level.context for level in stack if level.context not in (None, context)]
            irq = irq_of(context)
            for wanted in position.operation.takes(View(machine, state)):
                after = wanted.lock_class
                found |= {Blocks(self._holds[n].lock_class, after) for n in held.get(index, ())}
                for other in below if irq else ():
                    holds = held.get(machine.context_index[other], ())
                    found |= {Blocks(self._holds[n].lock_class, after, irq) for n in holds}
        return found

    def _held(self, state: int) -> dict[int, tuple[int, ...]]:
        """By context: the numbers of what it holds."""
        held: dict[int, tuple[int, ...]] = {}
        field = self.machine.field
        for shift, table in self._locks:
            for index, number in table[state >> shift & field]:
                held[index] = (*held.get(index, ()), number)
        return held

    def _hold_number(self, hold: Acquisition) -> int:
        if hold not in self._holds:
            self._holds.append(hold)
        return self._holds.index(hold)

    def _taker(self, index: int, at: int) -> _Taker | None:
        """Who stands there, if that is before an operation that takes something."""
        if at not in self._takers[index]:
            position = self.machine.positions[index][at]
            takes = position and position.node and position.phase == 0 and _takes_something(position.operation)
            self._takers[index][at] = _Taker(self, index, at) if takes else None
        return self._takers[index][at]

    def _cpu(self, index: int, at: int) -> Cpu | None:
        position = self.machine.positions[index][at]
        return (position.cpu if position else None) or self.machine.contexts[index].cpu

    def _level(self, state: int, context: Context, cpu: Cpu | None) -> Level:
        stack = self.machine.value(state, cpu) if cpu else ()
        return next((level for level in stack if level.context is context), Level(context))


def _takes_something(operation: Operation) -> bool:
    return type(operation).takes is not Operation.takes


def _on(context: Context, level: Level, takes: Acquisition | None = None) -> Iterator[str]:
    """Which interrupts can come to a context, after what it switches off to take something."""
    if level.irqs_on and not (takes and takes.irqs_off):
        yield HARDIRQ
        if context.kind in TASKS and not level.bh and not (takes and takes.bh_off):
            yield SOFTIRQ


class _Table(dict[int, list[tuple[int, int]]]):
    """For each value of a piece of state, by its number: (context, number of what it holds)."""

    def __init__(self, seen: Seen, shared: Shared) -> None:
        super().__init__()
        self.seen, self.shared = seen, shared

    def __missing__(self, number: int) -> list[tuple[int, int]]:
        machine = self.seen.machine
        holders = self.shared.holders(machine.values[self.shared][number])
        number_of: Callable[[Acquisition], int] = self.seen._hold_number
        self[number] = [(machine.context_index[context], number_of(hold)) for context, hold in holders]
        return self[number]


class _Taker:
    """A context at an operation that takes something."""

    def __init__(self, seen: Seen, index: int, at: int) -> None:
        self.machine = seen.machine
        self.step = seen.machine.steps[index][at]
        self.operation: Operation = self.step.position.operation
        self.mask = 0  # of what ``takes`` has been seen to look at

    def tries(self, state: int) -> bool:
        """Whether its CPU lets it run: then it tries, and may have to wait."""
        outcome = self.step.outcome(state)
        return not (isinstance(outcome, Blocked) and outcome.preempted)

    def takes(self, state: int) -> tuple[Acquisition, ...]:
        view = View(self.machine, state)
        taken = tuple(self.operation.takes(view))
        self.mask |= view._mask
        return taken
