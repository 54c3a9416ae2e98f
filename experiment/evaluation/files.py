"""The files of a run: their one writer, and their one reader."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiment.evaluation import pictures
from experiment.evaluation.log import log_text
from experiment.evaluation.traces import Trace
from experiment.settings import UserError
from experiment.storage.folder import cannot_write
from experiment.style import drawing
from experiment.training.answers import PICTURED_IMAGES
from experiment.training.mnist import Split
from experiment.training.outcome import QUALITY, Outcome, predicted

# What `write` writes.
FILES = frozenset(
    {"log.txt", "metrics.json", "timing.json", "diff.md"}
    | {
        f"{name}.{end}"
        for name in ("cost", "predictions", "quality")
        for end in ("csv", "png", "svg")
    }
)


class Predictions(NamedTuple):
    """What a run said of the test images, or of those held out.

    Attributes:
        labels: [n].
        p: [n], the probability that the label is 1.
        says: [n], the predicted labels.
    """

    labels: npt.NDArray[np.int64]
    p: npt.NDArray[np.float64]
    says: npt.NDArray[np.int64]


def write(
    folder: Path,
    split: Split,
    outcome: Outcome,
    metrics: dict[str, Any],
    timing: dict[str, Any],
    diff: str,
    trace: Trace | None,
) -> None:
    """Writes every file of a run.

    Args:
        folder: where to; it exists and is empty.
        split: the images.
        outcome: what the run found.
        metrics: the content of metrics.json.
        timing: the content of timing.json.
        diff: the content of diff.md.
        trace: the recorded run to draw beside this one, if there is one.

    Raises:
        UserError: something cannot be written.
    """
    costs, quality, _ = outcome.history
    try:
        (folder / "log.txt").write_text(log_text(costs, outcome.test, split.test.y))
        # Python's shortest decimals give back every float, and NumPy's every float32, bit for bit.
        _write_csv(folder / "cost.csv", ["epoch", "cost"], enumerate(costs, 1))
        _write_csv(
            folder / "predictions.csv",
            ["split", "index", "label", "probability", "prediction"],
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
            if trace:
                pictures.draw_cost(axes, costs, trace.costs, f"recorded: {trace.program}")
                axes.legend()
            else:
                pictures.draw_cost(axes, costs)
        if quality:
            _write_csv(
                folder / "quality.csv",
                ["epoch", *QUALITY],
                ([epoch, *figures] for epoch, figures in enumerate(quality, 1)),
            )
            with drawing(folder / "quality", 12, 4.2) as figure:
                pictures.entitle(figure, "Synthetic gradients beside the true ones", metrics)
                pictures.draw_quality(figure, quality)
        _write_predictions(folder / "predictions", split, outcome, metrics)
    except OSError as error:
        raise cannot_write(folder, error) from None


def _write_csv(path: Path, header: Sequence[str], rows: Any) -> None:
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
        right = f"{metrics['test_correct']} of {total} test images right{which}"
        pictures.entitle(figure, right, metrics)
        pictures.draw_predictions(figure, split.test, outcome.test, metrics["digits"])


def read_metrics(folder: Path) -> dict[str, Any]:
    """The content of metrics.json of the run in `folder`. Raises a UserError if there is none."""
    return _read_json(folder / "metrics.json")


def read_timing(folder: Path) -> dict[str, Any]:
    """The content of timing.json of the run in `folder`. Raises a UserError if there is none."""
    return _read_json(folder / "timing.json")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is not there: make reproduce writes it") from None
    return content


def read_costs(folder: Path) -> list[float]:
    """The cost of each epoch of the run in `folder`."""
    with (folder / "cost.csv").open() as file:
        return [float(row["cost"]) for row in csv.DictReader(file)]


def read_predictions(folder: Path, split: str) -> Predictions:
    """What the run in `folder` said of `test` or `held_out`."""
    with (folder / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return Predictions(
        np.array([int(row["label"]) for row in rows]),
        np.array([float(row["probability"]) for row in rows]),
        np.array([int(row["prediction"]) for row in rows]),
    )
