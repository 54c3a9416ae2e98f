"""Manual mode, both time boxes decoupled: the steps of a block of images, all at once.

A step of `graph.backprop` reads and rewrites four matrices for one image. Here every line of a step
is computed for the images of a block together, and each matrix is read a few times for all of them.
In exact arithmetic the result is that of one step after the other.

**The weights that an image meets.** Let image j change a matrix W by aⱼᵀbⱼ. Image i meets
W + Σ aⱼᵀbⱼ over j < i. With an image in each row of Q, A and B, and W from before the block, the
images' own products are

    Q·W + (QAᵀ ⊙ L)·B    and    Q·Wᵀ + (QBᵀ ⊙ L)·A

where L has ones below the diagonal and zeros elsewhere. M stands for L where an image also meets
what it has changed itself: it has ones on the diagonal in the wirings `ordered` and `connected`. In
`published` an image meets nothing of its own, and M = L.

**A step for all images of a block.** So the steps of docs/experiment.md §3 become the lines below.
Capitals are [images, width], an image a row; X the images; h₀ in each row H₀; d, p and y
[images, 1]. H₁ and H₂ are A₁ and A₂; in `published` those of the image before. What goes into the
time boxes, x with h₀ and x with h₁, is multiplied by Wx on Wrec; so the products of inputs are

    K₀₀ = XXᵀ + H₀H₀ᵀ    K₀₁ = XXᵀ + H₀H₁ᵀ    K₁₀ = XXᵀ + H₁H₀ᵀ    K₁₁ = XXᵀ + H₁H₁ᵀ

and, with lr_rec negative where synthetic gradients are subtracted:

    A₁ = tanh(X·Wx + H₀·Wrec + lr_rec ((K₀₀ ⊙ L)·U + (K₀₁ ⊙ L)·V))
    A₂ = tanh(X·Wx + H₁·Wrec + lr_rec ((K₁₀ ⊙ M)·U + (K₁₁ ⊙ L)·V))
    p  = σ(H₂·Wfc − lr_x (H₂H₂ᵀ ⊙ L)·d)                     d = (p − y) p (1 − p)
    T₂ = d ⊙ (Wfcᵀ − lr_x (M ⊙ dᵀ)·H₂)
    Ĝ₂ = A₂·Wsg2 − lr_sg (A₂H₂ᵀ ⊙ L)·(Ĝ₂ − T₂)              V = Ĝ₂ ⊙ (1 − A₂²)
    T₁ = V·Wrecᵀ + lr_rec ((VUᵀ ⊙ M)·H₀ + (VVᵀ ⊙ M)·H₁)
    Ĝ₁ = A₁·Wsg1 − lr_sg (A₁H₁ᵀ ⊙ L)·(Ĝ₁ − T₁)              U = Ĝ₁ ⊙ (1 − A₁²)

**Rounds.** U and V are on both sides. A round computes the lines in turn, with U, V and H₁ from the
round before. Where an unknown stands on both sides of its own line, the line is solved: d by
repetition, which ends at any rate, Ĝ by forward substitution. The rounds resolve the effect of a
block's changes of Wx and Wrec on the block itself. An image's row is final one round after the rows
before it. So there are at most as many rounds as images, at any rate and from any start (twice as
many where M is not L: a₂ waits for its own u). They end earlier, as soon as the next round would
change A₁ and A₂ by less than the tolerance. The method pays if that takes a few rounds;
docs/speed.md shows at which rates. For recurrences it is known as DEER or parallel-in-time
iteration.

**The start.** The first round starts from U, V and A₁ as the last three epochs foretell them: the
parabola through the values of each image, continued by one epoch. (Before the first epoch they are
zeros.) The values change smoothly from epoch to epoch, so at the post's rates one round is mostly
enough.

**Threads.** An operation that several threads share may add up in another order than one that has a
single thread. So large products come in halves: two operations, which run at the same time in a
Session with one thread inside an operation.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from graph.weights import Rates, Weights

BLOCK = 50
# In units of the machine's epsilon; in float32, 3e-5.
TOLERANCE = 256


class Steps(NamedTuple):
    """The results of a block's steps, an image a row.

    Attributes:
        a_1, a_2, u, v: as in docs/experiment.md §3, [images, width].
        r_1, r_2: ĝ − t, the errors of the modules, [images, width].
        p: [images, 1].
    """

    a_1: tf.Tensor
    a_2: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor
    r_1: tf.Tensor
    r_2: tf.Tensor
    p: tf.Tensor


def product(q: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """q·W, [rows, n], for q [rows, m] and W [m, n]: the sum of two, with half of W each."""
    half = w.shape[0] // 2
    return tf.matmul(q[:, :half], w[:half]) + tf.matmul(q[:, half:], w[half:])


def product_transposed(q: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """q·Wᵀ, [rows, m], for q [rows, n] and W [m, n], in halves of W: the transpose of W·qᵀ.

    That takes two thirds of the time of q·Wᵀ, for which W is rearranged.
    """
    half = w.shape[0] // 2
    return tf.transpose(tf.concat([gram(w[:half], q), gram(w[half:], q)], 0))


def gram(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """abᵀ, [rows of a, rows of b]."""
    return tf.matmul(a, b, transpose_b=True)


def transposed_product(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """aᵀb, the sum of the outer products of the rows: [m, n] for a [rows, m] and b [rows, n]."""
    return tf.matmul(a, b, transpose_a=True)


def d_readout(p: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """d = (p − y) p (1 − p), [images, 1]."""
    return (p - y) * p * (1 - p)


def readout(z: tf.Tensor, k: tf.Tensor, p: tf.Tensor, y: tf.Tensor, lr_x: float) -> tf.Tensor:
    """p = σ(z − lr_x K·d), for a K that is zero on and above the diagonal.

    Each repetition makes p of at least one more image final. It ends when no bit changes.

    Args:
        z: [images, 1].
        k: K, [images, images].
        p: where to begin, [images, 1].
        y: the labels, [images, 1].
        lr_x: the learning rate.
    """

    def repeat(_: tf.Tensor, p: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return p, tf.sigmoid(z - lr_x * tf.matmul(k, d_readout(p, y)))

    repeated: tuple[tf.Tensor, tf.Tensor] = tf.while_loop(
        lambda before, p: tf.reduce_any(tf.not_equal(before, p)),
        repeat,
        repeat(p, p),
        maximum_iterations=tf.shape(z)[0],  # A NaN is not equal to itself.
    )
    return repeated[1]


def block(
    x: tf.Tensor,
    y: tf.Tensor,
    w: Weights,
    start: tf.Tensor,
    rates: Rates,
    *,
    published: bool,
    ascend: bool,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, Weights]:
    """The steps of a block of images.

    Args:
        x: the images, [images, width].
        y: their labels, [images, 1].
        w: the values of the variables before the block.
        start: a₁, u and v of each image to start from, [images, 3, width].
        rates: the learning rates.
        published: whether the wiring is `published`; else the numbers are those of `ordered`.
        ascend: whether synthetic gradients are added, or subtracted.

    Returns:
        The cost of each image, [images], the number of rounds, a₁, u and v of each image, and the
        values of the variables after the block.
    """
    lr_x, lr_rec, lr_sg = rates
    lr_rec = lr_rec if ascend else -lr_rec
    h_0, h_1_before, h_2_before = tf.split(tf.transpose(w.hidden_states), 3)
    images = tf.shape(x)[0]
    one = tf.eye(images, dtype=x.dtype)
    with_own = tf.linalg.band_part(tf.ones_like(one), -1, 0)
    earlier = with_own - one  # L
    met = earlier if published else with_own  # M
    x_x, x_w = gram(x, x), product(x, w.w_x)
    z_1 = x_w + tf.matmul(h_0, w.w_rec)
    tolerance = TOLERANCE * np.finfo(x.dtype.as_numpy_dtype).eps

    def hidden(a: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
        """H, or products of its rows: those of a, in `published` those of the image before."""
        return tf.concat([before, a[:-1]], 0) if published else a

    def learned(k: tuple[tf.Tensor, tf.Tensor], u: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        return lr_rec * (tf.matmul(k[0], u) + tf.matmul(k[1], v))

    def module(
        a: tf.Tensor, w_sg: tf.Tensor, a_h: tf.Tensor, t: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Ĝ, and R = Ĝ − T by (I + lr_sg (AHᵀ ⊙ L))·R = A·Wsg − T."""
        a_w, k = product(a, w_sg), lr_sg * (a_h * earlier)
        r = tf.linalg.triangular_solve(one + k, a_w - t)
        return a_w - tf.matmul(k, r), r

    def take_round(rounds: tf.Tensor, _: tf.Tensor, s: Steps) -> tuple[tf.Tensor, tf.Tensor, Steps]:
        h_1 = hidden(s.a_1, h_1_before)
        # A₁ = tanh(X·Wx + H₀·Wrec + lr_rec ((K₀₀ ⊙ L)·U + (K₀₁ ⊙ L)·V))
        k_1 = (x_x + gram(h_0, h_0)) * earlier, (x_x + gram(h_0, h_1)) * earlier
        a_1 = tf.tanh(z_1 + learned(k_1, s.u, s.v))
        # A₂ = tanh(X·Wx + H₁·Wrec + lr_rec ((K₁₀ ⊙ M)·U + (K₁₁ ⊙ L)·V))
        h_1 = hidden(a_1, h_1_before)
        a_1_h_1 = gram(a_1, h_1)
        h_1_h_1 = hidden(a_1_h_1, gram(h_1_before, h_1))
        k_2 = (x_x + gram(h_1, h_0)) * met, (x_x + h_1_h_1) * earlier
        z_2 = x_w + product(h_1, w.w_rec)
        a_2 = tf.tanh(z_2 + learned(k_2, s.u, s.v))
        # p = σ(H₂·Wfc − lr_x (H₂H₂ᵀ ⊙ L)·d), d = (p − y) p (1 − p)
        h_2 = hidden(a_2, h_2_before)
        a_2_h_2 = gram(a_2, h_2)
        h_2_h_2 = hidden(a_2_h_2, gram(h_2_before, h_2))
        p = readout(tf.matmul(h_2, w.w_fc), h_2_h_2 * earlier, s.p, y, lr_x)
        d = d_readout(p, y)
        # T₂ = d ⊙ (Wfcᵀ − lr_x (M ⊙ dᵀ)·H₂)
        t_2 = d * (tf.transpose(w.w_fc) - lr_x * tf.matmul(met * tf.transpose(d), h_2))
        # Ĝ₂ = A₂·Wsg2 − lr_sg (A₂H₂ᵀ ⊙ L)·(Ĝ₂ − T₂), V = Ĝ₂ ⊙ (1 − A₂²)
        g_2, r_2 = module(a_2, w.w_sg_2, a_2_h_2, t_2)
        v = g_2 * (1 - a_2**2)
        # T₁ = V·Wrecᵀ + lr_rec ((VUᵀ ⊙ M)·H₀ + (VVᵀ ⊙ M)·H₁); all rows of H₀ are h₀
        v_u = tf.reduce_sum(v * tf.matmul(met, s.u), 1, keepdims=True)
        learned_rec = lr_rec * (v_u * h_0 + tf.matmul(gram(v, v) * met, h_1))
        t_1 = product_transposed(v, w.w_rec) + learned_rec
        # Ĝ₁ = A₁·Wsg1 − lr_sg (A₁H₁ᵀ ⊙ L)·(Ĝ₁ − T₁), U = Ĝ₁ ⊙ (1 − A₁²)
        g_1, r_1 = module(a_1, w.w_sg_1, a_1_h_1, t_1)
        u = g_1 * (1 - a_1**2)
        # Would the new U and V change A₁ and A₂? A NaN is not below the tolerance.
        changes = [tf.tanh(z_1 + learned(k_1, u, v)) - a_1, tf.tanh(z_2 + learned(k_2, u, v)) - a_2]
        done = tf.reduce_all(tf.abs(tf.stack(changes)) < tolerance)
        return rounds + 1, done, Steps(a_1, a_2, u, v, r_1, r_2, p)

    zeros = tf.zeros_like(x)
    a_1, u, v = tf.unstack(start, axis=1)
    rounds, _, s = tf.while_loop(
        lambda rounds, done, s: tf.logical_not(done),
        take_round,
        (0, False, Steps(a_1, zeros, u, v, zeros, zeros, tf.zeros_like(y))),
        maximum_iterations=2 * images,
    )
    h_1, h_2, d = hidden(s.a_1, h_1_before), hidden(s.a_2, h_2_before), d_readout(s.p, y)
    # h₀ᵀu of all images and h₁ᵀv, in one product
    u_v = tf.concat([tf.reduce_sum(s.u, 0, keepdims=True), s.v], 0)
    after = Weights(
        hidden_states=tf.stack([h_0[0], s.a_1[-1], s.a_2[-1]], 1),
        w_x=w.w_x + transposed_product(x, lr_rec * (s.u + s.v)),
        w_rec=w.w_rec + transposed_product(tf.concat([h_0, h_1], 0), lr_rec * u_v),
        # Added one image after the other, as single steps do, so that rounding is the same.
        w_fc=tf.cumsum(tf.concat([tf.transpose(w.w_fc), -lr_x * d * h_2], 0))[-1][:, None],
        w_sg_1=w.w_sg_1 - transposed_product(h_1, lr_sg * s.r_1),
        w_sg_2=w.w_sg_2 - transposed_product(h_2, lr_sg * s.r_2),
    )
    return 0.5 * tf.square(s.p - y)[:, 0], rounds, tf.stack([s.a_1, s.u, s.v], 1), after


def parallel_manual(
    images: tf.Tensor,
    labels: tf.Tensor,
    weights: Weights,
    former: Any,
    rates: Rates,
    *,
    published: bool,
    ascend: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """One epoch of manual back propagation with synthetic gradients.

    Args:
        images: [n, width], one step each, in this order.
        labels: [n, 1].
        weights: the variables; w_sg_1 and w_sg_2 are [width, width].
        former: the variable that keeps a₁, u and v of each image in the last three epochs,
            [n, 3, 3, width], the last one first; at first zeros. The number of rounds depends on
            it, and the results do within the tolerance.
        rates: the learning rates.
        published: as in `block`.
        ascend: as in `block`.

    Returns:
        The cost of each image, [n], and the number of rounds of each block, [blocks]; to evaluate
        either is to train.
    """
    read = Weights(*(variable.read_value() for variable in weights))
    last, second, third = tf.unstack(former.read_value(), axis=1)
    start = 3 * (last - second) + third
    blocks = -(-images.shape[0] // BLOCK)
    empty = [
        tf.TensorArray(dtype, blocks, infer_shape=False)
        for dtype in (images.dtype, tf.int32, images.dtype)
    ]

    def next_block(
        number: tf.Tensor, w: Weights, results: list[tf.TensorArray]
    ) -> tuple[tf.Tensor, Weights, list[tf.TensorArray]]:
        rows = slice(number * BLOCK, (number + 1) * BLOCK)
        *of_block, w = block(
            images[rows], labels[rows], w, start[rows], rates, published=published, ascend=ascend
        )
        results = [of.write(number, value) for of, value in zip(results, of_block, strict=True)]
        return number + 1, w, results

    _, w, (costs, rounds, kept) = tf.while_loop(
        lambda number, *_: number < blocks, next_block, (0, read, empty)
    )
    # Every written value depends on the reads, so the data alone fix the order.
    written = [variable.assign(value) for variable, value in zip(weights, w, strict=True)]
    written.append(former.assign(tf.stack([kept.concat(), last, second], 1)))
    with tf.control_dependencies(written):
        return tf.identity(costs.concat()), tf.identity(rounds.stack())
