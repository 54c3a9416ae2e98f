"""The post's loop: one `Session.run` per image, of the nine assignments in graph/as_posted.py."""

import numpy as np
import tensorflow.compat.v1 as tf

from experiment.training.mnist import Images
from graph.as_posted import as_posted
from graph.weights import Rates, Weights, shapes


class PostLoop:
    """A Session on the post's graph, with the threads that TensorFlow takes by default.

    Attributes:
        x, y: placeholders for an image and its label.
        fetches: the cost, and the values of the nine assignments.
        session: initialized.
    """

    def __init__(self, initial: Weights, rates: Rates) -> None:
        width = initial.w_fc.shape[0]
        graph = tf.Graph()
        with graph.as_default():
            self.x = tf.placeholder(tf.float32, [1, width])
            self.y = tf.placeholder(tf.float32, [1, 1])
            values = [tf.placeholder(tf.float32, shape) for shape in shapes(width)]
            w = Weights(*(tf.Variable(value, use_resource=False) for value in values))
            self.fetches = as_posted(self.x, self.y, w, rates)
            initializer = tf.global_variables_initializer()
        self.session = tf.Session(graph=graph)
        self.session.run(initializer, dict(zip(values, initial, strict=True)))

    def epoch(self, images: Images) -> float:
        """One step an image, every assignment's value fetched; the sum of the costs."""
        return sum(
            float(self.session.run(self.fetches, {self.x: x[np.newaxis], self.y: [[y]]})[0])
            for x, y in zip(*images, strict=True)
        )
