"""Tables and pictures of all runs of a study."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from experiment.evaluation.pictures import epoch_axis
from experiment.evaluation.statistics import RESAMPLES, Spread, few, spread
from experiment.markdown import markdown
from experiment.settings import Settings
from experiment.storage.folder import write_whole
from experiment.studies.definition import ACCURACY, Study
from experiment.style import BLUE, GREY, VERMILION, drawing


def figures(runs: Sequence[dict[str, Any]], name: str) -> dict[str, npt.NDArray[np.float64]]:
    """A figure of metrics.json, [seeds], by experiment; NaN if a run lacks it."""
    values: dict[str, list[float]] = {}
    for measured in runs:
        values.setdefault(measured["experiment"], []).append(measured.get(name, np.nan))
    return {experiment: np.array(each, float) for experiment, each in values.items()}


def pooled_cosines(runs: Sequence[dict[str, Any]]) -> dict[str, npt.NDArray[np.float64]]:
    """The pooled cosines of both time boxes, [seeds, epochs, 2], by experiment that has them."""
    cosines: dict[str, list[Any]] = {}
    for measured in runs:
        cosines.setdefault(measured["experiment"], []).append(measured.get("pooled_cosines"))
    return {name: np.array(values) for name, values in cosines.items() if all(values)}


def compared(
    study: Study, accuracy: dict[str, npt.NDArray[np.float64]]
) -> dict[str, npt.NDArray[np.float64]]:
    """The study's differences, seed by seed, [seeds], by name."""
    return {f"{one} − {other}": accuracy[one] - accuracy[other] for one, other in study.differences}


def best(study: Study, runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The row of each grid with the best mean accuracy."""
    accuracy = figures(runs, ACCURACY[study.images][0])
    return {
        grid: max(rows, key=lambda name: np.nan_to_num(accuracy[name].mean(), nan=-1))
        for grid, rows in study.grids.items()
    }


def _mean(values: npt.NDArray[np.float64], form: str) -> str:
    """The mean of values [seeds] with its interval, or a dash if one is NaN."""
    if np.isnan(values).any():
        return "–"
    spread_of_values = spread(values)
    return f"{spread_of_values.mean:{form}} ({_interval(spread_of_values, form)})"


def _interval(values: Spread, form: str) -> str:
    """The interval of a mean, or a dash for a single seed."""
    return "–" if np.isnan(values.low) else f"{values.low:{form}} to {values.high:{form}}"


def table(study: Study, runs: Sequence[dict[str, Any]]) -> str:
    """Two tables in Markdown: the experiments, and their differences.

    Args:
        study: of the runs.
        runs: from `store.read`, in the order of the study's jobs.
    """
    figure, images = ACCURACY[study.images]
    accuracy = figures(runs, figure)
    first, last = figures(runs, "cost_first"), figures(runs, "cost_last")
    level = "95 %, Student's t" if few(study.seeds) else "95 %"
    columns = {
        f"{images} correct, mean ({level})": {n: _mean(v, ".1%") for n, v in accuracy.items()}
    }
    deviations = {name: spread(values).deviation for name, values in accuracy.items()}
    columns["standard deviation, points"] = {
        name: "–" if np.isnan(value) else f"{100 * value:.1f}" for name, value in deviations.items()
    }
    columns["cost, first → last epoch"] = {
        name: "not finite"
        if np.isnan(last[name]).any()
        else f"{first[name].mean():.3f} → {last[name].mean():.3f}"
        for name in accuracy
    }
    if study.images == "held_out":
        correct = figures(runs, "test_correct")
        total = runs[0].get("test_images", Settings.test_images)
        columns[f"of {total} test images correct"] = {
            n: _mean(v, ".1f") for n, v in correct.items()
        }
    if cosines := pooled_cosines(runs):
        for box in (0, 1):
            shown = {}
            for name, values in cosines.items():
                means = values[:, :, box].mean(axis=0)
                shown[name] = (
                    f"{means[0]:.2f} → {means[-1]:.2f}, {means[4:].min():.2f}"
                    if len(means) > 4
                    else f"{means[0]:.2f} → {means[-1]:.2f}"
                )
            columns[f"pooled cosine, box {box + 1}: first → last, least from epoch 5 on"] = shown
    experiments = markdown(
        ("experiment", *columns),
        [(name, *(column.get(name, "–") for column in columns.values())) for name in accuracy],
    )
    if not study.differences:
        return experiments
    differences = []
    for name, by_seed in compared(study, accuracy).items():
        points, better = spread(100 * by_seed), f"{np.sum(by_seed > 0)} of {len(by_seed)}"
        cells = f"{points.mean:+.2f}", _interval(points, "+.2f"), better
        differences.append((name, *("–" if np.isnan(by_seed).any() else cell for cell in cells)))
    header = ("difference, seed by seed", f"points {images}, mean", level, "the first better")
    return f"{experiments}\n{markdown(header, differences)}"


def write(study: Study, runs: Sequence[dict[str, Any]], folder: Path) -> None:
    """Writes table.md, README.md, and the pictures points and cosines to `folder`."""
    name, images = ACCURACY[study.images]
    accuracy = figures(runs, name)
    text = table(study, runs)
    write_whole(folder / "table.md", text)
    means = (
        "Student's t" if few(study.seeds) else f"bootstrap ({RESAMPLES:,} resamples of the seeds)"
    )
    seeds = "1 seed" if study.seeds == 1 else f"{study.seeds} seeds"
    splits = "each has its own split" if study.splits else "the images are the same"
    rows = [
        (grid, row, f"`{' '.join(study.grids[grid][row])}`")
        for grid, row in best(study, runs).items()
    ]
    chosen = markdown(("grid", f"best mean, {images}", "flags"), rows) + "\n" if rows else ""
    write_whole(
        folder / "README.md",
        f"# The study *{study.name}*: {seeds}\n\n"
        f"Written by `make studies`. Each seed draws other initial values; {splits}. "
        f"Means are over the seeds. Their 95 % intervals are by {means}; so are those of the "
        "differences, which are taken seed by seed. The pooled cosine compares [the gradient that "
        "a time box learns from with the true one](../../../docs/synthetic-gradients.md), over "
        f"the training images after an epoch.\n\n{text}\n{chosen}"
        f"![{images}: accuracy of every run](points.png)\n",
    )
    cosines = pooled_cosines(runs)
    if cosines and not study.grids:  # The rows of a grid are too many for one picture.
        with drawing(folder / "cosines", 9, 4) as figure:
            figure.suptitle("Pooled cosine of the gradient that a time box uses and the true one")
            draw_cosines(figure, cosines)
    with drawing(folder / "points", 8, 0.45 * len(accuracy) + 1.9) as figure:
        figure.suptitle(f"Accuracy ({images}), {seeds}")
        draw_points(figure, accuracy)


def draw_cosines(figure: Figure, cosines: dict[str, npt.NDArray[np.float64]]) -> None:
    """Draws the means of the pooled cosines, [seeds, epochs, 2] of each experiment."""
    for box, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        for name, values in cosines.items():
            epochs = range(1, values.shape[1] + 1)
            marker = "." if len(epochs) == 1 else ""
            axes.plot(epochs, values[:, :, box].mean(axis=0), marker=marker, label=name)
        axes.axhline(0, color=GREY, zorder=0)
        axes.set_title(f"time box {box + 1}")
        epoch_axis(axes)
    figure.legend(handles=axes.lines[:-1], loc="outside lower center", ncols=4)


def draw_points(figure: Figure, accuracy: dict[str, npt.NDArray[np.float64]]) -> None:
    """Draws the accuracy of every run, and each experiment's mean with its interval."""
    axes = figure.add_subplot()
    for row, values in enumerate(accuracy.values()):
        # One above the other, so that no point hides behind another.
        heights = row + np.linspace(-0.3, 0.3, len(values))
        of_row = spread(values)
        ends = [100 * of_row.low, 100 * of_row.high]
        axes.plot(100 * values, heights, ".", color=BLUE, markersize=4, label="a run")
        axes.plot(100 * of_row.mean, row, "|", color=VERMILION, markersize=16, label="mean")
        axes.plot(ends, [row, row], color=VERMILION, linewidth=3, label="its 95 % interval")
    axes.set_yticks(range(len(accuracy)), list(accuracy))
    axes.set_ylim(len(accuracy) - 0.4, -0.6)
    axes.set_xlabel("accuracy, %")
    figure.legend(handles=axes.lines[:3], loc="outside lower center", ncols=3)
