"""Intervals: of a proportion, and of a mean over seeds."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
# Student's t at 97.5 %, for 1, 2, … degrees of freedom.
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306)


def wilson_interval(successes: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a proportion, from 0 to 1 (Wilson 1927)."""
    z = 1.959963984540054
    centre = successes + z * z / 2
    half = z * math.sqrt(successes * (total - successes) / total + z * z / 4)
    return (centre - half) / (total + z * z), (centre + half) / (total + z * z)


class Spread(NamedTuple):
    """Mean of a figure over the seeds, standard deviation, 95 % interval of the mean."""

    mean: float
    deviation: float
    low: float
    high: float


def few(seeds: int) -> bool:
    """Whether the interval of the mean is by Student's t; by bootstrap it would be too narrow."""
    return seeds < len(T) + 2


def spread(values: npt.NDArray[np.floating]) -> Spread:
    """The spread of values [seeds]; deviation and interval of a single one are NaN."""
    n, mean = len(values), float(values.mean())
    deviation = float(np.std(values, ddof=1)) if n > 1 else math.nan
    if few(n):
        half = T[max(n - 2, 0)] * deviation / math.sqrt(n)
        return Spread(mean, deviation, mean - half, mean + half)
    drawn = np.random.RandomState(0).randint(n, size=(RESAMPLES, n))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return Spread(mean, deviation, float(low), float(high))
