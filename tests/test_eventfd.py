"""Wait queues and eventfds: who is told, when, and under which lock."""

import pytest
from by_hand import after, check, failures, outcomes, shown, the_failure

from vmbus_teach import Scenario, explore, interrupt, thread
from vmbus_teach.kernel import (
    POLLHUP,
    POLLIN,
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    ModelError,
    Mutex,
    Struct,
    WaitEntry,
    WaitQueueHead,
    Work,
    add_wait_entry,
    inside,
    kfree,
    mutex_lock,
    mutex_unlock,
    raise_irq,
    remove_wait_entry,
    schedule_work,
    spin_lock,
    spin_unlock,
    wait_entries,
)
from vmbus_teach.scenarios.eventfd import LARGEST, Eventfd


class Queue(Scenario):
    """A wait queue, and an object with an entry."""

    def setup(self):
        self.wqh, self.log = WaitQueueHead(), Cell(())
        self.thing = Struct("thing", wait=inside(lambda thing: WaitEntry(self.told, thing))).new()

    def told(self, thing, key):
        log = yield READ_ONCE(self.log)
        yield WRITE_ONCE(self.log, (*log, (thing.name, key)))

    def outcome(self, s):
        return s[self.log]


def test_hooked_and_unhooked():
    """An entry that is hooked is called with its arguments and the key; one that is unhooked is not."""

    class Hooks(Queue):
        @thread()
        def t(self):
            yield add_wait_entry(self.wqh, self.thing.wait)
            for entry in (yield wait_entries(self.wqh)):
                yield from entry.func(*entry.args, POLLIN)
            yield remove_wait_entry(self.wqh, self.thing.wait)
            assert (yield wait_entries(self.wqh)) == ()

    check(Hooks, "t*6", outcomes={(("thing#0", POLLIN),)})
    session = after(Hooks, "t")
    assert shown(session, "wqh") == "thing#0"
    assert shown(session, "thing#0.wait") == "hooked on wqh"


@pytest.mark.parametrize(
    ("operations", "kind", "message"),
    [
        (
            lambda s: [add_wait_entry(s.wqh, s.thing.wait)] * 2,
            "error", "t hooks thing#0.wait, which is hooked already",
        ),
        (
            lambda s: [remove_wait_entry(s.wqh, s.thing.wait)],
            "error", "t unhooks thing#0.wait, which is not hooked on wqh",
        ),
        (
            lambda s: [add_wait_entry(s.wqh, s.thing.wait), kfree(s.thing), wait_entries(s.wqh)],
            "use-after-free", "t uses thing#0.wait after it freed thing#0",
        ),
    ],
)
def test_misuse(operations, kind, message):
    """Nothing is hooked twice or unhooked twice, and what is freed must not stay hooked."""

    class Misuse(Queue):
        @thread()
        def t(self):
            yield from (operation for operation in operations(self))

    assert the_failure(Misuse, kind) == message


def test_arguments():
    """An entry takes a program, named and not called."""
    with pytest.raises(ModelError, match="WaitEntry takes a program, not 3"):
        WaitEntry(3)


# --- eventfds ----------------------------------------------------------------------------------------


class Signals(Eventfd):
    """An eventfd that is signalled ``times`` times; ``callback`` is what is hooked on it."""

    def setup(self, times=1, hooked=True):
        self.times = times
        self.mutex, self.log, self.injected = Mutex(), Cell(()), Cell(0)
        self.work = Work(self.inject)
        self.entry = WaitEntry(self.callback)
        (self.ctx,) = self.eventfd_ctx()
        if hooked:
            self.ctx.wqh.begin_with(self.entry)

    @thread()
    def device(self):
        for _ in range(self.times):
            yield from self.eventfd_signal(self.ctx)

    def callback(self, key):
        yield schedule_work(self.work)

    def inject(self):
        count = yield READ_ONCE(self.injected)
        yield WRITE_ONCE(self.injected, count + 1)

    def outcome(self, s):
        return s[self.ctx.count], s[self.injected]


def test_events_are_counted_and_coalesce():
    """Each signal counts one; two signals make one injection or two; the count has a largest value."""
    assert outcomes(Signals) == {(1, 1)}
    assert outcomes(Signals(times=2)) == {(2, 1), (2, 2)}
    assert {count for count, _ in outcomes(Signals(times=3))} == {LARGEST}


def test_the_callback_runs_under_the_lock_with_interrupts_off():
    """So it must not sleep, and an interrupt waits; a work item may do both."""

    class Sleeps(Signals):
        def callback(self, key):
            yield mutex_lock(self.mutex)
            yield mutex_unlock(self.mutex)

    message = the_failure(Sleeps, "sleep-in-atomic")
    assert message == (
        "device calls mutex_lock(mutex), which may sleep, but interrupts are off (it holds eventfd#0.wqh_lock)"
    )


def test_a_callback_cannot_unhook_itself():
    """remove_wait_queue takes the lock under which the callback runs."""

    class UnhooksItself(Signals):
        def callback(self, key):
            yield from self.remove_wait_queue(self.ctx, self.entry)

    assert the_failure(UnhooksItself, "deadlock").startswith("nobody can go on: device spins for eventfd#0.wqh_lock")


def test_a_signal_from_an_interrupt_on_the_same_cpu():
    """A handler of its holder's CPU cannot want the lock, because interrupts are off; if they are on, it can."""

    class FromBoth(Signals):
        cpus = 1

        @thread(cpu=0)
        def device(self):
            yield from self.eventfd_signal(self.ctx)

        @interrupt(cpu=0)
        def isr(self):
            yield from self.eventfd_signal(self.ctx)

        @thread(host=True)
        def host(self):
            yield raise_irq(self.isr)

    assert explore(FromBoth).ok

    class InterruptsOn(FromBoth):
        def eventfd_signal(self, ctx):
            yield spin_lock(ctx.wqh_lock)
            yield from self.wake_up_locked_poll(ctx, POLLIN)
            yield spin_unlock(ctx.wqh_lock)

    assert "deadlock" in {kind for kind, _ in failures(InterruptsOn)}


def test_after_unhooking_no_callback_runs():
    """remove_wait_queue waits for a callback that runs, and later signals call nobody."""

    class Unhooks(Signals):
        def setup(self, **parameters):
            super().setup(**parameters)
            self.gone = Cell(False)

        def callback(self, key):
            gone = yield READ_ONCE(self.gone)
            assert not gone, "called after it was unhooked"

        @thread()
        def t(self):
            yield from self.remove_wait_queue(self.ctx, self.entry)
            yield WRITE_ONCE(self.gone, True)

    assert explore(Unhooks(times=2)).ok


def test_the_last_close_is_told():
    """POLLHUP comes under the lock, and the context goes with its last reference."""

    class Closes(Signals):
        def setup(self, references=1):
            super().setup()
            self.ctx.refs.initial = references

        def device(self):
            yield from self.eventfd_release(self.ctx)

        def callback(self, key):
            log = yield READ_ONCE(self.log)
            yield WRITE_ONCE(self.log, (*log, key))

        def outcome(self, s):
            return s[self.log], self.ctx.show(s[self.ctx])

    assert outcomes(Closes) == {((POLLHUP,), "freed")}
    assert outcomes(Closes(references=2)) == {((POLLHUP,), "allocated")}


def test_poll_hooks_first_and_looks_then():
    """An event is seen by the poll or told to the callback; looked at before the hook, it can be missed."""

    class Polls(Signals):
        def setup(self):
            super().setup(hooked=False)

        @thread()
        def poller(self):
            events = yield from self.eventfd_poll(self.ctx, self.entry)
            if events & POLLIN:
                yield schedule_work(self.work)

    assert {injected > 0 for _, injected in outcomes(Polls)} == {True}

    class LooksFirst(Polls):
        def eventfd_poll(self, ctx, entry):
            count = yield READ_ONCE(ctx.count)
            yield from self.add_wait_queue(ctx, entry)
            return POLLIN if count else 0

    assert {injected > 0 for _, injected in outcomes(LooksFirst)} == {True, False}


def test_a_read_takes_all_events():
    """eventfd_ctx_do_read gives the count and leaves none."""

    class Reads(Signals):
        def callback(self, key):
            taken = yield from self.eventfd_ctx_do_read(self.ctx)
            yield WRITE_ONCE(self.injected, taken)

    assert outcomes(Reads(times=2)) == {(0, 1)}
    assert not failures(Reads)
