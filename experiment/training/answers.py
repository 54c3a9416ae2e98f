"""An image, and what was said of it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from experiment.style import BLUE, VERMILION
from experiment.training.mnist import SIDE
from experiment.training.outcome import predicted

# Of more test images no picture has a use.
PICTURED_IMAGES = 100


def draw_image(axes: Axes, x: npt.NDArray[np.float32]) -> None:
    """An image x [784], dark on light."""
    axes.imshow(x.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])


def name(digits: str) -> str:
    """A set of digits, as a reader would call it: 3, 0–4, 357."""
    run = len(digits) > 2 and digits in "0123456789"
    return f"{digits[0]}–{digits[-1]}" if run else digits


def what_was_said(digits: Sequence[str], y: int, p: float) -> tuple[str, str]:
    """What was said of an image, and the colour of that.

    Args:
        digits: the sets that the labels 0 and 1 stand for.
        y: its label.
        p: the probability that its label is 1.
    """
    said = int(predicted(np.array(p)))
    mark, color = ("✓", BLUE) if said == y else ("✗", VERMILION)
    return f"{mark} says {name(digits[said])}, is {name(digits[y])}\np = {p:.2f}", color
