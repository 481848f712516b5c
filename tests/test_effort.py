"""What a trace has cost: counted by hand on races of a few steps."""

from by_hand import after

from vmbus_teach import Scenario, interrupt, thread
from vmbus_teach.effort import effort
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    SpinLock,
    Tasklet,
    atomic_inc,
    raise_irq,
    spin_lock,
    spin_unlock,
    tasklet_schedule,
    test_and_clear_bit,
    test_bit,
)


class Counts(Scenario):
    """A handler with one atomic operation and a tasklet with a lock; a task that raises the interrupt."""

    cpus = 1

    def setup(self):
        self.word = Cell(1)
        self.lock = SpinLock()
        self.dpc = Tasklet(self.tasklet)

    @thread(host=True)
    def host(self):
        yield raise_irq(self.isr)

    @thread()
    def other(self):
        yield spin_lock(self.lock)
        yield spin_unlock(self.lock)
        yield atomic_inc(self.word)

    @interrupt(cpu=0)
    def isr(self):
        yield test_and_clear_bit(0, self.word)
        yield tasklet_schedule(self.dpc)

    def tasklet(self):
        yield spin_lock(self.lock)
        yield test_bit(0, self.word)
        value = yield READ_ONCE(self.word)
        yield WRITE_ONCE(self.word, value)
        yield spin_unlock(self.lock)


def test_the_interrupt_path():
    """Handler and tasklet, and not their starts; test_bit only reads, so it is no atomic operation."""
    found = effort(after(Counts, "host isr*3 dpc*6").trace)
    assert (found.operations, found.atomics, found.locks) == (7, 1, 1)
    assert found.by_name == {
        "READ_ONCE": 1, "WRITE_ONCE": 1, "spin_lock": 1, "spin_unlock": 1, "tasklet_schedule": 1,
        "test_and_clear_bit": 1, "test_bit": 1,
    }  # fmt: skip
    assert str(found) == "7 operations, 1 of them atomic, 1 of them locks"


def test_other_kinds_of_context():
    """A task's atomic operation and lock are the task's."""
    found = effort(after(Counts, "host isr*3 dpc*6 other*3").trace, ("task",))
    assert (found.operations, found.atomics, found.locks) == (3, 1, 1)


def test_who_waited_is_counted_once():
    """A lock that the tasklet had to wait for is taken once."""
    session = after(Counts, "host isr*3 other dpc*2 other dpc*5")
    assert any(step.waits for step in session.trace)
    assert effort(session.trace).locks == 1


def test_nothing_executed():
    """No interrupt, no effort."""
    assert effort(()).operations == 0
