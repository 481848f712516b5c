"""Lockdep: every rule in a wrong and a right version; what it predicts against the deadlocks that the search finds."""

import sys
from random import Random

import pytest
from made import COURSE, OF_THE_COURSE
from test_oracle import TOPICS, Author, FromCase

from vmbus_teach import Scenario, ScenarioError, Session, explore, lockdep, thread
from vmbus_teach import kernel as k
from vmbus_teach.checkers.properties import View
from vmbus_teach.kernel import Mutex, RawSpinLock, SpinLock, Srcu, Tasklet, Work, WorkQueue
from vmbus_teach.kernel.base import Operation
from vmbus_teach.lockdep import rules, seen
from vmbus_teach.lockdep.rules import CIRCULAR, INCONSISTENT, RECURSIVE, WAIT_CONTEXT, irq_order
from vmbus_teach.outcome import Blocked
from vmbus_teach.views.plots import lock_graph

# --- races from a few words --------------------------------------------------------------------------

#: What takes something, and what gives it back.
GIVES = {
    "spin_lock": "spin_unlock", "spin_lock_bh": "spin_unlock_bh", "spin_lock_irq": "spin_unlock_irq",
    "spin_lock_irqsave": "spin_unlock_irqrestore", "spin_trylock": "spin_unlock", "spin_lock_nested": "spin_unlock",
    "raw_spin_lock": "raw_spin_unlock", "raw_spin_lock_irqsave": "raw_spin_unlock_irqrestore",
    "raw_spin_lock_nested": "raw_spin_unlock",
    "mutex_lock": "mutex_unlock", "mutex_trylock": "mutex_unlock", "mutex_lock_nested": "mutex_unlock",
    "srcu_read_lock": "srcu_read_unlock", "rcu_read_lock": "rcu_read_unlock",
    "cpus_read_lock": "cpus_read_unlock", "cpus_write_lock": "cpus_write_unlock",
    "local_irq_disable": "local_irq_enable",
}  # fmt: skip
HANDS_BACK = {"spin_lock_irqsave", "raw_spin_lock_irqsave", "srcu_read_lock"}
TRIES = {"spin_trylock", "mutex_trylock"}


class Race(Scenario):
    """Programs in words: ``("spin_lock a", "mutex_lock m")`` takes both, gives back both in the other order.

    What follows in a list of its own is done inside: ``("mutex_lock m", [...], "mutex_lock n")``. ``tasks`` are
    (CPU or None, program); ``irqs`` the same; ``tasklet`` and ``works`` are programs.
    """

    cpus = 2

    def setup(self, tasks=(), irqs=(), tasklet=(), works=(), ordered=False):
        self.a, self.b, self.c = SpinLock(), SpinLock(), SpinLock()
        self.x, self.y = RawSpinLock(), RawSpinLock()
        self.m, self.n, self.o = Mutex(), Mutex(), Mutex()
        self.row, self.beds = (SpinLock(), SpinLock()), (Mutex(), Mutex())
        self.raws = (RawSpinLock(), RawSpinLock())
        self.srcu, self.other = Srcu(), Srcu()
        self.hotplug = k.CpuHotplugLock()
        self.queue = WorkQueue(ordered=ordered)
        for number, (cpu, program) in enumerate(irqs):
            setattr(self, f"irq{number}", self.add_interrupt(self.run, program, cpu=cpu, name=f"irq{number}"))
        self.bottom = Tasklet(self.run, tasklet)
        for number, program in enumerate(works):
            setattr(self, f"w{number}", Work(self.run, program))
        for number, (cpu, program) in enumerate(tasks):
            self.add_thread(self.run, program, cpu=cpu, name=f"t{number}")

    def run(self, program):
        if not program:
            return
        first, *rest = program
        if isinstance(first, tuple):  # a section of its own: what it takes, it gives back before the rest
            yield from self.run(first)
            yield from self.run(tuple(rest))
            return
        name, *words = first.split()
        things = [self.thing(word) for word in words]
        got = yield getattr(k, name)(*things)
        if name not in TRIES or got:
            yield from self.run(tuple(rest))
            if name in GIVES:
                yield getattr(k, GIVES[name])(*things, *[got] * (name in HANDS_BACK))

    def thing(self, word):
        name, _, index = word.partition("/")
        return getattr(self, name)[int(index)] if index else getattr(self, name)


def race(*programs, irq=None, irq_cpu=0, tasklet=None, works=(), ordered=False, cpus=(0, 1, None)):
    """A race of tasks on CPUs 0, 1, ...; the first raises the interrupt and schedules the tasklet, if there are any."""
    first = (("raise_irq irq0",),) * bool(irq) + (("tasklet_schedule bottom",),) * bool(tasklet)
    tasks = tuple((cpus[n], ((*first, program) if n == 0 else program)) for n, program in enumerate(programs))
    irqs = ((irq_cpu, irq),) if irq else ()
    return explore(Race(tasks=tasks, irqs=irqs, tasklet=tasklet or (), works=works, ordered=ordered))


def told(found, **options):
    """Title and classes of every report."""
    return [(report.kind, report.classes) for report in lockdep(found, **options).reports]


def check_sides(report):
    """Raises where a report's schedule does not replay, or does not end where the report says."""
    for side in report.sides:
        session = Session(report.scenario)
        session.replay(str(side.schedule))
        context = next(context for context in session.machine.contexts if context.name == side.context)
        if side.done:
            last = session.trace[-1]
            assert (last.choice.context, str(last.operation)) == (side.context, side.operation)
            assert last.choice.place == side.place
        else:
            position = session.machine.position(session.number, session.machine.context_index[context])
            assert str(position.operation) == side.operation and position.node.place == side.place
            outcome = dict(session.machine.moves(session.number))[context]
            assert not (isinstance(outcome, Blocked) and outcome.preempted), "its CPU does something else"
    if report.reached is not None:
        session = Session(report.scenario)
        session.replay(report.reached.schedule)
        assert session.failures[0].kind == ("sleep-in-atomic" if report.kind == WAIT_CONTEXT else "deadlock")


# --- every rule, wrong and right ----------------------------------------------------------------------

HARDIRQ_ORDER, SOFTIRQ_ORDER = irq_order("HARDIRQ"), irq_order("SOFTIRQ")
A = ("spin_lock a",)
B = ("spin_lock b",)
#: What is wrong, as lockdep says it; whether a schedule of the race ends so; and the race.
WRONG = {
    "a handler takes what a task holds with interrupts on": (
        (INCONSISTENT, ("a",)), True, lambda: race(A, irq=A)),
    "a tasklet takes what a task holds with softirqs on": (
        (INCONSISTENT, ("a",)), True, lambda: with_bottom(A)),
    "a handler takes what a tasklet holds": (
        (INCONSISTENT, ("a",)), True, lambda: race((), irq=A, tasklet=A)),
    "softirqs off keep no interrupt away": (
        (INCONSISTENT, ("a",)), True, lambda: race(("spin_lock_bh a",), irq=A)),
    "taken by trylock, it is held all the same": (
        (INCONSISTENT, ("a",)), True, lambda: race(("spin_trylock a",), irq=A)),
    "an inner unlock_irq switches interrupts on": (
        (INCONSISTENT, ("a",)), True, lambda: race(("spin_lock_irqsave a", "spin_lock_irq b"), irq=A)),
    "local_irq_enable under an irqsave": (
        (INCONSISTENT, ("a",)), True, lambda: race(("spin_lock_irqsave a", "local_irq_enable"), irq=A)),
    "the handler runs on another CPU": (
        (INCONSISTENT, ("a",)), False, lambda: race((), A, irq=A)),
    "one lock twice": (
        (RECURSIVE, ("a",)), True, lambda: race(("spin_lock a", "spin_lock a"))),
    "one mutex twice": (
        (RECURSIVE, ("m",)), True, lambda: race(("mutex_lock m", "mutex_lock m"))),
    "two locks of a class, always in one order": (
        (RECURSIVE, ("row",)), False, lambda: race(("spin_lock row/0", "spin_lock row/1"))),
    "two locks of a class, in both orders": (
        (RECURSIVE, ("row",)), True,
        lambda: race(("spin_lock row/0", "spin_lock row/1"), ("spin_lock row/1", "spin_lock row/0"))),
    "a CPU lock read twice, and somebody writes": (
        (RECURSIVE, ("hotplug",)), True,
        lambda: race(("cpus_read_lock hotplug", "cpus_read_lock hotplug"), ("cpus_write_lock hotplug",))),
    "two orders": (
        (CIRCULAR, ("a", "b")), True, lambda: race((*A, *B), (*B, *A))),
    "two orders of mutexes": (
        (CIRCULAR, ("m", "n")), True, lambda: race(("mutex_lock m", "mutex_lock n"), ("mutex_lock n", "mutex_lock m"))),
    "two orders, one after the other": (
        (CIRCULAR, ("a", "b")), False, lambda: race(((*A, *B), (*B, *A)))),
    "two orders under a third lock": (
        (CIRCULAR, ("a", "b")), False, lambda: race(("spin_lock c", *A, *B), ("spin_lock c", *B, *A))),
    "two orders, the outer locks by trylock": (
        (CIRCULAR, ("a", "b")), True, lambda: race(("spin_trylock a", *B), ("spin_trylock b", *A))),
    "three in a ring": (
        (CIRCULAR, ("m", "n", "o")), True,
        lambda: race(("mutex_lock m", "mutex_lock n"), ("mutex_lock n", "mutex_lock o"),
                     ("mutex_lock o", "mutex_lock m"))),
    "a grace period under a mutex that a reader wants": (
        (CIRCULAR, ("m", "srcu")), True,
        lambda: race(("mutex_lock m", "synchronize_srcu srcu"), ("srcu_read_lock srcu", "mutex_lock m"))),
    "a grace period inside its own reader": (
        (RECURSIVE, ("srcu",)), True, lambda: race(("srcu_read_lock srcu", "synchronize_srcu srcu"))),
    "two domains, each waited for inside the other": (
        (CIRCULAR, ("other", "srcu")), True,
        lambda: race(("srcu_read_lock srcu", "synchronize_srcu other"),
                     ("srcu_read_lock other", "synchronize_srcu srcu"))),
    "work is flushed under a mutex that it takes": (
        (CIRCULAR, ("(work_completion)w0", "m")), True,
        lambda: race((("queue_work queue w0",), "mutex_lock m", "flush_work w0"), works=(("mutex_lock m",),))),
    "work is cancelled under a mutex that it takes": (
        (CIRCULAR, ("(work_completion)w0", "m")), True,
        lambda: race((("queue_work queue w0",), "mutex_lock m", "cancel_work_sync w0"), works=(("mutex_lock m",),))),
    "a queue is flushed under a mutex that its work takes": (
        (CIRCULAR, ("(wq_completion)queue", "m")), True,
        lambda: race((("queue_work queue w0",), "mutex_lock m", "flush_workqueue queue"), works=(("mutex_lock m",),))),
    "work flushes itself": (
        (RECURSIVE, ("(work_completion)w0",)), True,
        lambda: race(("queue_work queue w0",), works=(("flush_work w0",),))),
    "an item of an ordered queue flushes the next": (
        (RECURSIVE, ("(wq_completion)queue",)), True,
        lambda: race((("queue_work queue w0",), ("queue_work queue w1",)), works=(("flush_work w1",), ()),
                     ordered=True)),
    "a reader of the CPU lock wants a mutex, whose holder reads": (
        (CIRCULAR, ("hotplug", "m")), True,
        lambda: race(("cpus_read_lock hotplug", "mutex_lock m"), ("mutex_lock m", "cpus_read_lock hotplug"),
                     ("cpus_write_lock hotplug",))),
    "the same, but nobody ever writes": (
        (CIRCULAR, ("hotplug", "m")), False,
        lambda: race(("cpus_read_lock hotplug", "mutex_lock m"), ("mutex_lock m", "cpus_read_lock hotplug"))),
    "an interrupt takes a, under which b is taken, which is held with interrupts on": (
        (HARDIRQ_ORDER, ("a", "b")), True, lambda: race(B, ("spin_lock_irqsave a", *B), irq=A)),
    "the same along two edges": (
        (HARDIRQ_ORDER, ("a", "b", "c")), False,
        lambda: race(("spin_lock c",), (("spin_lock_irqsave a", *B), ("spin_lock_irqsave b", "spin_lock c")), irq=A)),
    "the same with a softirq": (
        (SOFTIRQ_ORDER, ("a", "b")), True, lambda: with_bottom(B, ("spin_lock_bh a", *B), bottom=A)),
    "a mutex under a spin lock": (
        (WAIT_CONTEXT, ("a", "m")), True, lambda: race(("spin_lock a", "mutex_lock m"))),
    "a mutex in a handler": (
        (WAIT_CONTEXT, ("m",)), True, lambda: race((), irq=("mutex_lock m",))),
    "a mutex in a tasklet": (
        (WAIT_CONTEXT, ("m",)), True, lambda: race((), tasklet=("mutex_lock m",))),
    "a mutex inside rcu_read_lock": (
        (WAIT_CONTEXT, ("rcu_read_lock", "m")), True, lambda: race(("rcu_read_lock", "mutex_lock m"))),
}  # fmt: skip

IRQSAVE_A = ("spin_lock_irqsave a",)
#: The same done right: nothing is reported, and no schedule deadlocks.
RIGHT = {
    "interrupts off under the lock": lambda: race(IRQSAVE_A, irq=A),
    "interrupts off under the lock, without saving": lambda: race(("spin_lock_irq a",), irq=A),
    "interrupts off before the lock": lambda: race(("local_irq_disable", *A), irq=A),
    "softirqs off under the lock": lambda: with_bottom(("spin_lock_bh a",), bottom=A),
    "interrupts off in the tasklet": lambda: race((), irq=A, tasklet=IRQSAVE_A),
    "the handler only tries": lambda: race(A, irq=("spin_trylock a",)),
    "an inner irqsave restores": lambda: race(("spin_lock_irqsave a", "spin_lock_irqsave b"), irq=A),
    "a handler among tasks with interrupts off": lambda: race(("spin_lock_irqsave a", *B), irq=A),
    "two locks of a class, annotated": lambda: race(("spin_lock row/0", "spin_lock_nested row/1")),
    "two mutexes of a class, annotated": lambda: race(("mutex_lock beds/0", "mutex_lock_nested beds/1")),
    "two raw locks of a class, annotated": lambda: race(("raw_spin_lock raws/0", "raw_spin_lock_nested raws/1")),
    "one order": lambda: race((*A, *B), (*A, *B)),
    "two orders, and one only tries": lambda: race((*A, *B), (*B, "spin_trylock a")),
    "a ring that is not closed": lambda: race(
        ("mutex_lock m", "mutex_lock n"), ("mutex_lock n", "mutex_lock o"), ("mutex_lock m", "mutex_lock o")),
    "a grace period after the mutex": lambda: race(
        (("mutex_lock m",), "synchronize_srcu srcu"), ("srcu_read_lock srcu", "mutex_lock m")),
    "the reader is in another domain": lambda: race(
        ("mutex_lock m", "synchronize_srcu srcu"), ("srcu_read_lock other", "mutex_lock m")),
    "a grace period inside another domain": lambda: race(("srcu_read_lock srcu", "synchronize_srcu other")),
    "recursive readers, in both orders": lambda: race(
        ("srcu_read_lock srcu", "mutex_lock m"), ("mutex_lock m", "srcu_read_lock srcu"), ("synchronize_srcu srcu",)),
    "one domain read twice": lambda: race(("srcu_read_lock srcu", "srcu_read_lock srcu"), ("synchronize_srcu srcu",)),
    "a domain read in a handler and outside": lambda: race(
        ("srcu_read_lock srcu",), ("synchronize_srcu srcu",), irq=("srcu_read_lock srcu",)),
    "inside a reader that an interrupt enters, too": lambda: race(("rcu_read_lock", *A), irq=("rcu_read_lock",)),
    "work is flushed after the mutex": lambda: race(
        (("queue_work queue w0",), ("mutex_lock m",), "flush_work w0"), works=(("mutex_lock m",),)),
    "other work is flushed": lambda: race(
        (("queue_work queue w0",), "mutex_lock m", "flush_work w1"), works=(("mutex_lock m",), ())),
    "an item of an unordered queue flushes the next": lambda: race(
        (("queue_work queue w0",), ("queue_work queue w1",)), works=(("flush_work w1",), ())),
    "readers of the CPU lock take a mutex in one order": lambda: race(
        ("cpus_read_lock hotplug", "mutex_lock m"), ("cpus_read_lock hotplug", "mutex_lock m"),
        ("cpus_write_lock hotplug",)),
    "interrupts off wherever b is held": lambda: race(("spin_lock_irqsave b",), ("spin_lock_irqsave a", *B), irq=A),
    "from unsafe to safe": lambda: race((*B, "spin_lock_irqsave a"), irq=A),
    "softirqs off wherever b is held": lambda: with_bottom(("spin_lock_bh b",), ("spin_lock_bh a", *B), bottom=A),
    "a spin lock under a mutex": lambda: race(("mutex_lock m", *A)),
    "a mutex only tried under a spin lock": lambda: race((*A, "mutex_trylock m")),
    "a spin lock inside rcu_read_lock": lambda: race(("rcu_read_lock", *A)),
}  # fmt: skip


def with_bottom(*programs, bottom=A):
    """As ``race``; a tasklet runs on the way out of an interrupt of CPU 0."""
    first, *others = programs
    tasks = ((0, (("raise_irq irq0",), first)), *((1, program) for program in others))
    return explore(Race(tasks=tasks, irqs=((0, ("tasklet_schedule bottom",)),), tasklet=bottom))


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_reported(case):
    """Just that report is made; its schedules lead to its places; it knows whether a schedule ends so."""
    report, reached, make = WRONG[case]
    found = make()
    assert told(found) == [report]
    [made] = found.lockdep.reports
    check_sides(made)
    assert (made.reached is not None) == reached
    assert made.verdict.startswith("A schedule of this scenario ends so" if reached else "No schedule of this scenario")
    assert not found.lockdep.ok


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_is_not(case):
    """No report, with or without the proof of raw nesting; and the search finds nothing either."""
    found = RIGHT[case]()
    assert told(found) == []
    assert found.lockdep.ok and found.ok, found.failures
    assert {kind for kind, _ in told(found, raw_nesting=True)} <= {WAIT_CONTEXT}


# --- raw locks ----------------------------------------------------------------------------------------

#: Whether there is a report without the proof of raw nesting, and with it.
NESTINGS = {
    "raw under raw": (lambda: race(("raw_spin_lock x", "raw_spin_lock y")), None, None),
    "raw under spin": (lambda: race(("spin_lock a", "raw_spin_lock x")), None, None),
    "spin under raw": (lambda: race(("raw_spin_lock x", "spin_lock a")), None, ("x", "a")),
    "spin under raw, tried": (lambda: race(("raw_spin_lock x", "spin_trylock a")), None, None),
    "mutex under raw": (lambda: race(("raw_spin_lock x", "mutex_lock m")), ("x", "m"), ("x", "m")),
    "raw in a handler": (lambda: race((), irq=("raw_spin_lock x",)), None, None),
    "spin in a handler": (lambda: race((), irq=A), None, ("a",)),
    "spin in a tasklet": (lambda: race((), tasklet=A), None, None),
    "rcu_read_lock under raw": (lambda: race(("raw_spin_lock x", "rcu_read_lock")), None, None),
    "spin inside rcu_read_lock under raw": (
        lambda: race(("raw_spin_lock x", "rcu_read_lock", "spin_lock a")), None, ("x", "a")),
}  # fmt: skip


@pytest.mark.parametrize("case", NESTINGS)
def test_raw_nesting(case):
    """spinlock_t under a raw lock, or in a handler, is minded where the kernel could be a real-time one."""
    make, without, with_proof = NESTINGS[case]
    found = make()
    assert told(found) == [(WAIT_CONTEXT, classes) for classes in [without] if classes]
    assert told(found, raw_nesting=True) == [(WAIT_CONTEXT, classes) for classes in [with_proof] if classes]
    for report in lockdep(found, raw_nesting=True).reports:
        check_sides(report)
        assert (report.reached is None) == (without is None), "only the mutex fails in the search"


# --- letters ------------------------------------------------------------------------------------------

LETTERS = {
    "....": lambda: race(IRQSAVE_A),
    "+.+.": lambda: race(A),
    "+...": lambda: race(("spin_lock_bh a",)),
    "-...": lambda: race(IRQSAVE_A, irq=A),
    "?.+.": lambda: race(A, irq=A),
    "..-.": lambda: race((), tasklet=IRQSAVE_A),
    "+.-.": lambda: race((), tasklet=A),
    "+.?.": lambda: with_bottom(A),
    "?.-.": lambda: race((), irq=A, tasklet=A),
    "?...": lambda: race(("spin_lock_bh a",), irq=A),
}


@pytest.mark.parametrize("letters", LETTERS)
def test_letters(letters):
    """Hardirqs, then softirqs: neither, on, in, or both; each with a place for readers, which spin locks have not."""
    assert {c.name: c.letters for c in LETTERS[letters]().lockdep.classes}["a"] == letters


def test_letters_of_readers():
    """Readers have letters of their own; who waits for them leaves none, since it holds nothing afterwards."""
    found = race(("srcu_read_lock srcu",), ("synchronize_srcu srcu",), irq=("srcu_read_lock srcu",))
    assert {c.name: c.letters for c in found.lockdep.classes} == {"srcu": ".?.+"}


def test_an_attempt_counts():
    """A lock that is never had is seen all the same: the second of two that one context takes."""
    found = race(("spin_lock a", "spin_lock a", "spin_lock b"))
    assert {c.name for c in found.lockdep.classes} == {"a"}
    [report] = found.lockdep.reports
    assert report.sides[0].sentence == "t0 takes a while it holds a"


def test_interrupts_switched_on_mark_what_is_held():
    """The outer lock is condemned by the step that switches interrupts on, not by the one that took it."""
    [report] = WRONG["an inner unlock_irq switches interrupts on"][2]().lockdep.reports
    inside, on = report.sides
    assert (inside.shows, on.shows) == ("{IN-HARDIRQ-W}", "{HARDIRQ-ON-W}")
    assert (inside.done, on.done, on.operation) == (False, True, "spin_unlock_irq(b)")
    assert on.sentence == "t0 holds a with interrupts on, after spin_unlock_irq(b)"


def test_classes_are_kinds_of_locks():
    """Indices and the numbers of objects are no part of a class; keys in words are; a subclass is one of its own."""

    class Kinds(Scenario):
        def setup(self):
            self.row, self.named = [SpinLock(), SpinLock()], {"left": SpinLock(), "right": SpinLock()}
            self.channel = k.Struct("channel", lock=k.inside(SpinLock))
            self.channels = [self.channel.new(), self.channel.new()]

        @thread()
        def task(self):
            for lock in (*self.row, *self.named.values(), *(channel.lock for channel in self.channels)):
                yield k.spin_lock(lock)
                yield k.spin_unlock(lock)
            yield k.spin_lock_nested(self.row[0], 2)
            yield k.spin_unlock(self.row[0])

    names = [each.name for each in explore(Kinds).lockdep.classes]
    assert names == ["channel.lock", "named['left']", "named['right']", "row", "row/2"]


@pytest.mark.parametrize("subclass", [-1, 8, True, "1"])
def test_a_subclass_is_a_small_number(subclass):
    """The error says what may be given."""
    with pytest.raises(k.ModelError, match=r"from 0 .* to 7|takes an int as subclass"):
        k.spin_lock_nested(SpinLock(), subclass)


def test_an_annotation_is_believed():
    """Who vouches for an order that he does not keep hears nothing from lockdep; the search finds the deadlock."""
    found = race(("spin_lock row/0", "spin_lock_nested row/1"), ("spin_lock row/1", "spin_lock_nested row/0"))
    assert found.failures[0].kind == "deadlock"
    assert found.lockdep.ok


# --- what it says -------------------------------------------------------------------------------------


def test_a_report_in_words():
    """Both places with their schedules, then whether a schedule ends so; below, every class."""
    found = race(B, ("spin_lock_irqsave a", *B), irq=A)
    text = str(found.lockdep)
    for line in (
        "1 report",
        "HARDIRQ-safe -> HARDIRQ-unsafe lock order detected: a -> b: an interrupt that takes a can come where b is ",
        "1. {IN-HARDIRQ-W}  irq0 takes a in an interrupt",
        "2. a -> b          t1 takes b while it holds a",
        "3. {HARDIRQ-ON-W}  t0 takes b with interrupts on",
        "A schedule of this scenario ends so: nobody can go on: t0 waits for CPU 0, which is executing irq0",
        "  {-...}  a  spinlock  -> b",
        "  {+.+.}  b  spinlock",
    ):
        assert line in text
    assert text.count("To see it: Session(Race(") == 3
    assert repr(found.lockdep) == text


def test_a_prediction_that_nothing_reaches_says_so():
    """No schedule ends in it; and why it is reported all the same. The verdict of the search stays as it is."""
    found = WRONG["two orders under a third lock"][2]()
    [report] = found.lockdep.reports
    assert report.verdict == (
        "No schedule of this scenario ends in this deadlock. It is reported all the same: each place was seen, and a "
        "program in which they meet would be stuck."
    )
    assert found.ok and found.verdict == "holds under every interleaving"


def test_a_search_that_was_cut_short():
    """What is said is said of what was seen."""
    scenario = Race(tasks=((0, ("spin_lock c", *A, *B)), (1, ("spin_lock c", *B, *A))))
    found = explore(scenario, max_states=30)
    assert not found.complete
    assert found.lockdep.verdict.endswith(" so far")
    for report in found.lockdep.reports:
        assert report.verdict.startswith("So far, no schedule of this scenario")
    assert explore(scenario, max_states=3).lockdep.verdict == "nothing to report so far"


def test_no_locks():
    """A scenario without any says so."""
    assert race(("smp_mb",)).lockdep.verdict == "no locks seen"


def test_it_costs_nothing_unless_asked_for(monkeypatch):
    """A search looks at no lock class; who asks twice gets the same."""
    looked = []
    counted = lambda *given: looked.append(1) or seen.Seen(*given)  # noqa: E731
    monkeypatch.setattr(sys.modules["vmbus_teach.lockdep"], "Seen", counted)
    found = race(A)
    assert looked == []
    assert found.lockdep is found.lockdep
    assert looked == [1]


def test_it_is_given_an_exploration():
    """The error says how."""
    with pytest.raises(ScenarioError, match="give it what explore found"):
        lockdep(Race)


def test_several_reports_come_in_one_order():
    """Rule by rule, then by class; the kernel would have stopped after the first, and the text says so."""
    make = lambda: race((*A, *B), (*B, *A, "spin_lock a"), irq=A)  # noqa: E731
    found = make()
    assert told(found) == told(make()) == [(INCONSISTENT, ("a",)), (RECURSIVE, ("a",)), (CIRCULAR, ("a", "b")),
                                           (HARDIRQ_ORDER, ("a", "b"))]  # fmt: skip
    assert "turns itself off after the first" in str(found.lockdep)


def test_identical_tasks():
    """Tasks that the search merges are told apart again where a schedule leads to one of them."""

    class Twins(Scenario):
        def setup(self):
            self.a, self.b, self.turn = Mutex(), Mutex(), k.Cell(0)

        @thread(copies=2)
        def twin(self):
            mine = yield k.atomic_inc_return(self.turn)
            first, second = (self.a, self.b) if mine == 1 else (self.b, self.a)
            yield k.mutex_lock(first)
            yield k.mutex_lock(second)
            yield k.mutex_unlock(second)
            yield k.mutex_unlock(first)

    [report] = explore(Twins).lockdep.reports
    assert report.kind == CIRCULAR
    check_sides(report)


# --- against the truth ----------------------------------------------------------------------------------


def waits_for(machine, state):
    """In a deadlock: {context: (whom it waits for, the classes that it wants, whether with a lock or the like)}."""
    found = {}
    for context, outcome in machine.moves(state):
        position = machine.position(state, machine.context_index[context])
        wants, like_a_lock = set(), True
        if position.node is not None and not outcome.preempted:
            like_a_lock = type(position.operation).takes is not Operation.takes
            wants = {each.lock_class for each in position.operation.takes(View(machine, state))}
        found[context] = (outcome.on, wants, like_a_lock)
    return found


def circle(waits):
    """Contexts that wait for one another, each for the next; [] if there are none."""
    for start in waits:
        way = [start]
        while way[-1] in waits and waits[way[-1]][0]:
            ahead = [context for context in waits[way[-1]][0] if context in waits]
            if not ahead:
                break
            if ahead[0] in way:
                return way[way.index(ahead[0]) :]
            way.append(ahead[0])
    return []


def deadlocks_through_locks(found):
    """The deadlocked states in which contexts wait in a circle, all of them for locks, grace periods or work.

    What is left out is left out by rule: waiting for a completion, for a value of a cell, for a call on another CPU,
    for a tasklet, or for CPUs to stand still. Lockdep is told of none of these, and the kernel's is not either.
    """
    machine, graph = found.machine, found.graph
    for number, (kind, _) in graph.failing_states.items():
        if kind == "deadlock":
            waits = waits_for(machine, graph.states[number])
            stuck = circle(waits)
            if stuck and all(waits[context][2] for context in stuck):
                yield set().union(*(waits[context][1] for context in stuck))


def check_predicted(found):
    """Raises where a deadlock through locks has no report about just its classes; gives the number of deadlocks."""
    reports = [{*report.classes} for report in found.lockdep.reports if report.circle]
    wanted = {frozenset(classes) for classes in deadlocks_through_locks(found)}
    for classes in wanted:
        assert any(report <= classes for report in reports), f"{found.scenario}: {sorted(classes)}"
    return len(wanted)


@pytest.mark.parametrize("name", OF_THE_COURSE)
def test_the_course_has_no_deadlock_that_is_not_predicted(name):
    """Every kind of scenario of the course; its reports lead where they say, and say whether a schedule ends so."""
    found = explore(COURSE[name]())
    check_predicted(found)
    for report in lockdep(found, raw_nesting=True).reports:
        check_sides(report)
        assert report.verdict.startswith("A schedule" if report.reached else "No schedule")


class Tangle:
    """Writes races of nested locks from random numbers: tasks, handlers, a tasklet, work; few have other faults."""

    SLEEPY = (
        "mutex_lock m", "mutex_lock m", "mutex_lock n", "mutex_lock o", "srcu_read_lock srcu", "srcu_read_lock srcu",
        "srcu_read_lock other", "cpus_read_lock hotplug", "cpus_write_lock hotplug", "synchronize_srcu srcu",
        "synchronize_srcu srcu", "synchronize_srcu other", "queue_work queue w0", "queue_work queue w1",
        "flush_work w0", "flush_work w1", "cancel_work_sync w0", "flush_workqueue queue",
    )  # fmt: skip
    SPINNING = (
        "spin_lock a", "spin_lock a", "spin_lock b", "spin_lock c", "spin_lock_irqsave a", "spin_lock_irqsave b",
        "spin_lock_irqsave c", "spin_trylock a",
    )  # fmt: skip
    IN_TASKS = ("spin_lock_bh a", "spin_lock_irq b", "raise_irq irq0", "raise_irq irq1", "tasklet_schedule bottom")

    def __init__(self, seed):
        self.random = Random(seed)

    def program(self, size, *, sleepy=False, task=False):
        """A few sections, each with others inside."""
        found = []
        while size > 0:
            part = self.random.randint(1, size)
            size -= part
            words = self.SPINNING + self.IN_TASKS * task + self.SLEEPY * sleepy
            first = self.random.choice(words)
            inside = self.program(part - 1, sleepy=sleepy and first in self.SLEEPY, task=task and first in self.SLEEPY)
            found.append((first, *inside))
        return tuple(found)

    def race(self):
        sleepy = self.random.random() < 0.6
        return Race(
            tasks=tuple(
                (self.random.choice((0, 1, None)), self.program(self.random.randint(2, 4), sleepy=sleepy, task=True))
                for _ in range(self.random.choice((2, 2, 3)))
            ),
            irqs=tuple((self.random.randint(0, 1), self.program(self.random.randint(1, 2))) for _ in range(2)),
            tasklet=self.program(self.random.randint(1, 2)),
            works=tuple(self.program(self.random.randint(1, 2), sleepy=True, task=True) for _ in range(2)),
            ordered=self.random.random() < 0.5,
        )


def test_random_tangles_have_no_deadlock_that_is_not_predicted():
    """Races of nested locks; every place of every report is where its schedule leads."""
    deadlocks, kinds = 0, set()
    for seed in range(100):
        found = explore(Tangle(seed).race(), max_states=3_000)
        deadlocks += check_predicted(found)
        for report in found.lockdep.reports:
            check_sides(report)
            kinds.add((report.kind, report.reached is not None))
    assert deadlocks > 35, "there must be something to predict"
    assert {(kind, reached) for kind in (INCONSISTENT, RECURSIVE, CIRCULAR) for reached in (True, False)} <= kinds


@pytest.mark.parametrize("topic", TOPICS)
def test_random_races_have_no_deadlock_that_is_not_predicted(topic):
    """The races on which the engine is compared with a brute force."""
    for seed in range(12):
        case = Author(Random(seed), TOPICS[topic]).case()
        found = explore(type("FromCase", (FromCase,), {"cpus": case.cpus})(case=case), max_states=3_000)
        check_predicted(found)


@pytest.mark.parametrize(
    ("rule", "case"),
    [
        ("_inconsistent", "a handler takes what a task holds with interrupts on"),
        ("_recursive", "one lock twice"),
        ("_circular", "three in a ring"),
        ("_safe_to_unsafe", "an interrupt takes a, under which b is taken, which is held with interrupts on"),
    ],
)
def test_without_a_rule_a_deadlock_is_missed(monkeypatch, rule, case):
    """So the tests above can fail."""
    monkeypatch.setattr(rules, rule, lambda *_: iter(()))
    with pytest.raises(AssertionError, match="Race"):
        check_predicted(WRONG[case][2]())


# --- its picture ----------------------------------------------------------------------------------------


def gids(picture):
    """What was drawn, by name."""
    [axes] = picture.figure.axes
    return [patch.get_gid() for patch in axes.patches]


def test_the_picture_has_every_class_and_arrow():
    """A box for each class, an arrow for each pair; the report's have the numbers of its places, and an interrupt."""
    found = race(B, ("spin_lock_irqsave a", *B, "spin_lock c"), irq=A)
    picture = lock_graph(found, next(r for r in found.lockdep.reports if r.classes == ("a", "b")))
    assert gids(picture) == [
        "class a", "class b", "class c", "a -> c", "b -> c", "a -> b", "b -> a by interrupt",
    ]  # fmt: skip
    assert {(arrow.before, arrow.after, arrow.marks) for arrow in picture.rows if arrow.marks} == {
        ("a", "b", "2"), ("b", "a", "1, 3"),
    }  # fmt: skip
    [axes] = picture.figure.axes
    thick = {patch.get_gid() for patch in axes.patches if patch.get_linewidth() > 2}
    assert thick == {"class a", "class b", "a -> b", "b -> a by interrupt"}
    assert "a -> b: an interrupt that takes a can come where b is held" in picture.alt
    assert "a {-...} spinlock, b {+.+.} spinlock" in picture.alt


def test_the_order_leads_down():
    """Whoever is taken first stands above, whatever the names; so an arrow up breaks the order."""
    picture = lock_graph(race(("mutex_lock o", "mutex_lock m"), ("mutex_lock m", "mutex_lock n")))
    [axes] = picture.figure.axes
    heights = {patch.get_gid(): patch.get_y() for patch in axes.patches if patch.get_gid().startswith("class")}
    assert heights["class o"] > heights["class m"] > heights["class n"]


def test_pictures_are_the_same_each_time():
    """The same input gives the same bytes; without a report nothing is marked."""
    make = lambda: lock_graph(race((*A, *B), (*B, *A)))  # noqa: E731
    assert make().png() == make().png()
    assert not any(arrow.marks for arrow in lock_graph(race((*A, *B))).rows)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: lock_graph(Race), "give it what explore found"),
        (lambda: lock_graph(race(("smp_mb",))), "takes no locks"),
        (lambda: lock_graph(race(A), race(("mutex_lock m", "mutex_lock m")).lockdep.reports[0]), "other lock classes"),
    ],
)
def test_what_cannot_be_drawn(draw, message):
    """A sentence says why."""
    with pytest.raises(ScenarioError, match=message):
        draw()
