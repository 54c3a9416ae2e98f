"""The numbers a step in windows keeps and the products it waits for, counted in two ways."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from experiment.evaluation import windows
from experiment.settings import RESULTS
from graph.modules import Module
from graph.weights import Rates
from graph.windows import Recurrent, windows_manual
from tests.reference.access_order import WRITES, ancestors

HIDDEN = windows.HIDDEN_UNITS


@pytest.mark.parametrize(
    ("time_boxes", "window"),
    [
        (2, 1),
        (7, 1),
        (8, 4),
        *(pytest.param(28, k, marks=pytest.mark.slow) for k in (1, 4)),
    ],
)
def test_synthetic_gradients_by_the_equations(time_boxes, window):
    pixels, count = 784 // time_boxes, time_boxes // window
    assert windows.count(time_boxes, window, synthetic=True) == windows.Counts(
        # A window's xₖ and hₖ₋₁; s, with the label, and ĝ of its module.
        kept=window * (pixels + HIDDEN) + (HIDDEN + 2) + HIDDEN,
        module_weights=(count - 1) * (HIDDEN + 2) * HIDDEN,
        boxes=window,
        # K forward, s·Wsg, K − 1 back, and the outer product.
        first=2 * window + 1,
        # So in each window but the last. That has the readout and t_T for s·Wsg, and at its end the
        # module before learns: u·Wrecᵀ and the outer product.
        all=(count - 1) * (2 * window + 1) + 2 * window + 2 + 2,
    )


@pytest.mark.parametrize(
    ("time_boxes", "window"), [(7, 1), pytest.param(28, 4, marks=pytest.mark.slow)]
)
def test_truncation_by_the_equations(time_boxes, window):
    pixels, products = 784 // time_boxes, time_boxes + window + 2
    assert windows.count(time_boxes, window, synthetic=False) == windows.Counts(
        kept=window * (pixels + HIDDEN), module_weights=0, boxes=None, first=products, all=products
    )


@pytest.mark.parametrize("time_boxes", [2, 7])
def test_back_propagation_through_time_by_the_equations(time_boxes):
    pixels, products = 784 // time_boxes, 2 * time_boxes + 2
    assert windows.count(time_boxes, time_boxes, synthetic=False) == windows.Counts(
        kept=time_boxes * (pixels + HIDDEN),
        module_weights=0,
        boxes=time_boxes,
        first=products,
        all=products,
    )


@pytest.mark.parametrize("window", [2, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 3))])
def test_every_window_waits_for_2_k_plus_1_products_of_its_own(window):
    """In the graph as it is built, by another search."""
    time_boxes, width = 12, 2
    with tf.Graph().as_default() as graph:

        def variable(rows, columns):
            return tf.Variable(tf.zeros([rows, columns]), use_resource=True)

        weights = Recurrent(
            tf.ones([1, width]), *(variable(width, columns) for columns in (width, width, 1))
        )
        modules = [Module(variable(width, width)) for _ in range(time_boxes // window - 1)]
        inputs, y = [tf.ones([1, width])] * time_boxes, tf.ones([1, 1])
        windows_manual(inputs, y, weights, modules, Rates(1, 1, 1), window=window)
        operations = graph.get_operations()
    known, longest = {}, {}

    def chain(operation):
        if operation not in longest:
            parents = {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)
            before = max(map(chain, parents), default=0)
            longest[operation] = before + (operation.type == "MatMul")
        return longest[operation]

    chains = []
    for n in range(1, time_boxes // window):
        (rec, x) = (
            op
            for op in operations
            if op.type in WRITES and op.name.startswith(f"update_window_{n}/")
        )
        assert chain(rec) == chain(x)
        chains.append(chain(rec))
        # No product of a later window comes before, nor of the readout.
        before = {op.name.split("/")[0] for op in ancestors(rec, known) if op.type == "MatMul"}
        later = {f"{kind}_{m}" for kind in ("window", "update_window") for m in range(n + 1, 13)}
        assert not before & (later | {"readout"})
    np.testing.assert_array_equal(np.diff([0, *chains]), 2 * window + 1)


@pytest.mark.slow
def test_the_committed_table_is_of_this_graph():
    assert windows.table() == (RESULTS / "many-boxes" / "counting.md").read_text()
