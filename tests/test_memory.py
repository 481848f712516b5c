"""Memory: what every operation gives and leaves, and that each is one indivisible step."""

import copy

import pytest
from by_hand import after, alone, blocked, check, failures, outcomes, possible

from vmbus_teach import Scenario, Session, explore, thread
from vmbus_teach import kernel as k
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, ModelError, choose, smp_cond_load_acquire


@pytest.mark.parametrize("name", ["load", "READ_ONCE", "smp_load_acquire", "rcu_dereference", "atomic_read"])
def test_reading(name):
    """Every way to read gives the value and leaves it."""
    assert alone(getattr(k, name), 7) == (7, 7)


@pytest.mark.parametrize(
    "name",
    ["store", "WRITE_ONCE", "smp_store_release", "smp_store_mb", "virt_store_mb", "rcu_assign_pointer", "atomic_set"],
)
def test_writing(name):
    """Every way to write leaves the new value and gives nothing."""
    assert alone(lambda cell: getattr(k, name)(cell, 9), 7) == (None, 9)


@pytest.mark.parametrize(
    ("operation", "start", "result", "left"),
    [
        (lambda c: k.xchg(c, 9), 7, 7, 9),
        (lambda c: k.cmpxchg(c, 7, 9), 7, 7, 9),
        (lambda c: k.cmpxchg(c, 8, 9), 7, 7, 7),
        (k.atomic_inc, 7, None, 8),
        (k.atomic_dec, 7, None, 6),
        (k.atomic_inc_return, 7, 8, 8),
        (k.atomic_dec_return, 7, 6, 6),
        (k.atomic_dec_and_test, 2, False, 1),
        (k.atomic_dec_and_test, 1, True, 0),
        (k.atomic_dec_and_test, 0, False, -1),
        (k.atomic_inc_not_zero, 1, True, 2),
        (k.atomic_inc_not_zero, 0, False, 0),
        (lambda c: k.atomic_fetch_add(3, c), 7, 7, 10),
        (lambda c: k.atomic_add(3, c), 7, None, 10),
        (lambda c: k.test_bit(2, c), 0b100, True, 0b100),
        (lambda c: k.test_bit(1, c), 0b100, False, 0b100),
        (lambda c: k.set_bit(1, c), 0b100, None, 0b110),
        (lambda c: k.set_bit(2, c), 0b100, None, 0b100),
        (lambda c: k.clear_bit(2, c), 0b110, None, 0b010),
        (lambda c: k.clear_bit(0, c), 0b110, None, 0b110),
        (lambda c: k.test_and_set_bit(0, c), 0b100, False, 0b101),
        (lambda c: k.test_and_set_bit(2, c), 0b100, True, 0b100),
        (lambda c: k.test_and_clear_bit(2, c), 0b110, True, 0b010),
        (lambda c: k.test_and_clear_bit(0, c), 0b110, False, 0b110),
        (lambda c: k.sync_test_and_clear_bit(2, c), 0b110, True, 0b010),
        (lambda c: k.smp_cond_load_relaxed(c, bool), 7, 7, 7),
        (lambda c: k.smp_cond_load_acquire(c, bool), 7, 7, 7),
        (lambda c: k.smp_mb(), 7, None, 7),
        (lambda c: k.smp_rmb(), 7, None, 7),
        (lambda c: k.smp_wmb(), 7, None, 7),
        (lambda c: k.virt_mb(), 7, None, 7),
        (lambda c: k.barrier(), 7, None, 7),
    ],
)
def test_result_and_effect(operation, start, result, left):
    """What an operation gives to the program, and what it leaves in the cell."""
    assert alone(operation, start) == (result, left)


@pytest.mark.parametrize(
    ("names", "access", "ordering"),
    [
        ("load", "r", "plain"),
        ("store", "w", "plain"),
        ("READ_ONCE atomic_read rcu_dereference smp_cond_load_relaxed test_bit", "r", "once"),
        ("WRITE_ONCE atomic_set", "w", "once"),
        ("smp_load_acquire smp_cond_load_acquire", "r", "acquire"),
        ("smp_store_release rcu_assign_pointer", "w", "release"),
        ("smp_store_mb virt_store_mb", "w", "full"),
        ("atomic_inc atomic_dec atomic_add set_bit clear_bit", "rw", "once"),
        ("xchg cmpxchg atomic_inc_return atomic_dec_return atomic_dec_and_test", "rw", "full"),
        ("atomic_inc_not_zero atomic_fetch_add test_and_set_bit test_and_clear_bit", "rw", "full"),
        ("sync_test_and_clear_bit", "rw", "full"),
        ("smp_mb smp_rmb smp_wmb virt_mb", "", "full"),
        ("barrier", "", "once"),
    ],
)
def test_orderings(names, access, ordering):
    """Each operation says how it accesses memory and what it orders, as Documentation/atomic_t.txt has it."""
    for name in names.split():
        operation = getattr(k, name)
        assert (operation.access, operation.ordering, operation.host) == (access, ordering, True), name


class Two(Scenario):
    """Two tasks run the same program."""

    def setup(self, start=0, program=None):
        self.cell = Cell(start)
        self.program = program
        self.got = [Cell(None), Cell(None)]
        self.add_thread(self.task, 0, name="a")
        self.add_thread(self.task, 1, name="b")

    def task(self, number):
        result = yield from self.program(self.cell)
        yield WRITE_ONCE(self.got[number], result)

    def outcome(self, s):
        return s[self.got[0]], s[self.got[1]], s[self.cell]


def read_then_write(cell):
    """An increment in two steps."""
    value = yield READ_ONCE(cell)
    yield WRITE_ONCE(cell, value + 1)


def one_step(operation):
    """A program of one operation."""

    def program(cell):
        return (yield operation(cell))

    return program


def test_two_steps_lose_an_update():
    """Between a read and the write another task may come: two increments may add up to one."""
    result = explore(Two(program=read_then_write))
    assert result.outcomes == {(None, None, 1), (None, None, 2)}
    assert result.schedules == 20  # two tasks with three steps each: 6! / (3! * 3!)


@pytest.mark.parametrize(
    ("operation", "start", "expected"),
    [
        (k.atomic_inc, 0, {(None, None, 2)}),
        (k.atomic_dec, 0, {(None, None, -2)}),
        (lambda c: k.atomic_add(5, c), 0, {(None, None, 10)}),
        (lambda c: k.atomic_fetch_add(5, c), 0, {(0, 5, 10), (5, 0, 10)}),
        (k.atomic_inc_return, 0, {(1, 2, 2), (2, 1, 2)}),
        (k.atomic_dec_return, 0, {(-1, -2, -2), (-2, -1, -2)}),
        (k.atomic_dec_and_test, 2, {(False, True, 0), (True, False, 0)}),
        (k.atomic_inc_not_zero, 1, {(True, True, 3)}),
        (lambda c: k.xchg(c, 1), 0, {(0, 1, 1), (1, 0, 1)}),
        (lambda c: k.cmpxchg(c, 0, 1), 0, {(0, 1, 1), (1, 0, 1)}),
        (lambda c: k.set_bit(0, c), 0, {(None, None, 1)}),
        (lambda c: k.clear_bit(0, c), 1, {(None, None, 0)}),
        (lambda c: k.test_and_set_bit(0, c), 0, {(False, True, 1), (True, False, 1)}),
        (lambda c: k.test_and_clear_bit(0, c), 1, {(False, True, 0), (True, False, 0)}),
        (lambda c: k.sync_test_and_clear_bit(0, c), 1, {(False, True, 0), (True, False, 0)}),
        (lambda c: k.test_bit(0, c), 1, {(True, True, 1)}),
    ],
)
def test_one_step_is_indivisible(operation, start, expected):
    """Two tasks that execute the operation at once: one comes first, and the other sees what it did."""
    scenario = Two(start=start, program=one_step(operation))
    check(
        scenario,
        *("a*2 b*2", "a b a b", "a b*2 a", "b a*2 b", "b a b a", "b*2 a*2"),
        outcomes=expected,
    )


class Handover(Scenario):
    """One task waits for another's flag; the host may wait as well."""

    def setup(self):
        self.flag = Cell(0)
        self.data = Cell(0)

    @thread()
    def writer(self):
        yield WRITE_ONCE(self.data, 1)
        yield k.smp_store_release(self.flag, 1)

    @thread(host=True)
    def waiter(self):
        yield smp_cond_load_acquire(self.flag, bool)
        value = yield READ_ONCE(self.data)
        yield WRITE_ONCE(self.data, value + 10)

    def outcome(self, s):
        return s[self.data]


def test_waiting_for_a_value():
    """smp_cond_load waits until its predicate holds: one schedule is left, and the choice says why it waits."""
    check(Handover, "writer*2 waiter*3", outcomes={11})
    assert blocked(Handover) == {"waiter": "waits for flag to change, which is 0"}
    assert possible(Handover, "writer*2") == {"waiter"}


def test_waiting_in_vain_is_a_deadlock():
    """Nobody writes the flag: the waiter never goes on."""

    class Silent(Handover):
        def writer(self):
            yield WRITE_ONCE(self.data, 1)

    assert failures(Silent) == {
        ("deadlock", "nobody can go on: waiter waits for flag to change, which is 0"),
    }


class Chooses(Scenario):
    """A task whose first step leaves something open."""

    def setup(self):
        self.got = Cell(None)

    @thread()
    def a(self):
        value = yield choose((10, 20, 30))
        yield WRITE_ONCE(self.got, value)

    def outcome(self, s):
        return s[self.got]


def test_choose():
    """choose is one step with as many alternatives as values."""
    check(Chooses, "a:0 a", "a:1 a", "a:2 a", outcomes={10, 20, 30})
    assert [str(c) for c in Session(Chooses).choices()] == [
        "a:0: choose((10, 20, 30)) gives 10",
        "a:1: choose((10, 20, 30)) gives 20",
        "a:2: choose((10, 20, 30)) gives 30",
    ]


def test_the_host_takes_part():
    """The host may use memory, and nothing that needs a CPU of the guest."""

    class Host(Scenario):
        def setup(self):
            self.lock = k.SpinLock()

        @thread(host=True)
        def host(self):
            yield k.spin_lock(self.lock)

    with pytest.raises(ModelError, match=r"host is on the host, which cannot execute spin_lock\(lock\)"):
        explore(Host)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda s: READ_ONCE("x"), "READ_ONCE takes a Cell as cell, not 'x' (a str). Give it the Cell that setup"),
        (lambda s: WRITE_ONCE(s.channel, 1), "an object has fields: name one."),
        (lambda s: k.set_bit(-1, s.cell), "set_bit is given bit -1; bits are numbered from 0."),
        (lambda s: k.test_bit("7", s.cell), "test_bit takes an int as nr, not '7' (a str)."),
        (lambda s: k.test_bit(s.cell, 7), "test_bit takes an int as nr, not cell (a Cell)."),
        (lambda s: k.atomic_add("1", s.cell), "atomic_add takes an int as amount, not '1' (a str)."),
        (lambda s: k.atomic_inc(s.text), "atomic_inc needs a number in text, which holds 'abc'."),
        (lambda s: k.atomic_add(1, s.text), "atomic_add needs a number in text, which holds 'abc'."),
        (lambda s: k.atomic_inc_not_zero(s.text), "atomic_inc_not_zero needs a number in text"),
        (lambda s: k.set_bit(1, s.text), "set_bit needs a number in text, which holds 'abc'."),
        (lambda s: choose([1, 2]), "choose takes a tuple with at least one value, not [1, 2]."),
        (lambda s: choose(()), "choose takes a tuple with at least one value, not ()."),
        (lambda s: WRITE_ONCE(s.cell, [1]), "a cell cannot hold a list"),
        (lambda s: READ_ONCE(copy.copy(s.cell)), "a program uses a Cell that is no attribute of the scenario"),
        (lambda s: READ_ONCE(Cell(0)), "a program uses a Cell that is no attribute of the scenario"),
        (
            lambda s: smp_cond_load_acquire(s.cell, 1),
            "smp_cond_load_acquire takes a function as predicate, not 1 (an int).",
        ),
        (
            lambda s: smp_cond_load_acquire(s.text, wants_number),
            "the predicate wants_number of smp_cond_load_acquire is asked about 'abc' and raises TypeError",
        ),
        (
            lambda s: smp_cond_load_acquire(s.cell, read_then_write),
            "the predicate read_then_write of smp_cond_load_acquire is asked about 0 and yields.",
        ),
    ],
)
def test_bad_arguments(operation, message):
    """A wrong argument is an error that says which, and what was wanted."""

    class Bad(Scenario):
        def setup(self):
            self.cell = Cell(0)
            self.text = Cell("abc")
            self.channel = k.Struct("channel", relid=0).new()

        @thread()
        def a(self):
            yield operation(self)

    with pytest.raises(ModelError) as error:
        explore(Bad)
    assert message in str(error.value)


def wants_number(value):
    """A predicate that fails on text."""
    return value + 1


class Things(Scenario):
    """State of several kinds, for its text."""

    def setup(self):
        self.cell = Cell(0)
        self.cells = [Cell(frozenset({2, 1})), Cell((self.cell,))]
        self.by_name = {"x": Cell(None)}

    @thread()
    def a(self):
        yield WRITE_ONCE(self.cells[0], frozenset({3}))


def test_how_things_are_shown():
    """Cells are named after their attributes, sets are shown in order, operations as one writes them."""
    session = after(Things, "a")
    assert session.values() == [
        ("cell", "0"),
        ("cells[0]", "{3}"),
        ("cells[1]", "(cell,)"),
        ("by_name['x']", "None"),
    ]
    (step,) = session.trace
    assert str(step.operation) == "WRITE_ONCE(cells[0], {3})"
    assert step.changes == (("cells[0]", "{1, 2}", "{3}"),)


def test_a_counter_of_each_kind_agrees():
    """Three kinds of increment have the same outcome."""
    kinds = [k.atomic_inc, lambda c: k.atomic_add(1, c), lambda c: k.cmpxchg(c, 0, 1)]
    assert [{o[-1] for o in outcomes(Two(program=one_step(o)))} for o in kinds] == [{2}, {2}, {1}]
