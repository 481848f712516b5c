"""Merging: two positions of a program are one only if the program cannot tell them apart.

Merging too much is the worst mistake that the engine could make: it would miss schedules and call a broken
program right. So each tricky program (tricky.py) is searched three times: as usual; with positions told
apart by their whole history, which cannot be wrong; and with no variable taken for dead. All must agree.

To see that a program is tricky enough, the search is also *weakened*: one of the rules that keep positions
apart is switched off, and the program must notice.
"""

import gc
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tricky import PROGRAMS, Tricky, by_history, nothing_dead, three_verdicts, verdict

from vmbus_teach import ProgramError, Scenario, at_end, explore, liveness, thread
from vmbus_teach import position as position_module
from vmbus_teach import program as program_module
from vmbus_teach import values as values_module
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, atomic_fetch_add, smp_mb  # noqa: F401 (for programs made below)
from vmbus_teach.position import frames_can_be_read


def test_this_python_can_be_read():
    """The canary lives on every version of CPython that the course is tested with."""
    assert frames_can_be_read()


@pytest.mark.parametrize("name", PROGRAMS)
def test_merging_changes_nothing(name):
    """Merged, by history, and with nothing taken for dead: the same outcomes, schedules and failures."""
    reference, usual, all_alive = three_verdicts(PROGRAMS[name])
    assert reference[0], "the reference must have searched everything"
    assert reference == usual == all_alive
    assert "'unfinished'" not in usual[1]


# --- each rule is needed ----------------------------------------------------------------------------


def no_iterators(patch):
    """Iterators all look the same."""
    for kind, how in list(values_module._KEYS.items()):
        if "iterator" in kind.__name__ or kind in (enumerate, zip, map, filter, reversed):
            patch.setitem(values_module._KEYS, kind, lambda value, met: "an iterator")
        assert how


def no_hidden_stack(patch):
    """Only the variables are looked at, as Mosaic does."""

    def only_variables(running):
        return list(running.gi_frame.f_locals.values())

    patch.setattr(position_module, "gc", types.SimpleNamespace(get_referents=only_variables))


def no_inner_generators(patch):
    """Generators inside the program all look the same."""
    whole = values_module._KEYS[types.GeneratorType]
    patch.setattr(position_module, "position", lambda running: whole(running, {}))
    patch.setitem(values_module._KEYS, types.GeneratorType, lambda value, met: "a generator")


def no_aliases(patch):
    """Who shares a mutable value is not looked at."""
    for module in (values_module, position_module):
        patch.setattr(module, "meet", lambda value, met: None)


def no_kinds(patch):
    """1, True and 1.0 are the same, as for ==."""
    for kind in (int, bool, float):
        patch.setitem(values_module._KEYS, kind, lambda value, met: value)


def no_closures(patch):
    """What functions have captured is not looked at."""
    patch.setitem(values_module._KEYS, types.CellType, lambda value, met: "captured")


def no_function_attributes(patch):
    """What was assigned to a function is not looked at."""
    patch.setitem(values_module._KEYS, types.FunctionType, lambda value, met: value.__code__)


def no_exceptions(patch):
    """All exceptions of one class are the same."""
    patch.setattr(values_module, "_exception", lambda value, met: "an exception")


def no_members(patch):
    """What lies in slots is not looked at."""
    patch.setattr(values_module, "_members", lambda value: [])


def no_operations(patch):
    """Which operation is handed over is not looked at."""
    patch.setattr(program_module, "_operation_key", lambda operation: "an operation")


def no_doubt(patch):
    """Every object is believed to be all attributes."""
    patch.setattr(values_module, "_is_all_attributes", lambda kind: True)


def no_memory_of_temporaries(patch):
    """Values met are known by an identity that another value may have taken over since."""

    def forgetful(value, met):
        if id(value) in met:
            return ("met", met[id(value)][0])
        met[id(value)] = (len(met), None)
        return None

    for module in (values_module, position_module):
        patch.setattr(module, "meet", forgetful)


def no_owner_of_iterators(patch):
    """Which dictionary an iterator goes through is not looked at."""
    patch.setattr(values_module, "_gone_through", lambda iterator: [])


def all_dead(patch):
    """Every variable is taken for dead."""
    nothing = types.SimpleNamespace(get=lambda instruction: frozenset())
    patch.setattr(position_module, "live_after", lambda code: nothing)


def no_peepholes(patch):
    """locals() and eval() are not thought of."""
    patch.setattr(liveness, "_PEEPHOLES", frozenset())
    patch.setattr(position_module, "live_after", liveness.live_after.__wrapped__)


def deleting_is_no_reading(patch):
    """del is taken for a plain write."""
    known = liveness._written
    patch.setattr(
        liveness, "_written", lambda i: frozenset({i.argval}) if i.opname == "DELETE_FAST" else known(i)
    )
    patch.setattr(position_module, "live_after", liveness.live_after.__wrapped__)


def careless_taking_out(patch):
    """Only the values of dead variables are taken out, and the rest is taken in its order."""

    def careless(running, met):
        code, frame = running.gi_code, running.gi_frame
        if frame is None:
            return "ended"
        local = frame.f_locals
        visited = [x for x in gc.get_referents(running) if x is not local and x is not frame]
        readable = (position_module.live_after(code) or {}).get(frame.f_lasti, ())
        for name in code.co_varnames:
            if name in local and name not in readable:
                position_module._take_out(local[name], visited)
        names = tuple(name for name in code.co_varnames if name in local and name in readable)
        return (code, frame.f_lasti, names, tuple(values_module._key(x, met) for x in visited))

    patch.setattr(position_module, "_generator", careless)


NEEDED = {
    no_iterators: ["loop_over_tuple", "loop_over_str", "loop_over_range", "loop_over_dict_items", "loop_over_zip"],
    no_hidden_stack: ["nested_loops", "half_an_expression", "half_a_sum", "yield_in_a_handler", "finally_with_a_value"],
    no_inner_generators: ["yield_from_in_a_loop", "helper_by_for", "helper_by_next", "helper_by_send"],
    no_aliases: ["aliases_or_copies", "aliases_inside_a_tuple", "iterator_of_this_list_or_another"],
    no_kinds: ["kinds_of_one", "kinds_of_zero", "kinds_of_one_in_a_cell"],
    no_closures: ["nonlocal_closure", "closures_made_in_a_loop"],
    no_function_attributes: ["attribute_of_a_function"],
    no_exceptions: ["caught_and_raised_later", "yield_in_a_handler", "what_an_os_error_hides"],
    no_members: ["what_an_os_error_hides", "object_attributes", "loop_over_own_iterator"],
    no_operations: ["one_line_two_operations"],
    no_doubt: ["loop_over_unpack", "a_lock_of_python"],
    no_memory_of_temporaries: ["one_iterator_ahead"],
    no_owner_of_iterators: ["iterator_of_this_dict_or_another"],
    all_dead: ["mutable_locals", "bound_or_not", "walrus"],
    no_peepholes: ["seen_by_locals", "seen_by_eval"],
    deleting_is_no_reading: ["deleted_or_not"],
    careless_taking_out: ["dead_and_equal"],
}


@pytest.mark.parametrize(("rule", "name"), [(rule, name) for rule, names in NEEDED.items() for name in names])
def test_each_rule_is_needed(rule, name, monkeypatch):
    """With one rule switched off, a program that needs it is judged wrongly (or not at all)."""
    program = PROGRAMS[name]
    reference = verdict(program)
    rule(monkeypatch)
    try:
        weakened = verdict(program)
    except (ProgramError, KeyError, RecursionError):
        return  # the contradiction was even noticed
    assert weakened != reference


# --- merging has to happen, too ---------------------------------------------------------------------


class Forever(Scenario):
    """Programs that never end, beside one that does."""

    def setup(self, program):
        self.bit = Cell(0)
        self.add_thread(program, self)
        self.add_thread(self.flip)

    def flip(self):
        yield WRITE_ONCE(self.bit, 1)


def while_true(s):
    """Endless, with nothing to remember."""
    while True:
        yield READ_ONCE(s.bit)


def while_true_with_a_helper(s):
    """Endless, through a generator that is made anew in every round."""

    def inner():
        value = yield READ_ONCE(s.bit)
        return value

    while True:
        yield from inner()


def while_true_with_a_list(s):
    """Endless, with a list that is filled by a half finished call and emptied again."""
    log = []
    while True:
        log.append((yield READ_ONCE(s.bit)))
        log.clear()


def while_true_with_try(s):
    """Endless, catching what it raises itself."""
    while True:
        try:
            if (yield READ_ONCE(s.bit)):
                raise ValueError
        except ValueError:
            yield smp_mb()
        finally:
            yield smp_mb()


@pytest.mark.parametrize("program", [while_true, while_true_with_a_helper, while_true_with_a_list, while_true_with_try])
def test_endless_programs_are_searched_completely(program):
    """A loop whose rounds are alike has few positions, and infinitely many schedules."""
    result = explore(Forever(program=program))
    assert result.complete
    assert result.schedules is None
    assert result.states < 30


def test_counting_forever_is_cut_short():
    """A loop that remembers how often it went round has as many positions as rounds; the search stops, and says so."""

    def count(s):
        number = 0
        while True:
            yield READ_ONCE(s.bit)
            number += 1

    result = explore(Forever(program=count), max_states=500)
    assert not result.complete
    assert result.reason == "stopped at max_states = 500"


def test_dead_variables_make_no_difference():
    """A value that is never read again does not keep positions apart; a living one does."""

    class Dead(Scenario):
        def setup(self):
            self.bit = Cell(0)

        @thread()
        def reader(self):
            value = yield READ_ONCE(self.bit)
            copy = value  # noqa: F841
            yield smp_mb()
            yield smp_mb()

        @thread()
        def writer(self):
            yield WRITE_ONCE(self.bit, 1)

    merged = explore(Dead)
    with nothing_dead():
        all_alive = explore(Dead)
    assert (merged.states, all_alive.states) == (8, 10)
    assert merged.schedules == all_alive.schedules == 4


def test_programs_with_something_unreadable_still_work():
    """An open file among the variables: positions are told apart by their history, and the verdict is the same."""

    def with_a_file(s):
        with open(__file__, encoding="utf-8") as file:
            first = file.readline()
            yield READ_ONCE(s.bit)
            second = file.readline()
            yield WRITE_ONCE(s.out, (len(first), len(second)))

    with open(__file__, encoding="utf-8") as file:
        lengths = (len(file.readline()), len(file.readline()))
    result = explore(Tricky(program=with_a_file))
    assert (result.outcomes, result.schedules) == ({repr(lengths)}, 3)


# --- small programs, made at random -----------------------------------------------------------------

def _indented(lines):
    return "\n".join("    " + line for statement in lines for line in statement.splitlines())


def _block(head, body):
    head, _, first = head.partition(": ")
    return f"{head.rstrip(':')}:\n" + _indented([first, *body] if first else body)


def _attempt(body, divisor, finally_):
    last = "finally:\n    yield smp_mb()" if finally_ else "else:\n    c = 4"
    body = _indented([*body, f"a = 6 // {divisor}"])
    return f"try:\n{body}\nexcept ZeroDivisionError:\n    yield smp_mb()\n    a = 7\n{last}"


VARIABLES = "abc"
LOOPS = ("for _ in (0, 0):", "for _ in list(d[:2]):", "for a in 'xx': a = 0")
STATEMENTS = st.deferred(
    lambda: st.one_of(
        st.builds("{} = yield READ_ONCE(s.bit)".format, st.sampled_from(VARIABLES)),
        st.builds("yield atomic_fetch_add({}, s.sum)".format, st.sampled_from(("1", "2", "len(d)"))),
        st.builds("{} = {} + 1".format, st.sampled_from(VARIABLES), st.sampled_from(VARIABLES)),
        st.builds("d.append({})".format, st.sampled_from(VARIABLES)),
        st.builds("{} = {}".format, st.sampled_from("de"), st.sampled_from(("d", "e", "list(d)", "[]"))),
        st.builds("a = sum(d) + (yield READ_ONCE(s.bit))".format),
        st.builds("{} = next(g, 5)".format, st.sampled_from(VARIABLES)),
        st.builds("g = iter({})".format, st.sampled_from(("d", "e", "[0, 0]", "range(2)", "{1: 0, 2: 0}"))),
        st.builds(_block, st.sampled_from(LOOPS), _BODIES),
        st.builds(_block, st.sampled_from(("if a:", "if b == 1:", "if d is e:", "if len(d) > 1:")), _BODIES),
        st.builds(_attempt, _BODIES, st.sampled_from(("c", "b")), st.booleans()),
    )
)
_BODIES = st.deferred(lambda: st.lists(STATEMENTS, min_size=1, max_size=3))


class Made(Scenario):
    """A program made from statements, and somebody who changes what it reads."""

    def setup(self, program):
        self.bit, self.sum, self.out = Cell(0), Cell(0), Cell(None)
        self.add_thread(program, self)
        self.add_thread(self.flip)

    def flip(self):
        yield WRITE_ONCE(self.bit, 1)
        yield WRITE_ONCE(self.bit, 0)

    @at_end
    def the_sum_is_small(self, s):
        return s[self.sum] < 4

    def outcome(self, s):
        return repr((s[self.sum], s[self.out]))


@settings(max_examples=150)
@given(st.lists(STATEMENTS, min_size=2, max_size=6))
def test_merging_changes_nothing_in_programs_made_at_random(statements):
    """Merged, by history and with nothing dead: the same outcomes, schedules and failures."""
    last = "yield WRITE_ONCE(s.out, (a, b, c, tuple(d), d is e))"
    lines = ["a = b = c = 0", "d, e, g = [], [], iter('')", *statements, last]
    text = "def made(s):\n" + _indented(lines)
    space = dict(globals())
    exec(text, space)
    program = space["made"]

    def judge():
        result = explore(Made(program=program), max_states=3_000)
        failures = {(f.kind, f.share) for f in result.failures}
        return result.complete, result.states, result.outcomes, result.schedules, failures

    merged = judge()
    with by_history():
        reference = judge()
    with nothing_dead():
        all_alive = judge()
    if not reference[0]:
        return  # too many to compare
    assert merged[2:] == reference[2:] == all_alive[2:], text
    assert merged[1] <= all_alive[1] <= reference[1], text
