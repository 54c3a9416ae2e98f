"""Runs the Numpy version as `experiment.session` runs the graph."""

import time
from collections.abc import Callable

import numpy as np

from experiment.mnist import Images, Split
from experiment.outcome import Outcome, check_finite
from flags import Settings
from numpy_version import decoupled_rnn


# A rate that is too high overflows: `check_finite` says so, and better.
@np.errstate(over="ignore", invalid="ignore")
def run(settings: Settings, split: Split, on_epoch: Callable[[int, float], None]) -> Outcome:
    """Trains and predicts.

    Args:
        settings: of the run.
        split: the images.
        on_epoch: called after each epoch with its number, from 1, and its cost.

    Returns:
        The outcome.

    Raises:
        UserError: the cost of an epoch is not finite.
    """
    images = sum(len(part.x) for part in (split.test, split.train, split.held_out))
    weights = decoupled_rnn.draw(settings.seed, images, split.train.x.shape[1])
    rates = decoupled_rnn.Rates(settings.lr_x, settings.lr_rec, settings.lr_sg)
    start = time.perf_counter()
    costs = []
    for epoch in range(1, settings.epochs + 1):
        cost = decoupled_rnn.epoch(
            zip(*split.train, strict=True), weights, rates, settings.recurrent_update
        )
        check_finite(settings, epoch, cost)
        costs.append(cost)
        on_epoch(epoch, cost)
    seconds = time.perf_counter() - start

    def predict(images: Images) -> np.ndarray:
        return np.array([decoupled_rnn.predict(x, weights) for x in images.x])

    return Outcome(costs, predict(split.test), predict(split.held_out), seconds)
