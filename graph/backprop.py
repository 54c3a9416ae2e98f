"""A training step: the assign operations written by hand, or GradientDescentOptimizer.

This is the post's "Reason 3: Switch and Compare Between Automatic Differentiation". Notation as in
`graph.derivatives`. Where an outer product is the whole update, the learning rate multiplies its
row, which is cheaper than multiplying the matrix.

An update always waits for a matrix product. TensorFlow's optimizer rewrites chains of elementwise
products, and an operation of the chain may then be computed from less than its inputs.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from graph.derivatives import d_hidden_state, d_readout, d_time_box, outer
from graph.modules import Module, learn, synthetic_gradient
from graph.network import Forward, Layer, run_readout, run_time_box, write_hidden_state
from graph.weights import Rates, Weights


class Gradients(NamedTuple):
    """The cost's gradients with respect to all that decides it.

    Attributes:
        h_0: [1, width].
        w_x: [width, width].
        w_rec: [width, width].
        w_fc: [width, 1].
    """

    h_0: tf.Tensor
    w_x: tf.Tensor
    w_rec: tf.Tensor
    w_fc: tf.Tensor


def synthetic_step(variable: Any, change: tf.Tensor, *, ascend: bool) -> tf.Tensor:
    """Adds the change, as the post does, or subtracts it (docs/experiment.md §6, fault 3)."""
    return variable.assign_add(change) if ascend else variable.assign_sub(change)


def published_manual(
    x: tf.Tensor,
    y: tf.Tensor,
    forward: Forward,
    weights: Weights,
    modules: tuple[Module, Module],
    rates: Rates,
    *,
    ascend: bool,
) -> tf.Operation:
    """The post's manual back propagation; two of its assignments are in the forward pass.

    Every right-hand side uses the values from before the step. The post assigns `w_rec` and `w_x`
    twice each, in no order, so that one change may be lost (docs/experiment.md §6, fault 6); here
    both changes go into one assignment.

    Args:
        x: the image, [1, width].
        y: its label, [1, 1].
        forward: `graph.network.published` of x.
        weights: the variables.
        modules: of time boxes 1 and 2; their input is a alone.
        rates: the learning rates.
        ascend: whether the synthetic gradients are added, as in the post, or subtracted.

    Returns:
        The operation that does it all. Source: docs/experiment.md §3, `published`, manual.
    """
    h_0, h_1, h_2, box_1, box_2, readout, write_hidden_states = forward
    module_1, module_2 = modules

    with tf.name_scope("synthetic_gradient_1"):
        g_1 = synthetic_gradient(box_1, y, module_1).g  # ĝ₁ = a₁·Wsg1
        u = d_time_box(g_1, box_1)  # u = ĝ₁ ⊙ (1 − a₁²)
    with tf.name_scope("synthetic_gradient_2"):
        g_2 = synthetic_gradient(box_2, y, module_2).g  # ĝ₂ = a₂·Wsg2
        v = d_time_box(g_2, box_2)  # v = ĝ₂ ⊙ (1 − a₂²)
    with tf.name_scope("true_gradient_1"):
        t_1 = d_hidden_state(v, weights.w_rec)  # t₁ = v·Wrecᵀ
    with tf.name_scope("true_gradient_2"):
        d = d_readout(readout, y)  # d = (p − y) p (1 − p)
        t_2 = d_hidden_state(d, weights.w_fc)  # t₂ = d·Wfcᵀ

    # Once t₁ and t₂ are known every weight has been read, and only then may one change.
    with tf.name_scope("updates"), tf.control_dependencies([t_1, t_2]):
        h_0_h_1, u_v = tf.concat([h_0, h_1], 0), tf.concat([u, v], 0)  # h₀ᵀu + h₁ᵀv, one product
        update_rec = synthetic_step(
            weights.w_rec, outer(h_0_h_1, rates.lr_rec * u_v, after=t_1), ascend=ascend
        )
        update_x = synthetic_step(weights.w_x, outer(x, rates.lr_rec * tf.add(u, v)), ascend=ascend)
        update_sg_1 = module_1.w_sg.assign_sub(outer(h_1, rates.lr_sg * tf.subtract(g_1, t_1)))
        update_sg_2 = module_2.w_sg.assign_sub(outer(h_2, rates.lr_sg * tf.subtract(g_2, t_2)))
        update_fc = weights.w_fc.assign_sub(outer(h_2, rates.lr_x * d))
    return tf.group(update_rec, update_x, update_sg_1, update_sg_2, update_fc, write_hidden_states)


def ordered_manual(
    x: tf.Tensor,
    y: tf.Tensor,
    weights: Weights,
    modules: tuple[Module, Module],
    rates: Rates,
    *,
    connected: bool,
    ascend: bool,
) -> tuple[Layer, tf.Operation]:
    """Manual back propagation in the order that the post draws: each box, then its update.

    Args:
        x: the image, [1, width].
        y: its label, [1, 1].
        weights: the variables.
        modules: of time boxes 1 and 2.
        rates: the learning rates.
        connected: as in `graph.network.ordered`.
        ascend: whether the synthetic gradients are added, as in the post, or subtracted.

    Returns:
        The readout and the operation that does it all. Source: docs/experiment.md §3, `ordered`,
        whose steps the numbers in the code are.
    """
    module_1, module_2 = modules
    # 1. a₁ = tanh(x·Wx + h₀·Wrec), h₁ := a₁
    h_0, box_1, write_1 = run_time_box(x, weights, 1)
    # 2. ĝ₁ = a₁·Wsg1, u = ĝ₁ ⊙ (1 − a₁²)
    with tf.name_scope("update_1"):
        synthetic_1 = synthetic_gradient(box_1, y, module_1)
        u = d_time_box(synthetic_1.g, box_1)
        rec_1 = synthetic_step(weights.w_rec, outer(h_0, rates.lr_rec * u), ascend=ascend)
        x_1 = synthetic_step(weights.w_x, outer(x, rates.lr_rec * u), ascend=ascend)
    # 3. a₂ = tanh(x·Wx + h₁·Wrec), h₂ := a₂, with the weights of 2
    h_1, box_2, write_2 = run_time_box(
        x, weights, 2, h=box_1.a if connected else None, after=[write_1, rec_1, x_1]
    )
    # 4. ĝ₂ = a₂·Wsg2, v = ĝ₂ ⊙ (1 − a₂²)
    with tf.name_scope("update_2"):
        synthetic_2 = synthetic_gradient(box_2, y, module_2)
        v = d_time_box(synthetic_2.g, box_2)
        rec_2 = synthetic_step(weights.w_rec, outer(h_1, rates.lr_rec * v), ascend=ascend)
        x_2 = synthetic_step(weights.w_x, outer(x, rates.lr_rec * v), ascend=ascend)
    # 5. t₁ = v·Wrecᵀ, with the weights of 4; Wsg1 −= lr_sg h₁ᵀ(ĝ₁ − t₁)
    with tf.name_scope("update_synthetic_gradient_1"), tf.control_dependencies([rec_2]):
        t_1 = d_hidden_state(v, weights.w_rec)
        sg_1 = learn(synthetic_1, t_1, module_1, rates.lr_sg)
    # 6. p = σ(h₂·Wfc), d = (p − y) p (1 − p)
    h_2, readout = run_readout(weights, h=box_2.a if connected else None, after=[write_2])
    with tf.name_scope("update_readout"):
        d = d_readout(readout, y)
        fc = weights.w_fc.assign_sub(outer(h_2, rates.lr_x * d))
    # 7. t₂ = d·Wfcᵀ, with the weights of 6; Wsg2 −= lr_sg h₂ᵀ(ĝ₂ − t₂)
    with tf.name_scope("update_synthetic_gradient_2"), tf.control_dependencies([fc]):
        t_2 = d_hidden_state(d, weights.w_fc)
        sg_2 = learn(synthetic_2, t_2, module_2, rates.lr_sg)
    return readout, tf.group(x_2, sg_1, sg_2, write_2)


def box_1_decoupled(
    x: tf.Tensor,
    y: tf.Tensor,
    weights: Weights,
    modules: tuple[Module, Module],
    rates: Rates,
    *,
    connected: bool,
    ascend: bool,
) -> tuple[Layer, tf.Operation]:
    """Time box 1 learns from a synthetic gradient, time box 2 from its true one.

    Arguments and result as in `ordered_manual`. Source: docs/experiment.md §3a, box 1 only.
    """
    module_1, _ = modules
    # a₁ = tanh(x·Wx + h₀·Wrec), h₁ := a₁
    h_0, box_1, write_1 = run_time_box(x, weights, 1)
    # ĝ₁ = a₁·Wsg1, u = ĝ₁ ⊙ (1 − a₁²)
    with tf.name_scope("update_1"):
        synthetic_1 = synthetic_gradient(box_1, y, module_1)
        u = d_time_box(synthetic_1.g, box_1)
        rec_1 = synthetic_step(weights.w_rec, outer(h_0, rates.lr_rec * u), ascend=ascend)
        x_1 = synthetic_step(weights.w_x, outer(x, rates.lr_rec * u), ascend=ascend)
    # a₂ = tanh(x·Wx + h₁·Wrec), h₂ := a₂, with the weights that box 1 has changed
    h_1, box_2, write_2 = run_time_box(
        x, weights, 2, h=box_1.a if connected else None, after=[write_1, rec_1, x_1]
    )
    # p = σ(h₂·Wfc), d = (p − y) p (1 − p), t₂ = d·Wfcᵀ
    h_2, readout = run_readout(weights, h=box_2.a if connected else None, after=[write_2])
    with tf.name_scope("true_gradients"), tf.control_dependencies([rec_1]):
        d = d_readout(readout, y)
        t_2 = d_hidden_state(d, weights.w_fc)
        # v = t₂ ⊙ (1 − a₂²), t₁ = v·Wrecᵀ, with the Wrec of box 2
        v = d_time_box(t_2, box_2)
        t_1 = d_hidden_state(v, weights.w_rec)
    with tf.name_scope("update_2"), tf.control_dependencies([t_1]):
        rec_2 = weights.w_rec.assign_sub(outer(h_1, rates.lr_rec * v, after=t_1))
        x_2 = weights.w_x.assign_sub(outer(x, rates.lr_rec * v))
        fc = weights.w_fc.assign_sub(outer(h_2, rates.lr_x * d))
        sg_1 = learn(synthetic_1, t_1, module_1, rates.lr_sg)
    return readout, tf.group(rec_2, x_2, fc, sg_1, write_2)


def box_2_decoupled(
    x: tf.Tensor,
    y: tf.Tensor,
    weights: Weights,
    modules: tuple[Module, Module],
    rates: Rates,
    *,
    connected: bool,
    ascend: bool,
) -> tuple[Layer, tf.Operation]:
    """Time box 2 does not wait for the readout; time box 1 waits for time box 2.

    Arguments and result as in `ordered_manual`. Source: docs/experiment.md §3a, box 2 only.
    """
    _, module_2 = modules
    # a₁ = tanh(x·Wx + h₀·Wrec), h₁ := a₁; a₂ = tanh(x·Wx + h₁·Wrec), h₂ := a₂
    h_0, box_1, write_1 = run_time_box(x, weights, 1)
    h_1, box_2, write_2 = run_time_box(
        x, weights, 2, h=box_1.a if connected else None, after=[write_1]
    )
    # ĝ₂ = a₂·Wsg2, v = ĝ₂ ⊙ (1 − a₂²), t₁ = v·Wrecᵀ, u = t₁ ⊙ (1 − a₁²)
    with tf.name_scope("synthetic_gradient_2"):
        synthetic_2 = synthetic_gradient(box_2, y, module_2)
        v = d_time_box(synthetic_2.g, box_2)
        t_1 = d_hidden_state(v, weights.w_rec)
        u = d_time_box(t_1, box_1)
    with tf.name_scope("update_1_and_2"):
        h_0_h_1, u_v = tf.concat([h_0, h_1], 0), tf.concat([u, v], 0)  # h₀ᵀu + h₁ᵀv, one product
        rec = synthetic_step(
            weights.w_rec, outer(h_0_h_1, rates.lr_rec * u_v, after=t_1), ascend=ascend
        )
        x_1_2 = synthetic_step(weights.w_x, outer(x, rates.lr_rec * tf.add(u, v)), ascend=ascend)
    # p = σ(h₂·Wfc), d = (p − y) p (1 − p)
    h_2, readout = run_readout(weights, h=box_2.a if connected else None, after=[write_2])
    with tf.name_scope("update_readout"):
        d = d_readout(readout, y)
        fc = weights.w_fc.assign_sub(outer(h_2, rates.lr_x * d))
    # t₂ = d·Wfcᵀ, with the Wfc that was changed
    with tf.name_scope("update_synthetic_gradient_2"), tf.control_dependencies([fc]):
        t_2 = d_hidden_state(d, weights.w_fc)
        sg_2 = learn(synthetic_2, t_2, module_2, rates.lr_sg)
    return readout, tf.group(rec, x_1_2, sg_2, write_2)


def true_gradients(x: tf.Tensor, y: tf.Tensor, forward: Forward, weights: Weights) -> Gradients:
    """Back-propagation through time, by hand.

    Args:
        x: the image, [1, width].
        y: its label, [1, 1].
        forward: `graph.network.ordered` of x.
        weights: the variables, as the forward pass read them.

    Returns:
        The gradients that automatic differentiation finds in the `connected` wiring.
    """
    h_0, h_1, h_2, box_1, box_2, readout, _ = forward
    with tf.name_scope("readout"):
        d = d_readout(readout, y)  # d = (p − y) p (1 − p)
        t_2 = d_hidden_state(d, weights.w_fc)  # t₂ = d·Wfcᵀ
        w_fc = outer(h_2, d)  # h₂ᵀd
    with tf.name_scope("time_box_2"):
        v = d_time_box(t_2, box_2)  # v = t₂ ⊙ (1 − a₂²)
        t_1 = d_hidden_state(v, weights.w_rec)  # t₁ = v·Wrecᵀ
        x_v, h_1_v = outer(x, v), outer(h_1, v)
    with tf.name_scope("time_box_1"):
        u = d_time_box(t_1, box_1)  # u = t₁ ⊙ (1 − a₁²)
        t_0 = d_hidden_state(u, weights.w_rec)  # t₀ = u·Wrecᵀ
        x_u, h_0_u = outer(x, u), outer(h_0, u, after=t_0)
    return Gradients(
        h_0=t_0,
        w_x=tf.add(x_u, x_v),  # xᵀu + xᵀv
        w_rec=tf.add(h_0_u, h_1_v),  # h₀ᵀu + h₁ᵀv
        w_fc=w_fc,
    )


def true_manual(
    x: tf.Tensor, y: tf.Tensor, forward: Forward, weights: Weights, rates: Rates
) -> tf.Operation:
    """Gradient descent with `true_gradients`: what auto mode does when it is `connected`, by hand.

    h₀ learns at `lr_rec`, as `w_x` and `w_rec` do. Arguments and result as in `published_manual`.
    """
    gradients = true_gradients(x, y, forward, weights)
    # Every gradient, and so every read, comes before the first change; and h₀ is a column of the
    # variable that the forward pass writes a₁ and a₂ to.
    with tf.control_dependencies([gradients.h_0, forward.write]):
        with tf.name_scope("update_readout"):
            fc = weights.w_fc.assign_sub(rates.lr_x * gradients.w_fc)
        with tf.name_scope("update_time_boxes"):
            h_0 = tf.subtract(forward.h_0, rates.lr_rec * gradients.h_0)
            return tf.group(
                write_hidden_state(weights, 0, h_0),
                weights.w_x.assign_sub(rates.lr_rec * gradients.w_x),
                weights.w_rec.assign_sub(rates.lr_rec * gradients.w_rec),
                fc,
            )


def auto(cost: tf.Tensor, forward: Forward, lr_auto: float) -> tf.Operation:
    """The post's automatic differentiation: `GradientDescentOptimizer` on everything trainable.

    `hidden_states` is trainable too, because a `tf.Variable` is by default. The optimizer's step
    comes after the forward pass's write. In the wirings `published` and `ordered` a gradient does
    not get past the assignment to `hidden_states`: only it and `w_fc` learn,
    h₂ := a₂ − lr_auto · d·Wfcᵀ. In `connected`, `w_x`, `w_rec`, `w_fc` and h₀ do.

    Args:
        cost: the cost of one image, a scalar.
        forward: the forward pass that the cost comes from.
        lr_auto: the learning rate, per image.

    Returns:
        The operation that does it all. Source: docs/experiment.md §3, auto.
    """
    with tf.control_dependencies([forward.write]):
        return tf.train.GradientDescentOptimizer(lr_auto).minimize(cost)
