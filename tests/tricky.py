"""Programs that are hard to merge rightly, and three ways to search them.

Used by test_program.py, and by test_pyodide.py, which sends this whole file to another Python; so it needs
nothing but the engine.
"""

import collections
import csv
import functools
import io
import itertools
import random
import struct
import threading
from contextlib import contextmanager

from vmbus_teach import Scenario, explore
from vmbus_teach import position as position_module
from vmbus_teach import program as program_module
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, choose, smp_mb

# --- the tricky programs ---------------------------------------------------------------------------


class Tricky(Scenario):
    """A program that reads ``bit``, which somebody sets at any time, and leaves its conclusion in ``out``."""

    def setup(self, program):
        self.bit = Cell(0)
        self.out = Cell("unfinished")
        self.add_thread(program, self)
        self.add_thread(self.set_the_bit)

    def set_the_bit(self):
        yield WRITE_ONCE(self.bit, 1)

    def outcome(self, s):
        return repr(s[self.out])


PROGRAMS = {}


def tricky(function):
    """Adds a program to the collection."""
    PROGRAMS[function.__name__] = function
    return function


def loop_over(items):
    """A program that goes through equal items, or ones that it does not look at, two steps for each."""

    def go_through(s):
        seen = 0
        for _ in items():
            seen += yield READ_ONCE(s.bit)
            yield smp_mb()
        yield WRITE_ONCE(s.out, seen)

    return go_through


LOOPS = {
    "tuple": lambda: (0, 0, 0),
    "list": lambda: [0, 0, 0],
    "str": lambda: "aaa",
    "wide_str": lambda: "ααα",
    "bytes": lambda: b"aaa",
    "bytearray": lambda: bytearray(b"aaa"),
    "dict": lambda: {1: 0, 2: 0, 3: 0},
    "dict_values": lambda: {1: 0, 2: 0, 3: 0}.values(),
    "dict_items": lambda: {1: 0, 2: 0, 3: 0}.items(),
    "set": lambda: {1, 2, 3},
    "frozenset": lambda: frozenset({1, 2, 3}),
    "range": lambda: range(3),
    "huge_range": lambda: range(1 << 70, (1 << 70) + 3),
    "enumerate": lambda: enumerate("aaa"),
    "zip": lambda: zip("aaa", [0, 0, 0], strict=True),
    "reversed_list": lambda: reversed([0, 0, 0]),
    "reversed_tuple": lambda: reversed((0, 0, 0)),
    "reversed_dict": lambda: reversed({1: 0, 2: 0, 3: 0}),
    "map": lambda: map(abs, [0, 0, 0]),
    "filter": lambda: filter(None, [1, 1, 1]),
    "nested": lambda: zip(enumerate("aaa"), map(abs, [0, 0, 0]), reversed("aaa"), strict=True),
    "generator_expression": lambda: (0 for _ in range(3)),
    "call_until": lambda: iter([1, 0, 0, 0].pop, 1),
    "repeat": lambda: itertools.repeat(0, 3),
    "islice_of_count": lambda: itertools.islice(itertools.count(), 3),
    "islice_of_cycle": lambda: itertools.islice(itertools.cycle([0]), 3),
    "chain": lambda: itertools.chain([0], (0,), "0"),
    "starmap": lambda: itertools.starmap(max, [(0, 0)] * 3),
    "file_like": lambda: io.StringIO("a\na\na\n"),
    "csv_reader": lambda: csv.reader(["a", "a", "a"]),
    "unpack": lambda: struct.iter_unpack("B", b"aaa"),
    "deque": lambda: collections.deque([0, 0, 0]),
    "counter": lambda: collections.Counter("aaa").elements(),
    "ordered": lambda: collections.OrderedDict.fromkeys([1, 2, 3]),
    "memoryview": lambda: memoryview(b"aaa"),
    "liar": lambda: Liar(),
    "own_iterator": lambda: Countdown(),
}
for kind, make_items in LOOPS.items():
    PROGRAMS["loop_over_" + kind] = loop_over(make_items)


class Liar:
    """Says to whoever asks that there is nothing in it."""

    def __init__(self):
        self.left = 3

    def __iter__(self):
        return self

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return 0

    def __getstate__(self):
        return {}


class Countdown:
    """An iterator with its position in a private slot."""

    __slots__ = ("__left",)

    def __init__(self):
        self.__left = 3

    def __iter__(self):
        return self

    def __next__(self):
        self.__left -= 1
        if self.__left < 0:
            raise StopIteration
        return 0


@tricky
def nested_loops(s):
    """Loops in loops, over the same list."""
    items, count = [0, 0], 0
    for _ in items:
        for _ in items:
            yield smp_mb()
            count += yield READ_ONCE(s.bit)
    yield WRITE_ONCE(s.out, count)


@tricky
def yield_from_in_a_loop(s):
    """The loops are spread over three generators."""

    def inner():
        for _ in "aa":
            yield smp_mb()
        return (yield READ_ONCE(s.bit))

    def middle():
        total = 0
        for _ in "aa":
            total += yield from inner()
        return total

    yield WRITE_ONCE(s.out, (yield from middle()))


@tricky
def helper_by_next(s):
    """A generator that is advanced by next(): its position lies in a variable."""

    def operations():
        for _ in "aaa":
            yield READ_ONCE(s.bit)

    helper, total = operations(), 0
    while (operation := next(helper, None)) is not None:
        total += yield operation
    yield WRITE_ONCE(s.out, total)


@tricky
def helper_by_for(s):
    """A generator of operations that is gone through by for."""
    total = 0
    for operation in (READ_ONCE(s.bit) for _ in range(3)):
        total += yield operation
    yield WRITE_ONCE(s.out, total)


@tricky
def helper_by_send(s):
    """A generator that is told the results by hand."""

    def operations():
        first = yield READ_ONCE(s.bit)
        second = yield READ_ONCE(s.bit)
        return (first, second)

    helper = operations()
    try:
        operation = next(helper)
        while True:
            operation = helper.send((yield operation))
    except StopIteration as done:
        result = done.value
    yield smp_mb()
    yield WRITE_ONCE(s.out, result)


@tricky
def nonlocal_closure(s):
    """What was read is kept in the variable of a closure."""
    total = 0

    def note(value):
        nonlocal total
        total = total * 2 + value

    for _ in range(2):
        note((yield READ_ONCE(s.bit)))
    yield smp_mb()
    yield WRITE_ONCE(s.out, total)


@tricky
def closures_made_in_a_loop(s):
    """Functions that differ only by what they have captured."""
    first = yield READ_ONCE(s.bit)
    functions = [lambda n=number: (n, first) for number in range(2)]
    second = yield READ_ONCE(s.bit)
    yield smp_mb()
    yield WRITE_ONCE(s.out, functions[second]())


@tricky
def attribute_of_a_function(s):
    """What was read is kept on a function object."""

    def note():
        pass

    note.value = yield READ_ONCE(s.bit)
    yield smp_mb()
    yield WRITE_ONCE(s.out, note.value)


@tricky
def aliases_or_copies(s):
    """Two names for one list, or two equal lists."""
    first = yield READ_ONCE(s.bit)
    one = [0]
    other = one if first else [0]
    del first
    yield smp_mb()
    one.append(1)
    yield smp_mb()
    yield WRITE_ONCE(s.out, tuple(other))


@tricky
def aliases_inside_a_tuple(s):
    """The same, where the list is reached through something immutable."""
    inside = []
    pair = (inside, inside if (yield READ_ONCE(s.bit)) else [])
    yield smp_mb()
    pair[0].append(1)
    yield WRITE_ONCE(s.out, len(pair[1]))


@tricky
def iterator_of_this_list_or_another(s):
    """A list that grows while an iterator of it, or of its twin, is in use."""
    one = [0, 0]
    it = iter(one if (yield READ_ONCE(s.bit)) else [0, 0])
    next(it)
    yield smp_mb()
    one.append(0)
    yield WRITE_ONCE(s.out, len(list(it)))


@tricky
def iterator_of_this_dict_or_another(s):
    """A dictionary that changes while an iterator of it, or of its twin, is in use."""
    one = {1: 0, 2: 0}
    it = iter((one if (yield READ_ONCE(s.bit)) else {1: 0, 2: 0}).values())
    next(it)
    yield smp_mb()
    one[2] = 9
    yield WRITE_ONCE(s.out, next(it))


@tricky
def changed_while_gone_through(s):
    """A dictionary that has grown under an iterator, which notices at the next step."""
    one = {1: 0, 2: 0}
    it = iter(one)
    if (yield READ_ONCE(s.bit)):
        one[3] = 0
    yield smp_mb()
    one.pop(3, None)
    one[4] = 0
    try:
        result = next(it)
    except RuntimeError:
        result = "changed"
    yield WRITE_ONCE(s.out, result)


@tricky
def two_iterators(s):
    """Two iterators over equal dictionaries; what describes one is gone when the next is looked at."""
    one, other = iter({1: 0, 2: 0}), iter({1: 0, 2: 0})
    if (yield READ_ONCE(s.bit)):
        next(one), next(other)
    yield smp_mb()
    yield WRITE_ONCE(s.out, (len(list(one)), len(list(other))))


@tricky
def one_iterator_ahead(s):
    """The same, with only the second one advanced."""
    one, other = iter({1: 0, 2: 0}.items()), iter({1: 0, 2: 0}.items())
    if (yield READ_ONCE(s.bit)):
        next(other)
    yield smp_mb()
    yield WRITE_ONCE(s.out, (len(list(one)), len(list(other))))


@tricky
def mutable_locals(s):
    """A list, a set and a dictionary that remember."""
    a, b, c = [], set(), {}
    for number in range(2):
        value = yield READ_ONCE(s.bit)
        a.append(value), b.add(value), c.setdefault(value, number)
        value = None
    yield smp_mb()
    yield WRITE_ONCE(s.out, (tuple(a), frozenset(b), tuple(c.items())))


@tricky
def list_that_holds_itself(s):
    """A cycle."""
    ring = []
    ring.append(ring)
    if (yield READ_ONCE(s.bit)):
        ring.append(ring)
    yield smp_mb()
    yield WRITE_ONCE(s.out, len(ring[0]))


@tricky
def kinds_of_one(s):
    """True, 1 and 1.0 are equal, and not the same."""
    value = (1, True, 1.0)[(yield READ_ONCE(s.bit)) + (yield READ_ONCE(s.bit))]
    yield smp_mb()
    yield WRITE_ONCE(s.out, type(value).__name__)


@tricky
def kinds_of_zero(s):
    """0.0 and -0.0 are equal, and not the same."""
    value = -0.0 if (yield READ_ONCE(s.bit)) else 0.0
    yield smp_mb()
    yield WRITE_ONCE(s.out, str(value))


@tricky
def kinds_of_one_in_a_cell(s):
    """The same through shared state."""
    yield WRITE_ONCE(s.out, (1, True, 1.0, -0.0, 0.0)[(yield choose((0, 1, 2, 3, 4)))])
    yield WRITE_ONCE(s.out, repr((yield READ_ONCE(s.out))))


@tricky
def one_line_two_operations(s):
    """The same position hands over different operations, and forgets which."""
    chosen = [WRITE_ONCE(s.out, "a"), WRITE_ONCE(s.out, "b")]
    index = yield READ_ONCE(s.bit)
    yield chosen.pop(index) if chosen.reverse() else (chosen[index], chosen.clear())[0]


@tricky
def half_an_expression(s):
    """A value that lies nowhere but in an expression half evaluated."""
    yield WRITE_ONCE(s.out, [(yield READ_ONCE(s.bit)), (yield smp_mb())][0])


@tricky
def half_a_call(s):
    """The same for arguments, and for the method that will be called."""

    def text(*args):
        return repr(args)

    letters = ("a", "b")
    yield WRITE_ONCE(s.out, text((yield READ_ONCE(s.bit)), (yield smp_mb()), letters[(yield READ_ONCE(s.bit))].upper()))


@tricky
def half_a_sum(s):
    """Sums whose left half has been read."""
    total = (yield READ_ONCE(s.bit)) * 10 + (yield READ_ONCE(s.bit)) * 2 + (yield READ_ONCE(s.bit))
    yield WRITE_ONCE(s.out, total)


@tricky
def caught_and_raised_later(s):
    """An exception is kept over a yield; what is in it makes the difference."""
    kept = None
    try:
        raise ValueError((yield READ_ONCE(s.bit)))
    except ValueError as error:
        kept = error
    yield smp_mb()
    try:
        raise kept
    except ValueError as error:
        result = error.args
    yield WRITE_ONCE(s.out, result)


@tricky
def yield_in_a_handler(s):
    """The exception that is being handled lies nowhere but on the hidden stack."""
    result = "nothing"
    try:
        try:
            raise (KeyError, IndexError)[(yield READ_ONCE(s.bit))]()
        except LookupError:
            yield smp_mb()
            raise
    except KeyError:
        result = "key"
    except IndexError:
        result = "index"
    yield WRITE_ONCE(s.out, result)


@tricky
def what_an_os_error_hides(s):
    """An OSError keeps its file name beside its arguments."""
    error = OSError(2, "no such file", ("a", "b")[(yield READ_ONCE(s.bit))])
    yield smp_mb()
    yield WRITE_ONCE(s.out, error.filename)


@tricky
def why_finally_runs(s):
    """A finally is entered by return, by an exception or by falling in; that decides where it leads."""

    def three_ways(how):
        try:
            if how == 1:
                return "returned"
            if how == 2:
                raise ValueError
        finally:
            yield smp_mb()
        return "fell through"

    how = (yield READ_ONCE(s.bit)) + (yield READ_ONCE(s.bit))
    try:
        result = yield from three_ways(how)
    except ValueError:
        result = "raised"
    yield WRITE_ONCE(s.out, result)


@tricky
def finally_with_a_value(s):
    """The value to be returned waits while finally yields."""

    def inside():
        value = yield READ_ONCE(s.bit)
        try:
            return value * 10
        finally:
            value = 0
            yield smp_mb()

    yield WRITE_ONCE(s.out, (yield from inside()))


@tricky
def with_statement(s):
    """What a with statement will call at its end is hidden."""

    @contextmanager
    def note(log, value):
        yield
        log.append(value)

    log = []
    with note(log, (yield READ_ONCE(s.bit))):
        yield smp_mb()
    yield WRITE_ONCE(s.out, tuple(log))


@tricky
def bound_or_not(s):
    """A variable that may have no value yet."""
    if (yield READ_ONCE(s.bit)):
        late = 1
    yield smp_mb()
    try:
        result = late
    except UnboundLocalError:
        result = "unbound"
    yield WRITE_ONCE(s.out, result)


@tricky
def deleted_or_not(s):
    """del reads: it fails where there is nothing to delete."""
    if (yield READ_ONCE(s.bit)):
        late = 1
    yield smp_mb()
    try:
        del late
        result = "deleted"
    except UnboundLocalError:
        result = "unbound"
    yield WRITE_ONCE(s.out, result)


@tricky
def dead_variable_beside_live_ones(s):
    """The dead variable's value is also the first live one's; the other way round in the other branch."""
    one, two, gone = 5, 6, 7
    if (yield READ_ONCE(s.bit)):
        one, two, gone = 6, 5, 5
    else:
        one, two, gone = 5, 6, 8
    yield smp_mb()
    yield WRITE_ONCE(s.out, (one, two))
    gone = None
    yield WRITE_ONCE(s.out, (one, two, gone))


@tricky
def dead_and_equal(s):
    """Swapped values, with a dead variable that hides the swap if it is taken out carelessly."""
    a = yield READ_ONCE(s.bit)
    one, two, _dead = (300, 400, 300) if a else (400, 300, 500)
    a = None
    yield smp_mb()
    yield WRITE_ONCE(s.out, (one, two))


@tricky
def seen_by_locals(s):
    """A variable that no instruction reads, and locals() does."""
    hidden = yield READ_ONCE(s.bit)
    yield smp_mb()
    yield WRITE_ONCE(s.out, locals()["hidden"])
    hidden = None


@tricky
def seen_by_eval(s):
    """A variable that only eval() reads."""
    hidden = yield READ_ONCE(s.bit)  # noqa: F841
    yield smp_mb()
    yield WRITE_ONCE(s.out, eval("hidden"))


@tricky
def walrus(s):
    """A value that is named in the middle of an expression."""
    if (value := (yield READ_ONCE(s.bit))) or (value := (yield READ_ONCE(s.bit)) + 5):
        yield smp_mb()
        yield WRITE_ONCE(s.out, value)


@tricky
def match_statement(s):
    """Patterns that bind names."""
    pair = ((yield READ_ONCE(s.bit)), (yield READ_ONCE(s.bit)))
    match pair:
        case (0, other) | (other, 0):
            yield smp_mb()
            result = ("a zero and", other)
        case (one, other):
            yield smp_mb()
            result = one + other
    yield WRITE_ONCE(s.out, result)


@tricky
def unfinished_generator_expression(s):
    """A generator expression that captures, and is advanced in between."""
    factor = yield READ_ONCE(s.bit)
    products = (factor * number for number in (1, 2, 3))
    next(products)
    yield smp_mb()
    yield WRITE_ONCE(s.out, sum(products))


@tricky
def object_attributes(s):
    """An object of a class written in Python."""
    thing = Countdown()
    if (yield READ_ONCE(s.bit)):
        next(thing)
    yield smp_mb()
    yield WRITE_ONCE(s.out, len(list(thing)))


@tricky
def named_tuple_and_its_kind(s):
    """Equal as tuples, of different classes."""
    kinds = (collections.namedtuple("One", "x"), collections.namedtuple("Other", "x"))
    value = kinds[(yield READ_ONCE(s.bit))](1)
    yield smp_mb()
    yield WRITE_ONCE(s.out, type(value).__name__)


class TupleWithMore(tuple):
    """A tuple that can be given attributes."""


@tricky
def tuple_with_attributes(s):
    """The difference is not in the items."""
    value = TupleWithMore((1, 2))
    value.more = yield READ_ONCE(s.bit)
    yield smp_mb()
    yield WRITE_ONCE(s.out, value.more)


@tricky
def random_numbers(s):
    """A random number generator with a fixed start is deterministic, and its state cannot be read."""
    dice = random.Random(3)
    if (yield READ_ONCE(s.bit)):
        dice.random()
    yield smp_mb()
    yield WRITE_ONCE(s.out, dice.randrange(1_000_000))


@tricky
def a_lock_of_python(s):
    """An object written in C that hides whether it is taken."""
    lock = threading.Lock()
    if (yield READ_ONCE(s.bit)):
        lock.acquire()
    yield smp_mb()
    yield WRITE_ONCE(s.out, lock.locked())


@tricky
def a_cached_function(s):
    """A cache fills up unseen."""

    @functools.lru_cache
    def double(value):
        return value * 2

    double((yield READ_ONCE(s.bit)))
    double((yield READ_ONCE(s.bit)))
    yield smp_mb()
    yield WRITE_ONCE(s.out, double.cache_info().currsize)


@tricky
def methods_bound_to_lists(s):
    """Half a method call."""
    push = [].append if (yield READ_ONCE(s.bit)) else [1].append
    yield smp_mb()
    yield WRITE_ONCE(s.out, len(push.__self__))


# --- how they are searched ---------------------------------------------------------------------------


def verdict(program, max_states=5_000):
    """All that a search says about a program."""
    result = explore(Tricky(program=program), max_states=max_states)
    return result.complete, result.outcomes, result.schedules, [(f.kind, f.message, f.share) for f in result.failures]


@contextmanager
def by_history():
    """Positions told apart by all results since the start: nothing is merged that has a different past."""
    before, program_module.frames_can_be_read = program_module.frames_can_be_read, lambda: False
    try:
        yield
    finally:
        program_module.frames_can_be_read = before


@contextmanager
def nothing_dead():
    """No variable is left out of a position."""
    before, position_module.live_after = position_module.live_after, lambda code: None
    try:
        yield
    finally:
        position_module.live_after = before


def three_verdicts(program):
    """By history, which cannot be wrong; as usual; with no variable taken for dead."""
    with by_history():
        reference = verdict(program)
    usual = verdict(program)
    with nothing_dead():
        all_alive = verdict(program)
    return reference, usual, all_alive
