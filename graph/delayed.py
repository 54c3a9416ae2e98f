"""Manual mode with synthetic gradients, an epoch at a time, with delayed updates.

A step of `graph.backprop` rewrites four matrices of width × width, each by outer products of rows.
Here, for a block of images, the matrices stay as they are and the products' factors are carried
beside them. With A and B, the rows of a block's products so far,

    W now    = W + AᵀB
    q·W now  = q·W + (q·Aᵀ)·B
    q·Wᵀ now = q·Wᵀ + (q·Bᵀ)·A

cost two thin products more than q·W, and no pass over a matrix to write it. After the block each
matrix gets its W + AᵀB, one product. This is the delayed update of quantum Monte Carlo and of
blocked LU: exact algebra, in which only rounding differs from `graph.backprop`.

What a block shares is computed once: x·Wx and, since A of Wx is X, the block's images, the Gram
matrix X·Xᵀ that x·Aᵀ is a row of; and h₀·Wrec. Updates with the same left factor share a row. Rows
of B that are not filled yet are zeros and change nothing.

The epoch is compiled with XLA, which joins the many small operations of a step into few.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from graph.backprop import Rates
from graph.network import cost_function
from graph.weights import Weights

BLOCK = 25


class Delayed(NamedTuple):
    """A matrix with the updates that it has not had yet.

    Attributes:
        w: W, [m, n].
        a: A, [rows, m].
        b: B, [rows, n].
    """

    w: tf.Tensor
    a: tf.Tensor
    b: tf.Tensor

    def pending(self, q: tf.Tensor) -> tf.Tensor:
        """(q·Aᵀ)·B, what the updates add to q·W."""
        return tf.matmul(tf.matmul(q, self.a, transpose_b=True), self.b)

    def product(self, q: tf.Tensor) -> tf.Tensor:
        """q·W now, for a row q [1, m]."""
        return tf.matmul(q, self.w) + self.pending(q)

    def product_transposed(self, q: tf.Tensor) -> tf.Tensor:
        """q·Wᵀ now, for a row q [1, n]."""
        pending = tf.matmul(tf.matmul(q, self.b, transpose_b=True), self.a)
        return tf.matmul(q, self.w, transpose_b=True) + pending

    def plus_to(self, row: tf.Tensor, b: tf.Tensor) -> "Delayed":
        """W := W + aᵀb, put off, where a is this row of A already."""
        return self._replace(b=tf.tensor_scatter_nd_add(self.b, [[row]], b))

    def plus(self, row: int | tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> "Delayed":
        """W := W + aᵀb, put off: in this row of A and B, which is empty or holds the same a."""
        return self._replace(
            a=tf.tensor_scatter_nd_update(self.a, [[row]], a),
            b=tf.tensor_scatter_nd_add(self.b, [[row]], b),
        )

    def applied(self) -> tf.Tensor:
        """W + AᵀB."""
        return self.w + tf.matmul(self.a, self.b, transpose_a=True)


def delay(w: tf.Tensor, rows: int) -> Delayed:
    """W, with room for so many updates."""
    m, n = w.shape
    return Delayed(w, tf.zeros([rows, m], w.dtype), tf.zeros([rows, n], w.dtype))


class State(NamedTuple):
    """What a step changes: h₁, h₂ [1, width], `w_fc` as a row [1, width], and the matrices."""

    h_1: tf.Tensor
    h_2: tf.Tensor
    w_fc: tf.Tensor
    w_x: Any
    w_rec: Any
    w_sg_1: Any
    w_sg_2: Any


class Image(NamedTuple):
    """One image of a block.

    Attributes:
        number: within its block, from 0.
        y: [1, 1].
        x_w: x·Wx with the Wx from before the block, [1, width].
        x_a: x·Aᵀ with the A of Wx, the block's images, [1, BLOCK].
    """

    number: tf.Tensor
    y: tf.Tensor
    x_w: tf.Tensor
    x_a: tf.Tensor


def readout(h: tf.Tensor, w_fc: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The cost, a scalar, and d = (p − y) p (1 − p), [1, 1], where p = σ(h·Wfc)."""
    p = tf.sigmoid(tf.matmul(h, w_fc, transpose_b=True))
    return cost_function(p, y), (p - y) * p * (1 - p)


def published_step(
    image: Image, h_0: tf.Tensor, h_0_w: tf.Tensor, s: State, rates: Rates, sign: int
) -> tuple[tf.Tensor, State]:
    """One step of `graph.backprop.published_manual`.

    Args:
        image: the image.
        h_0: [1, width].
        h_0_w: h₀·Wrec with the Wrec from before the block, [1, width].
        s: the state before the step.
        rates: the learning rates.
        sign: 1 to add synthetic gradients, −1 to subtract them.

    Returns:
        The cost of the image and the state after the step.
    """
    n, y, x_w, x_a = image
    h_1, h_2, w_fc, w_x, w_rec, w_sg_1, w_sg_2 = s
    x_w += tf.matmul(x_a, w_x.b)
    a_1 = tf.tanh(x_w + h_0_w + w_rec.pending(h_0))  # a₁ = tanh(x·Wx + h₀·Wrec)
    a_2 = tf.tanh(x_w + w_rec.product(h_1))  # a₂ = tanh(x·Wx + h₁·Wrec)
    cost, d = readout(h_2, w_fc, y)
    g_1 = w_sg_1.product(a_1)  # ĝ₁ = a₁·Wsg1
    g_2 = w_sg_2.product(a_2)  # ĝ₂ = a₂·Wsg2
    u = g_1 * (1 - a_1**2)  # u = ĝ₁ ⊙ (1 − a₁²)
    v = g_2 * (1 - a_2**2)  # v = ĝ₂ ⊙ (1 − a₂²)
    t_1 = w_rec.product_transposed(v)  # t₁ = v·Wrecᵀ
    t_2 = d * w_fc  # t₂ = d·Wfcᵀ
    lr_rec = sign * rates.lr_rec
    return cost, State(
        h_1=a_1,
        h_2=a_2,
        w_fc=w_fc - rates.lr_x * d * h_2,
        w_x=w_x.plus_to(n, lr_rec * (u + v)),
        w_rec=w_rec.plus(0, h_0, lr_rec * u).plus(1 + n, h_1, lr_rec * v),
        w_sg_1=w_sg_1.plus(n, h_1, -rates.lr_sg * (g_1 - t_1)),
        w_sg_2=w_sg_2.plus(n, h_2, -rates.lr_sg * (g_2 - t_2)),
    )


def ordered_step(
    image: Image, h_0: tf.Tensor, h_0_w: tf.Tensor, s: State, rates: Rates, sign: int
) -> tuple[tf.Tensor, State]:
    """One step of `graph.backprop.ordered_manual`; arguments and result as in `published_step`."""
    n, y, x_w, x_a = image
    _, _, w_fc, w_x, w_rec, w_sg_1, w_sg_2 = s
    lr_rec = sign * rates.lr_rec
    # 1. a₁ = tanh(x·Wx + h₀·Wrec)
    a_1 = tf.tanh(x_w + tf.matmul(x_a, w_x.b) + h_0_w + w_rec.pending(h_0))
    # 2. ĝ₁ = a₁·Wsg1, u = ĝ₁ ⊙ (1 − a₁²)
    g_1 = w_sg_1.product(a_1)
    u = g_1 * (1 - a_1**2)
    w_rec = w_rec.plus(0, h_0, lr_rec * u)
    w_x = w_x.plus_to(n, lr_rec * u)
    # 3. a₂ = tanh(x·Wx + h₁·Wrec)
    a_2 = tf.tanh(x_w + tf.matmul(x_a, w_x.b) + w_rec.product(a_1))
    # 4. ĝ₂ = a₂·Wsg2, v = ĝ₂ ⊙ (1 − a₂²)
    g_2 = w_sg_2.product(a_2)
    v = g_2 * (1 - a_2**2)
    w_rec = w_rec.plus(1 + n, a_1, lr_rec * v)
    w_x = w_x.plus_to(n, lr_rec * v)
    # 5. t₁ = v·Wrecᵀ
    t_1 = w_rec.product_transposed(v)
    w_sg_1 = w_sg_1.plus(n, a_1, -rates.lr_sg * (g_1 - t_1))
    # 6. p = σ(h₂·Wfc), d = (p − y) p (1 − p)
    cost, d = readout(a_2, w_fc, y)
    w_fc -= rates.lr_x * d * a_2
    # 7. t₂ = d·Wfcᵀ
    t_2 = d * w_fc
    w_sg_2 = w_sg_2.plus(n, a_2, -rates.lr_sg * (g_2 - t_2))
    return cost, State(a_1, a_2, w_fc, w_x, w_rec, w_sg_1, w_sg_2)


def delayed_manual(
    images: tf.Tensor,
    labels: tf.Tensor,
    weights: Weights,
    rates: Rates,
    *,
    published: bool,
    ascend: bool,
) -> tf.Tensor:
    """One epoch of manual back propagation with synthetic gradients.

    Args:
        images: [n, width], one step each, in this order.
        labels: [n, 1].
        weights: the variables.
        rates: the learning rates.
        published: whether in the wiring `published`; else in `ordered`, whose numbers are those of
            `connected` too.
        ascend: whether the synthetic gradients are added, as in the post, or subtracted.

    Returns:
        The cost of each image, [n]; to evaluate it is to train.
    """
    total, width = images.shape
    step = published_step if published else ordered_step
    sign = 1 if ascend else -1
    # The last block may be short; its missing images are never looked at.
    missing = -total % BLOCK
    padding = [[0, missing], [0, 0]]
    matrices = (weights.w_x, weights.w_rec, weights.w_sg_1, weights.w_sg_2)

    # The number of images is an argument because XLA, in TensorFlow 2.21, loses the inner loop when
    # it can tell that there is one image. The variables are read and written in here because XLA
    # then works in their own memory.
    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def epoch(images: tf.Tensor, labels: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        images, labels = tf.pad(images, padding), tf.pad(labels, padding)
        h_0, h_1, h_2 = tf.split(tf.transpose(weights.hidden_states.read_value()), 3)
        start = State(
            h_1,
            h_2,
            tf.transpose(weights.w_fc.read_value()),
            *(matrix.read_value() for matrix in matrices),
        )

        def block(first: tf.Tensor, costs: tf.Tensor, s: State) -> tuple[tf.Tensor, ...]:
            xs = tf.slice(images, [first, 0], [BLOCK, width])
            x_ws, x_as = tf.matmul(xs, s.w_x), tf.matmul(xs, xs, transpose_b=True)
            h_0_w = tf.matmul(h_0, s.w_rec)
            s = s._replace(
                w_x=delay(s.w_x, BLOCK)._replace(a=xs),
                w_rec=delay(s.w_rec, 1 + BLOCK),  # h₀ has one row for the whole block
                w_sg_1=delay(s.w_sg_1, BLOCK),
                w_sg_2=delay(s.w_sg_2, BLOCK),
            )

            def one(n: tf.Tensor, costs: tf.Tensor, s: State) -> tuple[tf.Tensor, ...]:
                image = Image(
                    n,
                    y=tf.slice(labels, [first + n, 0], [1, 1]),
                    x_w=tf.slice(x_ws, [n, 0], [1, width]),
                    x_a=tf.slice(x_as, [n, 0], [1, BLOCK]),
                )
                cost, s = step(image, h_0, h_0_w, s, rates, sign)
                return n + 1, tf.tensor_scatter_nd_update(costs, [[first + n]], [cost]), s

            length = tf.minimum(BLOCK, count - first)
            _, costs, s = tf.while_loop(lambda n, *_: n < length, one, (0, costs, s))
            return first + BLOCK, costs, State(*s[:3], *(delayed.applied() for delayed in s[3:]))

        costs = tf.zeros([total + missing], images.dtype)
        _, costs, end = tf.while_loop(lambda first, *_: first < count, block, (0, costs, start))
        h_1, h_2, w_fc, *ends = end
        writes = [
            weights.hidden_states.assign(tf.transpose(tf.concat([h_0, h_1, h_2], 0))),
            weights.w_fc.assign(tf.transpose(w_fc)),
            *(matrix.assign(value) for matrix, value in zip(matrices, ends, strict=True)),
        ]
        with tf.control_dependencies(writes):
            return tf.identity(costs[:total])

    return epoch(images, labels, tf.constant(total))
