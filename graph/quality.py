"""How good the synthetic gradients are, beside the true ones; to evaluate it changes nothing."""

from typing import NamedTuple

import tensorflow.compat.v1 as tf

from graph.modules import Module, d_hidden_state, d_readout, d_time_box, guess
from graph.network import readout_box, time_box
from graph.weights import Weights


class Quality(NamedTuple):
    """What the synthetic gradients of both time boxes are worth.

    Attributes:
        cosine_1, cosine_2: cos(ĝ, t) of each image, [n], from −1 to 1; 0 if ĝ or t is zero.
        relative_error_1, relative_error_2: |ĝ − t| / |t| of all images together, a scalar; 1, which
            is that of ĝ = 0, if t is zero. (A mean over images would be that of the few images
            whose gradient all but vanishes.)
    """

    cosine_1: tf.Tensor
    cosine_2: tf.Tensor
    relative_error_1: tf.Tensor
    relative_error_2: tf.Tensor


def synthetic_and_true(
    x: tf.Tensor, y: tf.Tensor, weights: Weights, modules: tuple[Module, Module]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """The synthetic gradients and the true ones, for the weights as they are.

    A true gradient is that of the cost of the same image, in the network as the post draws it:
    what back-propagation through time finds in the wiring `connected`. That is so for every
    wiring. In `published`, the cost of a step belongs to the image before, and what time box 2
    reads comes from there: of such a cost, no gradient leads back to the image at hand.

    Args:
        x: images, [n, width].
        y: their labels, [n, 1].
        weights: the variables; `hidden_states` is read and not written.
        modules: that guess the gradients of time boxes 1 and 2.

    Returns:
        ĝ₁, t₁, ĝ₂, t₂, each [n, width].
    """
    w_x, w_rec = weights.w_x.read_value(), weights.w_rec.read_value()
    h_0 = tf.expand_dims(weights.hidden_states.read_value()[:, 0], 0)
    box_1 = time_box(x, h_0, w_x, w_rec)
    box_2 = time_box(x, box_1.a, w_x, w_rec)
    readout = readout_box(box_2.a, weights.w_fc.read_value())
    t_2 = d_hidden_state(d_readout(readout, y), weights.w_fc)  # t₂ = d·Wfcᵀ
    t_1 = d_hidden_state(d_time_box(t_2, box_2), weights.w_rec)  # t₁ = (t₂ ⊙ (1 − a₂²))·Wrecᵀ
    g_1, g_2 = (
        guess(box, y, module).g for box, module in zip((box_1, box_2), modules, strict=True)
    )
    return g_1, t_1, g_2, t_2


def cosine(g: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """The cosine of the angle between the rows of g and t, [n, width] each, 0 if one is zero."""
    product = tf.reduce_sum(g * t, axis=1)
    return tf.div_no_nan(product, tf.norm(g, axis=1) * tf.norm(t, axis=1))


def relative_error(g: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """|g − t| / |t|, Frobenius norms of [n, width], a scalar, 1 if t is zero."""
    length = tf.norm(t)
    return tf.where(length > 0, tf.norm(g - t) / length, tf.ones_like(length))


def quality(
    x: tf.Tensor, y: tf.Tensor, weights: Weights, modules: tuple[Module, Module]
) -> Quality:
    """Compares the synthetic gradients with the true ones.

    Arguments as in `synthetic_and_true`.
    """
    # In float32 the squares of a gradient vanish long before the gradient does.
    g_1, t_1, g_2, t_2 = (
        tf.cast(g, tf.float64) for g in synthetic_and_true(x, y, weights, modules)
    )
    return Quality(
        cosine_1=cosine(g_1, t_1),
        cosine_2=cosine(g_2, t_2),
        relative_error_1=relative_error(g_1, t_1),
        relative_error_2=relative_error(g_2, t_2),
    )
