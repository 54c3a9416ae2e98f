"""What one training step runs: the assign operations written by hand, or GradientDescentOptimizer.

This is the post's "Reason 3: Switch and Compare Between Automatic Differentiation". Notation as in
`graph.network`. Every gradient is of the cost of one image: d with respect to the readout's z, t_k
with respect to the hidden state h_k, and ĝ_k, the synthetic gradient, stands in for t_k. Where an
outer product is all of an update, the learning rate is put on its row, which is cheaper than on the
matrix.

What an update waits for is always a matrix product: TensorFlow's optimizer rewrites chains of
elementwise products, and then what bears the name of one may no longer be computed from all of it.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from graph.activations import d_tf_logistic, d_tf_tanh, tf_tanh
from graph.network import Forward, Layer, run_readout, run_time_box, write_hidden_state
from graph.weights import Weights


class Rates(NamedTuple):
    """The learning rates of manual mode, per image, by the post's names.

    Attributes:
        lr_x: of `w_fc`.
        lr_rec: of `w_rec` and `w_x`.
        lr_sg: of `w_sg_1` and `w_sg_2`.
    """

    lr_x: float
    lr_rec: float
    lr_sg: float


class Module(NamedTuple):
    """What guesses the gradient of one time box: the post's, or one of the paper's.

    Attributes:
        w_sg: the variable Wsg, [inputs, width]; [units, width] if there is a hidden layer.
        w_hidden: the variable Wh of a hidden layer, [inputs, units], or None as in the post.
        label: whether the module is told the label (cDNI in the paper): then there are two inputs
            more than pixels.
    """

    w_sg: Any
    w_hidden: Any = None
    label: bool = False


class Guess(NamedTuple):
    """A synthetic gradient, and what it came from.

    Attributes:
        s: what goes into the module, [1, inputs].
        hidden: its hidden layer, z and a [1, units], or None.
        g: ĝ, [1, width].
    """

    s: tf.Tensor
    hidden: Layer | None
    g: tf.Tensor


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


def outer(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """aᵀb, the outer product of two rows [1, m] and [1, n], or the sum of several: [m, n]."""
    return tf.matmul(a, b, transpose_a=True)


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
    """A module's synthetic gradient: ĝ = s·Wsg, or m = tanh(s·Wh), ĝ = m·Wsg.

    Args:
        box: the time box. Its a is the input s; of a module that is told the label, s is a with
            1 − y and y beside it.
        y: the label, [1, 1].
        module: of this time box.
    """
    s = tf.concat([box.a, 1 - y, y], 1) if module.label else box.a
    if module.w_hidden is None:
        return Guess(s, None, synthetic_gradient(s, module.w_sg))
    z = tf.matmul(s, module.w_hidden.read_value())
    hidden = Layer(z, tf_tanh(z))
    return Guess(s, hidden, synthetic_gradient(hidden.a, module.w_sg))


def learn(guess: Guess, t: tf.Tensor, module: Module, lr_sg: float) -> tf.Operation:
    """Teaches a module the gradient t [1, width]: a step of gradient descent on ½|ĝ − t|².

    With e = ĝ − t: Wsg −= lr_sg sᵀe. If there is a hidden layer, Wsg −= lr_sg mᵀe and
    Wh −= lr_sg sᵀ((e·Wsgᵀ) ⊙ (1 − m²)), with the Wsg from before.
    """
    e = tf.subtract(guess.g, t)
    if guess.hidden is None:
        return module.w_sg.assign_sub(outer(guess.s, lr_sg * e)).op
    g_hidden = d_hidden_state(e, module.w_sg)  # e·Wsgᵀ
    update_hidden = module.w_hidden.assign_sub(
        outer(guess.s, lr_sg * d_time_box(g_hidden, guess.hidden))
    )
    with tf.control_dependencies([g_hidden]):
        update = module.w_sg.assign_sub(outer(guess.hidden.a, lr_sg * e))
    return tf.group(update, update_hidden)


def synthetic_step(variable: Any, change: tf.Tensor, *, ascend: bool) -> tf.Tensor:
    """Adds the change, as the post does: that climbs (specification §6, fault 3); or subtracts."""
    return variable.assign_add(change) if ascend else variable.assign_sub(change)


def published_manual(
    x: tf.Tensor,
    y: tf.Tensor,
    forward: Forward,
    weights: Weights,
    rates: Rates,
    *,
    ascend: bool,
) -> tf.Operation:
    """The post's manual back propagation; two of its assignments are in the forward feed.

    Every right-hand side uses the values from before the step. The post assigns `w_rec` and `w_x`
    twice each, in no order, so that one change may be lost (specification §6, fault 6); here both
    changes go into one assignment.

    Args:
        x: the image, [1, width].
        y: its label, [1, 1].
        forward: `graph.network.published` of x.
        weights: the variables.
        rates: the learning rates.
        ascend: whether the synthetic gradients are added, as in the post, or subtracted.

    Returns:
        The operation that does it all. Source: specification §3, `published`, manual.
    """
    h_0, h_1, h_2, box_1, box_2, readout, write_hidden_states = forward

    with tf.name_scope("synthetic_gradient_1"):
        g_1 = synthetic_gradient(box_1.a, weights.w_sg_1)  # ĝ₁ = a₁·Wsg1
        u = d_time_box(g_1, box_1)  # u = ĝ₁ ⊙ (1 − a₁²)
    with tf.name_scope("synthetic_gradient_2"):
        g_2 = synthetic_gradient(box_2.a, weights.w_sg_2)  # ĝ₂ = a₂·Wsg2
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
            weights.w_rec, outer(h_0_h_1, rates.lr_rec * u_v), ascend=ascend
        )
        update_x = synthetic_step(weights.w_x, outer(x, rates.lr_rec * tf.add(u, v)), ascend=ascend)
        update_sg_1 = weights.w_sg_1.assign_sub(outer(h_1, rates.lr_sg * tf.subtract(g_1, t_1)))
        update_sg_2 = weights.w_sg_2.assign_sub(outer(h_2, rates.lr_sg * tf.subtract(g_2, t_2)))
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
        modules: that guess the gradients of time boxes 1 and 2.
        rates: the learning rates.
        connected: as in `graph.network.ordered`.
        ascend: whether the synthetic gradients are added, as in the post, or subtracted.

    Returns:
        The readout and the operation that does it all. Source: specification §3, `ordered`, whose
        steps the numbers in the code are.
    """
    module_1, module_2 = modules
    # 1. a₁ = tanh(x·Wx + h₀·Wrec), h₁ := a₁
    h_0, box_1, write_1 = run_time_box(x, weights, 1)
    # 2. ĝ₁ = a₁·Wsg1, u = ĝ₁ ⊙ (1 − a₁²)
    with tf.name_scope("update_1"):
        guess_1 = guess(box_1, y, module_1)
        u = d_time_box(guess_1.g, box_1)
        rec_1 = synthetic_step(weights.w_rec, outer(h_0, rates.lr_rec * u), ascend=ascend)
        x_1 = synthetic_step(weights.w_x, outer(x, rates.lr_rec * u), ascend=ascend)
    # 3. a₂ = tanh(x·Wx + h₁·Wrec), h₂ := a₂, with the weights of 2
    h_1, box_2, write_2 = run_time_box(
        x, weights, 2, h=box_1.a if connected else None, after=[write_1, rec_1, x_1]
    )
    # 4. ĝ₂ = a₂·Wsg2, v = ĝ₂ ⊙ (1 − a₂²)
    with tf.name_scope("update_2"):
        guess_2 = guess(box_2, y, module_2)
        v = d_time_box(guess_2.g, box_2)
        rec_2 = synthetic_step(weights.w_rec, outer(h_1, rates.lr_rec * v), ascend=ascend)
        x_2 = synthetic_step(weights.w_x, outer(x, rates.lr_rec * v), ascend=ascend)
    # 5. t₁ = v·Wrecᵀ, with the weights of 4; Wsg1 −= lr_sg h₁ᵀ(ĝ₁ − t₁)
    with tf.name_scope("update_synthetic_gradient_1"), tf.control_dependencies([rec_2]):
        t_1 = d_hidden_state(v, weights.w_rec)
        sg_1 = learn(guess_1, t_1, module_1, rates.lr_sg)
    # 6. p = σ(h₂·Wfc), d = (p − y) p (1 − p)
    h_2, readout = run_readout(weights, h=box_2.a if connected else None, after=[write_2])
    with tf.name_scope("update_readout"):
        d = d_readout(readout, y)
        fc = weights.w_fc.assign_sub(outer(h_2, rates.lr_x * d))
    # 7. t₂ = d·Wfcᵀ, with the weights of 6; Wsg2 −= lr_sg h₂ᵀ(ĝ₂ − t₂)
    with tf.name_scope("update_synthetic_gradient_2"), tf.control_dependencies([fc]):
        t_2 = d_hidden_state(d, weights.w_fc)
        sg_2 = learn(guess_2, t_2, module_2, rates.lr_sg)
    return readout, tf.group(x_2, sg_1, sg_2, write_2)


def true_gradients(x: tf.Tensor, y: tf.Tensor, forward: Forward, weights: Weights) -> Gradients:
    """Back-propagation through time, by hand.

    Args:
        x: the image, [1, width].
        y: its label, [1, 1].
        forward: `graph.network.ordered` of x.
        weights: the variables, as the forward feed read them.

    Returns:
        The gradients that automatic differentiation finds in the `connected` wiring.
    """
    h_0, h_1, h_2, box_1, box_2, readout, _ = forward
    with tf.name_scope("readout"):
        d = d_readout(readout, y)  # d = (p − y) p (1 − p)
        t_2 = d_hidden_state(d, weights.w_fc)  # t₂ = d·Wfcᵀ
    with tf.name_scope("time_box_2"):
        v = d_time_box(t_2, box_2)  # v = t₂ ⊙ (1 − a₂²)
        t_1 = d_hidden_state(v, weights.w_rec)  # t₁ = v·Wrecᵀ
    with tf.name_scope("time_box_1"):
        u = d_time_box(t_1, box_1)  # u = t₁ ⊙ (1 − a₁²)
        t_0 = d_hidden_state(u, weights.w_rec)  # t₀ = u·Wrecᵀ
    return Gradients(
        h_0=t_0,
        w_x=tf.add(outer(x, u), outer(x, v)),  # xᵀu + xᵀv
        w_rec=tf.add(outer(h_0, u), outer(h_1, v)),  # h₀ᵀu + h₁ᵀv
        w_fc=outer(h_2, d),  # h₂ᵀd
    )


def true_manual(
    x: tf.Tensor, y: tf.Tensor, forward: Forward, weights: Weights, rates: Rates
) -> tf.Operation:
    """Gradient descent with `true_gradients`: what auto mode does when it is `connected`, by hand.

    h₀ learns at `lr_rec`, as `w_x` and `w_rec` do. Arguments and result as in `published_manual`.
    """
    gradients = true_gradients(x, y, forward, weights)
    # Every gradient, and so every read, comes before the first change; and h₀ is a column of the
    # variable that the forward feed writes a₁ and a₂ to.
    with tf.name_scope("updates"), tf.control_dependencies([gradients.h_0, forward.write]):
        h_0 = tf.subtract(forward.h_0, rates.lr_rec * gradients.h_0)
        return tf.group(
            write_hidden_state(weights, 0, h_0),
            weights.w_x.assign_sub(rates.lr_rec * gradients.w_x),
            weights.w_rec.assign_sub(rates.lr_rec * gradients.w_rec),
            weights.w_fc.assign_sub(rates.lr_x * gradients.w_fc),
        )


def auto(cost: tf.Tensor, forward: Forward, lr_auto: float) -> tf.Operation:
    """The post's automatic differentiation: `GradientDescentOptimizer` on everything trainable.

    `hidden_states` is trainable too, because a `tf.Variable` is by default. The optimizer's step
    comes after the forward feed's write. In the wirings `published` and `ordered` a gradient does
    not get past the assignment to `hidden_states`: only it and `w_fc` learn,
    h₂ := a₂ − lr_auto · d·Wfcᵀ. In `connected`, `w_x`, `w_rec`, `w_fc` and h₀ do.

    Args:
        cost: the cost of one image, a scalar.
        forward: the forward feed that the cost comes from.
        lr_auto: the learning rate, per image.

    Returns:
        The operation that does it all. Source: specification §3, auto.
    """
    with tf.control_dependencies([forward.write]):
        return tf.train.GradientDescentOptimizer(lr_auto).minimize(cost)
