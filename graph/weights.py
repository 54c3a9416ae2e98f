"""The variables of the network, their initial values and the learning rates; nothing else.

This is the post's "Reason 2": its section "for declaring the Weights, and learning rate and
NOTHING more".

The variables are *resource* variables, not the reference variables of TensorFlow's early days.
A read of a resource variable is a value: an operation of its own, with a place in the order of
execution that control dependencies can fix, and later writes do not change what it returned. A
read of a reference variable may be the variable's own memory, which a later write changes under
the reader; no control dependency can then tell "before" from "after".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow.compat.v1 as tf

PIXELS = 784

# Standard deviations: the N(0, s) × 0.2 of docs/experiment.md §2, and 1 for the hidden states.
STANDARD_DEVIATIONS = {
    "hidden_states": 1.0,
    "w_x": 0.45 * 0.2,
    "w_rec": 0.035 * 0.2,
    "w_fc": 0.95 * 0.2,
    "w_sg_1": 0.35 * 0.2,
    "w_sg_2": 0.35 * 0.2,
}


class Weights(NamedTuple):
    """The post's six variables, or arrays of their values.

    Attributes:
        hidden_states: [width, 3]; columns 0, 1, 2 are h₀, h₁, h₂.
        w_x: [width, width], from the image to a time box.
        w_rec: [width, width], from the hidden state before to a time box.
        w_fc: [width, 1], the readout.
        w_sg_1: [width, width], the synthetic gradient of time box 1.
        w_sg_2: [width, width], the synthetic gradient of time box 2.
    """

    hidden_states: Any
    w_x: Any
    w_rec: Any
    w_fc: Any
    w_sg_1: Any
    w_sg_2: Any


class Rates(NamedTuple):
    """The learning rates of manual mode, per image, by the post's names.

    Attributes:
        lr_x: of `w_fc`.
        lr_rec: of `w_rec` and `w_x`; a scalar tensor if it changes from epoch to epoch.
        lr_sg: of `w_sg_1` and `w_sg_2`.
    """

    lr_x: float
    lr_rec: Any
    lr_sg: float


def shapes(width: int = PIXELS, sg_rows: int | None = None) -> Weights:
    """The shape of each of the post's variables for images of `width` pixels.

    Args:
        width: pixels per image.
        sg_rows: of `w_sg_1` and `w_sg_2`, if they are not the post's.
    """
    square, synthetic = (width, width), (sg_rows or width, width)
    return Weights((width, 3), square, square, (width, 1), synthetic, synthetic)


def draw(
    seed: int, shapes: Mapping[str, Sequence[int]]
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Draws initial values that are the same for every framework and version.

    Args:
        seed: of the one `numpy.random.RandomState` that all are drawn from, in order.
        shapes: of the variables, by their names.

    Yields:
        A name and float32 values. Source: docs/experiment.md §2, "the portable draw".
    """
    random = np.random.RandomState(seed)
    for name, shape in shapes.items():
        values = random.standard_normal(shape) * STANDARD_DEVIATIONS[name]
        yield name, values.astype(np.float32)


def portable_draw(seed: int, width: int = PIXELS) -> Weights:
    """The portable draw of the post's six variables: float32 arrays of `shapes(width)`."""
    return Weights(**dict(draw(seed, shapes(width)._asdict())))


def feedback(seed: int, width: int = PIXELS) -> tuple[npt.NDArray[np.float32], ...]:
    """Fixed random rows B₁ and B₂, [1, width] each, drawn as Wfc is (docs/experiment.md §3a)."""
    random = np.random.RandomState((seed, 1))
    rows = random.standard_normal((2, 1, width)) * STANDARD_DEVIATIONS["w_fc"]
    return tuple(rows.astype(np.float32))


def declare_weights(
    width: int = PIXELS, dtype: tf.DType = tf.float32, sg_rows: int | None = None
) -> Weights:
    """Declares the post's six variables in the current graph.

    The draws take the graph's seed (`tf.set_random_seed`). To start from other values, feed them
    over `variable.initial_value` while the initializers run: fed, they leave no constants behind.

    Args:
        width: pixels per image.
        dtype: of all six; float64 is for checks of the gradients.
        sg_rows: as in `shapes`.

    Returns:
        Resource variables of `shapes(width, sg_rows)`.
    """

    def declare(name: str, shape: Sequence[int]) -> Any:
        initial = tf.random_normal(shape, stddev=STANDARD_DEVIATIONS[name], dtype=dtype)
        return tf.Variable(initial, name=name, use_resource=True)

    with tf.name_scope("weights"):
        of_each = shapes(width, sg_rows)._asdict()
        return Weights(*(declare(name, shape) for name, shape in of_each.items()))
