"""What many runs say together: a value, and how sure one can be of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt, tan
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple


class Estimate(NamedTuple):
    """A value, estimated from ``runs`` runs, and the interval that holds the true one with the given confidence."""

    value: float
    low: float
    high: float
    runs: int
    confidence: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"


def share(hits: int, runs: int, confidence: float = 0.95) -> Estimate:
    """How often something happens, with Wilson's interval: sensible, too, where it happened never or always."""
    if not runs:
        raise ValueError("a share of no runs at all")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    value = hits / runs
    scale = 1 + z * z / runs
    middle = (value + z * z / (2 * runs)) / scale
    half = z * sqrt(value * (1 - value) / runs + z * z / (4 * runs * runs)) / scale
    low = 0.0 if hits == 0 else middle - half
    high = 1.0 if hits == runs else middle + half
    return Estimate(value, low, high, runs, confidence)


def mean(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """The mean, with Student's interval; a single value has no interval, and says so by an infinite one."""
    if not values:
        raise ValueError("the mean of no values at all")
    value = fmean(values)
    if len(values) == 1:
        return Estimate(value, float("-inf"), float("inf"), 1, confidence)
    half = student(len(values) - 1, confidence) * stdev(values) / sqrt(len(values))
    return Estimate(value, value - half, value + half, len(values), confidence)


def student(degrees: int, confidence: float) -> float:
    """How many standard errors to each side Student's distribution needs for this confidence.

    Exact for 1 and 2 degrees of freedom, else an expansion around the normal distribution (Abramowitz and Stegun
    26.7.5), which is right to 1 % from 3 degrees on.
    """
    p = (1 + confidence) / 2
    if degrees == 1:
        return tan(pi * (p - 0.5))
    if degrees == 2:
        return (2 * p - 1) / sqrt(2 * p * (1 - p))
    z = NormalDist().inv_cdf(p)
    terms: tuple[float, ...] = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum((term / degrees**power for power, term in enumerate(terms)), 0.0)

