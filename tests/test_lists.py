"""Lists: what is on them, in which order, and what becomes of a pointer to one that has left."""

import pytest
from by_hand import after, check, shown, the_failure

from vmbus_teach import Scenario, explore, thread
from vmbus_teach.kernel import (
    WRITE_ONCE,
    Cell,
    ListEntry,
    ListHead,
    ModelError,
    Struct,
    inside,
    kfree,
    list_add_tail,
    list_del,
    list_del_init,
    list_empty,
    list_first,
    list_next,
)


class Listed(Scenario):
    """Three objects, of which the first two are on a list."""

    def setup(self):
        kind = Struct("thing", list=inside(ListEntry))
        self.a, self.b, self.c = kind.new(), kind.new(), kind.new()
        self.head, self.seen = ListHead(), Cell(())
        self.head.begin_with(self.a.list, self.b.list)

    def outcome(self, s):
        return s[self.seen]


def test_a_list_is_walked_in_order():
    """First, next, and None at the end; what is added comes last."""

    class Walks(Listed):
        @thread()
        def t(self):
            yield list_add_tail(self.c.list, self.head)
            found, thing = (), (yield list_first(self.head))
            while thing is not None:
                found = (*found, thing.name)
                thing = yield list_next(thing.list)
            yield WRITE_ONCE(self.seen, found)

    check(Walks, "t*6", outcomes={("thing#0", "thing#1", "thing#2")})
    session = after(Walks, "t")
    assert shown(session, "head") == "thing#0, thing#1, thing#2"
    assert shown(session, "thing#2.list") == "on head"


def test_what_has_been_taken_off():
    """list_del_init leaves an entry that is empty and may be taken off again; list_del one that is neither."""

    class TakesOff(Listed):
        @thread()
        def t(self):
            yield list_del(self.a.list)
            yield list_del_init(self.b.list)
            yield list_del_init(self.b.list)
            poisoned = yield list_empty(self.a.list)
            off = yield list_empty(self.b.list)
            nothing = yield list_first(self.head)
            yield list_del(self.c.list)  # was on none: harmless
            yield WRITE_ONCE(self.seen, (poisoned, off, nothing, (yield list_empty(self.head))))

    check(TakesOff, "t*9", outcomes={(False, True, None, True)})
    session = after(TakesOff, "t*2")
    assert shown(session, "thing#0.list") == "poisoned"
    assert shown(session, "thing#1.list") == "on no list"
    assert shown(session, "head") == "empty"


@pytest.mark.parametrize(
    ("operations", "kind", "message"),
    [
        (
            lambda s: [list_del(s.a.list), list_del(s.a.list)],
            "error", "t takes off a list thing#0, which has been taken off its list",
        ),
        (
            lambda s: [list_del(s.a.list), list_next(s.a.list)],
            "error", "t goes on from thing#0, which has been taken off its list",
        ),
        (lambda s: [list_next(s.c.list)], "error", "t goes on from thing#2, which is on no list"),
        (
            lambda s: [list_add_tail(s.a.list, s.head)],
            "error", "t puts thing#0 on head, but it is on head",
        ),
        (
            lambda s: [kfree(s.a), list_next(s.a.list)],
            "use-after-free", "t uses thing#0.list after it freed thing#0",
        ),
        (
            lambda s: [kfree(s.a), list_del(s.b.list)],  # writes the pointer of the one before
            "use-after-free", "t uses thing#0.list after it freed thing#0",
        ),
        (
            lambda s: [kfree(s.b), list_add_tail(s.c.list, s.head)],
            "use-after-free", "t uses thing#1.list after it freed thing#1",
        ),
    ],
)
def test_misuse(operations, kind, message):
    """A pointer of what has left leads nowhere, and a neighbour that was freed is written to."""

    class Misuse(Listed):
        @thread()
        def t(self):
            yield from (operation for operation in operations(self))

    assert the_failure(Misuse, kind) == message


def test_a_freed_object_may_still_be_pointed_at():
    """The list hands out what it has; only its use is a failure."""

    class Finds(Listed):
        @thread()
        def t(self):
            yield kfree(self.a)
            thing = yield list_first(self.head)
            yield WRITE_ONCE(self.seen, thing.name)

    assert explore(Finds).outcomes == {"thing#0"}


def test_arguments():
    """A head is no entry."""
    with pytest.raises(ModelError, match="list_del takes a ListEntry as entry, not"):
        list_del(ListHead())
