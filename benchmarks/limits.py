"""The time of a training step's memory accesses alone, by two threads.

NumPy reads by products of a matrix and a row, and rewrites by adding a number in place; both reach
the bandwidth of a core, and neither holds Python's lock. Each thread has half of every matrix.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from graph.weights import Weights

THREADS = 2


class Limits:
    """The four matrices of a step, in halves."""

    def __init__(self, initial: Weights) -> None:
        matrices = initial.w_x, initial.w_rec, initial.w_sg_1, initial.w_sg_2
        self._row = np.full(len(initial.w_x), 1e-3, np.float32)
        self._parts = list(
            zip(*(map(np.copy, np.array_split(w, THREADS)) for w in matrices), strict=True)
        )
        self._pool = ThreadPoolExecutor(THREADS)

    def read(self, steps: int) -> None:
        """Reads every matrix once per step, as a step that delays its updates must."""

        def of_thread(thread: int) -> None:
            for _ in range(steps):
                for part in self._parts[thread]:
                    part @ self._row

        list(self._pool.map(of_thread, range(THREADS)))

    def rewrite(self, steps: int) -> None:
        """Reads six matrices per step (Wrec three times) and rewrites four: a plain step."""

        def of_thread(thread: int) -> None:
            w_x, w_rec, w_sg_1, w_sg_2 = self._parts[thread]
            for _ in range(steps):
                for part in (w_x, w_rec, w_rec, w_sg_1, w_sg_2, w_rec):
                    part @ self._row
                for part in (w_rec, w_x, w_sg_1, w_sg_2):
                    part += 1e-9

        list(self._pool.map(of_thread, range(THREADS)))
