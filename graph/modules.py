"""What guesses a gradient: a module, its guess and how it learns; and the small derivatives d_*.

Notation as in `graph.network`. Every gradient is of the cost of one image: d with respect to the
readout's z, t_k with respect to the hidden state h_k, and ĝ_k, the synthetic gradient, stands in
for t_k.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from graph.activations import d_tf_logistic, d_tf_tanh
from graph.network import Layer


class Module(NamedTuple):
    """What guesses the gradient of one time box: the post's, or the paper's that knows the label.

    Attributes:
        w_sg: the variable Wsg, [inputs, width].
        label: c, how large the label is among the inputs, c(1 − y) and c·y (cDNI in the paper); 0:
            the module is not told.
        alone: whether the label is all that the module is told.
    """

    w_sg: Any
    label: float = 0.0
    alone: bool = False


class Guess(NamedTuple):
    """A synthetic gradient, and what it came from.

    Attributes:
        s: what goes into the module, [1, inputs].
        g: ĝ, [1, width].
    """

    s: tf.Tensor
    g: tf.Tensor


def outer(a: tf.Tensor, b: tf.Tensor, after: tf.Tensor | None = None) -> tf.Tensor:
    """aᵀb, the outer product of two rows [1, m] and [1, n], or the sum of several: [m, n].

    In a function, which XLA compiles, it is aᵀ ⊙ b for each row: XLA joins that with the update
    that it is for, and makes no matrix of it. Elsewhere a matrix product takes a third of the time.

    Args:
        a: [rows, m].
        b: [rows, n].
        after: a row [1, n] that was computed from the matrix that aᵀb will change. XLA goes by the
            data alone, and would copy a matrix that it might change too early; so b gets 0 · after.
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


def synthetic_gradient(a: tf.Tensor, w_sg: Any) -> tf.Tensor:
    """ĝ = a·Wsg, what the gradient with respect to a may be, [1, width]."""
    return tf.matmul(a, w_sg.read_value())


def guess(box: Layer, y: tf.Tensor, module: Module) -> Guess:
    """A module's synthetic gradient, ĝ = s·Wsg.

    Args:
        box: the time box. Its a is the input s; of a module that is told the label, s is a with
            c(1 − y) and c·y beside it, or these alone.
        y: the label, [n, 1].
        module: of this time box.
    """
    label = [module.label * (1 - y), module.label * y] if module.label else []
    s = tf.concat([*([] if module.alone else [box.a]), *label], 1)
    return Guess(s, synthetic_gradient(s, module.w_sg))


def learn(guess: Guess, t: tf.Tensor, module: Module, lr_sg: float) -> tf.Operation:
    """Teaches a module the gradient t [1, width]: a step of gradient descent on ½|ĝ − t|².

    Wsg −= lr_sg sᵀ(ĝ − t).
    """
    return module.w_sg.assign_sub(outer(guess.s, lr_sg * tf.subtract(guess.g, t))).op
