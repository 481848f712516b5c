"""RCU: who is a reader, what a grace period waits for, and when callbacks are executed."""

import pytest
from by_hand import after, blocked, check, each, failures, outcomes, possible, shown, the_failure

from vmbus_teach import Scenario, explore, interrupt, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    ModelError,
    SpinLock,
    Struct,
    Tasklet,
    atomic_inc,
    call_rcu,
    kfree_rcu,
    local_bh_disable,
    local_bh_enable,
    local_irq_disable,
    local_irq_enable,
    preempt_disable,
    preempt_enable,
    raise_irq,
    rcu_assign_pointer,
    rcu_barrier,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    smp_cond_load_relaxed,
    spin_lock,
    spin_unlock,
    synchronize_rcu,
    tasklet_schedule,
)


class Reading(Scenario):
    """A reader and an updater, each on a CPU of its own."""

    def setup(self, enter=rcu_read_lock, leave=rcu_read_unlock):
        self.enter, self.leave = enter, leave
        self.lock = SpinLock()

    @thread()
    def r(self):
        yield self.enter()
        yield self.leave()

    @thread()
    def u(self):
        yield synchronize_rcu()


def test_synchronize_rcu_waits_for_readers_of_before():
    """Begun while the reader is inside, it ends after it; a grace period without readers is one step."""
    check(Reading, "u r*2", "r u r u", "r*2 u")
    assert blocked(Reading, "r u") == {"u": "waits for the RCU reader r"}
    session = after(Reading, "r u")
    assert shown(session, "rcu readers") == "r"
    assert shown(session, "rcu readers waited for") == "u waits for r"


@pytest.mark.parametrize(
    ("enter", "leave"),
    [
        (preempt_disable, preempt_enable),
        (local_irq_disable, local_irq_enable),
        (local_bh_disable, local_bh_enable),
    ],
)
def test_everything_that_cannot_be_preempted_is_a_reader(enter, leave):
    """Since v5.0 a grace period also waits where preemption, softirqs or interrupts are off."""
    check(Reading(enter=enter, leave=leave), "u r*2", "r u r u", "r*2 u")


def test_a_spin_lock_makes_a_reader():
    """Its holder cannot be preempted."""

    class Locked(Reading):
        def r(self):
            yield spin_lock(self.lock)
            yield spin_unlock(self.lock)

    check(Locked, "u r*2", "r u r u", "r*2 u")


def test_later_readers_are_not_waited_for():
    """A reader that enters during the grace period does not prolong it; nesting ends with the outermost unlock."""

    class Again(Reading):
        def r(self):
            yield rcu_read_lock()
            yield rcu_read_lock()
            yield rcu_read_unlock()
            yield rcu_read_unlock()
            yield rcu_read_lock()
            yield rcu_read_unlock()

    assert possible(Again, "r*2 u r") == {"r"}
    assert possible(Again, "r*2 u r*3") == {"r", "u"}
    assert shown(after(Again, "r*2"), "rcu readers") == "r (2 deep)"


def test_a_preempted_reader_is_waited_for():
    """Inside rcu_read_lock a task may be preempted; the updater on its CPU waits for it."""

    class OneCpu(Scenario):
        cpus = 1

        @thread(cpu=0)
        def r(self):
            yield rcu_read_lock()
            yield rcu_read_unlock()

        @thread(cpu=0)
        def u(self):
            yield synchronize_rcu()

    check(OneCpu, "u r*2", "r u r u", "r*2 u")


class Handlers(Scenario):
    """An interrupt handler of two steps after its arrival, and a tasklet; an updater elsewhere."""

    cpus = 1

    def setup(self):
        self.count = Cell(0)
        self.tasklet = Tasklet(self.run)

    @thread(host=True)
    def host(self):
        yield raise_irq(self.isr)

    @interrupt(cpu=0)
    def isr(self):
        yield tasklet_schedule(self.tasklet)

    def run(self):
        yield atomic_inc(self.count)

    @thread()
    def u(self):
        yield synchronize_rcu()


def test_handlers_and_tasklets_are_readers_while_they_run():
    """A raised interrupt and a scheduled tasklet are no readers yet."""
    assert possible(Handlers, "host u") == {"isr"}
    assert blocked(Handlers, "host isr u") == {"u": "waits for the RCU reader isr"}
    assert "u" in possible(Handlers, "host isr u isr")
    assert blocked(Handlers, "host isr*2 tasklet u") == {"u": "waits for the RCU reader tasklet"}
    assert explore(Handlers).ok


def test_several_readers():
    """All readers of before are waited for, and named."""

    class Two(Reading):
        @thread()
        def q(self):
            yield from Reading.r(self)

    assert blocked(Two, "r q u")["u"] == "waits for the RCU readers r, q"
    assert blocked(Two, "r q u q*1")["u"] == "waits for the RCU reader r"


def test_a_pointer_is_published_and_read():
    """rcu_assign_pointer and rcu_dereference are a write and a read."""

    class Publishes(Scenario):
        def setup(self):
            self.pointer, self.seen = Cell("old"), Cell("nothing")

        @thread()
        def w(self):
            yield rcu_assign_pointer(self.pointer, "new")

        @thread()
        def r(self):
            value = yield rcu_dereference(self.pointer)
            yield WRITE_ONCE(self.seen, value)

        def outcome(self, s):
            return s[self.seen]

    check(Publishes, "w r*2", "r w r", "r*2 w", outcomes={"old", "new"})


@pytest.mark.parametrize(
    ("operations", "kind", "message"),
    [
        ([rcu_read_unlock()], "error", "r calls rcu_read_unlock without rcu_read_lock"),
        ([rcu_read_lock()], "error", "r returns without rcu_read_unlock"),
        (
            [rcu_read_lock(), synchronize_rcu()],
            "sleep-in-atomic",
            "r calls synchronize_rcu(), which may sleep, but it is inside rcu_read_lock",
        ),
        ([preempt_disable(), synchronize_rcu()], "sleep-in-atomic", "r calls synchronize_rcu(), which may sleep, but"),
        ([rcu_read_lock(), rcu_barrier()], "sleep-in-atomic", "r calls rcu_barrier(), which may sleep, but it is"),
    ],
)
def test_misuse(operations, kind, message):
    """A reader unlocks what it locked, and does not wait for grace periods: it would wait for itself."""

    class Misuse(Reading):
        def r(self):
            yield from each(operations)

    assert the_failure(Misuse, kind).startswith(message)


# --- callbacks ----------------------------------------------------------------------------------


class Callbacks(Scenario):
    """A task has a function called after a grace period; a reader may be inside. The log tells the order."""

    def setup(self):
        self.log = Cell(())
        self.object = Struct("thing", value=0).new()
        self.pointer = Cell(self.object)

    def note(self, what):
        log = yield READ_ONCE(self.log)
        yield WRITE_ONCE(self.log, (*log, what))

    def outcome(self, s):
        return s[self.log]


class OneCallback(Callbacks):
    """call_rcu against one reader."""

    @thread()
    def r(self):
        yield rcu_read_lock()
        yield rcu_read_unlock()

    @thread()
    def u(self):
        yield call_rcu(self.done)

    def done(self):
        yield WRITE_ONCE(self.log, ("done",))


def test_call_rcu_waits_for_readers_of_before():
    """The caller goes on at once; the callback is executed when the reader has left: two steps of "rcu"."""
    check(
        OneCallback,
        *("r u r rcu*2", "r*2 u rcu*2"),
        *("u r*2 rcu*2", "u r rcu r rcu", "u r rcu*2 r", "u rcu r*2 rcu", "u rcu r rcu r", "u rcu*2 r*2"),
        outcomes={("done",)},
    )
    assert blocked(OneCallback, "r u") == {"rcu": "waits for the RCU reader r"}
    assert shown(after(OneCallback, "r u"), "rcu readers: callbacks") == "done() after r"


def test_call_rcu_from_inside_a_reader():
    """A reader that defers something is waited for itself."""

    class Inside(Callbacks):
        @thread()
        def u(self):
            yield rcu_read_lock()
            yield call_rcu(self.note, "called")
            yield rcu_read_unlock()

    check(Inside, "u*3 rcu*3", outcomes={("called",)})


def test_callbacks_of_one_context_keep_their_order():
    """Two callbacks of one task are called in order, those of two tasks in any."""

    class OneTask(Callbacks):
        @thread()
        def u(self):
            yield call_rcu(self.note, 1)
            yield call_rcu(self.note, 2)

    class TwoTasks(Callbacks):
        @thread()
        def a(self):
            yield call_rcu(self.note, 1)

        @thread()
        def b(self):
            yield call_rcu(self.note, 2)

    assert outcomes(OneTask) == {(1, 2)}
    assert outcomes(TwoTasks) == {(1, 2), (2, 1)}
    assert possible(TwoTasks, "a b") == {"rcu:0", "rcu:1"}


def test_a_callback_may_not_sleep():
    """Callbacks run in softirq context."""

    class Sleeps(Callbacks):
        @thread()
        def u(self):
            yield call_rcu(self.wait)

        def wait(self):
            yield synchronize_rcu()

    message = the_failure(Sleeps, "sleep-in-atomic")
    assert message == "rcu calls synchronize_rcu(), which may sleep, but it is a softirq"


def test_a_callback_may_call_itself():
    """A callback that queues another is a reader meanwhile; the other comes after it."""

    class Chain(Callbacks):
        @thread()
        def u(self):
            yield call_rcu(self.first)

        def first(self):
            yield call_rcu(self.note, "second")
            yield WRITE_ONCE(self.log, ("first",))

    check(Chain, "u rcu*6", outcomes={("first", "second")})


def test_rcu_barrier_waits_for_everybodys_callbacks():
    """After it, the callback that another task had queued before has been executed."""

    class Barrier(Callbacks):
        @thread()
        def u(self):
            yield call_rcu(self.note, "callback")

        @thread()
        def r(self):
            yield rcu_read_lock()
            yield rcu_read_unlock()

        @thread()
        def b(self):
            yield smp_cond_load_relaxed(self.started, bool)
            yield rcu_barrier()
            yield from self.note("barrier")

    class AfterIt(Barrier):
        def setup(self):
            super().setup()
            self.started = Cell(0)

        def u(self):
            yield from super().u()
            yield WRITE_ONCE(self.started, 1)

    assert outcomes(AfterIt) == {("callback", "barrier")}
    waits = {"b": "waits until the RCU callbacks of before have been executed"}
    assert blocked(AfterIt, "u*2 b*2") == waits
    assert blocked(AfterIt, "u*2 rcu b*2") == waits  # it is being executed


def test_rcu_barrier_with_nothing_to_wait_for():
    """No callbacks: one step, although there is a reader."""

    class Nothing(Callbacks):
        @thread()
        def r(self):
            yield rcu_read_lock()
            yield rcu_read_unlock()

        @thread()
        def b(self):
            yield rcu_barrier()

    check(Nothing, "b r*2", "r b r", "r*2 b")


def test_kfree_rcu():
    """The object is freed when its readers have left; who finds it before that may still use it."""

    class Frees(Callbacks):
        @thread()
        def r(self):
            yield rcu_read_lock()
            thing = yield rcu_dereference(self.pointer)
            if thing:
                yield WRITE_ONCE(thing.value, 1)
            yield rcu_read_unlock()

        @thread()
        def u(self):
            yield rcu_assign_pointer(self.pointer, None)
            yield kfree_rcu(self.object)

    assert failures(Frees) == set()
    assert blocked(Frees, "r*2 u*2") == {"rcu": "waits for the RCU reader r"}
    assert shown(after(Frees, "r*2 u*2"), "rcu readers: callbacks") == "kfree(thing#0) after r"

    class WrongOrder(Frees):
        def u(self):
            yield kfree_rcu(self.object)
            yield rcu_assign_pointer(self.pointer, None)

    assert the_failure(WrongOrder, "use-after-free") == "r uses thing#0.value after rcu freed thing#0"


def test_rcu_barrier_does_not_wait_for_kfree_rcu():
    """kfree_rcu collects its objects apart: the barrier may pass while one is still allocated."""

    class Apart(Callbacks):
        @thread()
        def u(self):
            yield WRITE_ONCE(self.pointer, None)
            yield kfree_rcu(self.object)
            yield rcu_barrier()

    check(Apart, "u*3 rcu", "u*2 rcu u")


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        (
            lambda s: [kfree_rcu(s.object), kfree_rcu(s.object)],
            "u frees thing#0, which u has given to kfree_rcu before",
        ),
        (lambda s: [kfree_rcu(s.object), synchronize_rcu(), kfree_rcu(s.object)], None),
    ],
)
def test_kfree_rcu_twice(operations, message):
    """The second kfree_rcu is a double free, whether the object is gone or waits to be."""

    class Twice(Callbacks):
        @thread()
        def u(self):
            yield from each(operations(self))

    found = failures(Twice)
    assert {kind for kind, _ in found} == {"double-free"}
    messages = {"u frees thing#0, which u has given to kfree_rcu before", "u frees thing#0, which rcu has freed before"}
    assert {text for _, text in found} <= messages
    assert message is None or message in {text for _, text in found}


def test_kfree_rcu_of_nothing():
    """As in C, freeing NULL does nothing."""

    class Nothing(Callbacks):
        @thread()
        def u(self):
            yield kfree_rcu(None)

    check(Nothing, "u")


def test_bad_arguments():
    """A callback is named, not called; an object is freed, not its field."""

    class Bad(Callbacks):
        @thread()
        def u(self):
            yield self.operation()

    class Called(Bad):
        def operation(self):
            return call_rcu(self.note(1))

    class Field(Bad):
        def operation(self):
            return kfree_rcu(self.object.value)

    with pytest.raises(ModelError, match=r"call_rcu .func. takes a program, not note .a generator."):
        explore(Called)
    with pytest.raises(ModelError, match=r"kfree_rcu takes an Object as object, not thing#0.value .a Cell."):
        explore(Field)
