"""The rate at which a module learns has a limit: docs/synthetic-gradients.md."""

import dataclasses

import numpy as np
import pytest

from experiment.settings import Settings
from experiment.training import session
from experiment.training.build import build
from experiment.training.mnist import Images
from experiment.training.outcome import QUALITY
from graph.weights import portable_draw

ALONE = Settings(
    wiring="connected", synthetic_step="descend", synthetic_init="zeros", lr_x=0.0, lr_rec=0.0,
    train_images=1,
    diagnostics=True,
)  # fmt: skip


@pytest.mark.parametrize(("share", "diverges"), [(0.6, False), (0.95, False), (1.05, True)])
def test_beyond_two_by_the_square_of_its_input_a_module_diverges(share, diverges, split):
    """With one image alone ĝ − t is multiplied by 1 − lr_sg |a|² in each step."""
    train = Images(split.train.x[:1], split.train.y[:1])
    w = portable_draw(ALONE.seed)
    a_1 = np.tanh(train.x @ w.w_x + w.hidden_states[:, 0] @ w.w_rec)
    a_2 = np.tanh(train.x @ w.w_x + a_1 @ w.w_rec)
    settings = dataclasses.replace(ALONE, lr_sg=share * 2 / float(np.sum(a_2**2)))
    graph = build(settings)
    with session.open_session(graph) as tf_session:
        session.initialize(tf_session, graph, settings, train)
        errors = []
        for _ in range(12):
            quality = session.train_epoch(tf_session, graph, train, 0.0).quality
            errors.append(quality[QUALITY.index("relative_error_2")])
    expected = [abs(1 - 2 * share) ** epoch for epoch in range(12)]
    assert errors == pytest.approx(expected, rel=1e-2, abs=1e-5)
    assert (errors[-1] > errors[0]) == diverges
