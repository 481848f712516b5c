"""Golden counts: T threads that each add 1, N times, by a read and a write.

The counts were found by hand-written searches that share no code with the engine. A change that alters one
of them has changed what a state is: say why, or mend it.
"""

import pytest

from vmbus_teach import Scenario, explore, thread
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell

SCHEDULES = {
    (2, 1): 6, (2, 2): 70, (2, 3): 924, (2, 4): 12_870,
    (3, 1): 90, (3, 2): 34_650, (3, 3): 17_153_136, (3, 4): 9_465_511_770,
}
STATES = {
    (2, 1): 12, (2, 2): 57, (2, 3): 195, (2, 4): 541,
    (3, 1): 59, (3, 2): 904, (3, 3): 7_646, (3, 4): 42_237,
}
STATES_WITH_SYMMETRY = {(2, 4): 285, (3, 3): 1_529, (3, 4): 7_855}


class Increments(Scenario):
    """``threads`` threads add 1 to a counter, ``times`` times each."""

    def setup(self, threads, times):
        self.times = times
        self.count = Cell(0)
        for _ in range(threads):
            self.add_thread(self.worker)

    def worker(self):
        for _ in range(self.times):
            value = yield READ_ONCE(self.count)
            yield WRITE_ONCE(self.count, value + 1)

    def outcome(self, s):
        return s[self.count]


class TwoCopies(Scenario):
    """The same with two threads, declared by ``copies``."""

    def setup(self, times):
        self.times = times
        self.count = Cell(0)

    @thread(copies=2)
    def worker(self):
        for _ in range(self.times):
            value = yield READ_ONCE(self.count)
            yield WRITE_ONCE(self.count, value + 1)


@pytest.mark.parametrize(("threads", "times"), STATES)
def test_without_symmetry(threads, times):
    """States and schedules where every thread is told from every other."""
    result = explore(Increments(threads=threads, times=times), symmetry=False)
    assert result.complete
    assert (result.states, result.schedules) == (STATES[threads, times], SCHEDULES[threads, times])


@pytest.mark.parametrize(("threads", "times"), SCHEDULES)
def test_with_symmetry(threads, times):
    """Identical threads are searched once, and every schedule still counts."""
    result = explore(Increments(threads=threads, times=times))
    assert result.schedules == SCHEDULES[threads, times]
    assert result.states < STATES[threads, times]
    if (threads, times) in STATES_WITH_SYMMETRY:
        assert result.states == STATES_WITH_SYMMETRY[threads, times]


def test_four_by_four():
    """The largest of the comparison with other tools: 4 threads, 4 increments each."""
    result = explore(Increments(threads=4, times=4))
    assert (result.states, result.complete) == (193_828, True)
    # Every order of 4 x 8 steps: 32! / (8!)^4.
    assert result.schedules == 99_561_092_450_391_000
    assert result.outcomes == set(range(2, 17))


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_copies_are_as_good_as_add_thread(times):
    """@thread(copies=2) declares the same two threads as two calls of add_thread."""
    declared, added = TwoCopies(times=times), Increments(threads=2, times=times)
    for symmetry in (True, False):
        one, other = explore(declared, symmetry=symmetry), explore(added, symmetry=symmetry)
        assert (one.states, one.schedules) == (other.states, other.schedules)
    assert explore(declared, symmetry=False).states == STATES[2, times]


def test_outcomes():
    """Two threads and three increments: the famous answer is that 2 can be left of 6."""
    assert explore(Increments(threads=2, times=3)).outcomes == {2, 3, 4, 5, 6}
