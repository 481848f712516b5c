"""The heap: objects with fields, freed once, not used afterwards, and not lost."""

from dataclasses import dataclass

import pytest
from by_hand import after, blocked, check, failures, outcomes, the_failure

from vmbus_teach import Scenario, explore, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Completion,
    ModelError,
    SpinLock,
    Struct,
    Work,
    WorkQueue,
    atomic_inc,
    complete,
    inside,
    kfree,
    kzalloc,
    queue_work,
    schedule_work,
    spin_lock,
    spin_unlock,
    wait_for_completion,
)


class Heap(Scenario):
    """Channels that a pointer may lead to."""

    def setup(self):
        self.channel = Struct("channel", relid=0, next=None)
        self.pointer = Cell(None)
        self.seen = Cell(None)

    def outcome(self, s):
        return s[self.seen]


def test_kzalloc_and_fields():
    """An object has the values of its kind, or those given; each call gives another object."""

    class Allocates(Heap):
        @thread()
        def t(self):
            one = yield kzalloc(self.channel)
            two = yield kzalloc(self.channel, relid=7)
            yield atomic_inc(one.relid)
            relids = []
            for thing in (one, two):
                relids.append((yield READ_ONCE(thing.relid)))
                yield kfree(thing)
            yield WRITE_ONCE(self.seen, (tuple(relids), one is two))

    check(Allocates, "t*8", outcomes={((1, 7), False)})
    steps = after(Allocates, "t*8").trace
    assert str(steps[1].operation) == "kzalloc(channel, relid=7)"
    assert ("channel#1", "not allocated", "allocated") in steps[1].changes
    assert ("channel#0", "allocated", "freed") in steps[4].changes


class Shares(Heap):
    """``user`` and ``owner`` have a pointer to one object."""

    def setup(self):
        super().setup()
        self.object = self.channel.new(relid=7)
        self.pointer = Cell(self.object)

    @thread()
    def user(self):
        channel = yield READ_ONCE(self.pointer)
        if channel:
            relid = yield READ_ONCE(channel.relid)
            yield WRITE_ONCE(self.seen, relid)

    @thread()
    def owner(self):
        yield WRITE_ONCE(self.pointer, None)
        yield kfree(self.object)


def test_use_after_free():
    """The message names the field, who used it and who freed the object; the schedule ends there."""
    check(
        Shares,
        *("owner*2 user", "owner user owner", "user*3 owner*2", "user*2 owner user owner"),
        *("user*2 owner*2 user", "user owner user*2 owner", "user owner user owner user", "user owner*2 user"),
        ok=False,
    )
    assert the_failure(Shares, "use-after-free") == "user uses channel#0.relid after owner freed channel#0"


def test_every_access_to_a_field_is_a_use():
    """Also a write, and also by who freed it."""

    class Own(Shares):
        def owner(self):
            yield kfree(self.object)
            yield WRITE_ONCE(self.object.relid, 8)

        def user(self):
            yield WRITE_ONCE(self.seen, 0)

    assert the_failure(Own, "use-after-free") == "owner uses channel#0.relid after it freed channel#0"


def test_a_dangling_pointer_may_be_passed_on():
    """To read, compare or store the pointer is no use of the object."""

    class Passes(Shares):
        def user(self):
            yield WRITE_ONCE(self.seen, self.object)

    assert failures(Passes) == set()


def test_double_free():
    """The message says who freed it first."""

    class Twice(Shares):
        def user(self):
            yield kfree(self.object)

        def owner(self):
            yield kfree(self.object)

    check(Twice, "user owner", "owner user", ok=False)
    assert failures(Twice) == {
        ("double-free", "owner frees channel#0, which user has freed before"),
        ("double-free", "user frees channel#0, which owner has freed before"),
    }

    class Own(Shares):
        def user(self):
            yield kfree(self.object)
            yield kfree(self.object)

        def owner(self):
            yield WRITE_ONCE(self.seen, 1)

    assert the_failure(Own, "double-free") == "user frees channel#0, which it has freed itself before"


def test_kfree_of_nothing():
    """kfree(NULL) does nothing."""

    class Nothing(Heap):
        @thread()
        def t(self):
            yield kfree(None)

    check(Nothing, "t")


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda s: READ_ONCE(s.channel.objects[1].relid), "t uses channel#1.relid, but channel#1 was never allocated"),
        (lambda s: kfree(s.channel.objects[1]), "t frees channel#1, which was never allocated"),
    ],
)
def test_objects_that_were_never_allocated(operation, message):
    """Neither used nor freed."""

    class Never(Heap):
        @thread()
        def t(self):
            yield operation(self)

    assert the_failure(Never, "error") == message


# --- what lies inside an object ---------------------------------------------------------------------


class Locked(Heap):
    """Each channel has a lock and a completion of its own."""

    def setup(self):
        super().setup()
        self.channel = Struct("channel", relid=0, lock=inside(SpinLock), ready=inside(Completion))
        self.object = self.channel.new(relid=7)


def test_each_object_has_its_own_lock():
    """One is taken while the other one is held."""

    class Two(Locked):
        @thread()
        def t(self):
            other = yield kzalloc(self.channel, relid=8)
            yield spin_lock(self.object.lock)
            yield spin_lock(other.lock)
            yield spin_unlock(other.lock)
            yield spin_unlock(self.object.lock)
            yield kfree(other)

    check(Two, "t*6")
    assert ("channel#1.lock", "free", "held by t") in after(Two, "t*3").trace[2].changes


def test_what_lies_inside_is_freed_with_the_object():
    """To lock, to unlock, or to complete is to use the object."""

    class Frees(Locked):
        def setup(self):
            super().setup()
            self.pointer = Cell(self.object)

        @thread()
        def t(self):
            yield spin_lock(self.object.lock)
            yield kfree(self.object)
            yield spin_unlock(self.object.lock)

    class Completes(Locked):
        @thread()
        def t(self):
            yield kfree(self.object)
            yield complete(self.object.ready)

    assert the_failure(Frees, "use-after-free") == "t uses channel#0.lock after it freed channel#0"
    assert the_failure(Completes, "use-after-free") == "t uses channel#0.ready after it freed channel#0"


def test_who_waits_for_what_is_freed():
    """Who sleeps for a completion inside an object looks at it once more, whenever it is freed."""

    class Waits(Locked):
        @thread()
        def owner(self):
            yield kfree(self.object)

        @thread()
        def other(self):
            yield wait_for_completion(self.object.ready)

    check(Waits, "owner other", ok=False)
    assert blocked(Waits) == {"other": "waits for the completion channel#0.ready"}
    assert the_failure(Waits, "use-after-free") == "other uses channel#0.ready after owner freed channel#0"


class Worked(Heap):
    """A channel with a work item, whose program is given the channel, and with a queue of its own."""

    def setup(self):
        super().setup()
        self.channel = Struct(
            "channel",
            relid=0,
            work=inside(lambda channel: Work(self.release, channel)),
            queue=inside(lambda channel: WorkQueue(ordered=True)),
        )

    def release(self, channel):
        yield WRITE_ONCE(self.seen, channel.name)
        yield kfree(channel)


def test_a_work_item_is_given_its_object():
    """Each object's item works on that object, and may free it."""

    class Second(Worked):
        @thread()
        def t(self):
            one = yield kzalloc(self.channel)
            two = yield kzalloc(self.channel)
            yield kfree(one)
            yield schedule_work(two.work)

    check(Second, "t*4 channel#1.work*3", outcomes={"channel#1"})
    assert str(after(Second, "t*4").choices()[-1]) == "channel#1.work: a worker starts channel#1.work"


def test_a_queue_inside_an_object():
    """What waits there is shown by the name of the object."""

    class Queues(Worked):
        @thread()
        def t(self):
            channel = yield kzalloc(self.channel)
            yield queue_work(channel.queue, channel.work)

    check(Queues, "t*2 channel#0.work*3", outcomes={"channel#0"})
    assert ("channel#0.work", "not pending", "pending on channel#0.queue") in after(Queues, "t*2").trace[1].changes


def test_an_item_that_waits_in_freed_memory():
    """A worker that takes it up uses freed memory."""

    class FreesFirst(Worked):
        @thread()
        def t(self):
            channel = yield kzalloc(self.channel)
            yield schedule_work(channel.work)
            yield kfree(channel)

    assert ("use-after-free", "channel#0.work uses channel#0.work after t freed channel#0") in failures(FreesFirst)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lock": lambda: inside(3)}, "inside(3): give a class, or a function of the object: inside(SpinLock)"),
        ({"lock": lambda: inside(lambda channel: 3)}, "makes 3, which cannot lie in an object"),
    ],
)
def test_what_cannot_lie_inside(fields, message):
    """A number is a field as it is; inside() is for what the kernel makes."""
    with pytest.raises(ModelError) as error:
        Struct("channel", **{name: make() for name, make in fields.items()})
    assert message in str(error.value)


def test_a_lock_is_given_no_value():
    """Neither at the start nor at allocation."""

    class Bad(Locked):
        @thread()
        def t(self):
            yield kzalloc(self.channel, lock=1)

    with pytest.raises(ModelError, match=r"channel#1\.lock is a SpinLock, which lies in each channel and has no value"):
        explore(Bad)
    with pytest.raises(ModelError, match=r"channel#0\.lock is a SpinLock"):
        Struct("channel", lock=inside(SpinLock)).new(lock=1)


# --- leaks --------------------------------------------------------------------------------------


class Leaks(Heap):
    """A task allocates an object and does something with the pointer."""

    @thread()
    def t(self):
        channel = yield kzalloc(self.channel)
        yield from self.keep(channel)

    def keep(self, channel):
        yield from ()


def test_leak():
    """Nothing leads to the object at the end: it is lost."""
    assert the_failure(Leaks, "leak") == "channel#0 is never freed, and nothing points to it any more"


@dataclass(frozen=True)
class Entry:
    """A value with a pointer in it."""

    pointer: object


@pytest.mark.parametrize("wrap", [lambda c: c, lambda c: (1, (c,)), lambda c: frozenset({c}), Entry])
def test_what_a_cell_leads_to_is_not_lost(wrap):
    """A pointer in a tuple, a set or a frozen dataclass counts."""

    class Kept(Leaks):
        def keep(self, channel):
            yield WRITE_ONCE(self.pointer, wrap(channel))

    assert failures(Kept) == set()


def test_a_chain_of_pointers():
    """Through a field of an object that is itself reachable; once that is freed, the rest is lost."""

    class Chain(Leaks):
        def keep(self, channel):
            head = yield kzalloc(self.channel, next=channel)
            yield WRITE_ONCE(self.pointer, head)

    class HeadFreed(Chain):
        def keep(self, channel):
            yield from super().keep(channel)
            yield kfree(self.channel.objects[1])

    assert failures(Chain) == set()
    assert the_failure(HeadFreed, "leak").startswith("channel#0 is never freed")


def test_objects_of_setup():
    """One that no cell led to from the start belongs to the scenario; one whose last pointer goes is lost."""

    class Own(Heap):
        def setup(self):
            super().setup()
            self.object = self.channel.new()

        @thread()
        def t(self):
            yield WRITE_ONCE(self.pointer, None)

    class Forgets(Own):
        def setup(self):
            super().setup()
            self.pointer = Cell(self.object)

    assert failures(Own) == set()
    assert the_failure(Forgets, "leak").startswith("channel#0 is never freed")


# --- wrong use of the model -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda s: READ_ONCE(s.object.relidd), "channel has no field 'relidd'; it has relid, next."),
        (lambda s: kzalloc(s.channel, size=3), "channel has no field 'size'; it has relid, next."),
        (lambda s: kzalloc(s.object), "kzalloc takes a Struct as struct, not channel#0 (an Object)."),
        (lambda s: kzalloc("channel"), "kzalloc takes a Struct as struct, not 'channel' (a str)."),
        (lambda s: kfree(s.channel), "kfree takes an Object as object, not channel (a Struct)."),
        (lambda s: kfree(s.object.relid), "kfree takes an Object as object, not channel#0.relid (a Cell)."),
    ],
)
def test_bad_arguments(use, message):
    """A field that does not exist, a kind where an object is wanted."""

    class Bad(Heap):
        def setup(self):
            super().setup()
            self.object = self.channel.new()

        @thread()
        def t(self):
            yield use(self)

    # Inside a program, a wrong name is an error of the model, not of the modelled code.
    with pytest.raises(ModelError) as error:
        explore(Bad)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["name", "number", "struct", "initial", "fields", "show", "owner", "_hidden", "words"])
def test_reserved_field_names(name):
    """A field that an object could not give out as an attribute is refused."""
    with pytest.raises(ModelError, match=f"Struct.'channel'.: a field cannot be called '{name}', which is taken"):
        Struct("channel", **{name: 0})


def test_capacity():
    """More objects than the bound: the error says how to raise it."""

    class Many(Heap):
        def setup(self):
            self.small = Struct("small", capacity=1)

        @thread()
        def t(self):
            yield kzalloc(self.small)
            yield kzalloc(self.small)

    with pytest.raises(ModelError, match=r"more 'small' objects .* room for \(1\).*Struct\('small', capacity=5, ...\)"):
        explore(Many)


def test_objects_are_told_apart():
    """Two tasks that allocate get two objects, in either order."""

    class Two(Heap):
        def setup(self):
            super().setup()
            self.pointers = [Cell(None), Cell(None)]
            self.add_thread(self.allocate, 0, name="a")
            self.add_thread(self.allocate, 1, name="b")

        def allocate(self, number):
            thing = yield kzalloc(self.channel)
            yield WRITE_ONCE(self.pointers[number], thing)

        def outcome(self, s):
            return tuple(s[p].name for p in self.pointers)

    assert outcomes(Two) == {("channel#0", "channel#1"), ("channel#1", "channel#0")}
