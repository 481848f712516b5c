"""The XArray: what needs its lock, what needs memory, and what each form does to the CPU."""

import pytest
from by_hand import after, blocked, check, outcomes, shown, the_failure

from vmbus_teach import Scenario, explore, interrupt, thread
from vmbus_teach.kernel import (
    ENOMEM,
    GFP_NOWAIT,
    RESERVED,
    WRITE_ONCE,
    Cell,
    ModelError,
    RawSpinLock,
    Struct,
    Tasklet,
    XArray,
    kfree,
    local_irq_disable,
    local_irq_restore,
    local_irq_save,
    raise_irq,
    raw_spin_lock,
    raw_spin_unlock,
    tasklet_schedule,
    xa_cmpxchg_locked,
    xa_erase,
    xa_erase_bh,
    xa_erase_irq,
    xa_erase_locked,
    xa_load,
    xa_lock,
    xa_lock_irqsave,
    xa_release,
    xa_reserve,
    xa_reserve_bh,
    xa_reserve_irq,
    xa_store,
    xa_store_bh,
    xa_store_irq,
    xa_store_locked,
    xa_unlock,
    xa_unlock_irqrestore,
)

ERASE = {"": xa_erase, "_bh": xa_erase_bh, "_irq": xa_erase_irq}
STORE = {"": xa_store, "_bh": xa_store_bh, "_irq": xa_store_irq}
RESERVE = {"": xa_reserve, "_bh": xa_reserve_bh, "_irq": xa_reserve_irq}


class Alone(Scenario):
    """One task works on an array with entry 3; the outcome is what the program returned, and the array."""

    cpus = 1

    def setup(self, program, may_fail=False):
        self.program = program
        self.xa = XArray({3: "three"}, may_fail=may_fail)
        self.result = Cell("nothing")

    @thread(cpu=0)
    def t(self):
        result = yield from self.program(self.xa)
        yield WRITE_ONCE(self.result, result)

    def outcome(self, s):
        return s[self.result], self.xa.show(s[self.xa])


def found_by(program, **parameters):
    """All outcomes of a program that must not fail."""
    return outcomes(Alone(program=program, **parameters))


def looks(xa):
    """Looks for what is there and for what is not."""
    there = yield xa_load(xa, 3)
    nothing = yield xa_load(xa, 4)
    return there, nothing


def test_load():
    """It finds what is there, and None where nothing is."""
    assert found_by(looks) == {(("three", None), "3: 'three'")}


@pytest.mark.parametrize("form", ERASE)
def test_erase_and_store(form):
    """Each form takes the lock, changes the entry and gives the lock back; entries stay in order of their indices."""

    def changes(xa):
        error = yield from STORE[form](xa, 1, "one")
        old = yield from ERASE[form](xa, 3)
        again = yield from ERASE[form](xa, 3)
        return error, old, again

    assert found_by(changes) == {((0, "three", None), "1: 'one'")}
    session = after(Alone(program=changes), "t*4")
    assert shown(session, "xa.xa_lock") == "free"
    assert str(session.trace[1].operation) == f"spin_lock{form}(xa.xa_lock)"
    assert shown(session, "xa") == "1: 'one', 3: 'three'"


@pytest.mark.parametrize("form", RESERVE)
def test_reserve(form):
    """What is reserved looks empty, can be erased, stored to, and released."""

    def reserves(xa):
        error = yield from RESERVE[form](xa, 5)
        seen = yield xa_load(xa, 5)
        yield from xa_store(xa, 5, "five", GFP_NOWAIT)
        yield from xa_release(xa, 5)
        return error, seen

    assert found_by(reserves) == {((0, None), "3: 'three', 5: 'five'")}
    assert shown(after(Alone(program=reserves), "t*4"), "xa") == "3: 'three', 5: reserved"


def test_release_takes_a_reservation_away():
    """What was reserved and not used is gone; an entry stays."""

    def releases(xa):
        yield from xa_reserve(xa, 5)
        yield from xa_release(xa, 5)
        yield from xa_release(xa, 3)

    assert found_by(releases) == {(None, "3: 'three'")}


def test_a_reserved_entry_is_erased_as_nothing():
    """Who erases it is given None."""

    def erases(xa):
        yield from xa_reserve(xa, 5)
        return (yield from xa_erase(xa, 5))

    assert found_by(erases) == {(None, "3: 'three'")}


def stores_reserved(xa):
    """Reserves and stores."""
    error = yield from xa_reserve(xa, 5)
    if error:
        return "not reserved"
    return (yield from xa_store(xa, 5, "five", GFP_NOWAIT))


def stores_over(xa):
    """Stores where an entry is."""
    return (yield from xa_store(xa, 3, "new", GFP_NOWAIT))


def stores_anew(xa):
    """Stores where nothing is."""
    return (yield from xa_store(xa, 5, "five", GFP_NOWAIT))


def reserves_an_entry(xa):
    """Reserves where an entry is, which then goes."""
    yield from xa_reserve(xa, 3)
    yield from xa_erase(xa, 3)
    return (yield from xa_store(xa, 3, "new", GFP_NOWAIT))


@pytest.mark.parametrize(
    ("program", "results"),
    [
        (stores_anew, {0, -ENOMEM}),
        (stores_over, {0}),
        (stores_reserved, {0, "not reserved"}),
        (reserves_an_entry, {0, -ENOMEM}),
    ],
)
def test_which_store_needs_memory(program, results):
    """One to where nothing is; not one to an entry or a reservation. An entry is no reservation once it is gone."""
    assert {result for result, _ in found_by(program, may_fail=True)} == results
    assert -ENOMEM not in {result for result, _ in found_by(program)}


def test_a_store_that_fails_changes_nothing():
    """The array is as before."""
    assert found_by(stores_anew, may_fail=True) == {(0, "3: 'three', 5: 'five'"), (-ENOMEM, "3: 'three'")}


@pytest.mark.parametrize(
    ("old", "outcome"), [("three", ("three", "3: 'new'")), ("other", ("three", "3: 'three'")), (None, None)]
)
def test_cmpxchg(old, outcome):
    """It changes the entry only if it is the one that was named, and gives what was there."""

    def exchanges(xa):
        flags = yield xa_lock_irqsave(xa)
        found = yield xa_cmpxchg_locked(xa, 3, old, "new")
        yield xa_unlock_irqrestore(xa, flags)
        return found

    assert found_by(exchanges) == {outcome or ("three", "3: 'three'")}


def test_cmpxchg_tells_nothing_from_reserved():
    """A reservation is not what None stands for (source: __xa_cmpxchg in lib/xarray.c, v6.1)."""

    def exchanges(xa):
        yield from xa_reserve(xa, 5)
        yield xa_lock(xa)
        found = yield xa_cmpxchg_locked(xa, 5, None, "new")
        yield xa_cmpxchg_locked(xa, 5, RESERVED, "stored")
        yield xa_unlock(xa)
        return found

    assert found_by(exchanges) == {(None, "3: 'three', 5: 'stored'")}


# --- the lock --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [xa_erase_locked, lambda xa, i: xa_store_locked(xa, i, 1), lambda xa, i: xa_cmpxchg_locked(xa, i, 1, 2)]
)
def test_the_lock_must_be_held(change):
    """Entries are changed by who holds the lock, and by nobody else."""

    class Unlocked(Scenario):
        def setup(self):
            self.xa = XArray({3: 1})

        @thread()
        def t(self):
            yield change(self.xa, 3)

    message = the_failure(Unlocked, "error")
    assert message.startswith("t calls xa_")
    assert message.endswith("without xa.xa_lock: nobody holds it")


def test_the_lock_of_somebody_else():
    """That another context holds it does not help."""

    class Other(Scenario):
        cpus = 1

        def setup(self):
            self.xa = XArray({3: 1})

        @thread(cpu=0)
        def t(self):
            yield xa_lock(self.xa)
            yield raise_irq(self.isr)
            yield xa_unlock(self.xa)

        @interrupt(cpu=0)
        def isr(self):
            yield xa_erase_locked(self.xa, 3)

    assert the_failure(Other, "error") == "isr calls xa_erase_locked(xa, 3) without xa.xa_lock: t holds it"


def test_two_writers():
    """One waits for the other; a reader waits for nobody."""

    class Two(Scenario):
        def setup(self):
            self.xa = XArray({3: "three"})
            self.add_thread(self.erases, 3, name="a")
            self.add_thread(self.erases, 4, name="b")

        def erases(self, index):
            yield from xa_erase(self.xa, index)

        @thread()
        def reader(self):
            yield xa_load(self.xa, 3)

    assert blocked(Two, "a") == {"b": "spins for xa.xa_lock, held by a"}
    result = explore(Two)
    assert result.ok
    assert result.schedules == 2 * 7  # one after the other, and the reader before, between, or after any of six steps


def test_release_under_the_lock():
    """``xa_release`` takes the lock itself: under the lock it waits for ever."""

    def releases(xa):
        yield xa_lock(xa)
        yield from xa_release(xa, 3)
        yield xa_unlock(xa)

    (failure,) = explore(Alone(program=releases)).failures
    assert failure.kind == "deadlock"
    assert "t spins for xa.xa_lock, which it holds itself" in failure.message


# --- what the forms do to the CPU ----------------------------------------------------------------------------


def flag_after(erase, irqs_on):
    """Whether interrupts are on after ``erase``, where they were ``irqs_on`` before."""

    def erases(xa):
        if not irqs_on:
            yield local_irq_disable()
        yield from erase(xa, 3)
        flags = yield local_irq_save()
        yield local_irq_restore(True)
        return flags

    ((flags, _),) = found_by(erases)
    return flags


def saves(xa, index):
    """The form that the XArray has for the bare lock only."""
    flags = yield xa_lock_irqsave(xa)
    yield xa_erase_locked(xa, index)
    yield xa_unlock_irqrestore(xa, flags)


@pytest.mark.parametrize(
    ("erase", "irqs_on", "afterwards"),
    [
        (xa_erase, True, True),
        (xa_erase, False, False),
        (xa_erase_bh, True, True),
        (xa_erase_irq, True, True),
        (xa_erase_irq, False, True),
        (saves, True, True),
        (saves, False, False),
    ],
)
def test_the_interrupt_flag(erase, irqs_on, afterwards):
    """Only ``_irq`` does not leave it as it was: it is on afterwards, whatever it was before."""
    assert flag_after(erase, irqs_on) == afterwards


def test_bh_with_interrupts_off():
    """Softirqs cannot be switched on while interrupts are off."""

    def erases(xa):
        yield local_irq_disable()
        yield from xa_erase_bh(xa, 3)

    (failure,) = explore(Alone(program=erases)).failures
    assert (failure.kind, failure.message) == ("error", "t switches softirqs on while interrupts are off")


@pytest.mark.parametrize(("form", "kinds"), [("", {"deadlock"}), ("_bh", set()), ("_irq", set())])
def test_against_a_tasklet(form, kinds):
    """Where a tasklet of the same CPU takes the lock, ``_bh`` is enough."""

    class Shares(Scenario):
        cpus = 1

        def setup(self):
            self.xa = XArray({3: "three", 4: "four"})
            self.tasklet = Tasklet(self.erases, xa_erase, 4)

        def erases(self, erase, index):
            yield from erase(self.xa, index)

        @thread(cpu=0)
        def t(self):
            yield raise_irq(self.isr)
            yield from self.erases(ERASE[form], 3)

        @interrupt(cpu=0)
        def isr(self):
            yield tasklet_schedule(self.tasklet)

    assert {failure.kind for failure in explore(Shares).failures} == kinds


@pytest.mark.parametrize("function", [xa_store, xa_store_bh, xa_store_irq, xa_reserve, xa_reserve_bh, xa_reserve_irq])
def test_memory_that_is_waited_for(function):
    """With GFP_KERNEL, the default, it may sleep: not under a spin lock. With GFP_NOWAIT it does not."""
    reserving = function.__name__.startswith("xa_reserve")

    def under_a_lock(lock, *gfp):
        def program(xa):
            yield raw_spin_lock(lock)
            yield from function(xa, 5, *(() if reserving else ("five",)), *gfp)
            yield raw_spin_unlock(lock)

        return program

    class Under(Scenario):
        def setup(self, gfp=()):
            self.xa, self.lock = XArray(), RawSpinLock()
            self.add_thread(under_a_lock(self.lock, *gfp), self.xa, name="t")

    message = the_failure(Under, "sleep-in-atomic")
    assert message.startswith("t calls might_alloc(), which may sleep, but preemption is off")
    assert not explore(Under(gfp=(GFP_NOWAIT,))).failures


def test_an_object_in_an_array_is_no_leak():
    """What an entry leads to is not lost; without the entry it is."""

    class Holds(Scenario):
        def setup(self, erased=False):
            self.erased = erased
            self.thing = Struct("thing", capacity=1)
            self.xa = XArray({3: self.thing.new()})

        @thread()
        def t(self):
            if self.erased:
                yield from xa_erase(self.xa, 3)
            else:
                yield xa_load(self.xa, 3)

    assert not explore(Holds).failures
    assert [failure.kind for failure in explore(Holds(erased=True)).failures] == ["leak"]


def test_freed_after_it_was_found():
    """A look-up alone keeps nothing alive."""

    class Finds(Scenario):
        def setup(self):
            self.thing = Struct("thing", capacity=1, value=0)
            self.object = self.thing.new()
            self.xa = XArray({3: self.object})

        @thread()
        def reader(self):
            found = yield xa_load(self.xa, 3)
            if found is not None:
                yield WRITE_ONCE(found.value, 1)

        @thread()
        def writer(self):
            yield from xa_erase(self.xa, 3)
            yield kfree(self.object)

    message = the_failure(Finds, "use-after-free")
    assert message == "reader uses thing#0.value after writer freed thing#0"


def test_schedules_by_hand():
    """A look-up comes before or after the erase itself; the lock is nothing to it."""

    class Small(Scenario):
        def setup(self):
            self.xa, self.seen = XArray({3: "three"}), Cell("nothing")

        @thread()
        def e(self):
            yield from xa_erase(self.xa, 3)

        @thread()
        def r(self):
            found = yield xa_load(self.xa, 3)
            yield WRITE_ONCE(self.seen, found)

        def outcome(self, s):
            return s[self.seen]

    check(
        Small,
        "e*3 r*2", "e*2 r e r", "e*2 r*2 e", "e r e*2 r", "e r e r e",
        "e r*2 e*2", "r e*3 r", "r e*2 r e", "r e r e*2", "r*2 e*3",
        outcomes={"three", None},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: XArray([1]), "XArray takes a dict of entries by index, not [1]: XArray({8192: irq})."),
        (lambda: XArray({-1: 0}), "XArray: -1 is no index; an index is a number from 0."),
        (lambda: XArray({"a": 0}), "XArray: 'a' is no index; an index is a number from 0."),
        (lambda: xa_lock(Cell()), "xa_lock takes an XArray, not <Cell>. Give it the XArray that setup made."),
        (lambda: xa_load(Cell(), 3), "xa_load takes an XArray as xa, not <Cell> (a Cell)."),
        (lambda: xa_load(XArray(), "a"), "xa_load takes an int as index, not 'a' (a str)."),
    ],
)
def test_bad_arguments(make, message):
    """An array, and a number: the message says what it was given instead."""
    with pytest.raises(ModelError) as error:
        make()
    assert str(error.value).startswith(message)
