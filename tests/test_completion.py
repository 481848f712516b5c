"""Completions: how many may pass, when, and what reinit takes back."""

import pytest
from by_hand import after, alone, blocked, check, failures, outcomes, possible

from vmbus_teach import Scenario, explore, interrupt, thread
from vmbus_teach.kernel import (
    WRITE_ONCE,
    Cell,
    Completion,
    ModelError,
    complete,
    complete_all,
    completion_done,
    preempt_disable,
    raise_irq,
    reinit_completion,
    wait_for_completion,
)


class Waits(Scenario):
    """``w`` waits, ``d`` does what ``operations`` say."""

    operations = (complete,)

    def setup(self):
        self.done = Completion()

    @thread()
    def w(self):
        yield wait_for_completion(self.done)

    @thread()
    def d(self):
        for operation in self.operations:
            yield operation(self.done)


def test_complete_lets_one_pass():
    """Waiting is sleeping until complete; completed before, it does not wait."""
    check(Waits, "d w")
    assert blocked(Waits) == {"w": "waits for the completion done"}
    assert after(Waits, "d").trace[0].changes == (("done", "not done", "done for 1"),)
    assert after(Waits, "d w").trace[1].changes == (("done", "done for 1", "not done"),)


class Two(Waits):
    """Two waiters."""

    @thread()
    def v(self):
        yield wait_for_completion(self.done)


def test_one_complete_for_two_waiters():
    """One of the two, either one, waits for ever."""
    check(Two, "d w", "d v", ok=False)
    assert failures(Two) == {
        ("deadlock", "nobody can go on: w waits for the completion done"),
        ("deadlock", "nobody can go on: v waits for the completion done"),
    }


def test_complete_counts():
    """Two calls of complete let two pass, now or later."""

    class Twice(Two):
        operations = (complete, complete)

    check(Twice, "d w d v", "d v d w", "d*2 w v", "d*2 v w")


def test_complete_all():
    """Everybody passes, again and again, until reinit_completion."""

    class All(Two):
        operations = (complete_all, complete)

    check(All, *("d*2 w v", "d*2 v w", "d w d v", "d v d w", "d w v d", "d v w d"))
    assert after(All, "d").trace[0].changes == (("done", "not done", "done for all"),)
    assert after(All, "d w").trace[1].changes == ()


def test_reinit_completion_takes_it_back():
    """Who has been let pass, but has not yet taken its step, waits again."""

    class Reinit(Waits):
        operations = (complete_all, reinit_completion)

    check(Reinit, "d w d", "d*2", ok=False)
    assert possible(Reinit, "d*2") == set()


def test_completion_done():
    """completion_done says whether one would pass, and takes nothing."""

    class Asks(Scenario):
        operations = ()

        def setup(self):
            self.done, self.seen = Completion(), Cell(())

        @thread()
        def t(self):
            seen = []
            for operation in (None, complete, complete_all, reinit_completion):
                if operation:
                    yield operation(self.done)
                seen.append((yield completion_done(self.done)))
                seen.append((yield completion_done(self.done)))
            yield WRITE_ONCE(self.seen, tuple(seen))

        def outcome(self, s):
            return s[self.seen]

    assert outcomes(Asks) == {(False, False, True, True, True, True, False, False)}


def test_a_handler_may_complete_and_not_wait():
    """complete never sleeps; wait_for_completion does, also when it would pass at once."""

    class Handler(Waits):
        cpus = 1
        operations = ()

        def d(self):
            yield raise_irq(self.isr)

        @interrupt(cpu=0)
        def isr(self):
            yield complete(self.done)

    class WaitsToo(Handler):
        def isr(self):
            yield complete(self.done)
            yield wait_for_completion(self.done)

    check(Handler, "d isr*2 w")
    message = "isr calls wait_for_completion(done), which may sleep, but it is an interrupt handler"
    assert ("sleep-in-atomic", message) in failures(WaitsToo)


def test_waiting_with_preemption_off():
    """The check does not depend on whether it would have to wait."""

    class Off(Waits):
        def w(self):
            yield preempt_disable()
            yield wait_for_completion(self.done)

    message = "w calls wait_for_completion(done), which may sleep, but preemption is off"
    assert failures(Off) == {("sleep-in-atomic", message)}


def test_bad_argument():
    """A cell is no completion."""
    with pytest.raises(ModelError, match=r"complete takes a Completion as completion, not cell .a Cell."):
        alone(complete)


def test_the_host_has_no_completions():
    """Completions are the guest's."""

    class Host(Waits):
        @thread(host=True)
        def host(self):
            yield complete(self.done)

    with pytest.raises(ModelError, match=r"host is on the host, which cannot execute complete\(done\)"):
        explore(Host)
