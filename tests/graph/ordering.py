"""Finds accesses to variables that a graph leaves unordered.

If every two operations that touch one variable, at least one of them writing, are ordered by the
graph's edges, the executor has no choice that could change a number.
"""

import itertools
import re

import tensorflow.compat.v1 as tf

READS = {"ReadVariableOp"}
WRITES = {
    "AssignVariableOp",
    "AssignAddVariableOp",
    "AssignSubVariableOp",
    "ResourceApplyGradientDescent",
    "ResourceStridedSliceAssign",
}


def ancestors(operation, known):
    """The operations that run before this one, in any case."""
    if operation not in known:
        before = {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)
        known[operation] = before.union(*(ancestors(parent, known) for parent in before))
    return known[operation]


def accesses(fetches):
    """Each variable's handle → the operations that read or write it when these are fetched."""
    known = {}
    operations = set().union(*(ancestors(op, known) | {op} for op in fetches))
    found = {}
    for op in operations:
        for tensor in op.inputs:
            if tensor.op.type == "VarHandleOp":
                assert op.type in READS | WRITES, op.type
                found.setdefault(tensor.op.name, []).append(op)
    return found, known


def unordered(fetches):
    """Pairs of accesses, at least one a write, of which either may come first."""
    found, known = accesses(fetches)
    return [
        (one.name, other.name)
        for operations in found.values()
        for one, other in itertools.combinations(operations, 2)
        if {one.type, other.type} & WRITES and one not in known[other] and other not in known[one]
    ]


def executed(tf_session, fetches, feed):
    """The operations that the executor is given, in a graph of their own.

    They are not quite those that were built: TensorFlow rewrites a graph before it runs it, and an
    operation may then no longer be computed from all that its name stands for.
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
    return rewritten.get_operations()
