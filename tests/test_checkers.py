"""The checks that watch every step: sleeping in atomic context, data races, what is left behind, deadlock."""

import pytest
from by_hand import after, check, each, failures, possible, the_failure

from vmbus_teach import Scenario, explore, interrupt, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Mutex,
    SpinLock,
    Tasklet,
    Work,
    atomic_inc,
    flush_workqueue,
    load,
    local_bh_disable,
    local_irq_disable,
    local_irq_enable,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    preempt_disable,
    raise_irq,
    rcu_read_lock,
    schedule_work,
    smp_call_function_single,
    smp_load_acquire,
    smp_store_release,
    spin_lock,
    spin_lock_bh,
    spin_lock_irq,
    spin_unlock,
    store,
    synchronize_rcu,
    system_wq,
    tasklet_schedule,
    xchg,
)

# --- sleeping in atomic context -----------------------------------------------------------------


class Sleeps(Scenario):
    """A task does ``operations``; the last one may sleep."""

    cpus = 1
    operations = ()

    def setup(self):
        self.lock, self.other, self.mutex = SpinLock(), SpinLock(), Mutex()

    @thread(cpu=0)
    def t(self):
        yield from each(operation(self) for operation in self.operations)


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (lambda s: local_irq_disable(), "interrupts are off"),
        (lambda s: preempt_disable(), "preemption is off"),
        (lambda s: local_bh_disable(), "softirqs are off"),
        (lambda s: spin_lock(s.lock), "preemption is off (it holds lock)"),
        (lambda s: spin_lock_bh(s.lock), "softirqs are off (it holds lock)"),
        (lambda s: spin_lock_irq(s.lock), "interrupts are off (it holds lock)"),
        (lambda s: rcu_read_lock(), "it is inside rcu_read_lock"),
    ],
)
def test_each_cause(first, why):
    """Each way to be atomic is named, with the locks that are held; a free mutex makes no difference."""

    class Atomic(Sleeps):
        operations = (first, lambda s: mutex_lock(s.mutex))

    assert the_failure(Atomic, "sleep-in-atomic") == f"t calls mutex_lock(mutex), which may sleep, but {why}"


@pytest.mark.parametrize(
    "operation", [lambda s: synchronize_rcu(), lambda s: flush_workqueue(system_wq), lambda s: mutex_lock(s.mutex)]
)
def test_each_sleeper(operation):
    """Everything that may sleep is caught, whether it would have to or not."""

    class Atomic(Sleeps):
        operations = (lambda s: spin_lock(s.lock), lambda s: spin_lock(s.other), operation)

    message = the_failure(Atomic, "sleep-in-atomic")
    assert message.endswith("which may sleep, but preemption is off (it holds lock, other)")


def test_a_mutex_is_no_atomic_context():
    """Under a mutex one may sleep, and a failed or successful trylock never does."""

    class Fine(Sleeps):
        operations = (
            lambda s: mutex_lock(s.mutex),
            lambda s: synchronize_rcu(),
            lambda s: mutex_trylock(s.mutex),
            lambda s: mutex_unlock(s.mutex),
            lambda s: spin_lock(s.lock),
            lambda s: mutex_trylock(s.mutex),
            lambda s: mutex_unlock(s.mutex),
            lambda s: spin_unlock(s.lock),
        )

    check(Fine, "t*8")


class Somewhere(Scenario):
    """``body`` is executed in a handler, a tasklet, a call on another CPU, or a work item."""

    cpus = 2

    def setup(self, where):
        self.where = where
        self.mutex = Mutex()
        self.tasklet, self.work = Tasklet(self.body), Work(self.body)

    @thread(cpu=0)
    def t(self):
        yield {
            "isr": lambda: raise_irq(self.isr),
            "tasklet": lambda: tasklet_schedule(self.tasklet),
            "ipi1": lambda: smp_call_function_single(1, self.body),
            "ipi0": lambda: smp_call_function_single(0, self.body),
            "work": lambda: schedule_work(self.work),
        }[self.where]()

    @interrupt(cpu=0)
    def isr(self):
        yield from self.body()

    def body(self):
        yield mutex_lock(self.mutex)
        yield mutex_unlock(self.mutex)


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("isr", "it is an interrupt handler"),
        ("ipi0", "it is an interrupt handler"),
        ("ipi1", "it is an interrupt handler"),
        ("tasklet", "it is a tasklet"),
    ],
)
def test_handlers_must_not_sleep(where, what):
    """Nor may tasklets, nor functions that another CPU has sent."""
    message = the_failure(Somewhere(where=where), "sleep-in-atomic")
    assert message == f"{where} calls mutex_lock(mutex), which may sleep, but {what}"


def test_workers_may_sleep():
    """That is what work items are for."""
    check(Somewhere(where="work"), "t work*3")


# --- data races -----------------------------------------------------------------------------------


class Race(Scenario):
    """Two contexts access one cell, once each."""

    def setup(self, first, second):
        self.first, self.second = first, second
        self.x = Cell(0)

    @thread()
    def a(self):
        yield self.first(self.x)

    @thread()
    def b(self):
        yield self.second(self.x)


def put(kind):
    """A write of the given kind."""

    def write(cell):
        return kind(cell, 1)

    write.__name__ = kind.__name__
    return write


PLAIN_READ, PLAIN_WRITE = load, put(store)
READS = [READ_ONCE, smp_load_acquire]
WRITES = [put(WRITE_ONCE), put(smp_store_release), put(xchg), atomic_inc]


@pytest.mark.parametrize("first", [PLAIN_WRITE])
@pytest.mark.parametrize("second", [PLAIN_READ, PLAIN_WRITE, *READS, *WRITES])
def test_a_plain_write_races_with_everything(first, second):
    """Whatever the other access is, also READ_ONCE."""
    for scenario in (Race(first=first, second=second), Race(first=second, second=first)):
        assert {kind for kind, _ in failures(scenario)} == {"data-race"}
        assert not explore(scenario).ok


@pytest.mark.parametrize("second", WRITES)
def test_a_plain_read_races_with_every_write(second):
    """Also with an atomic one."""
    assert {kind for kind, _ in failures(Race(first=PLAIN_READ, second=second))} == {"data-race"}


@pytest.mark.parametrize(
    ("first", "second"),
    [(PLAIN_READ, PLAIN_READ), *((PLAIN_READ, r) for r in READS), *((r, w) for r in READS + WRITES for w in WRITES)],
)
def test_no_race_without_a_plain_access_or_a_write(first, second):
    """Two reads never race; two marked accesses neither."""
    assert failures(Race(first=first, second=second)) == set()


def test_the_words_of_a_data_race():
    """Who is about to do what; the race ends no schedule."""
    result = explore(Race(first=PLAIN_WRITE, second=READ_ONCE))
    (race,) = result.failures
    assert race.message == (
        "a is about to write x (store(x, 1)) while b is about to read it (READ_ONCE(x)), and nothing orders the two"
    )
    assert (len(race.schedule), race.share, result.schedules) == (0, None, 2)


def test_a_lock_orders_plain_accesses():
    """Under one lock there is no race; where one of the two forgets it, there is."""

    class Locked(Scenario):
        def setup(self, b_locks=True):
            self.lock, self.x, self.b_locks = SpinLock(), Cell(0), b_locks

        @thread()
        def a(self):
            yield spin_lock(self.lock)
            yield store(self.x, 1)
            yield spin_unlock(self.lock)

        @thread()
        def b(self):
            if self.b_locks:
                yield spin_lock(self.lock)
            yield load(self.x)
            if self.b_locks:
                yield spin_unlock(self.lock)

    assert failures(Locked) == set()
    assert {kind for kind, _ in failures(Locked(b_locks=False))} == {"data-race"}


class SameCpu(Scenario):
    """A task and a handler of one CPU."""

    cpus = 1
    irqs_off = False

    def setup(self):
        self.x = Cell(0)

    @thread(cpu=0)
    def t(self):
        yield raise_irq(self.isr)
        if self.irqs_off:
            yield local_irq_disable()
        yield store(self.x, 1)
        if self.irqs_off:
            yield local_irq_enable()

    @interrupt(cpu=0)
    def isr(self):
        yield store(self.x, 2)


def test_a_task_that_is_interrupted_right_before_its_access():
    """It still stands there: the compiler may have torn the access in two. With interrupts off, it cannot be."""

    class Off(SameCpu):
        irqs_off = True

    message = the_failure(SameCpu, "data-race")
    assert message.startswith("t is about to write x (store(x, 1)) while isr is about to write it (store(x, 2))")
    assert failures(Off) == set()


# --- what is left behind ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "operations", "message"),
    [
        ("work", lambda s: [mutex_lock(s.mutex)], "work returns and still holds mutex"),
        ("work", lambda s: [local_irq_disable()], "work returns with interrupts still off"),
        ("tasklet", lambda s: [local_bh_disable()], "tasklet returns with softirqs still off"),
        ("isr", lambda s: [rcu_read_lock()], "isr returns without rcu_read_unlock"),
        ("ipi1", lambda s: [preempt_disable()], "ipi1 returns with preemption still off"),
    ],
)
def test_every_kind_of_context_cleans_up(where, operations, message):
    """Whatever executes a program, what it took it gives back before it returns."""

    class Left(Somewhere):
        def body(self):
            yield from each(operations(self))

    assert the_failure(Left(where=where), "error") == message


# --- deadlock ---------------------------------------------------------------------------------------


def test_a_deadlock_names_all_who_wait():
    """Three tasks in a ring."""

    class Ring(Scenario):
        def setup(self):
            self.locks = [Mutex() for _ in range(3)]
            for i, name in enumerate("abc"):
                self.add_thread(self.both, self.locks[i], self.locks[(i + 1) % 3], name=name)

        def both(self, first, second):
            yield mutex_lock(first)
            yield mutex_lock(second)
            yield mutex_unlock(second)
            yield mutex_unlock(first)

    assert the_failure(Ring, "deadlock") == (
        "nobody can go on: a waits for locks[1], held by b; b waits for locks[2], held by c; "
        "c waits for locks[0], held by a"
    )
    session = after(Ring, "a b c")
    assert [(choice.word, choice.waits_for) for choice in session.choices()] == []
    assert [fault.kind for fault in session.failures] == ["deadlock"]


def test_whoever_can_go_on_is_no_deadlock():
    """Two are stuck, the third still runs: the deadlock is found where that has finished."""

    class Third(Scenario):
        def setup(self):
            self.mutex, self.x = Mutex(), Cell(0)

        @thread()
        def a(self):
            yield mutex_lock(self.mutex)
            yield mutex_lock(self.mutex)

        @thread()
        def c(self):
            yield WRITE_ONCE(self.x, 1)

    assert possible(Third, "a") == {"c"}
    check(Third, "a c", "c a", ok=False)
    assert the_failure(Third, "deadlock") == "nobody can go on: a waits for mutex, which it holds itself"
