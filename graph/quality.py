"""The quality of the gradients that the time boxes learn from, beside the true ones.

Each step of an epoch contributes its own pair, at the weights before the step. Rows are steps. Sums
and norms run over all steps and all numbers of a row together: once a network has learned, a few
images have nearly all of the gradient, and a mean over the images would hide them. Notation as in
`graph.derivatives`.
"""

from typing import NamedTuple

import tensorflow.compat.v1 as tf

from graph.backprop import TRUE, Source, box_gradients
from graph.network import evaluate
from graph.weights import Weights


class Rows(NamedTuple):
    """The gradients of a step that the boxes learn from, and the true ones t, [n, width] each."""

    g_1: tf.Tensor
    g_2: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor
    t_1: tf.Tensor
    t_2: tf.Tensor
    true_u: tf.Tensor
    true_v: tf.Tensor


class Quality(NamedTuple):
    """Figures of each time box; scalars.

    Attributes:
        pooled_cosine_1, pooled_cosine_2: Σ⟨g, t⟩ / √(Σ|g|² Σ|t|²), from −1 to 1; 0 if g or t is
            zero.
        relative_error_1, relative_error_2: √(Σ|g − t|² / Σ|t|²); that of g = 0 is 1.
        update_cosine_1, update_cosine_2: the cosine between the changes of Wx by g and by t, summed
            over the steps: Σ xᵀu of time box 1, Σ xᵀv of time box 2.
    """

    pooled_cosine_1: tf.Tensor
    pooled_cosine_2: tf.Tensor
    relative_error_1: tf.Tensor
    relative_error_2: tf.Tensor
    update_cosine_1: tf.Tensor
    update_cosine_2: tf.Tensor


def rows(x: tf.Tensor, y: tf.Tensor, weights: Weights, sources: tuple[Source, Source]) -> Rows:
    """The gradients of one image at the present weights; nothing is written.

    The true ones are those of back-propagation through time in the network as the post draws it, in
    every wiring. In `published`, the cost of a step belongs to the image before, and no gradient of
    it leads back to the image at hand.

    Args:
        x: the image, [1, width].
        y: its label, [1, 1].
        weights: the variables.
        sources: of the gradients of time boxes 1 and 2.
    """
    forward = evaluate(x, weights)
    used = box_gradients(y, forward, weights, sources)
    true = box_gradients(y, forward, weights, TRUE)
    return Rows(used.g_1, used.g_2, used.u, used.v, true.g_1, true.g_2, true.u, true.v)


def cosine(g: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """Σ⟨g, t⟩ / √(Σ|g|² Σ|t|²) of two matrices, 0 if one is zero."""
    return tf.div_no_nan(tf.reduce_sum(g * t), tf.norm(g) * tf.norm(t))


def relative_error(g: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """|g − t| / |t| of two matrices, 1 if t is zero."""
    length = tf.norm(t)
    return tf.where(length > 0, tf.norm(g - t) / length, tf.ones_like(length))


def quality(x: tf.Tensor, of_steps: Rows) -> Quality:
    """The figures of an epoch.

    Args:
        x: the images, [n, width].
        of_steps: [n, width] each.
    """
    # In float32 the squares of a gradient underflow long before the gradient does.
    x = tf.cast(x, tf.float64)
    r = Rows(*(tf.cast(values, tf.float64) for values in of_steps))

    def update_cosine(u: tf.Tensor, true_u: tf.Tensor) -> tf.Tensor:
        return cosine(*(tf.matmul(x, each, transpose_a=True) for each in (u, true_u)))

    return Quality(
        pooled_cosine_1=cosine(r.g_1, r.t_1),
        pooled_cosine_2=cosine(r.g_2, r.t_2),
        relative_error_1=relative_error(r.g_1, r.t_1),
        relative_error_2=relative_error(r.g_2, r.t_2),
        update_cosine_1=update_cosine(r.u, r.true_u),
        update_cosine_2=update_cosine(r.v, r.true_v),
    )
