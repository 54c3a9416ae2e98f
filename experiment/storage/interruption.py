"""SIGINT (Ctrl-C) and SIGTERM end a run where nothing is lost."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """SIGINT or SIGTERM came; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """Raises `Interrupted` at the first signal, at once or when `check` is called.

    A second signal ends the process at once.

    Attributes:
        received: the number of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferred = False
        # Python calls a handler between two of its own steps, and an epoch in the graph is one
        # step. The system writes the number of a signal to this pipe at once.
        pipe, end = os.pipe()
        os.set_blocking(end, False)
        signal.set_wakeup_fd(end)
        threading.Thread(target=_end_at_the_second, args=(pipe,), daemon=True).start()
        for number in NUMBERS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if not self._deferred:
            raise Interrupted(number)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Holds a signal back until `check`."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def check(self) -> None:
        """Raises `Interrupted` if a signal was held back."""
        if self.received is not None:
            raise Interrupted(self.received)


def _end_at_the_second(pipe: int) -> None:
    os.read(pipe, 1)
    (number,) = os.read(pipe, 1)
    os._exit(128 + number)
