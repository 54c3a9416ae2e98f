"""The post's own print format."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def log_text(
    costs: Sequence[float] | npt.NDArray[np.float64],
    test: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
) -> str:
    """The content of log.txt, as the post's program prints it.

    Args:
        costs: per epoch, [epochs].
        test: p of each test image, [n].
        labels: of the test images, [n].

    Returns:
        A line per epoch, from 0, then a line per test image: index, p, p rounded, label.
    """
    lines = [f"Current Iter:  {i}  current cost:  {cost:.3f}" for i, cost in enumerate(costs)]
    return "\n".join([*lines, *prediction_lines(test, labels), ""])


def prediction_lines(test: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> list[str]:
    """The lines of log.txt for the test images."""

    def matrix(value: float) -> str:
        return np.array2string(np.array([[value]]), precision=2, suppress_small=True)

    return [
        f"{i}  :  {matrix(p)}  :  {matrix(np.rint(p))}  :  [{label}]"
        for i, (p, label) in enumerate(zip(test, labels, strict=True))
    ]
