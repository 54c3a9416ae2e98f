"""One step against NumPy, and the order in which it touches the variables."""

import contextlib
import dataclasses

import numpy as np
import oracle
import pytest
import tensorflow.compat.v1 as tf
from ordering import accesses, unordered

from experiment import session
from flags import Settings
from graph import weights

WIDTH = 7
# Rates so large that every term of every update shows in the numbers. The optimizer keeps its own
# in float32, so lr_auto is a number that float32 can hold.
SETTINGS = {
    mode: Settings(mode=mode, lr_x=0.7, lr_rec=0.3, lr_sg=0.5, lr_auto=0.875)
    for mode in ("manual", "auto")
}


def initial_values(random):
    return {
        name: random.standard_normal(shape)
        for name, shape in weights.shapes(WIDTH)._asdict().items()
    }


@pytest.mark.parametrize("mode", ["manual", "auto"])
@pytest.mark.parametrize("threads", [1, 8])
def test_steps_equal_numpy(mode, threads):
    settings = SETTINGS[mode]
    random = np.random.RandomState(1)
    expected = initial_values(random)
    graph = session.build(settings, WIDTH, tf.float64)
    config = tf.ConfigProto(inter_op_parallelism_threads=threads, use_per_session_threads=True)
    with tf.Session(graph=graph.graph, config=config) as tf_session:
        tf_session.run(
            [variable.initializer for variable in graph.weights],
            {v.initial_value: expected[v.op.name.split("/")[-1]] for v in graph.weights},
        )
        for y in (1, 0, 0, 1):
            x = random.standard_normal(WIDTH)
            feed = {graph.x: [x], graph.y: [[y]]}
            cost, _ = tf_session.run([graph.cost, graph.train], feed)
            np.testing.assert_allclose(cost, oracle.step(settings, x, y, expected), rtol=1e-12)
            actual = tf_session.run(graph.weights)._asdict()
            for name, value in expected.items():
                np.testing.assert_allclose(actual[name], value, rtol=1e-11, err_msg=name)


@pytest.mark.parametrize("mode", ["manual", "auto"])
def test_prediction_equals_numpy(mode):
    random = np.random.RandomState(2)
    expected = initial_values(random)
    images = random.standard_normal((5, WIDTH))
    graph = session.build(SETTINGS[mode], WIDTH, tf.float64)
    with tf.Session(graph=graph.graph) as tf_session:
        for variable in graph.weights:
            name = variable.op.name.split("/")[-1]
            tf_session.run(variable.initializer, {variable.initial_value: expected[name]})
        actual = [
            tf_session.run([graph.p, graph.feed_forward], {graph.x: [x]})[0][0, 0] for x in images
        ]
    np.testing.assert_allclose(actual, oracle.predict(images, expected), rtol=1e-12)


def touched(operations):
    found, _ = accesses(operations)
    return {name: len(ops) for name, ops in found.items()}


def fetches(settings):
    graph = session.build(settings, WIDTH)
    return [graph.cost.op, graph.train], [graph.p.op, graph.feed_forward]


@pytest.mark.parametrize("mode", ["manual", "auto"])
def test_every_read_and_write_is_ordered(mode):
    training, prediction = fetches(SETTINGS[mode])
    assert unordered(training) == []
    assert unordered(prediction) == []
    assert len(touched(training)) == (6 if mode == "manual" else 4)


@pytest.mark.parametrize("mode", ["manual", "auto"])
def test_each_control_dependency_is_needed(mode, monkeypatch):
    control_dependencies = tf.control_dependencies
    dropped = None
    seen = 0

    @contextlib.contextmanager
    def without_the_dropped(operations):
        nonlocal seen
        kept = []
        for operation in operations:
            if seen != dropped:
                kept.append(operation)
            seen += 1
        with control_dependencies(kept):
            yield

    monkeypatch.setattr(tf, "control_dependencies", without_the_dropped)
    whole = [touched(operations) for operations in fetches(SETTINGS[mode])]
    total = seen
    assert total == (7 if mode == "manual" else 4)
    for dropped in range(total):
        seen = 0
        training, prediction = fetches(SETTINGS[mode])
        # Without it, something is unordered, or something is never run.
        assert (
            unordered(training)
            or unordered(prediction)
            or [touched(training), touched(prediction)] != whole
        ), f"dependency {dropped} is not needed"


def test_auto_trains_nothing_but_the_readout_and_the_hidden_states():
    graph = session.build(dataclasses.replace(Settings(), mode="auto"), WIDTH)
    names = {
        op.inputs[0].op.name
        for op in graph.graph.get_operations()
        if op.type == "ResourceApplyGradientDescent"
    }
    assert names == {"weights/w_fc", "weights/hidden_states"}
