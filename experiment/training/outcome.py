"""How far a run has come, and what it found."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from experiment.settings import Settings, UserError

# Of the synthetic gradients: the figures of graph/quality.py, in its order.
QUALITY = (
    "pooled_cosine_1",
    "pooled_cosine_2",
    "relative_error_1",
    "relative_error_2",
    "update_cosine_x",
    "update_cosine_rec",
)


class History(NamedTuple):
    """How the epochs went, so far.

    Attributes:
        costs: per epoch, the sum over the training images, [epochs].
        quality: of the synthetic gradients after each epoch, [epochs, `QUALITY`]; empty if there
            are none.
        seconds: how long training took, and nothing else.
    """

    costs: Sequence[float] = ()
    quality: Sequence[Sequence[float]] = ()
    seconds: float = 0.0


class State(NamedTuple):
    """Where a run starts, or goes on.

    Attributes:
        history: of the epochs so far.
        variables: the prefix of the files that hold the variables, or None before the first epoch.
    """

    history: History
    variables: Path | None


START = State(History(), None)


class Outcome(NamedTuple):
    """What a run found.

    Attributes:
        history: of its epochs.
        test: for each test image p, the probability that its label is 1, [n].
        held_out: p for each held-out image, [n].
    """

    history: History
    test: npt.NDArray[np.floating]
    held_out: npt.NDArray[np.floating]


def predicted(p: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """The predicted labels: p rounded, as the post does it."""
    return np.asarray(np.rint(p), np.uint8)


class NotFiniteError(UserError):
    """The cost of an epoch is not a finite number."""


def check_finite(settings: Settings, epoch: int, cost: float) -> None:
    """Raises a `NotFiniteError` with the epoch and the rates if the cost is not a finite number."""
    if not math.isfinite(cost):
        names = ["lr_auto"] if settings.mode == "auto" else ["lr_x", "lr_rec", "lr_sg"]
        rates = " ".join(f"--{name}={getattr(settings, name):g}" for name in names)
        raise NotFiniteError(
            f"the cost of epoch {epoch} is {cost}, not a finite number: lower the rates ({rates})"
        )
