"""The post's own training step in manual mode, literally: the baseline of the benchmark.

Nine assignments a step, each `assign(w, w ± rate · product)`: the product of a transposed row and a
row, times the rate, added to the variable, assigned. Nothing is merged, nothing is done in place,
and nothing is ordered (docs/experiment.md §6, faults 1 and 6), so that on today's TensorFlow its
numbers vary from run to run, with one thread too; when all reads come first and no update is lost
they are those of the recorded run.
"""

import tensorflow.compat.v1 as tf

from graph.activations import d_tf_logistic, d_tf_tanh, tf_logistic, tf_tanh
from graph.weights import Rates, Weights


def as_posted(x: tf.Tensor, y: tf.Tensor, w: Weights, rates: Rates) -> list[tf.Tensor]:
    """The tensors that the post's loop fetches for an image.

    Args:
        x: the image, [1, width].
        y: its label, [1, 1].
        w: reference variables, TensorFlow 1's own.
        rates: the learning rates.

    Returns:
        The cost, and the values of the nine assignments: two write the hidden states, two each
        change `w_rec` and `w_x`, one each `w_sg_1`, `w_sg_2` and `w_fc`.
    """
    h_0, h_1, h_2 = (tf.expand_dims(w.hidden_states[:, column], 0) for column in range(3))
    # Forward: time box 1, time box 2, readout, cost
    z_1 = tf.add(tf.matmul(x, w.w_x), tf.matmul(h_0, w.w_rec))
    a_1 = tf_tanh(z_1)
    z_2 = tf.add(tf.matmul(x, w.w_x), tf.matmul(h_1, w.w_rec))
    a_2 = tf_tanh(z_2)
    z = tf.matmul(h_2, w.w_fc)
    p = tf_logistic(z)
    cost = tf.reduce_sum(tf.multiply(0.5, tf.square(tf.subtract(p, y))))
    # Synthetic gradients, and their targets t
    g_1 = tf.matmul(a_1, w.w_sg_1)
    g_2 = tf.matmul(a_2, w.w_sg_2)
    u = tf.multiply(g_1, d_tf_tanh(z_1))
    v = tf.multiply(g_2, d_tf_tanh(z_2))
    d = tf.multiply(tf.subtract(p, y), d_tf_logistic(z))
    t_1 = tf.matmul(v, tf.transpose(w.w_rec))
    t_2 = tf.matmul(d, tf.transpose(w.w_fc))

    def change(rate: float, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return tf.multiply(rate, tf.matmul(tf.transpose(a), b))

    return [
        cost,
        tf.assign(w.hidden_states[:, 1], tf.squeeze(a_1)),
        tf.assign(w.hidden_states[:, 2], tf.squeeze(a_2)),
        tf.assign(w.w_rec, tf.add(w.w_rec, change(rates.lr_rec, h_0, u))),
        tf.assign(w.w_x, tf.add(w.w_x, change(rates.lr_rec, x, u))),
        tf.assign(w.w_rec, tf.add(w.w_rec, change(rates.lr_rec, h_1, v))),
        tf.assign(w.w_x, tf.add(w.w_x, change(rates.lr_rec, x, v))),
        tf.assign(w.w_sg_1, tf.subtract(w.w_sg_1, change(rates.lr_sg, h_1, g_1 - t_1))),
        tf.assign(w.w_sg_2, tf.subtract(w.w_sg_2, change(rates.lr_sg, h_2, g_2 - t_2))),
        tf.assign(w.w_fc, tf.subtract(w.w_fc, change(rates.lr_x, h_2, d))),
    ]
