"""Pictures of several runs.

The image that each prediction belongs to: results/shift.md and .png, over the held-out images, and
results/strip.png, on a few test images. The cost of every experiment: results/costs.png.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiment.evaluation import recorded_runs
from experiment.evaluation.captions import draw_image
from experiment.evaluation.pictures import draw_cost
from experiment.evaluation.run_files import Predictions, read_costs, read_predictions
from experiment.markdown import markdown
from experiment.report.experiments import EXPERIMENTS
from experiment.settings import RESULTS, Settings
from experiment.style import BLUE, DARK_GREY, GREY, VERMILION, drawing
from experiment.training import mnist

OFFSETS = range(-3, 4)
SHIFTED = {
    "published-auto": "auto mode, the post's wiring",
    "published-manual": "manual mode, the post's wiring",
    "ordered-auto": "auto mode, order fixed",
}
# Consecutive test images for which published-auto predicts the label of the image before.
STRIP = range(8, 15)


def agreement(results: Path, name: str) -> dict[int, float]:
    """The share of a run's held-out predictions that equal the label at each of `OFFSETS`.

    The test images are visited just before the held-out ones.
    """
    test, held_out = (read_predictions(results / name, split) for split in ("test", "held_out"))
    labels = np.concatenate([test.labels, held_out.labels])
    shares = {}
    for offset in OFFSETS:
        there = labels[len(test.labels) + offset :][: len(held_out.predicted)]
        shares[offset] = float(np.mean(held_out.predicted[: len(there)] == there))
    return shares


def table(results: Path) -> str:
    """The share of predictions that equal the image's own label, and that of the image before."""

    def row(name: str) -> tuple[str, str, str, str, str]:
        shares, test = agreement(results, name), read_predictions(results / name, "test")
        own, before = test.predicted == test.labels, test.predicted[1:] == test.labels[:-1]
        on_test = (f"{np.sum(equal)} of {len(equal)}" for equal in (own, before))
        return (name, f"{shares[0]:.1%}", f"{shares[-1]:.1%}", *on_test)  # type: ignore[return-value]

    header = (
        "experiment",
        "held out: own label",
        "label of the image before",
        "test images: own label",
        "label of the image before",
    )
    return markdown(header, map(row, SHIFTED))


def draw_shift(axes: Axes, shares: dict[int, float], title: str) -> None:
    """The shares of `agreement`, as bars."""
    percent = [100 * share for share in shares.values()]
    colors = [BLUE if share == max(percent) else GREY for share in percent]
    bars = axes.bar(OFFSETS, percent, color=colors)
    axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.axhline(50, color=DARK_GREY, linestyle="--", linewidth=1)
    axes.set_xticks(OFFSETS, [str(abs(offset) or "this") for offset in OFFSETS])
    axes.set_xlabel("images before — after")
    axes.set(title=title, ylim=(0, 110), yticks=[])
    axes.spines["left"].set_visible(False)


def draw_strip(figure: Figure, images: npt.NDArray[np.float32], predictions: Predictions) -> None:
    """The images of `STRIP` in a row, their labels above and the predictions below.

    An arrow leads from each image to the prediction that comes one image later.

    Args:
        figure: empty.
        images: the test images, [n, 784].
        predictions: of the test images.
    """
    every_axes = figure.subplots(2, len(STRIP), height_ratios=(2, 1))
    for i, (image, answer) in zip(STRIP, every_axes.T, strict=True):
        draw_image(image, images[i])
        image.spines[:].set_visible(True)
        image.set_title(f"a {predictions.labels[i]}", fontsize="medium")
        answer.set_axis_off()
        if i == STRIP[0]:
            continue  # It is shown for the prediction after it.
        correct = predictions.predicted[i] == predictions.labels[i]
        answer.annotate(
            f"{predictions.predicted[i]}\n{'correct' if correct else 'wrong'}",
            xy=(0.5, 0),
            ha="center",
            color=BLUE if correct else VERMILION,
        )
        before = every_axes[0][STRIP.index(i) - 1]
        arrow = {"arrowstyle": "-|>", "color": DARK_GREY, "shrinkA": 0, "shrinkB": 2}
        ends = {"xycoords": answer.transAxes, "textcoords": before.transAxes}
        answer.annotate("", xy=(0.5, 0.8), xytext=(0.5, 0), arrowprops=arrow, **ends)


def cost_drawings(results: Path) -> dict[str, Callable[[Axes], None]]:
    """Functions that draw the cost of each experiment, all on one logarithmic scale."""
    recorded = {each.settings.name: each.costs for each in recorded_runs.load()}
    costs = {name: read_costs(results / name) for name in EXPERIMENTS}
    of_all = [cost for each in costs.values() for cost in each]

    def draw(axes: Axes, name: str) -> None:
        draw_cost(axes, costs[name], recorded.get(name, ()))
        axes.set(yscale="log", ylim=(min(of_all) / 1.5, max(of_all) * 1.5), ylabel="cost")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_title(name, fontsize="medium")

    return {name: partial(draw, name=name) for name in costs}


def make() -> None:
    """Draws them all."""
    (RESULTS / "shift.md").write_text(table(RESULTS))
    with drawing(RESULTS / "costs", 9, 9) as figure:
        drawings = cost_drawings(RESULTS).values()
        for axes, draw in zip(figure.subplots(4, 3).flat, drawings, strict=True):
            draw(axes)
    with drawing(RESULTS / "shift", 9, 2.6) as figure:
        for axes, (name, title) in zip(figure.subplots(1, 3), SHIFTED.items(), strict=True):
            draw_shift(axes, agreement(RESULTS, name), title)
        figure.suptitle("Predictions that equal the label of the image at each distance, %")
    images = mnist.split(mnist.load(Settings.data_dir), Settings()).test.x
    with drawing(RESULTS / "strip", 6.5, 2.2) as figure:
        draw_strip(figure, images, read_predictions(RESULTS / "published-auto", "test"))
