import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from graph import activations


@pytest.mark.parametrize(
    ("function", "derivative", "value", "slope"),
    [
        ("tf_tanh", "d_tf_tanh", np.tanh, lambda x: 1 / np.cosh(x) ** 2),
        (
            "tf_logistic",
            "d_tf_logistic",
            lambda x: 1 / (1 + np.exp(-x)),
            lambda x: 1 / (2 + 2 * np.cosh(x)),
        ),
    ],
)
def test_values_and_derivatives(function, derivative, value, slope):
    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.floats(-20, 20), min_size=1, max_size=6))
    def check(xs):
        with tf.Graph().as_default(), tf.Session() as session:
            x = tf.constant(xs, tf.float64)
            y = getattr(activations, function)(x)
            actual = session.run([y, getattr(activations, derivative)(x), tf.gradients(y, x)[0]])
        np.testing.assert_allclose(actual[0], value(np.array(xs)), rtol=1e-12, atol=1e-15)
        # 1 − tanh² is rounded as 1 is, however small it gets; 1 / cosh² is not.
        np.testing.assert_allclose(actual[1], slope(np.array(xs)), rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(actual[1], actual[2], rtol=1e-9, atol=1e-15)

    check()
