"""The arithmetic of a published manual step and nothing else, on BLAS, by one thread.

Six products of a row and a matrix (`sgemv`) and five outer products added in place (`sger`), on
preallocated arrays: what one thread needs that rewrites the matrices in every step.
"""

import numpy as np
from scipy.linalg.blas import sdot, sgemv, sger

from graph.weights import Weights


class BlasFloor:
    """The matrices and rows that the arithmetic is done on."""

    def __init__(self, initial: Weights) -> None:
        width = len(initial.w_x)
        self._matrices = [
            np.asfortranarray(matrix.T)
            for matrix in (initial.w_x, initial.w_rec, initial.w_sg_1, initial.w_sg_2)
        ]
        self._row = np.full(width, 1e-3, np.float32)
        self._results = [np.empty(width, np.float32) for _ in range(6)]

    def epoch(self, steps: int) -> None:
        """So many steps."""
        w_x, w_rec, w_sg_1, w_sg_2 = self._matrices
        row = self._row
        # x·Wx, h₀·Wrec, h₁·Wrec, a₁·Wsg1, a₂·Wsg2, and v·Wrecᵀ.
        products = [(w_x, 0), (w_rec, 0), (w_rec, 0), (w_sg_1, 0), (w_sg_2, 0), (w_rec, 1)]
        updates = [w_rec, w_rec, w_x, w_sg_1, w_sg_2]
        for _ in range(steps):
            for (matrix, transposed), y in zip(products, self._results, strict=True):
                sgemv(1.0, matrix, row, y=y, overwrite_y=1, trans=transposed)
            for matrix in updates:
                sger(1e-6, row, row, a=matrix, overwrite_a=1)

    def read(self, times: int) -> None:
        """Reads the four matrices so many times and does nothing else with them.

        No step that uses them all takes less on one thread, however its updates are put off.
        """
        flat = [matrix.ravel(order="K") for matrix in self._matrices]
        for _ in range(times):
            for values in flat:
                sdot(values, values)
