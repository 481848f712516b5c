"""Confidence intervals, against published numbers and against what they promise."""

from random import Random

import pytest

from vmbus_teach.timed.estimate import mean, share, student

#: Between so many standard errors to each side lie 95 % (99 %) of Student's distribution, by degrees of freedom.
TABLE_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 10: 2.228, 20: 2.086, 30: 2.042, 120: 1.980}
TABLE_99 = {1: 63.657, 2: 9.925, 5: 4.032, 10: 3.169, 20: 2.845, 30: 2.750, 120: 2.617}
TABLE = [(n, 0.95, t) for n, t in TABLE_95.items()] + [(n, 0.99, t) for n, t in TABLE_99.items()]


@pytest.mark.parametrize(("degrees", "confidence", "quantile"), TABLE)
def test_student(degrees, confidence, quantile):
    """As in the tables that every book of statistics has, to 1 %."""
    assert student(degrees, confidence) == pytest.approx(quantile, rel=0.01)


#: R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998).
WILSON = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0.0, 0.1611), (1, 29): (0.0061, 0.1718)}


@pytest.mark.parametrize(("hits", "runs"), WILSON)
def test_wilson(hits, runs):
    """The intervals that Newcombe printed when he compared seven methods."""
    estimate = share(hits, runs)
    assert (estimate.low, estimate.high) == pytest.approx(WILSON[hits, runs], abs=0.00006)
    assert estimate.value == hits / runs


def test_never_and_always():
    """Nothing in 1,000 runs leaves an interval above 0, all of them one below 1; neither goes beyond."""
    never, always = share(0, 1000), share(1000, 1000)
    assert (never.low, always.high) == (0, 1)
    assert 0.003 < never.high < 0.005
    assert always.low == pytest.approx(1 - never.high)


def test_a_mean_of_known_numbers():
    """2, 4, 4, 4, 5, 5, 7, 9: mean 5, standard deviation 2.138, and with 7 degrees of freedom 5 ± 2.365 · 0.756."""
    estimate = mean([2, 4, 4, 4, 5, 5, 7, 9])
    assert estimate.value == 5
    assert estimate.high - 5 == pytest.approx(5 - estimate.low)
    assert estimate.high - 5 == pytest.approx(2.365 * 2.138 / 8**0.5, rel=0.01)


def test_one_run_says_nothing_of_the_spread():
    """A single value has an infinite interval; equal ones have one of width 0."""
    assert mean([3.0])[:3] == (3.0, float("-inf"), float("inf"))
    assert mean([3.0, 3.0])[:3] == (3.0, 3.0, 3.0)


@pytest.mark.parametrize("chance", [0.02, 0.3])
def test_the_interval_of_a_share_holds_what_it_promises(chance):
    """Of 2,000 experiments of 150 runs, some 95 % have the true share in their interval."""
    rng = Random(1)
    inside = 0
    for _ in range(2000):
        estimate = share(sum(rng.random() < chance for _ in range(150)), 150)
        inside += estimate.low <= chance <= estimate.high
    assert 0.925 < inside / 2000 < 0.975


def test_the_interval_of_a_mean_holds_what_it_promises():
    """Of 2,000 means of five numbers, some 95 % have the true one in their interval."""
    rng = Random(2)
    inside = 0
    for _ in range(2000):
        estimate = mean([rng.gauss(10, 3) for _ in range(5)])
        inside += estimate.low <= 10 <= estimate.high
    assert 0.935 < inside / 2000 < 0.965


def test_nothing_cannot_be_estimated():
    """No runs, no estimate."""
    with pytest.raises(ValueError, match="no runs"):
        share(0, 0)
    with pytest.raises(ValueError, match="no values"):
        mean([])
