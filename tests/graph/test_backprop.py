"""One step against NumPy, and the order of its reads and writes."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from experiment.evaluation.dependencies import executed
from experiment.settings import Settings
from experiment.training.build import build, declare
from graph.step import forward_pass, training_step
from tests.reference import numpy_steps
from tests.reference.access_order import accesses, unordered
from tests.reference.step_cases import (
    CASES,
    WIDTH,
    initial_values,
    initialize,
    session_of,
    small_graph,
)

each_case = pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())


@each_case
@pytest.mark.parametrize("threads", [1, 8])
def test_steps_equal_numpy(settings, threads):
    random = np.random.RandomState(1)
    graph = small_graph(settings)
    expected = initial_values(random, graph)
    with session_of(graph, threads) as tf_session:
        initialize(tf_session, graph, expected)
        for y in (1, 0, 0, 1):
            x = random.standard_normal(WIDTH)
            feed = {graph.x: [x], graph.y: [[y]]}
            cost, _ = tf_session.run([graph.cost, graph.train], feed)
            np.testing.assert_allclose(cost, numpy_steps.step(settings, x, y, expected), rtol=1e-10)
            actual = tf_session.run(graph.weights._asdict())
            for name, value in expected.items():
                np.testing.assert_allclose(actual[name], value, rtol=1e-9, atol=1e-11, err_msg=name)


@each_case
def test_prediction_equals_numpy(settings):
    random = np.random.RandomState(2)
    graph = small_graph(settings)
    expected = initial_values(random, graph)
    images = random.standard_normal((5, WIDTH))
    with session_of(graph) as tf_session:
        initialize(tf_session, graph, expected)
        actual = [tf_session.run([graph.p, graph.forward], {graph.x: [x]})[0][0, 0] for x in images]
        hidden_states = tf_session.run(graph.weights.hidden_states)
    np.testing.assert_allclose(actual, numpy_steps.predict(settings, images, expected), rtol=1e-12)
    np.testing.assert_allclose(hidden_states, expected["hidden_states"], rtol=1e-12)


def time_boxes_behind(operation):
    """The number of time boxes that the operation is computed from, from tensor to tensor."""
    seen, left = set(), [operation]
    while left:
        if (op := left.pop()) not in seen:
            seen.add(op)
            left += [tensor.op for tensor in op.inputs]
    return sum(op.type == "Tanh" for op in seen)


@each_case
def test_only_in_connected_does_a_box_take_the_tensor_of_the_one_before(settings):
    graph = small_graph(settings)
    connected = settings.wiring == "connected"
    for op in (graph.p.op, graph.cost.op):
        assert time_boxes_behind(op) == (2 if connected else 0)
    operations = graph.graph.get_operations()
    writes = [op for op in operations if op.type == "ResourceStridedSliceAssign"]
    # h₁ and h₂ in turn; back-propagation through time writes h₀ at the end.
    pairs = len(writes) // 2
    boxes = [time_boxes_behind(op) for op in writes[: 2 * pairs]]
    assert boxes == [1, 2 if connected else 1] * pairs


def fetches(graph):
    return [graph.cost.op, graph.train], [graph.p.op, graph.forward]


def touched(operations):
    by_variable, _ = accesses(operations)
    return {name: len(ops) for name, ops in by_variable.items()}


@each_case
def test_every_read_and_write_is_ordered(settings):
    training, prediction = fetches(small_graph(settings))
    assert unordered(training) == []
    assert unordered(prediction) == []
    modules = [settings.gradient_1, settings.gradient_2].count("synthetic")
    assert len(touched(training)) == 4 + (modules if settings.mode == "manual" else 0)
    assert len(touched(prediction)) == 4


@each_case
def test_every_read_and_write_is_still_ordered_when_tensorflow_has_rewritten_the_graph(settings):
    graph = small_graph(settings)
    with session_of(graph) as tf_session:
        initialize(tf_session, graph, initial_values(np.random.RandomState(1), graph))
        feed = {graph.x: np.ones((1, WIDTH)), graph.y: [[1]]}
        for fetched in ([graph.cost, graph.train], [graph.p, graph.forward]):
            operations = executed(tf_session, fetched, feed)
            assert unordered(operations) == []
            assert len(touched(operations)) >= 4


def test_each_control_dependency_is_needed(monkeypatch):
    """Without it, in some case, two accesses are unordered or an operation never runs."""
    control_dependencies = tf.control_dependencies
    dropped = None
    places = {}

    def without_the_dropped(operations):
        caller = sys._getframe(1)
        line = (Path(caller.f_code.co_filename).name, caller.f_lineno, len(operations))
        if line[0] in ("backprop.py", "network.py"):
            for i in range(len(operations)):
                places.setdefault((*line, i), set()).add(case)
        return control_dependencies(
            [op for i, op in enumerate(operations) if (*line, i) != dropped]
        )

    def state(name):
        settings = CASES[name]
        with tf.Graph().as_default():
            weights, step = declare(settings, WIDTH, tf.float32)
            x, y = tf.placeholder(tf.float32, [1, WIDTH]), tf.placeholder(tf.float32, [1, 1])
            forward = forward_pass(step, x, weights)
            cost, train = training_step(step, x, y, weights, forward)
        return [
            ({frozenset(pair) for pair in unordered(operations)}, touched(operations))
            for operations in ([cost.op, train], [forward.readout.a.op, forward.write])
        ]

    monkeypatch.setattr(tf, "control_dependencies", without_the_dropped)
    whole = {}
    for case in CASES:
        whole[case] = state(case)
    assert len(places) == 17
    for dropped, names in list(places.items()):
        assert any(state(case) != whole[case] for case in sorted(names)), dropped


@pytest.mark.parametrize("wiring", ["published", "ordered", "connected"])
def test_the_variables_that_auto_trains(wiring):
    graph = build(Settings(mode="auto", wiring=wiring), WIDTH)
    names = {
        op.inputs[0].op.name.removeprefix("weights/")
        for op in graph.graph.get_operations()
        if op.type == "ResourceApplyGradientDescent"
    }
    also = {"w_x", "w_rec"} if wiring == "connected" else set()
    assert names == {"w_fc", "hidden_states"} | also
