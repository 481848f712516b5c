"""The state graph: schedules counted and fates read off graphs that were drawn by hand."""

from collections import Counter

import pytest

from vmbus_teach.graph import Graph

DEADLOCK, RACE, LATE = ("deadlock", "here"), ("at_end", "there"), ("use-after-free", "late")


def draw(steps, ends=(), failing_states=None, failing_steps=None, unexpanded=0):
    """A graph: ``steps[n]`` lists where the steps of state n lead; some more states may only have been met."""
    graph = Graph(ends=list(ends), failing_states=failing_states or {}, failing_steps=failing_steps or {})
    for number in range(len(steps) + unexpanded):
        graph.numbers[number * 10] = number
        graph.states.append(number * 10)
    for followers in steps:
        graph.edges.extend(followers)
        graph.first_edge.append(len(graph.edges))
    return graph


def test_a_diamond():
    """Two ways to the one end."""
    graph = draw([[1, 2], [3], [3], []], ends=[3])
    assert graph.count_schedules() == (2, Counter())
    assert (graph.expanded, graph.transitions) == (4, 4)
    assert [list(graph.followers(number)) for number in range(4)] == [[1, 2], [3], [3], []]


def test_two_steps_to_the_same_state_are_two_schedules():
    """Steps count, not states."""
    assert draw([[1, 1], [2, 2, 2], []], ends=[2]).count_schedules() == (6, Counter())


def test_no_step_at_all():
    """A scenario in which nothing can happen has one schedule, the empty one."""
    assert draw([[]], ends=[0]).count_schedules() == (1, Counter())


def test_large_numbers_are_exact():
    """A ladder of 100 diamonds has 2 ** 100 schedules."""
    graph = draw([*([n + 1, n + 1] for n in range(100)), []], ends=[100])
    assert graph.count_schedules() == (2**100, Counter())


def test_schedules_that_fail():
    """Schedules end in failing states and in failing steps, and are counted by their failure."""
    graph = draw([[1, 2], [3], [3], []], failing_states={3: DEADLOCK}, failing_steps={1: [LATE], 2: [LATE, RACE]})
    assert graph.count_schedules() == (5, Counter({DEADLOCK: 2, LATE: 2, RACE: 1}))
    assert graph.transitions == 7


def test_an_end_that_fails_counts_once():
    """A state at the end in which a property fails is an end and a failure, and its schedules count once."""
    assert draw([[1, 2], [], []], ends=[1, 2], failing_states={2: RACE}).count_schedules() == (2, Counter({RACE: 1}))


@pytest.mark.parametrize(
    "steps",
    [[[0, 1], []], [[1], [0, 2], []], [[1], [2, 3], [1], []], [[1], [1, 2], []]],
    ids=["self", "start", "middle", "own"],
)
def test_loops_make_schedules_infinitely_many(steps):
    """Wherever the loop is, also at the start."""
    assert draw(steps, ends=[len(steps) - 1]).count_schedules() == (None, Counter())


def test_leads_to():
    """Backwards from the targets; a target leads to itself."""
    graph = draw([[1, 2], [3], [4], [], [2]])
    assert list(graph.leads_to([3])) == [1, 1, 0, 1, 0]
    assert list(graph.leads_to([2])) == [1, 0, 1, 0, 1]
    assert list(graph.leads_to([])) == [0] * 5


def fates(graph):
    """Fates."""
    possible, certain = graph.fates()
    return "".join("!" if c else "?" if p else "." for p, c in zip(possible, certain, strict=True))


def test_fates():
    """A failure is impossible (.), possible (?) or certain (!)."""
    assert fates(draw([[1, 2], [3], [4], [], []], ends=[4], failing_states={3: DEADLOCK})) == "?!.!."
    assert fates(draw([[1, 2], [3], [3], []], failing_states={3: DEADLOCK})) == "!!!!"
    assert fates(draw([[1], []], ends=[1])) == ".."


def test_a_failing_step_beside_others():
    """Certain only where every step fails or leads to where it is certain."""
    assert fates(draw([[1], []], ends=[1], failing_steps={0: [LATE]})) == "?."
    assert fates(draw([[1], []], failing_steps={0: [LATE], 1: [LATE]})) == "!!"


def test_a_loop_can_avoid_a_failure():
    """Who can go round for ever need not fail; a loop that is left only to fail is not certain either."""
    assert fates(draw([[1], [0, 2], []], failing_states={2: DEADLOCK})) == "??!"
    assert fates(draw([[0, 1], []], failing_states={1: DEADLOCK})) == "?!"
    # A loop from which no failure can be reached.
    assert fates(draw([[1, 2], [1], []], failing_states={2: DEADLOCK})) == "?.!"


def test_states_that_were_only_met():
    """What lies behind them is unknown; they are no ends and make nothing certain."""
    graph = draw([[1, 2]], unexpanded=2)
    assert list(graph.followers(1)) == []
    assert fates(graph) == "..."
