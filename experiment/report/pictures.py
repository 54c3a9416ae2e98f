"""`python -m experiment.report.pictures`: what several runs show side by side.

Which image each answer is for: results/shift.md, .png and .svg, over the images held out, and
results/strip.png and .svg, on a few. The cost of every experiment: results/costs.png and .svg.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiment.evaluation import traces
from experiment.evaluation.files import Predictions, read_costs, read_predictions
from experiment.evaluation.pictures import draw_cost
from experiment.markdown import markdown
from experiment.report.experiments import EXPERIMENTS
from experiment.settings import RESULTS, Settings, said_in_a_line
from experiment.style import BLUE, DARK_GREY, GREY, VERMILION, drawing
from experiment.training import mnist
from experiment.training.answers import draw_image

OFFSETS = range(-3, 4)
SHIFTED = {
    "published-auto": "auto mode, the post's wiring",
    "published-manual": "manual mode, the post's wiring",
    "ordered-auto": "auto mode, order mended",
}
# A stretch of the test images on which published-auto answers for the image before each time.
STRIP = range(8, 15)


def agreement(results: Path, name: str) -> dict[int, float]:
    """How many of a run's held-out predictions are the label of the image so many places on.

    The test images are visited just before those held out.

    Returns:
        A share from 0 to 1 for each of `OFFSETS`.
    """
    test, held_out = (read_predictions(results / name, split) for split in ("test", "held_out"))
    labels = np.concatenate([test.labels, held_out.labels])
    shares = {}
    for offset in OFFSETS:
        there = labels[len(test.labels) + offset :][: len(held_out.says)]
        shares[offset] = float(np.mean(held_out.says[: len(there)] == there))
    return shares


def table(results: Path) -> str:
    """How often an answer is the image's own label, and that of the image before."""

    def row(name: str) -> tuple[str, str, str, str, str]:
        shares, test = agreement(results, name), read_predictions(results / name, "test")
        own, before = test.says == test.labels, test.says[1:] == test.labels[:-1]
        on_test = (f"{np.sum(right)} of {len(right)}" for right in (own, before))
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
    """How often answers are the label of the image at each distance, of `OFFSETS`."""
    percent = [100 * share for share in shares.values()]
    colors = [BLUE if share == max(percent) else GREY for share in percent]
    bars = axes.bar(OFFSETS, percent, color=colors)
    axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.axhline(50, color=DARK_GREY, linestyle="--", linewidth=1)
    axes.set_xticks(OFFSETS, [str(abs(offset) or "this") for offset in OFFSETS])
    axes.set_xlabel("images before — after")
    axes.set(title=title, ylim=(0, 110), yticks=[])
    axes.spines["left"].set_visible(False)


def draw_strip(figure: Figure, images: npt.NDArray[np.float32], said: Predictions) -> None:
    """Test images in a row; under each what it is, and what is said when it comes.

    An arrow leads from each image to what is said one image later.

    Args:
        figure: to draw on.
        images: the test images, [n, 784].
        said: of them.
    """
    every_axes = figure.subplots(2, len(STRIP), height_ratios=(2, 1))
    for i, (image, answer) in zip(STRIP, every_axes.T, strict=True):
        draw_image(image, images[i])
        image.set_xlabel(f"is {said.labels[i]}")
        answer.set_axis_off()
        if i == STRIP[0]:
            continue  # It is here for what is said after it.
        right = said.says[i] == said.labels[i]
        answer.annotate(
            f"says {said.says[i]}\n{'right' if right else 'wrong'}",
            xy=(0.5, 0),
            ha="center",
            color=BLUE if right else VERMILION,
        )
        before = every_axes[0][STRIP.index(i) - 1]
        arrow = {"arrowstyle": "-|>", "color": BLUE}
        ends = {"xycoords": answer.transAxes, "textcoords": before.transAxes}
        answer.annotate("", xy=(0.4, 0.95), xytext=(0.7, -0.4), arrowprops=arrow, **ends)


def cost_drawings(results: Path) -> dict[str, Callable[[Axes], None]]:
    """What draws the cost of each experiment, all on one logarithmic scale."""
    recorded = {trace.settings.name: trace.costs for trace in traces.load()}
    costs = {name: read_costs(results / name) for name in EXPERIMENTS}
    of_all = [cost for each in costs.values() for cost in each]

    def draw(axes: Axes, name: str) -> None:
        draw_cost(axes, costs[name], recorded.get(name, ()))
        axes.set(yscale="log", ylim=(min(of_all) / 1.5, max(of_all) * 1.5), ylabel="cost")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_title(name, fontsize="medium")

    return {name: partial(draw, name=name) for name in costs}


if __name__ == "__main__":
    with said_in_a_line():
        (RESULTS / "shift.md").write_text(table(RESULTS))
        with drawing(RESULTS / "costs", 9, 9) as figure:
            drawings = cost_drawings(RESULTS).values()
            for axes, draw in zip(figure.subplots(4, 3).flat, drawings, strict=True):
                draw(axes)
        with drawing(RESULTS / "shift", 9, 2.6) as figure:
            for axes, (name, title) in zip(figure.subplots(1, 3), SHIFTED.items(), strict=True):
                draw_shift(axes, agreement(RESULTS, name), title)
            figure.suptitle("Of the answers, percent that are the label of the image so far away")
        images = mnist.split(mnist.load(Settings.data_dir), Settings()).test.x
        with drawing(RESULTS / "strip", 6.5, 2.2) as figure:
            draw_strip(figure, images, read_predictions(RESULTS / "published-auto", "test"))
