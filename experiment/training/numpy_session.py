"""Runs the Numpy version as `experiment.training.session` runs the graph."""

import time
from collections.abc import Callable

import numpy as np

from experiment.settings import Settings
from experiment.training.mnist import Images, Split
from experiment.training.outcome import History, Outcome, check_finite
from numpy_version import decoupled_rnn


# If a rate is so high that numbers overflow, `check_finite` raises an error.
@np.errstate(over="ignore", invalid="ignore")
def run(settings: Settings, split: Split, observe: Callable[[History, None], None]) -> Outcome:
    """Trains and predicts. Raises a UserError if the cost of an epoch is not finite."""
    images = sum(len(part.x) for part in (split.test, split.train, split.held_out))
    weights = decoupled_rnn.draw(settings.seed, images, split.train.x.shape[1])
    rates = decoupled_rnn.Rates(settings.lr_x, settings.lr_rec, settings.lr_sg)
    start = time.perf_counter()
    history = History()
    observe(history, None)
    for epoch in range(1, settings.epochs + 1):
        cost = decoupled_rnn.epoch(
            zip(*split.train, strict=True), weights, rates, settings.recurrent_update
        )
        check_finite(settings, epoch, cost)
        history = History([*history.costs, cost], seconds=time.perf_counter() - start)
        observe(history, None)

    def predict(images: Images) -> np.ndarray:
        return np.array([decoupled_rnn.predict(x, weights) for x in images.x])

    return Outcome(history, predict(split.test), predict(split.held_out))
