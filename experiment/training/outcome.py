"""The progress and the outcome of a run."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from experiment.errors import UserError
from experiment.settings import Settings

# The figures of graph/quality.py, in its order.
QUALITY = (
    "pooled_cosine_1",
    "pooled_cosine_2",
    "relative_error_1",
    "relative_error_2",
    "update_cosine_1",
    "update_cosine_2",
)


class History(NamedTuple):
    """The epochs so far.

    Attributes:
        costs: per epoch, the sum over the training images, [epochs].
        quality: of the time boxes' gradients in each epoch, [epochs, `QUALITY`]; empty without
            `--diagnostics`.
        rounds: the most that a block took with the engine `parallel`, or 0.
        seconds: of training alone.
    """

    costs: Sequence[float] = ()
    quality: Sequence[Sequence[float]] = ()
    rounds: int = 0
    seconds: float = 0.0


class State(NamedTuple):
    """The state that a run starts from.

    Attributes:
        history: of the epochs so far.
        variables: the prefix of the checkpoint's files, or None before the first epoch.
    """

    history: History
    variables: Path | None


START = State(History(), None)


class Outcome(NamedTuple):
    """The outcome of a run.

    Attributes:
        history: of its epochs.
        test: p, the probability that the label is 1, of each test image, [n].
        held_out: p of each held-out image, [n].
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
    """Raises a `NotFiniteError` if the cost is not a finite number."""
    if not math.isfinite(cost):
        names = ["lr_auto"] if settings.mode == "auto" else ["lr_x", "lr_rec", "lr_sg"]
        rates = " ".join(f"--{name}={getattr(settings, name):g}" for name in names)
        raise NotFiniteError(
            f"the cost of epoch {epoch} is {cost}, not a finite number: lower the rates ({rates})"
        )
