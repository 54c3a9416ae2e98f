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
matrix X·Xᵀ that x·Aᵀ is a row of; and h₀·Wrec. Wrec and Wsg1 share their A. Rows that are not
filled yet are zeros and change nothing.

The epoch is compiled with XLA, which joins the many small operations of a step into few, and lets
the threads that the Session has inside an operation share a product.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from graph.network import cost_function
from graph.weights import Rates, Weights

BLOCK = 50
PARTS = 4


def product_in_parts(q: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """q·W, [rows, n], for q [rows, m] and W [m, n], as a sum of parts: as Σ qᵢ·Wᵢ.

    m has to be a multiple of their number, as 784 is.

    XLA's product of one row and a matrix of 784 rows takes half as long again as that of its parts.
    That of many rows is summed up in an order that depends on the number of threads; that of its
    parts is not.
    """
    rows, m = q.shape
    n = w.shape[1]
    q_i = tf.transpose(tf.reshape(q, [rows, PARTS, m // PARTS]), [1, 0, 2])
    return tf.reduce_sum(tf.matmul(q_i, tf.reshape(w, [PARTS, m // PARTS, n])), 0)


def low_rank(q: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """(q·Aᵀ)·B, [1, n], for q [1, m], A [rows, m] and B [rows, n]."""
    return tf.matmul(tf.matmul(q, a, transpose_b=True), b)


class Delayed(NamedTuple):
    """A matrix with the updates that it has not had yet.

    Attributes:
        w: W, [m, n].
        a: A, [rows, m].
        b: B, [rows, n].
        new: pairs a [1, m] and b [1, n], of updates aᵀb that A and B do not hold yet.
    """

    w: tf.Tensor
    a: tf.Tensor
    b: tf.Tensor
    new: tuple[tuple[tf.Tensor, tf.Tensor], ...] = ()

    def plus(self, a: tf.Tensor, b: tf.Tensor) -> "Delayed":
        """W := W + aᵀb, put off."""
        return self._replace(new=(*self.new, (a, b)))

    def pending(self, q: tf.Tensor) -> tf.Tensor:
        """(q·Aᵀ)·B, what the updates add to q·W."""
        return tf.add_n([low_rank(q, a, b) for a, b in ((self.a, self.b), *self.new)])

    def product(self, q: tf.Tensor) -> tf.Tensor:
        """q·W now, for a row q [1, m]."""
        return product_in_parts(q, self.w) + self.pending(q)

    def product_transposed(self, q: tf.Tensor) -> tf.Tensor:
        """q·Wᵀ now, for a row q [1, n]."""
        pending = tf.add_n([low_rank(q, b, a) for a, b in ((self.a, self.b), *self.new)])
        return tf.matmul(q, self.w, transpose_b=True) + pending

    def applied(self) -> tf.Tensor:
        """W + AᵀB."""
        return self.w + tf.matmul(self.a, self.b, transpose_a=True)


class Matrices(NamedTuple):
    """The matrices that a step changes, as tensors or as `Delayed`."""

    w_x: Any
    w_rec: Any
    w_sg_1: Any
    w_sg_2: Any


class State(NamedTuple):
    """What else a step changes: h₁, h₂ and `w_fc` as a row, [1, width] each."""

    h_1: tf.Tensor
    h_2: tf.Tensor
    w_fc: tf.Tensor


class Factors(NamedTuple):
    """The factors of one step's updates, rows [1, width], learning rates and signs included.

    Wx := Wx + xᵀ(u + v), Wrec := Wrec + h₀ᵀu + h₁ᵀv, Wsg1 := Wsg1 + h₁ᵀe₁, Wsg2 := Wsg2 + h₂ᵀe₂.
    """

    h_1: tf.Tensor
    h_2: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor
    e_1: tf.Tensor
    e_2: tf.Tensor


class Rows(NamedTuple):
    """The factors of a block's updates so far, a row for each image.

    h₀ is the same for the whole block: it has row 0 of H₁ for itself, with the sum of the block's u
    in V and zeros in E₁, and image n has row 1 + n there.

    Attributes:
        h_1: H₁, [1 + BLOCK, width].
        h_2: H₂, [BLOCK, width].
        u_v: U + V, [BLOCK, width].
        v: V, [1 + BLOCK, width].
        e_1: E₁, [1 + BLOCK, width].
        e_2: E₂, [BLOCK, width].
    """

    h_1: tf.Tensor
    h_2: tf.Tensor
    u_v: tf.Tensor
    v: tf.Tensor
    e_1: tf.Tensor
    e_2: tf.Tensor

    def of(self, w: Matrices, images: tf.Tensor) -> Matrices:
        """The matrices from before the block, `Delayed` by these rows; X, [BLOCK, width]."""
        return Matrices(
            Delayed(w.w_x, images, self.u_v),
            Delayed(w.w_rec, self.h_1, self.v),
            Delayed(w.w_sg_1, self.h_1, self.e_1),
            Delayed(w.w_sg_2, self.h_2, self.e_2),
        )


def no_rows(h_0: tf.Tensor) -> Rows:
    """Those at the beginning of a block."""
    zeros = tf.zeros([BLOCK, h_0.shape[1]], h_0.dtype)
    zeros_1 = tf.zeros([1 + BLOCK, h_0.shape[1]], h_0.dtype)
    return Rows(tf.concat([h_0, zeros], 0), zeros, zeros, zeros_1, zeros_1, zeros)


def fill(rows: Rows, n: tf.Tensor, f: Factors, length: tf.Tensor) -> Rows:
    """The rows with those of image n, counted from 0, of a block of so many images.

    XLA goes by the data alone. Where rows are written that something else may still read, it copies
    them all before; but a loop waits for everything that goes into it, which here is all that a
    step computes. So this is a loop over the images from n to n.
    """

    def fill_row(n: tf.Tensor, rows: Rows) -> tuple[tf.Tensor, Rows]:
        def put(matrix: tf.Tensor, row: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
            return tf.tensor_scatter_nd_update(matrix, [[row]], value)

        return n + 1, Rows(
            h_1=put(rows.h_1, 1 + n, f.h_1),
            h_2=put(rows.h_2, n, f.h_2),
            u_v=put(rows.u_v, n, f.u + f.v),
            v=tf.tensor_scatter_nd_add(put(rows.v, 1 + n, f.v), [[0]], f.u),
            e_1=put(rows.e_1, 1 + n, f.e_1),
            e_2=put(rows.e_2, n, f.e_2),
        )

    after = tf.minimum(n + 1, length)  # n + 1, which XLA must not know
    _, filled = tf.while_loop(lambda n, _: n < after, fill_row, (n, rows))
    return Rows(*filled)


class Image(NamedTuple):
    """One image of a block.

    Attributes:
        y: [1, 1].
        x_w: x·Wx with the Wx from before the block, [1, width].
        x_a: x·Aᵀ with the A of Wx, the block's images, [1, BLOCK].
        x_x: x·xᵀ, [1, 1].
    """

    y: tf.Tensor
    x_w: tf.Tensor
    x_a: tf.Tensor
    x_x: tf.Tensor


def readout(h: tf.Tensor, w_fc: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The cost, a scalar, and d = (p − y) p (1 − p), [1, 1], where p = σ(h·Wfc)."""
    p = tf.sigmoid(tf.matmul(h, w_fc, transpose_b=True))
    return cost_function(p, y), (p - y) * p * (1 - p)


def published_step(
    image: Image, h_0: tf.Tensor, h_0_w: tf.Tensor, s: State, m: Matrices, rates: Rates, sign: int
) -> tuple[tf.Tensor, State, Factors]:
    """One step of `graph.backprop.published_manual`.

    Args:
        image: the image.
        h_0: [1, width].
        h_0_w: h₀·Wrec with the Wrec from before the block, [1, width].
        s: the state before the step.
        m: the `Delayed` matrices before the step.
        rates: the learning rates.
        sign: 1 to add synthetic gradients, −1 to subtract them.

    Returns:
        The cost of the image, the state after the step, and the updates of the matrices.
    """
    y, x_w, x_a, _ = image
    h_1, h_2, w_fc = s
    w_x, w_rec, w_sg_1, w_sg_2 = m
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
    factors = Factors(
        h_1,
        h_2,
        u=lr_rec * u,
        v=lr_rec * v,
        e_1=-rates.lr_sg * (g_1 - t_1),
        e_2=-rates.lr_sg * (g_2 - t_2),
    )
    return cost, State(a_1, a_2, w_fc - rates.lr_x * d * h_2), factors


def ordered_step(
    image: Image, h_0: tf.Tensor, h_0_w: tf.Tensor, s: State, m: Matrices, rates: Rates, sign: int
) -> tuple[tf.Tensor, State, Factors]:
    """One step of `graph.backprop.ordered_manual`; arguments and result as in `published_step`."""
    y, x_w, x_a, x_x = image
    w_x, w_rec, w_sg_1, w_sg_2 = m
    lr_rec = sign * rates.lr_rec
    # 1. a₁ = tanh(x·Wx + h₀·Wrec)
    x_w += tf.matmul(x_a, w_x.b)
    a_1 = tf.tanh(x_w + h_0_w + w_rec.pending(h_0))
    # 2. ĝ₁ = a₁·Wsg1, u = ĝ₁ ⊙ (1 − a₁²)
    g_1 = w_sg_1.product(a_1)
    u = g_1 * (1 - a_1**2)
    w_rec = w_rec.plus(h_0, lr_rec * u)
    x_w += x_x * (lr_rec * u)  # x·(xᵀu)
    # 3. a₂ = tanh(x·Wx + h₁·Wrec)
    a_2 = tf.tanh(x_w + w_rec.product(a_1))
    # 4. ĝ₂ = a₂·Wsg2, v = ĝ₂ ⊙ (1 − a₂²)
    g_2 = w_sg_2.product(a_2)
    v = g_2 * (1 - a_2**2)
    w_rec = w_rec.plus(a_1, lr_rec * v)
    # 5. t₁ = v·Wrecᵀ
    t_1 = w_rec.product_transposed(v)
    # 6. p = σ(h₂·Wfc), d = (p − y) p (1 − p)
    cost, d = readout(a_2, s.w_fc, y)
    w_fc = s.w_fc - rates.lr_x * d * a_2
    # 7. t₂ = d·Wfcᵀ
    t_2 = d * w_fc
    factors = Factors(
        h_1=a_1,
        h_2=a_2,
        u=lr_rec * u,
        v=lr_rec * v,
        e_1=-rates.lr_sg * (g_1 - t_1),
        e_2=-rates.lr_sg * (g_2 - t_2),
    )
    return cost, State(a_1, a_2, w_fc), factors


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
    variables = (weights.w_x, weights.w_rec, weights.w_sg_1, weights.w_sg_2)

    # The number of images is an argument because XLA, in TensorFlow 2.21, loses the inner loop when
    # it can tell that there is one image. The variables are read and written in here because XLA
    # then works in their own memory. All of a `tf.function` that reads or writes a variable is run,
    # and in the order in which it stands: here no control dependency is needed.
    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def epoch(images: tf.Tensor, labels: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        images, labels = tf.pad(images, padding), tf.pad(labels, padding)
        h_0, h_1, h_2 = tf.split(tf.transpose(weights.hidden_states.read_value()), 3)
        state = State(h_1, h_2, tf.transpose(weights.w_fc.read_value()))
        matrices = Matrices(*(variable.read_value() for variable in variables))

        def block(
            first: tf.Tensor, costs: tf.Tensor, s: State, w: Matrices
        ) -> tuple[tf.Tensor, tf.Tensor, State, Matrices]:
            xs = tf.slice(images, [first, 0], [BLOCK, width])
            x_ws, x_as = product_in_parts(xs, w.w_x), tf.matmul(xs, xs, transpose_b=True)
            h_0_w = product_in_parts(h_0, w.w_rec)
            length = tf.minimum(BLOCK, count - first)

            def one(
                n: tf.Tensor, costs: tf.Tensor, s: State, rows: Rows
            ) -> tuple[tf.Tensor, tf.Tensor, State, Rows]:
                image = Image(
                    y=tf.slice(labels, [first + n, 0], [1, 1]),
                    x_w=tf.slice(x_ws, [n, 0], [1, width]),
                    x_a=tf.slice(x_as, [n, 0], [1, BLOCK]),
                    x_x=tf.slice(x_as, [n, n], [1, 1]),
                )
                cost, s, factors = step(image, h_0, h_0_w, s, rows.of(w, xs), rates, sign)
                costs = tf.tensor_scatter_nd_update(costs, [[first + n]], [cost])
                return n + 1, costs, s, fill(rows, n, factors, length)

            _, costs, s, rows = tf.while_loop(
                lambda n, *_: n < length, one, (0, costs, s, no_rows(h_0))
            )
            applied = Matrices(*(delayed.applied() for delayed in rows.of(w, xs)))
            return first + BLOCK, costs, s, applied

        costs = tf.zeros([total + missing], images.dtype)
        _, costs, state, matrices = tf.while_loop(
            lambda first, *_: first < count, block, (0, costs, state, matrices)
        )
        h_1, h_2, w_fc = state
        weights.hidden_states.assign(tf.transpose(tf.concat([h_0, h_1, h_2], 0)))
        weights.w_fc.assign(tf.transpose(w_fc))
        for matrix, value in zip(variables, matrices, strict=True):
            matrix.assign(value)
        return costs[:total]

    return epoch(images, labels, tf.constant(total))
