"""A training step of T time boxes in windows of K: true gradients inside, synthetic ones between.

Time box k sees an input of its own, xₖ. All time boxes share Wx and Wrec:

    aₖ = tanh(xₖ·Wx + hₖ₋₁·Wrec), hₖ = aₖ, k = 1 … T
    p  = σ(h_T·Wfc)

A window is K boxes in a row. Inside it, gradients are true. At its end stands a synthetic gradient,
or zero; at the end of the last window stands a synthetic gradient, or the true one of the readout.
A window learns as soon as it has run, and the next window runs with the weights that it leaves.

K = T without modules is back-propagation through time. T = 2 and K = 1, with two modules and the
same image in both boxes, is `graph.backprop.ordered_manual`. Notation as in `graph.derivatives`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from graph.activations import tf_tanh
from graph.derivatives import d_hidden_state, d_readout, d_time_box, outer
from graph.modules import Module, SyntheticGradient, learn, synthetic_gradient
from graph.network import Layer, readout_box, time_box
from graph.weights import Rates

# x₁ to x_T, [n, P] each. None is an input of zeros; the first is a tensor.
Inputs = Sequence[tf.Tensor | None]


class Recurrent(NamedTuple):
    """The weights of T time boxes, whose inputs have P numbers and whose hidden states have H.

    Attributes:
        h_0: the hidden state before the first box, a tensor [1, H].
        w_x, w_rec, w_fc: variables, [P, H], [H, H] and [H, 1].
    """

    h_0: tf.Tensor
    w_x: Any
    w_rec: Any
    w_fc: Any


def run_time_boxes(xs: Inputs, h: tf.Tensor, w_x: tf.Tensor, w_rec: tf.Tensor) -> list[Layer]:
    """Runs time boxes one after the other, the first with the hidden state h."""
    boxes: list[Layer] = []
    for x in xs:
        if x is None:
            z = tf.matmul(h, w_rec)
            boxes.append(Layer(z, tf_tanh(z)))
        else:
            boxes.append(time_box(x, h, w_x, w_rec))
        h = boxes[-1].a
    return boxes


def readout_of(inputs: Inputs, weights: Recurrent) -> Layer:
    """The forward pass alone: the readout, z and a [n, 1]."""
    w_x, w_rec = weights.w_x.read_value(), weights.w_rec.read_value()
    return readout_box(
        run_time_boxes(inputs, weights.h_0, w_x, w_rec)[-1].a, weights.w_fc.read_value()
    )


def back_through(
    boxes: Sequence[Layer], g: tf.Tensor, w_rec: tf.Tensor
) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Back-propagation through boxes in a row, from g, the gradient of the last hidden state.

    Returns:
        gₖ and uₖ of each box: uₖ = gₖ ⊙ (1 − aₖ²), gₖ₋₁ = uₖ·Wrecᵀ.
    """
    gs_us = [(g, d_time_box(g, boxes[-1]))]
    for box in reversed(boxes[:-1]):
        g = tf.matmul(gs_us[0][1], w_rec, transpose_b=True)
        gs_us.insert(0, (g, d_time_box(g, box)))
    return gs_us


def update_time_boxes(
    xs: Inputs,
    hs: Sequence[tf.Tensor],
    us: Sequence[tf.Tensor],
    weights: Recurrent,
    lr_rec: float,
) -> list[tf.Operation]:
    """Wrec −= lr_rec Σ hₖ₋₁ᵀuₖ, Wx −= lr_rec Σ xₖᵀuₖ, one product each for a whole window."""
    rec = weights.w_rec.assign_sub(outer(tf.concat(hs, 0), lr_rec * tf.concat(us, 0))).op
    xs_us = [(x, u) for x, u in zip(xs, us, strict=True) if x is not None]
    if not xs_us:
        return [rec]
    x, u = (tf.concat(rows, 0) for rows in zip(*xs_us, strict=True))
    return [rec, weights.w_x.assign_sub(outer(x, lr_rec * u)).op]


def windows_manual(
    inputs: Inputs,
    y: tf.Tensor,
    weights: Recurrent,
    modules: Sequence[Module],
    rates: Rates,
    *,
    window: int,
) -> tuple[Layer, tf.Operation]:
    """Manual back propagation in windows.

    Args:
        inputs: of one image, n = 1.
        y: its label, [1, 1].
        weights: the variables.
        modules: of the windows, in order. Without any, only the last window gets a gradient and
            learns (truncated back-propagation). With one for each window but the last, the last
            learns from the true gradient of the readout. With one for every window, the last does
            not wait for the readout.
        rates: the learning rates.
        window: K; the last window may be shorter.

    Returns:
        The readout, and the operation that does all updates.

    Raises:
        ValueError: there is another number of modules.
    """
    windows = [inputs[first : first + window] for first in range(0, len(inputs), window)]
    if len(modules) not in (0, len(windows) - 1, len(windows)):
        raise ValueError(f"{len(modules)} modules for {len(windows)} windows")
    h, w_x, w_rec = weights.h_0, weights.w_x.read_value(), weights.w_rec.read_value()
    previous: SyntheticGradient | None = None  # of the window before
    changes: list[tf.Operation] = []
    for n, xs in enumerate(windows):
        last, synthetic = n == len(windows) - 1, None
        with tf.name_scope(f"window_{n + 1}"):
            boxes = run_time_boxes(xs, h, w_x, w_rec)
            hs, h = [h, *(box.a for box in boxes[:-1])], boxes[-1].a
        if last:
            with tf.name_scope("readout"):
                w_fc = weights.w_fc.read_value()
                readout = readout_box(h, w_fc)  # p = σ(h_T·Wfc)
                d = d_readout(readout, y)  # d = (p − y) p (1 − p)
                fc = weights.w_fc.assign_sub(outer(h, rates.lr_x * d)).op  # Wfc −= lr_x h_Tᵀd
        if n < len(modules):
            synthetic = synthetic_gradient(boxes[-1], y, modules[n])
            g = synthetic.g  # ĝ = s·Wsg
        elif last:
            g = tf.matmul(d, w_fc, transpose_b=True)  # t_T = d·Wfcᵀ, with the Wfc that gave p
        else:
            continue
        with tf.name_scope(f"update_window_{n + 1}"):
            us = [u for _, u in back_through(boxes, g, w_rec)]
            changed = update_time_boxes(xs, hs, us, weights, rates.lr_rec)
            with tf.control_dependencies(changed):
                w_x, w_rec = weights.w_x.read_value(), weights.w_rec.read_value()
        if previous is not None:
            with tf.name_scope(f"update_module_{n}"):
                # t = u·Wrecᵀ, u of this window's first box and Wrec as this window leaves it
                t = tf.matmul(us[0], w_rec, transpose_b=True)
                changes.append(learn(previous, t, modules[n - 1], rates.lr_sg))
        changes += changed
        previous = synthetic
    if previous is not None:
        with tf.name_scope(f"update_module_{len(windows)}"), tf.control_dependencies([fc]):
            t = d_hidden_state(d, weights.w_fc)  # t_T = d·Wfcᵀ, with the Wfc that the step leaves
            changes.append(learn(previous, t, modules[-1], rates.lr_sg))
    return readout, tf.group(fc, *changes)


def gradients(
    inputs: Inputs, y: tf.Tensor, weights: Recurrent, modules: Sequence[Module], *, window: int
) -> list[tf.Tensor]:
    """The gradient that each time box learns from, [n, H], with the weights as they are.

    Args:
        inputs: of n images.
        y: their labels, [n, 1].
        weights: the variables.
        modules: one for each window but the last, or one for every window.
        window: K. With K = T and without modules, the gradients are the true ones.
    """
    w_x, w_rec = weights.w_x.read_value(), weights.w_rec.read_value()
    w_fc = weights.w_fc.read_value()
    boxes = run_time_boxes(inputs, weights.h_0, w_x, w_rec)
    gs: list[tf.Tensor] = []
    for n, first in enumerate(range(0, len(boxes), window)):
        of_window = boxes[first : first + window]
        if n < len(modules):
            g = synthetic_gradient(of_window[-1], y, modules[n]).g
        else:
            g = tf.matmul(d_readout(readout_box(boxes[-1].a, w_fc), y), w_fc, transpose_b=True)
        gs += [g for g, _ in back_through(of_window, g, w_rec)]
    return gs
