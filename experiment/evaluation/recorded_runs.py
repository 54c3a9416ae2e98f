"""The recorded runs of the published programs, in traces/."""

import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from experiment.settings import PROJECT, Settings
from experiment.training.outcome import Outcome

FOLDER = PROJECT / "traces"
TENSORFLOW = "the post's program, TensorFlow 1.5.0"
NUMPY = "the Numpy post's program"


class RecordedRun(NamedTuple):
    """One recorded run.

    Attributes:
        path: its file.
        program: that was run.
        settings: of the run.
        costs: per epoch, [epochs].
        test: p of each test image, [n].
        test_labels: [n].
        held_out: p of each held-out image, [n].
    """

    path: Path
    program: str
    settings: Settings
    costs: npt.NDArray[np.float64]
    test: npt.NDArray[np.float64]
    test_labels: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.float64]


def _load(name: str, program: str, settings: Settings) -> RecordedRun:
    path = FOLDER / f"{name}.json"
    content = json.loads(path.read_text())
    return RecordedRun(
        path,
        program,
        settings,
        np.array(content["cost_per_epoch"]),
        np.array(content["test_predictions"]),
        np.array(content["test_labels"]),
        np.array(content["held_out_predictions"]),
    )


def load() -> list[RecordedRun]:
    """Reads every recorded run."""
    return [
        _load("tf15-published-manual", TENSORFLOW, Settings(mode="manual")),
        _load("tf15-published-auto", TENSORFLOW, Settings(mode="auto")),
        _load(
            "numpy-post",
            NUMPY,
            Settings(
                mode="numpy",
                wiring="ordered",
                recurrent_update="inner",
                epochs=50,
                train_images=50,
                test_images=10,
                lr_rec=1e-5,
            ),
        ),
    ]


def find(settings: Settings) -> RecordedRun | None:
    """The recorded run at these settings, or None; the engine, which only rounds, may differ."""
    for recorded in load():
        same_engine = dataclasses.replace(settings, engine=recorded.settings.engine)
        if same_engine.numeric() == recorded.settings.numeric():
            return recorded
    return None


def distance(recorded: RecordedRun, outcome: Outcome) -> tuple[float, float]:
    """The distance between a run and the recorded one.

    Returns:
        The largest relative difference of an epoch's cost, and the largest absolute difference of
        a p over test and held-out images.
    """
    costs = np.abs(np.array(outcome.history.costs) / recorded.costs - 1)
    p = np.concatenate([outcome.test - recorded.test, outcome.held_out - recorded.held_out])
    return float(np.max(costs)), float(np.max(np.abs(p)))
