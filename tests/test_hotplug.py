"""CPU hotplug: the lock for readers and one writer, stopping the machine, and a CPU that is dead."""

import pytest
from by_hand import after, blocked, check, possible, shown, the_failure

from vmbus_teach import ModelError, Scenario, explore, interrupt, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    CpuHotplugLock,
    Tasklet,
    cpus_read_lock,
    cpus_read_unlock,
    cpus_write_lock,
    cpus_write_unlock,
    play_dead,
    preempt_disable,
    preempt_enable,
    raise_irq,
    stop_machine,
    tasklet_schedule,
)

# --- the lock -----------------------------------------------------------------------------------------


class Locked(Scenario):
    """Two readers, one of whom takes the lock ``times`` times, and a writer."""

    def setup(self, times=1, reader=True):
        self.lock = CpuHotplugLock()
        self.times = times
        if reader:
            self.add_thread(self.other)

    @thread()
    def reads(self):
        for _ in range(self.times):
            yield cpus_read_lock(self.lock)
        for _ in range(self.times):
            yield cpus_read_unlock(self.lock)

    def other(self):
        yield cpus_read_lock(self.lock)
        yield cpus_read_unlock(self.lock)

    @thread()
    def writes(self):
        yield cpus_write_lock(self.lock)
        yield cpus_write_unlock(self.lock)


def test_a_reader_and_a_writer_exclude_each_other():
    """All schedules of one reader and one writer: who waits for readers has begun to wait, and that is a step."""
    check(Locked(reader=False), "reads*2 writes*2", "writes*2 reads*2", "reads writes reads writes*2")


def test_readers_do_not_exclude_each_other():
    """Both are inside at once, and the lock says so."""
    session = after(Locked(), "reads other")
    assert shown(session, "lock") == "read by reads, other"
    assert possible(Locked(), "reads other") == {"reads", "other", "writes"}


def test_a_writer_that_waits_lets_no_reader_in():
    """A new reader waits for it, although it waits itself."""
    assert blocked(Locked(), "reads writes") == {
        "writes": "waits for lock, read by reads", "other": "waits for lock, held by writes",
    }
    assert shown(after(Locked(), "reads writes"), "lock") == "read by reads; writes waits to write"
    assert explore(Locked()).ok


def test_a_reader_that_reads_again_can_be_shut_out():
    """A writer comes between the two: it waits for the reader, and the reader for it."""
    assert explore(Locked(times=2, reader=False)).failures[0].kind == "deadlock"
    assert "reads waits for lock, held by writes" in the_failure(Locked(times=2, reader=False), "deadlock")


class Wrong(Scenario):
    """A task does these operations."""

    def setup(self, operations):
        self.lock = CpuHotplugLock()
        self.own_operations = operations

    @thread()
    def task(self):
        for operation in self.own_operations:
            yield operation(self.lock)


@pytest.mark.parametrize("operations, said", [
    ((cpus_read_unlock,), "which it does not read"),
    ((cpus_write_unlock,), "nobody holds it for writing"),
    ((cpus_read_lock, cpus_write_unlock), "nobody holds it for writing"),
    ((cpus_read_lock,), "returns and still holds lock"),
    ((cpus_write_lock,), "returns and still holds lock"),
])  # fmt: skip
def test_it_is_given_back_by_who_has_it(operations, said):
    """Whoever unlocks what it does not hold, or returns with it, fails."""
    assert said in the_failure(Wrong(operations=operations), "error")


@pytest.mark.parametrize("operation", [cpus_read_lock, cpus_write_lock])
def test_it_may_sleep(operation):
    """So it is not for where preemption is off, free or not."""

    class Atomic(Scenario):
        """Preemption is off."""

        def setup(self):
            self.lock = CpuHotplugLock()

        @thread()
        def task(self):
            yield preempt_disable()
            yield operation(self.lock)

    assert "may sleep, but preemption is off" in the_failure(Atomic, "sleep-in-atomic")


# --- a CPU goes -----------------------------------------------------------------------------------------


class Goes(Scenario):
    """CPU 1 stops the machine and dies; a task is on CPU 0, and the host interrupts CPU 1."""

    cpus = 2

    def setup(self):
        self.x = Cell(0)
        self.seen = Cell(0)

    @thread(cpu=0)
    def task(self):
        yield preempt_disable()
        yield WRITE_ONCE(self.x, 1)
        yield preempt_enable()

    @thread(cpu=1)
    def goes(self):
        yield stop_machine()
        yield READ_ONCE(self.x)
        yield play_dead()
        yield WRITE_ONCE(self.x, 2)

    @thread(host=True)
    def host(self):
        yield raise_irq(self.isr)

    @interrupt(cpu=1)
    def isr(self):
        yield WRITE_ONCE(self.seen, 1)

    def outcome(self, s):
        return s[self.seen]


def test_what_cannot_be_preempted_is_waited_for():
    """The machine is stopped when nobody has preemption off."""
    assert blocked(Goes(), "task") == {"goes": "waits until CPU 0 can be stopped, which is executing task"}
    assert "goes" in possible(Goes(), "task*3")


def test_while_it_is_stopped_only_one_goes_on():
    """The other CPU's task waits, and the own CPU takes no interrupts; the host is not stopped."""
    assert blocked(Goes(), "goes host") == {
        "task": "waits for CPU 0, which is executing goes",
        "isr": "waits until CPU 1 has interrupts on, which are off in goes",
    }
    assert possible(Goes(), "goes") == {"goes", "host"}


def test_a_dead_cpu_takes_no_interrupt():
    """Neither one that was pending nor a later one; the other CPU goes on, and nothing is left waiting."""
    for before in ("goes host goes*2", "goes*3 host"):
        session = after(Goes(), before)
        assert shown(session, "isr") == "CPU 1 is dead"
        assert possible(Goes(), before) == {"goes", "task"}
    found = explore(Goes)
    assert found.ok and found.outcomes == {0, 1}


class Occupied(Goes):
    """Something else has something to do on CPU 1."""

    def setup(self, what):
        super().setup()
        self.tasklet = Tasklet(self.later)
        self.what = what
        if what == "task":
            self.add_thread(self.later, cpu=1)

    def later(self):
        yield WRITE_ONCE(self.x, 3)

    def goes(self):
        if self.what == "tasklet":
            yield tasklet_schedule(self.tasklet)
        yield play_dead()


@pytest.mark.parametrize("what, named", [("task", "later"), ("tasklet", "tasklet")])
def test_a_cpu_that_is_occupied_cannot_die(what, named):
    """That something would have to move is not modelled, and the error names it."""
    with pytest.raises(ModelError, match=f"CPU 1 is to play dead, but {named} still has something to do there"):
        explore(Occupied(what=what))


def test_a_handler_cannot_take_its_cpu_down():
    """It is no task."""

    class InHandler(Goes):
        """The handler does it."""

        def goes(self):
            yield READ_ONCE(self.x)

        def isr(self):
            yield play_dead()

    assert "isr is no task and cannot take CPU 1 down" in the_failure(InHandler, "error")
