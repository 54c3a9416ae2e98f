"""The hand-written gradients against `tf.gradients` and against central differences."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from graph import backprop, modules, network
from graph.derivatives import d_hidden_state, d_readout, d_time_box
from graph.weights import PIXELS, declare_weights, portable_draw, shapes

TRAINED = ("w_x", "w_rec", "w_fc")


class Network:
    """The `connected` network, its hand-written gradients and TensorFlow's, ready to evaluate."""

    def __init__(self, width, dtype):
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.x = tf.placeholder(dtype, [1, width])
            self.y = tf.placeholder(dtype, [1, 1])
            self.g = tf.placeholder(dtype, [1, width])
            self.weights = declare_weights(width, dtype)
            forward = network.ordered(self.x, self.weights, connected=True)
            self.cost = network.cost_function(forward.readout.a, self.y)
            w_fc, w_rec = self.weights.w_fc, self.weights.w_rec
            d = d_readout(forward.readout, self.y)
            of_boxes = backprop.box_gradients(self.y, forward, self.weights, backprop.TRUE)
            true = backprop.weight_gradients(self.x, forward, self.weights, of_boxes)
            self.by_hand = {
                "d": d,
                "t_2": d_hidden_state(d, w_fc),
                "time box 1": d_time_box(self.g, forward.box_1),
                "time box 2": d_time_box(self.g, forward.box_2),
                "t_1": d_hidden_state(d_time_box(self.g, forward.box_2), w_rec),
                **true._asdict(),
            }

            def gradient(of, by, given_gradient=None):
                return tf.gradients(of, by, grad_ys=given_gradient)[0]

            self.by_tensorflow = {
                "d": gradient(self.cost, forward.readout.z),
                "t_2": gradient(self.cost, forward.h_2),
                "time box 1": gradient(forward.box_1.a, forward.box_1.z, self.g),
                "time box 2": gradient(forward.box_2.a, forward.box_2.z, self.g),
                "t_1": gradient(forward.box_2.a, forward.h_1, self.g),
                "h_0": gradient(self.cost, forward.h_0),
                **{name: gradient(self.cost, getattr(self.weights, name)) for name in TRAINED},
            }

    def evaluate(self, fetches, values, x, y, g):
        with tf.Session(graph=self.graph) as session:
            feed = {self.x: [x], self.y: [[y]], self.g: [g]}
            self.load(session, values)
            return session.run(fetches, feed)

    def load(self, session, values):
        for variable, value in zip(self.weights, values, strict=True):
            session.run(variable.initializer, {variable.initial_value: value})


def relative(actual, expected):
    return np.linalg.norm(actual - expected) / max(np.linalg.norm(expected), 1e-30)


@hypothesis_settings(max_examples=15, deadline=None)
@given(
    width=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(0.01, 1.5),
    y=st.sampled_from([0, 1]),
)
def test_small_networks(width, seed, scale, y):
    random = np.random.RandomState(seed)
    values = [random.standard_normal(shape) * scale for shape in shapes(width)]
    x, g = random.standard_normal((2, width))
    small = Network(width, tf.float64)
    by_hand, by_tensorflow = small.evaluate([small.by_hand, small.by_tensorflow], values, x, y, g)
    assert by_hand.keys() == by_tensorflow.keys()
    for name, gradient in by_hand.items():
        assert gradient.shape == by_tensorflow[name].shape
        # Where 1 − a² all but vanishes, TensorFlow's own rounding shows.
        assert relative(gradient, by_tensorflow[name]) < 1e-9, name


@pytest.mark.parametrize("y", [0, 1])
def test_the_post_s_network_on_a_real_image(y, split):
    post = Network(PIXELS, tf.float32)
    g = np.random.RandomState(3).standard_normal(PIXELS)
    # h₀ is scaled so that the time boxes are not saturated.
    values = portable_draw(678)
    values = values._replace(hidden_states=values.hidden_states * np.float32(0.1))
    by_hand, by_tensorflow = post.evaluate(
        [post.by_hand, post.by_tensorflow], values, split.train.x[0], y, g
    )
    for name, gradient in by_hand.items():
        assert relative(gradient, by_tensorflow[name]) < 1e-5, name


@hypothesis_settings(max_examples=3, deadline=None)
@given(width=st.integers(2, 4), seed=st.integers(0, 2**32 - 1), y=st.sampled_from([0, 1]))
def test_central_differences(width, seed, y):
    random = np.random.RandomState(seed)
    values = [random.standard_normal(shape) * 0.5 for shape in shapes(width)]
    x, g = random.standard_normal((2, width))
    step = 1e-5
    small = Network(width, tf.float64)
    with tf.Session(graph=small.graph) as session:
        feed = {small.x: [x], small.y: [[y]], small.g: [g]}
        small.load(session, values)
        by_hand = session.run(small.by_hand, feed)

        def cost(index, place, change):
            changed = [value.copy() for value in values]
            changed[index][place] += change
            small.load(session, changed)
            return session.run(small.cost, feed)

        names = list(small.weights._fields)
        for name in TRAINED:
            index = names.index(name)
            for place in np.ndindex(values[index].shape):
                slope = (cost(index, place, step) - cost(index, place, -step)) / (2 * step)
                assert by_hand[name][place] == pytest.approx(slope, rel=1e-5, abs=1e-9), name
        for i in range(width):
            slope = (cost(0, (i, 0), step) - cost(0, (i, 0), -step)) / (2 * step)
            assert by_hand["h_0"][0, i] == pytest.approx(slope, rel=1e-5, abs=1e-9)


@hypothesis_settings(max_examples=8, deadline=None)
@given(
    width=st.integers(1, 4),
    label=st.sampled_from([0.0, 1.0, 4.0]),
    alone=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    y=st.sampled_from([0.0, 1.0]),
)
def test_what_a_module_learns(width, label, alone, seed, y):
    """The change of a module's weights at rate 1 is minus the gradient of ½|ĝ − t|²."""
    random = np.random.RandomState(seed)
    z, t = random.standard_normal((2, 1, width))
    alone = alone and label > 0
    value = random.standard_normal(((0 if alone else width) + (2 if label else 0), width))
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.Variable(value, use_resource=True)
        module = modules.Module(variable, label, alone)
        box = network.Layer(tf.constant(z), tf.tanh(z))
        synthetic = modules.synthetic_gradient(box, tf.constant([[y]], tf.float64), module)
        loss = tf.reduce_sum((synthetic.g - t) ** 2) / 2
        gradient = tf.gradients(loss, variable)[0]
        learn = modules.learn(synthetic, tf.constant(t), module, lr_sg=1.0)
        session.run(variable.initializer)
        by_tensorflow = session.run(gradient)
        session.run(learn)
        by_hand = value - session.run(variable)
        np.testing.assert_allclose(by_hand, by_tensorflow, rtol=1e-9, atol=1e-12)
        step = 1e-6

        def moved(place, change):
            changed = value.copy()
            changed[place] += change
            variable.load(changed, session)
            return session.run(loss)

        for place in np.ndindex(value.shape):
            slope = (moved(place, step) - moved(place, -step)) / (2 * step)
            assert by_hand[place] == pytest.approx(slope, rel=1e-5, abs=1e-7)
