"""Slips that everybody makes once end in a sentence that says what to write instead."""

import pytest

from vmbus_teach import ProgramError, explore
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE
from vmbus_teach.scenarios.classics import Increments
from vmbus_teach.scenarios.retarget import PerCpuLists


def message(increment, base=Increments, method="increment"):
    """What the machine says to a scenario whose method is replaced."""
    scenario = type("Slip", (base,), {method: increment})
    try:
        return explore(scenario, max_states=5_000).failures[0].message
    except ProgramError as error:
        return str(error)


def _operation_is_not_yielded(self):
    value = yield READ_ONCE(self.count)
    WRITE_ONCE(self.count, value + 1)


def _program_is_not_run(self):
    yield READ_ONCE(self.count)
    self.worker()


def _result_without_yield(self):
    value = READ_ONCE(self.count)
    yield WRITE_ONCE(self.count, value + 1)


def _yield_from_an_operation(self):
    yield from READ_ONCE(self.count)


def _operation_not_imported(self):
    yield READ_ONCE(self.count)
    yield atomic_inc(self.count)  # noqa: F821


def _misspelt_variable(self):
    value = yield READ_ONCE(self.count)  # noqa: F841
    yield WRITE_ONCE(self.count, valeu + 1)  # noqa: F821


def _misspelt_attribute(self):
    yield READ_ONCE(self.count)
    yield READ_ONCE(self.cuont)


def _attribute_of_a_cell(self):
    yield READ_ONCE(self.count)
    yield WRITE_ONCE(self.count, self.count.value + 1)


def _arithmetic_with_a_cell(self):
    yield READ_ONCE(self.count)
    yield WRITE_ONCE(self.count, self.count + 1)


def _no_program_at_all(self):
    return None


SLIPS = {
    _operation_is_not_yielded: "Write: yield WRITE_ONCE(self.count, value + 1).",
    _program_is_not_run: "Write: yield from self.worker().",
    _result_without_yield: "An operation gives its value only through yield",
    _yield_from_an_operation: "Before an operation write yield, not yield from.",
    _operation_not_imported: "Import it: from vmbus_teach.kernel import atomic_inc.",
    _misspelt_variable: "Did you mean value?",
    _misspelt_attribute: "Did you mean count?",
    _attribute_of_a_cell: "The value of a cell is read by: value = yield READ_ONCE(cell).",
    _arithmetic_with_a_cell: "A cell is read by value = yield READ_ONCE(cell)",
    _no_program_at_all: "does that method have a yield?",
}


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: slip.__name__)
def test_slip(slip):
    """The message names the place, and says what to write."""
    said = message(slip)
    assert SLIPS[slip] in said
    assert "line " in said


def test_a_program_called_through_super_is_not_run():
    """Calling the original instead of delegating to it is found, too."""

    class Slip(PerCpuLists):
        def move_channel(self):
            yield from self.send_modifychannel()
            super().move_channel()

    with pytest.raises(ProgramError, match=r"Write: yield from super\(\)\.move_channel\(\)\."):
        explore(Slip)


def test_what_never_ends_does_not_hold():
    """A program that goes round for ever is asked nothing at the end, so it is no pass, and the report says why."""

    def wait_by_reading(self):
        while (yield READ_ONCE(self.count)) == 0:
            pass

    result = explore(type("Slip", (Increments,), {"increment": wait_by_reading}))
    assert result.complete
    assert not result.ok
    assert "never ends, so nothing was asked at the end" in str(result)


def test_a_counter_without_end_is_named():
    """A search that stops at its bound says which piece of state took so many values."""

    def count_on(self):
        while True:
            value = yield READ_ONCE(self.count)
            yield WRITE_ONCE(self.count, value + 1)

    result = explore(type("Slip", (Increments,), {"increment": count_on}), max_states=20_000)
    assert "most of the states come from count" in str(result)
