"""The document tells the same as a session, to somebody who has read nothing but docs/format.md.

``Reader`` below is such a somebody: it decodes the JSON and shares no code with the package.
"""

import json
import os
import re
import subprocess
import sys
from random import Random

import jsonschema
import pytest
import tricky
from conftest import ROOT
from test_oracle import TOPICS, Author, WithProperties

from vmbus_teach import Scenario, Schedule, Session, at_end, interrupt, invariant, thread
from vmbus_teach.document import Document
from vmbus_teach.explore import explore_machine
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Completion,
    Mutex,
    SpinLock,
    Struct,
    Tasklet,
    Work,
    WorkQueue,
    call_rcu,
    choose,
    complete,
    flush_work,
    kfree,
    kfree_rcu,
    kzalloc,
    load,
    local_irq_disable,
    local_irq_enable,
    mutex_lock,
    mutex_unlock,
    queue_work,
    raise_irq,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    smp_call_function_single,
    spin_lock,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irqrestore,
    store,
    synchronize_rcu,
    tasklet_schedule,
    wait_for_completion,
)
from vmbus_teach.kernel.base import Context, show
from vmbus_teach.kernel.cpu import Cpu
from vmbus_teach.machine import Machine
from vmbus_teach.narrate import story
from vmbus_teach.scenarios import catalogue
from vmbus_teach.scenarios.classics import AbBa, Increments, LockInHandler

FORMAT = ROOT / "docs" / "format.md"
SCHEMA = json.loads((ROOT / "docs" / "format.schema.json").read_text())
ENOUGH_STATES = 20_000
SOME_STATES = 2_000


# --- a reader of the format ---------------------------------------------------------------------------

TABLES = ("texts", "listings", "positions", "faults")
KINDS_OF_SETUP = ("state", "lock", "object", "field", "heap")
FAILURES_OF_STATES = ("invariant", "at_end", "deadlock", "leak")
FATES = {"0": "impossible", "1": "possible", "2": "certain", "-": "unknown"}


class Reader:
    """What can be read in a document: every method says it in the words of a session."""

    def __init__(self, content):
        content = json.loads(json.dumps(content))
        assert (content["format"], content["version"]) == ("vmbus_teach/stepper", 1)
        self.scenario, self.lanes = content["scenario"], content["lanes"]
        self.contexts, self.shared = content["contexts"], content["shared"]
        self.tables = {name: [] for name in TABLES}
        self.values = [[] for _ in self.shared]
        self.states = {}
        self.take(content)

    def take(self, news):
        """Takes in what has come since."""
        news = json.loads(json.dumps(news))
        tables = [self.tables[name] for name in TABLES] + self.values
        for table, more in zip(tables, [news[name] for name in TABLES] + news["values"], strict=True):
            assert more["from"] == len(table), "something is missing, or comes twice"
            table += more["items"]
        assert not self.states.keys() & news["states"].keys()
        self.states |= news["states"]
        self.complete, self.fates, self.explored = news["complete"], news["fates"], news["explored"]

    def whole(self):
        """All that has been taken in so far."""
        return (self.tables, self.values, self.states, self.complete, self.fates, self.explored)

    def knows(self, number):
        return str(number) in self.states

    def fields(self, number):
        parent, different, *_ = self.states[str(number)]
        fields = [0] * (len(self.contexts) + len(self.shared)) if parent == -1 else self.fields(parent)
        for field, content in zip(different[::2], different[1::2], strict=True):
            fields[field] = content
        return fields

    def position(self, number, context):
        return self.tables["positions"][self.fields(number)[context]]

    def whole_value(self, number, piece):
        return self.values[piece][self.fields(number)[len(self.contexts) + piece]]

    def value(self, number, piece):
        value = self.whole_value(number, piece)
        return value["text"] if isinstance(value, dict) else value

    def word(self, move):
        context, alternative, *_ = move
        name = self.contexts[context]["name"]
        return name if alternative == -1 else f"{name}:{alternative}"

    def moves(self, number):
        """By the word of a schedule: the move."""
        return {self.word(move): move for move in self.states[str(number)][2]}

    def waiting(self, number):
        """Who must wait: (name, what it would do, why, for whom)."""
        texts, names = self.tables["texts"], [context["name"] for context in self.contexts]
        return [
            (names[who], self.position(number, who)["text"], texts[why], tuple(names[other] for other in on))
            for who, why, on in self.states[str(number)][3]
        ]

    def faults(self, number):
        return [(f["kind"], f["message"]) for f in (self.tables["faults"][n] for n in self.states[str(number)][4])]

    def sightings(self, number):
        return [(f["kind"], f["message"]) for f in (self.tables["faults"][n] for n in self.states[str(number)][5])]

    def shown_values(self, number):
        """(name, value) of what setup made."""
        kinds = [piece["kind"] for piece in self.shared]
        made = [i for i, kind in enumerate(kinds) if kind in KINDS_OF_SETUP]
        return [(self.shared[i]["name"], self.value(number, i)) for i in made]

    def changes(self, before, after):
        """(name, before, after) of what setup made, then of interrupts."""
        first, old, new = len(self.contexts), self.fields(before), self.fields(after)
        changed = [i for i, _ in enumerate(self.shared) if old[first + i] != new[first + i]]
        setup = [i for i in changed if self.shared[i]["kind"] in KINDS_OF_SETUP and self.shared[i]["kind"] != "heap"]
        lines = [i for i in changed if self.shared[i]["kind"] == "interrupt"]
        return tuple((self.shared[i]["name"], self.value(before, i), self.value(after, i)) for i in setup + lines)

    def standing(self, number, context):
        """[(function, line)], outermost first; and the listing of the innermost one."""
        places = self.position(number, context).get("places", [])
        listings = self.tables["listings"]
        lines = [tuple(line) for line in listings[places[-1][0]]["lines"]] if places else []
        return [(listings[listing]["function"], line) for listing, line in places], lines

    def lane(self, number, context):
        return self.position(number, context).get("lane", self.contexts[context]["lane"])

    def gives(self, move):
        return None if move[3] == -1 else self.tables["texts"][move[3]]

    def choice_text(self, number, move):
        text = self.position(number, move[0])["text"]
        return text if move[1] == -1 or move[3] == -1 else f"{text} gives {self.gives(move)}"

    def failed(self, move):
        """With what message the step has failed; "" if it has not (the state after it may fail all the same)."""
        return next((message for kind, message in self.faults(move[2]) if kind not in FAILURES_OF_STATES), "")

    def begins_to_wait(self, move):
        """For what, in words; "" if the step does not end in waiting."""
        who, _, after, _ = move
        if "resumed" not in self.position(after, who) or self.failed(move):
            return ""
        return next((self.tables["texts"][why] for c, why, _ in self.states[str(after)][3] if c == who), "waits")

    def lines(self, path):
        """The story of a path [(state, move), ..., (state, None)]."""
        lines, previous = [], None
        for i, (before, move) in enumerate(path[:-1]):
            who, after = move[0], path[i + 1][0]
            context, lane = self.contexts[who], self.lanes[self.lane(before, who)]
            if previous is None or previous[0] != who:
                if previous is not None:
                    lines += self.handover(path[i - 1], previous, before, who)
                where = {"host": " (host)", "cpu": f" ({lane['name']})", "own": ""}[lane["kind"]]
                lines.append(f"{context['name']}{where}:")
            position = self.position(before, who)
            said = "has waited" if "resumed" in position else position["remark"]
            text = (f"{said}: " if said else "") + position["text"]
            gives = self.gives(move)
            text += "" if gives is None else f" gives {gives}"
            waits = self.begins_to_wait(move)
            text += f"; it {waits}" if waits else ""
            changes = ", ".join(f"{name} {old} -> {new}" for name, old, new in self.changes(before, after))
            text += f"   [{changes}]" if changes else ""
            text += f"   FAILS: {self.failed(move)}" if self.failed(move) else ""
            lines.append(f"  {i + 1:>2}  {text}")
            previous = move
        return lines

    def handover(self, earlier, previous, now, who):
        """How control left the one before, if it has more to do and need not wait."""
        was, name = previous[0], self.contexts[previous[0]]["name"]
        then = self.position(now, was).get("next", "")
        if not then or any(stuck == was for stuck, *_ in self.states[str(now)][3]):
            return []
        here, there = self.lane(earlier[0], was), self.lane(now, who)
        how = ""
        if here == there and self.lanes[here]["kind"] != "host":
            arrives = self.contexts[who]["kind"] in ("irq", "ipi")
            how = f"{self.lanes[here]['name']} is interrupted in {name}" if arrives else f"{name} is preempted"
        return [f"      {how} before it {then}" if how else f"      before {name} {then}"]


# --- scenarios that have everything --------------------------------------------------------------------


class Handlers(Scenario):
    """An interrupt, its tasklet and a call from another CPU; plain accesses race."""

    cpus = 2

    def setup(self):
        self.count, self.seen = Cell(0), Cell(None)
        self.lock = SpinLock()
        self.bottom = Tasklet(self.half)

    @interrupt(cpu=0)
    def isr(self):
        yield tasklet_schedule(self.bottom)  # leaves the rest to the tasklet

    def half(self):
        flags = yield spin_lock_irqsave(self.lock)
        yield store(self.count, (yield load(self.count)) + 1)
        yield spin_unlock_irqrestore(self.lock, flags)

    @thread(host=True)
    def device(self):
        yield raise_irq(self.isr)
        yield raise_irq(self.isr)

    @thread(cpu=0)
    def task(self):
        yield local_irq_disable()
        yield WRITE_ONCE(self.seen, (yield load(self.count)))  # remembers the count
        yield local_irq_enable()

    @thread(cpu=1)
    def other(self):
        yield spin_lock(self.lock)
        yield spin_unlock(self.lock)
        yield smp_call_function_single(0, self.half)


class Works(Scenario):
    """Work on two queues, one of them bound to the CPU of a task that waits for it."""

    cpus = 1

    def setup(self):
        self.bound, self.ordered = WorkQueue(cpu=0), WorkQueue(ordered=True)
        self.one, self.two = Work(self.item, 1), Work(self.item, 2)
        self.log, self.done, self.mutex = Cell(()), Completion(), Mutex()

    def item(self, number):
        yield mutex_lock(self.mutex)
        yield WRITE_ONCE(self.log, number)
        yield complete(self.done)
        yield mutex_unlock(self.mutex)

    @thread(cpu=0)
    def task(self):
        yield queue_work(self.bound, self.one)
        yield queue_work(self.ordered, self.two)
        yield flush_work(self.one)
        yield wait_for_completion(self.done)


class Rcu(Scenario):
    """Readers of an object that is replaced, and freed after a grace period, or (``early``) at once."""

    def setup(self, early=False):
        self.early = early
        self.thing = Struct("thing", value=0, next=None)
        self.pointer, self.log = Cell(self.thing.new(value=1)), Cell(0)

    @thread(copies=2)
    def reader(self):
        yield rcu_read_lock()
        thing = yield rcu_dereference(self.pointer)
        if thing is not None:
            yield READ_ONCE(thing.value)
        yield rcu_read_unlock()

    @thread()
    def updater(self):
        old = yield READ_ONCE(self.pointer)
        new = yield kzalloc(self.thing, value=2)
        yield rcu_assign_pointer(self.pointer, new)
        if self.early:
            yield kfree(old)
        else:
            yield kfree_rcu(old)
            yield call_rcu(self.note, 1)
            yield synchronize_rcu()
        yield WRITE_ONCE(self.pointer, None)  # the new one is lost

    def note(self, number):
        yield WRITE_ONCE(self.log, number)


class Open(Scenario):
    """Alternatives, a loop, a failing assertion, an invariant that breaks while a lock is waited for."""

    cpus = 1

    def setup(self):
        self.lamp, self.lock, self.kind = Cell("off"), SpinLock(), Cell(1)

    @thread(cpu=0)
    def worker(self):
        while True:
            way = yield choose(("round", "out", "blow", None))
            if way == "round":
                yield WRITE_ONCE(self.kind, True)  # 1 and True are two values
                yield WRITE_ONCE(self.kind, 1)
            if way == "out":
                return
            if way == "blow":
                yield spin_lock(self.lock)
                yield WRITE_ONCE(self.lamp, "on")
                yield spin_unlock(self.lock)

    @thread()
    def breaker(self):
        yield spin_lock(self.lock)
        assert (yield READ_ONCE(self.lamp)) == "off", "the lamp is on"
        yield WRITE_ONCE(self.lamp, "blown")

    @invariant
    def it_is_not_blown(self, s):
        return s[self.lamp] != "blown" or s[self.kind] == 1 or "with another kind"

    @at_end
    def it_is_off(self, s):
        return s[self.lamp] == "off"


class FailsAfterWaiting(Scenario):
    """The step in which a lock is had at last is also the one that fails."""

    cpus = 1

    def setup(self):
        self.lock = SpinLock()

    @thread()
    def holder(self):
        yield spin_lock(self.lock)
        yield spin_unlock(self.lock)

    @thread(cpu=0)
    def asserts(self):
        yield spin_lock(self.lock)
        raise AssertionError("it never gets here")


class FromRandom(WithProperties):
    """A random race of test_oracle.py."""


def random_race(topic, seed):
    """A race with tasks, handlers, locks and what else belongs to the topic, some of them broken."""
    case = Author(Random(seed), TOPICS[topic]).case()
    return type("FromRandom", (FromRandom,), {"cpus": case.cpus})(case=case)


OF_THE_COURSE = {entry.scenario.__name__: entry.make for entry in catalogue()}
OWN = {
    "Handlers": Handlers, "Works": Works, "Rcu": Rcu, "RcuEarly": lambda: Rcu(early=True), "Open": Open,
    "FailsAfterWaiting": FailsAfterWaiting, "ThreeIncrements": lambda: Increments(threads=3, times=2),
}
TRICKY = ("loop_over_dict", "kinds_of_one_in_a_cell", "yield_from_in_a_loop", "caught_and_raised_later", "half_a_call")
MADE = (
    OF_THE_COURSE
    | OWN
    | {name: lambda name=name: tricky.Tricky(program=tricky.PROGRAMS[name]) for name in TRICKY}
    | {f"{topic}{seed}": lambda t=topic, s=seed: random_race(t, s) for topic in TOPICS for seed in range(5)}
)


def document_of(scenario):
    """A document that knows nothing but the start."""
    return Document(Machine(scenario, width=32))


def complete_document(scenario):
    """A document with every state, and with what a search has found."""
    document = document_of(scenario)
    assert document.expand_all(ENOUGH_STATES)
    document.add(explore_machine(document.machine, ENOUGH_STATES))
    return document


# --- the same as a session -------------------------------------------------------------------------------


def compare(session, reader, path):
    """Everything that can be asked in the state at the end of a path."""
    number, _ = path[-1]
    machine = session.machine
    assert reader.faults(number) == [(f.kind, f.message) for f in session.failures]
    assert reader.faults(number) + reader.sightings(number) == [(f.kind, f.message) for f in session.sightings()]
    assert reader.shown_values(number) == session.values()
    for i, shared in enumerate(machine.shared):
        value, read = machine.value(session.number, shared), reader.whole_value(number, i)
        assert reader.value(number, i) == shared.show(value)
        if isinstance(value, Context):
            assert reader.contexts[read["context"]]["name"] == value.name
        if isinstance(shared, Cpu):
            names = {-1: "softirqs"} | {n: context["name"] for n, context in enumerate(reader.contexts)}
            stack = [(names[who], *flags) for who, *flags in read["stack"]]
            assert stack == [(str(level), *level[1:]) for level in value]
    for i, context in enumerate(machine.contexts):
        places, _ = session.standing(context)
        listing = places[-1].listing if places else []
        assert reader.standing(number, i) == ([(place.function, place.line) for place in places], listing)
        position = machine.position(session.number, i)
        assert (reader.fields(number)[i] == 0) == (position is None)
        if position is not None:
            cpu = position.cpu or context.cpu
            kind = "host" if cpu is None else "own" if cpu.private else "cpu"
            lane = reader.lanes[reader.lane(number, i)]
            assert lane["kind"] == kind
            assert kind == "own" or lane["name"] == (cpu.name if cpu else "host")
            touched = [shared.name for shared in position.operation.touches()]
            assert [reader.shared[piece]["name"] for piece in reader.position(number, i)["touches"]] == touched
    compare_choices(session, reader, number)


def compare_choices(session, reader, number):
    """Who can step, who must wait, and the words for both."""
    choices = session.choices()
    moves = reader.moves(number)
    assert list(moves) == [choice.word for choice in choices if choice.enabled]
    for choice in choices:
        if choice.enabled:
            move = moves[choice.word]
            assert reader.contexts[move[0]]["name"] == choice.context
            assert reader.choice_text(number, move) == choice.text
            position = reader.position(number, move[0])
            waited = f"has waited, and goes on after {position['text']}"
            assert (waited if "resumed" in position else position["remark"]) == choice.remark
    if not session.failures:
        waits = [(c.word, c.text, c.reason, c.waits_for) for c in choices if not c.enabled]
        assert reader.waiting(number) == waits


def compare_step(reader, before, move, step):
    """What a step was, and what it did."""
    assert reader.changes(before, move[2]) == step.changes
    told = step.result is not None or (move[1] != -1 and step.operation.chooses)
    assert reader.gives(move) == (show(step.result) if told else None)
    assert reader.failed(move) == (step.fault.message if step.fault else "")
    assert ("resumed" in reader.position(before, move[0])) == step.resumed
    assert reader.position(move[2], move[0]).get("next", "") == step.next
    if not said_otherwise(reader, move[2], step):
        assert reader.begins_to_wait(move) == step.waits


def said_otherwise(reader, number, step):
    """Whether a step waits while something fails in it, where only a session looks for the reason."""
    return bool(step.waits) and bool({kind for kind, _ in reader.faults(number)} - {"deadlock"})


def walk(session, reader, random, look, after):
    """Follows a random schedule in both; ``look`` is called before a state is read, ``after`` once it has been."""
    session.reset()
    path = [(0, None)]
    while True:
        look(path[-1][0])
        compare(session, reader, path)
        after(path)
        moves = reader.moves(path[-1][0])
        if not moves or len(path) > 60:
            return path
        word = random.choice(list(moves))
        step = session.step(word)
        move = moves[word]
        path[-1] = (path[-1][0], move)
        path.append((move[2], None))
        look(move[2])
        compare_step(reader, path[-2][0], move, step)


def ignore(_):
    """Does nothing."""


@pytest.mark.parametrize("name", MADE)
def test_random_walks_tell_the_same(name):
    """Along random schedules, a document that is asked state by state agrees with a session in everything."""
    random = Random(name)
    scenario = MADE[name]()
    document, session = document_of(scenario), Session(scenario)
    reader = Reader(document.content())

    def ask(number):
        if not reader.knows(number):
            document.expand_around(number, 3)
            reader.take(document.news())

    for _ in range(6):
        path = walk(session, reader, random, ask, ignore)
        if not session.trace or not said_otherwise(reader, path[-1][0], session.trace[-1]):
            assert reader.lines(path) == story(session.trace)


@pytest.mark.parametrize("name", MADE)
def test_the_fates_are_those_of_the_exploration(name):
    """Each choice has the fate that Exploration gives it, also where the search was cut short."""
    random = Random(name)
    scenario = MADE[name]()
    document = document_of(scenario)
    complete = document.expand_all(SOME_STATES)
    result = explore_machine(document.machine, SOME_STATES)
    document.add(result)
    reader, session = Reader(document.content()), Session(scenario)
    assert reader.complete == complete
    assert not complete or len(reader.states) == len(reader.fates)

    def ask(number):
        if not reader.knows(number):
            assert not complete
            document.expand_around(number, 3)
            reader.take(document.news())

    def fates(path):
        number, _ = path[-1]
        found = {word: FATES[reader.fates[move[2]]] for word, move in reader.moves(number).items()}
        assert found == result.fates(session)

    for _ in range(3):
        walk(session, reader, random, ask, fates)
    assert reader.explored["ok"] == result.ok
    assert reader.explored["schedules"] == (None if result.schedules is None else str(result.schedules))


@pytest.mark.parametrize("name", OF_THE_COURSE)
def test_the_failures_of_a_search_can_be_followed(name):
    """The steps of each failure lead through the document to a state that fails so, or is seen to race."""
    reader = Reader(complete_document(MADE[name]()).content())
    for failure in reader.explored["failures"]:
        number = 0
        for word in failure["steps"]:
            number = reader.moves(number)[word][2]
        assert (failure["kind"], failure["message"]) in reader.faults(number) + reader.sightings(number)


# --- how it grows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["PerCpuLists", *OWN])
def test_news_put_together_are_the_whole(name):
    """Asked for in any order and told in pieces, everything arrives once, and is what the whole document says."""
    random = Random(name)
    document = document_of(MADE[name]())
    reader = Reader(document.content())
    waiting = [0]
    while waiting:
        number = waiting.pop(random.randrange(len(waiting)))
        waiting += [to for to in set(document.expand(number)) if not reader.knows(to) and to not in waiting]
        if random.random() < 0.3:
            reader.take(document.news())
        if len(reader.states) > SOME_STATES // 4:
            break
    assert not document.complete or not waiting
    document.add(explore_machine(document.machine, SOME_STATES))
    reader.take(document.news())
    assert reader.whole() == Reader(document.content()).whole()
    nothing = document.news()
    assert not nothing["states"] and not any(table["items"] for table in nothing["values"])


def test_nothing_is_told_twice():
    """A state that was asked for before is no news; the states along a schedule are."""
    document = document_of(Increments())
    reader = Reader(document.content())
    assert not reader.states and not reader.complete
    path = document.follow(("worker_0", "worker_1"))
    reader.take(document.news())
    assert path == [0, reader.moves(0)["worker_0"][2], reader.moves(path[1])["worker_1"][2]]
    assert all(reader.knows(move[2]) for move in reader.moves(path[-1]).values())
    document.follow(("worker_0", "worker_1"))
    assert document.news()["states"] == {}


def test_a_schedule_is_followed_as_far_as_it_fits():
    """Also one that goes on after a failure, or names nobody."""
    document = document_of(Increments())
    assert document.follow(()) == [0]
    assert len(document.follow(("worker_0",) * 9)) == 3
    assert len(document.follow(("worker_1", "nobody"))) == 2
    failing = document_of(Open())
    words = ("worker:2", "worker", "worker", "worker", "breaker", "breaker")
    assert len(failing.follow((*words, *words))) == len(words) + 1


def test_a_limit():
    """Where there are more states than allowed, it stops soon, says so, and can go on."""
    document = document_of(Increments(threads=2, times=4))
    assert not document.expand_all(100) and not document.complete
    some = len(document.content()["states"])
    assert 50 < some <= 100
    assert not document.content()["complete"]
    assert document.expand_all(541) and document.complete
    assert len(document.content()["states"]) == 541  # tests/test_golden.py knows this number
    assert document.expand_all(1), "what is known stays known"


def test_complete_is_seen_without_a_search():
    """A document that was asked for every state knows that there are no more."""
    document = document_of(Increments())
    for number in range(12):
        assert not document.complete
        document.expand(number)
    assert document.complete


def test_identical_tasks_are_told_apart():
    """A search merges them; who steps through the document sees which one it was."""
    document = complete_document(Increments())
    reader = Reader(document.content())
    (_, _, one, _), (_, _, other, _) = reader.moves(0).values()
    assert list(reader.moves(0)) == ["worker_0", "worker_1"]
    assert one != other
    assert list(reader.moves(reader.moves(one)["worker_0"][2])) == ["worker_1"]
    assert len(reader.states) == 12 > reader.explored["states"]


def test_the_exploration_must_be_of_the_same_machine():
    """Another machine numbers its states otherwise."""
    with pytest.raises(AssertionError, match="another machine"):
        document_of(Increments()).add(explore_machine(Machine(Increments(), width=32), 100))


# --- particular cases ------------------------------------------------------------------------------------------


def path_of(reader, schedule):
    """The states and moves along a schedule."""
    path = [(0, None)]
    for word in Schedule.parse(schedule).steps:
        number, _ = path.pop()
        move = reader.moves(number)[word]
        path += [(number, move), (move[2], None)]
    return path


def test_a_deadlock_shows_who_waits_for_whom():
    """In a state in which nobody can go on there are no moves, and everybody's reason is there."""
    reader = Reader(complete_document(LockInHandler()).content())
    path = path_of(reader, "task device handler*2")
    number, _ = path[-1]
    assert [kind for kind, _ in reader.faults(number)] == ["deadlock"]
    assert not reader.moves(number)
    assert [(who, on) for who, _, _, on in reader.waiting(number)] == [("task", ("handler",)), ("handler", ("task",))]
    assert reader.lines(path)[-1].startswith("   4  takes the lock, in the handler: ")
    assert "; it spins for events_lock, held by task" in reader.lines(path)[-1]


@pytest.mark.parametrize(
    ("made", "about"),
    [(Increments, ["count"]), (LockInHandler, ["events", "events_lock"]), (Handlers, []), (AbBa, ["a", "b"])],
)
def test_what_a_failure_is_about(made, about):
    """The pieces of state that a property looks at, or that those in a deadlock want."""
    content = complete_document(made()).content()
    found = {piece for fault in content["faults"]["items"] for piece in fault["about"]}
    assert sorted(content["shared"][piece]["name"] for piece in found) == about


def test_kinds_of_state():
    """Each piece says what it is, and whose: an object's fields, an interrupt's handler, a CPU's lane."""

    def pieces(made):
        content = document_of(made()).content()
        shared = content["shared"]
        names = {key: [entry["name"] for entry in content[f"{key}s"]] for key in ("lane", "context")}
        names["owner"] = [piece["name"] for piece in shared]
        return {p["name"]: (p["kind"], *(names[key][p[key]] for key in names if key in p)) for p in shared}

    found = pieces(Handlers)
    assert (found["count"], found["lock"], found["bottom"]) == (("state",), ("lock",), ("state",))
    assert (found["isr"], found["CPU 1"]) == (("interrupt", "isr"), ("cpu", "CPU 1"))
    assert found["rcu readers"] == ("inside",)
    found = pieces(Rcu)
    assert (found["thing"], found["thing#0"]) == (("heap",), ("object",))
    assert found["thing#1.value"] == ("field", "thing#1")


def test_a_step_that_fails_does_not_wait():
    """The step that ends a wait can itself fail: it has waited, and is told to fail, not to wait."""
    reader = Reader(complete_document(FailsAfterWaiting()).content())
    path = path_of(reader, "holder asserts holder asserts")
    assert re.fullmatch(
        r"   4  has waited: spin_lock\(lock\)   \[lock free -> held by asserts\]   "
        r"FAILS: an assertion of asserts fails in asserts, line \d+ of test_document.py: it never gets here",
        reader.lines(path)[-1],
    )


def test_the_order_of_those_waited_for_is_the_machines():
    """Who is first to run stands first."""
    made = random_race("softirqs", 7)
    document, session = document_of(made), Session(made)
    assert document.expand_all(SOME_STATES)
    reader = Reader(document.content())
    turned = [state for state in reader.states.values() if any(on != sorted(on) for _, _, on in state[3])]
    assert turned, "this race has no such state any more; choose another"
    walks = (walk(session, reader, Random(seed), ignore, ignore) for seed in range(50))
    assert any(reader.states[str(number)] in turned for path in walks for number, _ in path)


def test_what_was_sent_can_be_read_as_a_schedule():
    """Scenario, digest and words make the text that a session replays."""
    document = document_of(Rcu(early=True))
    scenario = document.content()["scenario"]
    session = Session(Rcu(early=True))
    session.replay(f"{scenario['name']}@{scenario['digest']}: updater*3 reader_1")
    assert (session.schedule.scenario, session.schedule.digest) == (scenario["name"], scenario["digest"])
    assert scenario["title"] == "Rcu(early=True)" and scenario["about"].startswith("Readers of an object")


HASHES = """
import hashlib, json, sys
sys.path.insert(0, "tests")
from test_document import MADE, complete_document
for name in sys.argv[1:]:
    print(hashlib.sha256(json.dumps(complete_document(MADE[name]()).content()).encode()).hexdigest())
"""


def test_the_same_in_every_run():
    """The text of a document does not depend on the order in which Python keeps its sets."""
    names = ["PerCpuLists", "LockInHandler", "Handlers", "Works", "Rcu", "Open", "rcu1", "everything2"]
    runs = []
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        run = subprocess.run([sys.executable, "-c", HASHES, *names], cwd=ROOT, env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        runs.append(run.stdout.split())
    assert len(runs[0]) == len(names)
    assert runs[0] == runs[1]


# --- the schema ----------------------------------------------------------------------------------------------------

CHECK = jsonschema.Draft202012Validator(SCHEMA)
CHECK_NEWS = CHECK.evolve(schema={"$ref": "#/$defs/news", "$defs": SCHEMA["$defs"]})


@pytest.mark.parametrize("name", [*OF_THE_COURSE, *OWN])
def test_the_schema_fits(name):
    """What is sent, at first, in pieces and as a whole, is what docs/format.schema.json says."""
    document = document_of(MADE[name]())
    CHECK.validate(json.loads(json.dumps(document.content())))
    document.expand_around(0, 2)
    CHECK_NEWS.validate(json.loads(json.dumps(document.news())))
    document.expand_all(ENOUGH_STATES)
    document.add(explore_machine(document.machine, ENOUGH_STATES))
    news = json.loads(json.dumps(document.news()))
    CHECK_NEWS.validate(news)
    assert not CHECK.is_valid(news)
    CHECK.validate(json.loads(json.dumps(document.content())))


def test_the_schema_is_one():
    """It is itself valid, and describes every object it names completely."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def spoiled():
    """Ways to break a document, by name."""
    first = {"from": 0, "items": []}
    return {
        "version": lambda d: d.update(version=2),
        "no lanes": lambda d: d.pop("lanes"),
        "a further key of a table": lambda d: d["texts"].update(more=first),
        "a state of five parts": lambda d: d["states"]["0"].pop(),
        "a move without a target": lambda d: d["states"]["0"][2][0].pop(),
        "half a difference": lambda d: d["states"]["0"][1].append("one"),
        "a kind of lane": lambda d: d["lanes"][0].update(kind="street"),
        "a fate": lambda d: d.update(fates="012x"),
        "a number of schedules": lambda d: d["explored"].update(schedules=6),
        "a level of a CPU": lambda d: d["values"][7]["items"][0]["stack"].append([0, 1]),
        "a position without a text": lambda d: d["positions"]["items"][1].pop("text"),
    }


@pytest.mark.parametrize("how", spoiled())
def test_the_schema_refuses(how):
    """It notices what is missing, too much, or of another kind."""
    content = json.loads(json.dumps(complete_document(Increments()).content()))
    assert CHECK.is_valid(content)
    spoiled()[how](content)
    assert not CHECK.is_valid(content)


# --- the page ---------------------------------------------------------------------------------------------------------


def blocks(language):
    """The examples in docs/format.md that are in this language."""
    return re.findall(rf"```{language}\n(.*?)```", FORMAT.read_text(), re.DOTALL)


def example(folder, monkeypatch):
    """The scenario of the page, as a document with all that a search has found."""
    (folder / "increments.py").write_text(blocks("python")[0])
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop("increments", None)
    import increments

    return complete_document(increments.Increments()).content()


def written(content):
    """A document as the page shows it: one line per item, and of the pieces of state only the first."""
    lines = []
    for name, part in content.items():
        if name in ("shared", "values"):
            lines.append(f'"{name}": [{json.dumps(part[0])}, …],')
        elif name in TABLES:
            lines += [f'"{name}": {{"from": 0, "items": [', *(f"    {json.dumps(item)}," for item in part["items"])]
            lines[-1] = lines[-1][:-1] + "]},"
        elif name == "states":
            lines += ['"states": {', *(f'    "{n}": {json.dumps(entry)},' for n, entry in part.items())]
            lines[-1] = lines[-1][:-1] + "},"
        elif isinstance(part, dict):
            lines += [f'"{name}": {{', *(f'    "{key}": {json.dumps(value)},' for key, value in part.items())]
            lines[-1] = lines[-1][:-1] + "},"
        else:
            lines.append(f'"{name}": {json.dumps(part)},')
    return "{" + "\n ".join(lines)[:-1] + "}\n"


def test_the_example_in_the_page(tmp_path, monkeypatch):
    """The document that docs/format.md shows is the one that its scenario has."""
    assert blocks("text")[0] == written(example(tmp_path, monkeypatch))


def test_the_walk_in_the_page(tmp_path, monkeypatch):
    """The story that docs/format.md reads off the document is there."""
    reader = Reader(example(tmp_path, monkeypatch))
    path = path_of(reader, "worker_0 worker_1*2 worker_0")
    assert blocks("text")[1].splitlines() == reader.lines(path)


def test_the_page_and_the_schema_name_every_key():
    """No key of a document is missing in the page."""

    def keys(part):
        for name, inside in part.get("properties", {}).items():
            yield name
            yield from keys(inside)
        for inside in [*part.get("$defs", {}).values(), part.get("items")]:
            if isinstance(inside, dict):
                yield from keys(inside)
        for inside in part.get("anyOf", []):
            yield from keys(inside)

    page = FORMAT.read_text()
    assert not [name for name in keys(SCHEMA) if f"`{name}`" not in page]
