"""The files of a run."""

import contextlib
import csv
import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiment.comparison import changed
from experiment.folder import cannot_write
from experiment.log import log_text
from experiment.metrics import QUALITY
from experiment.mnist import SIDE, Split
from experiment.outcome import Outcome, predicted
from experiment.traces import Trace

# Okabe and Ito's palette, which colour-blind readers can tell apart.
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#BBBBBB"
DARK_GREY = "#595959"
STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    # Names of parts of a file would be drawn at random.
    "svg.hashsalt": "results",
}
PICTURED_IMAGES = 100
# What `write` writes.
FILES = frozenset(
    {"log.txt", "metrics.json", "timing.json", "diff.md"}
    | {
        f"{name}.{end}"
        for name in ("cost", "predictions", "gradients")
        for end in ("csv", "png", "svg")
    }
)


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
    try:
        (folder / "log.txt").write_text(log_text(outcome.costs, outcome.test, split.test.y))
        # Python's shortest decimals give back every float, and NumPy's every float32, bit for bit.
        _write_csv(folder / "cost.csv", ["epoch", "cost"], enumerate(outcome.costs, 1))
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
        (folder / "diff.md").write_text(diff)
        _draw_cost(folder / "cost", outcome.costs, trace, metrics)
        if outcome.quality:
            _write_csv(
                folder / "gradients.csv",
                ["epoch", *QUALITY],
                ([epoch, *quality] for epoch, quality in enumerate(outcome.quality, 1)),
            )
            _draw_gradients(folder / "gradients", outcome.quality, metrics)
        _draw_predictions(folder / "predictions", split, outcome, metrics)
    except OSError as error:
        raise cannot_write(folder, error) from None


def _write_csv(path: Path, header: Sequence[str], rows: Any) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


@contextlib.contextmanager
def drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure in the style of this project, to be drawn on; it is saved as .png and .svg.

    Args:
        path: of the two files, without the ending.
        width: inches.
        height: inches.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        # Without date and version, so that the files are the same from run to run.
        figure.savefig(path.with_suffix(".png"), dpi=120, metadata={"Software": None})
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})


def _entitle(figure: Figure, title: str, metrics: dict[str, Any]) -> None:
    """Says of a picture what it shows and of which run; below, the settings not the post's."""
    if metrics["mode"] == "numpy":
        figure.suptitle(f"{title}\nNumpy version, {metrics['recurrent_update']} product")
        return
    figure.suptitle(f"{title}\n{metrics['wiring']} wiring, {metrics['mode']} mode")
    if changes := changed(metrics):
        # So many characters of this size fit into an inch.
        lines = textwrap.wrap(" ".join(changes), int(15 * figure.get_figwidth()))
        figure.supxlabel("\n".join(lines), fontsize=8, color=DARK_GREY)


def _draw_cost(
    path: Path,
    costs: Sequence[float],
    trace: Trace | None,
    metrics: dict[str, Any],
) -> None:
    """The post's left picture: cost per training loop, over the recorded run's."""
    with drawing(path, 6, 4) as figure:
        _entitle(figure, "Cost per training loop", metrics)
        axes = figure.add_subplot()
        epochs = range(1, len(costs) + 1)
        if trace:
            label = f"recorded: {trace.program}"
            axes.plot(epochs, trace.costs, color=GREY, linewidth=6, label=label)
        marker = "." if len(costs) == 1 else ""
        axes.plot(epochs, costs, color=BLUE, marker=marker, label="this run")
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"cost: sum of ½(p − y)² over {metrics['train_images']} images")
        axes.set_ylim(0, 1.05 * max([*costs, *(trace.costs if trace else ())]) or None)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        if trace:
            axes.legend()


def _draw_gradients(
    path: Path, quality: Sequence[Sequence[float]], metrics: dict[str, Any]
) -> None:
    """How good the synthetic gradients are beside the true ones, per epoch."""
    cosines_1, cosines_2, errors_1, errors_2 = zip(*quality, strict=True)
    epochs = range(1, len(quality) + 1)
    marker = "." if len(quality) == 1 else ""
    with drawing(path, 9, 4.4) as figure:
        _entitle(figure, "Synthetic gradients beside the true ones", metrics)
        left, right = figure.subplots(1, 2)
        for axes, pair in ((left, (cosines_1, cosines_2)), (right, (errors_1, errors_2))):
            for box, values, color in zip((1, 2), pair, (BLUE, VERMILION), strict=True):
                axes.plot(epochs, values, color=color, marker=marker, label=f"time box {box}")
            axes.set_xlabel("epoch")
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        left.set_ylabel("cosine of ĝ and t (0: chance)")
        left.set_ylim(-1.05, 1.05)
        left.axhline(0, color=GREY, zorder=0)
        left.legend()
        right.set_ylabel("relative error |ĝ − t| / |t| (1: that of ĝ = 0)")
        right.set_yscale("log")
        right.yaxis.set_major_formatter("{x:g}")
        errors = (1, *errors_1, *errors_2)
        within_a_decade = max(errors) < 10 * min(errors)
        right.yaxis.set_minor_formatter("{x:g}" if within_a_decade else "")
        right.axhline(1, color=GREY, zorder=0)


def _draw_predictions(path: Path, split: Split, outcome: Outcome, metrics: dict[str, Any]) -> None:
    """The post's right picture: what was said of each test image; the wrong ones are framed."""
    shown = min(len(outcome.test), PICTURED_IMAGES)
    columns = min(shown, 10 if shown > 20 else 5)
    rows = -(-shown // columns)
    which = "" if shown == len(outcome.test) else f", the first {shown} shown"
    with drawing(path, max(1.5 * columns, 5), 1.65 * rows + 0.6) as figure:
        right = f"{metrics['test_correct']} of {metrics['test_total']} test images right"
        _entitle(figure, right + which, metrics)
        all_axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes in all_axes:
            axes.set_axis_off()
        predictions = predicted(outcome.test)
        for axes, x, y, p, prediction in zip(
            all_axes, split.test.x, split.test.y, outcome.test, predictions, strict=False
        ):
            axes.set_axis_on()
            axes.set(xticks=[], yticks=[])
            axes.imshow(x.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1)
            agrees = prediction == y
            says, is_ = metrics["digits"][prediction], metrics["digits"][y]
            axes.set_title(
                f"{'✓' if agrees else '✗'} says {says}, is {is_}\np = {p:.2f}",
                fontsize=9,
                color=BLUE if agrees else VERMILION,
            )
            axes.spines[:].set(
                visible=True,
                color=GREY if agrees else VERMILION,
                linewidth=1 if agrees else 3,
            )
