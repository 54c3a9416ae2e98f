"""Predictions of many images at once against NumPy, which takes one after the other."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from experiment.settings import Settings
from experiment.training import session
from experiment.training.build import build
from experiment.training.mnist import Images
from tests.reference import numpy_steps
from tests.reference.access_order import unordered
from tests.reference.step_cases import WIDTH, initial_values, initialize


@pytest.mark.parametrize("wiring", ["published", "ordered", "connected"])
def test_predictions_equal_numpy(wiring, monkeypatch):
    settings = Settings(wiring=wiring)
    random = np.random.RandomState(2)
    graph = build(settings, WIDTH, tf.float64)
    assert unordered([graph.predictions.op]) == []
    w = initial_values(random, graph)
    images = random.standard_normal((12, WIDTH))
    with tf.Session(graph=graph.graph) as tf_session:
        initialize(tf_session, graph, w)
        # More than are predicted at a time, one, none, a few
        monkeypatch.setattr(session, "AT_A_TIME", 3)
        for x in (images[:7], images[7:8], images[:0], images[8:]):
            actual = session.predict(tf_session, graph, Images(x, None))
            assert actual.shape == (len(x),)
            np.testing.assert_allclose(actual, numpy_steps.predict(settings, x, w), rtol=1e-12)
            hidden_states = tf_session.run(graph.weights.hidden_states)
            np.testing.assert_allclose(hidden_states, w["hidden_states"], rtol=1e-12)
