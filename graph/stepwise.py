"""Many steps in one call: a loop in the graph over the images, each of which is one step."""

from collections.abc import Callable, Sequence

import tensorflow.compat.v1 as tf

Steps = Callable[..., tuple[Sequence[tf.Tensor], tf.Operation]]


def loop_over_rows(
    step: Steps, data: Sequence[tf.Tensor], columns: Sequence[int], *, compiled: bool
) -> list[tf.Tensor]:
    """Takes a step for each row of the data, one after the other.

    Args:
        step: adds a step to the graph for one row, [1, columns], of each of the data; returns rows
            and the operation that changes the variables.
        data: [n, columns] each.
        columns: of each row that a step returns.
        compiled: whether XLA compiles the loop, which pays if the steps rewrite matrices. If not,
            the numbers equal those of a `Session.run` for each row, to the bit.

    Returns:
        The rows of all steps, [n, columns] each; evaluating one takes the steps.
    """

    def steps(*data: tf.Tensor) -> list[tf.Tensor]:
        total = tf.shape(data[0])[0]

        def one(i: tf.Tensor, *collected: tf.Tensor) -> tuple[tf.Tensor, ...]:
            rows, change = step(*(tf.slice(of, [i, 0], [1, of.shape[1]]) for of in data))
            # The next row's number waits for this row's changes, and all its operations for it.
            with tf.control_dependencies([change]):
                added = [
                    tf.tensor_scatter_nd_update(of, [[i]], row)
                    for of, row in zip(collected, rows, strict=True)
                ]
                return (i + 1, *added)

        start = [tf.zeros([total, width], data[0].dtype) for width in columns]
        end: list[tf.Tensor] = tf.while_loop(
            lambda i, *_: i < total, one, (0, *start), parallel_iterations=1
        )
        return end[1:]

    # XLA takes a `tf.function`, which keeps reads and writes in the order of its lines.
    run = tf.function(steps, jit_compile=True, autograph=False) if compiled else steps
    collected: list[tf.Tensor] = run(*data)
    return collected
