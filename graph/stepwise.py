"""An epoch in the graph: the training step of `graph.backprop` in a loop over the images."""

from collections.abc import Callable

import tensorflow.compat.v1 as tf


def stepwise(
    images: tf.Tensor,
    labels: tf.Tensor,
    training_step: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Operation]],
    *,
    compiled: bool,
) -> tf.Tensor:
    """Runs a training step for each image, one after the other.

    Args:
        images: [n, width].
        labels: [n, 1].
        training_step: adds to the graph what one image x [1, width] with its label y [1, 1] needs,
            and returns the cost, a scalar, and the operation that trains.
        compiled: whether XLA compiles the loop. It forms an outer product while it adds it to its
            matrix, where TensorFlow writes it to memory and reads it back; it rounds differently.

    Returns:
        The cost of each image, [n]; to evaluate it is to train.
    """

    def epoch(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
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

    if compiled:
        epoch = tf.function(epoch, jit_compile=True, autograph=False)
    return epoch(images, labels)
