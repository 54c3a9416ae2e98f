"""The operations that an update of a training step waits for, and when each operation runs.

The dependencies are edges of the graph that the executor gets, so they hold in every run.
The times are from TensorFlow's tracer.
"""

import contextlib
import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from experiment.settings import Settings
from experiment.training import mnist, session
from experiment.training.build import build

WARM_UP, STEPS = 50, 300
# Types of operations that compute nothing.
NO_COMPUTATION = {"Const", "VarHandleOp", "ReadVariableOp", "NoOp"}
FORWARD = {"time_box_1/": "time box 1", "time_box_2/": "time box 2", "readout/": "readout"}
BACK = {
    "readout": "back through the readout",
    "time_box_2": "back through time box 2",
    "time_box_1": "back through time box 1",
}


def _below(scope: str, boxes: dict[str, str]) -> dict[str, str]:
    return {f"{scope}/{name}": box for name, box in boxes.items()}


Ways = dict[str, tuple[Settings, dict[str, str]]]
# Three ways to train one network: the settings, and the boxes of a step in order, by the beginning
# of their operations' names; the first that fits counts.
WAYS: Ways = {
    "synthetic gradients": (
        Settings(wiring="connected", engine="feed"),
        _below(
            "manual_back_propagation",
            {
                "time_box_1/": "time box 1",
                "update_1/": "time box 1 learns",
                "time_box_2/": "time box 2",
                "update_2/": "time box 2 learns",
                "update_synthetic_gradient_1/": "module 1 learns",
                "readout/": "readout",
                "update_readout/": "readout learns",
                "update_synthetic_gradient_2/": "module 2 learns",
            },
        ),
    ),
    "back-propagation through time": (
        Settings(wiring="connected", gradient_1="true", gradient_2="true", engine="feed"),
        FORWARD
        | _below("manual_back_propagation", BACK)
        | {
            "manual_back_propagation/update_readout": "readout learns",
            "manual_back_propagation/update_time_boxes": "time boxes learn",
        },
    ),
    "automatic differentiation": (
        Settings(wiring="connected", mode="auto", engine="feed"),
        FORWARD
        | {"automatic_differentiation/gradients/cost/": "back through the readout"}
        | _below("automatic_differentiation/gradients", BACK)
        | {
            "automatic_differentiation/GradientDescent/update_weights/w_fc/": "readout learns",
            "automatic_differentiation/gradients/AddN": "time boxes learn",
            "automatic_differentiation/GradientDescent/": "time boxes learn",
        },
    ),
}


class Update(NamedTuple):
    """An operation that changes a weight, and its dependencies.

    Attributes:
        name: of the operation.
        box: its box.
        weight: that it changes.
        products: the number of matrix products before it, the outer product that it adds included.
        total: the number of matrix products of the step.
        chain: the length of the longest chain among `products`.
        after: the other boxes that it waits for: for a product in them or, if they learn, for their
            update.
    """

    name: str
    box: str
    weight: str
    products: int
    total: int
    chain: int
    after: tuple[str, ...]

    def summary(self) -> str:
        """`after` in a few words."""
        ahead = [box for box in FORWARD.values() if box in self.after]
        back = [box for box in BACK.values() if box in self.after]
        learned = [f"{box} learns" in self.after for box in ahead]
        boxes = [
            f"{box.removeprefix('time ')}{' + update' if updated else ''}"
            for box, updated in zip(ahead, learned, strict=True)
        ]
        return ", ".join(
            [
                *(["all boxes"] if len(ahead) == len(FORWARD) and not any(learned) else boxes),
                *(["there and back"] if len(back) == len(BACK) else back),
            ]
        )


def box_of(boxes: dict[str, str], operation: tf.Operation) -> str | None:
    """The box that an operation belongs to by its name, or None.

    TensorFlow merges a time box's tanh and that of its derivative, under either name: the merged
    operation belongs to the box of its input.
    """
    if operation.type in ("Tanh", "Sigmoid"):
        operation = operation.inputs[0].op
    return next((box for start, box in boxes.items() if operation.name.startswith(start)), None)


def kind_of(box: str) -> str:
    """The kind of a box: "forward", "back" or "learn"."""
    if box in FORWARD.values():
        return "forward"
    return "back" if box in BACK.values() else "learn"


def is_update(operation: tf.Operation) -> bool:
    """Whether an operation is an outer product aᵀb, or depends on one: a sum, an assignment."""
    outer = operation.type == "MatMul" and operation.get_attr("transpose_a")
    return outer or any(is_update(tensor.op) for tensor in operation.inputs)


def changed_weight(operation: tf.Operation) -> str | None:
    """The weight that an operation changes: it takes a handle, and has no output."""
    names = [each.op.name for each in operation.inputs if each.op.type == "VarHandleOp"]
    changes = names and not operation.outputs and names[0] != "weights/hidden_states"
    return names[0].removeprefix("weights/") if changes else None


def predecessors(
    operations: Sequence[tf.Operation],
) -> tuple[dict[tf.Operation, set[tf.Operation]], dict[tf.Operation, int]]:
    """The operations before each one, along the edges of data and of control.

    Returns:
        They, and the length of the longest chain of matrix products that ends with each one.
    """
    before: dict[tf.Operation, set[tf.Operation]] = {}
    chain: dict[tf.Operation, int] = {}

    def visit(operation: tf.Operation) -> None:
        parents = {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)
        for parent in parents:
            if parent not in before:
                visit(parent)
        before[operation] = parents.union(*(before[parent] for parent in parents))
        longest = max((chain[parent] for parent in parents), default=0)
        chain[operation] = longest + (operation.type == "MatMul")

    for operation in operations:
        if operation not in before:
            visit(operation)
    return before, chain


def updates(operations: Sequence[tf.Operation], boxes: dict[str, str]) -> list[Update]:
    """The updates of weights in a step, in the order of the boxes."""
    before, chain = predecessors(operations)
    order = list(dict.fromkeys(boxes.values()))
    total = sum(operation.type == "MatMul" for operation in operations)
    all_updates = []
    for operation in operations:
        changed = changed_weight(operation)
        if changed is None:
            continue
        own = box_of(boxes, operation)
        assert own is not None, operation.name
        products = [other for other in before[operation] if other.type == "MatMul"]
        waits = {box for other in products if kind_of(box := str(box_of(boxes, other))) != "learn"}
        waits |= {str(box_of(boxes, other)) for other in before[operation] if changed_weight(other)}
        after = tuple(box for box in order if box in waits - {own})
        numbers = len(products), total, chain[operation]
        all_updates.append(Update(operation.name, own, changed, *numbers, after))
    return sorted(all_updates, key=lambda update: (order.index(update.box), update.weight))


def executed(
    tf_session: tf.Session, fetches: Sequence[Any], feed: dict[Any, Any]
) -> list[tf.Operation]:
    """The operations that the executor gets, imported into a new graph.

    They differ from those that were built: TensorFlow's optimizer removes and rewrites operations.
    """
    metadata = tf.RunMetadata()
    options = tf.RunOptions(output_partition_graphs=True)
    tf_session.run(fetches, feed, options=options, run_metadata=metadata)
    (definition,) = metadata.partition_graphs
    for node in definition.node:
        # TensorFlow does not import its own names, which begin with an underscore.
        node.name = node.name.removeprefix("_")
        node.input[:] = [re.sub(r"^(\^?)_", r"\1", name) for name in node.input]
    with tf.Graph().as_default() as rewritten:
        tf.import_graph_def(definition, name="")
    operations: list[tf.Operation] = rewritten.get_operations()
    return operations


class Step(NamedTuple):
    """A training step as TensorFlow runs it.

    Attributes:
        operations: from `executed`.
        times: start and end of each operation in ms since the step began, by name.
    """

    operations: list[tf.Operation]
    times: dict[str, tuple[float, float]]


def trace(ways: Ways, steps: int) -> dict[str, Step]:
    """A step of each way, one image per `Session.run`; times are medians over `steps`."""
    split = mnist.split(mnist.load(Settings.data_dir), Settings())
    traced = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    operations: dict[str, list[tf.Operation]] = {}
    spans: dict[str, dict[str, list[list[float]]]] = {way: defaultdict(list) for way in ways}
    with contextlib.ExitStack() as stack:
        running = {}
        for way, (settings, _) in ways.items():
            graph = build(settings)
            tf_session = session.open_session(graph)
            stack.callback(tf_session.close)
            with graph.graph.as_default():
                session.initialize(tf_session, graph, settings, split.train)
            running[way] = graph, tf_session
        for step in range(-WARM_UP, steps):
            i = step % len(split.train.y)
            for way, (graph, tf_session) in running.items():
                fetches = [graph.cost, graph.train]
                feed = {graph.x: split.train.x[i : i + 1], graph.y: [[split.train.y[i]]]}
                if step == -WARM_UP:
                    operations[way] = executed(tf_session, fetches, feed)
                metadata = tf.RunMetadata()
                tf_session.run(fetches, feed, traced, metadata)
                (device,) = metadata.step_stats.dev_stats
                begin = min(node.all_start_nanos for node in device.node_stats)
                for node in device.node_stats if step >= 0 else ():
                    ends = node.op_start_rel_nanos, node.op_end_rel_nanos
                    since = node.all_start_nanos - begin
                    spans[way][node.node_name].append([(since + end) / 1e6 for end in ends])
    medians = {
        way: {
            name: (statistics.median(starts), statistics.median(ends))
            for name, (starts, ends) in (
                (name, zip(*of_all, strict=True)) for name, of_all in of_way.items()
            )
        }
        for way, of_way in spans.items()
    }
    return {way: Step(operations[way], medians[way]) for way in ways}
