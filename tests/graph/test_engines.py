"""An epoch in the graph, stepwise or delayed, against NumPy."""

import dataclasses

import numpy as np
import oracle
import pytest
import tensorflow.compat.v1 as tf
from cases import CASES, WIDTH, initial_values, initialize

from experiment.build import build
from graph.delayed import BLOCK

PAIRS = [
    pytest.param(settings, engine, id=f"{engine}-{name}")
    for name, settings in CASES.items()
    for engine in ("stepwise", "delayed")
    if engine == "stepwise"
    or (settings.mode, settings.gradient, settings.condition_on_label, settings.sg_hidden)
    == ("manual", "synthetic", False, 0)
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
        for name, value in tf_session.run(graph.variables).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-7, atol=1e-10, err_msg=name)
