"""Runs of a study, in processes of their own: one for each core, or for each TensorFlow server.

A process that has a server builds the graph and feeds it; its Session is on the server.
"""

import contextlib
import multiprocessing
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Generator, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from tqdm import tqdm

from experiment.settings import Settings, UserError
from experiment.studies.definition import Job

ATTEMPTS = 3
# Between two signs of life lies an epoch, or all that comes before the first or after the last: a
# few seconds, ten times that on a slow machine, and more if it has other work.
SILENCE = 300  # seconds
CONNECT = 10  # seconds


class LostError(Exception):
    """A worker was lost in the middle of a run; the text says how."""


class Lost(NamedTuple):
    """A server that was lost, and how."""

    address: str
    reason: str


def on_workers(
    jobs: Sequence[Job], addresses: Sequence[str] = ()
) -> Generator[tuple[Job, dict[str, Any]]]:
    """Does each job, on all workers at a time, in no certain order, until it is closed.

    A worker that is lost loses its current run, which is done once more. A process of this
    machine is replaced; a server gets no more runs.

    Args:
        jobs: what to do.
        addresses: of TensorFlow servers; without any, the workers are the cores of this machine.

    Yields:
        A job and the content of its metrics.json, as soon as it is done.

    Raises:
        UserError: a run failed, or no server is left.
    """
    waiting: queue.SimpleQueue[tuple[Job, int] | None] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[Job, dict[str, Any] | Exception] | Lost] = queue.SimpleQueue()
    for job in jobs:
        waiting.put((job, 1))
    # Whoever is interrupted ends the processes too. They are not lost then, and none is to be begun
    # that could not get what it needs from this one any more.
    starting, over = threading.Lock(), threading.Event()

    def work(address: str | None) -> None:
        worker = None
        while (todo := waiting.get()) is not None:
            job, attempt = todo
            try:
                with starting:
                    if over.is_set():
                        return
                    worker = worker or Worker(address)
                ended.put((job, worker.run(job.settings)))
            except LostError as error:
                worker = None
                if attempt < ATTEMPTS:
                    waiting.put((job, attempt + 1))
                else:
                    ended.put((job, error))
                if address is not None:
                    ended.put(Lost(address, str(error)))
                    return
            except UserError as error:
                ended.put((job, error))
        if worker is not None:
            worker.close()

    workers: Sequence[str | None] = addresses or [None] * _cores()
    for address in workers:
        threading.Thread(target=work, args=(address,), daemon=True).start()
    left, undone = len(workers), len(jobs)
    try:
        while undone:
            end = ended.get()
            if isinstance(end, Lost):
                left -= 1
                if not left:
                    raise UserError(
                        f"{end.address} is lost ({end.reason}), and no other worker is left: start "
                        "them again, and the same command goes on"
                    )
                tqdm.write(f"{end.address} is lost ({end.reason}): others do its runs", sys.stderr)
                continue
            job, result = end
            if isinstance(result, Exception):
                raise UserError(f"{job.experiment}, --seed={job.settings.seed}: {result}")
            undone -= 1
            yield job, result
    finally:
        with starting:
            over.set()
        for _ in workers:
            waiting.put(None)


class Worker:
    """A process that does one run after the other; it ends when this one does."""

    def __init__(self, address: str | None) -> None:
        """Starts it.

        Args:
            address: of the TensorFlow server that its Sessions are on; None: they are its own.

        Raises:
            LostError: the system gives no process.
        """
        self._address = address
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, address), daemon=True)
        try:
            self._process.start()
        except OSError as error:
            raise LostError(f"no process can be started: {error.strerror or error}") from None
        theirs.close()

    def run(self, settings: Settings) -> dict[str, Any]:
        """Does a run. Raises what the run raised, or `LostError`: then there is no worker left."""
        try:
            self._pipe.send(settings)
            while (result := self._receive()) is None:
                pass
        except (EOFError, OSError):
            result = LostError("its process died")
        if isinstance(result, LostError):
            # It may hang, and not see that the pipe is closed.
            self._process.kill()
            self.close()
        if isinstance(result, Exception):
            raise result
        measured: dict[str, Any] = result
        return measured

    def _receive(self) -> Any:
        # Second by second, of which none passes while this process is stopped, by Ctrl-Z say: the
        # worker may have been stopped with it.
        for _ in range(SILENCE):
            if self._pipe.poll(1):
                return self._pipe.recv()
            # TensorFlow would go on waiting for a server that is no longer there.
            if self._address is not None:
                try:
                    _connect(self._address)
                except LostError as error:
                    return error
        return LostError(f"it has been silent for {SILENCE} seconds")

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join()


def _work(pipe: Connection, address: str | None) -> None:
    """Does the runs whose settings come through the pipe; None, sent back, is a sign of life."""
    # Ctrl-C reaches this process too; it is for the other one to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from experiment.training.startup import import_tensorflow

    import_tensorflow()
    import tensorflow.compat.v1 as tf

    from experiment.evaluation.run import run
    from experiment.training import mnist

    # The pipe breaks when the other process ends, and so does this one.
    with contextlib.suppress(EOFError, BrokenPipeError):
        pipe.send(None)
        while True:
            settings = pipe.recv()
            try:
                data = mnist.load(settings.data_dir, allow_other=settings.allow_other_data)
                split = mnist.split(data, settings)
                if address is not None:
                    _connect(address)
                _, measured, _ = run(
                    settings,
                    split,
                    observe=lambda history, running: pipe.send(None),
                    target=f"grpc://{address}" if address is not None else "",
                    alone=False,
                )
                pipe.send(measured)
            except (UserError, LostError) as error:
                pipe.send(error)
            except tf.errors.OpError as error:
                if address is None:
                    raise
                pipe.send(LostError(error.message.strip().splitlines()[-1]))


def _cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # on macOS


def _connect(address: str) -> None:
    """Raises `LostError` if nobody answers at once: TensorFlow would wait without end."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), CONNECT).close()
    except (OSError, UnicodeError) as error:  # a UnicodeError: a name that no host can have
        raise LostError(getattr(error, "strerror", None) or str(error)) from None
