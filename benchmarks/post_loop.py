"""The post's loop with its operations as the post has them, to measure speed against.

Nine assignments a step, each `assign(w, w ± rate · product)`: the product of a transposed row and a
row, times the rate, added to the variable, assigned. Nothing is merged, nothing done in place, and
nothing is ordered, so the numbers mean little (specification §6). The Session has the threads that
TensorFlow takes by default.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from experiment.mnist import Images
from graph.activations import d_tf_logistic, d_tf_tanh, tf_logistic, tf_tanh
from graph.backprop import Rates
from graph.weights import Weights, shapes


class PostLoop:
    """A Session on the post's graph, manual mode."""

    def __init__(self, initial: Weights, rates: Rates) -> None:
        width = initial.w_fc.shape[0]
        graph = tf.Graph()
        with graph.as_default():
            self._x = tf.placeholder(tf.float32, [1, width])
            self._y = tf.placeholder(tf.float32, [1, 1])
            values = [tf.placeholder(tf.float32, shape) for shape in shapes(width)]
            # Reference variables, TensorFlow 1's own.
            w = Weights(*(tf.Variable(value, use_resource=False) for value in values))
            self._fetches = self._step(w, rates)
            initializer = tf.global_variables_initializer()
        self._session = tf.Session(graph=graph)
        self._session.run(initializer, dict(zip(values, initial, strict=True)))

    def _step(self, w: Weights, rates: Rates) -> list[tf.Tensor]:
        x, y = self._x, self._y
        h_0, h_1, h_2 = (tf.expand_dims(w.hidden_states[:, column], 0) for column in range(3))
        z_1 = tf.add(tf.matmul(x, w.w_x), tf.matmul(h_0, w.w_rec))
        a_1 = tf_tanh(z_1)
        z_2 = tf.add(tf.matmul(x, w.w_x), tf.matmul(h_1, w.w_rec))
        a_2 = tf_tanh(z_2)
        z = tf.matmul(h_2, w.w_fc)
        p = tf_logistic(z)
        cost = tf.reduce_sum(tf.multiply(0.5, tf.square(tf.subtract(p, y))))
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

    def epoch(self, images: Images) -> None:
        """One step an image; the post fetches the cost and every assignment, values and all."""
        for x, y in zip(*images, strict=True):
            self._session.run(self._fetches, {self._x: x[np.newaxis], self._y: [[y]]})
