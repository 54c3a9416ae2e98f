"""The tables, the figures and the README of the study of many time boxes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiment.evaluation.statistics import RESAMPLES, spread
from experiment.markdown import markdown
from experiment.storage.folder import write_whole
from experiment.studies.many_boxes.plan import (
    CELLS,
    NARROW,
    NARROW_TRIES,
    RANGES,
    RULES,
    SEEDS,
    TASKS,
    TUNING_SEEDS,
    WIDE_TRIES,
    Cell,
    Measured,
    chosen,
    narrow,
    runs_of,
    score,
    wide,
)
from experiment.style import BLUE, CYCLE, DARK_GREY, GREY, drawing
from experiment.training.many_boxes import BLOCK

# A run fails if fewer of the held-out images are correct; 51 % have the label 0.
FAILED = 0.6
CORES = 2  # The README gives the hours on a machine with so many.
COLORS = dict(zip(RULES, (DARK_GREY, CYCLE[0], GREY, *CYCLE[1:5]), strict=True))
# cdni is compared with these, at the same T.
OTHERS = ("bptt", "truncated", "dni", "readout")
EPOCHS_SHOWN = (1, 2, 5, 10, 20)
# The panels of the figure: task and K, title, width.
PANELS = {
    ("strips", 1): ("strips, K = 1: a strip of the image to each box", 4),
    ("strips", 4): ("strips, K = 4", 1.3),
    ("delay", 1): ("delay, K = 1: the image in box 1, then nothing", 5),
}

Accuracies = dict[Cell, npt.NDArray[np.float64]]


def accuracies(measured: Measured) -> Accuracies:
    """The share of held-out images that are correct, for each cell [seeds]."""

    def of_cell(cell: Cell) -> npt.NDArray[np.float64]:
        runs = [measured[run] for run in runs_of(cell, chosen(cell, measured), SEEDS, "held_out")]
        return np.array([run["correct"] / run["total"] for run in runs])

    return {cell: of_cell(cell) for cell in CELLS}


# Task, T and K of each row of a table.
ROWS = [cell[:3] for cell in CELLS if cell.rule == "cdni"]


def cell_of(task: str, time_boxes: int, window: int, rule: str) -> Cell:
    """The cell of a rule at T; back-propagation through time and the readout have no K."""
    window = {"bptt": time_boxes, "readout": 1}.get(rule, window)
    return Cell(task, time_boxes, window, rule)


def interval(values: npt.NDArray[np.float64], form: str) -> str:
    """The mean of values [seeds] and its 95 % interval."""
    mean, _, low, high = spread(values)
    return f"{mean:{form}} ({low:{form}} to {high:{form}})"


def table(accuracy: Accuracies) -> str:
    """The accuracy of every rule in percent, and how many of its runs failed."""

    def text(values: npt.NDArray[np.float64]) -> str:
        failed = int(np.sum(values < FAILED))
        return interval(100 * values, ".1f") + (f", {failed} failed" if failed else "")

    rows = [
        (row[0], *map(str, row[1:]), *(text(accuracy[cell_of(*row, rule)]) for rule in RULES))
        for row in ROWS
    ]
    return markdown(("task", "T", "K", *RULES), rows)


def differences(accuracy: Accuracies) -> str:
    """The accuracy of cdni minus that of others, seed by seed, in points."""

    def text(row: tuple[str, int, int], other: str) -> str:
        points = 100 * (accuracy[Cell(*row, "cdni")] - accuracy[cell_of(*row, other)])
        return interval(points, "+.1f")

    rows = [(row[0], *map(str, row[1:]), *(text(row, other) for other in OTHERS)) for row in ROWS]
    return markdown(("task", "T", "K", *(f"cdni − {other}" for other in OTHERS)), rows)


def rates(measured: Measured) -> str:
    """The chosen rates, and those that are the lowest or the highest of all tries."""
    rows = []
    for cell in CELLS:
        best, tries = chosen(cell, measured), [*wide(cell), *narrow(cell, measured)]
        edges = [
            name
            for name, rate in best.items()
            if rate in (min(each[name] for each in tries), max(each[name] for each in tries))
        ]
        accuracy = score(cell, best, TUNING_SEEDS, measured)
        chosen_rates = (f"{best[name]:g}" if name in best else "" for name in RANGES)
        rows.append((cell.name, *chosen_rates, f"{100 * accuracy:.1f}", ", ".join(edges)))
    return markdown(("cell", *RANGES, "accuracy, % test images", "at an edge"), rows)


def draw_accuracies(
    figure: Figure, accuracy: Accuracies, shown: Sequence[tuple[str, int]] = tuple(PANELS)
) -> None:
    """Every run, the mean of each cell and its interval, against T.

    Args:
        figure: empty.
        accuracy: from `accuracies`.
        shown: the panels, of `PANELS`.
    """
    widths = [PANELS[panel][1] for panel in shown]
    panels = figure.subplots(1, len(shown), sharey=True, width_ratios=widths, squeeze=False)[0]
    for axes, (task, window) in zip(panels, shown, strict=True):
        of_axes = [row[1] for row in ROWS if (row[0], row[2]) == (task, window)]
        for i, rule in enumerate(RULES):
            places = [n + 0.09 * (i - len(RULES) // 2) for n in range(len(of_axes))]
            cells = [cell_of(task, time_boxes, window, rule) for time_boxes in of_axes]
            _draw_rule(axes, places, [100 * accuracy[cell] for cell in cells], rule)
        axes.set_xticks(range(len(of_axes)), list(map(str, of_axes)))
        axes.set(title=PANELS[task, window][0], xlabel="time boxes T")
    panels[0].set_ylabel("accuracy, % held out")
    handles = [line for line in panels[0].lines if not str(line.get_label()).startswith("_")]
    figure.legend(handles=handles, loc="outside lower center", ncols=4 if len(shown) > 1 else 2)


def _draw_rule(
    axes: Axes, places: Sequence[float], values: Sequence[npt.NDArray[np.float64]], rule: str
) -> None:
    color = COLORS[rule]
    means = [each.mean() for each in values]
    axes.plot(places, means, "o-", color=color, markersize=4, linewidth=1, label=RULES[rule].title)
    for place, each in zip(places, values, strict=True):
        axes.plot([place] * len(each), each, ".", color=color, markersize=2.5, alpha=0.6)
        axes.plot([place] * 2, spread(each)[2:], color=color, linewidth=3, alpha=0.6)


def cosines(measured: Measured, cell: Cell) -> npt.NDArray[np.float64]:
    """The pooled cosine of the gradient that each box but the last learns from with the true one.

    Returns:
        [seeds, epochs, T − 1]; NaN where a run diverged.
    """
    runs = runs_of(cell, chosen(cell, measured), SEEDS, "held_out")
    return np.array([measured[run]["cosines"] for run in runs], float)


def draw_cosines(figure: Figure, measured: Measured) -> None:
    """The cosines at T = 28, box by box: of cdni along the epochs, of all rules in the last one."""
    left, right = figure.subplots(1, 2, sharey=True)
    boxes = range(1, 28)
    of_cdni = cosines(measured, Cell("strips", 28, 1, "cdni"))
    for n, epoch in enumerate(EPOCHS_SHOWN, 1):
        values = of_cdni[:, epoch - 1]
        alpha = n / len(EPOCHS_SHOWN)
        left.plot(boxes, np.nanmean(values, 0), color=BLUE, alpha=alpha, label=f"epoch {epoch}")
    left.plot(boxes, of_cdni[:, -1].T, color=BLUE, linewidth=0.4, alpha=0.5)
    left.legend(handles=left.lines[: len(EPOCHS_SHOWN)])
    left.set(title="synthetic, with the label, K = 1", ylabel="cosine with the true gradient")
    for window, style in ((1, "-"), (4, "--")):
        for rule in RULES:
            if RULES[rule].module_input:
                values = cosines(measured, Cell("strips", 28, window, rule))[:, -1]
                label = f"{RULES[rule].title}, K = {window}"
                mean = np.nanmean(values, 0)
                right.plot(boxes, mean, style, color=COLORS[rule], label=label)
    right.set(title=f"epoch {EPOCHS_SHOWN[-1]}")
    right.legend(fontsize="small")
    for axes in (left, right):
        axes.axhline(0, color=GREY, zorder=0)
        axes.set_xlabel("time box (the last, 28, has the true gradient)")


def write(measured: Measured, folder: Path) -> None:
    """Writes table.md, counting.md, README.md, and the pictures accuracy and cosines."""
    from experiment.evaluation import windows  # imports TensorFlow, which the drawings do not need

    accuracy, counting = accuracies(measured), windows.table()
    write_whole(folder / "table.md", f"{table(accuracy)}\n{differences(accuracy)}")
    write_whole(folder / "counting.md", counting)
    write_whole(folder / "README.md", readme(measured, accuracy, counting))
    with drawing(folder / "accuracy", 12, 5) as figure:
        draw_accuracies(figure, accuracy)
    with drawing(folder / "cosines", 11, 4.5) as figure:
        draw_cosines(figure, measured)


def readme(measured: Measured, accuracy: Accuracies, counting: str) -> str:
    """The README: the tables, how the rates were chosen, how long the study took."""
    hours = sum(run["cpu_seconds"] for run in measured.values()) / 3600
    ranges = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in RANGES.items())
    tasks = "; ".join(
        f"{name}: T = {', '.join(map(str, task.time_boxes))}, H = {task.hidden_units}, "
        f"{task.epochs} epochs"
        for name, task in TASKS.items()
    )
    rules = "\n".join(f"- `{name}`: {rule.title}" for name, rule in RULES.items())
    tries, seeds = WIDE_TRIES + NARROW_TRIES - 1, ", ".join(map(str, TUNING_SEEDS))
    return f"""\
# The study *many boxes*: {len(CELLS)} cells, {len(SEEDS)} seeds each

Written by `make studies`. Its {len(measured):,} runs took {hours:.1f} hours of processor time,
{hours / CORES:.1f} hours on {CORES} cores. [docs/many-boxes.md](../../docs/many-boxes.md) defines
the tasks and the update rules:

{rules}

{tasks}. A cell is one rule at one T and one K. Each seed has its own split into 2,000 training
images, 1,000 test images and 7,000 held-out images, and its own initial values.

## Accuracy, % held out

Means over the seeds, with their 95 % intervals by bootstrap ({RESAMPLES:,} resamples of the
seeds). A run has failed if its accuracy is below {FAILED:.0%}; failed runs are in the means.

{table(accuracy)}
The difference of cdni to other rules, seed by seed, in points:

{differences(accuracy)}
![Accuracy of every rule against the number of time boxes](accuracy.png)

## Cosine of the synthetic with the true gradients, T = 28

Both gradients of a training image are computed with the weights from before the block of {BLOCK}
images that it is in. The cosine is pooled over the images of an epoch: Σ⟨g, t⟩ / √(Σ|g|² Σ|t|²).
Lines are means over the seeds; thin lines are single seeds in the last epoch.

![Cosine box by box](cosines.png)

## What a step keeps and waits for

Read from the graph of a step:

{counting}
## Rates

Every cell is tuned by {tries} tries on its test images: {WIDE_TRIES} with seed {TUNING_SEEDS[0]},
log-uniform over {ranges}
(a Latin hypercube, the same for every cell); then the best of them and {NARROW_TRIES - 1} others
within a factor of {NARROW} of it, with seeds {seeds}. The best mean of these {NARROW_TRIES} is
measured with seeds {SEEDS[0]} to {SEEDS[-1]}. A rate is at an edge if it is the lowest or the
highest of all tries.

{rates(measured)}"""
