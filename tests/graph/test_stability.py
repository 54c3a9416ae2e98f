"""The rate at which a module learns has a limit: docs/synthetic-gradients.md."""

import dataclasses

import numpy as np
import pytest

from experiment.settings import Settings
from experiment.training import session
from experiment.training.build import build

ALONE = Settings(
    wiring="connected", synthetic_step="descend", synthetic_init="zeros", lr_x=0.0, lr_rec=0.0,
    train_images=20,
)  # fmt: skip


def size_of_a(split, settings):
    """|a₁|² and |a₂|² of each image, the largest: the time boxes do not learn."""
    graph = build(settings)
    with session.open_session(graph) as tf_session:
        session.initialize(tf_session, graph, settings, split.train)
        w = tf_session.run(graph.weights._asdict())
    x = split.train.x[: settings.train_images]
    a_1 = np.tanh(x @ w["w_x"] + w["hidden_states"][:, 0] @ w["w_rec"])
    a_2 = np.tanh(x @ w["w_x"] + a_1 @ w["w_rec"])
    return max(np.sum(a**2, axis=1).max() for a in (a_1, a_2))


@pytest.mark.parametrize(("share", "diverges"), [(0.5, False), (0.95, False), (1.3, True)])
def test_beyond_two_by_the_square_of_its_input_a_module_diverges(share, diverges, split):
    """With one image alone ĝ − t is multiplied by 1 − lr_sg |a|² in each step."""
    train = type(split.train)(split.train.x[:1], split.train.y[:1])
    settings = dataclasses.replace(ALONE, train_images=1)
    limit = 2 / size_of_a(split._replace(train=train), settings)
    settings = dataclasses.replace(settings, lr_sg=share * limit)
    graph = build(settings)
    with session.open_session(graph) as tf_session:
        session.initialize(tf_session, graph, settings, train)
        errors = []
        for _ in range(12):
            session.train_epoch(tf_session, graph, train)
            errors.append(session.quality(tf_session, graph).relative_error_2)
    assert (errors[-1] > 10 * errors[0]) == diverges
    assert (errors[-1] < errors[0]) != diverges
