"""A picture of an image, and a caption for its prediction."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from experiment.style import BLUE, VERMILION
from experiment.training.mnist import SIDE
from experiment.training.outcome import predicted

# The largest number of test images in a picture.
PICTURED_IMAGES = 100


def draw_image(axes: Axes, x: npt.NDArray[np.float32]) -> None:
    """Draws an image x [784], dark on light."""
    axes.imshow(x.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])


def name(digits: str) -> str:
    """A name for a set of digits: 3, 0–4, 357."""
    run = len(digits) > 2 and digits in "0123456789"
    return f"{digits[0]}–{digits[-1]}" if run else digits


def caption(digits: Sequence[str], y: int, p: float) -> tuple[str, str]:
    """A caption for an image, and its colour.

    Args:
        digits: the sets that the labels 0 and 1 stand for.
        y: the label.
        p: the predicted probability that the label is 1.
    """
    prediction = int(predicted(np.array(p)))
    mark, color = ("✓", BLUE) if prediction == y else ("✗", VERMILION)
    return f"{mark} says {name(digits[prediction])}, is {name(digits[y])}\np = {p:.2f}", color
