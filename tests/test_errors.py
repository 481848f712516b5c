"""Bad input: every mistake gets an error that says what, where, the likely cause and the next step."""

import functools
import inspect
import io
import os
import signal
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
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, ModelError, Struct, kzalloc, smp_mb

COUNTER = 0
SEEN = []
UNSEEN = io.StringIO("x" * 1000)


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
        (yields_a_number, "yields 7 (an int), which is no operation."),
        (forgets_from, "yields the generator bare_yield, which is no operation. To run another program inside this "
                       "one, write: yield from bare_yield(...)."),
        (forgets_to_call, "yields smp_mb itself, which is no operation. Call it, as in: yield smp_mb(...)."),
    ],
)
def test_yields_no_operation(program, said):
    """The line is named, what was yielded, and what to write instead."""
    text = error_of(program)
    line = line_of(program, program.__doc__) + 1 + (program is yields_a_number)
    assert text.startswith(f"{program.__name__}, line {line} of test_errors.py yields ")
    assert said in text


def test_no_yield_at_all():
    """A method without yield is no program."""
    assert error_of(lambda self: READ_ONCE(self.count)) == (
        "<lambda> is not a program: it has no yield, so it gives READ_ONCE(count) instead of operations. "
        "Write yield before each operation, as in: value = yield READ_ONCE(cell)."
    )


# --- programs that run away ---------------------------------------------------------------------------


def loops(self):
    """Loops."""
    while True:
        pass


def loops_later(self):
    """Loops later."""
    yield READ_ONCE(self.count)
    while True:
        self.list.index(1)


def loops_and_catches_exceptions(self):
    """Loops and catches exceptions."""
    yield READ_ONCE(self.count)
    while True:
        try:
            self.list.index(1)
        except Exception:
            pass


def loops_and_catches_everything(self):
    """Loops and catches everything."""
    yield READ_ONCE(self.count)
    while True:
        try:
            self.list.index(1)
        except:  # noqa: E722
            pass


def catches_everything_once(self):
    """Catches everything once."""
    yield READ_ONCE(self.count)
    try:
        while True:
            self.list.index(1)
    except BaseException:
        yield smp_mb()


def loops_inside_of_what_catches_everything(self):
    """Loops inside of what catches everything."""
    yield READ_ONCE(self.count)
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass


def catches_everything_around_a_helper(self):
    """Catches everything around a helper."""
    yield READ_ONCE(self.count)
    while True:
        try:
            any(item < 0 for item in endless())
        except:  # noqa: E722
            continue


def finally_goes_on(self):
    """Finally goes on."""
    yield READ_ONCE(self.count)
    while True:
        try:
            while True:
                pass
        finally:
            continue  # noqa: B012


def loops_in_a_helper(self):
    """Loops in a helper."""
    yield READ_ONCE(self.count)
    any(item < 0 for item in endless())


def endless():
    """Endless."""
    while True:
        yield 1


@pytest.mark.parametrize(
    "program",
    [loops_later, loops_and_catches_exceptions, loops_and_catches_everything, catches_everything_once,
     loops_inside_of_what_catches_everything, catches_everything_around_a_helper, finally_goes_on, loops_in_a_helper],
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
    """Recurses."""
    return recurses(self)
    yield


def recurses_by_a_helper(self):
    """Recurses by a helper."""
    yield READ_ONCE(self.count)
    deeper(1)


def deeper(number):
    """Deeper."""
    return deeper(number + 1)


def recurses_and_yields(self):
    """Recurses and yields."""
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
        _ = 1 // 0
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
    assert text.startswith("reads_a_number: READ_ONCE takes a Cell as cell, not 5 (an int).")
    assert f"line {line_of(reads_a_number, 'READ_ONCE(5)')} of test_errors.py" in text


def test_not_deterministic():
    """A program that does something else the second time is told so."""
    UNSEEN.seek(0)

    def moody(self):
        yield READ_ONCE(self.count)
        for _ in range(3):
            yield WRITE_ONCE(self.count, UNSEEN.tell())
            UNSEEN.read(1)
            yield READ_ONCE(self.count)

    class Moody(Base):
        @thread()
        def other(self):
            yield WRITE_ONCE(self.count, 5)

    Moody.worker = thread()(moody)
    Moody.worker.__name__ = "moody"
    with pytest.raises(ProgramError, match=r"moody does not always do the same: .* random numbers"):
        explore(Moody)


# --- changes behind the machine's back ----------------------------------------------------------------


def writes_self(self):
    """Writes self."""
    yield READ_ONCE(self.count)
    self.total = 1


def replaces_a_cell(self):
    """Replaces a cell."""
    yield READ_ONCE(self.count)
    self.count = 1


def adds_to_a_cell(self):
    """Adds to a cell."""
    yield READ_ONCE(self.count)
    self._private = 1


def deletes(self):
    """Deletes."""
    yield READ_ONCE(self.count)
    del self.list


def changes_a_list(self):
    """Changes a list."""
    yield READ_ONCE(self.count)
    self.list.append(3)
    yield smp_mb()


def changes_the_class(self):
    """Changes the class."""
    yield READ_ONCE(self.count)
    type(self).cpus = 1000
    yield smp_mb()


def changes_a_global(self):
    """Changes a global."""
    global COUNTER
    yield READ_ONCE(self.count)
    COUNTER += 1


def changes_a_global_list(self):
    """Changes a global list."""
    yield READ_ONCE(self.count)
    SEEN.append(1)
    yield smp_mb()


def note():
    """Note."""
    SEEN.append(1)


def changes_it_through_a_helper(self):
    """Changes it through a helper."""
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
        (changes_a_list, ProgramError, "changes_a_list has changed self.list while it ran."),
        (changes_the_class, ProgramError, "changes_the_class has changed self.cpus while it ran."),
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

    with pytest.raises(ProgramError, match="the variable number of the function around it has changed"):
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
        (lambda: {1: 2}, "a cell cannot hold a dict ({1: 2}): it could be changed without a step. Use a tuple of "
         "pairs."),
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

    with pytest.raises(ProgramError, match=r"more 'item' objects .* room for \(2\).* capacity=6.*worker, line \d+ of"):
        explore(Many)


# --- how a scenario is declared -----------------------------------------------------------------------


def declare(**members):
    """A scenario class with these members, and a thread if none of them makes one."""
    members.setdefault("setup", lambda self: setattr(self, "count", Cell(0)))
    if "worker" not in members:

        def worker(self):
            yield WRITE_ONCE(self.count, 1)

        members["worker"] = thread()(worker)
    return type("Declared", (Scenario,), members)


def reader(self):
    """A program to be declared in various ways."""
    yield READ_ONCE(self.count)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: declare(worker=None), "Declared has no programs, so nothing can happen. Put @thread(cpu=0)"),
        (lambda: declare(cpus=-1), "cpus = -1; it is the number of CPUs, such as cpus = 2."),
        (lambda: declare(cpus="2"), "cpus = '2'; it is the number of CPUs"),
        (lambda: declare(cpus=True), "cpus = True; it is the number of CPUs"),
        (lambda: declare(cpus=2, more=thread(cpu=2)(lambda self: reader(self))),
         "more is to run on CPU 2, but the scenario has CPUs 0 to 1. Set cpus = 3 in the class."),
        (lambda: declare(more=thread(cpu=0)(lambda self: reader(self))),
         "more is to run on CPU 0, but the scenario has no shared CPU. Set cpus = 1 in the class."),
        (lambda: declare(cpus=1, more=thread(cpu=-1)(lambda self: reader(self))), "CPUs are numbered 0, 1, ..."),
        (lambda: declare(cpus=1, more=thread(cpu=0, host=True)(lambda self: reader(self))),
         "more is declared on the host and on CPU 0; choose one."),
        (lambda: declare(more=thread(copies=0)(lambda self: reader(self))), "copies=0) on more; copies is at least 1."),
        (lambda: declare(more=interrupt(cpu=0)(lambda self: reader(self))), "more is to run on CPU 0"),
        (lambda: declare(setup=lambda self: self.add_thread(reader, self, name="two words")),
         "'two words' cannot be the name of a context"),
        (lambda: declare(setup=lambda self: self.add_thread(reader(self))), "is no program: it cannot be called."),
        (lambda: declare(setup=lambda self: self.add_thread(functools.partial(reader, self), name="part")),
         "the machine cannot see what is in part"),
        (lambda: declare(setup=lambda self: self.add_thread(reader, self, io.StringIO(), name="r")),
         "cannot see what is in an argument of r"),
        (lambda: declare(setup=lambda self: 1 // 0), "setup of Declared raises ZeroDivisionError"),
        (lambda: declare(
            worker_0=thread()(lambda self: reader(self)), worker=thread(copies=2)(lambda self: reader(self))
        ),
         "two contexts named 'worker_0'; give one another name."),
    ],
)
def test_wrong_declarations(make, said):
    """What is declared wrongly is refused before anything runs."""
    with pytest.raises(ScenarioError) as caught:
        explore(make())
    assert said in str(caught.value)


def test_setup_that_raises_names_its_line():
    """An error in setup is told with the line, and the original error is kept."""

    class Broken(Base):
        def setup(self):
            self.list = [1, 2][5]

    with pytest.raises(ScenarioError, match=rf"setup of Broken raises IndexError: .*\(in setup, line "
                                            rf"{line_of(Broken.setup, '[5]')} of test_errors.py\)") as caught:
        Broken()
    assert isinstance(caught.value.__cause__, IndexError)


def test_wrong_parameters():
    """Parameters that setup does not take are told with those that it takes."""

    class Takes(Base):
        def setup(self, channels=1):
            self.count = Cell(channels)

    with pytest.raises(ScenarioError, match=r"Takes\(chanels\): setup does not take these .* setup\(channels=1\)"):
        Takes(chanels=2)
    with pytest.raises(ScenarioError, match=r"Takes\(2\): parameters are given by name. .* setup\(channels=1\)"):
        Takes(2)


def test_thread_without_parentheses():
    """A decorator that needs parentheses says so at once."""
    with pytest.raises(ScenarioError, match=r"write @thread\(\) with parentheses, or @thread\(cpu=0\)"):
        thread(reader)
    with pytest.raises(ScenarioError, match=r"write @interrupt\(cpu=0\)"):
        interrupt(reader)


def test_roles_are_inherited():
    """A repair overrides a method without repeating the decorator; it cannot take a role away."""

    class Original(Base):
        @thread(cpu=0)
        def worker(self):
            yield WRITE_ONCE(self.count, 1)

        @at_end
        def is_two(self, s):
            return s[self.count] == 2

    class Repaired(Original):
        def worker(self):
            yield WRITE_ONCE(self.count, 2)

    assert [f.kind for f in explore(Original).failures] == ["at_end"]
    assert explore(Repaired).ok
    with pytest.raises(ScenarioError, match="Gone sets is_two to None, but is_two is declared with @at_end"):
        explore(type("Gone", (Original,), {"is_two": None}))


# --- properties ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        (lambda self, s: None, "the property holds of Declared returns nothing. It must return whether it holds"),
        (lambda self, s: 1 // 0, "the property holds of Declared raises ZeroDivisionError"),
        (lambda self, s: (yield), "the property holds of Declared yields; a property is a plain method that returns."),
        (lambda self, s: s["count"], "a state is asked for a Cell or another piece of shared state."),
    ],
)
@pytest.mark.parametrize("kind", [invariant, at_end])
def test_broken_properties(holds, said, kind):
    """A property that cannot answer is the model's mistake, and never a pass."""
    holds.__name__ = "holds"
    with pytest.raises(ScenarioError) as caught:
        explore(declare(holds=kind(holds)))
    assert said in str(caught.value)


# --- explore ------------------------------------------------------------------------------------------


class Enormous(Scenario):
    """Seven threads with seven steps each, which all leave different traces: 8 ** 7 positions and more."""

    def setup(self):
        self.count = [Cell(0) for _ in range(7)]
        for number in range(7):
            self.add_thread(self.worker, number, name=f"worker{number}")
        self.wrong = Cell(0)

    def worker(self, number):
        for value in range(7):
            yield WRITE_ONCE(self.count[number], value)

    @invariant
    def worker0_has_not_begun_its_third_round(self, s):
        return s[self.count[0]] < 2


def test_too_many_states():
    """The search stops at max_states, says so, keeps what it found, and is never a pass."""
    result = explore(Enormous, max_states=20_000)
    assert not result.complete and not result.ok
    assert result.reason == "stopped at max_states = 20,000"
    assert result.schedules is None
    assert [failure.kind for failure in result.failures] == ["invariant"]
    assert result.failures[0].schedule.steps == ("worker0",) * 3
    assert "stopped at max_states = 20,000: " in str(result)
    assert "what was not looked at may hold more failures" in str(result)


def test_stopped_by_hand(monkeypatch):
    """The stop button keeps what was found until then."""
    rounds = iter(range(100))

    def stop(progress):
        if next(rounds) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(search_module, "REPORT_EVERY", 1_000)
    result = explore(Enormous, progress=stop)
    assert (result.complete, result.reason) == (False, "stopped by hand")
    assert 2_000 <= result.graph.expanded <= 2_001
    assert len(result.failures) == 1
    assert "stopped by hand" in str(result)


def test_stopped_inside_a_program():
    """The stop button may hit a program, which must not take it for its own."""

    class Stopped(Base):
        @thread(cpu=0)
        def worker(self):
            yield READ_ONCE(self.count)
            try:
                signal.raise_signal(signal.SIGINT)
            except BaseException:
                yield WRITE_ONCE(self.count, 1)
            yield smp_mb()

    result = explore(Stopped)
    assert (result.reason, result.complete) == ("stopped by hand", False)


@pytest.mark.parametrize("wrong", [None, 7, "Counter", Base.setup, int])
def test_no_scenario(wrong):
    """explore and Session say what they take."""
    for use in (explore, Session):
        with pytest.raises(ScenarioError, match=r"is no scenario. Give a subclass of Scenario, or an instance"):
            use(wrong)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, None, "many"])
def test_wrong_max_states(wrong):
    """max_states is a number, at least 1."""
    with pytest.raises(ScenarioError, match="it is the number of states after which to stop, at least 1"):
        explore(Enormous, max_states=wrong)


def test_names_with_markup():
    """Names are text: nothing is made of brackets in them, and they can be stepped and replayed."""

    class Markup(Base):
        def setup(self):
            self.count = Cell("<script>")
            self.add_thread(reader, self, name="<b>bold</b>&amp;")

    session = Session(Markup)
    session.step("<b>bold</b>&amp;")
    text = str(session.schedule)
    assert "<b>bold</b>&amp;" in text
    assert len(Session(Markup).replay(text)) == 1
    with pytest.raises(ScheduleError, match="<i>"):
        session.step("<i>")


# --- the same in a notebook ----------------------------------------------------------------------------

CELLS = {
    "imports": "from vmbus_teach import *\nfrom vmbus_teach.kernel import *",
    "no operation": """
class Nothing(Scenario):
    def setup(self):
        self.count = Cell(0)

    @thread()
    def worker(self):
        yield READ_ONCE(self.count)
        yield 7

explore(Nothing)""",
    "endless": """
class Endless(Nothing):
    def worker(self):
        yield READ_ONCE(self.count)
        while True:
            pass

explore(Endless)""",
    "exit": """
class Leaves(Nothing):
    def worker(self):
        yield READ_ONCE(self.count)
        exit()

explore(Leaves)""",
    "input": """
class Asks(Nothing):
    def worker(self):
        yield READ_ONCE(self.count)
        input()

explore(Asks)""",
    "setup": """
class Broken(Nothing):
    def setup(self):
        self.count = Cell(0).value

Broken()""",
    "raises": """
class Raises(Nothing):
    def worker(self):
        yield READ_ONCE(self.count)  # looks
        1 // 0

print(explore(Raises).failures[0].message)""",
    "misfit": "Session(Raises).replay('worker*5')",
    "listing": """
choice, = Session(Raises).choices()
print(choice.remark, choice.place, *choice.place.listing, sep='\\n')""",
}


def test_in_a_notebook(tmp_path):
    """The same for code that was typed in cells: the text alone, without the engine's frames, and the cell is named."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip()) for source in CELLS.values()])
    client = nbclient.NotebookClient(
        book, kernel_name="python3", allow_errors=True, timeout=60, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env={**os.environ, "PYTHONPATH": str(search_module.__file__).rsplit("/", 2)[0]})
    said = {}
    for name, cell in zip(CELLS, book.cells, strict=True):
        said[name] = "\n".join(
            "\n".join(output.traceback) if output.output_type == "error" else output.get("text", "")
            for output in cell.outputs
        )
    assert said["imports"] == ""
    assert said["no operation"].startswith(
        "ProgramError: worker, line 8 of cell In[2] yields 7 (an int), which is no operation."
    )
    assert any(f"(it is now at worker, line {line} of cell In[3])" in said["endless"] for line in (4, 5))
    assert said["exit"].startswith("ProgramError: worker calls exit() (in worker, line 4 of cell In[4])")
    assert said["input"].startswith("ProgramError: worker calls input() (in worker, line 4 of cell In[5])")
    assert "setup of Broken raises AttributeError" in said["setup"]
    assert "(in setup, line 3 of cell In[6])" in said["setup"]
    assert "worker raises ZeroDivisionError" in said["raises"] and "worker, line 4 of cell In[7]" in said["raises"]
    assert said["misfit"].startswith("ScheduleError: step 2 of 5 of the schedule does not fit: ")
    assert said["listing"].splitlines() == [
        "looks",
        "worker, line 3 of cell In[7]",
        "(2, 'def worker(self):')",
        "(3, '    yield READ_ONCE(self.count)  # looks')",
        "(4, '    1 // 0')",
    ]
    for text in said.values():
        assert "/vmbus_teach/" not in text and "Traceback" not in text


def test_finally_makes_no_noise():
    """A program that unlocks in its finally is dropped without a word on the screen."""
    program = (
        "from vmbus_teach import *; from vmbus_teach.kernel import *\n"
        "class Locks(Scenario):\n"
        "    cpus = 2\n"
        "    def setup(self):\n"
        "        self.lock, self.bit = Mutex(), Cell(0)\n"
        "    @thread(copies=2)\n"
        "    def worker(self):\n"
        "        yield mutex_lock(self.lock)\n"
        "        try:\n"
        "            yield READ_ONCE(self.bit)\n"
        "            yield WRITE_ONCE(self.bit, 1)\n"
        "        finally:\n"
        "            yield mutex_unlock(self.lock)\n"
        "print(explore(Locks).ok)\n"
    )
    root = search_module.__file__.rsplit("/", 2)[0]
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, timeout=60)
    assert (run.stdout, run.stderr) == ("True\n", "")
