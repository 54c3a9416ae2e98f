"""What the runs of a study show, together."""

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
    """One figure of metrics.json, for each experiment [seeds]; NaN where it has none."""
    values: dict[str, list[float]] = {}
    for measured in runs:
        values.setdefault(measured["experiment"], []).append(measured.get(name, np.nan))
    return {experiment: np.array(found, float) for experiment, found in values.items()}


def pooled_cosines(runs: Sequence[dict[str, Any]]) -> dict[str, npt.NDArray[np.float64]]:
    """Of both time boxes, for each experiment all of whose runs have them: [seeds, epochs, 2]."""
    found: dict[str, list[Any]] = {}
    for measured in runs:
        found.setdefault(measured["experiment"], []).append(measured.get("pooled_cosines"))
    return {name: np.array(values) for name, values in found.items() if all(values)}


def compared(
    study: Study, accuracy: dict[str, npt.NDArray[np.float64]]
) -> dict[str, npt.NDArray[np.float64]]:
    """Each of the study's differences, by its name, seed by seed, [seeds]."""
    return {f"{one} − {other}": accuracy[one] - accuracy[other] for one, other in study.differences}


def best(study: Study, runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The row of each grid with the best mean on the images that the study compares on."""
    accuracy = figures(runs, ACCURACY[study.images][0])
    return {
        grid: max(rows, key=lambda name: np.nan_to_num(accuracy[name].mean(), nan=-1))
        for grid, rows in study.grids.items()
    }


def _mean(values: npt.NDArray[np.float64], form: str) -> str:
    """The mean of values [seeds] with its interval, or a dash where one is missing."""
    if np.isnan(values).any():
        return "–"
    found = spread(values)
    return f"{found.mean:{form}} ({_interval(found, form)})"


def _interval(found: Spread, form: str) -> str:
    """Of a mean, or a dash: one seed has none."""
    return "–" if np.isnan(found.low) else f"{found.low:{form}} to {found.high:{form}}"


def table(study: Study, runs: Sequence[dict[str, Any]]) -> str:
    """What all runs of a study show, and what the differences are: two tables in Markdown.

    Args:
        study: that the runs are of.
        runs: what each measured, experiment and metrics.json, in the order of the study.
    """
    figure, called = ACCURACY[study.images]
    accuracy = figures(runs, figure)
    first, last = figures(runs, "cost_first"), figures(runs, "cost_last")
    level = "95 %, Student's t" if few(study.seeds) else "95 %"
    columns = {f"{called} right, mean ({level})": {n: _mean(v, ".1%") for n, v in accuracy.items()}}
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
        right = figures(runs, "test_correct")
        total = runs[0].get("test_images", Settings.test_images)
        columns[f"of {total} test images right"] = {n: _mean(v, ".1f") for n, v in right.items()}
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
        found, better = spread(100 * by_seed), f"{np.sum(by_seed > 0)} of {len(by_seed)}"
        figures_of_it = f"{found.mean:+.2f}", _interval(found, "+.2f"), better
        differences.append((name, *("–" if np.isnan(by_seed).any() else f for f in figures_of_it)))
    header = ("difference, seed by seed", f"points {called}, mean", level, "the first better")
    return f"{experiments}\n{markdown(header, differences)}"


def write(study: Study, runs: Sequence[dict[str, Any]], folder: Path) -> None:
    """Writes table.md, README.md, points and cosines (.png and .svg) to `folder`.

    The rest as in `table`.
    """
    name, called = ACCURACY[study.images]
    accuracy = figures(runs, name)
    text = table(study, runs)
    write_whole(folder / "table.md", text)
    means = (
        "Student's t" if few(study.seeds) else f"bootstrap ({RESAMPLES:,} resamples of the seeds)"
    )
    seeds = "1 seed" if study.seeds == 1 else f"{study.seeds} seeds"
    images = "each has a split of its own" if study.splits else "the images are the same"
    rows = [
        (grid, row, f"`{' '.join(study.grids[grid][row])}`")
        for grid, row in best(study, runs).items()
    ]
    chosen = markdown(("grid", f"best mean, {called}", "flags"), rows) + "\n" if rows else ""
    write_whole(
        folder / "README.md",
        f"# The study *{study.name}*: {seeds}\n\n"
        f"Written by `make studies`. Each seed draws other initial values; {images}. "
        f"Means are over the seeds; their 95 % intervals are by {means}, those of the differences "
        "too, which are taken seed by seed. The pooled cosine, [of what a time box learns from and "
        "the true gradient](../../../docs/synthetic-gradients.md), is that of the training images "
        f"after an epoch.\n\n{text}\n{chosen}"
        f"![{called}: accuracy of every run](points.png)\n",
    )
    cosines = pooled_cosines(runs)
    if cosines and not study.grids:  # The rows of a grid are too many to be told apart.
        with drawing(folder / "cosines", 9, 4) as figure:
            figure.suptitle("Pooled cosine of what a time box learns from and the true gradient")
            draw_cosines(figure, cosines)
    with drawing(folder / "points", 8, 0.45 * len(accuracy) + 1.9) as figure:
        figure.suptitle(f"Share of images right ({called}), {seeds}")
        draw_points(figure, accuracy)


def draw_cosines(figure: Figure, cosines: dict[str, npt.NDArray[np.float64]]) -> None:
    """The pooled cosines of both time boxes, [seeds, epochs, 2] of each experiment: their means."""
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
    """The accuracy of every run, and the mean of each experiment with its interval."""
    axes = figure.add_subplot()
    for row, values in enumerate(accuracy.values()):
        # One above the other, so that no point hides behind another.
        heights = row + np.linspace(-0.3, 0.3, len(values))
        found = spread(values)
        ends = [100 * found.low, 100 * found.high]
        axes.plot(100 * values, heights, ".", color=BLUE, markersize=4, label="a run")
        axes.plot(100 * found.mean, row, "|", color=VERMILION, markersize=16, label="mean")
        axes.plot(ends, [row, row], color=VERMILION, linewidth=3, label="its 95 % interval")
    axes.set_yticks(range(len(accuracy)), list(accuracy))
    axes.set_ylim(len(accuracy) - 0.4, -0.6)
    axes.set_xlabel("images right, %")
    # One row's parts stand for those of all.
    figure.legend(handles=axes.lines[:3], loc="outside lower center", ncols=3)
