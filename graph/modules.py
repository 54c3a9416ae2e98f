"""A module predicts the gradient of a time box: its input, its output, how it learns.

Notation as in `graph.derivatives`; ĝ_k, the synthetic gradient, stands in for t_k.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from graph.derivatives import outer
from graph.network import Layer


class Module(NamedTuple):
    """The module of one time box, linear as the post's.

    Attributes:
        w_sg: the variable Wsg, [inputs, width].
        label: c, the scale of the label among the inputs, c(1 − y) and c·y (the paper's cDNI);
            0: the input does not include the label.
        alone: whether the label is the only input.
    """

    w_sg: Any
    label: float = 0.0
    alone: bool = False


class SyntheticGradient(NamedTuple):
    """A module's output, and the input that it came from.

    Attributes:
        s: [1, inputs].
        g: ĝ, [1, width].
    """

    s: tf.Tensor
    g: tf.Tensor


def synthetic_gradient(box: Layer, y: tf.Tensor, module: Module) -> SyntheticGradient:
    """ĝ = s·Wsg.

    Args:
        box: the time box. s is its a, [n, width], and with the label [a, c(1 − y), c·y].
        y: the label, [n, 1].
        module: of this time box.
    """
    label = [module.label * (1 - y), module.label * y] if module.label else []
    s = tf.concat([*([] if module.alone else [box.a]), *label], 1)
    return SyntheticGradient(s, tf.matmul(s, module.w_sg.read_value()))


def learn(synthetic: SyntheticGradient, t: tf.Tensor, module: Module, lr_sg: float) -> tf.Operation:
    """Wsg −= lr_sg sᵀ(ĝ − t): a step of gradient descent on ½|ĝ − t|², t [1, width]."""
    return module.w_sg.assign_sub(outer(synthetic.s, lr_sg * tf.subtract(synthetic.g, t))).op
