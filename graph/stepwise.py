"""Many steps in one call: a loop in the graph over the images, each of which is one step."""

from collections.abc import Callable, Sequence

import tensorflow.compat.v1 as tf


def in_turn(
    step: Callable[..., tf.Tensor], data: Sequence[tf.Tensor], *, compiled: bool
) -> tf.Tensor:
    """Takes a step for each row of the data, one after the other.

    Args:
        step: adds to the graph what a row [1, columns] of each of the data needs, and returns a
            scalar: the cost, or p. Whatever else it adds that reads or writes a variable is run
            too, and in the order in which it was added.
        data: [n, columns] each.
        compiled: whether XLA compiles the loop. That pays where matrices are rewritten. Elsewhere
            it does not, and the numbers stay those of a `Session.run` for each row, to the bit.

    Returns:
        The scalar of each row, [n]; to evaluate it is to take the steps.
    """

    # It is the `tf.function` that runs all and keeps the order, without any control dependency.
    @tf.function(jit_compile=compiled, autograph=False)  # type: ignore[untyped-decorator]
    def steps(*data: tf.Tensor) -> tf.Tensor:
        total = tf.shape(data[0])[0]

        def one(i: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            value = step(*(tf.slice(rows, [i, 0], [1, rows.shape[1]]) for rows in data))
            return i + 1, tf.tensor_scatter_nd_update(values, [[i]], [value])

        values = tf.zeros([total], data[0].dtype)
        return tf.while_loop(lambda i, _: i < total, one, (0, values), parallel_iterations=1)[1]

    return steps(*data)
