"""How good the synthetic gradients are, beside the true ones; to evaluate it changes nothing.

All images are looked at with the weights as they are. Notation as in `graph.derivatives`; rows are
images, and sums and norms run over all images and all their numbers together: a few images have
nearly all of the gradient, and the mean of a figure of each image would be that of the others.
"""

from typing import NamedTuple

import tensorflow.compat.v1 as tf

from graph.derivatives import d_hidden_state, d_readout, d_time_box
from graph.modules import Module, synthetic_gradient
from graph.network import readout_box, time_box
from graph.weights import Weights


class Quality(NamedTuple):
    """What the synthetic gradients of both time boxes are worth; scalars.

    Attributes:
        pooled_cosine_1, pooled_cosine_2: Σ⟨ĝ, t⟩ / √(Σ|ĝ|² Σ|t|²), from −1 to 1; 0 if ĝ or t is
            zero.
        relative_error_1, relative_error_2: √(Σ|ĝ − t|² / Σ|t|²); 1, which is that of ĝ = 0, if t is
            zero.
        update_cosine_x, update_cosine_rec: the cosine of what all images together do to `w_x` and
            to `w_rec`, by the synthetic gradients and by the true ones:
            ΔWx = Σ xᵀ(u + v), ΔWrec = Σ (h₀ᵀu + h₁ᵀv), u = g₁ ⊙ (1 − a₁²), v = g₂ ⊙ (1 − a₂²).
    """

    pooled_cosine_1: tf.Tensor
    pooled_cosine_2: tf.Tensor
    relative_error_1: tf.Tensor
    relative_error_2: tf.Tensor
    update_cosine_x: tf.Tensor
    update_cosine_rec: tf.Tensor


class BoxGradients(NamedTuple):
    """Of each image, and the updates that all of them make.

    Attributes:
        g_1, g_2: of the hidden states h₁ and h₂, [n, width].
        w_x, w_rec: the right factors B of ΔWx and ΔWrec, which are AᵀB: u + v, [n, width], and
            Σu over v, [1 + n, width].
    """

    g_1: tf.Tensor
    g_2: tf.Tensor
    w_x: tf.Tensor
    w_rec: tf.Tensor


class Compared(NamedTuple):
    """Synthetic and true gradients of the same images.

    Attributes:
        x: the images, the left factor A of ΔWx, [n, width].
        h: h₀ over a₁, that of ΔWrec, [1 + n, width].
        synthetic: what the time boxes learn from.
        true: the gradients of the cost.
    """

    x: tf.Tensor
    h: tf.Tensor
    synthetic: BoxGradients
    true: BoxGradients


def synthetic_and_true(
    x: tf.Tensor,
    y: tf.Tensor,
    weights: Weights,
    modules: tuple[Module, Module],
    decoupled: str = "both",
) -> Compared:
    """The gradients that the time boxes learn from and the true ones, for the weights as they are.

    A true gradient is that of the cost of the same image, in the network as the post draws it:
    what back-propagation through time finds in the wiring `connected`. That is so for every
    wiring. In `published`, the cost of a step belongs to the image before, and what time box 2
    reads comes from there: of such a cost, no gradient leads back to the image at hand.

    Args:
        x: images, [n, width].
        y: their labels, [n, 1].
        weights: the variables; `hidden_states` is read and not written.
        modules: of time boxes 1 and 2.
        decoupled: "both", "1" or "2": which boxes learn from a synthetic gradient. With "1" time
            box 2 learns from the true gradient; with "2" time box 1 from what comes back from ĝ₂.
    """
    w_x, w_rec = weights.w_x.read_value(), weights.w_rec.read_value()
    h_0 = tf.expand_dims(weights.hidden_states.read_value()[:, 0], 0)
    box_1 = time_box(x, h_0, w_x, w_rec)
    box_2 = time_box(x, box_1.a, w_x, w_rec)
    readout = readout_box(box_2.a, weights.w_fc.read_value())

    def back(g_2: tf.Tensor) -> tf.Tensor:  # (g₂ ⊙ (1 − a₂²))·Wrecᵀ
        return d_hidden_state(d_time_box(g_2, box_2), weights.w_rec)

    def gradients(g_1: tf.Tensor, g_2: tf.Tensor) -> BoxGradients:
        u, v = d_time_box(g_1, box_1), d_time_box(g_2, box_2)
        return BoxGradients(
            g_1, g_2, w_x=u + v, w_rec=tf.concat([tf.reduce_sum(u, 0, keepdims=True), v], 0)
        )

    t_2 = d_hidden_state(d_readout(readout, y), weights.w_fc)  # t₂ = d·Wfcᵀ
    g_2 = t_2 if decoupled == "1" else synthetic_gradient(box_2, y, modules[1]).g
    g_1 = back(g_2) if decoupled == "2" else synthetic_gradient(box_1, y, modules[0]).g
    return Compared(x, tf.concat([h_0, box_1.a], 0), gradients(g_1, g_2), gradients(back(t_2), t_2))


def cosine(g: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """Σ⟨g, t⟩ / √(Σ|g|² Σ|t|²) of two matrices, 0 if one is zero."""
    return tf.div_no_nan(tf.reduce_sum(g * t), tf.norm(g) * tf.norm(t))


def update_cosine(a: tf.Tensor, g: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """The cosine of the updates aᵀg and aᵀt, [width, width].

    With fewer rows than columns it is cheaper not to compute them: ⟨aᵀg, aᵀt⟩ = ⟨aaᵀ, gtᵀ⟩.

    Args:
        a: [rows, width].
        g: [rows, width].
        t: [rows, width].
    """
    rows, width = a.shape
    if rows > width:
        return cosine(tf.matmul(a, g, transpose_a=True), tf.matmul(a, t, transpose_a=True))
    a_a = tf.matmul(a, a, transpose_b=True)

    def inner(g: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(a_a * tf.matmul(g, t, transpose_b=True))

    def length(g: tf.Tensor) -> tf.Tensor:
        return tf.sqrt(tf.nn.relu(inner(g, g)))  # Rounded, a square may be negative.

    return tf.div_no_nan(inner(g, t), length(g) * length(t))


def relative_error(g: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """|g − t| / |t| of two matrices, 1 if t is zero."""
    length = tf.norm(t)
    return tf.where(length > 0, tf.norm(g - t) / length, tf.ones_like(length))


def quality(
    x: tf.Tensor,
    y: tf.Tensor,
    weights: Weights,
    modules: tuple[Module, Module],
    decoupled: str = "both",
) -> Quality:
    """Compares the synthetic gradients with the true ones.

    Arguments as in `synthetic_and_true`.
    """
    # In float32 the squares of a gradient vanish long before the gradient does.
    x, h, synthetic, true = tf.nest.map_structure(
        lambda values: tf.cast(values, tf.float64),
        synthetic_and_true(x, y, weights, modules, decoupled),
    )
    return Quality(
        pooled_cosine_1=cosine(synthetic.g_1, true.g_1),
        pooled_cosine_2=cosine(synthetic.g_2, true.g_2),
        relative_error_1=relative_error(synthetic.g_1, true.g_1),
        relative_error_2=relative_error(synthetic.g_2, true.g_2),
        update_cosine_x=update_cosine(x, synthetic.w_x, true.w_x),
        update_cosine_rec=update_cosine(h, synthetic.w_rec, true.w_rec),
    )
