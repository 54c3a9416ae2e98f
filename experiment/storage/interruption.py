"""SIGINT (Ctrl-C) and SIGTERM end a run where nothing is lost."""

import contextlib
import signal
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
        for number in NUMBERS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        for each in NUMBERS:
            signal.signal(each, signal.SIG_DFL)
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
