"""SRCU: whom a grace period of a domain waits for, what readers may do, and how a domain ends."""

import pytest
from by_hand import after, blocked, check, failures, outcomes, possible, shown, the_failure

from vmbus_teach import Scenario, explore, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    ModelError,
    Mutex,
    SpinLock,
    Srcu,
    Struct,
    cleanup_srcu_struct,
    inside,
    kfree,
    mutex_lock,
    mutex_unlock,
    preempt_disable,
    preempt_enable,
    rcu_read_lock,
    rcu_read_unlock,
    spin_lock,
    spin_unlock,
    srcu_read_lock,
    srcu_read_unlock,
    synchronize_rcu,
    synchronize_srcu,
)


class Domains(Scenario):
    """Two domains; a reader and an updater of the first, each on a CPU of its own."""

    def setup(self):
        self.srcu, self.other = Srcu(), Srcu()
        self.mutex, self.lock, self.seen = Mutex(), SpinLock(), Cell(())

    @thread()
    def r(self):
        index = yield srcu_read_lock(self.srcu)
        yield srcu_read_unlock(self.srcu, index)

    @thread()
    def u(self):
        yield synchronize_srcu(self.srcu)

    def outcome(self, s):
        return s[self.seen]


def test_synchronize_srcu_waits_for_readers_of_before():
    """Begun while the reader is inside, it ends after it; a grace period without readers is one step."""
    check(Domains, "u r*2", "r u r u", "r*2 u")
    assert blocked(Domains, "r u") == {"u": "waits for the reader r of srcu"}
    session = after(Domains, "r u")
    assert shown(session, "srcu") == "r"
    assert shown(session, "other") == "no readers"
    assert shown(session, "srcu waited for") == "u waits for r"


def test_other_domains_do_not_matter():
    """A reader of another domain is not waited for."""

    class Other(Domains):
        def u(self):
            yield synchronize_srcu(self.other)

    check(Other, "r*2 u", "r u r", "u r*2")


@pytest.mark.parametrize(
    ("enter", "leave"),
    [(rcu_read_lock, rcu_read_unlock), (preempt_disable, preempt_enable)],
)
def test_readers_of_rcu_do_not_matter(enter, leave):
    """Neither rcu_read_lock nor preemption off makes a reader of a domain."""

    class Rcu(Domains):
        def r(self):
            yield enter()
            yield leave()

    check(Rcu, "r*2 u", "r u r", "u r*2")


def test_srcu_readers_are_none_of_rcu():
    """synchronize_rcu waits for no reader of a domain."""

    class Rcu(Domains):
        def u(self):
            yield synchronize_rcu()

    check(Rcu, "r*2 u", "r u r", "u r*2")


def test_readers_may_sleep():
    """A reader waits for a mutex, and the grace period waits for the reader."""

    class Sleeps(Domains):
        def r(self):
            index = yield srcu_read_lock(self.srcu)
            yield mutex_lock(self.mutex)
            yield mutex_unlock(self.mutex)
            yield srcu_read_unlock(self.srcu, index)

        def u(self):
            yield mutex_lock(self.mutex)
            yield mutex_unlock(self.mutex)
            yield synchronize_srcu(self.srcu)

    assert explore(Sleeps).ok
    assert blocked(Sleeps, "u r") == {"r": "waits for mutex, held by u"}
    assert blocked(Sleeps, "u r u*2") == {"u": "waits for the reader r of srcu"}


def test_under_a_mutex_that_a_reader_wants():
    """The reader waits for the mutex, who holds it waits for the reader."""

    class UnderTheMutex(Domains):
        def r(self):
            index = yield srcu_read_lock(self.srcu)
            yield mutex_lock(self.mutex)
            yield mutex_unlock(self.mutex)
            yield srcu_read_unlock(self.srcu, index)

        def u(self):
            yield mutex_lock(self.mutex)
            yield synchronize_srcu(self.srcu)
            yield mutex_unlock(self.mutex)

    message = the_failure(UnderTheMutex, "deadlock")
    assert message == "nobody can go on: r waits for mutex, held by u; u waits for the reader r of srcu"


def test_later_sections_are_not_waited_for():
    """A section that begins during the grace period does not prolong it, though it is the same reader's."""

    class Again(Domains):
        def r(self):
            for _ in range(2):
                index = yield srcu_read_lock(self.srcu)
                yield srcu_read_unlock(self.srcu, index)

    assert possible(Again, "r u") == {"r"}
    assert possible(Again, "r u r") == {"r", "u"}
    assert possible(Again, "r u r r") == {"r", "u"}


def test_every_section_is_waited_for_by_itself():
    """Of two sections, one inside the other, the outer one may end first; one that began later is not waited for."""

    class Overlapping(Domains):
        def r(self):
            outer = yield srcu_read_lock(self.srcu)
            inner = yield srcu_read_lock(self.srcu)
            yield WRITE_ONCE(self.seen, (outer, inner))
            yield srcu_read_unlock(self.srcu, outer)
            yield srcu_read_unlock(self.srcu, inner)

    assert outcomes(Overlapping) == {(0, 1)}
    assert blocked(Overlapping, "r*3 u r") == {"u": "waits for the reader r of srcu"}
    assert possible(Overlapping, "r u r*3") == {"r", "u"}
    assert shown(after(Overlapping, "r*2"), "srcu") == "r, r"


def test_two_updaters_and_two_readers():
    """Each grace period waits for the readers of its own call, and names them."""

    class Two(Domains):
        @thread()
        def q(self):
            yield from Domains.r(self)

        @thread()
        def v(self):
            yield synchronize_srcu(self.srcu)

    assert blocked(Two, "r u q v") == {
        "u": "waits for the reader r of srcu", "v": "waits for the readers r, q of srcu",
    }
    assert blocked(Two, "r u q v r") == {"v": "waits for the reader q of srcu"}


def test_inside_a_section_of_its_own_domain_it_never_returns():
    """synchronize_srcu waits for its caller, and says so; inside another domain it is fine."""

    class Own(Domains):
        def r(self):
            index = yield srcu_read_lock(self.srcu)
            yield synchronize_srcu(self.srcu)
            yield srcu_read_unlock(self.srcu, index)

        def u(self):
            index = yield srcu_read_lock(self.other)
            yield synchronize_srcu(self.srcu)
            yield srcu_read_unlock(self.other, index)

    messages = {message for _, message in failures(Own)}
    assert "nobody can go on: r waits for the reader r of srcu, so for itself" in messages
    assert {kind for kind, _ in failures(Own)} == {"deadlock"}

    class Others(Own):
        def r(self):
            yield from Domains.r(self)

    assert explore(Others).ok


def test_two_domains_each_inside_the_other():
    """Who waits for a domain's readers inside another one makes an order, and two orders make a deadlock."""

    class Crossed(Domains):
        def r(self):
            index = yield srcu_read_lock(self.other)
            yield synchronize_srcu(self.srcu)
            yield srcu_read_unlock(self.other, index)

        def u(self):
            index = yield srcu_read_lock(self.srcu)
            yield synchronize_srcu(self.other)
            yield srcu_read_unlock(self.srcu, index)

    assert "r waits for the reader u of srcu; u waits for the reader r of other" in the_failure(Crossed, "deadlock")


@pytest.mark.parametrize(
    ("operations", "kind", "message"),
    [
        (lambda s: [srcu_read_unlock(s.srcu, 0)], "error", "r calls srcu_read_unlock(srcu, 0), and is in no section"),
        (
            lambda s: [srcu_read_lock(s.srcu), srcu_read_unlock(s.srcu, 1)],
            "error",
            "r calls srcu_read_unlock(srcu, 1), and is in the section with index 0",
        ),
        (
            lambda s: [srcu_read_lock(s.srcu), srcu_read_unlock(s.other, 0)],
            "error",
            "r calls srcu_read_unlock(other, 0), and is in no section of it",
        ),
        (lambda s: [srcu_read_lock(s.srcu)], "error", "r returns without srcu_read_unlock of srcu"),
        (
            lambda s: [spin_lock(s.lock), synchronize_srcu(s.srcu), spin_unlock(s.lock)],
            "sleep-in-atomic",
            "r calls synchronize_srcu(srcu), which may sleep, but preemption is off",
        ),
        (
            lambda s: [rcu_read_lock(), synchronize_srcu(s.srcu), rcu_read_unlock()],
            "sleep-in-atomic",
            "r calls synchronize_srcu(srcu), which may sleep, but it is inside rcu_read_lock",
        ),
        (
            lambda s: [cleanup_srcu_struct(s.srcu), srcu_read_lock(s.srcu)],
            "use-after-free",
            "r uses srcu after it called cleanup_srcu_struct",
        ),
        (
            lambda s: [cleanup_srcu_struct(s.srcu), cleanup_srcu_struct(s.srcu)],
            "use-after-free",
            "r uses srcu after it called cleanup_srcu_struct",
        ),
        (
            lambda s: [srcu_read_lock(s.srcu), cleanup_srcu_struct(s.srcu)],
            "error",
            "r calls cleanup_srcu_struct(srcu) while r is inside",
        ),
    ],
)
def test_misuse(operations, kind, message):
    """What is handed back is what was given, waiting is for who may sleep, and after the clean-up nothing may come."""

    class Misuse(Domains):
        def r(self):
            yield from (operation for operation in operations(self))

        def u(self):
            yield from ()

    assert the_failure(Misuse, kind).startswith(message)


def test_cleanup_against_a_reader():
    """Cleaned up before, during or after a section: only the last is right."""

    class CleansUp(Domains):
        def u(self):
            yield cleanup_srcu_struct(self.srcu)

    assert failures(CleansUp) == {
        ("use-after-free", "r uses srcu after u called cleanup_srcu_struct"),
        ("error", "u calls cleanup_srcu_struct(srcu) while r is inside"),
    }
    assert shown(after(CleansUp, "r*2 u"), "srcu") == "cleaned up"


def test_cleanup_against_a_grace_period():
    """A grace period that is waited for uses the domain once more when it ends."""

    class CleansUp(Domains):
        @thread()
        def c(self):
            yield READ_ONCE(self.seen)
            yield cleanup_srcu_struct(self.srcu)

    found = failures(CleansUp)
    assert ("use-after-free", "u uses srcu after c called cleanup_srcu_struct") in found
    assert {kind for kind, _ in found} == {"error", "use-after-free"}
    assert shown(after(CleansUp, "c r u r c"), "srcu waited for") == "u waits for nobody"


def test_a_domain_in_an_object():
    """It is freed with the object, and a grace period that is waited for comes too late then."""

    class InAnObject(Scenario):
        def setup(self):
            self.thing = Struct("thing", srcu=inside(Srcu)).new()

        @thread()
        def r(self):
            index = yield srcu_read_lock(self.thing.srcu)
            yield srcu_read_unlock(self.thing.srcu, index)
            yield kfree(self.thing)

        @thread()
        def u(self):
            yield synchronize_srcu(self.thing.srcu)

    assert shown(after(InAnObject, "r u"), "thing#0.srcu") == "r"
    assert the_failure(InAnObject, "use-after-free") == "u uses thing#0.srcu after r freed thing#0"
    check(InAnObject, *("u r*3", "r u r u r", "r u r*2 u", "r*2 u r", "r*3 u"), ok=False)


def test_arguments():
    """A domain is asked for, and the host has none."""
    with pytest.raises(ModelError, match="synchronize_srcu takes a Srcu as domain, not None"):
        synchronize_srcu(None)
    with pytest.raises(ModelError, match="srcu_read_unlock takes an int as index, not None"):
        srcu_read_unlock(Srcu(), None)

    class OnTheHost(Domains):
        @thread(host=True)
        def h(self):
            yield srcu_read_lock(self.srcu)

    with pytest.raises(ModelError, match="h is on the host, which cannot execute"):
        explore(OnTheHost)
