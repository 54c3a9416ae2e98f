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


class Trace(NamedTuple):
    """One recorded run.

    Attributes:
        path: of its file.
        program: what was run.
        settings: those that it ran at.
        costs: per epoch, [epochs].
        test: p for each test image, [n].
        test_labels: [n].
        held_out: p for each held-out image, [n].
    """

    path: Path
    program: str
    settings: Settings
    costs: npt.NDArray[np.float64]
    test: npt.NDArray[np.float64]
    test_labels: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.float64]


def _load(path: Path, program: str, settings: Settings) -> Trace:
    content = json.loads(path.read_text())
    return Trace(
        path,
        program,
        settings,
        np.array(content["cost_per_epoch"]),
        np.array(content["test_predictions"]),
        np.array(content["test_labels"]),
        np.array(content["held_out_predictions"]),
    )


def load() -> list[Trace]:
    """Reads the recorded runs."""
    return [
        _load(FOLDER / "tf15-published-manual.json", TENSORFLOW, Settings(mode="manual")),
        _load(FOLDER / "tf15-published-auto.json", TENSORFLOW, Settings(mode="auto")),
        _load(
            FOLDER / "numpy-post.json",
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


def find(settings: Settings) -> Trace | None:
    """The recorded run at these settings, if there is one."""
    for trace in load():
        # The engine decides how numbers are rounded, and nothing else.
        if dataclasses.replace(settings, engine=trace.settings.engine).numeric() == (
            trace.settings.numeric()
        ):
            return trace
    return None


def distance(trace: Trace, outcome: Outcome) -> tuple[float, float]:
    """How far a run is from the recorded one.

    Returns:
        The largest relative difference of an epoch's cost, and the largest absolute difference of
        a p, test and held-out images together.
    """
    costs = np.abs(np.array(outcome.history.costs) / trace.costs - 1)
    p = np.abs(np.concatenate([outcome.test - trace.test, outcome.held_out - trace.held_out]))
    return float(np.max(costs)), float(np.max(p))
