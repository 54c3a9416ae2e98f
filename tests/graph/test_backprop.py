"""One step against NumPy, and the order in which it touches the variables."""

import sys
from pathlib import Path

import numpy as np
import oracle
import pytest
import tensorflow.compat.v1 as tf
from cases import CASES, WIDTH, initial_values, initialize
from ordering import accesses, unordered

from experiment.evaluation.timeline import executed
from experiment.settings import Settings
from experiment.training.build import build

each_case = pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())


@each_case
@pytest.mark.parametrize("threads", [1, 8])
def test_steps_equal_numpy(settings, threads):
    random = np.random.RandomState(1)
    graph = build(settings, WIDTH, tf.float64)
    expected = initial_values(random, graph)
    config = tf.ConfigProto(inter_op_parallelism_threads=threads, use_per_session_threads=True)
    with tf.Session(graph=graph.graph, config=config) as tf_session:
        initialize(tf_session, graph, expected)
        for y in (1, 0, 0, 1):
            x = random.standard_normal(WIDTH)
            feed = {graph.x: [x], graph.y: [[y]]}
            cost, _ = tf_session.run([graph.cost, graph.train], feed)
            np.testing.assert_allclose(cost, oracle.step(settings, x, y, expected), rtol=1e-10)
            actual = tf_session.run(graph.weights._asdict())
            for name, value in expected.items():
                np.testing.assert_allclose(actual[name], value, rtol=1e-9, err_msg=name)


@each_case
def test_prediction_equals_numpy(settings):
    random = np.random.RandomState(2)
    graph = build(settings, WIDTH, tf.float64)
    expected = initial_values(random, graph)
    images = random.standard_normal((5, WIDTH))
    with tf.Session(graph=graph.graph) as tf_session:
        initialize(tf_session, graph, expected)
        actual = [
            tf_session.run([graph.p, graph.feed_forward], {graph.x: [x]})[0][0, 0] for x in images
        ]
        hidden_states = tf_session.run(graph.weights.hidden_states)
    np.testing.assert_allclose(actual, oracle.predict(settings, images, expected), rtol=1e-12)
    np.testing.assert_allclose(hidden_states, expected["hidden_states"], rtol=1e-12)


def time_boxes_behind(operation):
    """How many time boxes compute what goes into an operation, from tensor to tensor."""
    found, left = set(), [operation]
    while left:
        if (op := left.pop()) not in found:
            found.add(op)
            left += [tensor.op for tensor in op.inputs]
    return sum(op.type == "Tanh" for op in found)


@each_case
def test_in_connected_alone_a_box_takes_what_the_one_before_computes(settings):
    graph = build(settings, WIDTH)
    connected = settings.wiring == "connected"
    for op in (graph.p.op, graph.cost.op):
        assert time_boxes_behind(op) == (2 if connected else 0)
    operations = graph.graph.get_operations()
    writes = [op for op in operations if op.type == "ResourceStridedSliceAssign"]
    # Of h₁ and h₂, in turn; back-propagation through time writes h₀, too, in the end.
    pairs = len(writes) // 2
    found = [time_boxes_behind(op) for op in writes[: 2 * pairs]]
    assert found == [1, 2 if connected else 1] * pairs


def fetches(settings):
    graph = build(settings, WIDTH)
    return [graph.cost.op, graph.train], [graph.p.op, graph.feed_forward]


def touched(operations):
    found, _ = accesses(operations)
    return {name: len(ops) for name, ops in found.items()}


@each_case
def test_every_read_and_write_is_ordered(settings):
    training, prediction = fetches(settings)
    assert unordered(training) == []
    assert unordered(prediction) == []
    modules = {"both": 2, "1": 1, "2": 1, "none": 0}[settings.decoupled]
    assert len(touched(training)) == 4 + (modules if settings.mode == "manual" else 0)
    assert len(touched(prediction)) == 4


@each_case
def test_every_read_and_write_is_still_ordered_when_tensorflow_has_rewritten_the_graph(settings):
    graph = build(settings, WIDTH)
    with tf.Session(graph=graph.graph) as tf_session:
        initialize(tf_session, graph, initial_values(np.random.RandomState(1), graph))
        feed = {graph.x: np.ones((1, WIDTH)), graph.y: [[1]]}
        for fetches in ([graph.cost, graph.train], [graph.p, graph.feed_forward]):
            operations = executed(tf_session, fetches, feed)
            assert unordered(operations) == []
            assert len(touched(operations)) >= 4


def test_each_control_dependency_is_needed(monkeypatch):
    """Without it, in some wiring and mode, something is unordered or something is never run."""
    control_dependencies = tf.control_dependencies
    dropped = None
    seen = set()

    def without_the_dropped(operations):
        caller = sys._getframe(1)
        place = (Path(caller.f_code.co_filename).name, caller.f_lineno, len(operations))
        if place[0] in ("backprop.py", "network.py"):
            seen.update((*place, i) for i in range(len(operations)))
        return control_dependencies(
            [op for i, op in enumerate(operations) if (*place, i) != dropped]
        )

    def state(settings):
        training, prediction = fetches(settings)
        return [
            ({frozenset(pair) for pair in unordered(operations)}, touched(operations))
            for operations in (training, prediction)
        ]

    monkeypatch.setattr(tf, "control_dependencies", without_the_dropped)
    whole = {name: state(settings) for name, settings in CASES.items()}
    places = sorted(seen)
    assert len(places) == 18
    for dropped in places:
        assert any(state(settings) != whole[name] for name, settings in CASES.items()), dropped


@pytest.mark.parametrize("wiring", ["published", "ordered", "connected"])
def test_what_auto_trains(wiring):
    graph = build(Settings(mode="auto", wiring=wiring), WIDTH)
    names = {
        op.inputs[0].op.name.removeprefix("weights/")
        for op in graph.graph.get_operations()
        if op.type == "ResourceApplyGradientDescent"
    }
    also = {"w_x", "w_rec"} if wiring == "connected" else set()
    assert names == {"w_fc", "hidden_states"} | also
