"""The small derivatives d_*, and the outer product that every update is made of.

Notation as in `graph.network`. Every gradient is of the cost of one image: d with respect to the
readout's z, t_k with respect to the hidden state h_k.
"""

from typing import Any

import tensorflow.compat.v1 as tf

from graph.activations import d_tf_logistic, d_tf_tanh
from graph.network import Layer


def outer(a: tf.Tensor, b: tf.Tensor, after: tf.Tensor | None = None) -> tf.Tensor:
    """aᵀb, the outer product of two rows [1, m] and [1, n], or the sum of several: [m, n].

    In a function that XLA compiles it is aᵀ ⊙ b for each row: XLA fuses that with the update and
    stores no matrix. Elsewhere a matrix product takes a third of the time.

    Args:
        a: [rows, m].
        b: [rows, n].
        after: a row [1, n] computed from the matrix that aᵀb will change. XLA orders operations by
            data alone and would copy the matrix; so b gets 0 · after.
    """
    if not tf.get_default_graph().building_function:
        return tf.matmul(a, b, transpose_a=True)
    if after is not None:
        b = tf.add(b, 0 * after)
    rows = zip(tf.split(a, a.shape[0]), tf.split(b, b.shape[0]), strict=True)
    return sum(tf.multiply(tf.transpose(a_row), b_row) for a_row, b_row in rows)


def d_readout(readout: Layer, y: tf.Tensor) -> tf.Tensor:
    """d = (p − y) p (1 − p), from the cost back to the readout's z, [1, 1]."""
    return tf.multiply(tf.subtract(readout.a, y), d_tf_logistic(readout.z))


def d_time_box(gradient: tf.Tensor, box: Layer) -> tf.Tensor:
    """g ⊙ (1 − a²), from a time box's a back to its z, [1, width]."""
    return tf.multiply(gradient, d_tf_tanh(box.z))


def d_hidden_state(gradient: tf.Tensor, weight: Any) -> tf.Tensor:
    """g·Wᵀ, from a z back to the hidden state that W, a variable, carried there, [1, width]."""
    return tf.matmul(gradient, weight.read_value(), transpose_b=True)
