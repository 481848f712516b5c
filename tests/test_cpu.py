"""CPUs: interrupts, preemption and softirqs switched off and on, and who may run meanwhile."""

import pytest
from by_hand import after, blocked, check, each, failures, outcomes, possible, the_failure

from vmbus_teach import Scenario, Session, explore, interrupt, thread
from vmbus_teach.kernel import (
    WRITE_ONCE,
    Cell,
    ModelError,
    Tasklet,
    local_bh_disable,
    local_bh_enable,
    local_irq_disable,
    local_irq_enable,
    local_irq_restore,
    local_irq_save,
    preempt_disable,
    preempt_enable,
    raise_irq,
    tasklet_schedule,
)


class Flags(Scenario):
    """A task on CPU 0, and an interrupt there. The handler takes two steps: it arrives, it writes."""

    cpus = 1

    def setup(self):
        self.seen = Cell(0)
        self.flags = Cell(None)

    @interrupt(cpu=0)
    def isr(self):
        yield WRITE_ONCE(self.seen, 1)

    def outcome(self, s):
        return s[self.flags]


def test_interrupts_on():
    """A raised interrupt arrives before or after any later step; nothing else runs until it returns."""

    class On(Flags):
        @thread(cpu=0)
        def t(self):
            yield raise_irq(self.isr)
            yield WRITE_ONCE(self.seen, 0)

    check(On, "t isr*2 t", "t*2 isr*2")
    assert blocked(On, "t isr") == {"t": "waits for CPU 0, which is executing isr"}


def test_local_irq_disable_and_enable():
    """While interrupts are off, what is raised stays pending."""

    class Off(Flags):
        @thread(cpu=0)
        def t(self):
            yield local_irq_disable()
            yield raise_irq(self.isr)
            yield local_irq_enable()
            yield WRITE_ONCE(self.seen, 0)

    check(Off, "t*3 isr*2 t", "t*4 isr*2")
    assert blocked(Off, "t*2") == {"isr": "waits until CPU 0 has interrupts on, which are off in t"}


def test_another_cpus_flag_is_another_flag():
    """Interrupts off on CPU 1 keep nothing from CPU 0."""

    class Elsewhere(Flags):
        cpus = 2

        @thread(cpu=1)
        def t(self):
            yield local_irq_disable()
            yield raise_irq(self.isr)
            yield local_irq_enable()

    check(Elsewhere, "t*2 isr*2 t", "t*2 isr t isr", "t*3 isr*2")


def test_local_irq_save_and_restore_nest():
    """Each restore brings back what its save found: only the outer one switches interrupts on."""

    class Nested(Flags):
        @thread(cpu=0)
        def t(self):
            outer = yield local_irq_save()
            inner = yield local_irq_save()
            yield raise_irq(self.isr)
            yield local_irq_restore(inner)
            yield WRITE_ONCE(self.flags, (outer, inner))
            yield local_irq_restore(outer)

    check(Nested, "t*6 isr*2", outcomes={(True, False)})


def test_local_irq_enable_inside_save_and_restore():
    """local_irq_enable switches interrupts on whatever they were: the save around it is undone too early."""

    class Careless(Flags):
        @thread(cpu=0)
        def t(self):
            flags = yield local_irq_save()
            yield raise_irq(self.isr)
            yield local_irq_enable()
            yield local_irq_restore(flags)

    check(Careless, "t*3 isr*2 t", "t*4 isr*2")


def test_preemption():
    """Two tasks of one CPU interleave at every step, and not while preemption is off."""

    class Preemptible(Flags):
        @thread(cpu=0)
        def a(self):
            yield WRITE_ONCE(self.seen, 1)
            yield WRITE_ONCE(self.seen, 2)

        @thread(cpu=0)
        def b(self):
            yield WRITE_ONCE(self.seen, 3)

    class Off(Preemptible):
        def a(self):
            yield preempt_disable()
            yield from super().a()
            yield preempt_enable()

    check(Preemptible, "a*2 b", "a b a", "b a*2")
    check(Off, "a*4 b", "b a*4")
    assert blocked(Off, "a") == {"b": "waits for CPU 0, which is executing a"}


def test_preemption_off_nests_and_lets_interrupts_in():
    """The second preempt_enable switches it on; interrupts come all the time."""

    class Nested(Flags):
        @thread(cpu=0)
        def a(self):
            yield preempt_disable()
            yield preempt_disable()
            yield preempt_enable()
            yield preempt_enable()

        @thread(cpu=0)
        def b(self):
            yield raise_irq(self.isr)

    assert possible(Nested, "a*3") == {"a"}
    assert possible(Nested, "a*4") == {"b"}
    assert possible(Nested, "b a*2") == {"a", "isr"}
    positions = [f"b{' a' * (i > 0)}{f'*{i}' * (i > 1)} isr*2{' a' * (i < 4)}{f'*{4 - i}' * (i < 3)}" for i in range(5)]
    check(Nested, *positions, "a*4 b isr*2")


class Softirqs(Scenario):
    """A task that schedules a tasklet of one step; with its start, the tasklet takes two."""

    cpus = 1

    def setup(self):
        self.seen = Cell(0)
        self.tasklet = Tasklet(self.run)

    def run(self):
        yield WRITE_ONCE(self.seen, 1)


def test_tasklet_of_a_task():
    """A task's tasklet runs some time later, in the softirq thread: before or after any later step."""

    class Task(Softirqs):
        @thread(cpu=0)
        def t(self):
            yield tasklet_schedule(self.tasklet)
            yield WRITE_ONCE(self.seen, 0)

    check(Task, "t tasklet*2 t", "t*2 tasklet*2")


def test_local_bh_disable_and_enable():
    """With softirqs off the tasklet waits; where they are switched on, it runs before the task goes on."""

    class Off(Softirqs):
        @thread(cpu=0)
        def t(self):
            yield local_bh_disable()
            yield tasklet_schedule(self.tasklet)
            yield local_bh_disable()
            yield local_bh_enable()
            yield local_bh_enable()
            yield WRITE_ONCE(self.seen, 0)

    check(Off, "t*5 tasklet*2 t")
    assert blocked(Off, "t*4") == {"tasklet": "waits until CPU 0 has softirqs on, which are off in t"}
    assert blocked(Off, "t*5") == {"t": "waits for CPU 0, which runs its softirqs first"}


def test_local_bh_enable_runs_tasklets_although_preemption_is_off():
    """local_bh_enable runs what is pending also where the task cannot be preempted."""

    class BothOff(Softirqs):
        @thread(cpu=0)
        def t(self):
            yield preempt_disable()
            yield local_bh_disable()
            yield tasklet_schedule(self.tasklet)
            yield local_bh_enable()
            yield preempt_enable()

    check(BothOff, "t*4 tasklet*2 t")


@pytest.mark.parametrize(
    ("off", "on", "reason"),
    [
        (local_irq_disable, local_irq_enable, {"tasklet": "waits until CPU 0 has interrupts on, which are off in t"}),
        (preempt_disable, preempt_enable, {}),
    ],
)
def test_switching_on_something_else_does_not_run_tasklets(off, on, reason):
    """After local_irq_enable and preempt_enable a pending tasklet runs some time, not at once."""

    class Other(Softirqs):
        @thread(cpu=0)
        def t(self):
            yield off()
            yield tasklet_schedule(self.tasklet)
            yield on()
            yield WRITE_ONCE(self.seen, 0)

    assert possible(Other, "t*3") == {"t", "tasklet"}
    assert blocked(Other, "t*2") == reason
    early = ["t*2 tasklet*2 t*2"] if off is preempt_disable else []
    check(Other, *early, "t*3 tasklet*2 t", "t*4 tasklet*2")


def test_a_private_cpu_is_a_cpu():
    """A task with a CPU of its own shares it with its tasklet: while that runs, the task does not."""

    class Private(Softirqs):
        cpus = 0

        @thread()
        def t(self):
            yield tasklet_schedule(self.tasklet)
            yield preempt_disable()
            yield preempt_enable()

    check(Private, "t tasklet*2 t*2", "t*2 tasklet*2 t", "t*3 tasklet*2")
    assert blocked(Private, "t tasklet") == {"t": "waits for t's CPU, which is executing tasklet"}


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([preempt_enable()], "t switches preemption on, which it had not switched off"),
        ([local_bh_enable()], "t switches softirqs on, which it had not switched off"),
        (
            [local_bh_disable(), local_irq_disable(), local_bh_enable()],
            "t switches softirqs on while interrupts are off",
        ),
        ([local_irq_disable()], "t returns with interrupts still off"),
        ([preempt_disable()], "t returns with preemption still off"),
        ([local_bh_disable()], "t returns with softirqs still off"),
    ],
)
def test_misuse_in_a_task(operations, message):
    """What is switched off must be switched on again, once, and in an order that the kernel allows."""

    class Misuse(Flags):
        @thread(cpu=0)
        def t(self):
            yield from each(operations)

    assert the_failure(Misuse, "error") == message


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([local_bh_disable()], "isr is an interrupt handler and switches softirqs off"),
        ([local_irq_enable()], "isr is an interrupt handler and returns with interrupts on"),
        ([preempt_disable()], "isr returns with preemption still off"),
        ([local_irq_enable(), local_irq_disable()], None),
    ],
)
def test_misuse_in_a_handler(operations, message):
    """A handler leaves softirqs alone, and returns with interrupts off as it was entered."""

    class Misuse(Flags):
        @thread(cpu=0)
        def t(self):
            yield raise_irq(self.isr)

        def isr(self):
            yield from each(operations)

    assert failures(Misuse) == ({("error", message)} if message else set())


def test_flags_must_have_been_saved():
    """local_irq_restore takes what local_irq_save gave."""

    class Wrong(Flags):
        @thread(cpu=0)
        def t(self):
            yield local_irq_restore(None)

    with pytest.raises(ModelError, match=r"local_irq_restore is to restore None, which no _irqsave operation returned"):
        explore(Wrong)


def test_how_a_cpu_is_shown():
    """A CPU says what it executes, on top of what, and what is off."""

    class Shown(Flags):
        @thread(cpu=0)
        def t(self):
            yield preempt_disable()
            yield local_bh_disable()
            yield raise_irq(self.isr)
            yield local_bh_enable()
            yield preempt_enable()

    texts = []
    session = Session(Shown)
    for word in ["t", "t", "t", "isr"]:
        session.step(word)
        cpu = session.machine.cast.cpus[0]
        texts.append(cpu.show(session.state[cpu]))
    assert texts == [
        "executing t; interrupts on, preemption off",
        "executing t; interrupts on, preemption off, softirqs off",
        "executing t; interrupts on, preemption off, softirqs off",
        "executing isr on top of t; interrupts off",
    ]
    idle = after(Shown, "").machine.cast.cpus[0]
    assert idle.show(()) == "preemptible, interrupts on"


def test_operations_have_no_result():
    """Only local_irq_save tells what was there before."""

    class Saves(Flags):
        @thread(cpu=0)
        def t(self):
            results = []
            for operation in [local_irq_disable(), local_irq_save(), local_irq_restore(True), preempt_disable()]:
                results.append((yield operation))
            yield preempt_enable()
            yield WRITE_ONCE(self.flags, tuple(results))

    assert outcomes(Saves) == {(None, False, None, None)}
