"""Scenarios that have everything, and their documents: what the tests of the JSON form are tried on."""

import inspect
from random import Random
from types import CodeType, FunctionType

import tricky
from test_oracle import TOPICS, Author, WithProperties

from vmbus_teach import Scenario, at_end, interrupt, invariant, kernel, thread
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
from vmbus_teach.machine import Machine
from vmbus_teach.scenarios import catalogue
from vmbus_teach.scenarios.classics import Increments

ENOUGH_STATES = 20_000


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


def names_in(code):
    """The names that a function uses, also in the functions inside it."""
    return set(code.co_names).union(*(names_in(part) for part in code.co_consts if isinstance(part, CodeType)))


def kinds_in(entry):
    """What a scenario consists of: the kernel's words that it uses, its kinds of context, its verdict."""
    scenario = entry.make()
    methods = (inspect.getattr_static(scenario, name) for name in dir(scenario))
    used = set().union(*(names_in(method.__code__) for method in methods if isinstance(method, FunctionType)))
    return used & {*vars(kernel)} | {context.kind for context in scenario.cast.contexts} | {*entry.expected.split(", ")}


def sample(entries):
    """Two that tests name, then some that have every kind of thing: each time the one with the most that none has yet.

    All of them would take minutes, and show the same of the same things again. Those that have many states are left
    out; others have the same kinds.
    """
    large = ("Retargeting", "OneVector", "GuestWith")
    kinds = {e.scenario.__name__: kinds_in(e) for e in entries if not e.scenario.__name__.startswith(large)}
    lacking, chosen = set().union(*kinds.values()), ["Increments", "PerCpuLists"]
    while True:
        for name in chosen:
            lacking -= kinds[name]
            yield name
        if not lacking:
            return
        chosen = [max(kinds, key=lambda name: len(kinds[name] & lacking))]


COURSE = {entry.scenario.__name__: entry.make for entry in catalogue()}
OF_THE_COURSE = [*sample(catalogue())]
OWN = {
    "Handlers": Handlers, "Works": Works, "Rcu": Rcu, "RcuEarly": lambda: Rcu(early=True), "Open": Open,
    "FailsAfterWaiting": FailsAfterWaiting, "ThreeIncrements": lambda: Increments(threads=3, times=2),
}
TRICKY = ("loop_over_dict", "kinds_of_one_in_a_cell", "yield_from_in_a_loop", "caught_and_raised_later", "half_a_call")
#: Everything that can be made here, by name.
MADE = (
    COURSE
    | OWN
    | {name: lambda name=name: tricky.Tricky(program=tricky.PROGRAMS[name]) for name in TRICKY}
    | {f"{topic}{seed}": lambda t=topic, s=seed: random_race(t, s) for topic in TOPICS for seed in range(3)}
)
#: The names of those that a test tries which tries everything.
TRIED = [name for name in MADE if name not in COURSE or name in OF_THE_COURSE]


def document_of(scenario):
    """A document that knows nothing but the start."""
    return Document(Machine(scenario, width=32))


def complete_document(scenario):
    """A document with every state, and with what a search has found."""
    document = document_of(scenario)
    assert document.expand_all(ENOUGH_STATES)
    document.add(explore_machine(document.machine, ENOUGH_STATES))
    return document
