"""What each update of a training step waits for, and when each operation runs.

The first is read from the edges of the graph that the executor is given, and holds whatever it
does; the second is read from TensorFlow's own tracer.
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
# What computes nothing, as the tracer writes it: constants, and a variable's content handed on.
NOTHING = re.compile(r" = (Const|VarHandleOp|ReadVariableOp)\(")
FORWARD = {"time_box_1/": "time box 1", "time_box_2/": "time box 2", "readout/": "readout"}
BACK = {
    "readout/": "back through the readout",
    "time_box_2/": "back through time box 2",
    "time_box_1/": "back through time box 1",
}


def _below(scope: str, boxes: dict[str, str]) -> dict[str, str]:
    return {f"{scope}/{name}": box for name, box in boxes.items()}


# The same network, trained in three ways: the settings of each, and the boxes of its step in order,
# each by what the names of its operations begin with; the first that fits counts.
WAYS = {
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
        Settings(wiring="connected", decoupled="none", engine="feed"),
        FORWARD
        | _below("manual_back_propagation", BACK)
        | {
            "manual_back_propagation/update_readout/": "readout learns",
            "manual_back_propagation/": "time boxes learn",
        },
    ),
    "automatic differentiation": (
        Settings(wiring="connected", mode="auto", engine="feed"),
        FORWARD
        | {"automatic_differentiation/gradients/cost/": "back through the readout"}
        | _below("automatic_differentiation/gradients", BACK)
        | {
            "automatic_differentiation/GradientDescent/update_weights/w_fc/": "readout learns",
            "automatic_differentiation/": "time boxes learn",
        },
    ),
}


class Update(NamedTuple):
    """An operation that changes a weight, and what must come before it.

    Attributes:
        name: of the operation.
        box: that it belongs to.
        weight: that it changes.
        products: the matrix products that come before it; the outer product that it adds is one.
        total: all matrix products of the step.
        chain: the longest chain of them, each of which waits for the one before.
        after: the boxes, other than its own, that they belong to, in order.
    """

    name: str
    box: str
    weight: str
    products: int
    total: int
    chain: int
    after: tuple[str, ...]


def box_of(boxes: dict[str, str], operation: str) -> str | None:
    """The box that an operation belongs to by its name, if it is one of a step's."""
    return next((box for start, box in boxes.items() if operation.startswith(start)), None)


def updates(operations: Sequence[tf.Operation], boxes: dict[str, str]) -> list[Update]:
    """Each update of a weight among the operations of a step, in the order of the boxes."""
    before: dict[tf.Operation, set[tf.Operation]] = {}
    chain: dict[tf.Operation, int] = {}

    def visit(operation: tf.Operation) -> None:
        """Goes back along the edges, of data and of control."""
        parents = {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)
        for parent in parents:
            if parent not in before:
                visit(parent)
        before[operation] = parents.union(*(before[parent] for parent in parents))
        longest = max((chain[parent] for parent in parents), default=0)
        chain[operation] = longest + (operation.type == "MatMul")

    order = list(dict.fromkeys(boxes.values()))
    total = sum(operation.type == "MatMul" for operation in operations)
    found = []
    for operation in operations:
        # What writes a variable takes its handle and gives nothing on.
        handles = [tensor.op.name for tensor in operation.inputs if tensor.op.type == "VarHandleOp"]
        if operation.outputs or not handles or handles == ["weights/hidden_states"]:
            continue
        visit(operation)
        products = [other for other in before[operation] if other.type == "MatMul"]
        own = box_of(boxes, operation.name)
        assert own is not None, operation.name
        others = {box_of(boxes, product.name) for product in products} - {own}
        after = tuple(box for box in order if box in others)
        weight = handles[0].removeprefix("weights/")
        numbers = len(products), total, chain[operation]
        found.append(Update(operation.name, own, weight, *numbers, after))
    return sorted(found, key=lambda update: (order.index(update.box), update.weight))


def executed(
    tf_session: tf.Session, fetches: Sequence[Any], feed: dict[Any, Any]
) -> list[tf.Operation]:
    """The operations that the executor is given, in a graph of their own.

    They are not quite those that were built: TensorFlow rewrites a graph before it runs it, leaves
    out what nobody needs, and an operation may then no longer be computed from all that its name
    stands for.
    """
    metadata = tf.RunMetadata()
    options = tf.RunOptions(output_partition_graphs=True)
    tf_session.run(fetches, feed, options=options, run_metadata=metadata)
    (definition,) = metadata.partition_graphs
    for node in definition.node:
        # Names that begin with an underscore are TensorFlow's own, and it does not take them back.
        node.name = node.name.removeprefix("_")
        node.input[:] = [re.sub(r"^(\^?)_", r"\1", name) for name in node.input]
    with tf.Graph().as_default() as rewritten:
        tf.import_graph_def(definition, name="")
    operations: list[tf.Operation] = rewritten.get_operations()
    return operations


class Step(NamedTuple):
    """A training step as TensorFlow runs it.

    Attributes:
        operations: of it.
        times: by the name of an operation, its begin and end in ms from the begin of the step.
    """

    operations: list[tf.Operation]
    times: dict[str, tuple[float, float]]


def trace() -> dict[str, Step]:
    """A step of each of `WAYS`, an image a `Session.run`: medians of `STEPS`, the ways in turn."""
    images, labels = mnist.split(mnist.load(Settings.data_dir), Settings()).train
    traced = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    operations: dict[str, list[tf.Operation]] = {}
    spans: dict[str, dict[str, list[list[float]]]] = {way: defaultdict(list) for way in WAYS}
    with contextlib.ExitStack() as stack:
        running = {}
        for way, (settings, _) in WAYS.items():
            graph = build(settings)
            tf_session = session.open_session(graph)
            stack.callback(tf_session.close)
            with graph.graph.as_default():
                session.initialize(tf_session, graph, settings, mnist.Images(images, labels))
            running[way] = graph, tf_session
        for step in range(-WARM_UP, STEPS):
            i = step % len(labels)
            for way, (graph, tf_session) in running.items():
                fetches = [graph.cost, graph.train]
                feed = {graph.x: images[i : i + 1], graph.y: [[labels[i]]]}
                if step == -WARM_UP:
                    operations[way] = executed(tf_session, fetches, feed)
                metadata = tf.RunMetadata()
                tf_session.run(fetches, feed, traced, metadata)
                (device,) = metadata.step_stats.dev_stats
                begin = min(node.all_start_nanos for node in device.node_stats)
                for node in device.node_stats:
                    if step >= 0 and not NOTHING.search(node.timeline_label):
                        ends = node.op_start_rel_nanos, node.op_end_rel_nanos
                        since = node.all_start_nanos - begin
                        spans[way][node.node_name].append([(since + end) / 1e6 for end in ends])
    return {
        way: Step(
            operations[way],
            {
                name: (statistics.median(starts), statistics.median(ends))
                for name, (starts, ends) in (
                    (name, zip(*of_all, strict=True)) for name, of_all in spans[way].items()
                )
            },
        )
        for way in WAYS
    }
