"""Interrupts, tasklets, and calls on other CPUs: when they arrive and what they run on top of."""

import pytest
from by_hand import after, blocked, check, failures, outcomes, possible, shown, the_failure

from vmbus_teach import Scenario, Session, explore, interrupt, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    ModelError,
    SpinLock,
    Tasklet,
    Work,
    atomic_inc,
    call_rcu,
    local_irq_disable,
    local_irq_enable,
    local_irq_restore,
    local_irq_save,
    preempt_disable,
    preempt_enable,
    raise_irq,
    smp_call_function_single,
    smp_cond_load_relaxed,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
    tasklet_disable,
    tasklet_disable_in_atomic,
    tasklet_enable,
    tasklet_schedule,
)

# --- interrupts ---------------------------------------------------------------------------------


class Counts(Scenario):
    """The handler counts how often it runs: two steps, arrival and increment."""

    cpus = 1

    def setup(self):
        self.count = Cell(0)

    @interrupt(cpu=0)
    def isr(self):
        yield atomic_inc(self.count)

    def outcome(self, s):
        return s[self.count]


def test_two_edges_become_one():
    """Raised twice before it arrives, an interrupt is handled once; raised while it is handled, once more."""

    class Twice(Counts):
        @thread(host=True)
        def host(self):
            yield raise_irq(self.isr)
            yield raise_irq(self.isr)

    check(Twice, "host*2 isr*2", "host isr host isr*3", "host isr*2 host isr*2", outcomes={1, 2})
    assert ("isr", "not pending", "pending") in after(Twice, "host").trace[0].changes


def test_a_handler_raises_its_own_interrupt():
    """The same line waits until its handler has returned, also when that has interrupts on."""

    class Own(Counts):
        @thread(cpu=0)
        def t(self):
            yield raise_irq(self.isr)

        def isr(self):
            first = yield READ_ONCE(self.count)
            yield atomic_inc(self.count)
            if first == 0:
                yield local_irq_enable()
                yield raise_irq(self.isr)
                yield local_irq_disable()

    check(Own, "t isr*9", outcomes={2})


class Nests(Counts):
    """Two lines of one CPU; the first handler may switch interrupts on."""

    def setup(self, careless=True):
        super().setup()
        self.careless = careless

    @thread(cpu=0)
    def t(self):
        yield raise_irq(self.isr)

    def isr(self):
        yield raise_irq(self.other)
        if self.careless:
            yield local_irq_enable()
            yield local_irq_disable()

    @interrupt(cpu=0)
    def other(self):
        yield atomic_inc(self.count)


def test_another_line_nests_in_a_handler_that_has_interrupts_on():
    """The second interrupt comes between local_irq_enable and _disable, or after the handler."""
    check(Nests, "t isr*3 other*2 isr", "t isr*4 other*2")
    assert blocked(Nests, "t isr*2") == {"other": "waits until CPU 0 has interrupts on, which are off in isr"}
    assert blocked(Nests, "t isr*3 other") == {"isr": "waits for CPU 0, which is executing other"}


def test_handlers_do_not_nest_otherwise():
    """With interrupts off, as they are in a handler, the other line waits until it has returned."""
    check(Nests(careless=False), "t isr*2 other*2")


def test_a_handler_of_one_cpu_does_not_stop_another():
    """Handlers of two CPUs run at the same time."""

    class TwoCpus(Scenario):
        cpus = 2

        def setup(self):
            self.count = Cell(0)

        @thread(host=True)
        def host(self):
            yield raise_irq(self.isr0)
            yield raise_irq(self.isr1)

        @interrupt(cpu=0)
        def isr0(self):
            yield atomic_inc(self.count)

        @interrupt(cpu=1)
        def isr1(self):
            yield atomic_inc(self.count)

    # After host*2, two handlers of two steps each: 4!/(2! 2!) = 6. With isr0 first, once or twice: 3 + 1.
    assert explore(TwoCpus).schedules == 6 + 3 + 1
    assert possible(TwoCpus, "host*2 isr0 isr1") == {"isr0", "isr1"}


def test_misnamed_interrupts():
    """raise_irq wants the handler's name; a handler is not called; neither hangs."""

    class Wrong(Counts):
        def setup(self, what):
            super().setup()
            self.what = what

        @thread(cpu=0)
        def t(self):
            yield raise_irq(self.what(self))

    with pytest.raises(ModelError, match=r"raise_irq takes a handler declared with @interrupt, not t\."):
        explore(Wrong(what=lambda s: s.t))
    with pytest.raises(ModelError, match=r"isr is an interrupt: raised, not called. Write: yield raise_irq"):
        explore(Wrong(what=lambda s: s.isr()))


# --- tasklets ---------------------------------------------------------------------------------


class Bottom(Scenario):
    """A handler schedules a tasklet that counts."""

    cpus = 2

    def setup(self):
        self.count = Cell(0)
        self.tasklet = Tasklet(self.run)

    def run(self):
        yield atomic_inc(self.count)

    @interrupt(cpu=0)
    def isr(self):
        yield tasklet_schedule(self.tasklet)

    def outcome(self, s):
        return s[self.count]


def test_a_tasklet_runs_after_the_handler_and_before_the_task():
    """On the way out of the handler the tasklet runs, with interrupts on; the task goes on after it."""

    class Task(Bottom):
        @thread(cpu=0)
        def t(self):
            yield raise_irq(self.isr)
            yield WRITE_ONCE(self.count, 10)

    check(Task, "t isr*2 tasklet*2 t", "t*2 isr*2 tasklet*2", outcomes={10, 11})
    assert blocked(Task, "t isr*2") == {"t": "waits for CPU 0, which runs its softirqs first"}
    assert blocked(Task, "t isr*2 tasklet") == {"t": "waits for CPU 0, which is executing tasklet"}
    assert ("tasklet", "not scheduled", "scheduled on CPU 0") in after(Task, "t isr*2").trace[-1].changes


def test_an_interrupt_comes_before_or_in_a_tasklet():
    """Interrupts are on in a tasklet. What the handler schedules again runs once more, in the same round."""

    class Again(Bottom):
        @thread(host=True)
        def host(self):
            yield raise_irq(self.isr)
            yield smp_wait(self.count_started)
            yield raise_irq(self.isr)

        def setup(self):
            super().setup()
            self.count_started = Cell(0)

        def run(self):
            yield WRITE_ONCE(self.count_started, 1)
            yield atomic_inc(self.count)

    assert outcomes(Again) == {2}
    again = "host isr*2 tasklet*2 host*2 isr*2"
    assert blocked(Again, again) == {}
    assert possible(Again, again) == {"tasklet"}
    assert "tasklet tasklet starts" in after(Again, f"{again} tasklet").choices()[-1].text


def smp_wait(cell):
    """Waits until a cell is true."""
    return smp_cond_load_relaxed(cell, bool)


def test_scheduled_twice_runs_once():
    """A tasklet that waits to run is not queued again; from one that runs, it is."""

    class Twice(Bottom):
        @thread(cpu=0)
        def t(self):
            yield preempt_disable()
            yield tasklet_schedule(self.tasklet)
            yield tasklet_schedule(self.tasklet)
            yield preempt_enable()

    check(
        Twice,
        "t*2 tasklet*2 t tasklet*2 t",
        "t*2 tasklet*2 t*2 tasklet*2",
        "t*3 tasklet*2 t",
        "t*4 tasklet*2",
        outcomes={1, 2},
    )


def test_never_twice_at_once():
    """Scheduled on CPU 1 while it runs on CPU 0, the tasklet waits; then CPU 1 runs it."""

    class TwoCpus(Bottom):
        @thread(cpu=0)
        def a(self):
            yield tasklet_schedule(self.tasklet)

        @thread(cpu=1)
        def b(self):
            yield tasklet_schedule(self.tasklet)

    check(
        TwoCpus,
        *("a b tasklet*2", "b a tasklet*2"),
        *("a tasklet b tasklet*3", "b tasklet a tasklet*3"),
        *("a tasklet*2 b tasklet*2", "b tasklet*2 a tasklet*2"),
        outcomes={1, 2},
    )


def test_where_it_waits_it_stays():
    """Scheduled on CPU 1 while it waits on CPU 0, the tasklet still runs on CPU 0."""

    class Stays(Bottom):
        @thread(cpu=0)
        def a(self):
            yield local_irq_disable()
            yield tasklet_schedule(self.tasklet)
            yield local_irq_enable()

        @thread(cpu=1)
        def b(self):
            yield tasklet_schedule(self.tasklet)

    assert possible(Stays, "a*2 b") == {"a"}
    assert shown(after(Stays, "a*2 b"), "tasklet") == "scheduled on CPU 0"


def test_a_tasklet_that_runs_elsewhere_holds_nothing_up():
    """The way out of CPU 1's handler does not wait for the tasklet, which runs on CPU 0: the task goes on."""

    class Elsewhere(Bottom):
        @thread(cpu=0)
        def a(self):
            yield tasklet_schedule(self.tasklet)

        @thread(cpu=1)
        def b(self):
            yield raise_irq(self.other)
            yield WRITE_ONCE(self.count, 10)

        @interrupt(cpu=1)
        def other(self):
            yield tasklet_schedule(self.tasklet)

    assert possible(Elsewhere, "a tasklet b other*2") == {"tasklet", "b"}
    assert possible(Elsewhere, "a tasklet b other*2 tasklet") == {"tasklet", "b"}


def test_tasklets_of_one_cpu_run_in_order():
    """First scheduled, first run; the second says for whom it waits."""

    class Order(Bottom):
        def setup(self):
            super().setup()
            self.second = Tasklet(self.run)

        @thread(cpu=0)
        def t(self):
            yield raise_irq(self.isr)

        def isr(self):
            yield tasklet_schedule(self.tasklet)
            yield tasklet_schedule(self.second)

    class Task(Order):
        def t(self):
            yield from super().t()
            yield WRITE_ONCE(self.count, 10)

    check(Order, "t isr*3 tasklet*2 second*2")
    check(Task, "t isr*3 tasklet*2 second*2 t", "t*2 isr*3 tasklet*2 second*2")
    assert blocked(Order, "t isr*3") == {"second": "waits for tasklet, which was scheduled before"}
    assert blocked(Order, "t isr*2") == {"tasklet": "waits for CPU 0, which is executing isr"}


class Disables(Bottom):
    """A task on CPU 1 disables the tasklet that CPU 0 schedules."""

    disable = tasklet_disable

    @thread(cpu=0)
    def a(self):
        yield tasklet_schedule(self.tasklet)

    @thread(cpu=1)
    def b(self):
        yield type(self).disable(self.tasklet)
        yield WRITE_ONCE(self.count, 10)
        yield tasklet_enable(self.tasklet)


@pytest.mark.parametrize("operation", [tasklet_disable, tasklet_disable_in_atomic])
def test_tasklet_disable_waits_for_one_that_runs(operation):
    """Disabled, a tasklet is not running and does not start; enabled again, what waits runs."""

    class Way(Disables):
        disable = operation

    assert outcomes(Way) == {10, 11}
    assert blocked(Way, "a tasklet b") == {"b": "waits until tasklet has run"}
    assert blocked(Way, "a b") == {"tasklet": "waits for tasklet_enable(tasklet)"}
    assert possible(Way, "a b*3") == {"tasklet"}


def test_tasklet_disable_in_atomic_keeps_its_cpu():
    """With preemption off the waiting task is not replaced; tasklet_disable may not be called there."""

    class Off(Bottom):
        def setup(self, disable):
            super().setup()
            self.disable = disable

        @thread(cpu=0)
        def t(self):
            yield preempt_disable()
            yield self.disable(self.tasklet)
            yield tasklet_enable(self.tasklet)
            yield preempt_enable()

    assert failures(Off(disable=tasklet_disable_in_atomic)) == set()
    assert the_failure(Off(disable=tasklet_disable), "sleep-in-atomic") == (
        "t calls tasklet_disable(tasklet), which may sleep, but preemption is off"
    )


def test_a_handler_that_waits_for_the_tasklet_below_it():
    """The handler has interrupted the tasklet: it spins for ever."""

    class Below(Bottom):
        @thread(host=True)
        def host(self):
            yield raise_irq(self.isr)
            yield smp_wait(self.count)
            yield raise_irq(self.disabler)

        def run(self):
            yield atomic_inc(self.count)
            yield atomic_inc(self.count)

        @interrupt(cpu=0)
        def disabler(self):
            yield tasklet_disable_in_atomic(self.tasklet)
            yield tasklet_enable(self.tasklet)

    assert the_failure(Below, "deadlock") == (
        "nobody can go on: disabler waits until tasklet has run; tasklet waits for CPU 0, which is executing disabler"
    )


def test_enabling_what_is_not_disabled():
    """tasklet_enable undoes one tasklet_disable, and no more."""

    class Enables(Bottom):
        @thread(cpu=0)
        def t(self):
            yield tasklet_enable(self.tasklet)

    assert the_failure(Enables, "error") == "t enables tasklet, which is not disabled"


def test_a_tasklet_returns_with_interrupts_on():
    """A tasklet that leaves interrupts off is wrong."""

    class Off(Bottom):
        @thread(cpu=0)
        def t(self):
            yield tasklet_schedule(self.tasklet)

        def run(self):
            yield local_irq_disable()

    assert the_failure(Off, "error") == "tasklet returns with interrupts still off"


# --- calls on another CPU ---------------------------------------------------------------------


class Calls(Scenario):
    """A task on CPU 0 has a function executed that adds to a cell."""

    cpus = 2

    def setup(self, cpu=1, wait=True):
        self.cpu, self.wait = cpu, wait
        self.sum = Cell(0)
        self.seen = Cell(None)

    @thread(cpu=0)
    def t(self):
        yield smp_call_function_single(self.cpu, self.add, 5, self.wait)
        value = yield READ_ONCE(self.sum)
        yield WRITE_ONCE(self.seen, value)

    def add(self, amount):
        value = yield READ_ONCE(self.sum)
        yield WRITE_ONCE(self.sum, value + amount)

    def outcome(self, s):
        return s[self.seen]


def test_call_on_another_cpu():
    """The caller spins, with preemption off, until the other CPU has executed the function as an interrupt."""
    check(Calls, "t ipi1*3 t*3", outcomes={5})
    assert blocked(Calls, "t ipi1") == {"t": "waits until CPU 1 has executed add"}
    session = after(Calls, "t ipi1")
    cpu = session.machine.cast.cpus[0]
    assert cpu.show(session.state[cpu]) == "executing t; interrupts on, preemption off"


def test_call_without_waiting():
    """The caller goes on at once, and may see that nothing has happened yet."""
    scenario = Calls(wait=False)
    assert outcomes(scenario) == {0, 5}
    assert explore(scenario).schedules == 10  # after the call, two steps of t and three of ipi1: 5!/(2! 3!)


def test_call_on_the_own_cpu():
    """The function is executed at once, in the caller's place, with interrupts off; wait makes no difference."""
    for wait in (True, False):
        check(Calls(cpu=0, wait=wait), "t ipi0*2 t*3", outcomes={5})
    assert blocked(Calls(cpu=0), "t") == {"t": "waits for CPU 0, which is executing ipi0"}


def test_how_calls_are_shown():
    """What is queued and what is executed is told by function and caller; defaults are left out."""
    session = Session(Calls)
    first = session.step("t")
    assert str(first.operation) == "smp_call_function_single(1, add, 5)"
    assert shown(session, "CPU 1.calls") == "add for t"
    assert shown(session, "CPU 1.calls.executing") == "none"
    session.step("ipi1")
    assert shown(session, "CPU 1.calls") == "none"
    assert shown(session, "CPU 1.calls.executing") == "add for t"
    call = smp_call_function_single(0, Calls().add, None, False)
    assert str(call) == "smp_call_function_single(0, add, None, False)"
    assert str(smp_call_function_single(0, Calls().add)) == "smp_call_function_single(0, add)"


def test_a_call_waits_for_interrupts():
    """CPU 1 has interrupts off: the call arrives when they are on again."""

    class Off(Calls):
        @thread(cpu=1)
        def other(self):
            yield local_irq_disable()
            yield local_irq_enable()

    assert blocked(Off, "t other") == {
        "t": "waits until CPU 1 has executed add",
        "ipi1": "waits until CPU 1 has interrupts on, which are off in other",
    }
    assert outcomes(Off) == {5}


class TwoCallers(Scenario):
    """Two CPUs have functions executed on CPU 0: one that is waited for, one that is not."""

    cpus = 3

    def setup(self):
        self.log = Cell(())

    def note(self, what):
        log = yield READ_ONCE(self.log)
        yield WRITE_ONCE(self.log, (*log, what))

    @thread(cpu=1)
    def a(self):
        yield smp_call_function_single(0, self.note, "a", False)

    @thread(cpu=2)
    def b(self):
        yield smp_call_function_single(0, self.note, "b")

    def outcome(self, s):
        return s[self.log]


def test_one_interrupt_executes_what_is_there():
    """Two calls are there as the interrupt arrives: both are executed in it, the one waited for first."""
    assert possible(TwoCallers, "a b ipi0*3") == {"ipi0", "b"}
    session = after(TwoCallers, "a b ipi0*5")
    assert session.state[session.scenario.log] == ("b", "a")
    assert outcomes(TwoCallers) == {("a", "b"), ("b", "a")}


def test_a_later_call_takes_another_interrupt():
    """A call that comes while one is executed waits for its own interrupt: a task may come between."""

    class Between(TwoCallers):
        @thread(cpu=0)
        def t(self):
            yield from self.note("t")

    assert possible(Between, "a ipi0 b ipi0*2") == {"ipi0", "t"}
    assert ("a", "t", "b") in outcomes_without_lost(Between)


def outcomes_without_lost(scenario):
    """The outcomes in which nothing overwrote anything."""
    return {log for log in outcomes(scenario) if len(log) == 3}


def test_two_cpus_call_each_other():
    """Both spin with interrupts on, so both calls arrive: no deadlock."""

    class Mutual(Calls):
        @thread(cpu=1)
        def u(self):
            yield smp_call_function_single(0, self.add, 7)

    assert failures(Mutual) == set()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("irqs_off", "t calls smp_call_function_single(1, nothing) with interrupts off: two CPUs that call each"),
        ("handler", "isr is no task and calls smp_call_function_single(1, nothing), which may spin for another CPU"),
        ("tasklet", "tasklet is no task and calls smp_call_function_single(1, nothing)"),
        ("callback", "rcu is no task and calls smp_call_function_single(1, nothing)"),
    ],
)
def test_calls_where_they_are_forbidden(program, message):
    """Not with interrupts off, not in a handler of any kind (the kernel warns of each)."""

    class Forbidden(Scenario):
        cpus = 2

        def setup(self):
            self.tasklet = Tasklet(self.call)

        def nothing(self):
            yield from ()

        def call(self):
            yield smp_call_function_single(1, self.nothing)

        @thread(cpu=0)
        def t(self):
            if program == "irqs_off":
                flags = yield local_irq_save()
                yield from self.call()
                yield local_irq_restore(flags)
            elif program == "handler":
                yield raise_irq(self.isr)
            elif program == "tasklet":
                yield tasklet_schedule(self.tasklet)
            else:
                yield call_rcu(self.call)

        @interrupt(cpu=0)
        def isr(self):
            yield from self.call()

    assert the_failure(Forbidden, "error").startswith(message)


def test_a_local_call_is_no_way_out_of_an_interrupt():
    """A tasklet that a local call schedules is left to the softirq thread: the task may go on first."""

    class Local(Scenario):
        cpus = 1

        def setup(self):
            self.tasklet = Tasklet(self.run)
            self.count = Cell(0)

        def run(self):
            yield atomic_inc(self.count)

        def schedule(self):
            yield tasklet_schedule(self.tasklet)

        @thread(cpu=0)
        def t(self):
            yield smp_call_function_single(0, self.schedule)
            yield WRITE_ONCE(self.count, 0)

    assert possible(Local, "t ipi0") == {"t", "tasklet"}


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda s: smp_call_function_single(2, s.f), "(2, f): there is no CPU 2. The scenario has 2 (cpus = 2)"),
        (lambda s: smp_call_function_single(-1, s.f), "there is no CPU -1."),
        (lambda s: smp_call_function_single("1", s.f), "takes an int as cpu, not '1' (a str)."),
        (
            lambda s: smp_call_function_single(1, s.f()),
            "smp_call_function_single (func) takes a program, not f (a generator). Name it without calling it.",
        ),
        (lambda s: tasklet_schedule(s.f), "tasklet_schedule takes a Tasklet as tasklet, not f (a method)."),
    ],
)
def test_bad_arguments(operation, message):
    """A CPU that does not exist, a method called instead of named."""

    class Bad(Scenario):
        cpus = 2

        def f(self):
            yield from ()

        @thread(cpu=0)
        def t(self):
            yield operation(self)

    with pytest.raises(ModelError) as error:
        explore(Bad)
    assert message in str(error.value)


@pytest.mark.parametrize("kind", [Tasklet, Work])
def test_programs_are_named_not_called(kind):
    """Tasklet(self.f()) and Work(self.f()) would run the program outside of the model."""

    class Bad(Scenario):
        def setup(self):
            self.thing = kind(self.f())

        def f(self):
            yield from ()

        @thread()
        def t(self):
            yield from ()

    with pytest.raises(ModelError, match=f"{kind.__name__} takes a program, not f .a generator.. Name it without"):
        explore(Bad)


def test_flags_in_a_handler():
    """spin_lock_irqsave in a handler finds interrupts off, and its unlock leaves them off."""

    class Saved(Counts):
        def setup(self):
            super().setup()
            self.lock = SpinLock()

        @thread(cpu=0)
        def t(self):
            yield raise_irq(self.isr)

        def isr(self):
            flags = yield spin_lock_irqsave(self.lock)
            yield spin_unlock_irqrestore(self.lock, flags)
            yield WRITE_ONCE(self.count, flags)

    assert outcomes(Saved) == {False}
    assert failures(Saved) == set()
