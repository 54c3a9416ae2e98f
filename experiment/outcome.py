"""What a run found."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from experiment.errors import UserError
from flags import Settings


class History(NamedTuple):
    """How the epochs went, so far.

    Attributes:
        costs: per epoch, the sum over the training images, [epochs].
        quality: of the synthetic gradients after each epoch, the figures of `graph.quality.Quality`
            in its order, [epochs, 4]; empty if there are none.
        seconds: how long training took, and nothing else.
    """

    costs: Sequence[float] = ()
    quality: Sequence[Sequence[float]] = ()
    seconds: float = 0.0


class Outcome(NamedTuple):
    """What a run found.

    Attributes:
        costs: per epoch, the sum over the training images, [epochs].
        test: for each test image p, the probability that its label is 1, [n].
        held_out: p for each held-out image, [n].
        seconds: how long training took, without building and initializing the graph.
        quality: as in `History`.
    """

    costs: Sequence[float]
    test: npt.NDArray[np.floating]
    held_out: npt.NDArray[np.floating]
    seconds: float
    quality: Sequence[Sequence[float]] = ()


def predicted(p: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """The predicted labels: p rounded, as the post does it."""
    return np.asarray(np.rint(p), np.uint8)


def check_finite(settings: Settings, epoch: int, cost: float) -> None:
    """Raises a UserError with the epoch and the rates if the cost is not a finite number."""
    if not math.isfinite(cost):
        names = ["lr_auto"] if settings.mode == "auto" else ["lr_x", "lr_rec", "lr_sg"]
        rates = " ".join(f"--{name}={getattr(settings, name):g}" for name in names)
        raise UserError(
            f"the cost of epoch {epoch} is {cost}, not a finite number: lower the rates ({rates})"
        )
