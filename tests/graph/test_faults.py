"""The eight faults of the post's program (docs/experiment.md §6), and their fixes.

The small networks are in float64, so that nothing here is a matter of rounding.
"""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from experiment.evaluation.statistics import wilson_interval
from experiment.settings import Settings
from experiment.training import session
from experiment.training.build import build
from graph.weights import shapes

WIDTH = 5


class Run:
    """A Session on a small network."""

    def __init__(self, seed=1, width=WIDTH, **settings):
        self.graph = build(Settings(engine="feed", **settings), width, tf.float64)
        self.session = tf.Session(graph=self.graph.graph)
        random = np.random.RandomState(seed)
        for variable, shape in zip(self.graph.weights, shapes(width), strict=True):
            self.set(variable, random.standard_normal(shape))

    def set(self, variable, value):
        with self.graph.graph.as_default():
            self.session.run(variable.initializer, {variable.initial_value: value})

    def predict(self, x):
        p, _ = self.session.run([self.graph.p, self.graph.forward], {self.graph.x: [x]})
        return p[0, 0]

    def train(self, x, y):
        feed = {self.graph.x: [x], self.graph.y: [[y]]}
        return self.session.run([self.graph.cost, self.graph.train], feed)[0]

    def weights(self):
        return self.session.run(self.graph.weights)


@pytest.fixture
def images():
    return np.random.RandomState(0).standard_normal((3, WIDTH))


def answers(images, wiring):
    """The prediction for the last of a row of images."""
    run = Run(wiring=wiring)
    return [run.predict(x) for x in images][-1]


@pytest.mark.parametrize("wiring", ["published", "ordered", "connected"])
def test_fault_1_the_readout_answers_for_the_image_before(wiring, images):
    before, now, other = images
    answer = answers([before, now], wiring)
    other_image_now = answers([before, other], wiring)
    other_image_before = answers([other, now], wiring)
    if wiring == "published":
        assert answer == other_image_now
        assert abs(answer - other_image_before) > 1e-3
    else:
        assert abs(answer - other_image_now) > 1e-3
        assert answer == other_image_before


@pytest.mark.parametrize(
    ("wiring", "reached"),
    [("published", []), ("ordered", []), ("connected", ["w_x", "w_rec"])],
)
def test_fault_2_auto_never_trains_the_rnn(wiring, reached, images):
    run = Run(mode="auto", wiring=wiring)
    names = ["w_x", "w_rec", "w_sg_1", "w_sg_2"]
    with run.graph.graph.as_default():
        gradients = tf.gradients(run.graph.cost, [getattr(run.graph.weights, n) for n in names])
    assert [n for n, gradient in zip(names, gradients, strict=True) if gradient is not None] == (
        reached
    )
    start = run.weights()
    for x in images:
        run.train(x, 1)
    end = run.weights()
    assert [n for n in names if np.any(getattr(start, n) != getattr(end, n))] == reached


@pytest.mark.parametrize("wiring", ["published", "ordered"])
@pytest.mark.parametrize("synthetic_step", ["ascend", "descend"])
def test_fault_3_manual_mode_climbs(wiring, synthetic_step, images):
    """With synthetic gradients that are exactly right, the post's step makes the cost rise."""
    x, y = images[0], 1
    run = Run(wiring=wiring, synthetic_step=synthetic_step, lr_x=0.0, lr_sg=0.0, lr_rec=1e-3)

    def cost():
        # Twice the same image: then even the readout of `published` sees the right one.
        run.predict(x)
        run.predict(x)
        return (run.predict(x) - y) ** 2 / 2

    before = cost()
    w = run.weights()
    _, a_1, a_2 = w.hidden_states.T
    p = run.predict(x)
    t_2 = (p - y) * p * (1 - p) * w.w_fc[:, 0]
    t_1 = w.w_rec @ (t_2 * (1 - a_2**2))
    run.set(run.graph.weights.w_sg_1, np.outer(a_1, t_1) / (a_1 @ a_1))
    run.set(run.graph.weights.w_sg_2, np.outer(a_2, t_2) / (a_2 @ a_2))
    run.train(x, y)
    if synthetic_step == "ascend":
        assert cost() > before
    else:
        assert cost() < before


def test_fault_4_the_rnn_is_frozen(split):
    """At the post's lr_rec the costs are those of time boxes that do not learn at all."""

    def costs(lr_rec):
        settings = Settings(wiring="ordered", lr_rec=lr_rec)
        graph = build(settings)
        with tf.Session(graph=graph.graph) as tf_session:
            session.initialize(tf_session, graph, settings, split.train)
            return [
                session.train_epoch(tf_session, graph, split.train, lr_rec).cost for _ in range(3)
            ]

    frozen = costs(0.0)
    assert costs(1e-6) == pytest.approx(frozen, rel=0.01)
    assert costs(1e-3)[0] != pytest.approx(frozen[0], rel=0.5)


def test_fault_5_a_seed_set_before_the_graph_is_made_seeds_nothing():
    def draws(seed_inside):
        with tf.Graph().as_default():
            tf.set_random_seed(678)
            with tf.Graph().as_default() as graph:
                if seed_inside:
                    tf.set_random_seed(678)
                normal = tf.random_normal([8])
            with tf.Session(graph=graph) as tf_session:
                return tf_session.run(normal)

    assert np.any(draws(seed_inside=False) != draws(seed_inside=False))
    assert np.all(draws(seed_inside=True) == draws(seed_inside=True))
    # Fixed: tests/graph/test_weights.py, test_tensorflow_s_draw_obeys_the_seed.


def test_fault_6_of_two_updates_one_may_be_lost(images):
    with tf.Graph().as_default(), tf.Session() as tf_session:
        w = tf.Variable(0.0, use_resource=True)
        old = w.read_value()
        # As in the post: both are computed from the old value.
        updates = [w.assign(old + change) for change in (1.0, 2.0)]
        tf_session.run(w.initializer)
        tf_session.run(updates)
        assert tf_session.run(w) in (1.0, 2.0)
    # Fixed: both updates count. With ĝ₁ = 0 only time box 2's is left, and the two add up.
    x = images[0]

    def change(*zeros):
        run = Run(lr_x=0.0, lr_sg=0.0, lr_rec=0.1)
        for name in zeros:
            run.set(getattr(run.graph.weights, name), np.zeros((WIDTH, WIDTH)))
        before = run.weights().w_rec
        run.train(x, 1)
        return run.weights().w_rec - before

    box_1, box_2 = change("w_sg_2"), change("w_sg_1")
    assert np.linalg.norm(box_1) > 1e-3
    assert np.linalg.norm(box_2) > 1e-3
    np.testing.assert_allclose(change(), box_1 + box_2, rtol=1e-9)


def test_fault_7_the_derivative_of_arctan():
    """The post's program has 1/(1 − x²), unused; this project has no arctan."""
    x, step = np.linspace(-0.9, 0.9, 7), 1e-6
    slope = (np.arctan(x + step) - np.arctan(x - step)) / (2 * step)
    np.testing.assert_allclose(1 / (1 + x**2), slope, rtol=1e-8)
    assert np.max(np.abs(1 / (1 - x**2) - slope)) > 1


def test_fault_8_twenty_images_cannot_tell_60_percent_from_80():
    low, high = wilson_interval(12, 20)
    assert low < 0.5 < 0.6 < high
    low_16, _ = wilson_interval(16, 20)
    assert low_16 < high
    # Fixed: the 1,995 images that the post never looks at can.
    low, high = wilson_interval(round(0.6 * 1995), 1995)
    assert high - low < 0.05
