"""The figures of a run."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from experiment.evaluation.recorded_runs import RecordedRun, distance
from experiment.evaluation.statistics import wilson_interval
from experiment.settings import Settings
from experiment.training.mnist import Split
from experiment.training.outcome import QUALITY, Outcome, predicted

SCHEMA_VERSION = 3


def measure(
    settings: Settings, split: Split, outcome: Outcome, recorded: RecordedRun | None
) -> dict[str, Any]:
    """The content of metrics.json: the schema's version, the settings and the figures.

    Accuracies are shares from 0 to 1. A figure is None if nothing is held out, there are no
    synthetic gradients, no run is recorded at these settings, or the engine has no rounds.
    """
    test_correct = int(np.sum(predicted(outcome.test) == split.test.y))
    held_out = predicted(outcome.held_out)
    total = len(held_out)
    correct = int(np.sum(held_out == split.held_out.y))
    # The held-out images are visited after the test images: the first follows the last of those.
    previous = np.concatenate([split.test.y[-1:], split.held_out.y[:-1]])
    cost_difference, prediction_difference = (
        distance(recorded, outcome) if recorded else (None, None)
    )
    costs, qualities, rounds, _ = outcome.history
    quality = qualities[-1] if qualities else [None] * len(QUALITY)
    return {
        "schema_version": SCHEMA_VERSION,
        **settings.numeric(),
        "data_sha_256": split.sha_256,
        "rounds": rounds or None,
        "cost_first": costs[0],
        "cost_last": costs[-1],
        "test_correct": test_correct,
        "test_total": len(outcome.test),
        "test_accuracy": test_correct / len(outcome.test),
        "held_out_accuracy": correct / total if total else None,
        "held_out_total": total,
        "held_out_interval_95": wilson_interval(correct, total) if total else None,
        "held_out_matches_previous_label": float(np.mean(held_out == previous)) if total else None,
        **dict(zip((f"{name}_last" for name in QUALITY), quality, strict=True)),
        "trace_max_relative_cost_difference": cost_difference,
        "trace_max_prediction_difference": prediction_difference,
    }


def timing(settings: Settings, outcome: Outcome) -> dict[str, Any]:
    """The content of timing.json, the one file that differs between two runs of the same flags."""
    steps = settings.epochs * settings.train_images
    seconds = outcome.history.seconds
    return {
        "steps": steps,
        "seconds": seconds,
        "ms_per_step": 1e3 * seconds / steps,
        **environment(),
    }


def environment() -> dict[str, Any]:
    """The versions and the processor that a timing depends on."""
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("tensorflow", "numpy", "matplotlib")},
        },
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
