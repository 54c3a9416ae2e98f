"""An epoch in the graph: stepwise or delayed against NumPy, and stepwise against a step a run."""

import dataclasses

import numpy as np
import oracle
import pytest
import tensorflow.compat.v1 as tf
from cases import CASES, RATES, WIDTH, initial_values, initialize

from experiment.settings import Settings
from experiment.training import session
from experiment.training.build import build
from experiment.training.mnist import Images
from graph.delayed import BLOCK

PAIRS = [
    pytest.param(settings, engine, id=f"{engine}-{name}")
    for name, settings in CASES.items()
    for engine in ("stepwise", "delayed")
    if engine == "stepwise"
    or (settings.mode, settings.decoupled, settings.label_alone) == ("manual", "both", False)
]


@pytest.mark.parametrize(("settings", "engine"), PAIRS)
@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("total", [1, BLOCK, BLOCK + 3])
def test_epochs_equal_numpy(settings, engine, threads, total):
    # Gentle enough that rounding is not blown up over the epochs.
    settings = dataclasses.replace(
        settings, engine=engine, train_images=total,
        lr_x=0.07, lr_rec=0.03, lr_sg=0.05, lr_auto=0.0625,
    )  # fmt: skip
    random = np.random.RandomState(1)
    graph = build(settings, WIDTH, tf.float64)
    expected = initial_values(random, graph)
    images = random.standard_normal((total, WIDTH))
    labels = random.randint(0, 2, (total, 1))
    config = tf.ConfigProto(inter_op_parallelism_threads=threads, use_per_session_threads=True)
    with tf.Session(graph=graph.graph, config=config) as tf_session:
        initialize(tf_session, graph, expected, images, labels)
        for _ in range(2):
            costs = tf_session.run(graph.epoch)
            by_numpy = [
                oracle.step(settings, x, y, expected)
                for x, (y,) in zip(images, labels, strict=True)
            ]
            np.testing.assert_allclose(costs, by_numpy, rtol=1e-8)
        for name, value in tf_session.run(graph.weights._asdict()).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-7, atol=1e-10, err_msg=name)


def two_epochs(settings, images, engine, threads=1):
    """At 784 pixels, in float32, at the post's rates: the costs, and the variables afterwards."""
    rates = {name: getattr(Settings(), name) for name in RATES}
    settings = dataclasses.replace(settings, engine=engine, train_images=len(images.x), **rates)
    graph = build(settings)
    with session.open_session(graph, threads=threads) as tf_session:
        session.initialize(tf_session, graph, settings, images)
        costs = [session.train_epoch(tf_session, graph, images) for _ in range(2)]
        return costs, tf_session.run(graph.weights._asdict())


def assert_same_bits(outcome, expected):
    assert outcome[0] == expected[0]
    for name, value in outcome[1].items():
        np.testing.assert_array_equal(value, expected[1][name], err_msg=name)


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
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
        Settings(),
        Settings(wiring="ordered"),
        Settings(wiring="connected", condition_on_label=True, synthetic_step="descend"),
    ],
    ids=["published", "ordered", "label"],
)
def test_delayed_rounds_alike_with_one_thread_and_two(settings, split):
    count = BLOCK + 3
    images = Images(split.train.x[:count], split.train.y[:count])
    one, two = (two_epochs(settings, images, "delayed", threads) for threads in (1, 2))
    assert_same_bits(one, two)
