"""SIGINT (Ctrl-C) and SIGTERM: they end a run where it can be ended without loss."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupted(BaseException):
    """SIGINT or SIGTERM came; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """Raises `Interrupted` where the signal comes, or waits with it; a second signal ends it all.

    Attributes:
        received: the number of the signal that came while `deferred`, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferred = False
        # Python runs a handler between two of its own instructions, and an epoch in the graph is
        # one; but it tells a pipe of the signal at once.
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell)
        threading.Thread(target=_end_at_the_second, args=(told,), daemon=True).start()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if not self._deferred:
            raise Interrupted(number)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Holds signals back; `check` then says whether there was one."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def check(self) -> None:
        """Raises `Interrupted` if a signal was held back."""
        if self.received is not None:
            raise Interrupted(self.received)


def _end_at_the_second(told: int) -> None:
    os.read(told, 1)
    (number,) = os.read(told, 1)
    os._exit(128 + number)
