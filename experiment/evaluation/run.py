"""A run, whole: trained, predicted with and measured."""

from collections.abc import Callable
from typing import Any

from experiment.evaluation import metrics, traces
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
) -> tuple[Outcome, dict[str, Any], traces.Trace | None]:
    """Trains, predicts and measures.

    Args:
        settings: of the run.
        split: the images.
        start: where it starts.
        observe: called before the first epoch and after each, with the history so far and what is
            `experiment.training.session.Running`; None in numpy mode, where nothing is.
        alone: whether it has the machine to itself.

    Returns:
        The outcome, the content of metrics.json, and the recorded run at these settings, if any.

    Raises:
        UserError: the cost of an epoch is not finite, or the run cannot start there.
    """
    if settings.mode == "numpy":
        from experiment.training import numpy_session

        outcome = numpy_session.run(settings, split, observe)
    else:
        from experiment.training import session  # which imports TensorFlow

        threads = session.threads_for(settings) if alone else 1
        outcome = session.run(settings, split, start, observe, threads)
    trace = traces.find(settings) if split.official else None
    return outcome, metrics.measure(settings, split, outcome, trace), trace
