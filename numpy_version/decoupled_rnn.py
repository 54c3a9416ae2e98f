"""The Numpy post: a decoupled recurrent network in NumPy alone (docs/experiment.md §7).

It runs the `ordered` step of docs/experiment.md §3. Vectors are one-dimensional, [width]; all
arithmetic is in the type of the weights.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


class Weights(NamedTuple):
    """The arrays that training changes in place, and h₀, which stays.

    Attributes:
        h_0: [width].
        w_x, w_rec, w_sg_1, w_sg_2: [width, width].
        w_fc: [width].
    """

    h_0: Array
    w_x: Array
    w_rec: Array
    w_fc: Array
    w_sg_1: Array
    w_sg_2: Array


class Rates(NamedTuple):
    """The learning rates: readout; time boxes; synthetic gradients."""

    lr_x: float
    lr_rec: float
    lr_sg: float


def draw(seed: int, images: int, width: int) -> Weights:
    """Draws initial values as the Numpy post does: after the shuffle, from the same generator.

    Args:
        seed: of the generator.
        images: how many are shuffled first.
        width: pixels per image.

    Returns:
        Float64 weights; h₀ is 0.
    """
    random = np.random.RandomState(seed)
    random.shuffle(np.arange(images))
    w_x, w_rec, w_fc, w_sg_1, w_sg_2 = (
        random.standard_normal(shape) * 0.2
        for shape in ((width, width), (width, width), width, (width, width), (width, width))
    )
    return Weights(np.zeros(width), w_x, w_rec, w_fc, w_sg_1, w_sg_2)


def logistic(z: Array) -> Array:
    """σ(z) = 1 / (1 + exp(−z))."""
    return np.asarray(1 / (1 + np.exp(-z)))


def time_box(x: Array, h: Array, w: Weights) -> Array:
    """a = tanh(x·Wx + h·Wrec)."""
    return np.asarray(np.tanh(x @ w.w_x + h @ w.w_rec))


def predict(x: Array, w: Weights) -> float:
    """p, the probability that the label of the image x is 1."""
    return float(logistic(time_box(x, time_box(x, w.h_0, w), w) @ w.w_fc))


def step(x: Array, y: float, w: Weights, rates: Rates, recurrent_update: str) -> float:
    """Trains on one image, in the order that the post draws.

    Args:
        x: the image.
        y: its label, 0 or 1.
        w: the weights; they change.
        rates: the learning rates.
        recurrent_update: `outer`, the outer product; or `inner`, the Numpy post's fault: on
            one-dimensional arrays its `a.T.dot(b)` is one number, added to every entry of the
            matrix.

    Returns:
        The cost, ½(p − y)². Source: docs/experiment.md §3, `ordered`, whose steps the numbers are.
    """

    def product(a: Array, b: Array) -> Array:
        return np.asarray(np.inner(a, b) if recurrent_update == "inner" else np.outer(a, b))

    # 1.
    a_1 = time_box(x, w.h_0, w)
    # 2.
    g_1 = a_1 @ w.w_sg_1
    u = g_1 * (1 - a_1**2)
    w.w_rec[:] += rates.lr_rec * product(w.h_0, u)
    w.w_x[:] += rates.lr_rec * product(x, u)
    # 3.
    a_2 = time_box(x, a_1, w)
    # 4.
    g_2 = a_2 @ w.w_sg_2
    v = g_2 * (1 - a_2**2)
    w.w_rec[:] += rates.lr_rec * product(a_1, v)
    w.w_x[:] += rates.lr_rec * product(x, v)
    # 5.
    t_1 = w.w_rec @ v
    w.w_sg_1[:] -= rates.lr_sg * np.outer(a_1, g_1 - t_1)
    # 6.
    p = logistic(a_2 @ w.w_fc)
    d = (p - y) * p * (1 - p)
    w.w_fc[:] -= rates.lr_x * a_2 * d
    # 7.
    t_2 = d * w.w_fc
    w.w_sg_2[:] -= rates.lr_sg * np.outer(a_2, g_2 - t_2)
    return float((p - y) ** 2 / 2)


def epoch(
    images: Iterable[tuple[Array, float]], w: Weights, rates: Rates, recurrent_update: str
) -> float:
    """One `step` per image and label, in order; the sum of the costs."""
    return sum(step(x, y, w, rates, recurrent_update) for x, y in images)
