"""Simulated time against times worked out by hand, on systems of a few operations."""

import pytest

from vmbus_teach import Scenario, gauge, interrupt, simulate, thread
from vmbus_teach.kernel import (
    HVMSG_NONE,
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    MessageSlot,
    Mutex,
    SpinLock,
    Struct,
    Tasklet,
    Traffic,
    Work,
    WorkQueue,
    atomic_fetch_add,
    call_rcu,
    hv_signal_eom,
    kfree_rcu,
    local_irq_disable,
    local_irq_enable,
    mutex_lock,
    mutex_unlock,
    ndelay,
    next_arrival,
    preempt_disable,
    preempt_enable,
    queue_work,
    raise_irq,
    rcu_barrier,
    rcu_read_lock,
    rcu_read_unlock,
    smp_call_function_single,
    smp_cond_load_relaxed,
    spin_lock,
    spin_unlock,
    synchronize_rcu,
    synic_post_message,
    tasklet_schedule,
    usleep_range,
    xchg,
)
from vmbus_teach.timed import Costs, at_times, uniform

#: An operation takes 10 ns if nothing else is said (raise_irq and smp_call_function_single 200, queue_work 100,
#: tasklet_schedule 50, xchg 20); the rest are numbers that can be told apart in a sum.
COSTS = Costs(
    interrupt=100, entry=30, call=70, tasklet=40, worker=500, grace_period=1000, wakeup=300, handover=5, switch=60,
    slice=1000,
)


def story(scenario, costs=COSTS, **more):
    """The run, and its steps as (who, when)."""
    run = simulate(scenario, costs=costs, **more)
    return run, list(zip(run.words, run.times, strict=True))


def spent(run, cpu):
    """What a CPU spent its time on, without zeros."""
    return {account: time for account, time in run.cpus[cpu].spent.items() if time}


def when(steps, who):
    """The times of one context's steps."""
    return [time for word, time in steps if word.partition(":")[0] == who]


# --- one context ---------------------------------------------------------------------------------------


class OneTask(Scenario):
    """Three operations, one after the other."""

    cpus = 1

    def setup(self):
        self.cell = Cell(0)

    @thread(cpu=0)
    def task(self):
        yield READ_ONCE(self.cell)
        yield WRITE_ONCE(self.cell, 1)
        yield xchg(self.cell, 2)


def test_operations_take_effect_at_the_end_of_their_time():
    """10 ns, 10 ns and 20 ns, one after the other, and the CPU is busy all the time."""
    run, steps = story(OneTask)
    assert steps == [("task", 10), ("task", 20), ("task", 40)]
    assert (run.time, run.steps, run.reason) == (40, 3, "nothing is left to do")
    assert spent(run, "CPU 0") == {"tasks": 40}
    assert run.cpus["CPU 0"].busy == 1
    assert [(use.operation, use.count, use.spent) for use in run.operations] == [
        ("READ_ONCE", 1, 10), ("WRITE_ONCE", 1, 10), ("xchg", 1, 20)
    ]
    assert run.stretches == [("CPU 0", "task", "tasks", 0, 40)]


@pytest.mark.parametrize(("until", "steps", "reason"), [
    (5, 0, "the time is over"), (10, 0, "the time is over"), (11, 1, "the time is over"),
    (39, 2, "the time is over"), (41, 3, "nothing is left to do"), (1000, 3, "nothing is left to do"),
])
def test_until_cuts_in_the_middle_of_an_operation(until, steps, reason):
    """What would take effect at the end of the time or later does not; of the CPU's time every nanosecond is told."""
    run = simulate(OneTask, until=until, costs=COSTS)
    assert (run.steps, run.reason) == (steps, reason)
    assert run.time == min(until, 40)
    assert spent(run, "CPU 0") == {"tasks": min(until, 40)}
    assert sum(use.spent for use in run.operations) <= run.time


class Forever(Scenario):
    """A task that is always busy, another that counts its rounds."""

    cpus = 2

    def setup(self):
        self.rounds = Cell(0)

    @thread(cpu=0)
    def busy(self):
        while True:
            yield ndelay(1000)

    @thread(cpu=1)
    def counts(self):
        while True:
            yield usleep_range(1, 1)
            yield WRITE_ONCE(self.rounds, 1 - (yield READ_ONCE(self.rounds)))


def test_programs_may_run_for_ever():
    """One that never ends is cut at ``until``: 2 whole operations and a half, 2.45 µs of the other's sleep and work."""
    run, steps = story(Forever, until=2500)
    assert run.reason == "the time is over"
    assert when(steps, "busy") == [1000, 2000]
    assert when(steps, "counts") == [1000, 1010, 1020, 2020, 2030, 2040]
    assert spent(run, "CPU 0") == {"tasks": 2500}
    assert spent(run, "CPU 1") == {"tasks": 40}
    [use] = [use for use in run.operations if use.context == "busy"]
    assert (use.count, use.spent) == (2, 2500)


# --- locks -------------------------------------------------------------------------------------------------


class Contended(Scenario):
    """Tasks on CPUs of their own want one spin lock, each a little later than the one before."""

    cpus = 3

    def setup(self, tasks=2):
        self.lock = SpinLock()
        for n in range(tasks):
            self.add_thread(self.task, n, cpu=n, name=f"task{n}")

    def task(self, number):
        yield ndelay(number * 5)
        yield spin_lock(self.lock)
        yield ndelay(100)
        yield spin_unlock(self.lock)


def test_a_spin_lock_is_waited_for():
    """The second spins from 15 to 120, then pays the handover with its next operation."""
    run, steps = story(Contended)
    assert when(steps, "task0") == [0, 10, 110, 120]
    assert when(steps, "task1") == [5, 15, 120, 225, 235]  # at 15 it begins to spin: a step of its own
    assert spent(run, "CPU 0") == {"tasks": 120}
    assert spent(run, "CPU 1") == {"tasks": 15 + 5 + 100 + 10, "spinning": 105}
    lock = run.locks["lock"]
    assert (lock.taken, lock.held, lock.longest, list(lock.waits.values)) == (2, 110 + 115, 115, [105])
    assert [stretch[2:] for stretch in run.stretches if stretch.cpu == "CPU 1"] == [
        ("tasks", 0, 15), ("spinning", 15, 120), ("tasks", 120, 235)
    ]


@pytest.mark.parametrize("seed", range(10))
def test_a_spin_lock_goes_to_who_has_waited_longest(seed):
    """Whatever the seed: first come, first served, each handover at the moment of the release."""
    run, steps = story(Contended(tasks=3), seed=seed)
    assert [when(steps, f"task{n}")[2] for n in range(3)] == [110, 120, 235]  # task0: its ndelay; the others: the lock
    assert list(run.locks["lock"].waits.values) == [105, 235 - 20]


def test_who_waits_through_two_releases_pays_one_handover():
    """The third sees the lock go to the second at 120; when it gets it itself, at 235, it pays for that alone."""
    _, steps = story(Contended(tasks=3))
    assert when(steps, "task2")[2:] == [235, 235 + 5 + 100, 235 + 5 + 100 + 10]


def test_without_an_order_any_waiter_may_be_next():
    """With order="random", either of two waiters gets the lock first, depending on the seed."""
    costs = Costs(interrupt=100, order="random")
    second = {tuple(simulate(Contended(tasks=3), costs=costs, seed=seed).words).index("task1", 8) for seed in range(20)}
    assert len(second) > 1


class Sleeping(Scenario):
    """``sleeper`` waits for a mutex; ``other`` has something to do on the same CPU."""

    cpus = 2

    def setup(self):
        self.mutex = Mutex()

    @thread(cpu=0)
    def holder(self):
        yield mutex_lock(self.mutex)
        yield ndelay(100)
        yield mutex_unlock(self.mutex)

    @thread(cpu=1)
    def sleeper(self):
        yield ndelay(5)
        yield mutex_lock(self.mutex)
        yield mutex_unlock(self.mutex)

    @thread(cpu=1)
    def other(self):
        yield ndelay(20)


def test_who_waits_for_a_mutex_gives_its_cpu_away():
    """The other task runs from 15 on; the sleeper wakes 300 ns after the release at 120, and needs the CPU back."""
    run, steps = story(Sleeping)
    assert when(steps, "holder") == [10, 110, 120]
    assert when(steps, "other") == [15 + 60 + 20]
    assert when(steps, "sleeper") == [5, 120 + 300, 420 + 60 + 10]
    assert spent(run, "CPU 1") == {"tasks": 15 + 80 + 70}
    assert list(run.locks["mutex"].waits.values) == [420 - 15]
    assert run.time == 490


class Barging(Scenario):
    """The holder of a mutex takes it again right after its release, for ever; another one wants it, too."""

    cpus = 2

    def setup(self):
        self.mutex = Mutex()
        for n in range(2):
            self.add_thread(self.task, cpu=n, name=f"task{n}")

    def task(self):
        while True:
            yield mutex_lock(self.mutex)
            yield ndelay(1000)
            yield mutex_unlock(self.mutex)


def test_nobody_starves_for_a_mutex():
    """Who was woken in vain gets the mutex at the next release, so both tasks get it about as often."""
    run = simulate(Barging, until=1_000_000, costs=COSTS)
    taken = {use.context: use.count for use in run.operations if use.operation == "mutex_lock"}
    assert min(taken.values()) > 0.3 * sum(taken.values())


# --- interrupts ------------------------------------------------------------------------------------------------


class Interrupted(Scenario):
    """A task of 1,000 ns, and an interrupt in the middle of it."""

    cpus = 1

    def setup(self):
        self.seen = Cell(0)

    @thread(cpu=0)
    def task(self):
        yield ndelay(1000)

    @interrupt(cpu=0)
    def isr(self):
        yield WRITE_ONCE(self.seen, 1)

    @thread(host=True)
    def host(self):
        yield ndelay(200)
        yield raise_irq(self.isr)


def test_an_interrupt_stops_an_operation_and_the_rest_is_done_later():
    """Raised at 400, there at 500, done at 540 with 30 ns to get in and out; the task's other 500 ns come then."""
    run, steps = story(Interrupted)
    assert steps == [("host", 200), ("host", 400), ("isr", 500), ("isr", 540), ("task", 1040)]
    assert spent(run, "CPU 0") == {"tasks": 1000, "interrupts": 40}
    assert [stretch[1:] for stretch in run.stretches] == [
        ("task", "tasks", 0, 500), ("isr", "interrupts", 500, 540), ("task", "tasks", 540, 1040)
    ]


class Nested(Scenario):
    """A handler that lets other interrupts in, and one that comes."""

    cpus = 1

    def setup(self):
        self.seen = Cell(0)

    @interrupt(cpu=0)
    def outer(self):
        yield local_irq_enable()
        yield ndelay(400)

    @interrupt(cpu=0)
    def inner(self):
        yield WRITE_ONCE(self.seen, 1)

    @thread(host=True)
    def host(self):
        yield raise_irq(self.outer)
        yield raise_irq(self.inner)


def test_a_handler_with_interrupts_on_is_interrupted_itself():
    """The inner one runs from 500 to 540 on top of the outer one, which has 240 of its 400 ns left."""
    run, steps = story(Nested)
    assert steps == [
        ("host", 200), ("outer", 300), ("outer", 340), ("host", 400), ("inner", 500), ("inner", 540), ("outer", 780)
    ]
    assert spent(run, "CPU 0") == {"interrupts": 480}


class IrqsOff(Scenario):
    """The host raises an interrupt three times while the CPU has interrupts off."""

    cpus = 1

    def setup(self):
        self.seen = Cell(0)

    @thread(cpu=0)
    def task(self):
        yield local_irq_disable()
        yield ndelay(1000)
        yield local_irq_enable()
        yield ndelay(50)

    @interrupt(cpu=0)
    def isr(self):
        yield atomic_fetch_add(1, self.seen)

    @thread(host=True)
    def host(self):
        for _ in range(3):
            yield raise_irq(self.isr)


def test_interrupts_off_delay_delivery_and_signals_become_one():
    """Raised at 200, 400 and 600, it arrives once, at 1020, in the moment in which interrupts are on again."""
    run, steps = story(IrqsOff)
    assert when(steps, "isr") == [1020, 1020 + 30 + 20]
    assert when(steps, "task") == [10, 1010, 1020, 1070 + 50]
    line = run.interrupts["isr"]
    assert (line.raised, line.coalesced, line.handled) == (3, 2, 1)


class Posts(Scenario):
    """The host raises the interrupt itself, then posts two messages: the first fits into the slot and raises it."""

    cpus = 1

    def setup(self):
        self.slot = MessageSlot(self.isr)

    @thread(cpu=0)
    def task(self):
        yield local_irq_disable()
        yield ndelay(1000)
        yield local_irq_enable()

    @interrupt(cpu=0)
    def isr(self):
        yield WRITE_ONCE(self.slot.message_type, HVMSG_NONE)
        yield hv_signal_eom(self.slot)

    @thread(host=True)
    def host(self):
        yield raise_irq(self.isr)
        for payload in range(2):
            yield synic_post_message(self.slot, 1, payload)


def test_interrupts_that_the_hypervisor_raises_are_counted():
    """One by hand, one with the first message (pending already), one when the handler asks for the second."""
    line = story(Posts)[0].interrupts["isr"]
    assert (line.raised, line.coalesced, line.handled) == (3, 1, 2)


class Softirq(Scenario):
    """A handler leaves something to a tasklet."""

    cpus = 1

    def setup(self):
        self.seen = Cell(0)
        self.bottom = Tasklet(self.half)

    @thread(cpu=0)
    def task(self):
        yield ndelay(1000)

    @interrupt(cpu=0)
    def isr(self):
        yield tasklet_schedule(self.bottom)

    def half(self):
        yield WRITE_ONCE(self.seen, 1)

    @thread(host=True)
    def host(self):
        yield raise_irq(self.isr)


def test_a_tasklet_runs_before_what_was_interrupted_goes_on():
    """The handler is done at 380, the tasklet starts 40 ns later, and the task has its CPU back at 430."""
    run, steps = story(Softirq)
    assert steps == [("host", 200), ("isr", 300), ("isr", 380), ("bottom", 420), ("bottom", 430), ("task", 1130)]
    assert spent(run, "CPU 0") == {"tasks": 1000, "interrupts": 80, "softirqs": 10}


class Call(Scenario):
    """CPU 0 has CPU 1 execute a function, and waits for it."""

    cpus = 2

    def setup(self):
        self.cell = Cell(0)

    @thread(cpu=0)
    def caller(self):
        yield smp_call_function_single(1, self.function)
        yield WRITE_ONCE(self.cell, 2)

    @thread(cpu=1)
    def busy(self):
        yield ndelay(1000)

    def function(self):
        yield WRITE_ONCE(self.cell, 1)


def test_a_call_on_another_cpu_is_waited_for_spinning():
    """Sent at 200, it arrives at 270 and is done at 310; so long the caller spins."""
    run, steps = story(Call)
    assert when(steps, "ipi1") == [270, 310]
    assert when(steps, "caller") == [200, 310, 310 + 5 + 10]
    assert when(steps, "busy") == [1040]
    assert spent(run, "CPU 0") == {"tasks": 215, "spinning": 110}
    assert spent(run, "CPU 1") == {"tasks": 1000, "interrupts": 40}


# --- several tasks on one CPU ---------------------------------------------------------------------------------


class Shared(Scenario):
    """Two tasks of one CPU, both with plenty to do."""

    cpus = 1

    def setup(self, first=10, second=10):
        self.add_thread(self.task, first, cpu=0, name="a")
        self.add_thread(self.task, second, cpu=0, name="b")

    def task(self, rounds):
        for _ in range(rounds):
            yield ndelay(300)


def test_tasks_take_turns():
    """Each has 1,000 ns, in the middle of an operation or not; the change takes 60 ns more."""
    run, steps = story(Shared, until=3000)
    assert when(steps, "a") == [300, 600, 900, 2060 + 60 + 200, 2620, 2920]
    assert when(steps, "b") == [1000 + 60 + 300, 1660, 1960]
    assert spent(run, "CPU 0") == {"tasks": 3000}


def test_a_change_that_takes_longer_than_a_slice_is_slow_and_not_endless():
    """With 1,000 ns for a change and 10 ns for a slice, two times 3,000 ns of work take some 300 times as long."""
    run, _ = story(Shared, Costs(slice=10))
    assert run.reason == "nothing is left to do"
    assert 500_000 < run.time < 700_000


def test_a_task_alone_keeps_its_cpu():
    """When the other one has returned there are no more changes: 900 + 60 + 9,700 ns of work."""
    run, steps = story(Shared(first=3, second=30))
    assert when(steps, "a")[-1] == 900
    assert when(steps, "b")[-1] == 900 + 60 + 30 * 300
    assert run.time == 9960


class Bound(Scenario):
    """A task queues a work item for its own CPU."""

    cpus = 1

    def setup(self, atomic=False):
        self.queue, self.item, self.atomic = WorkQueue(cpu=0), Work(self.work), atomic

    @thread(cpu=0)
    def task(self):
        if self.atomic:
            yield preempt_disable()
        yield queue_work(self.queue, self.item)
        yield ndelay(1200)
        if self.atomic:
            yield preempt_enable()
        yield ndelay(100)

    def work(self):
        yield ndelay(20)


def test_a_worker_shares_its_cpu_with_tasks():
    """It has the item at 600, the CPU when the task's slice is over at 1000, and is done at 1080."""
    _, steps = story(Bound)
    assert when(steps, "item") == [600, 1000 + 60 + 20]
    assert when(steps, "task") == [100, 1080 + 60 + 300, 1440 + 100]


def test_nobody_is_preempted_with_preemption_off():
    """The worker can't even take its item before preemption is on again, at 1320; the task's slice is over then."""
    _, steps = story(Bound(atomic=True))
    assert when(steps, "task")[:4] == [10, 110, 1310, 1320]
    assert when(steps, "item") == [1320, 1320 + 60 + 20]
    assert when(steps, "task")[4] == 1400 + 60 + 100


class Polling(Scenario):
    """A task spins with preemption on, for what another task of its CPU has yet to do."""

    cpus = 1

    def setup(self, pollers=1):
        self.flag = Cell(0)
        for n in range(pollers):
            self.add_thread(self.poll, cpu=0, name=f"poll{n}")
        if pollers == 1:
            self.add_thread(self.set, cpu=0)

    def poll(self):
        yield smp_cond_load_relaxed(self.flag, bool)

    def set(self):
        yield WRITE_ONCE(self.flag, 1)


def test_who_spins_is_preempted_at_the_end_of_its_slice():
    """The spinner burns its slice; then the other one runs, and the wait is over in that moment."""
    run, steps = story(Polling)
    assert when(steps, "set") == [1000 + 60 + 10]
    assert when(steps, "poll0") == [1070 + 60]
    assert spent(run, "CPU 0") == {"tasks": 10 + 70 + 60, "spinning": 990}


@pytest.mark.parametrize("costs", [COSTS, Costs.instant()])
def test_spinners_that_wait_for_nobody_are_a_deadlock(costs):
    """Two spinners on one CPU and nobody else: the run ends, though they could take turns for ever."""
    run = simulate(Polling(pollers=2), costs=costs)
    assert (run.reason, run.fault.kind) == ("a failure", "deadlock")


class Drowned(Scenario):
    """A handler spins for a lock that the task below it holds: nothing can ever come."""

    cpus = 1

    def setup(self):
        self.lock = SpinLock()

    @thread(cpu=0)
    def task(self):
        yield spin_lock(self.lock)
        yield raise_irq(self.isr)
        yield ndelay(1000)
        yield spin_unlock(self.lock)

    @interrupt(cpu=0)
    def isr(self):
        yield spin_lock(self.lock)
        yield spin_unlock(self.lock)


@pytest.mark.parametrize("until", [None, 50_000])
def test_a_deadlock_below_a_spinning_handler_is_found(until):
    """The task is not waiting itself, it just never gets its CPU back; the run ends in the moment of the deadlock."""
    run = simulate(Drowned, costs=COSTS, until=until)
    assert (run.reason, run.fault.kind) == ("a failure", "deadlock")
    assert run.time == 210 + 100 + 30 + 10
    assert sum(run.cpus["CPU 0"].spent.values()) == 350


# --- RCU ---------------------------------------------------------------------------------------------------------


class GracePeriod(Scenario):
    """An updater waits for readers; something else wants its CPU meanwhile."""

    cpus = 2

    def setup(self, reads=0):
        self.cell = Cell(0)
        if reads:
            self.add_thread(self.reader, reads, cpu=1)

    @thread(cpu=0)
    def updater(self):
        yield synchronize_rcu()
        yield WRITE_ONCE(self.cell, 1)

    @thread(cpu=0)
    def other(self):
        yield ndelay(500)

    def reader(self, nsecs):
        yield rcu_read_lock()
        yield ndelay(nsecs)
        yield rcu_read_unlock()


def test_synchronize_rcu_takes_a_grace_period_asleep():
    """1,000 ns though there is no reader; the CPU is free for the other task from the start."""
    run, steps = story(GracePeriod)
    assert when(steps, "other") == [500]
    assert when(steps, "updater") == [1000, 1000 + 60 + 10]
    assert spent(run, "CPU 0") == {"tasks": 500 + 70}


def test_synchronize_rcu_waits_for_readers():
    """A reader leaves at 5020; the updater is woken then, 300 ns later."""
    _, steps = story(GracePeriod(reads=5000))
    assert when(steps, "reader") == [10, 5010, 5020]
    assert when(steps, "updater") == [1000, 5320, 5320 + 60 + 10]  # at 1000 it begins to wait


class Deferred(Scenario):
    """Two callbacks, queued ``apart`` ns from each other, and an object that is freed."""

    def setup(self, apart=0, kfree=False, reads=0):
        self.log, self.apart, self.kfree, self.reads = Cell(0), apart, kfree, reads
        self.thing = Struct("thing", value=0)
        self.objects = [self.thing.new(), self.thing.new()]
        if reads:
            self.add_thread(self.reader, reads)

    @thread()
    def updater(self):
        if self.reads:
            yield ndelay(5)  # so that the reader is there first
        for n in range(2):
            yield kfree_rcu(self.objects[n]) if self.kfree else call_rcu(self.note, n)
            yield ndelay(self.apart)

    def note(self, number):
        yield WRITE_ONCE(self.log, number)

    def reader(self, nsecs):
        yield rcu_read_lock()
        yield ndelay(nsecs)
        yield rcu_read_unlock()

    @gauge
    def objects_left(self, s):
        return sum(s[thing] == "allocated" for thing in self.objects)


def test_callbacks_come_after_their_grace_period_and_need_not_wait_twice():
    """Queued at 10 and 20, executed from 1010 and 1020 on: the second has not begun to wait only then."""
    run, steps = story(Deferred)
    assert when(steps, "updater") == [10, 10, 20, 20]
    assert when(steps, "rcu") == [1010, 1020, 1020, 1030]  # a grace period has ended, the callback's step, ...
    assert spent(run, "rcu's CPU") == {"softirqs": 20}


def test_callbacks_wait_for_readers_too():
    """A reader that was there leaves at 5020, and so both callbacks come then."""
    _, steps = story(Deferred(reads=5000))
    assert when(steps, "rcu") == [5020, 5030, 5030, 5040]


def test_kfree_rcu_frees_after_the_grace_period():
    """Two objects given to kfree_rcu at 10 and 20 are freed at 1010 and 1020."""
    _, steps = story(Deferred(kfree=True))
    assert when(steps, "rcu") == [1010, 1020]


@pytest.mark.parametrize("order", ["fifo", "random"])
@pytest.mark.parametrize("kfree", [False, True])
def test_no_callback_comes_before_its_own_grace_period(order, kfree):
    """Also where the order is open, or grace periods differ: none within 500 ns, and both within 1,500 of the last."""
    costs = Costs(grace_period=uniform(500, 1500), order=order)
    for seed in range(30):
        run, steps = story(Deferred(apart=400, kfree=kfree), costs, seed=seed)
        queued = when(steps, "updater")[::2]
        assert run.reason == "nothing is left to do"
        begun = when(steps, "rcu") if kfree else when(steps, "rcu")[::2]
        assert begun[0] >= queued[0] + 500
        assert queued[1] + 500 <= begun[1] <= queued[1] + 1510


class Barrier(Scenario):
    """Waits for a callback, or (``callback=False``) for none."""

    def setup(self, callback=True):
        self.log, self.callback = Cell(0), callback

    @thread()
    def updater(self):
        if self.callback:
            yield call_rcu(self.note)
        yield rcu_barrier()

    def note(self):
        yield WRITE_ONCE(self.log, 1)


def test_rcu_barrier_waits_for_callbacks_and_for_nothing_else():
    """It takes as long as the callback that is there (done at 1020, and 300 ns to wake up), or no time."""
    assert when(story(Barrier)[1], "updater") == [10, 20, 1320]
    assert when(story(Barrier(callback=False))[1], "updater") == [10]


# --- time from outside ----------------------------------------------------------------------------------------


class Arrivals(Scenario):
    """Each arrival takes 50 ns to handle."""

    def setup(self):
        self.packets = Traffic()
        self.ring = Cell(0)

    @thread(host=True)
    def host(self):
        while True:
            yield next_arrival(self.packets)
            yield ndelay(50)


def test_an_overdue_arrival_takes_no_time():
    """Arrivals do not wait for who handles them: the second came at 110 and is met at 150."""
    run, steps = story(Arrivals, traffic={"packets": at_times([100, 110, 500])})
    assert when(steps, "host") == [100, 150, 150, 200, 500, 550]
    assert run.reason == "no more traffic arrives"
    assert run.time == 550
    assert run.finished


def test_the_time_goes_on_when_no_more_arrives():
    """With ``until``, a run whose traffic has ended lasts until then, so that rates are those of the whole time."""
    run = simulate(Arrivals, costs=COSTS, traffic={"packets": at_times([100])}, until=1_000_000)
    assert (run.reason, run.time) == ("no more traffic arrives", 1_000_000)


class Naps(Scenario):
    """One task sleeps, the other has the CPU."""

    cpus = 1

    @thread(cpu=0)
    def sleeps(self):
        yield usleep_range(2, 4)

    @thread(cpu=0)
    def works(self):
        yield ndelay(1500)


def test_usleep_range_takes_a_time_in_its_range_and_no_cpu():
    """Between 2 and 4 µs, different from seed to seed; the other task runs at once."""
    times = set()
    for seed in range(20):
        run, steps = story(Naps, seed=seed)
        [slept] = when(steps, "sleeps")
        times.add(slept)
        assert 2000 <= slept <= 4000
        assert when(steps, "works") == [1500]
        assert spent(run, "CPU 0") == {"tasks": 1500}
    assert len(times) > 10


# --- gauges ----------------------------------------------------------------------------------------------------


class Levels(Scenario):
    """Two come at 10, one goes at 30, one at 100; a second channel exists only while something is in it."""

    def setup(self):
        self.ring, self.second = Cell(1), Cell(0)

    @thread()
    def task(self):
        yield WRITE_ONCE(self.ring, 3)
        yield WRITE_ONCE(self.second, 1)
        yield WRITE_ONCE(self.ring, 2)
        yield WRITE_ONCE(self.second, 0)
        yield ndelay(50)
        yield WRITE_ONCE(self.ring, 1)

    @gauge
    def waiting(self, s):
        return s[self.ring]

    @gauge
    def by_channel(self, s):
        return {"first": s[self.ring]} | ({"second": 1} if s[self.second] else {})


def test_a_gauge_measures_levels_and_latencies():
    """Mean (10·1 + 20·3 + 70·2) / 100; the first that came was there at the start and left at 30, the next at 100."""
    run, _ = story(Levels)
    use = run.gauges["waiting"]
    assert (use.came, use.most, use.last) == (3, 3, 1)
    assert use.mean == pytest.approx((10 * 1 + 20 * 3 + 70 * 2) / 100)
    assert list(use.latency.values) == [30, 100 - 10]


def test_what_a_gauge_no_longer_names_is_gone():
    """A channel that is missing in the dict is at 0: it came at 20 and left at 40."""
    run, _ = story(Levels)
    assert list(run.gauges) == ["waiting", "by_channel['first']", "by_channel['second']"]
    use = run.gauges["by_channel['second']"]
    assert (use.came, use.last, list(use.latency.values)) == (1, 0, [20])
    assert use.mean == pytest.approx(20 / 100)


def test_means_are_of_the_time_that_the_run_had():
    """With an ``until`` long after the end, nothing is spread over a time in which nothing was."""
    assert simulate(Levels, costs=COSTS, until=10**9).gauges == story(Levels)[0].gauges
