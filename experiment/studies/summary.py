"""Tables and pictures of all runs of a study."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from experiment.evaluation.pictures import epoch_axis
from experiment.evaluation.statistics import RESAMPLES, few, spread
from experiment.markdown import markdown
from experiment.storage.folder import write_whole
from experiment.studies.definition import ACCURACY, Study
from experiment.style import BLUE, GREY, VERMILION, drawing
from experiment.training.outcome import QUALITY

# A mean over fewer seeds has no interval.
INTERVAL_FROM = 5
# The figures of `QUALITY` that the table has.
TABLED = {
    "pooled_cosine_1": "cosine, box 1",
    "pooled_cosine_2": "box 2",
    "relative_error_1": "relative error, box 1",
    "relative_error_2": "box 2",
}


def figures(runs: Sequence[dict[str, Any]], name: str) -> dict[str, npt.NDArray[np.float64]]:
    """A figure of metrics.json, [seeds], by experiment; NaN if a run lacks it."""
    values: dict[str, list[float]] = {}
    for measured in runs:
        values.setdefault(measured["experiment"], []).append(measured.get(name, np.nan))
    return {experiment: np.array(each, float) for experiment, each in values.items()}


def qualities(runs: Sequence[dict[str, Any]]) -> dict[str, npt.NDArray[np.float64]]:
    """The quality of the gradients, [seeds, epochs, `QUALITY`], by experiment that has it."""
    values: dict[str, list[Any]] = {}
    for measured in runs:
        values.setdefault(measured["experiment"], []).append(measured.get("quality"))
    return {name: np.array(each) for name, each in values.items() if all(each)}


def compared(
    study: Study, accuracy: dict[str, npt.NDArray[np.float64]]
) -> dict[str, npt.NDArray[np.float64]]:
    """The study's differences, seed by seed, [seeds that both have], by name."""
    both = {
        f"{one} − {other}": zip(accuracy[one], accuracy[other], strict=False)
        for one, other in study.differences
    }
    return {name: np.array([a - b for a, b in pairs]) for name, pairs in both.items()}


def best(study: Study, runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The row of each grid with the best mean accuracy."""
    accuracy = figures(runs, ACCURACY[study.images][0])
    return {
        grid: max(rows, key=lambda name: np.nan_to_num(accuracy[name].mean(), nan=-1))
        for grid, rows in study.grids.items()
    }


def _mean(values: npt.NDArray[np.float64], form: str) -> str:
    """The mean of values [seeds] with its 95 % interval, or "diverged" if one is NaN."""
    if np.isnan(values).any():
        return "diverged"
    mean, _, low, high = spread(values)
    interval = f" ({low:{form}} to {high:{form}})" if len(values) >= INTERVAL_FROM else ""
    return f"{mean:{form}}{interval}"


def table(study: Study, runs: Sequence[dict[str, Any]]) -> str:
    """Two tables in Markdown: the experiments, and their differences.

    Args:
        study: of the runs.
        runs: from `store.read`, in the order of the study's jobs.
    """
    figure, images = ACCURACY[study.images]
    accuracy = {name: 100 * values for name, values in figures(runs, figure).items()}
    qualities_of = qualities(runs)
    interval = " (95 % CI)" if len(study.seeds) >= INTERVAL_FROM else ""

    def row(name: str) -> list[str]:
        values = accuracy[name]
        finite = not np.isnan(values).any()
        cells = [name, f"{len(values)}", _mean(values, ".1f")]
        deviation = spread(values).deviation
        cells.append(f"{deviation:.1f}" if finite and len(values) > 1 else "–")
        if study.failure_below is not None:
            failures = np.sum(~(values >= 100 * study.failure_below))
            cells += [f"{values.min():.1f}" if finite else "–", f"{failures}"]
        for of in TABLED if qualities_of else ():
            if name in qualities_of:
                means = qualities_of[name][:, :, QUALITY.index(of)].mean(axis=0)
                cells.append(f"{means[0]:.2f} → {means[-1]:.2f}")
            else:
                cells.append("–")
        return cells

    header = ["experiment", "seeds", f"accuracy, % {images}{interval}", "standard deviation"]
    if study.failure_below is not None:
        header += ["lowest", f"failures (below {study.failure_below:.0%})"]
    header += TABLED.values() if qualities_of else ()
    tables = [markdown(header, map(row, accuracy))]
    if study.differences:
        rows = []
        for name, points in compared(study, accuracy).items():
            better = "–" if np.isnan(points).any() else f"{np.sum(points > 0)} of {len(points)}"
            rows.append((name, _mean(points, "+.2f"), better))
        header = ["difference, seed by seed", f"points {images}{interval}", "the first better"]
        tables.append(markdown(header, rows))
    return "\n".join(tables)


def write(study: Study, runs: Sequence[dict[str, Any]], folder: Path) -> None:
    """Writes table.md, README.md, and the pictures points and quality to `folder`."""
    name, images = ACCURACY[study.images]
    accuracy = figures(runs, name)
    text = table(study, runs)
    write_whole(folder / "table.md", text)
    count = len(study.seeds)
    means = "Student's t" if few(count) else f"bootstrap ({RESAMPLES:,} resamples of the seeds)"
    seeds = ("up to " if study.fewer_seeds else "") + ("1 seed" if count == 1 else f"{count} seeds")
    minutes = sum(run["cpu_seconds"] for run in runs) / 60
    splits = "each has its own split" if study.splits else "the images are the same"
    intervals = f" Their 95 % intervals are by {means}." if count >= INTERVAL_FROM else ""
    rows = [
        (grid, row, f"`{' '.join(study.grids[grid][row])}`")
        for grid, row in best(study, runs).items()
    ]
    chosen = markdown(("grid", f"best mean, {images}", "flags"), rows) + "\n" if rows else ""
    qualities_of = qualities(runs)
    of_gradients = (
        " Cosines and relative errors compare [the gradient that a time box learns from with the "
        "true one](../../../docs/synthetic-gradients.md), over the steps of the first and of the "
        "last epoch."
        if qualities_of
        else ""
    )
    write_whole(
        folder / "README.md",
        f"# The study *{study.name}*: {seeds}\n\n"
        f"Written by `make studies`. Each seed draws other initial values; {splits}. Means are "
        f"over the seeds.{intervals}{of_gradients} The {len(runs)} runs took {minutes:.0f} minutes "
        "of one core.\n\n"
        f"{text}\n{chosen}"
        f"![{images}: accuracy of every run](points.png)\n",
    )
    if qualities_of and not study.grids:  # The rows of a grid are too many for one picture.
        with drawing(folder / "quality", 9, 6.5) as figure:
            figure.suptitle("The gradient that a time box learns from, beside the true one")
            draw_quality(figure, qualities_of)
    with drawing(folder / "points", 8, 0.45 * len(accuracy) + 1.9) as figure:
        figure.suptitle(f"Accuracy ({images}), {seeds}")
        draw_points(figure, accuracy)


def draw_quality(figure: Figure, quality: dict[str, npt.NDArray[np.float64]]) -> None:
    """Draws mean cosine and relative error of both boxes, [seeds, epochs, `QUALITY`] each."""
    for axes, of in zip(figure.subplots(2, 2, sharex=True).flat, TABLED, strict=True):
        for name, values in quality.items():
            epochs = range(1, values.shape[1] + 1)
            marker = "." if len(epochs) == 1 else ""
            means = values[:, :, QUALITY.index(of)].mean(axis=0)
            axes.plot(epochs, means, marker=marker, label=name)
        cosine = of.startswith("pooled_cosine")
        axes.axhline(0 if cosine else 1, color=GREY, zorder=0)
        axes.set_title(f"{'cosine' if cosine else 'relative error'}, time box {of[-1]}")
        epoch_axis(axes)
    figure.legend(handles=axes.lines[:-1], loc="outside lower center", ncols=4)


def draw_points(figure: Figure, accuracy: dict[str, npt.NDArray[np.float64]]) -> None:
    """Draws the accuracy of every run, and each experiment's mean with its interval."""
    axes = figure.add_subplot()
    for row, values in enumerate(accuracy.values()):
        # One above the other, so that no point hides behind another.
        heights = row + np.linspace(-0.3, 0.3, len(values))
        of_row = spread(values)
        axes.plot(100 * values, heights, ".", color=BLUE, markersize=4, label="a run")
        axes.plot(100 * of_row.mean, row, "|", color=VERMILION, markersize=16, label="mean")
        if len(values) >= INTERVAL_FROM:
            ends = [100 * of_row.low, 100 * of_row.high]
            axes.plot(ends, [row, row], color=VERMILION, linewidth=3, label="95 % interval")
    axes.set_yticks(range(len(accuracy)), list(accuracy))
    axes.set_ylim(len(accuracy) - 0.4, -0.6)
    axes.set_xlabel("accuracy, %")
    labels = {line.get_label(): line for line in axes.lines}
    figure.legend(handles=labels.values(), loc="outside lower center", ncols=3)
