import dataclasses
from types import SimpleNamespace

import numpy as np
import oracle
import pytest

from experiment.evaluation.run import run
from experiment.settings import Settings
from experiment.training import mnist, session
from experiment.training.build import build

SETTINGS = Settings(
    wiring="connected",
    digits=("3", "8"),
    synthetic_step="descend",
    synthetic_init="zeros",
    lr_rec=1e-2,
    lr_sg=1e-3,
    epochs=2,
)


@pytest.fixture(scope="module")
def split():
    return mnist.split(mnist.load(SETTINGS.data_dir), SETTINGS)


def train(settings, split, *, measured):
    """The costs, the last quality and the weights of a run."""
    graph = build(settings)
    figures = []
    with session.open_session(graph) as tf_session:
        session.initialize(tf_session, graph, settings, split.train)
        costs = []
        for _ in range(settings.epochs):
            if measured:
                figures.append(session.quality(tf_session, graph))
            costs.append(session.train_epoch(tf_session, graph, split.train))
        if measured:
            figures.append(session.quality(tf_session, graph))
        return costs, figures, tf_session.run(graph.weights)


def test_the_costs_of_an_epoch_are_added_in_64_bits():
    graph = SimpleNamespace(epoch="epoch")
    costs = SimpleNamespace(run=lambda _: np.array([2.0**24, 1, 1], np.float32))
    assert session.train_epoch(costs, graph, None) == 2**24 + 2


@pytest.mark.parametrize(
    ("wiring", "engine"),
    [
        ("published", "feed"),
        ("published", "delayed"),
        ("ordered", "parallel"),
        ("connected", "stepwise"),
    ],
)
def test_to_measure_does_not_disturb(wiring, engine, split):
    settings = dataclasses.replace(SETTINGS, wiring=wiring, engine=engine)
    costs, _, weights = train(settings, split, measured=False)
    measured_costs, _, measured_weights = train(settings, split, measured=True)
    assert measured_costs == costs
    for one, other in zip(weights, measured_weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("changes", "threads"),
    [
        ({"engine": "delayed"}, 2),
        ({"engine": "stepwise", "decoupled": "none", "wiring": "ordered"}, 2),
        ({"engine": "stepwise", "mode": "auto", "wiring": "connected"}, 2),
        ({"engine": "stepwise", "mode": "auto"}, 1),
        ({"engine": "feed"}, 1),
        ({"engine": "parallel"}, 1),
    ],
)
def test_two_threads_share_what_xla_compiles(changes, threads):
    assert session.threads_for(dataclasses.replace(Settings(), **changes)) == threads


@pytest.mark.parametrize(("alone", "threads"), [(True, 2), (False, 1)])
def test_a_run_among_others_takes_one_thread(alone, threads, split, monkeypatch):
    taken = []

    def begin(settings, split, start, observe, threads):
        taken.append(threads)
        raise InterruptedError

    monkeypatch.setattr(session, "run", begin)
    with pytest.raises(InterruptedError):
        run(Settings(), split, alone=alone)
    assert taken == [threads]


def test_an_epoch_s_figures_are_those_of_numpy(split):
    _, figures, weights = train(SETTINGS, split, measured=True)
    # Synthetic gradients that begin at zero point nowhere, and are all wrong.
    assert figures[0] == (0, 0, 1, 1, 0, 0)
    w = {name: value.astype(np.float64) for name, value in weights._asdict().items()}
    expected = oracle.quality(SETTINGS, *split.train, w)
    np.testing.assert_allclose(figures[-1], expected, rtol=1e-3)
    assert figures[-1].pooled_cosine_1 > 0
    assert figures[-1].pooled_cosine_2 > 0.1
