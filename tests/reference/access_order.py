"""Pairs of accesses to a variable that a graph leaves unordered.

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
    """The operations that always run before this one; `known` caches them."""
    if operation not in known:
        before = {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)
        known[operation] = before.union(*(ancestors(parent, known) for parent in before))
    return known[operation]


def accesses(fetches):
    """The operations that read or write each variable when these are fetched, and all ancestors."""
    known = {}
    operations = set().union(*(ancestors(op, known) | {op} for op in fetches))
    by_variable = {}
    for op in operations:
        for tensor in op.inputs:
            if tensor.op.type == "VarHandleOp":
                assert op.type in READS | WRITES, op.type
                by_variable.setdefault(tensor.op.name, []).append(op)
    return by_variable, known


def unordered(fetches):
    """Pairs of accesses, at least one a write, of which either may come first."""
    by_variable, known = accesses(fetches)
    return [
        (one.name, other.name)
        for operations in by_variable.values()
        for one, other in itertools.combinations(operations, 2)
        if {one.type, other.type} & WRITES and one not in known[other] and other not in known[one]
    ]
