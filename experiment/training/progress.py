"""The progress of a run on the terminal."""

import sys
from types import TracebackType

from tqdm import tqdm

EPOCHS_PER_LINE = 10


class Progress:
    """A bar on a terminal, a line every ten epochs elsewhere."""

    def __init__(self, epochs: int, done: int = 0) -> None:
        """Begins after `done` epochs."""
        self._epochs = epochs
        self._bar = tqdm(
            total=epochs, initial=done, unit="epoch", disable=not sys.stderr.isatty(), leave=False
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    def __call__(self, epoch: int, cost: float) -> None:
        """Shows the epoch, counted from 1, and its cost."""
        if not self._bar.disable:
            self._bar.set_postfix_str(f"cost {cost:.3f}", refresh=False)
            self._bar.update()
        elif epoch % EPOCHS_PER_LINE == 0 or epoch == self._epochs:
            print(f"epoch {epoch} of {self._epochs}: cost {cost:.3f}", flush=True)
