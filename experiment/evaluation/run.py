"""A whole run: training, prediction, measurement."""

from collections.abc import Callable
from typing import Any

from experiment.evaluation import metrics, recorded_runs
from experiment.settings import Settings
from experiment.training.mnist import Split
from experiment.training.outcome import START, Outcome, State


def run(
    settings: Settings,
    split: Split,
    start: State = START,
    observe: Callable[..., None] = lambda history, running: None,
    *,
    alone: bool = True,
) -> tuple[Outcome, dict[str, Any], recorded_runs.RecordedRun | None]:
    """Trains, predicts and measures.

    Args:
        settings: of the run.
        split: the images.
        start: the first epoch, or a checkpoint.
        observe: called before the first epoch and after each, with the history so far and the
            `experiment.training.session.Running`, in numpy mode None.
        alone: whether the run has the machine to itself.

    Returns:
        The outcome, the content of metrics.json, and the recorded run at these settings or None.

    Raises:
        UserError: the cost of an epoch is not finite, or the checkpoint is damaged.
    """
    if settings.mode == "numpy":
        from experiment.training import numpy_session

        outcome = numpy_session.run(settings, split, observe)
    else:
        from experiment.training import session  # imports TensorFlow

        threads = session.threads_for(settings) if alone else 1
        outcome = session.run(settings, split, start, observe, threads)
    recorded = recorded_runs.find(settings) if split.official else None
    return outcome, metrics.measure(settings, split, outcome, recorded), recorded
