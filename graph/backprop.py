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
from graph.modules import Module, SyntheticGradient, learn, synthetic_gradient
from graph.network import Forward, Layer, run_readout, run_time_box, write_hidden_state
from graph.weights import Rates, Weights


class Source(NamedTuple):
    """The gradient that a time box learns from (docs/experiment.md §3a).

    Attributes:
        name: "synthetic": ĝ_k; "true": t_k; "zero"; "random": d·B_k.
        module: of "synthetic".
        feedback: of "random", the fixed row B_k, [1, width].
    """

    name: str
    module: Module | None = None
    feedback: tf.Tensor | None = None


TRUE = Source("true"), Source("true")


class BoxGradients(NamedTuple):
    """The gradients that the time boxes learn from, and those that they lead to, [1, width] each.

    Attributes:
        d: with respect to the readout's z, [1, 1].
        g_1, g_2: with respect to a₁ and a₂, from the boxes' sources.
        t_1, t_2: v·Wrecᵀ and d·Wfcᵀ.
        u, v: with respect to z₁ and z₂: g ⊙ (1 − a²).
        synthetic: of each box, ĝ and its input, or None.
    """

    d: tf.Tensor
    g_1: tf.Tensor
    g_2: tf.Tensor
    t_1: tf.Tensor
    t_2: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor
    synthetic: tuple[SyntheticGradient | None, SyntheticGradient | None]


class Gradients(NamedTuple):
    """The gradients of the weights and of h₀.

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
        The operation of the whole step. Source: docs/experiment.md §3, `published`, manual.
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
        The readout and the operation of the whole step. Source: docs/experiment.md §3, `ordered`,
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


def box_gradients(
    y: tf.Tensor, forward: Forward, weights: Weights, sources: tuple[Source, Source]
) -> BoxGradients:
    """Goes back from the cost to both time boxes, each of which takes the gradient of its source.

    Args:
        y: the label, [1, 1].
        forward: `graph.network.ordered` of the image.
        weights: the variables, as the forward pass read them.
        sources: of time boxes 1 and 2. `TRUE` is back-propagation through time.
    """

    def take(
        source: Source, box: Layer, t: tf.Tensor
    ) -> tuple[tf.Tensor, SyntheticGradient | None]:
        if source.module is not None:
            synthetic = synthetic_gradient(box, y, source.module)
            return synthetic.g, synthetic
        if source.feedback is not None:
            return tf.matmul(d, source.feedback), None
        return (t if source.name == "true" else tf.zeros_like(t)), None

    source_1, source_2 = sources
    with tf.name_scope("readout"):
        d = d_readout(forward.readout, y)  # d = (p − y) p (1 − p)
        t_2 = d_hidden_state(d, weights.w_fc)  # t₂ = d·Wfcᵀ
    with tf.name_scope("time_box_2"):
        g_2, synthetic_2 = take(source_2, forward.box_2, t_2)
        v = d_time_box(g_2, forward.box_2)  # v = g₂ ⊙ (1 − a₂²)
        t_1 = d_hidden_state(v, weights.w_rec)  # t₁ = v·Wrecᵀ
    with tf.name_scope("time_box_1"):
        g_1, synthetic_1 = take(source_1, forward.box_1, t_1)
        u = d_time_box(g_1, forward.box_1)  # u = g₁ ⊙ (1 − a₁²)
    return BoxGradients(d, g_1, g_2, t_1, t_2, u, v, (synthetic_1, synthetic_2))


def weight_gradients(
    x: tf.Tensor, forward: Forward, weights: Weights, of_boxes: BoxGradients
) -> Gradients:
    """The gradients of the weights and of h₀; arguments as in `box_gradients`.

    From the true gradients of the boxes they are those of automatic differentiation in the wiring
    `connected`.
    """
    h_0, h_1, h_2, *_ = forward
    u, v = of_boxes.u, of_boxes.v
    with tf.name_scope("time_box_1"):
        t_0 = d_hidden_state(u, weights.w_rec)  # t₀ = u·Wrecᵀ
    with tf.name_scope("update_time_boxes"):
        w_x = tf.add(outer(x, u), outer(x, v))  # xᵀu + xᵀv
        w_rec = tf.add(outer(h_0, u, after=t_0), outer(h_1, v))  # h₀ᵀu + h₁ᵀv
    with tf.name_scope("update_readout"):
        w_fc = outer(h_2, of_boxes.d)  # h₂ᵀd
    return Gradients(t_0, w_x, w_rec, w_fc)


def mixed_manual(
    x: tf.Tensor,
    y: tf.Tensor,
    forward: Forward,
    weights: Weights,
    sources: tuple[Source, Source],
    rates: Rates,
) -> tf.Operation:
    """Gradient descent, with the gradient of each time box from its source.

    Every right-hand side uses the values from before the step. h₀ learns at `lr_rec` if time box 1
    learns from its true gradient; with both true ones the step is what auto mode does in the wiring
    `connected`. Source: docs/experiment.md §3a.
    """
    of_boxes = box_gradients(y, forward, weights, sources)
    gradients = weight_gradients(x, forward, weights, of_boxes)
    # t₁, t₂ and t₀ come after every read of a weight; h₀ is a column of the variable that the
    # forward pass writes a₁ and a₂ to.
    before = [of_boxes.t_1, of_boxes.t_2, gradients.h_0, forward.write]
    with tf.control_dependencies(before):
        with tf.name_scope("update_readout"):
            updates = [weights.w_fc.assign_sub(rates.lr_x * gradients.w_fc)]
        with tf.name_scope("update_time_boxes"):
            updates += [
                weights.w_x.assign_sub(rates.lr_rec * gradients.w_x),
                weights.w_rec.assign_sub(rates.lr_rec * gradients.w_rec),
            ]
            if sources[0].name == "true":
                h_0 = tf.subtract(forward.h_0, rates.lr_rec * gradients.h_0)
                updates.append(write_hidden_state(weights, 0, h_0))
        with tf.name_scope("update_synthetic_gradients"):
            targets = of_boxes.t_1, of_boxes.t_2
            for source, synthetic, t in zip(sources, of_boxes.synthetic, targets, strict=True):
                if source.module is not None and synthetic is not None:
                    updates.append(learn(synthetic, t, source.module, rates.lr_sg))
    return tf.group(*updates)


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
        The operation of the whole step. Source: docs/experiment.md §3, auto.
    """
    with tf.control_dependencies([forward.write]):
        return tf.train.GradientDescentOptimizer(lr_auto).minimize(cost)
