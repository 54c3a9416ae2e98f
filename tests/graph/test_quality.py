"""The quality of the synthetic gradients against NumPy and against `tf.gradients`."""

import dataclasses

import numpy as np
import oracle
import pytest
import tensorflow.compat.v1 as tf
from cases import CASES, WIDTH, initial_values, initialize
from ordering import READS, accesses

from experiment.training.build import build
from graph import network
from graph.modules import Module
from graph.quality import cosine, quality, relative_error, synthetic_and_true
from graph.weights import declare_weights

TOTAL = 6
SYNTHETIC = {
    name: dataclasses.replace(settings, train_images=TOTAL)
    for name, settings in CASES.items()
    if (settings.mode, settings.gradient) == ("manual", "synthetic")
}


POST = SYNTHETIC["published-manual"]


def small_network(seed, graph):
    random = np.random.RandomState(seed)
    values = initial_values(random, graph)
    return values, random.standard_normal((TOTAL, WIDTH)), random.randint(0, 2, (TOTAL, 1))


def post_modules(weights):
    return Module(weights.w_sg_1), Module(weights.w_sg_2)


@pytest.mark.parametrize("settings", SYNTHETIC.values(), ids=SYNTHETIC.keys())
def test_quality_equals_numpy_in_every_wiring(settings):
    graph = build(settings, WIDTH, tf.float64)
    values, images, labels = small_network(1, graph)
    with tf.Session(graph=graph.graph) as session:
        initialize(session, graph, values, images, labels)
        # Then the hidden states are not those of the start, and the weights have changed.
        session.run(graph.epoch)
        w = session.run(graph.weights._asdict())
        actual = session.run(graph.quality)
        for name, value in session.run(graph.weights._asdict()).items():
            np.testing.assert_array_equal(value, w[name], err_msg=name)
    pairs = [
        oracle.synthetic_and_true(settings, x, y, w) for x, (y,) in zip(images, labels, strict=True)
    ]
    g_1, t_1, g_2, t_2 = (np.array(rows) for rows in zip(*pairs, strict=True))
    np.testing.assert_allclose(actual.cosine_1, list(map(oracle.cosine, g_1, t_1)), rtol=1e-9)
    np.testing.assert_allclose(actual.cosine_2, list(map(oracle.cosine, g_2, t_2)), rtol=1e-9)
    errors = actual.relative_error_1, actual.relative_error_2
    for error, g, t in zip(errors, (g_1, g_2), (t_1, t_2), strict=True):
        assert error == pytest.approx(np.sqrt(np.sum((g - t) ** 2) / np.sum(t**2)), rel=1e-9)


def test_the_true_gradients_are_those_of_automatic_differentiation():
    values, images, labels = small_network(2, build(POST, WIDTH))
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float64, [None, WIDTH])
        y = tf.placeholder(tf.float64, [None, 1])
        weights = declare_weights(WIDTH, tf.float64)
        _, t_1, _, t_2 = synthetic_and_true(x, y, weights, post_modules(weights))
        one = tf.placeholder(tf.float64, [1, WIDTH])
        forward = network.ordered(one, weights, connected=True)
        cost = network.cost_function(forward.readout.a, y)
        by_tensorflow = tf.gradients(cost, [forward.h_1, forward.h_2])
        for name, variable in weights._asdict().items():
            session.run(variable.initializer, {variable.initial_value: values[name]})
        actual = session.run([t_1, t_2], {x: images, y: labels})
        for i in range(TOTAL):
            feed = {one: images[i : i + 1], y: labels[i : i + 1]}
            for by_hand, gradient in zip(actual, session.run(by_tensorflow, feed), strict=True):
                np.testing.assert_allclose(by_hand[i], gradient[0], rtol=1e-9)


def test_nothing_is_written():
    graph = build(POST, WIDTH)
    found, _ = accesses([tensor.op for tensor in graph.quality])
    operations = {op.type for of_one_variable in found.values() for op in of_one_variable}
    assert operations == READS
    assert len(found) == 8  # six weights, images and labels


def test_where_there_are_no_synthetic_gradients_there_is_no_quality():
    for name, settings in CASES.items():
        assert (build(settings, WIDTH).quality is None) == (name not in SYNTHETIC)


def evaluate(tensor):
    with tf.Session(graph=tensor.graph) as session:
        return session.run(tensor)


def test_gradients_of_zero():
    with tf.Graph().as_default():
        g = tf.constant([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0], [3.0, 0.0]])
        t = tf.constant([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0], [3.0, 3.0]])
        cosines = evaluate(cosine(g, t))
        np.testing.assert_allclose(cosines, [0, 0, 0, np.sqrt(0.5)], rtol=1e-6)
        assert evaluate(relative_error(tf.zeros_like(t), t)) == 1
        assert evaluate(relative_error(g, tf.zeros_like(t))) == 1


def test_gradients_that_all_but_vanish_have_a_direction():
    """In float32 the square of 1e-25 is zero."""
    values, images, labels = small_network(3, build(POST, WIDTH))
    with tf.Graph().as_default(), tf.Session() as session:
        weights = declare_weights(WIDTH)
        x, y = tf.constant(images, tf.float32), tf.constant(labels, tf.float32)
        figures = quality(x, y, weights, post_modules(weights))
        for name, variable in weights._asdict().items():
            value = values[name] * (1e-25 if name == "w_fc" else 1)
            session.run(variable.initializer, {variable.initial_value: value})
        assert np.all(session.run(figures.cosine_2) != 0)
