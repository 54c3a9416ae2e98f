"""The quality of the time boxes' gradients against NumPy and against `tf.gradients`."""

import dataclasses

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from experiment.settings import Settings
from experiment.training.build import build
from graph import network
from graph.backprop import TRUE, Source
from graph.modules import Module
from graph.quality import Rows, cosine, quality, relative_error, rows
from graph.weights import declare_weights, shapes
from tests.reference import numpy_steps
from tests.reference.access_order import READS, accesses
from tests.reference.step_cases import CASES, GENTLE_RATES, WIDTH, initial_values, initialize

TOTAL = 6
MANUAL = {name: settings for name, settings in CASES.items() if settings.mode == "manual"}
FAST = {
    "published-manual",
    "ordered-manual",
    "connected-manual-true-synthetic-descend-state+label-4.0",
    "connected-manual-random-random",
}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(settings, id=name, marks=() if name in FAST else pytest.mark.slow)
        for name, settings in MANUAL.items()
    ],
)
def test_the_quality_of_an_epoch_equals_numpy(settings):
    settings = dataclasses.replace(settings, diagnostics=True, train_images=TOTAL, **GENTLE_RATES)
    graph = build(settings, WIDTH, tf.float64)
    random = np.random.RandomState(1)
    w = initial_values(random, graph)
    images, labels = random.standard_normal((TOTAL, WIDTH)), random.randint(0, 2, (TOTAL, 1))
    with tf.Session(graph=graph.graph) as session:
        initialize(session, graph, w, images, labels)
        for _ in range(2):
            costs, figures = session.run([graph.epoch, graph.quality])
            by_numpy = numpy_steps.epoch_with_quality(settings, images, labels[:, 0], w)
            np.testing.assert_allclose(costs, by_numpy[0], rtol=1e-9)
            np.testing.assert_allclose(figures, by_numpy[1], rtol=1e-8, atol=1e-12)


def test_diagnostics_change_no_cost():
    for diagnostics in (False, True):
        settings = Settings(
            wiring="connected", engine="stepwise", train_images=TOTAL, diagnostics=diagnostics
        )
        graph = build(settings, WIDTH)
        random = np.random.RandomState(2)
        values = initial_values(random, graph)
        images, labels = random.standard_normal((TOTAL, WIDTH)), random.randint(0, 2, (TOTAL, 1))
        with tf.Session(graph=graph.graph) as session:
            initialize(session, graph, values, images, labels)
            costs = session.run(graph.epoch)
            weights = session.run(graph.weights)
        if not diagnostics:
            plain = costs, weights
    np.testing.assert_array_equal(costs, plain[0])
    for one, other in zip(weights, plain[1], strict=True):
        np.testing.assert_array_equal(one, other)


class OneImage:
    """The rows of one image, on a small network."""

    def __init__(self, sources=None, dtype=tf.float64):
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.x, self.y = tf.placeholder(dtype, [1, WIDTH]), tf.placeholder(dtype, [1, 1])
            self.weights = declare_weights(WIDTH, dtype)
            modules = (Module(self.weights.w_sg_1), Module(self.weights.w_sg_2))
            sources = sources or tuple(Source("synthetic", module) for module in modules)
            self.rows = rows(self.x, self.y, self.weights, sources)
        random = np.random.RandomState(3)
        self.values = [random.standard_normal(shape) for shape in shapes(WIDTH)]
        self.feed = {self.x: random.standard_normal((1, WIDTH)), self.y: [[1]]}

    def run(self, fetches):
        with tf.Session(graph=self.graph) as session:
            for variable, value in zip(self.weights, self.values, strict=True):
                session.run(variable.initializer, {variable.initial_value: value})
            return session.run(fetches, self.feed)


def test_the_true_gradients_are_those_of_automatic_differentiation():
    one = OneImage(TRUE)
    with one.graph.as_default():
        forward = network.ordered(one.x, one.weights, connected=True)
        cost = network.cost_function(forward.readout.a, one.y)
        boxes = forward.box_1, forward.box_2
        t_1, t_2 = tf.gradients(cost, [box.a for box in boxes])
        u, v = tf.gradients(cost, [box.z for box in boxes])
    computed, expected = one.run([one.rows, Rows(t_1, t_2, u, v, t_1, t_2, u, v)])
    for name, value, by_tensorflow in zip(Rows._fields, computed, expected, strict=True):
        np.testing.assert_allclose(value, by_tensorflow, rtol=1e-9, err_msg=name)


def test_nothing_is_written():
    by_variable, _ = accesses([tensor.op for tensor in OneImage().rows])
    assert {op.type for operations in by_variable.values() for op in operations} == READS
    assert len(by_variable) == 6


def test_without_diagnostics_there_is_no_quality():
    for settings in (Settings(), Settings(mode="auto")):
        assert build(settings, WIDTH).quality is None


def evaluate(tensor):
    with tf.Session(graph=tensor.graph) as session:
        return session.run(tensor)


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
    one = OneImage(dtype=tf.float32)
    one.values[list(one.weights._fields).index("w_fc")] *= 1e-25
    with one.graph.as_default():
        figures = quality(one.x, one.rows)
    computed = one.run(figures)
    assert computed.pooled_cosine_2 != 0
    assert computed.update_cosine_1 != 0
