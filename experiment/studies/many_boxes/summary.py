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
BOXES = range(1, 28)  # of 28; the last box has the true gradient
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


def finding(accuracy: Accuracies) -> str:
    """The result in a paragraph: cdni at the longest strips and at a delay of 9 boxes."""

    def text(values: npt.NDArray[np.float64], form: str, unit: str) -> str:
        mean, _, low, high = spread(100 * values)
        return f"{mean:{form}}{unit} ({low:{form}} to {high:{form}})"

    def sentences(task: str, time_boxes: int) -> str:
        values = {rule: accuracy[cell_of(task, time_boxes, 1, rule)] for rule in RULES}
        share = {rule: text(each, ".1f", " %") for rule, each in values.items()}
        bptt, truncated = (
            text(values["cdni"] - values[rule], "+.1f", " points") for rule in ("bptt", "truncated")
        )
        return (
            f"synthetic gradients whose modules see the label classify {share['cdni']} of the "
            f"held-out images correctly, back-propagation through time {share['bptt']}, and "
            f"back-propagation that is truncated to one box {share['truncated']}. They differ from "
            f"back-propagation through time by {bptt}, and from the truncated one by {truncated}. "
            f"Without the label they reach {share['dni']}."
        )

    return (
        f"With 28 time boxes and a strip of the image to each, {sentences('strips', 28)}\n\n"
        f"With the image in box 1 and 8 boxes after it that see nothing, {sentences('delay', 9)} "
        f"Brackets have 95 % intervals over {len(SEEDS)} seeds.\n"
    )


def reach(measured: Measured) -> str:
    """The cosines of cdni and dni in the last epoch, in a sentence."""

    def text(rule: str) -> str:
        means = cosines(measured, Cell("strips", 28, 1, rule))[:, -1, 1:].mean(0)
        places = ", ".join(f"{means[box - 2]:.2f} in box {box}" for box in (27, 14, 2))
        return f"{places} for `{rule}`"

    return (
        f"In epoch {EPOCHS_SHOWN[-1]} the mean cosine over {len(SEEDS)} seeds, at K = 1, is "
        f"{text('cdni')}, and {text('dni')}.\n"
    )


def method(measured: Measured) -> str:
    """How the rates were chosen, and how long the study took."""
    hours = sum(run["cpu_seconds"] for run in measured.values()) / 3600
    ranges = ", ".join(f"`{name}` {low:g} to {high:g}" for name, (low, high) in RANGES.items())
    tries, seeds = WIDE_TRIES + NARROW_TRIES - 1, ", ".join(map(str, TUNING_SEEDS))
    return (
        f"Each of the {len(CELLS)} cells, a rule at one T and one K, is tuned by {tries} tries on "
        f"1,000 test images: {WIDE_TRIES} with seed {TUNING_SEEDS[0]}, log-uniform over {ranges} "
        "(a Latin hypercube, the same for every cell); then the best of them and "
        f"{NARROW_TRIES - 1} others within a factor of {NARROW} of it, with seeds {seeds}. The "
        f"best mean of these {NARROW_TRIES} is measured with seeds {SEEDS[0]} to {SEEDS[-1]} on "
        "7,000 held-out images. Each seed has its own split of the images and its own initial "
        f"values. The {len(measured):,} runs took {hours:.1f} hours of processor time, "
        f"{hours / CORES:.1f} hours on {CORES} cores.\n"
    )


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
    figure.legend(handles=handles, loc="outside lower center", ncols=4 if len(shown) > 1 else 1)


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
        [seeds, epochs, T − 1]; NaN where one of them is zero, as in box 1 of dni: it sees the row
        at the top of the images, which is blank.
    """
    runs = runs_of(cell, chosen(cell, measured), SEEDS, "held_out")
    return np.array([measured[run]["cosines"] for run in runs], float)


def draw_cosines_of_cdni(axes: Axes, measured: Measured) -> None:
    """The cosines of cdni at T = 28, box by box, in some epochs."""
    values = cosines(measured, Cell("strips", 28, 1, "cdni"))
    for n, epoch in enumerate(EPOCHS_SHOWN, 1):
        alpha, mean = n / len(EPOCHS_SHOWN), values[:, epoch - 1].mean(0)
        axes.plot(BOXES, mean, color=BLUE, alpha=alpha, label=f"epoch {epoch}")
    axes.plot(BOXES, values[:, -1].T, color=BLUE, linewidth=0.4, alpha=0.5)
    axes.legend(handles=axes.lines[: len(EPOCHS_SHOWN)])
    _finish(axes, f"{RULES['cdni'].title}, K = 1")


def draw_cosines_of_rules(axes: Axes, measured: Measured) -> None:
    """The cosines of every rule at T = 28, box by box, in the last epoch; dashed if K = 4."""
    for window, style in ((1, "-"), (4, "--")):
        for rule in RULES:
            if RULES[rule].module_input:
                values = cosines(measured, Cell("strips", 28, window, rule))[:, -1]
                label = RULES[rule].title if window == 1 else None
                axes.plot(BOXES, values.mean(0), style, color=COLORS[rule], label=label)
    axes.legend()
    _finish(axes, f"every rule, epoch {EPOCHS_SHOWN[-1]}; K = 1, dashed: K = 4")


def _finish(axes: Axes, title: str) -> None:
    axes.axhline(0, color=GREY, zorder=0)
    axes.set(title=title, xlabel="time box", ylabel="cosine with the true gradient", ylim=(-1, 1))


def draw_cosines(figure: Figure, measured: Measured) -> None:
    """Both, side by side."""
    left, right = figure.subplots(1, 2)
    draw_cosines_of_cdni(left, measured)
    draw_cosines_of_rules(right, measured)


def write(measured: Measured, folder: Path) -> None:
    """Writes README.md, the parts of docs/many-boxes.md, and the pictures accuracy and cosines."""
    from experiment.evaluation import windows  # imports TensorFlow, which the drawings do not need

    accuracy = accuracies(measured)
    parts = {
        "finding": finding(accuracy),
        "table": table(accuracy),
        "differences": differences(accuracy),
        "counting": windows.table(),
        "reach": reach(measured),
        "method": method(measured),
    }
    for name, text in parts.items():
        write_whole(folder / f"{name}.md", text)
    write_whole(folder / "README.md", readme(parts, rates(measured)))
    with drawing(folder / "accuracy", 12, 5) as figure:
        draw_accuracies(figure, accuracy)
    with drawing(folder / "cosines", 11, 4.5) as figure:
        draw_cosines(figure, measured)


def readme(parts: dict[str, str], chosen_rates: str) -> str:
    """The README, from the texts of `write`."""
    tasks = "\n".join(
        f"- {name}: T = {', '.join(map(str, task.time_boxes))}, H = {task.hidden_units}, "
        f"{task.epochs} epochs"
        for name, task in TASKS.items()
    )
    rules = "\n".join(f"- `{name}`: {rule.title}" for name, rule in RULES.items())
    return f"""\
# The study *many boxes*: {len(CELLS)} cells, {len(SEEDS)} seeds each

Written by `make studies`. [docs/many-boxes.md](../../docs/many-boxes.md) defines the tasks and the
update rules:

{tasks}

{rules}

{parts["method"]}
## Accuracy, % held out

{parts["finding"]}
The table has means over the seeds, with their 95 % intervals by bootstrap ({RESAMPLES:,} resamples
of the seeds). A run has failed if its accuracy is below {100 * FAILED:.0f} %; failed runs are in
the means. The second table has the difference of cdni to other rules, seed by seed, in points.

{parts["table"]}
{parts["differences"]}
![Accuracy of every rule against the number of time boxes](accuracy.png)

## Cosine of the synthetic with the true gradients, T = 28

Both gradients of a training image are computed with the weights from before the block of {BLOCK}
images that it is in. The cosine is pooled over the images of an epoch: Σ⟨g, t⟩ / √(Σ|g|² Σ|t|²).
Lines are means over the seeds; thin lines are single seeds in the last epoch. {parts["reach"]}
![Cosine box by box](cosines.png)

## What a step keeps and waits for

Read from the graph of a step:

{parts["counting"]}
## Rates

A rate is at an edge if it is the lowest or the highest of all tries.

{chosen_rates}"""
