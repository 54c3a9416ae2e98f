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
from experiment.settings import Settings
from experiment.storage.folder import cannot_write
from experiment.storage.reading import check, number, reading
from experiment.style import drawing
from experiment.training.answers import PICTURED_IMAGES
from experiment.training.mnist import COUNT_MAX, Split
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
COSTS = ("epoch", "cost")
PREDICTIONS = ("split", "index", "label", "probability", "prediction")
DEFAULTS = Settings().numeric()
WRITER = "make reproduce"
# Milliseconds that no step takes.
LONGEST = 1e9


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
        _write_csv(folder / "cost.csv", COSTS, enumerate(costs, 1))
        _write_csv(
            folder / "predictions.csv",
            PREDICTIONS,
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


# Each of these readers raises a UserError if the file is not there, or damaged.


def read_metrics(folder: Path) -> dict[str, Any]:
    """The content of metrics.json of the run in `folder`."""
    path = folder / "metrics.json"
    with reading(path, WRITER):
        content: dict[str, Any] = json.loads(path.read_bytes())
        for setting in DEFAULTS:
            check(setting in content, setting)
        check_metrics(content)
    return content


def check_settings(content: dict[str, Any]) -> None:
    """Raises one of `DAMAGED` unless the settings are of the types that they have.

    Args:
        content: of metrics.json; one whose flag is newer than the run may be missing.
    """
    for name, default in DEFAULTS.items():
        value = content.get(name, default)
        if name == "digits":
            check(isinstance(value, list | tuple) and len(value) == len(default), name)
            check(all(map(str.isdigit, value)), name)
        else:
            check(type(value) is type(default), name)


def check_metrics(content: dict[str, Any]) -> None:
    """Raises one of `DAMAGED` unless the content of metrics.json can be that of a run."""
    check_settings(content)
    for name in ("cost_first", "cost_last"):
        # ½(p − y)² of an image is at most ½.
        check(0 <= number(content[name]) <= COUNT_MAX / 2, name)
    for images in ("test", "held_out"):
        total, accuracy = content[f"{images}_total"], content[f"{images}_accuracy"]
        check(type(total) is int and 0 <= total <= COUNT_MAX, f"{images}_total")
        check(0 <= number(accuracy) <= 1 if total else accuracy is None, f"{images}_accuracy")
    right, interval = content["test_correct"], content["held_out_interval_95"]
    check(type(right) is int, "test_correct")
    check(right / content["test_total"] == content["test_accuracy"], "test_correct")
    if content["held_out_total"]:
        low, high = map(number, interval)
        check(-0.01 < low <= high < 1.01, "held_out_interval_95")
    else:
        check(interval is None, "held_out_interval_95")


def read_timing(folder: Path) -> dict[str, Any]:
    """The content of timing.json of the run in `folder`."""
    path = folder / "timing.json"
    with reading(path, WRITER):
        content: dict[str, Any] = json.loads(path.read_bytes())
        check(0 < number(content["ms_per_step"]) < LONGEST, "ms_per_step")
    return content


def _read_csv(path: Path, header: Sequence[str]) -> list[list[str]]:
    """The rows below the header."""
    with path.open(newline="") as file:
        found, *rows = csv.reader(file)
    check(found == list(header), "first line")
    return rows


def read_costs(folder: Path) -> list[float]:
    """The cost of each epoch of the run in `folder`."""
    metrics = read_metrics(folder)
    path = folder / "cost.csv"
    with reading(path, WRITER):
        rows = _read_csv(path, COSTS)
        costs = [number(float(cost)) for _, cost in rows]
        check([int(epoch) for epoch, _ in rows] == list(range(1, metrics["epochs"] + 1)), "epochs")
        ends = [metrics["cost_first"], metrics["cost_last"]]
        check([costs[0], costs[-1]] == ends, "costs")
    return costs


def read_predictions(folder: Path, split: str) -> Predictions:
    """What the run in `folder` said of `test` or `held_out`."""
    metrics = read_metrics(folder)
    path = folder / "predictions.csv"
    with reading(path, WRITER):
        all_rows = _read_csv(path, PREDICTIONS)
        check({row[0] for row in all_rows} <= {"test", "held_out"}, "splits")
        rows = [row[1:] for row in all_rows if row[0] == split]
        indices = [int(index) for index, _, _, _ in rows]
        check(indices == list(range(metrics[f"{split}_total"])), f"images of {split}")
        labels, says = ([int(row[column]) for row in rows] for column in (1, 3))
        p = [float(row[2]) for row in rows]
        check({*labels, *says} <= {0, 1} and all(0 <= each <= 1 for each in p), split)
        right = sum(map(int.__eq__, labels, says))
        check(not rows or right / len(rows) == metrics[f"{split}_accuracy"], split)
    return Predictions(np.array(labels), np.array(p), np.array(says))
