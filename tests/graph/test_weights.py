import dataclasses

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from experiment.settings import Settings
from experiment.training import session
from experiment.training.build import build
from graph.weights import declare_weights, portable_draw, shapes


def test_portable_draw_is_the_specification_s():
    random = np.random.RandomState(678)
    expected = {
        "hidden_states": random.standard_normal((784, 3)) * 1,
        "w_x": random.standard_normal((784, 784)) * (0.45 * 0.2),
        "w_rec": random.standard_normal((784, 784)) * (0.035 * 0.2),
        "w_fc": random.standard_normal((784, 1)) * (0.95 * 0.2),
        "w_sg_1": random.standard_normal((784, 784)) * (0.35 * 0.2),
        "w_sg_2": random.standard_normal((784, 784)) * (0.35 * 0.2),
    }
    for name, value in portable_draw(678)._asdict().items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, expected[name].astype(np.float32), err_msg=name)


def initial_values(settings, split):
    graph = build(settings)
    with tf.Session(graph=graph.graph) as tf_session:
        session.initialize(tf_session, graph, settings, split.train)
        return tf_session.run(graph.weights)


def test_the_portable_draw_reaches_the_variables(split):
    settings = dataclasses.replace(Settings(), seed=5)
    for actual, expected in zip(initial_values(settings, split), portable_draw(5), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_tensorflow_s_draw_obeys_the_seed(split):
    one, same, other = (
        initial_values(dataclasses.replace(Settings(), init="tensorflow", seed=seed), split)
        for seed in (1, 1, 2)
    )
    for name, deviation in {
        "hidden_states": 1,
        "w_x": 0.09,
        "w_rec": 0.007,
        "w_fc": 0.19,
        "w_sg_1": 0.07,
        "w_sg_2": 0.07,
    }.items():
        value = getattr(one, name)
        np.testing.assert_array_equal(value, getattr(same, name))
        assert (
            np.all(value != getattr(other, name)) or np.mean(value != getattr(other, name)) > 0.99
        )
        # Five standard errors of a standard deviation.
        assert value.std() == pytest.approx(deviation, rel=5 / np.sqrt(2 * value.size))
        assert abs(value.mean()) < 5 * deviation / np.sqrt(value.size)


def test_variables_are_resource_variables_and_leave_no_constants_behind():
    with tf.Graph().as_default() as graph:
        weights = declare_weights()
    assert all(op.type != "VariableV2" for op in graph.get_operations())
    assert [tuple(variable.shape) for variable in weights] == list(shapes())
    assert graph.as_graph_def().ByteSize() < 100_000


def test_synthetic_gradients_may_begin_at_zero(split):
    settings = Settings(synthetic_init="zeros")
    values, draw = initial_values(settings, split), portable_draw(settings.seed)
    for name, value in values._asdict().items():
        expected = getattr(draw, name) * (0 if name.startswith("w_sg") else 1)
        np.testing.assert_array_equal(value, expected)


def test_the_training_images_are_not_in_the_graph_definition():
    assert build(Settings()).graph.as_graph_def().ByteSize() < 500_000
