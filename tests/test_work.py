"""Work queues: when items start, that none runs twice at once, and what waiting for one means."""

import pytest
from by_hand import after, blocked, check, failures, outcomes, possible, shown, the_failure

from vmbus_teach import Scenario, explore, interrupt, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    ModelError,
    Work,
    WorkQueue,
    atomic_inc,
    cancel_work_sync,
    flush_work,
    flush_workqueue,
    queue_work,
    raise_irq,
    rcu_read_lock,
    rcu_read_unlock,
    schedule_work,
    synchronize_rcu,
)


class Items(Scenario):
    """Two work items of one step; with its start, each takes two. The log tells the order of starts."""

    ordered = False

    def setup(self):
        self.log = Cell(())
        self.queue = WorkQueue(ordered=self.ordered)
        self.w1 = Work(self.item, 1)
        self.w2 = Work(self.item, 2)

    def item(self, number):
        yield WRITE_ONCE(self.log, number)

    def outcome(self, s):
        return s[self.log]


def test_queue_work_and_schedule_work():
    """The item runs some time later; the result says whether it was queued now."""

    class Queues(Items):
        @thread()
        def t(self):
            first = yield queue_work(self.queue, self.w1)
            yield WRITE_ONCE(self.log, ("queued", first))

    class Schedules(Queues):
        def t(self):
            first = yield schedule_work(self.w1)
            yield WRITE_ONCE(self.log, ("queued", first))

    for scenario in (Queues, Schedules):
        check(scenario, "t*2 w1*2", "t w1*2 t", "t w1 t w1", outcomes={1, ("queued", True)})
    assert after(Queues, "t").trace[0].changes == (
        ("queue", "none", "w1"),
        ("w1", "not pending", "pending on queue"),
    )
    assert after(Schedules, "t").trace[0].changes == (("w1", "not pending", "pending on system_wq"),)
    assert str(after(Queues, "t").choices()[-1]) == "w1: a worker starts w1"


def test_a_pending_item_is_not_queued_again():
    """The second queue_work gives False while the item waits to start, True once it has started."""

    class Twice(Items):
        def setup(self):
            super().setup()
            self.again = Cell(None)

        @thread()
        def t(self):
            yield queue_work(self.queue, self.w1)
            again = yield queue_work(self.queue, self.w1)
            yield WRITE_ONCE(self.again, again)

        def outcome(self, s):
            return s[self.again]

    assert outcomes(Twice) == {False, True}
    # Queued twice while pending: w1's two steps among t's last (3). Queued again after w1's first step or
    # after its second: 4 steps of w1 in all, and t's last step anywhere after its second.
    assert explore(Twice).schedules == 3 + 4 + 3


def test_items_start_in_order_and_run_at_once():
    """Unordered, the second starts after the first has started; ordered, after it has finished."""

    class Both(Items):
        @thread()
        def t(self):
            yield queue_work(self.queue, self.w1)
            yield queue_work(self.queue, self.w2)

    class Ordered(Both):
        ordered = True

    first = ["t w1 t w1 w2*2", "t w1*2 t w2*2"]
    check(Both, *first, "t*2 w1*2 w2*2", "t*2 w1 w2 w1 w2", "t*2 w1 w2*2 w1", "t w1 t w2 w1 w2", "t w1 t w2*2 w1")
    check(Ordered, *first, "t*2 w1*2 w2*2", outcomes={2})
    assert blocked(Both, "t*2") == {"w2": "waits for w1, which was queued before"}
    assert blocked(Ordered, "t*2 w1") == {"w2": "waits for w1, which queue executes now, and it is ordered"}


def test_an_item_never_runs_twice_at_once():
    """Queued by itself, it starts again when it has finished."""

    class Requeues(Items):
        def item(self, number):
            before = yield READ_ONCE(self.log)
            yield WRITE_ONCE(self.log, (*before, number))
            if not before:
                yield queue_work(self.queue, self.w1)
                yield WRITE_ONCE(self.log, (*before, number, "first is done"))

        @thread()
        def t(self):
            yield queue_work(self.queue, self.w1)

    check(Requeues, "t w1*8", outcomes={(1, "first is done", 1)})


class OnCpu(Items):
    """A queue of CPU 0, and what else runs there."""

    cpus = 1

    def setup(self):
        super().setup()
        self.queue = WorkQueue(cpu=0)

    @thread(cpu=0)
    def t(self):
        yield raise_irq(self.isr)
        yield WRITE_ONCE(self.log, 7)

    @interrupt(cpu=0)
    def isr(self):
        yield queue_work(self.queue, self.w1)
        again = yield queue_work(self.queue, self.w1)
        yield WRITE_ONCE(self.log, again)


def test_a_queue_of_a_cpu():
    """Its worker is one more task there: it does not start while a handler runs, and interleaves with the task."""
    assert blocked(OnCpu, "t isr*2") == {
        "t": "waits for CPU 0, which is executing isr",
        "w1": "waits for CPU 0, which is executing isr",
    }
    check(OnCpu, "t isr*4 w1*2 t", "t isr*4 w1 t w1", "t isr*4 t w1*2", "t*2 isr*4 w1*2", outcomes={1, 7})
    session = after(OnCpu, "t isr*4")
    assert session.state[session.scenario.log] is False  # the handler's second queue_work, always


def test_a_worker_may_sleep():
    """A work item may wait for a grace period; a reader inside makes it wait."""

    class Sleeps(Items):
        def item(self, number):
            yield synchronize_rcu()

        @thread()
        def t(self):
            yield rcu_read_lock()
            yield queue_work(self.queue, self.w1)
            yield rcu_read_unlock()

    assert blocked(Sleeps, "t*2 w1*2") == {"w1": "waits for the RCU reader t"}
    assert explore(Sleeps).ok


class Waits(Items):
    """A task queues an item, does ``operation`` and notes the result."""

    def setup(self, operation=flush_work):
        super().setup()
        self.operation = operation
        self.result = Cell(None)

    @thread()
    def t(self):
        yield queue_work(self.queue, self.w1)
        result = yield self.operation(self.w1)
        yield WRITE_ONCE(self.result, (result,))

    def outcome(self, s):
        return s[self.result], s[self.log]


def test_flush_work():
    """It waits for the item that is pending or running; the result says whether it had to."""
    check(
        Waits,
        *("t*2 w1*2 t*2", "t w1 t w1 t*2", "t w1*2 t*2"),
        outcomes={((True,), 1), ((False,), 1)},
    )
    for schedule, stage in (("t*2", "pending"), ("t*2 w1", "running")):
        assert blocked(Waits, schedule) == {"t": "waits until w1 is finished"}
        assert shown(after(Waits, schedule), "w1.waited_for") == f"t waits for the {stage} one"


def test_flush_work_waits_for_the_instance_of_then():
    """What is queued again after the flush began is not waited for."""

    class Again(Waits):
        def item(self, number):
            before = yield READ_ONCE(self.log)
            yield WRITE_ONCE(self.log, (*before, number))
            if not before:
                yield queue_work(self.queue, self.w1)

    assert possible(Again, "t*2 w1*4") == {"t", "w1"}
    assert possible(Again, "t w1*4 t") == {"w1"}  # begun later, it waits for the second one, which is pending
    assert blocked(Again, "t w1*4 t w1*2") == {"t": "waits until w1 is finished"}


def test_cancel_work_sync():
    """It takes a pending item off, waits for a running one, and says whether it was pending."""
    check(
        Waits(operation=cancel_work_sync),
        *("t*3", "t w1 t w1 t*2", "t w1*2 t*2"),
        outcomes={((True,), ()), ((False,), 1)},
    )


def test_a_cancelled_item_does_not_queue_itself():
    """While cancel_work_sync waits, queue_work gives False: afterwards the item neither waits nor runs."""

    class Requeues(Waits):
        def setup(self):
            super().setup(cancel_work_sync)

        def item(self, number):
            queued = yield queue_work(self.queue, self.w1)
            yield WRITE_ONCE(self.log, queued)

    session = after(Requeues, "t w1 t w1*2 t*2")  # its queue_work comes while it is cancelled
    assert session.state[session.scenario.log] is False
    assert session.choices() == ()
    session = after(Requeues, "t w1*2 t w1 t*2")  # it comes before: the second instance is taken off
    assert session.state[session.scenario.log] is True
    assert session.choices() == ()


def test_two_cancel_at_once():
    """The second waits until the first has done; then there is nothing left to cancel."""

    class Two(Waits):
        def setup(self):
            super().setup(cancel_work_sync)

        @thread()
        def u(self):
            yield cancel_work_sync(self.w1)

    assert blocked(Two, "t w1 t") == {"t": "waits until w1 is finished", "u": "waits until t has cancelled w1"}
    assert possible(Two, "t w1 t w1") == {"t"}
    assert possible(Two, "t w1 t w1 t") == {"t", "u"}
    assert explore(Two).ok


def test_flush_of_an_item_that_is_cancelled():
    """Who waits for a pending item that somebody cancels goes on."""

    class Cancelled(Waits):
        @thread()
        def u(self):
            yield cancel_work_sync(self.w1)

    assert blocked(Cancelled, "t*2")["t"] == "waits until w1 is finished"
    assert possible(Cancelled, "t*2 u") == {"t"}
    assert ((True,), ()) in outcomes(Cancelled)


@pytest.mark.parametrize("operation", [flush_work, cancel_work_sync])
def test_an_item_that_waits_for_itself(operation):
    """A deadlock."""

    class Itself(Items):
        @thread()
        def t(self):
            yield queue_work(self.queue, self.w1)

        def item(self, number):
            yield operation(self.w1)

    assert the_failure(Itself, "deadlock") == "nobody can go on: w1 waits until w1 is finished"


def test_flush_workqueue():
    """It waits for all that is in the queue, pending or running, and for nothing that comes later."""

    class All(Items):
        @thread()
        def t(self):
            yield queue_work(self.queue, self.w1)
            yield queue_work(self.queue, self.w2)
            yield flush_workqueue(self.queue)
            yield atomic_inc(self.count)

        def setup(self):
            super().setup()
            self.count = Cell(0)
            self.w3 = Work(self.item, 3)

        @thread()
        def u(self):
            yield queue_work(self.queue, self.w3)

    assert blocked(All, "t*2 w1 t")["t"] == "waits until w1, w2 is finished"
    assert blocked(All, "t*2 w1*2 t w2")["t"] == "waits until w2 is finished"
    assert "t" in possible(All, "t*2 w1*2 t u w2*2")  # w3 came later
    assert explore(All).ok


def test_another_queue_is_not_flushed():
    """flush_workqueue of an empty queue does not wait."""

    class Other(Items):
        def setup(self):
            super().setup()
            self.empty = WorkQueue()

        @thread()
        def t(self):
            yield queue_work(self.queue, self.w1)
            yield flush_workqueue(self.empty)

    check(Other, "t*2 w1*2", "t w1 t w1", "t w1*2 t")


def test_an_item_that_flushes_its_own_ordered_queue():
    """It waits for itself."""

    class Own(Items):
        ordered = True

        @thread()
        def t(self):
            yield queue_work(self.queue, self.w1)

        def item(self, number):
            yield flush_workqueue(self.queue)

    assert the_failure(Own, "deadlock") == "nobody can go on: w1 waits until w1 is finished"


@pytest.mark.parametrize("operation", [flush_work, cancel_work_sync])
def test_handlers_may_queue_but_not_wait(operation):
    """queue_work never sleeps, the others may."""

    class Handler(Items):
        cpus = 1

        @thread(cpu=0)
        def t(self):
            yield raise_irq(self.isr)

        @interrupt(cpu=0)
        def isr(self):
            yield queue_work(self.queue, self.w1)
            yield operation(self.w1)

    text = f"isr calls {operation.__name__}(w1), which may sleep, but it is an interrupt handler"
    assert failures(Handler) == {("sleep-in-atomic", text)}


def test_bad_arguments():
    """A CPU that is no number or does not exist, a cell where a work item is wanted, the host."""

    class Nowhere(Items):
        cpus = 1

        def setup(self):
            super().setup()
            self.queue = WorkQueue(cpu=3)

        @thread()
        def t(self):
            yield queue_work(self.queue, self.w1)

    class NoWork(Nowhere):
        def t(self):
            yield queue_work(self.queue, self.log)

    class NoNumber(Nowhere):
        def setup(self):
            self.queue = WorkQueue(cpu="0")

    class Host(Items):
        @thread(host=True)
        def t(self):
            yield schedule_work(self.w1)

    with pytest.raises(ModelError, match=r"queue = WorkQueue.cpu=3.: there is no CPU 3. The scenario has 1"):
        explore(Nowhere)
    with pytest.raises(ModelError, match=r"queue_work takes a Work as work, not log .a Cell."):
        explore(NoWork)
    with pytest.raises(ModelError, match=r"WorkQueue.cpu='0'.: cpu is the number of a CPU, or None."):
        explore(NoNumber)
    with pytest.raises(ModelError, match=r"t is on the host, which cannot execute schedule_work.w1."):
        explore(Host)
