"""Intervals: of a proportion, and of a mean over seeds."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000


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


def spread(values: npt.NDArray[np.floating]) -> Spread:
    """The spread of values [n], one for each seed; the interval by bootstrap."""
    drawn = np.random.RandomState(0).randint(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    deviation = np.std(values, ddof=1) if len(values) > 1 else np.nan
    return Spread(float(values.mean()), float(deviation), float(low), float(high))
