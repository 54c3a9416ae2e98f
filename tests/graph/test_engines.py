"""An epoch in the graph: stepwise or delayed against NumPy, and stepwise against a step a run."""

import dataclasses

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from experiment.settings import Settings
from experiment.training import session
from experiment.training.build import build
from experiment.training.mnist import Images
from graph.delayed import BLOCK
from tests.reference import numpy_steps
from tests.reference.step_cases import (
    CASES,
    GENTLE_RATES,
    RATES,
    WIDTH,
    both_synthetic,
    initial_values,
    initialize,
    session_of,
)

DELAYED = [
    name
    for name, settings in CASES.items()
    if both_synthetic(settings) and settings.module_input != "label"
]
# Case, engine and number of images; the last block of `delayed` may be short, and the only one.
EPOCHS = [
    *((name, "stepwise", 3) for name in CASES),
    *((name, "delayed", BLOCK + 3) for name in DELAYED),
    *(("ordered-manual-state+label-descend-4.0", "delayed", total) for total in (BLOCK, 1)),
]
# One of each step, for XLA compiles each differently.
FAST = {
    ("published-manual", "stepwise", 3),
    ("published-auto", "stepwise", 3),
    ("ordered-manual", "stepwise", 3),
    ("connected-manual-true-synthetic-descend-state+label-4.0", "stepwise", 3),
    ("connected-manual-random-random", "stepwise", 3),
    ("connected-manual-true-true", "stepwise", 3),
    ("connected-auto", "stepwise", 3),
    ("published-manual-descend", "delayed", BLOCK + 3),
    ("connected-manual", "delayed", BLOCK + 3),
    ("ordered-manual-state+label-descend-4.0", "delayed", BLOCK + 3),
}
assert set(EPOCHS) > FAST


@pytest.mark.parametrize(
    ("name", "engine", "total"),
    [pytest.param(*each, marks=() if each in FAST else pytest.mark.slow) for each in EPOCHS],
)
def test_epochs_equal_numpy(name, engine, total):
    settings = dataclasses.replace(CASES[name], engine=engine, train_images=total, **GENTLE_RATES)
    random = np.random.RandomState(1)
    graph = build(settings, WIDTH, tf.float64)
    expected = initial_values(random, graph)
    images = random.standard_normal((total, WIDTH))
    labels = random.randint(0, 2, (total, 1))
    with session_of(graph, threads=8) as tf_session:
        initialize(tf_session, graph, expected, images, labels)
        for _ in range(2):
            costs = tf_session.run(graph.epoch)
            by_numpy = [
                numpy_steps.step(settings, x, y, expected)
                for x, (y,) in zip(images, labels, strict=True)
            ]
            np.testing.assert_allclose(costs, by_numpy, rtol=1e-8)
        for name, value in tf_session.run(graph.weights._asdict()).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-7, atol=1e-10, err_msg=name)


def two_epochs(settings, images, engine, threads=1):
    """The costs and the variables after two epochs, at 784 pixels and the post's rates."""
    rates = {name: getattr(Settings(), name) for name in RATES}
    settings = dataclasses.replace(settings, engine=engine, train_images=len(images.x), **rates)
    graph = build(settings)
    with session.open_session(graph, threads=threads) as tf_session:
        session.initialize(tf_session, graph, settings, images)
        costs = [
            session.train_epoch(tf_session, graph, images, settings.lr_rec).cost for _ in range(2)
        ]
        return costs, tf_session.run(graph.weights._asdict())


def assert_same_bits(outcome, expected):
    assert outcome[0] == expected[0]
    for name, value in outcome[1].items():
        np.testing.assert_array_equal(value, expected[1][name], err_msg=name)


# The post's own two and, among the slow ones, all others.
FEED = [
    pytest.param(s, id=name, marks=() if s.wiring == "published" else pytest.mark.slow)
    for name, s in CASES.items()
    if s.synthetic_step == "ascend"
]


@pytest.mark.parametrize("settings", FEED)
def test_stepwise_follows_feed_and_rounds_alike_with_one_thread_and_two(settings, split):
    images = Images(split.train.x[:8], split.train.y[:8])
    one, two = (two_epochs(settings, images, "stepwise", threads) for threads in (1, 2))
    assert_same_bits(one, two)
    costs, weights = two_epochs(settings, images, "feed")
    if settings.mode == "auto" and settings.wiring != "connected":  # It is not compiled.
        assert_same_bits(one, (costs, weights))
    np.testing.assert_allclose(one[0], costs, rtol=1e-6)
    for name, value in weights.items():
        np.testing.assert_allclose(one[1][name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(Settings(), id="published"),
        pytest.param(Settings(wiring="ordered"), id="ordered", marks=pytest.mark.slow),
        pytest.param(
            Settings(wiring="connected", module_input="state+label", synthetic_step="descend"),
            id="label",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_delayed_rounds_alike_with_one_thread_and_two(settings, split):
    count = BLOCK + 3
    images = Images(split.train.x[:count], split.train.y[:count])
    one, two = (two_epochs(settings, images, "delayed", threads) for threads in (1, 2))
    assert_same_bits(one, two)
