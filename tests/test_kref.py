"""Reference counts: who got one, whose was the last, and what is wrong with one that is used up."""

import pytest
from by_hand import after, check, failures, outcomes, shown, the_failure

from vmbus_teach import Scenario, explore, thread
from vmbus_teach.kernel import (
    WRITE_ONCE,
    Cell,
    Kref,
    ModelError,
    Struct,
    inside,
    kfree,
    kref_get,
    kref_get_unless_zero,
    kref_put,
    kref_read,
    refcount_dec_not_one,
)
from vmbus_teach.kernel.memory import ReadModifyWrite


class Counted(Scenario):
    """A reference count that begins with one."""

    def setup(self):
        self.refs = Kref()
        self.seen = Cell(())

    def outcome(self, s):
        return s[self.seen]


def test_get_and_put():
    """Each get is one more, each put one less; only the put of the last one says so."""

    class Counts(Counted):
        @thread()
        def t(self):
            yield kref_get(self.refs)
            first = yield kref_put(self.refs)
            second = yield kref_put(self.refs)
            yield WRITE_ONCE(self.seen, (first, second))

    check(Counts, "t*4", outcomes={(False, True)})
    session = after(Counts, "t")
    assert session.trace[0].changes == (("refs", "1 reference", "2 references"),)
    assert shown(after(Counts, "t*3"), "refs") == "0 references"


def test_get_unless_zero():
    """It gets one where there is one, and says no where there is none; it never brings one back."""

    class Asks(Counted):
        @thread()
        def t(self):
            first = yield kref_get_unless_zero(self.refs)
            yield kref_put(self.refs)
            yield kref_put(self.refs)
            second = yield kref_get_unless_zero(self.refs)
            yield WRITE_ONCE(self.seen, (first, second))

    check(Asks, "t*5", outcomes={(True, False)})
    assert shown(after(Asks, "t*4"), "refs") == "0 references"


def test_dec_not_one():
    """It puts any reference but the last, which it leaves; the result says which it was."""

    class NotTheLast(Counted):
        def setup(self):
            super().setup()
            self.refs = Kref(2)

        @thread()
        def t(self):
            first = yield refcount_dec_not_one(self.refs)
            second = yield refcount_dec_not_one(self.refs)
            left = yield kref_read(self.refs)
            yield WRITE_ONCE(self.seen, (first, second, left))

    check(NotTheLast, "t*4", outcomes={(True, False, 1)})


def test_one_who_puts_is_the_last():
    """Of two who put, one frees, whoever is second."""

    class Two(Counted):
        def setup(self):
            super().setup()
            self.refs = Kref(2)
            self.add_thread(self.put, "a", name="a")
            self.add_thread(self.put, "b", name="b")

        def put(self, name):
            last = yield kref_put(self.refs)
            if last:
                yield WRITE_ONCE(self.seen, name)

    check(Two, "a b*2", "b a*2", outcomes={"a", "b"})


def test_a_count_that_is_used_up():
    """To get or put a reference where none is left is a failure."""

    class GetsTooLate(Counted):
        @thread()
        def t(self):
            yield kref_put(self.refs)
            yield kref_get(self.refs)

    class PutsTwice(Counted):
        @thread()
        def t(self):
            yield kref_put(self.refs)
            yield kref_put(self.refs)

    class PutsNotOne(Counted):
        @thread()
        def t(self):
            yield kref_put(self.refs)
            yield refcount_dec_not_one(self.refs)

    assert the_failure(PutsNotOne, "error") == "t puts a reference of refs, which has none left"
    assert the_failure(GetsTooLate, "error") == "t gets a reference from refs, which has none left"
    assert the_failure(PutsTwice, "error") == "t puts a reference of refs, which has none left"


class Looked(Scenario):
    """A reader finds an object by a pointer and gets a reference; the owner takes the pointer away and puts its own."""

    def setup(self):
        self.thing = Struct("thing", capacity=1, refs=inside(Kref))
        self.object = self.thing.new()

    @thread()
    def reader(self):
        yield kref_get(self.object.refs)
        yield from self.put()

    @thread()
    def owner(self):
        yield from self.put()

    def put(self):
        last = yield kref_put(self.object.refs)
        if last:
            yield kfree(self.object)


def test_a_reference_has_to_be_got_from_one():
    """Who has nothing but a pointer comes too late in two ways: the count is used up, or it is freed memory."""
    kinds = {(kind, message.split(" which")[0]) for kind, message in failures(Looked)}
    assert kinds == {
        ("error", "reader gets a reference from thing#0.refs,"),
        ("use-after-free", "reader uses thing#0.refs after owner freed thing#0"),
    }


def test_get_unless_zero_does_not_help_against_freed_memory():
    """It would have to look into the object that may be gone."""

    class Asks(Looked):
        def reader(self):
            there = yield kref_get_unless_zero(self.object.refs)
            if there:
                yield from self.put()

    assert the_failure(Asks, "use-after-free") == "reader uses thing#0.refs after owner freed thing#0"


def test_with_a_reference_of_its_own():
    """Who begins with a reference meets the object, and it is freed once."""

    class Both(Looked):
        def setup(self):
            self.thing = Struct("thing", capacity=1, refs=inside(lambda thing: Kref(2)))
            self.object = self.thing.new()

        def reader(self):
            yield from super().reader()
            yield from self.put()

        def outcome(self, s):
            return self.object.show(s[self.object])

    assert outcomes(Both) == {"freed"}


def test_they_cost_what_an_atomic_operation_costs():
    """All of them read and write in one step; none takes part in a data race, and the host has no use of them."""
    for operation in (kref_get, kref_get_unless_zero, kref_put, refcount_dec_not_one):
        assert issubclass(operation, ReadModifyWrite)
        assert (operation.access, operation.host) == ("", False)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda s: kref_get(s.seen), "kref_get takes a Kref as kref, not seen (a Cell)."),
        (lambda s: kref_put(3), "kref_put takes a Kref as kref, not 3 (an int)."),
    ],
)
def test_bad_arguments(use, message):
    """A cell or a number is no reference count."""

    class Bad(Counted):
        @thread()
        def t(self):
            yield use(self)

    with pytest.raises(ModelError) as error:
        explore(Bad)
    assert message in str(error.value)
