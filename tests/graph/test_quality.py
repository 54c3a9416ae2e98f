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
from graph.quality import cosine, quality, relative_error, synthetic_and_true, update_cosine
from graph.weights import declare_weights

TOTAL = 6
SYNTHETIC = {
    # Gentle enough that the true gradients do not vanish.
    name: dataclasses.replace(settings, train_images=TOTAL, lr_x=0.07, lr_rec=0.03, lr_sg=0.05)
    for name, settings in CASES.items()
    if settings.mode == "manual" and settings.decoupled != "none"
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
    expected = oracle.quality(settings, images, labels[:, 0], w)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


def test_the_true_gradients_are_those_of_automatic_differentiation():
    values, images, labels = small_network(2, build(POST, WIDTH))
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float64, [None, WIDTH])
        y = tf.placeholder(tf.float64, [None, 1])
        weights = declare_weights(WIDTH, tf.float64)
        compared = synthetic_and_true(x, y, weights, post_modules(weights))
        one = tf.placeholder(tf.float64, [1, WIDTH])
        forward = network.ordered(one, weights, connected=True)
        cost = network.cost_function(forward.readout.a, y)
        by_tensorflow = tf.gradients(cost, [forward.h_1, forward.h_2, weights.w_x, weights.w_rec])
        for name, variable in weights._asdict().items():
            session.run(variable.initializer, {variable.initial_value: values[name]})
        of_x, of_rec, _, actual = session.run(compared, {x: images, y: labels})
        updates = [0, 0]
        for i in range(TOTAL):
            feed = {one: images[i : i + 1], y: labels[i : i + 1]}
            t_1, t_2, *of_weights = session.run(by_tensorflow, feed)
            np.testing.assert_allclose(actual.g_1[i], t_1[0], rtol=1e-9)
            np.testing.assert_allclose(actual.g_2[i], t_2[0], rtol=1e-9)
            updates = [sum(pair) for pair in zip(updates, of_weights, strict=True)]
        np.testing.assert_allclose(of_x.T @ actual.w_x, updates[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(of_rec.T @ actual.w_rec, updates[1], rtol=1e-9, atol=1e-12)


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


@pytest.mark.parametrize("rows", [3, 20])
def test_an_update_s_cosine_is_the_same_with_and_without_its_matrix(rows):
    random = np.random.RandomState(4)
    a, g, t = random.standard_normal((3, rows, 5))
    with tf.Graph().as_default():
        assert evaluate(update_cosine(*map(tf.constant, (a, g, t)))) == pytest.approx(
            oracle.cosine(a.T @ g, a.T @ t), rel=1e-12
        )
        # Two images that cancel each other
        a, g, t = np.tile(a, (2, 1)), np.concatenate([g, -g]), np.tile(t, (2, 1))
        assert abs(evaluate(update_cosine(*map(tf.constant, (a, g, t))))) <= 1


def test_gradients_of_zero():
    with tf.Graph().as_default():
        g = tf.constant([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0], [3.0, 0.0]])
        t = tf.constant([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0], [3.0, 3.0]])
        assert evaluate(cosine(g, t)) == pytest.approx(9 / np.sqrt(14 * 43), rel=1e-6)
        assert evaluate(cosine(tf.zeros_like(t), t)) == 0
        assert evaluate(cosine(g, tf.zeros_like(t))) == 0
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
        assert session.run(figures.pooled_cosine_2) != 0
        assert session.run(figures.update_cosine_rec) != 0
