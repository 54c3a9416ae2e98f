"""Many steps in one call: a loop in the graph over the images, each of which is one step."""

from collections.abc import Callable, Sequence

import tensorflow.compat.v1 as tf


def loop_over_rows(
    step: Callable[..., tuple[tf.Tensor, tf.Operation]],
    data: Sequence[tf.Tensor],
    *,
    compiled: bool,
) -> tf.Tensor:
    """Takes a step for each row of the data, one after the other.

    Args:
        step: adds to the graph what a row [1, columns] of each of the data needs, and returns a
            scalar, the cost or p, and the operation that changes the variables.
        data: [n, columns] each.
        compiled: whether XLA compiles the loop. That pays where matrices are rewritten. Elsewhere
            it does not, and the numbers stay those of a `Session.run` for each row, to the bit.

    Returns:
        The scalar of each row, [n]; to evaluate it is to take the steps.
    """

    def steps(*data: tf.Tensor) -> tf.Tensor:
        total = tf.shape(data[0])[0]

        def one(i: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            value, change = step(*(tf.slice(rows, [i, 0], [1, rows.shape[1]]) for rows in data))
            # The next row's number has to wait for this row's changes, and all else for it.
            with tf.control_dependencies([change]):
                return i + 1, tf.tensor_scatter_nd_update(values, [[i]], [value])

        values = tf.zeros([total], data[0].dtype)
        return tf.while_loop(lambda i, _: i < total, one, (0, values), parallel_iterations=1)[1]

    # XLA takes a `tf.function`; what that reads and writes is ordered as it stands, in any case.
    return (tf.function(steps, jit_compile=True, autograph=False) if compiled else steps)(*data)
