"""Failures in words: the story of a schedule, and the name of its pattern."""

from vmbus_teach import Scenario, at_end, explore, interrupt, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Completion,
    Struct,
    complete,
    kfree,
    kzalloc,
    raise_irq,
    reinit_completion,
    wait_for_completion,
    xchg,
)
from vmbus_teach.scenarios.classics import AbBa, Increments, LockInHandler
from vmbus_teach.scenarios.rescind_queue import OwnRescindQueue
from vmbus_teach.scenarios.rescind_strategies import OneQueue


def told(scenario, number=0):
    """The story of a scenario's failure."""
    return str(explore(scenario).failures[number])


def test_a_whole_story():
    """Kind and message, size and share, each step with its remark and change, the pattern, and how to replay it."""
    story, replay = told(Increments).rsplit("\n\n", 1)
    assert story.splitlines() == [
        "at_end: nothing_is_lost does not hold at the end: 1 of 2 are left",
        "Increments: shown in 4 steps with 2 switches between contexts. 4 of 6 schedules end so.",
        "",
        "worker_0:",
        "   1  reads the counter: READ_ONCE(count) gives 0",
        "      before worker_0 writes back one more",
        "worker_1:",
        "   2  reads the counter: READ_ONCE(count) gives 0",
        "   3  writes back one more: WRITE_ONCE(count, 1)   [count 0 -> 1]",
        "worker_0:",
        "   4  writes back one more: WRITE_ONCE(count, 1)",
        "",
        "This is a lost update: worker_1 and worker_0 both read count before either wrote it back, "
        "so worker_0 overwrote what worker_1 had written.",
    ]
    assert replay.startswith('To replay it: Session(Increments).replay("Increments@')


def test_an_interruption_is_told():
    """Where a handler takes over its own CPU, the story says in which task, and before what."""
    assert "CPU 0 is interrupted in task before it does load(events)" in told(LockInHandler)
    assert "spins for events_lock, held by task" in told(LockInHandler)


def test_a_deadlock_is_no_pattern_by_itself():
    """Two locks in opposite orders are told as they are; nothing is called a lost wake-up."""
    assert "This is" not in told(AbBa)
    assert "This is" not in told(OwnRescindQueue)  # a count that was changed before, but never to what it waits for
    assert "This is" not in told(OneQueue(opens=True))  # work that is queued behind other work waits for no signal


class LostWakeup(Scenario):
    """The waiter looks, is late, and forgets the signal before it waits for it."""

    cpus = 1

    def setup(self):
        self.done, self.ready = Completion(), Cell(0)

    @thread(cpu=0)
    def waiter(self):
        if not (yield READ_ONCE(self.ready)):
            yield reinit_completion(self.done)
            yield wait_for_completion(self.done)

    @thread()
    def waker(self):
        yield WRITE_ONCE(self.ready, 1)
        yield complete(self.done)


def test_lost_wakeup():
    """A signal that was given before the waiting began, and will not come again."""
    assert "This is a lost wake-up: waker changed done before waiter waited for it" in told(LostWakeup)


class Published(Scenario):
    """A channel is published first and filled in later; another context uses it, a third frees it."""

    cpus = 2

    def setup(self, free=False):
        self.channel, self.slot = Struct("channel", relid=0), Cell(None)
        if free:
            self.add_thread(self.remove, cpu=0)

    @thread(cpu=0)
    def offer(self):
        channel = yield kzalloc(self.channel)
        yield WRITE_ONCE(self.slot, channel)
        yield WRITE_ONCE(channel.relid, 7)

    @thread(cpu=1)
    def use(self):
        channel = yield READ_ONCE(self.slot)
        if channel is not None:
            relid = yield READ_ONCE(channel.relid)
            assert relid == 7, "relid is not set"

    def remove(self):
        channel = yield xchg(self.slot, None)
        if channel is not None:
            yield kfree(channel)


def test_publication_before_initialisation():
    """Who read what through which pointer too early."""
    story = told(Published)
    assert "This is publication before initialisation: offer published the pointer" in story
    assert "use read channel#0.relid" in story


def test_use_after_free():
    """Who freed the object, and who still had a pointer."""
    failures = [f for f in explore(Published(free=True)).failures if f.kind == "use-after-free"]
    assert any("remove freed channel#0, use still had a pointer to it" in str(f) for f in failures)


class OtherUpdate(Increments):
    """An update is lost, and the property that fails looks at something else."""

    def setup(self):
        super().setup()
        self.other = Cell(0)

    def nothing_is_lost(self, s):
        return s[self.other] == 1


def test_a_pattern_explains_only_what_the_property_looks_at():
    """A lost update of a cell that the failing property never reads is not called the reason."""
    assert "lost update" not in told(OtherUpdate)


class Twice(Scenario):
    """A handler preempts a task of its CPU, and another task of that CPU does."""

    cpus = 1

    def setup(self):
        self.x = Cell(0)

    @thread(cpu=0)
    def slow(self):
        yield WRITE_ONCE(self.x, 1)
        yield WRITE_ONCE(self.x, 2)  # is done

    @thread(cpu=0)
    def other(self):
        assert (yield READ_ONCE(self.x)) != 1
        yield raise_irq(self.handler)

    @interrupt(cpu=0)
    def handler(self):
        yield READ_ONCE(self.x)

    @at_end
    def fine(self, s):
        return True


def test_a_preemption_is_told():
    """Another task of the same CPU takes over: the story calls it a preemption."""
    assert "slow is preempted before it is done" in told(Twice)
