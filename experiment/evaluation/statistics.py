"""Intervals: of a proportion, and of a mean over seeds."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
# Student's t at 97.5 %, for 1, 2, … degrees of freedom. The bootstrap of so few is too narrow.
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306)


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson 1927), as two numbers from 0 to 1."""
    z = 1.959963984540054
    centre = right + z * z / 2
    half = z * math.sqrt(right * (total - right) / total + z * z / 4)
    return (centre - half) / (total + z * z), (centre + half) / (total + z * z)


class Spread(NamedTuple):
    """Of one figure over the seeds: mean, standard deviation, and 95 % interval of the mean."""

    mean: float
    deviation: float
    low: float
    high: float


def few(seeds: int) -> bool:
    """Whether the interval of a mean over so many is by Student's t, and not by bootstrap."""
    return seeds < len(T) + 2


def spread(values: npt.NDArray[np.floating]) -> Spread:
    """The spread of values [n], one for each seed; of one alone, deviation and interval are NaN."""
    n, mean = len(values), float(values.mean())
    deviation = float(np.std(values, ddof=1)) if n > 1 else math.nan
    if few(n):
        half = T[max(n - 2, 0)] * deviation / math.sqrt(n)
        return Spread(mean, deviation, mean - half, mean + half)
    drawn = np.random.RandomState(0).randint(n, size=(RESAMPLES, n))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return Spread(mean, deviation, float(low), float(high))
