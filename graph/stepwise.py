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
        compiled: whether XLA compiles the loop. That pays where matrices are rewritten. Elsewhere
            it does not, and the numbers stay those of `--engine=feed`, to the bit.

    Returns:
        The cost of each image, [n]; to evaluate it is to train.
    """
    total, width = images.shape

    # All of a `tf.function` that reads or writes a variable is run, and in the order in which it
    # stands: here no control dependency is needed, and those of the step change nothing.
    @tf.function(jit_compile=compiled, autograph=False)  # type: ignore[untyped-decorator]
    def epoch(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        def one(i: tf.Tensor, costs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            x = tf.slice(images, [i, 0], [1, width])
            y = tf.slice(labels, [i, 0], [1, 1])
            cost, _ = training_step(x, y)
            return i + 1, tf.tensor_scatter_nd_update(costs, [[i]], [cost])

        costs = tf.zeros([total], images.dtype)
        return tf.while_loop(lambda i, _: i < total, one, (0, costs), parallel_iterations=1)[1]

    return epoch(images, labels)
