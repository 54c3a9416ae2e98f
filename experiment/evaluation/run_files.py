"""The files of a run: one writer, one reader."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiment.evaluation import pictures
from experiment.evaluation.captions import PICTURED_IMAGES
from experiment.evaluation.log import log_text
from experiment.evaluation.recorded_runs import RecordedRun
from experiment.storage.folder import cannot_write
from experiment.storage.result_errors import reading
from experiment.style import drawing
from experiment.training.mnist import Split
from experiment.training.outcome import QUALITY, Outcome, predicted

FILES = frozenset(
    {"log.txt", "metrics.json", "timing.json", "diff.md"}
    | {
        f"{name}.{end}"
        for name in ("cost", "predictions", "quality")
        for end in ("csv", "png", "svg")
    }
)
WRITER = "make reproduce"


class Predictions(NamedTuple):
    """Predictions of the test images, or of the held-out ones.

    Attributes:
        labels: [n].
        p: the probability that the label is 1, [n].
        predicted: the predicted labels, [n].
    """

    labels: npt.NDArray[np.int64]
    p: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]


def write(
    folder: Path,
    split: Split,
    outcome: Outcome,
    metrics: dict[str, Any],
    timing: dict[str, Any],
    diff: str,
    recorded: RecordedRun | None,
) -> None:
    """Writes every file of a run.

    Args:
        folder: exists and is empty.
        split: the images.
        outcome: of the run.
        metrics: the content of metrics.json.
        timing: the content of timing.json.
        diff: the content of diff.md.
        recorded: the recorded run at these settings, drawn beside this one.

    Raises:
        UserError: a file cannot be written.
    """
    costs, quality, _, _ = outcome.history
    try:
        (folder / "log.txt").write_text(log_text(costs, outcome.test, split.test.y))
        # Python's shortest decimals restore every float, and NumPy's every float32, bit for bit.
        _write_csv(folder / "cost.csv", ("epoch", "cost"), enumerate(costs, 1))
        _write_csv(
            folder / "predictions.csv",
            ("split", "index", "label", "probability", "prediction"),
            (
                (name, index, label, str(p), prediction)
                for name, labels, ps in (
                    ("test", split.test.y, outcome.test),
                    ("held_out", split.held_out.y, outcome.held_out),
                )
                for index, (label, p, prediction) in enumerate(
                    zip(labels, ps, predicted(ps), strict=True)
                )
            ),
        )
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
        (folder / "timing.json").write_text(json.dumps(timing, indent=1) + "\n")
        (folder / "diff.md").write_text(diff, "utf-8")  # It has arrows.
        with drawing(folder / "cost", 6, 4) as figure:
            pictures.entitle(figure, "Cost per training loop", metrics)
            axes = figure.add_subplot()
            axes.set_ylabel(f"cost: sum of ½(p − y)² over {metrics['train_images']} images")
            if recorded:
                pictures.draw_cost(axes, costs, recorded.costs, f"recorded: {recorded.program}")
                axes.legend()
            else:
                pictures.draw_cost(axes, costs)
        if quality:
            _write_csv(
                folder / "quality.csv",
                ("epoch", *QUALITY),
                ((epoch, *figures) for epoch, figures in enumerate(quality, 1)),
            )
            with drawing(folder / "quality", 12, 4.2) as figure:
                pictures.entitle(figure, "The time boxes' gradients g beside the true t", metrics)
                pictures.draw_quality(figure, quality)
        _write_predictions(folder / "predictions", split, outcome, metrics)
    except OSError as error:
        raise cannot_write(folder, error) from None


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_predictions(path: Path, split: Split, outcome: Outcome, metrics: dict[str, Any]) -> None:
    total = len(outcome.test)
    shown = min(total, PICTURED_IMAGES)
    rows, columns = pictures.grid(shown)
    with drawing(path, max(1.5 * columns, 5), 1.65 * rows + 0.6) as figure:
        which = "" if shown == total else f", the first {shown} shown"
        title = f"{metrics['test_correct']} of {total} test images correct{which}"
        pictures.entitle(figure, title, metrics)
        pictures.draw_predictions(figure, split.test, outcome.test, metrics["digits"])


# Each reader raises a UserError if the file is missing or damaged.


def read_json(path: Path) -> dict[str, Any]:
    """The content of metrics.json or timing.json."""
    with reading(path, WRITER):
        content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def read_costs(folder: Path) -> list[float]:
    """The cost of each epoch of the run in `folder`."""
    path = folder / "cost.csv"
    with reading(path, WRITER), path.open(newline="") as file:
        return [float(row["cost"]) for row in csv.DictReader(file)]


def read_predictions(folder: Path, split: str) -> Predictions:
    """Predictions of `test` or `held_out` of the run in `folder`."""
    path = folder / "predictions.csv"
    with reading(path, WRITER), path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
        labels, predicted = (
            np.array([int(row[column]) for row in rows]) for column in ("label", "prediction")
        )
        return Predictions(labels, np.array([float(row["probability"]) for row in rows]), predicted)
