"""What one training step runs: the assign operations written by hand, or GradientDescentOptimizer.

This is the post's "Reason 3: Switch and Compare Between Automatic Differentiation". Notation as in
`graph.network`; ĝ is a synthetic gradient [1, width], and t, [1, width], is what it should have
been.
"""

from typing import NamedTuple

import tensorflow.compat.v1 as tf

from graph.activations import d_tf_logistic, d_tf_tanh
from graph.network import Forward, Layer
from graph.weights import Weights


class Rates(NamedTuple):
    """The learning rates of manual mode (per image): readout, time boxes, synthetic gradients."""

    lr_x: float
    lr_rec: float
    lr_sg: float


def outer(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """aᵀb, the outer product of two rows [1, m] and [1, n]: [m, n]."""
    return tf.matmul(a, b, transpose_a=True)


def d_cost(readout: Layer, y: tf.Tensor) -> tf.Tensor:
    """d = (p − y) p (1 − p), the derivative of the cost with respect to the readout's z, [1, 1]."""
    return tf.multiply(tf.subtract(readout.a, y), d_tf_logistic(readout.z))


def published_manual(
    x: tf.Tensor, y: tf.Tensor, forward: Forward, weights: Weights, rates: Rates
) -> tf.Operation:
    """The post's manual back propagation: nine assignments, two of them in the forward feed.

    Every right-hand side uses the values from before the step. The synthetic gradients are *added*
    to `w_rec` and `w_x`, as the post does it: that climbs (specification §6, fault 3).

    Args:
        x: the image, [1, width].
        y: its label, [1, 1].
        forward: `graph.network.published` of x.
        weights: the variables.
        rates: the learning rates.

    Returns:
        The operation that does it all. Source: specification §3, `published`, manual.
    """
    h_0, h_1, h_2, box_1, box_2, readout, write_hidden_states = forward

    with tf.name_scope("synthetic_gradient_1"):
        g_1 = tf.matmul(box_1.a, weights.w_sg_1.read_value())  # ĝ₁ = a₁·Wsg1
        u = tf.multiply(g_1, d_tf_tanh(box_1.z))  # u = ĝ₁ ⊙ (1 − a₁²)
    with tf.name_scope("synthetic_gradient_2"):
        g_2 = tf.matmul(box_2.a, weights.w_sg_2.read_value())  # ĝ₂ = a₂·Wsg2
        v = tf.multiply(g_2, d_tf_tanh(box_2.z))  # v = ĝ₂ ⊙ (1 − a₂²)
    with tf.name_scope("true_gradient_1"):
        t_1 = tf.matmul(v, weights.w_rec.read_value(), transpose_b=True)  # t₁ = v·Wrecᵀ
    with tf.name_scope("true_gradient_2"):
        d = d_cost(readout, y)  # d = (p − y) p (1 − p)
        t_2 = tf.matmul(d, weights.w_fc.read_value(), transpose_b=True)  # t₂ = d·Wfcᵀ

    # Once t₁ and t₂ are known every weight has been read, and only then may one change.
    with tf.name_scope("updates"), tf.control_dependencies([t_1, t_2]):
        update_rec = weights.w_rec.assign_add(rates.lr_rec * outer(h_0, u))
        update_x = weights.w_x.assign_add(rates.lr_rec * outer(x, u))
        # The order of two updates of one variable decides how their sum is rounded.
        with tf.control_dependencies([update_rec]):
            update_rec = weights.w_rec.assign_add(rates.lr_rec * outer(h_1, v))
        with tf.control_dependencies([update_x]):
            update_x = weights.w_x.assign_add(rates.lr_rec * outer(x, v))
        update_sg_1 = weights.w_sg_1.assign_sub(rates.lr_sg * outer(h_1, tf.subtract(g_1, t_1)))
        update_sg_2 = weights.w_sg_2.assign_sub(rates.lr_sg * outer(h_2, tf.subtract(g_2, t_2)))
        update_fc = weights.w_fc.assign_sub(rates.lr_x * outer(h_2, d))
    return tf.group(update_rec, update_x, update_sg_1, update_sg_2, update_fc, write_hidden_states)


def auto(cost: tf.Tensor, forward: Forward, lr_auto: float) -> tf.Operation:
    """The post's automatic differentiation: `GradientDescentOptimizer` on everything trainable.

    `hidden_states` is trainable too, because a `tf.Variable` is by default. The optimizer's step
    comes after the forward feed's write: h₂ := a₂ − lr_auto · d·Wfcᵀ.

    Args:
        cost: the cost of one image, a scalar.
        forward: the forward feed that the cost comes from.
        lr_auto: the learning rate, per image.

    Returns:
        The operation that does it all. Source: specification §3, auto.
    """
    with tf.control_dependencies([forward.write]):
        return tf.train.GradientDescentOptimizer(lr_auto).minimize(cost)
