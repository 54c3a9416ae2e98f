"""Manual mode, both time boxes decoupled, an epoch at a time with delayed updates.

A step of `graph.backprop` rewrites four matrices of width × width, each by outer products of rows.
Here, for a block of images, the matrices stay as they are and the products' factors are carried
beside them. With A and B, the rows of a block's products so far,

    W now    = W + AᵀB
    q·W now  = q·W + (q·Aᵀ)·B
    q·Wᵀ now = q·Wᵀ + (q·Bᵀ)·A

cost two thin products more than q·W, and no pass over a matrix to write it. After the block each
matrix gets its W + AᵀB, one product. This is the delayed update of quantum Monte Carlo and of
blocked LU: exact algebra, in which only rounding differs from `graph.backprop`.

Products that a block shares are computed once: x·Wx, h₀·Wrec, and the Gram matrix X·Xᵀ of the
block's images, because A of Wx is X and x·Aᵀ is a row of it. Wrec and Wsg1 share their A. Rows that
are not filled yet are zeros and change nothing. A module's weights for the label are two rows;
every step changes them.

The epoch is compiled with XLA, which joins the many small operations of a step into few, and lets
the threads that the Session has inside an operation share a product.
"""

from collections.abc import Iterable
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from graph.network import cost_function
from graph.weights import Rates, Weights

BLOCK = 50
PARTS = 4
MATRICES = "w_x", "w_rec", "w_sg_1", "w_sg_2"
FACTORS = "h_1", "h_2", "u_v", "v", "e_1", "e_2"

# The factors of updates by name, learning rates and signs included: one image's, [1, width] each,
# or the rows of a block's so far, [BLOCK, width].
Factors = dict[str, tf.Tensor]
# Weight matrices by name, the rows for pixels alone.
Matrices = dict[str, tf.Tensor]


def product_in_parts(q: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """q·W, [rows, n], for q [rows, m] and W [m, n], as a sum of parts: as Σ qᵢ·Wᵢ.

    m has to be a multiple of their number, as 784 is.

    For one row and a matrix of 784 rows, XLA's whole product takes 1.5 times as long as the parts.
    For many rows, the whole product's order of summation depends on the number of threads; that of
    the parts does not.
    """
    rows, m = q.shape
    n = w.shape[1]
    q_i = tf.transpose(tf.reshape(q, [rows, PARTS, m // PARTS]), [1, 0, 2])
    return tf.reduce_sum(tf.matmul(q_i, tf.reshape(w, [PARTS, m // PARTS, n])), 0)


def _low_rank(q: tf.Tensor, updates: Iterable[tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor:
    """Σ (q·Aᵀ)·B, for a row q."""
    return tf.add_n([tf.matmul(tf.matmul(q, a, transpose_b=True), b) for a, b in updates])


class Delayed(NamedTuple):
    """A matrix W [m, n] and its delayed updates: pairs A [rows, m] and B [rows, n]."""

    w: tf.Tensor
    updates: tuple[tuple[tf.Tensor, tf.Tensor], ...]

    def plus(self, a: tf.Tensor, b: tf.Tensor) -> "Delayed":
        """W := W + AᵀB, delayed."""
        return self._replace(updates=(*self.updates, (a, b)))

    def pending(self, q: tf.Tensor) -> tf.Tensor:
        """The part of q·W that comes from the updates, for a row q [1, m]."""
        return _low_rank(q, self.updates)

    def product(self, q: tf.Tensor) -> tf.Tensor:
        """q·W now, for a row q [1, m]."""
        return product_in_parts(q, self.w) + self.pending(q)

    def product_transposed(self, q: tf.Tensor) -> tf.Tensor:
        """q·Wᵀ now, for a row q [1, n]."""
        pending = _low_rank(q, [(b, a) for a, b in self.updates])
        return tf.matmul(q, self.w, transpose_b=True) + pending

    def applied(self) -> tf.Tensor:
        """W + AᵀB."""
        return tf.add_n([self.w, *(tf.matmul(a, b, transpose_a=True) for a, b in self.updates)])


class State(NamedTuple):
    """The variables that a step changes, other than the four matrices.

    Attributes:
        h_1, h_2: [1, width].
        w_fc: as a row, [1, width].
        u: the sum of the block's u, the factor of h₀ in Wrec, [1, width].
        labels: the rows of w_sg for the label, [2, width], of each module whose input includes it.
    """

    h_1: tf.Tensor
    h_2: tf.Tensor
    w_fc: tf.Tensor
    u: tf.Tensor
    labels: tuple[tf.Tensor, ...]


class Image(NamedTuple):
    """One image of a block.

    Attributes:
        y: [1, 1].
        x_w: x·Wx with the Wx from before the block, [1, width].
        x_a: x·Aᵀ with the A of Wx, the block's images, [1, BLOCK].
        x_x: x·xᵀ, [1, 1].
        h_0: [1, width].
        h_0_w: h₀·Wrec with the Wrec from before the block, [1, width].
    """

    y: tf.Tensor
    x_w: tf.Tensor
    x_a: tf.Tensor
    x_x: tf.Tensor
    h_0: tf.Tensor
    h_0_w: tf.Tensor


def matrices(
    w: Matrices, xs: tf.Tensor, h_0: tf.Tensor, u: tf.Tensor, f: Factors
) -> dict[str, Delayed]:
    """The matrices from before a block, w, with the block's updates so far.

    Wx + Xᵀ(U + V), Wrec + H₁ᵀV + h₀ᵀΣu, Wsg1 + H₁ᵀE₁ and Wsg2 + H₂ᵀE₂, where X are the block's
    images and `f` has U + V, V, H₁, H₂, E₁ and E₂, [BLOCK, width] each.
    """
    factors = {
        "w_x": ((xs, f["u_v"]),),
        "w_rec": ((f["h_1"], f["v"]), (h_0, u)),
        "w_sg_1": ((f["h_1"], f["e_1"]),),
        "w_sg_2": ((f["h_2"], f["e_2"]),),
    }
    return {name: Delayed(w[name], updates) for name, updates in factors.items()}


def readout(h: tf.Tensor, w_fc: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The cost, a scalar, and d = (p − y) p (1 − p), [1, 1], where p = σ(h·Wfc)."""
    p = tf.sigmoid(tf.matmul(h, w_fc, transpose_b=True))
    return cost_function(p, y), (p - y) * p * (1 - p)


def step(
    image: Image,
    s: State,
    m: dict[str, Delayed],
    u_v: tf.Tensor,
    rates: Rates,
    *,
    published: bool,
    ascend: bool,
    label: float,
) -> tuple[tf.Tensor, State, Factors]:
    """One step.

    In the wiring `published`, everything is read as it was before the step
    (`graph.backprop.published_manual`); else the numbers are those of the steps of
    `graph.backprop.ordered_manual`.

    Args:
        image: the image.
        s: the state before the step.
        m: the matrices before the step.
        u_v: the factor of the updates of Wx, [BLOCK, width].
        rates: the learning rates.
        published: whether the wiring is `published`.
        ascend: whether synthetic gradients are added, or subtracted.
        label: as in `graph.modules.Module`.

    Returns:
        The cost of the image, the state after the step, and the factors of its updates.
    """
    y, x_w, x_a, x_x, h_0, h_0_w = image
    w_rec, label_input = m["w_rec"], label * tf.concat([1 - y, y], 1)
    lr_rec = rates.lr_rec if ascend else -rates.lr_rec

    def synthetic_gradient(a: tf.Tensor, k: int) -> tf.Tensor:
        of_label = [tf.matmul(label_input, s.labels[k - 1])] if s.labels else []
        return tf.add_n([m[f"w_sg_{k}"].product(a), *of_label])

    # 1. a₁ = tanh(x·Wx + h₀·Wrec)
    x_w += tf.matmul(x_a, u_v)
    a_1 = tf.tanh(x_w + h_0_w + w_rec.pending(h_0))
    # 2. ĝ₁ = a₁·Wsg1, u = ĝ₁ ⊙ (1 − a₁²)
    g_1 = synthetic_gradient(a_1, 1)
    u = lr_rec * (g_1 * (1 - a_1**2))
    if not published:
        w_rec, x_w = w_rec.plus(h_0, u), x_w + x_x * u  # x·(xᵀu)
    # 3. a₂ = tanh(x·Wx + h₁·Wrec)
    h_1 = s.h_1 if published else a_1
    a_2 = tf.tanh(x_w + w_rec.product(h_1))
    # 4. ĝ₂ = a₂·Wsg2, v = ĝ₂ ⊙ (1 − a₂²)
    g_2 = synthetic_gradient(a_2, 2)
    v = g_2 * (1 - a_2**2)
    if not published:
        w_rec = w_rec.plus(h_1, lr_rec * v)
    # 5. t₁ = v·Wrecᵀ
    t_1 = w_rec.product_transposed(v)
    e_1 = -rates.lr_sg * (g_1 - t_1)
    # 6. p = σ(h₂·Wfc), d = (p − y) p (1 − p)
    h_2 = s.h_2 if published else a_2
    cost, d = readout(h_2, s.w_fc, y)
    w_fc = s.w_fc - rates.lr_x * d * h_2
    # 7. t₂ = d·Wfcᵀ
    t_2 = d * (s.w_fc if published else w_fc)
    e_2 = -rates.lr_sg * (g_2 - t_2)
    labels = tuple(
        rows + tf.matmul(label_input, e, transpose_a=True)
        for rows, e in zip(s.labels, (e_1, e_2), strict=False)  # Without a label: none.
    )
    factors = {
        "h_1": h_1,
        "h_2": h_2,
        "u_v": u + lr_rec * v,
        "v": lr_rec * v,
        "e_1": e_1,
        "e_2": e_2,
    }
    return cost, State(a_1, a_2, w_fc, s.u + u, labels), factors


def fill(f: Factors, n: tf.Tensor, new: Factors, length: tf.Tensor) -> Factors:
    """Fills in the rows of image n, counted from 0, of a block of `length` images.

    XLA orders operations by data alone. If another operation may still read the rows, XLA copies
    them all before it writes. A loop waits for all of its inputs, which here are all results of a
    step. So this is a loop over the images from n to n.
    """

    def fill_row(n: tf.Tensor, f: Factors) -> tuple[tf.Tensor, Factors]:
        return n + 1, {k: tf.tensor_scatter_nd_update(f[k], [[n]], new[k]) for k in f}

    after = tf.minimum(n + 1, length)  # n + 1, which XLA must not know
    filled: Factors = tf.while_loop(lambda n, _: n < after, fill_row, (n, f))[1]
    return filled


def delayed_manual(
    images: tf.Tensor,
    labels: tf.Tensor,
    weights: Weights,
    rates: Rates,
    *,
    published: bool,
    ascend: bool,
    label: float,
) -> tf.Tensor:
    """One epoch of manual back propagation with synthetic gradients.

    Args:
        images: [n, width], one step each, in this order.
        labels: [n, 1].
        weights: the variables.
        rates: the learning rates.
        published: whether in the wiring `published`; else in `ordered`, whose numbers are those of
            `connected` too.
        ascend: whether synthetic gradients are added, as in the post, or subtracted.
        label: of the modules, as in `graph.modules.Module`.

    Returns:
        The cost of each image, [n]; to evaluate it is to train.
    """
    total, width = images.shape
    # The last block may be short; its missing images are never read.
    missing = -total % BLOCK
    padding = [[0, missing], [0, 0]]

    # The number of images is an argument because XLA, in TensorFlow 2.21, loses the inner loop if
    # it knows that there is one image. The variables are read and written in here because XLA then
    # works in their own memory. A `tf.function` runs all its reads and writes of variables in the
    # order of its lines, without control dependencies.
    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def epoch(images: tf.Tensor, labels: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        images, labels = tf.pad(images, padding), tf.pad(labels, padding)
        h_0, h_1, h_2 = tf.split(tf.transpose(weights.hidden_states.read_value()), 3)
        read = {name: getattr(weights, name).read_value() for name in MATRICES}
        # A module's rows for the label, if it has any, come after those for the pixels.
        label_rows = tuple(w[width:] for w in read.values() if w.shape[0] > width)
        zeros = tf.zeros([BLOCK, width], images.dtype)
        state = State(h_1, h_2, tf.transpose(weights.w_fc.read_value()), zeros[:1], label_rows)

        def block(
            first: tf.Tensor, costs: tf.Tensor, s: State, w: Matrices
        ) -> tuple[tf.Tensor, tf.Tensor, State, Matrices]:
            xs = tf.slice(images, [first, 0], [BLOCK, width])
            x_ws, x_as = product_in_parts(xs, w["w_x"]), tf.matmul(xs, xs, transpose_b=True)
            h_0_w = product_in_parts(h_0, w["w_rec"])
            length = tf.minimum(BLOCK, count - first)

            def one(
                n: tf.Tensor, costs: tf.Tensor, s: State, f: Factors
            ) -> tuple[tf.Tensor, tf.Tensor, State, Factors]:
                image = Image(
                    y=tf.slice(labels, [first + n, 0], [1, 1]),
                    x_w=tf.slice(x_ws, [n, 0], [1, width]),
                    x_a=tf.slice(x_as, [n, 0], [1, BLOCK]),
                    x_x=tf.slice(x_as, [n, n], [1, 1]),
                    h_0=h_0,
                    h_0_w=h_0_w,
                )
                m = matrices(w, xs, h_0, s.u, f)
                cost, s, new = step(
                    image, s, m, f["u_v"], rates, published=published, ascend=ascend, label=label
                )
                costs = tf.tensor_scatter_nd_update(costs, [[first + n]], [cost])
                return n + 1, costs, s, fill(f, n, new, length)

            s = s._replace(u=zeros[:1])
            _, costs, s, f = tf.while_loop(
                lambda n, *_: n < length, one, (0, costs, s, dict.fromkeys(FACTORS, zeros))
            )
            w = {name: matrix.applied() for name, matrix in matrices(w, xs, h_0, s.u, f).items()}
            return first + BLOCK, costs, s, w

        costs = tf.zeros([total + missing], images.dtype)
        square = {name: w[:width] for name, w in read.items()}
        _, costs, s, w = tf.while_loop(
            lambda first, *_: first < count, block, (0, costs, state, square)
        )
        weights.hidden_states.assign(tf.transpose(tf.concat([h_0, s.h_1, s.h_2], 0)))
        weights.w_fc.assign(tf.transpose(s.w_fc))
        w |= {
            f"w_sg_{k}": tf.concat([w[f"w_sg_{k}"], rows], 0) for k, rows in enumerate(s.labels, 1)
        }
        for name in MATRICES:
            getattr(weights, name).assign(w[name])
        return costs[:total]

    return epoch(images, labels, tf.constant(total))
