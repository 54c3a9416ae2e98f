"""The structure of the network: two time boxes and a readout, and the order they run in.

Row vectors throughout: an image x, a hidden state h and an activation a are [1, width], the label
y and the probability p are [1, 1].

Every function adds operations to the current graph. Reads and writes of variables are operations
too, and the executor may run them in any order that the graph's edges allow; where a value alone
does not fix the order, a control dependency does.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from graph.activations import tf_logistic, tf_tanh
from graph.weights import Weights


class Layer(NamedTuple):
    """The output of a box: z, the sum that enters the activation function, and a, its value."""

    z: tf.Tensor
    a: tf.Tensor


class Forward(NamedTuple):
    """One forward pass.

    Attributes:
        h_0, h_1, h_2: [1, width], the hidden states as this pass reads them.
        box_1, box_2: the time boxes, z and a [1, width].
        readout: z and a [1, 1]; a is p, the probability that the label is 1.
        write: the operation that leaves a₁ and a₂ in `hidden_states`, columns 1 and 2.
    """

    h_0: tf.Tensor
    h_1: tf.Tensor
    h_2: tf.Tensor
    box_1: Layer
    box_2: Layer
    readout: Layer
    write: tf.Operation


def time_box(x: tf.Tensor, h: tf.Tensor, w_x: tf.Tensor, w_rec: tf.Tensor) -> Layer:
    """One time box: a = tanh(x·Wx + h·Wrec)."""
    z = tf.add(tf.matmul(x, w_x), tf.matmul(h, w_rec))
    return Layer(z, tf_tanh(z))


def readout_box(h: tf.Tensor, w_fc: tf.Tensor) -> Layer:
    """The readout: p = σ(h·Wfc)."""
    z = tf.matmul(h, w_fc)
    return Layer(z, tf_logistic(z))


def cost_function(p: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """The cost of one image, ½(p − y)², a scalar."""
    return 0.5 * tf.reduce_sum(tf.square(tf.subtract(p, y)))


def read_hidden_state(weights: Weights, column: int) -> tf.Tensor:
    """Reads h₀, h₁ or h₂, one column of `hidden_states`, as a row [1, width]."""
    return tf.expand_dims(weights.hidden_states.read_value()[:, column], 0)


def write_hidden_state(weights: Weights, column: int, a: tf.Tensor) -> tf.Operation:
    """Writes h₀, h₁ or h₂, a row a [1, width], to its column of `hidden_states`."""
    return weights.hidden_states[:, column].assign(tf.squeeze(a, 0)).op


def evaluate(x: tf.Tensor, weights: Weights) -> Forward:
    """The forward pass in the order that the post draws, without writing the hidden states."""
    w_x, w_rec = weights.w_x.read_value(), weights.w_rec.read_value()
    h_0 = read_hidden_state(weights, 0)
    box_1 = time_box(x, h_0, w_x, w_rec)
    box_2 = time_box(x, box_1.a, w_x, w_rec)
    readout = readout_box(box_2.a, weights.w_fc.read_value())
    return Forward(h_0, box_1.a, box_2.a, box_1, box_2, readout, tf.no_op())


def published(x: tf.Tensor, weights: Weights) -> Forward:
    """The forward pass as the post's program really computes it (docs/experiment.md §3).

    All reads of `hidden_states` come before its writes. So time box 2 and the readout see the
    hidden states that the image *before* left, and p answers for that image:

        a₁ = tanh(x·Wx + h₀·Wrec)
        a₂ = tanh(x·Wx + h₁·Wrec)
        p  = σ(h₂·Wfc)
        h₁ := a₁, h₂ := a₂

    The post's program has no edge that says so; there, the reads merely happened to run first.
    """
    # Read once for both boxes: TensorFlow then sees that x·Wx is the same in both.
    with tf.name_scope("w_x_and_w_rec"):
        w_x, w_rec = weights.w_x.read_value(), weights.w_rec.read_value()
    with tf.name_scope("time_box_1"):
        h_0 = read_hidden_state(weights, 0)
        box_1 = time_box(x, h_0, w_x, w_rec)
    with tf.name_scope("time_box_2"):
        h_1 = read_hidden_state(weights, 1)
        box_2 = time_box(x, h_1, w_x, w_rec)
    with tf.name_scope("readout"):
        h_2 = read_hidden_state(weights, 2)
        readout = readout_box(h_2, weights.w_fc.read_value())
    # The write of a₁ depends on the read of h₀; the reads of h₁ and h₂ need a control dependency.
    with tf.name_scope("write_hidden_states"), tf.control_dependencies([h_1, h_2]):
        write_1 = write_hidden_state(weights, 1, box_1.a)
        with tf.control_dependencies([write_1]):
            write_2 = write_hidden_state(weights, 2, box_2.a)
    return Forward(h_0, h_1, h_2, box_1, box_2, readout, write_2)


def run_time_box(
    x: tf.Tensor,
    weights: Weights,
    number: int,
    h: tf.Tensor | None = None,
    after: Sequence[tf.Operation] = (),
) -> tuple[tf.Tensor, Layer, tf.Operation]:
    """Time box 1 or 2, read, computed and written in one go, as the post draws it.

    Args:
        x: the image, [1, width].
        weights: the variables.
        number: of the time box; it reads h of the column before and writes a to its own.
        h: the hidden state, [1, width], or None to read it from `hidden_states`.
        after: the operations that the reads wait for.

    Returns:
        The hidden state that went in, z and a, and the operation that writes a.
    """
    with tf.name_scope(f"time_box_{number}"), tf.control_dependencies(after):
        if h is None:
            h = read_hidden_state(weights, number - 1)
        box = time_box(x, h, weights.w_x.read_value(), weights.w_rec.read_value())
        return h, box, write_hidden_state(weights, number, box.a)


def run_readout(
    weights: Weights, h: tf.Tensor | None, after: Sequence[tf.Operation]
) -> tuple[tf.Tensor, Layer]:
    """The readout, of h [1, width], or of h₂ as it stands in `hidden_states` after `after`."""
    with tf.name_scope("readout"):
        if h is None:
            with tf.control_dependencies(after):
                h = read_hidden_state(weights, 2)
        return h, readout_box(h, weights.w_fc.read_value())


def ordered(x: tf.Tensor, weights: Weights, *, connected: bool) -> Forward:
    """The forward pass in the order that the post draws (docs/experiment.md §3).

        a₁ = tanh(x·Wx + h₀·Wrec), h₁ := a₁
        a₂ = tanh(x·Wx + h₁·Wrec), h₂ := a₂
        p  = σ(h₂·Wfc)

    Args:
        x: the image, [1, width].
        weights: the variables.
        connected: whether time box 2 and the readout take a₁ and a₂ as tensors, which gradients
            can pass through, and not from `hidden_states`. It makes no difference to the values.
    """
    h_0, box_1, write_1 = run_time_box(x, weights, 1)
    h_1, box_2, write_2 = run_time_box(
        x, weights, 2, h=box_1.a if connected else None, after=[write_1]
    )
    h_2, readout = run_readout(weights, h=box_2.a if connected else None, after=[write_2])
    return Forward(h_0, h_1, h_2, box_1, box_2, readout, write_2)


def predict(images: tf.Tensor, weights: Weights, *, published: bool) -> tf.Tensor:
    """p of each image in turn; the hidden states go on from image to image.

    No weight changes in between, so that the images share each product.

    Args:
        images: [n, width].
        weights: the variables; `hidden_states` is left as the last image leaves it.
        published: whether time box 2 and the readout see the hidden states of the image before, as
            in the wiring `published`, or those of this image.

    Returns:
        [n]; to evaluate it is to write `hidden_states`.
    """
    h_0, h_1, h_2 = tf.split(tf.transpose(weights.hidden_states.read_value()), 3)
    w_x, w_rec = weights.w_x.read_value(), weights.w_rec.read_value()

    def seen(states: tf.Tensor) -> tf.Tensor:
        return states[:-1] if published else states[1:]

    # The states before the first image, then the states that each image leaves
    h_1 = tf.concat([h_1, time_box(images, h_0, w_x, w_rec).a], 0)
    h_2 = tf.concat([h_2, time_box(images, seen(h_1), w_x, w_rec).a], 0)
    p = readout_box(seen(h_2), weights.w_fc.read_value()).a
    write = weights.hidden_states.assign(tf.stack([h_0[0], h_1[-1], h_2[-1]], 1))
    with tf.control_dependencies([write]):
        return tf.squeeze(p, 1)
