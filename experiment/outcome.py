"""What a run found."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Outcome(NamedTuple):
    """What a run found.

    Attributes:
        costs: per epoch, the sum over the training images, [epochs].
        test: for each test image p, the probability that its label is 1, [n].
        held_out: p for each held-out image, [n].
        seconds: how long training took, without building and initializing the graph.
    """

    costs: list[float]
    test: npt.NDArray[np.float32]
    held_out: npt.NDArray[np.float32]
    seconds: float


def predicted(p: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """The predicted labels: p rounded, as the post does it."""
    return np.asarray(np.rint(p), np.uint8)
