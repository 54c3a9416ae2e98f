"""Finds accesses to variables that a graph leaves unordered.

If every two operations that touch one variable, at least one of them writing, are ordered by the
graph's edges, the executor has no choice that could change a number.
"""

import itertools

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
