"""The numbers that a training step in windows keeps, and the products that its updates wait for.

The numbers are read from the shapes in the graph as it is built, the dependencies from the graph
that the executor gets (`experiment.evaluation.dependencies`).
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from experiment.evaluation.dependencies import changed_weight, executed, predecessors
from experiment.markdown import markdown
from graph.modules import Module
from graph.weights import PIXELS, Rates
from graph.windows import Recurrent, windows_manual

HIDDEN_UNITS = 64
# T and K.
COUNTED = [(2, 1), (2, 2), (7, 1), (7, 4), (7, 7), (28, 1), (28, 4), (28, 28)]


class Counts(NamedTuple):
    """One step on strips of an image, H = 64, every window but the last with a module or without.

    Attributes:
        kept: numbers that wait for a gradient: the inputs and hidden states of the longest window,
            and the input and the output of its module.
        module_weights: of all modules.
        boxes: time boxes that have run before time box 1 learns; None if it never does.
        first: matrix products in a row before Wx or Wrec first changes, the one that it is changed
            by among them.
        all: matrix products in a row in the whole step.
    """

    kept: int
    module_weights: int
    boxes: int | None
    first: int
    all: int


def size(tensor: tf.Tensor) -> int:
    """Of a tensor whose shape the graph knows."""
    return int(np.prod(tensor.shape.as_list()))


@functools.cache
def count(time_boxes: int, window: int, *, synthetic: bool) -> Counts:
    """Counts for T and K; without synthetic gradients, only the last window learns."""
    pixels, hidden = PIXELS // time_boxes, HIDDEN_UNITS

    def variable(name: str, rows: int, columns: int) -> tf.Variable:
        return tf.Variable(tf.zeros([rows, columns]), name=name, use_resource=True)

    with tf.Graph().as_default() as graph:
        h_0, y = tf.placeholder(tf.float32, [1, hidden]), tf.placeholder(tf.float32, [1, 1])
        inputs = [tf.placeholder(tf.float32, [1, pixels]) for _ in range(time_boxes)]
        shapes = {"w_x": (pixels, hidden), "w_rec": (hidden, hidden), "w_fc": (hidden, 1)}
        weights = Recurrent(h_0, **{name: variable(name, *shape) for name, shape in shapes.items()})
        modules = [
            Module(variable(f"w_sg_{n}", hidden + 2, hidden), label=1.0)
            for n in range(1, -(-time_boxes // window) if synthetic else 1)
        ]
        readout, train = windows_manual(inputs, y, weights, modules, Rates(1, 1, 1), window=window)
        built = graph.get_operations()
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            feed = {tensor: np.zeros(tensor.shape) for tensor in (h_0, y, *inputs)}
            operations = executed(session, [readout.a, train], feed)
    before, chain = predecessors(operations)
    changes = {op: changed for op in operations if (changed := changed_weight(op))}
    of_box_1 = [op for op in changes if op.name.startswith("update_window_1/")]
    # tanh of the same z, for aₖ and for its derivative, may be one operation or two.
    tanh = (
        {op.inputs[0].name for op in before[of_box_1[0]] if op.type == "Tanh"} if of_box_1 else ()
    )
    return Counts(
        kept=max(_kept(built, f"update_window_{n}/") for n in range(1, time_boxes + 1))
        + _kept(built, "update_module_1/"),
        module_weights=sum(size(module.w_sg) for module in modules),
        boxes=len(tanh) or None,
        first=min(chain[op] for op, changed in changes.items() if changed in ("w_x", "w_rec")),
        all=max(chain[op] for op in changes),
    )


def _kept(operations: Sequence[tf.Operation], scope: str) -> int:
    """Numbers in the left factors of the outer products of a scope; of a module's, in both."""
    outer = [
        op
        for op in operations
        if op.name.startswith(scope) and op.type == "MatMul" and op.get_attr("transpose_a")
    ]
    factors = 2 if "module" in scope else 1
    return sum(size(factor) for op in outer for factor in op.inputs[:factors])


def table() -> str:
    """The counts for every T and K of `COUNTED`, in Markdown."""
    rows = []
    for time_boxes, window in COUNTED:
        rules = {"back-propagation through time": False}
        if window < time_boxes:
            rules = {"truncated": False, "synthetic": True}
        for rule, synthetic in rules.items():
            counts = count(time_boxes, window, synthetic=synthetic)
            numbers = ("never" if each is None else f"{each:,}" for each in counts)
            rows.append((str(time_boxes), str(window), rule, *numbers))
    header = (
        "T",
        "K",
        "update rule",
        "numbers kept",
        "weights of modules",
        "boxes that run before box 1 learns",
        "products in a row before the first change",
        "in the whole step",
    )
    return markdown(header, rows)
