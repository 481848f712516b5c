"""Locks: who gets them, who waits how, and what that does to the CPU."""

import pytest
from by_hand import blocked, check, each, failures, outcomes, possible, the_failure

from vmbus_teach import Scenario, explore, interrupt, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    ModelError,
    Mutex,
    RawSpinLock,
    SpinLock,
    Tasklet,
    load,
    mutex_lock,
    mutex_lock_nested,
    mutex_trylock,
    mutex_unlock,
    raise_irq,
    raw_spin_lock,
    raw_spin_lock_irqsave,
    raw_spin_lock_nested,
    raw_spin_unlock,
    raw_spin_unlock_irqrestore,
    smp_cond_load_acquire,
    spin_lock,
    spin_lock_bh,
    spin_lock_irq,
    spin_lock_irqsave,
    spin_lock_nested,
    spin_trylock,
    spin_unlock,
    spin_unlock_bh,
    spin_unlock_irq,
    spin_unlock_irqrestore,
    store,
    tasklet_schedule,
)

#: For each kind of lock: its class, what takes it, what releases it, given what taking it returned.
KINDS = {
    "spin": (SpinLock, spin_lock, lambda lock, _: spin_unlock(lock)),
    "bh": (SpinLock, spin_lock_bh, lambda lock, _: spin_unlock_bh(lock)),
    "irq": (SpinLock, spin_lock_irq, lambda lock, _: spin_unlock_irq(lock)),
    "irqsave": (SpinLock, spin_lock_irqsave, spin_unlock_irqrestore),
    "raw": (RawSpinLock, raw_spin_lock, lambda lock, _: raw_spin_unlock(lock)),
    "raw irqsave": (RawSpinLock, raw_spin_lock_irqsave, raw_spin_unlock_irqrestore),
    "nested": (SpinLock, spin_lock_nested, lambda lock, _: spin_unlock(lock)),
    "raw nested": (RawSpinLock, raw_spin_lock_nested, lambda lock, _: raw_spin_unlock(lock)),
    "mutex": (Mutex, mutex_lock, lambda lock, _: mutex_unlock(lock)),
    "mutex nested": (Mutex, mutex_lock_nested, lambda lock, _: mutex_unlock(lock)),
}


class Locked(Scenario):
    """Two tasks add to a counter under a lock, each on a CPU of its own or both on CPU 0."""

    cpus = 1

    def setup(self, kind, cpu=None):
        lock_type, self.take, self.release = KINDS[kind]
        self.lock = lock_type()
        self.count = Cell(0)
        self.add_thread(self.add, name="a", cpu=cpu)
        self.add_thread(self.add, name="b", cpu=cpu)

    def add(self):
        taken = yield self.take(self.lock)
        value = yield load(self.count)
        yield store(self.count, value + 1)
        yield self.release(self.lock, taken)

    def outcome(self, s):
        return s[self.count]


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_excludes(kind):
    """Under a lock no update is lost, no data race is seen, and one task comes after the other."""
    check(Locked(kind=kind), "a*4 b*4", "b*4 a*4", outcomes={2})
    verb = "waits for" if kind.startswith("mutex") else "spins for"
    assert blocked(Locked(kind=kind), "a") == {"b": f"{verb} lock, held by a"}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("mutex")])
def test_a_spin_lock_keeps_its_cpu(kind):
    """On one CPU the holder of a spin lock is not preempted: the other does not even begin to spin."""
    check(Locked(kind=kind, cpu=0), "a*4 b*4", "b*4 a*4", outcomes={2})
    assert blocked(Locked(kind=kind, cpu=0), "a*2") == {"b": "waits for CPU 0, which is executing a"}


def test_a_mutex_does_not_keep_its_cpu():
    """On one CPU the holder of a mutex can be preempted; who wants the mutex sleeps."""
    check(Locked(kind="mutex", cpu=0), "a*4 b*4", "b*4 a*4", outcomes={2})
    assert blocked(Locked(kind="mutex", cpu=0), "a*2") == {"b": "waits for lock, held by a"}


class Spinner(Scenario):
    """``holder`` on CPU 1 has a lock that ``spinner`` wants on CPU 0, where ``other`` and ``isr`` wait to run."""

    cpus = 2

    def setup(self, kind):
        _, self.take, self.release = KINDS[kind]
        self.lock = SpinLock()
        self.seen = Cell(0)

    @thread(cpu=1)
    def holder(self):
        yield spin_lock(self.lock)
        yield raise_irq(self.isr)
        yield spin_unlock(self.lock)

    @thread(cpu=0)
    def spinner(self):
        taken = yield self.take(self.lock)
        yield self.release(self.lock, taken)

    @thread(cpu=0)
    def other(self):
        yield WRITE_ONCE(self.seen, 1)

    @interrupt(cpu=0)
    def isr(self):
        yield WRITE_ONCE(self.seen, 2)


@pytest.mark.parametrize("kind", ["spin", "bh", "irq", "irqsave"])
def test_who_spins_keeps_its_cpu(kind):
    """To begin to spin is a step; from then on no other task runs there, and interrupts only if they are on."""
    scenario = Spinner(kind=kind)
    assert possible(scenario, "holder*2") == {"holder", "spinner", "other", "isr"}
    reasons = {"spinner": "spins for lock, held by holder", "other": "waits for CPU 0, which is executing spinner"}
    if kind in ("irq", "irqsave"):
        reasons["isr"] = "waits until CPU 0 has interrupts on, which are off in spinner"
    assert blocked(scenario, "holder*2 spinner") == reasons
    assert explore(scenario).ok


def test_irqsave_remembers_while_it_spins():
    """Interrupts were on before: they are on again after, although the lock had to be waited for."""
    assert possible(Spinner(kind="irqsave"), "holder*2 spinner holder spinner*2") == {"other", "isr"}


class Handler(Scenario):
    """A task and an interrupt handler on CPU 0 use one lock; ``way`` says how each takes it."""

    cpus = 1

    def setup(self, task="spin", handler="spin"):
        self.lock = SpinLock()
        self.task, self.handler = task, handler
        self.count = Cell(0)

    def section(self, way):
        _, take, release = KINDS[way]
        taken = yield take(self.lock)
        value = yield READ_ONCE(self.count)
        yield WRITE_ONCE(self.count, value + 1)
        yield release(self.lock, taken)

    @thread(cpu=0)
    def t(self):
        yield raise_irq(self.isr)
        yield from self.section(self.task)

    @interrupt(cpu=0)
    def isr(self):
        yield from self.section(self.handler)

    def outcome(self, s):
        return s[self.count]


@pytest.mark.parametrize("task", ["spin", "bh"])
def test_a_handler_spins_for_a_lock_that_its_own_cpu_holds(task):
    """With interrupts on under the lock the handler may come there, and spins for ever."""
    message = the_failure(Handler(task=task), "deadlock")
    assert message == (
        "nobody can go on: t waits for CPU 0, which is executing isr; isr spins for lock, held by t"
    )


@pytest.mark.parametrize("task", ["irq", "irqsave"])
def test_interrupts_off_under_the_lock_keep_the_handler_away(task):
    """The handler comes before the lock is taken or after it is released: two schedules, no update lost."""
    check(Handler(task=task), "t isr*5 t*4", "t*5 isr*5", outcomes={2})


def test_irqsave_in_a_handler_leaves_interrupts_off():
    """The handler's own flags say off, and off they are after the unlock; with _irq they are on."""
    assert failures(Handler(task="irqsave", handler="irqsave")) == set()
    message = the_failure(Handler(task="irqsave", handler="irq"), "error")
    assert message == "isr is an interrupt handler and returns with interrupts on"


def test_unlock_irq_inside_irqsave_lets_the_handler_in_too_early():
    """The inner _irq pair switches interrupts on while the outer lock is held: the handler then spins for it.

    Its second step is the one with which it begins to spin.
    """

    class Inner(Scenario):
        cpus = 1

        def setup(self, inner=spin_unlock_irq):
            self.outer, self.inner = SpinLock(), SpinLock()

        @thread(cpu=0)
        def t(self):
            yield raise_irq(self.isr)
            flags = yield spin_lock_irqsave(self.outer)
            yield spin_lock_irq(self.inner)
            yield spin_unlock_irq(self.inner)
            yield spin_unlock_irqrestore(self.outer, flags)

        @interrupt(cpu=0)
        def isr(self):
            yield spin_lock(self.outer)
            yield spin_unlock(self.outer)

    check(Inner, "t isr*3 t*4", "t*4 isr*2", "t*5 isr*3", ok=False)
    assert the_failure(Inner, "deadlock").endswith("isr spins for outer, held by t")


class Bottom(Scenario):
    """A task and a tasklet on CPU 0 use one lock."""

    cpus = 1

    def setup(self, task):
        _, self.take, self.release = KINDS[task]
        self.lock = SpinLock()
        self.tasklet = Tasklet(self.run)

    @thread(cpu=0)
    def t(self):
        yield raise_irq(self.isr)
        taken = yield self.take(self.lock)
        yield self.release(self.lock, taken)

    @interrupt(cpu=0)
    def isr(self):
        yield tasklet_schedule(self.tasklet)

    def run(self):
        yield spin_lock(self.lock)
        yield spin_unlock(self.lock)


def test_a_tasklet_spins_for_a_lock_that_its_own_cpu_holds():
    """spin_lock does not keep a tasklet away, which the way out of an interrupt runs on top of the holder."""
    check(Bottom(task="spin"), "t isr*2 tasklet*3 t*2", "t*2 isr*2 tasklet*2", "t*3 isr*2 tasklet*3", ok=False)
    assert the_failure(Bottom(task="spin"), "deadlock").endswith("tasklet spins for lock, held by t")


def test_spin_lock_bh_keeps_tasklets_away():
    """With softirqs off under the lock the tasklet waits, and runs right at the unlock."""
    check(Bottom(task="bh"), "t isr*2 tasklet*3 t*2", "t*2 isr*2 t tasklet*3", "t*3 isr*2 tasklet*3")


def test_who_spins_with_softirqs_off_keeps_its_tasklets_waiting():
    """Also on a CPU of its own: the holder waits for a tasklet that the spinner keeps from running."""

    class Kept(Scenario):
        def setup(self):
            self.lock = SpinLock()
            self.done = Cell(0)
            self.tasklet = Tasklet(self.run)

        def run(self):
            yield WRITE_ONCE(self.done, 1)

        @thread()
        def holder(self):
            yield spin_lock(self.lock)
            yield smp_cond_load_acquire(self.done, bool)
            yield spin_unlock(self.lock)

        @thread()
        def spinner(self):
            yield tasklet_schedule(self.tasklet)
            yield spin_lock_bh(self.lock)
            yield spin_unlock_bh(self.lock)

    assert the_failure(Kept, "deadlock") == (
        "nobody can go on: holder waits for done to change, which is 0; spinner spins for lock, held by holder; "
        "tasklet waits until spinner's CPU has softirqs on, which are off in spinner"
    )


class Opposite(Scenario):
    """AB-BA: two tasks take two locks in opposite orders, each on a CPU of its own."""

    def setup(self, kind):
        lock_type, self.take, self.release = KINDS[kind]
        self.left, self.right = lock_type(), lock_type()
        self.add_thread(self.both, self.left, self.right, name="a")
        self.add_thread(self.both, self.right, self.left, name="b")

    def both(self, first, second):
        outer = yield self.take(first)
        inner = yield self.take(second)
        yield self.release(second, inner)
        yield self.release(first, outer)


#: One has released its second lock, which is the other's first, before the other begins.
LATE = ["a*3 b a b*3", "b*3 a b a*3"]


@pytest.mark.parametrize("kind", KINDS)
def test_opposite_orders(kind):
    """Each takes its first lock, then waits for the other's: the two schedules that begin so are stuck."""
    verb = "waits for" if kind.startswith("mutex") else "spins for"
    check(Opposite(kind=kind), "a*4 b*4", "b*4 a*4", "a b", "b a", *LATE, ok=False)
    assert the_failure(Opposite(kind=kind), "deadlock") == (
        f"nobody can go on: a {verb} right, held by b; b {verb} left, held by a"
    )


def test_a_lock_taken_twice():
    """A spin lock or mutex that one holds oneself is waited for in vain."""

    class Twice(Scenario):
        def setup(self, kind):
            lock_type, self.take, _ = KINDS[kind]
            self.lock = lock_type()

        @thread()
        def t(self):
            yield self.take(self.lock)
            yield self.take(self.lock)

    for kind in KINDS:
        verb = "waits for" if kind.startswith("mutex") else "spins for"
        message = the_failure(Twice(kind=kind), "deadlock")
        assert message == f"nobody can go on: t {verb} lock, which it holds itself"


class Tries(Scenario):
    """Two tasks try to take a lock."""

    def setup(self, mutex):
        self.lock = Mutex() if mutex else SpinLock()
        self.trylock, self.unlock = (mutex_trylock, mutex_unlock) if mutex else (spin_trylock, spin_unlock)
        self.got = [Cell(None), Cell(None)]
        self.add_thread(self.tries, 0, name="a")
        self.add_thread(self.tries, 1, name="b")

    def tries(self, number):
        got = yield self.trylock(self.lock)
        yield WRITE_ONCE(self.got[number], got)
        if got:
            yield self.unlock(self.lock)

    def outcome(self, s):
        return s[self.got[0]], s[self.got[1]]


@pytest.mark.parametrize("mutex", [False, True])
def test_trylock(mutex):
    """trylock takes the lock or not, and never waits; both succeed only one after the other."""
    scenario = Tries(mutex=mutex)
    assert outcomes(scenario) == {(True, True), (True, False), (False, True)}
    # a first: its unlock is done before b tries (1), or b fails, with b's two steps anywhere later than a's
    # trylock, the first of them before a's unlock: a b b|a a in 6 orders, less the one that unlocks first.
    assert explore(scenario).schedules == 2 * (1 + 5)


def test_spin_trylock_keeps_the_cpu_only_where_it_succeeds():
    """A failed trylock leaves preemption on."""

    class One(Tries):
        cpus = 1

        def setup(self):
            super().setup(mutex=False)
            self.add_thread(self.holds, name="holder")
            self._threads = [(p, a, 0 if n != "holder" else None, h, n) for p, a, c, h, n in self._threads]

        def holds(self):
            yield spin_lock(self.lock)
            yield spin_unlock(self.lock)

    assert possible(One, "a") == {"a"}
    assert possible(One, "holder a") == {"a", "b", "holder"}


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        (lambda s: [spin_unlock(s.lock)], "t unlocks lock, but nobody holds it"),
        (lambda s: [mutex_unlock(s.mutex)], "t unlocks mutex, but nobody holds it"),
        (lambda s: [spin_unlock_irqrestore(s.lock, True)], "t unlocks lock, but nobody holds it"),
        (lambda s: [spin_lock(s.lock)], "t returns and still holds lock"),
        (lambda s: [mutex_lock(s.mutex)], "t returns and still holds mutex"),
        (lambda s: [spin_lock_bh(s.lock), spin_unlock(s.lock)], "t switches preemption on, which it had not"),
        (lambda s: [spin_lock(s.lock), spin_unlock_bh(s.lock)], "t switches softirqs on, which it had not"),
        (lambda s: [spin_lock_irq(s.lock), spin_unlock(s.lock)], "t returns with interrupts still off"),
    ],
)
def test_misuse(operations, message):
    """Unlocking what is not locked, keeping what is, and pairs that do not belong together."""

    class Misuse(Scenario):
        def setup(self):
            self.lock, self.mutex = SpinLock(), Mutex()

        @thread()
        def t(self):
            yield from each(operations(self))

    assert the_failure(Misuse, "error").startswith(message)


def test_unlocking_somebody_elses_lock():
    """The error says who holds it."""

    class Other(Scenario):
        def setup(self):
            self.lock = Mutex()

        @thread()
        def a(self):
            yield mutex_lock(self.lock)
            yield mutex_unlock(self.lock)

        @thread()
        def b(self):
            yield mutex_unlock(self.lock)

    messages = {"b unlocks lock, but a holds it", "b unlocks lock, but nobody holds it"}
    found = failures(Other)
    assert {kind for kind, _ in found} == {"error"}
    assert {message for _, message in found} <= messages


def test_mutex_trylock_is_not_for_handlers():
    """A mutex belongs to a task (source: the comment of mutex_trylock in kernel/locking/mutex.c, v6.1)."""

    class InHandler(Scenario):
        cpus = 1

        def setup(self):
            self.lock = Mutex()

        @thread(cpu=0)
        def t(self):
            yield raise_irq(self.isr)

        @interrupt(cpu=0)
        def isr(self):
            yield mutex_trylock(self.lock)

    assert the_failure(InHandler, "error") == "isr is no task and calls mutex_trylock(lock): a mutex belongs to a task"


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda s: spin_lock(s.raw), "spin_lock takes a SpinLock as lock, not raw (a RawSpinLock)."),
        (lambda s: raw_spin_lock_irqsave(s.lock), "raw_spin_lock_irqsave takes a RawSpinLock as lock, not lock"),
        (lambda s: mutex_lock(s.lock), "mutex_lock takes a Mutex as lock, not lock (a SpinLock)."),
        (lambda s: spin_unlock_irqrestore(s.lock, None), "spin_unlock_irqrestore is to restore None"),
        (lambda s: spin_lock("lock"), "spin_lock takes a SpinLock as lock, not 'lock' (a str)."),
    ],
)
def test_bad_arguments(operation, message):
    """Each operation takes the lock that its name says."""

    class Bad(Scenario):
        def setup(self):
            self.lock, self.raw = SpinLock(), RawSpinLock()

        @thread()
        def t(self):
            yield operation(self)

    with pytest.raises(ModelError) as error:
        explore(Bad)
    assert message in str(error.value)
