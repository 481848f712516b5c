"""A scenario with the states that are known of it, as plain JSON: all that a front end needs to step it.

    document = Document(Machine(PerCpuLists()))
    document.expand_all(3000)       # True: every state is in it, and nobody has to ask any more
    json.dumps(document.content())

The form is described in ``docs/format.md``. It grows: a state gets a number when it is first met, and an entry
when somebody asks what can come after it. Everything is kept in tables that only ever get longer, so what has come
since can be sent after (``news``).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from .checkers.data_race import DataRaces
from .choices import about_to, failures_of
from .explore import Exploration
from .graph import CERTAIN, IMPOSSIBLE, POSSIBLE, UNKNOWN
from .kernel.base import Context, ModelError, Shared, show
from .kernel.cpu import Cpu, Level
from .kernel.heap import Object, Struct
from .kernel.interrupts import Interrupt
from .kernel.locks import Lock
from .kernel.work import WorkQueue, system_wq
from .machine import Machine
from .outcome import Blocked, Fault, Move
from .schedule import digest
from .source import Place, shown_file

FORMAT, VERSION = "vmbus_teach/stepper", 1

#: A state as the document counts it: the machine's number, and the fault of the step that led there, if it failed.
State = tuple[int, Fault | None]

#: How a fate is written: one character per state.
FATES = {IMPOSSIBLE: "0", POSSIBLE: "1", CERTAIN: "2", UNKNOWN: "-"}

NOBODY = -1

#: About how many states are looked at when a front end asks for one: some milliseconds' worth.
AT_ONCE = 200


class Table:
    """Things that are told apart by a key; each is written once and has a number from then on."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, key: Hashable, item: Any = None) -> int:
        """The number of what has this key; ``item`` is what is written where it is new (else the key itself)."""
        if key not in self._numbers:
            self._numbers[key] = len(self.items)
            self.items.append(key if item is None else item)
        return self._numbers[key]

    def knows(self, key: Hashable) -> bool:
        return key in self._numbers


class Document:
    """One scenario and its known states. Needs a machine whose fields do not overflow (``width=32``)."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._lanes, self._lane_of = _lanes(machine)
        self._homes = self._homes_of_contexts()
        self._shared = {shared: number for number, shared in enumerate(machine.shared)}
        self._texts, self._listings, self._positions, self._faults = Table(), Table(), Table(), Table()
        self._values: list[list[Any]] = [[] for _ in machine.shared]
        self._positions.number(None, {})  # number 0: the context does nothing
        self._states = Table()
        self._parents: list[int] = []
        self._entries: dict[int, list[Any]] = {}
        self._races = DataRaces(machine)
        self._explored: dict[str, Any] | None = None
        self._exploration: Exploration | None = None
        self._fates: list[str] = []
        self._sent: dict[str, Any] = {}
        self.meet((machine.initial, None), NOBODY)

    # --- states ---------------------------------------------------------------------------

    def meet(self, state: State, parent: int) -> int:
        """The number of a state, which may be new and is then first met on the way from ``parent``."""
        if not self._states.knows(state):
            self._parents.append(parent)
        return self._states.number(state)

    def expand(self, number: int) -> list[int]:
        """Enters what can come after a state, if that is not known yet; returns the numbers of what follows."""
        if number not in self._entries:
            self._entries[number] = self._entry(number)
        return [to for _, _, to, _ in self._entries[number][2]]

    def expand_around(self, number: int, most: int = AT_ONCE) -> None:
        """Also what can come after the next steps, so that few of them have to wait for an answer.

        A program that is wrong further on is met when somebody goes there.
        """
        near, seen = self.expand(number), {number}
        for state in near:  # grows
            if len(near) > most:
                break
            if state not in seen:
                seen.add(state)
                with suppress(ModelError):
                    near += self.expand(state)

    def expand_all(self, most: int) -> bool:
        """Enters every reachable state, if there are no more than ``most``; whether all of them are in."""
        number = 0
        while number < len(self._states.items) <= most:
            self.expand(number)
            number += 1
        return self.complete

    @property
    def complete(self) -> bool:
        """Whether every reachable state is in it."""
        return len(self._entries) == len(self._states.items)

    def follow(self, words: tuple[str, ...]) -> list[int]:
        """Enters the states along a schedule, as far as it fits; returns their numbers, the start included."""
        path = [0]
        for word in words:
            self.expand(path[-1])
            moves = self._entries[path[-1]][2]
            fits = (to for context, alternative, to, _ in moves if self._word(context, alternative) == word)
            if (to := next(fits, None)) is None:
                break
            path.append(to)
        self.expand_around(path[-1])
        return path

    def _word(self, context: int, alternative: int) -> str:
        name = self.machine.contexts[context].name
        return name if alternative == NOBODY else f"{name}:{alternative}"

    def _entry(self, number: int) -> list[Any]:
        """[parent, what differs from it, moves, waits, faults, sightings]: see docs/format.md."""
        machine, (state, fault) = self.machine, self._states.items[number]
        faults = (fault,) if fault else failures_of(machine, state)
        moves: list[list[int]] = []
        waits: list[list[Any]] = []
        # Where nobody can go on, who waits for whom is what a reader wants to see.
        goes_on = not faults or faults[0].kind == "deadlock"
        # All of them first: a program may turn out to be wrong, and then nothing is entered.
        for context, outcome in list(machine.moves(state)) if goes_on else ():
            who = machine.context_index[context]
            if isinstance(outcome, Blocked):
                on = [machine.context_index[other] for other in outcome.on]
                waits.append([who, self._texts.number(outcome.reason), on])
            else:
                moves += [self._move(number, who, move) for move in outcome]
        seen = [] if faults else self._races.look(state)
        return [
            self._parents[number],
            self._difference(number),
            moves,
            waits,
            [self._fault(found, state) for found in faults],
            [self._fault(found, state) for found in seen],
        ]

    def _move(self, number: int, who: int, move: Move) -> list[int]:
        to = self.meet((self._states.items[number][0] + move.delta, move.fault), number)
        operation = self.machine.operation(self._states.items[number][0], move.context)
        told = move.result is not None or (move.alternative is not None and bool(operation and operation.chooses))
        gives = self._texts.number(show(move.result)) if told else NOBODY
        return [who, NOBODY if move.alternative is None else move.alternative, to, gives]

    def _difference(self, number: int) -> list[int]:
        """Field and content, field and content: what is other than in the state from which this one was met.

        The fields are those of the machine: where every context stands, then every piece of shared state.
        """
        machine, (state, _), parent = self.machine, self._states.items[number], self._parents[number]
        changed = state ^ (0 if parent == NOBODY else self._states.items[parent][0])
        found: list[int] = []
        field = 0
        while changed:
            if changed & machine.field:
                content = state >> field * machine.width & machine.field
                found += (field, self._position(field, content) if field < len(machine.contexts) else content)
            changed >>= machine.width
            field += 1
        return found

    # --- tables ---------------------------------------------------------------------------

    def _position(self, index: int, number: int) -> int:
        table = self.machine.positions[index]
        position = table[number]
        if position is None:
            return 0
        key = (id(table), number)
        if self._positions.knows(key):
            return self._positions.number(key)
        node, operation = position.node, position.operation
        places = node.places if node else ()
        resumed = position.phase > 0
        remark = places[-1].remark if places else ""
        entry: dict[str, Any] = {"text": str(operation), "remark": remark, "next": about_to(position)}
        entry["places"] = [[self._listing(place), place.line] for place in places]
        entry["touches"] = [self._shared[shared] for shared in operation.touches() if shared in self._shared]
        if resumed:
            entry["resumed"] = True
        cpu = position.cpu or (self.machine.contexts[index].cpu if self._homes[index] == NOBODY else None)
        if cpu is not None:
            entry["lane"] = self._lane_of[cpu]
        return self._positions.number(key, entry)

    def _listing(self, place: Place) -> int:
        item: dict[str, Any] = {"function": place.function, "file": shown_file(place.filename), "lines": []}
        key = (place.filename, place.code)  # equal code can stand in two cells
        if not self._listings.knows(key):
            item["lines"] = [list(line) for line in place.listing]
        return self._listings.number(key, item)

    def _fault(self, fault: Fault, state: int) -> int:
        machine = self.machine
        properties = (*machine.invariants, *machine.at_ends)
        failed = [p for p in properties if (p.kind, p.name) == (fault.kind, fault.where)]
        about = sorted({self._shared[shared] for p in failed for shared in p.reads()})
        if fault.kind == "deadlock":
            waiting = (machine.operation(state, context) for context, _ in machine.moves(state))
            about = sorted({self._shared[s] for op in waiting if op for s in op.touches() if s in self._shared})
        key = (fault, tuple(about))  # in another state, a deadlock may be about other locks
        return self._faults.number(key, {"kind": fault.kind, "message": fault.message, "about": about})

    def _values_of_all(self) -> list[list[Any]]:
        for shared, known in zip(self.machine.shared, self._values, strict=True):
            known += [self._value(shared, value) for value in self.machine.values[shared][len(known) :]]
        return self._values

    def _value(self, shared: Shared, value: Any) -> Any:
        """In words; with the context that it names, or the levels of a CPU, where a front end draws those."""
        words = shared.show(value)
        contexts = self.machine.context_index
        if isinstance(value, Context) and value in contexts:
            return {"text": words, "context": contexts[value]}
        if isinstance(shared, Cpu):
            return {"text": words, "stack": [_level(level, contexts) for level in value]}
        return words

    # --- what explore knows ---------------------------------------------------------------

    def add(self, result: Exploration) -> None:
        """Adds the verdict, the failures, and for each state whether a failure behind it is possible.

        ``result`` must come from the same machine (``explore_machine``).
        """
        assert result.machine is self.machine, "the states of another machine have other numbers"
        self._exploration, self._fates = result, []
        self._explored = {
            "verdict": result.verdict,
            "summary": str(result),
            "ok": result.ok,
            "complete": result.complete,
            "states": result.states,
            "schedules": None if result.schedules is None else str(result.schedules),
            "failures": [
                {
                    "kind": failure.kind,
                    "message": failure.message,
                    "portion": failure.portion,
                    "steps": list(failure.schedule.steps),
                }
                for failure in result.failures
            ],
        }

    def _fates_of_all(self) -> str:
        if self._exploration is not None:
            for state, fault in self._states.items[len(self._fates) :]:
                failed = fault or (not self._exploration.complete and failures_of(self.machine, state))
                self._fates.append(FATES[CERTAIN if failed else self._exploration.fate(state)])
        return "".join(self._fates)

    # --- as JSON --------------------------------------------------------------------------

    def content(self) -> dict[str, Any]:
        """All of it."""
        machine = self.machine
        scenario = machine.scenario
        return {
            "format": FORMAT,
            "version": VERSION,
            "scenario": {
                "title": str(scenario),
                "name": str(scenario).replace(" ", ""),
                "digest": digest(scenario),
                "about": (type(scenario).__doc__ or "").strip().partition("\n")[0],
            },
            "lanes": self._lanes,
            "contexts": [self._context(context) for context in machine.contexts],
            "shared": [self._piece(shared) for shared in machine.shared],
            **self._growing({}),
        }

    def news(self, known: int | None = None) -> dict[str, Any]:
        """What has come since the last ``content`` or ``news``; for each table, from which number on.

        ``known`` is how many states the reader has, if that may be fewer than were sent: then it gets everything.
        """
        missed = known is not None and known != self._sent.get("states")
        return self._growing({} if missed else self._sent)

    def _growing(self, sent: dict[str, Any]) -> dict[str, Any]:
        tables = {
            "texts": self._texts.items,
            "listings": self._listings.items,
            "positions": self._positions.items,
            "faults": self._faults.items,
        }
        values = self._values_of_all()
        entries = islice(self._entries.items(), sent.get("states", 0), None)  # in the order in which they came
        content: dict[str, Any] = {name: _from(items, sent.get(name, 0)) for name, items in tables.items()}
        since = sent.get("values", [0] * len(values))
        content["values"] = [_from(words, first) for words, first in zip(values, since, strict=True)]
        content["states"] = {str(number): entry for number, entry in entries}
        content |= {"complete": self.complete, "fates": self._fates_of_all(), "explored": self._explored}
        self._sent = {name: len(items) for name, items in tables.items()}
        self._sent |= {"values": list(map(len, values)), "states": len(self._entries)}
        return content

    def _context(self, context: Context) -> dict[str, Any]:
        lane = self._homes[self.machine.context_index[context]]
        return {"name": context.name, "kind": context.kind, "lane": lane}

    def _homes_of_contexts(self) -> list[int]:
        """Where each context is while it does nothing: nowhere, if a CPU is given to it each time."""
        queues = [s for s in self.machine.shared if isinstance(s, WorkQueue) and s is not system_wq]
        guests = {"work"} if queues and all(queue.cpu is not None for queue in queues) else set()
        return [
            NOBODY if c.kind in guests or (c.cpu is None and c.kind != "host") else self._lane_of[c.cpu]
            for c in self.machine.contexts
        ]

    def _piece(self, shared: Shared) -> dict[str, Any]:
        piece: dict[str, Any] = {"name": shared.name, "kind": _kind(shared, self.machine)}
        if isinstance(shared, Interrupt):
            piece["context"] = self.machine.context_index[shared.handler]
        if isinstance(shared, Cpu):
            piece["lane"] = self._lane_of[shared]
        if shared.owner is not None:
            piece["owner"] = self._shared[shared.owner]
        return piece


def _from(items: list[Any], first: int) -> dict[str, Any]:
    return {"from": first, "items": items[first:]}


def _lanes(machine: Machine) -> tuple[list[dict[str, str]], dict[Cpu | None, int]]:
    """One lane per CPU, named by its task if it belongs to one alone; the last one is the host's, if there is one."""
    lanes: list[dict[str, str]] = []
    lane_of: dict[Cpu | None, int] = {}
    for cpu in machine.cast.cpus:
        owner = next((context.name for context in machine.contexts if context.cpu is cpu), cpu.name)
        lane_of[cpu] = len(lanes)
        lanes.append({"name": owner if cpu.private else cpu.name, "kind": "own" if cpu.private else "cpu"})
    if any(context.kind == "host" for context in machine.contexts):
        lane_of[None] = len(lanes)
        lanes.append({"name": "host", "kind": "host"})
    return lanes, lane_of


def _level(level: Level, contexts: dict[Context, int]) -> list[int]:
    who = NOBODY if level.context is None else contexts[level.context]
    return [who, int(level.irqs_on), level.preempt, level.bh]


def _kinds() -> Iterator[tuple[type, str]]:
    yield Cpu, "cpu"
    yield Interrupt, "interrupt"
    yield Lock, "lock"
    yield Object, "object"
    yield Struct, "heap"


def _kind(shared: Shared, machine: Machine) -> str:
    """What a front end should show a piece of state as; "inside" is the engine's own."""
    for kind, name in _kinds():
        if isinstance(shared, kind):
            return name
    if shared.owner is not None:
        return "field"
    return "state" if shared in machine.cast.named else "inside"
