"""An epoch in the graph: the training step of `graph.backprop` in a loop over the images."""

from collections.abc import Callable

import tensorflow.compat.v1 as tf


def stepwise(
    images: tf.Tensor,
    labels: tf.Tensor,
    training_step: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Operation]],
) -> tf.Tensor:
    """Runs a training step for each image, one after the other.

    Args:
        images: [n, width].
        labels: [n, 1].
        training_step: adds to the graph what one image x [1, width] with its label y [1, 1] needs,
            and returns the cost, a scalar, and the operation that trains.

    Returns:
        The cost of each image, [n]; to evaluate it is to train.
    """
    total, width = images.shape

    def one(i: tf.Tensor, costs: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        x = tf.slice(images, [i, 0], [1, width])
        y = tf.slice(labels, [i, 0], [1, 1])
        cost, train = training_step(x, y)
        # The next image's number has to wait for this image's updates, and all else for it.
        with tf.control_dependencies([train]):
            return i + 1, costs.write(i, cost)

    costs = tf.TensorArray(images.dtype, total, element_shape=[])
    _, costs = tf.while_loop(lambda i, _: i < total, one, (0, costs), parallel_iterations=1)
    return costs.stack()
