"""The pictures of a run."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiment.evaluation.captions import PICTURED_IMAGES, caption, draw_image
from experiment.settings import non_default_flags
from experiment.style import BLUE, DARK_GREY, GREY, VERMILION
from experiment.training.mnist import Images
from experiment.training.outcome import QUALITY


def entitle(figure: Figure, title: str, metrics: dict[str, Any]) -> None:
    """Writes a title, the run's wiring and mode, and below the settings that are not the post's."""
    if metrics["mode"] == "numpy":
        figure.suptitle(f"{title}\nNumpy version, {metrics['recurrent_update']} product")
        return
    figure.suptitle(f"{title}\n{metrics['wiring']} wiring, {metrics['mode']} mode")
    if changes := non_default_flags(metrics):
        # 15 characters of this size fit into an inch.
        lines = textwrap.wrap(" ".join(changes), int(15 * figure.get_figwidth()))
        figure.supxlabel("\n".join(lines), fontsize=8, color=DARK_GREY)


def epoch_axis(axes: Axes) -> None:
    """Makes x the axis of the epochs."""
    axes.set_xlabel("epoch")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def draw_cost(
    axes: Axes,
    costs: Sequence[float],
    recorded: Sequence[float] | npt.NDArray[np.float64] = (),
    label: str = "",
) -> None:
    """The post's left picture: cost per training loop, over that of the recorded run."""
    if len(recorded):
        epochs = range(1, len(recorded) + 1)
        axes.plot(epochs, recorded, color=GREY, linewidth=6, label=label)
    marker = "." if len(costs) == 1 else ""
    axes.plot(range(1, len(costs) + 1), costs, color=BLUE, marker=marker, label="this run")
    axes.set_ylim(0, 1.05 * max([*costs, *recorded]) or None)
    epoch_axis(axes)


def draw_quality(figure: Figure, quality: Sequence[Sequence[float]]) -> None:
    """Draws the quality of the time boxes' gradients, [epochs, `QUALITY`]."""
    columns = dict(zip(QUALITY, zip(*quality, strict=True), strict=True))
    epochs = range(1, len(quality) + 1)
    marker = "." if len(quality) == 1 else ""
    boxes = {"1": "time box 1", "2": "time box 2"}
    cosines, updates, errors = figure.subplots(1, 3)
    for axes, figures, label, shown in (
        (cosines, "pooled_cosine", "pooled cosine of g and t", boxes),
        (updates, "update_cosine", "cosine of the updates of Wx by g and t", boxes),
        (errors, "relative_error", "relative error of g (that of 0 is 1)", boxes),
    ):
        for (end, name), color in zip(shown.items(), (BLUE, VERMILION), strict=True):
            axes.plot(epochs, columns[f"{figures}_{end}"], color=color, marker=marker, label=name)
        epoch_axis(axes)
        axes.set_ylabel(label)
        axes.legend()
        axes.axhline(1 if axes is errors else 0, color=GREY, zorder=0)
    for axes in (cosines, updates):
        axes.set_ylim(-1.05, 1.05)
    errors.set_yscale("log")
    errors.yaxis.set_major_formatter("{x:g}")
    sizes = [size for line in errors.lines for size in line.get_ydata() if size]
    within_a_decade = max(sizes) < 10 * min(sizes)
    errors.yaxis.set_minor_formatter("{x:g}" if within_a_decade else "")


def draw_predictions(
    figure: Figure, images: Images, p: npt.NDArray[np.floating], digits: Sequence[str]
) -> None:
    """The post's right picture: each image with its prediction; wrong ones are framed.

    Args:
        figure: empty.
        images: n or more.
        p: of each image, [n].
        digits: the sets that the labels 0 and 1 stand for.
    """
    shown = min(len(p), PICTURED_IMAGES)
    rows, columns = grid(shown)
    all_axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in all_axes:
        axes.set_axis_off()
    for axes, x, y, p_of_one in zip(all_axes, *images, p, strict=False):
        axes.set_axis_on()
        draw_image(axes, x)
        text, color = caption(digits, y, p_of_one)
        axes.set_title(text, fontsize=9, color=color)
        correct = color == BLUE
        axes.spines[:].set(
            visible=True, color=GREY if correct else VERMILION, linewidth=1 if correct else 3
        )


def grid(images: int) -> tuple[int, int]:
    """The numbers of rows and columns for so many images."""
    columns = min(images, 10 if images > 20 else 5)
    return -(-images // columns), columns
