"""Bad input: every mistake gets an error that says what, where, the likely cause and the next step."""

import functools
import inspect
import io
import subprocess
import sys
import warnings

import pytest

from vmbus_teach import (
    ProgramError,
    Scenario,
    ScenarioError,
    ScheduleError,
    Session,
    at_end,
    explore,
    interrupt,
    invariant,
    thread,
)
from vmbus_teach import search as search_module
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, ModelError, Struct, kzalloc, smp_mb, store

COUNTER = 0
SEEN = []


class Base(Scenario):
    """What most of these scenarios have."""

    cpus = 1

    def setup(self):
        self.count = Cell(0)
        self.list = [1, 2]


def line_of(function, text):
    """The line of this file in which a function contains a text."""
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if text in line)


def error_of(program, kind=ProgramError, setup=None):
    """What explore says about a scenario whose only thread runs ``program(self)``."""

    class Bad(Base):
        @thread(cpu=0)
        def worker(self):
            return program(self)

    Bad.worker = thread(cpu=0)(program)
    with pytest.raises(kind) as caught:
        explore(Bad)
    return str(caught.value)


# --- what a program yields ----------------------------------------------------------------------------


def bare_yield(self):
    """A program that yields nothing."""
    yield


def yields_a_number(self):
    """A program that yields no operation."""
    yield READ_ONCE(self.count)
    yield 7


def forgets_from(self):
    """A program that yields another program."""
    yield bare_yield(self)


def forgets_to_call(self):
    """A program that yields the class of an operation."""
    yield smp_mb


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (bare_yield, "yields nothing (None), which is no operation. A program yields operations only"),
        (yields_a_number, "yields 7 (a int), which is no operation."),
        (forgets_from, "yields the generator bare_yield, which is no operation. To run another program inside this one, "
                       "write: yield from bare_yield(...)."),
        (forgets_to_call, "yields smp_mb itself, which is no operation. Call it, as in: yield smp_mb(...)."),
    ],
)
def test_yields_no_operation(program, said):
    """The line is named, what was yielded, and what to write instead."""
    where = f"{program.__name__}, line {line_of(program, 'yield' + program.__doc__[:0])} of test_errors.py"
    text = error_of(program)
    assert said in text
    assert f"{program.__name__}, line " in text and "of test_errors.py" in text, where


def test_no_yield_at_all():
    """A method without yield is no program."""
    assert error_of(lambda self: READ_ONCE(self.count)) == (
        "<lambda> is not a program: it has no yield, so it gives READ_ONCE(count) instead of operations. "
        "Write yield before each operation, as in: value = yield READ_ONCE(cell)."
    )


# --- programs that run away ---------------------------------------------------------------------------


def loops(self):
    while True:
        pass


def loops_later(self):
    yield READ_ONCE(self.count)
    while True:
        self.list.index(1)


def loops_and_catches_exceptions(self):
    yield READ_ONCE(self.count)
    while True:
        try:
            self.list.index(1)
        except Exception:
            pass


def loops_and_catches_everything(self):
    yield READ_ONCE(self.count)
    while True:
        try:
            self.list.index(1)
        except:  # noqa: E722
            pass


def catches_everything_once(self):
    yield READ_ONCE(self.count)
    try:
        while True:
            self.list.index(1)
    except BaseException:
        yield smp_mb()


def loops_in_a_helper(self):
    yield READ_ONCE(self.count)
    any(item < 0 for item in endless())


def endless():
    while True:
        yield 1


@pytest.mark.parametrize(
    "program",
    [loops_later, loops_and_catches_exceptions, loops_and_catches_everything, catches_everything_once, loops_in_a_helper],
)
def test_loops_without_yielding(program):
    """Never a hang, whatever the program catches; the error names a line of the loop."""
    text = error_of(program)
    assert text.startswith(f"{program.__name__} has executed 100,000 lines without a yield (it is now at ")
    assert "of test_errors.py); it seems to run forever." in text
    assert text.endswith("to wait for a value, yield smp_cond_load_relaxed(cell, predicate).")


def test_a_function_that_never_comes_to_its_yield():
    """The same where the endless loop comes before the first yield."""

    def stuck(self):
        while True:
            pass
        yield READ_ONCE(self.count)

    assert "stuck has executed 100,000 lines without a yield" in error_of(stuck)
    assert "loops has executed 100,000 lines without a yield" in error_of(loops)


def recurses(self):
    return recurses(self)
    yield


def recurses_by_a_helper(self):
    yield READ_ONCE(self.count)
    deeper(1)


def deeper(number):
    return deeper(number + 1)


def recurses_and_yields(self):
    yield READ_ONCE(self.count)
    yield from recurses_and_yields(self)


@pytest.mark.parametrize("program", [recurses_by_a_helper, recurses_and_yields])
def test_recursion(program):
    """Calling oneself for ever, with and without a yield in between."""
    text = error_of(program)
    assert text.startswith(f"{program.__name__} calls itself too deep (it is now at ")
    assert text.endswith("A program that repeats something does so in a loop, not by calling itself.")


# --- programs that do what programs must not ----------------------------------------------------------


def test_raises():
    """An exception in a program is a failure of the modelled code, with its schedule."""

    class Raises(Base):
        @thread(cpu=0)
        def worker(self):
            value = yield READ_ONCE(self.count)
            return 1 // value

    (failure,) = explore(Raises).failures
    assert failure.kind == "error"
    line = line_of(Raises.worker, "1 // value")
    assert failure.message.startswith("worker raises ZeroDivisionError: integer division or modulo by zero")
    assert f"worker, line {line} of test_errors.py" in failure.message
    assert failure.schedule.steps == ("worker",)


def test_raises_at_the_start():
    """Where nothing has been done yet, there is no schedule to show, and it is the model's mistake."""

    def broken(self):
        1 // 0
        yield READ_ONCE(self.count)

    text = error_of(broken)
    assert "raises ZeroDivisionError" in text
    assert f"line {line_of(broken, '1 // 0')} of test_errors.py" in text
    assert "before its first operation" in text


def test_prints():
    """What a program prints is kept from the screen; one warning says why, and what to do instead."""

    class Prints(Base):
        @thread(cpu=0)
        def worker(self):
            for _ in range(3):
                value = yield READ_ONCE(self.count)
                print("value", value)

    with pytest.warns(UserWarning) as caught:
        assert explore(Prints).ok
    (warning,) = caught
    assert str(warning.message) == (
        "worker prints 'value 0'. Its text is not shown: a program is executed once per position, not once per "
        "schedule, so what it prints tells nothing. Look at the trace of a Session, or keep the value in a Cell."
    )


def test_prints_nothing_on_the_screen(capsys):
    """Not even into the middle of something else."""

    class Prints(Base):
        @thread(cpu=0)
        def worker(self):
            print("here")
            yield READ_ONCE(self.count)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explore(Prints)
    assert capsys.readouterr() == ("", "")


def test_asks():
    """input() would wait for an answer at every position; it is refused, also where the program catches that."""

    def asks(self):
        yield READ_ONCE(self.count)
        try:
            input("how many? ")
        except Exception:
            yield smp_mb()

    text = error_of(asks)
    assert f"asks calls input() (in asks, line {line_of(asks, 'input')} of test_errors.py)" in text
    assert "For a value that is open, yield choose((1, 2)): every one is tried." in text


def test_exits():
    """exit() does not end Python."""

    def leaves(self):
        yield READ_ONCE(self.count)
        sys.exit(1)

    text = error_of(leaves)
    assert text.startswith(f"leaves calls exit() (in leaves, line {line_of(leaves, 'sys.exit')} of test_errors.py).")


def test_wrong_argument_of_an_operation():
    """The operation says what it takes; the line is named; and a program cannot swallow it."""

    def reads_a_number(self):
        yield smp_mb()
        try:
            yield READ_ONCE(5)
        except Exception:
            pass

    text = error_of(reads_a_number)
    assert text.startswith("reads_a_number: READ_ONCE takes a Cell as cell, not 5 (a int).")
    assert f"line {line_of(reads_a_number, 'READ_ONCE(5)')} of test_errors.py" in text


def test_not_deterministic():
    """A program that does something else the second time is told so."""
    calls = io.StringIO("x" * 1000)

    def moody(self):
        yield READ_ONCE(self.count)
        for _ in range(3):
            yield WRITE_ONCE(self.count, calls.tell())
            calls.read(1)
            yield READ_ONCE(self.count)

    class Moody(Base):
        @thread()
        def other(self):
            yield WRITE_ONCE(self.count, 5)

    Moody.worker = thread()(moody)
    Moody.worker.__name__ = "moody"
    with pytest.raises(ProgramError, match=r"moody does not always do the same: with the same results .* random numbers"):
        explore(Moody)


# --- changes behind the machine's back ----------------------------------------------------------------


def writes_self(self):
    yield READ_ONCE(self.count)
    self.total = 1


def replaces_a_cell(self):
    yield READ_ONCE(self.count)
    self.count = 1


def adds_to_a_cell(self):
    yield READ_ONCE(self.count)
    self._private = 1


def deletes(self):
    yield READ_ONCE(self.count)
    del self.list


def changes_a_list(self):
    yield READ_ONCE(self.count)
    self.list.append(3)
    yield smp_mb()


def changes_the_class(self):
    yield READ_ONCE(self.count)
    type(self).cpus = 1000
    yield smp_mb()


def changes_a_global(self):
    global COUNTER
    yield READ_ONCE(self.count)
    COUNTER += 1


def changes_a_global_list(self):
    yield READ_ONCE(self.count)
    SEEN.append(1)
    yield smp_mb()


def note():
    SEEN.append(1)


def changes_it_through_a_helper(self):
    yield READ_ONCE(self.count)
    note()
    yield smp_mb()


@pytest.mark.parametrize(
    ("program", "kind", "said"),
    [
        (writes_self, ProgramError, "self.total = 1 in a running program of Bad."),
        (replaces_a_cell, ProgramError, "self.count = 1 in a running program of Bad."),
        (adds_to_a_cell, ProgramError, "self._private = 1 in a running program of Bad."),
        (deletes, ProgramError, "del self.list in a running program of Bad: only setup may change the scenario."),
        (changes_a_list, ScenarioError, "changes_a_list has changed self.list while it ran."),
        (changes_the_class, ScenarioError, "changes_the_class has changed self.cpus while it ran."),
        (changes_a_global, ProgramError, "changes_a_global changes the global variable COUNTER (in changes_a_global)."),
        (changes_a_global_list, ProgramError, "the global variable SEEN has changed while changes_a_global_list ran."),
        (changes_it_through_a_helper, ProgramError, "the global variable SEEN has changed while changes_it_through"),
    ],
)
def test_changes_behind_the_machines_back(program, kind, said):
    """Whatever is not a cell must stay as setup made it; the error names it and what to write instead."""
    text = error_of(program, kind)
    assert said in text
    if program is not deletes:
        assert "What programs share must be in cells, which the machine can see" in text


def test_changes_a_variable_around_it():
    """A closure of setup is shared by all threads, so no program may change it."""

    class Closes(Base):
        def setup(self):
            self.count = Cell(0)
            number = 0

            def worker():
                nonlocal number
                yield READ_ONCE(self.count)
                number += 1

            self.add_thread(worker)

    with pytest.raises(ProgramError, match="the variable number of the function around it has changed while worker ran"):
        explore(Closes)


def test_changes_its_argument():
    """An argument is handed to every fresh run of a program, so it must stay as it is."""

    class Argument(Base):
        def setup(self):
            self.count = Cell(0)
            self.add_thread(self.worker, [1, 2, 3])

        def worker(self, todo):
            while todo:
                yield WRITE_ONCE(self.count, todo.pop())

    with pytest.raises(ProgramError, match="its argument number 1 has changed while worker ran"):
        explore(Argument)


def test_a_cell_made_inside_a_program():
    """Such a cell belongs to no state."""

    def makes(self):
        yield WRITE_ONCE(Cell(0), 1)

    text = error_of(makes, ModelError)
    assert "a program uses a Cell that is no attribute of the scenario" in text
    assert "Make it in setup: self.name = Cell(...)." in text


def test_a_field_of_a_cell():
    """A cell is no variable: it has no value outside of a state."""

    class Value(Base):
        @thread(cpu=0)
        def worker(self):
            yield smp_mb()
            yield WRITE_ONCE(self.count, self.count + 1)

    (failure,) = explore(Value).failures
    assert "TypeError" in failure.message and "worker" in failure.message


# --- what a cell can hold -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: [1], "a cell cannot hold a list ([1]): it could be changed without a step. Use a tuple."),
        (lambda: {1: 2}, "a cell cannot hold a dict ({1: 2}): it could be changed without a step. Use a tuple of pairs."),
        (lambda: ({1},), "a cell cannot hold a set ({1}): it could be changed without a step. Use a frozenset."),
        (lambda: bytearray(b"a"), "Use bytes."),
        (lambda: iter([1]), "a list_iterator can be changed without a step."),
        (lambda: ValueError(), "a ValueError can be changed without a step."),
        (lambda: io.StringIO(), "the machine cannot see what is in a StringIO"),
    ],
)
def test_a_cell_holds_what_cannot_change(make, said):
    """At the start and in a program: what could be changed without a step is refused, with what to use instead."""

    class Holds(Base):
        def setup(self):
            self.thing = Cell(make())
            self.add_thread(self.worker)

        def worker(self):
            yield smp_mb()

    with pytest.raises(ScenarioError) as caught:
        explore(Holds)
    assert said in str(caught.value)
    assert str(caught.value).startswith("Holds: thing: ")

    def writes(self):
        value = make()
        yield smp_mb()
        yield WRITE_ONCE(self.count, value)

    assert said in error_of(writes) or "the machine cannot see what is in a" in error_of(writes)


def test_too_many_objects():
    """A schedule that allocates more than the bound says how to raise it."""

    class Many(Base):
        def setup(self):
            self.item = Struct("item", capacity=2)
            self.add_thread(self.worker)

        def worker(self):
            for _ in range(3):
                yield kzalloc(self.item)

    with pytest.raises(ProgramError, match=r"more than 2 objects item .* capacity=4, .*worker, line \d+ of test_errors"):
        explore(Many)
