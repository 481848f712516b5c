"""When things arrive, and the random times that costs are drawn from."""

import ast
import inspect
from itertools import islice, pairwise
from random import Random
from statistics import fmean, pvariance

import pytest

from vmbus_teach.timed import costs as costs_module
from vmbus_teach.timed import traffic as traffic_module
from vmbus_teach.timed.costs import exponential, mixture, observed, standard_exponential, uniform
from vmbus_teach.timed.traffic import at_times, bursts, periodic, poisson

SECOND = 1_000_000_000


def arrivals(pattern, number, seed=1):
    """The first arrivals of a pattern."""
    return list(islice(pattern.arrivals(Random(seed)), number))


def draws(distribution, number=50_000, seed=1):
    """That many times, drawn."""
    rng = Random(seed)
    return [distribution.draw(rng) for _ in range(number)]


# --- patterns --------------------------------------------------------------------------------------------


def test_periodic_is_a_clock():
    """Every 100 ns, the first after one period or when it is told to come."""
    assert arrivals(periodic(100), 3) == [100, 200, 300]
    assert arrivals(periodic(100, first=0), 3) == [0, 100, 200]


def test_at_times_ends():
    """A list of times, and then no more."""
    assert arrivals(at_times([0, 5, 5, 9]), 10) == [0, 5, 5, 9]
    assert arrivals(at_times(()), 10) == []


@pytest.mark.parametrize("rate", [0.5, 1_000, 1_000_000])
def test_poisson_has_its_rate_and_no_memory(rate):
    """Mean and standard deviation of the gaps are 1/rate, and a gap says nothing of the next."""
    times = arrivals(poisson(rate), 40_000)
    gaps = [b - a for a, b in pairwise([0, *times])]
    mean = SECOND / rate
    assert fmean(gaps) == pytest.approx(mean, rel=0.02)
    assert pvariance(gaps) == pytest.approx(mean**2, rel=0.05)
    assert abs(fmean((a - mean) * (b - mean) for a, b in pairwise(gaps))) < 0.02 * mean**2
    assert all(type(time) is int for time in times)


def test_poisson_counts_vary_as_they_should():
    """How many arrive within a millisecond: the variance is the mean, which is what makes it Poisson's."""
    times = arrivals(poisson(5_000), 50_000)
    counts = [0] * (times[-1] // 1_000_000)
    for time in times:
        if time // 1_000_000 < len(counts):
            counts[time // 1_000_000] += 1
    assert fmean(counts) == pytest.approx(5, rel=0.03)
    assert pvariance(counts) == pytest.approx(5, rel=0.06)


def test_bursts_have_their_size_and_their_rate():
    """Ten at a time, 30 ns apart, and a burst every 100 µs on average; none before the one before it."""
    times = arrivals(bursts(size=10, every=100_000, spacing=30), 100_000)
    assert times == sorted(times)
    assert times[-1] / len(times) == pytest.approx(10_000, rel=0.03)
    assert sum(b - a == 30 for a, b in pairwise(times)) > 0.88 * len(times)


@pytest.mark.parametrize("pattern", [poisson(1000), periodic(7), bursts(3, 1000, 5), at_times([1, 2])])
def test_the_same_seed_gives_the_same_arrivals(pattern):
    """A pattern keeps nothing: asked again, it says the same."""
    assert arrivals(pattern, 100) == arrivals(pattern, 100)


# --- distributions -----------------------------------------------------------------------------------------


def test_the_exponential_distribution_is_one():
    """Mean 1, variance 1, third moment 6, and the part beyond t falls like exp(-t)."""
    rng = Random(3)
    values = [standard_exponential(rng) for _ in range(200_000)]
    assert fmean(values) == pytest.approx(1, rel=0.01)
    assert pvariance(values) == pytest.approx(1, rel=0.02)
    assert fmean(value**3 for value in values) == pytest.approx(6, rel=0.08)
    for t, beyond in ((0.1, 0.904837), (1, 0.367879), (2, 0.135335), (5, 0.006738)):  # exp(-t), from a table
        assert sum(value > t for value in values) / len(values) == pytest.approx(beyond, rel=0.07)
    assert min(values) >= 0


def test_exponential_has_its_mean_and_its_least():
    """The mean is that of both parts together, and nothing is below the least."""
    times = draws(exponential(1000, least=400))
    assert fmean(times) == pytest.approx(1000, rel=0.02)
    assert min(times) == 400


def test_uniform_reaches_both_ends_equally():
    """Six values, each about one sixth of the time, the ends included."""
    times = draws(uniform(5, 10), 60_000)
    assert [times.count(n) for n in range(5, 11)] == pytest.approx([10_000] * 6, rel=0.05)
    assert set(times) == {5, 6, 7, 8, 9, 10}
    assert draws(uniform(3, 3), 10) == [3] * 10


def test_observed_and_mixture_keep_their_weights():
    """A time that was seen twice comes twice as often; a mixture's parts come by weight, drawn in their turn."""
    times = draws(observed([1, 2, 2]), 30_000)
    assert times.count(2) / len(times) == pytest.approx(2 / 3, rel=0.02)
    times = draws(mixture({100: 9, uniform(1000, 2000): 1}), 30_000)
    assert times.count(100) / len(times) == pytest.approx(0.9, rel=0.01)
    assert {time == 100 or 1000 <= time <= 2000 for time in times} == {True}


@pytest.mark.parametrize("module", [costs_module, traffic_module])
def test_nothing_random_goes_through_the_c_library(module):
    """No logarithm, no exponential function, none of random's methods that use them: their last bits differ."""
    tree = ast.parse(inspect.getsource(module))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not names & {"log", "exp", "expovariate", "gauss", "normalvariate", "gammavariate", "lognormvariate", "sqrt"}
    assert "math" not in imported


def test_what_is_drawn_is_fixed():
    """The first numbers of one seed, written down: the same on every machine."""
    rng = Random("7/traffic/packets")
    assert [round(1000 * standard_exponential(rng)) for _ in range(8)] == [1449, 554, 540, 901, 985, 10, 1511, 174]
    assert arrivals(poisson(1000), 3, seed="7/traffic/packets") == [1448790, 2002723, 2543002]
