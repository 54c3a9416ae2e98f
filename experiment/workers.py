"""Runs of a study in processes of their own, one for each core."""

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from experiment.errors import UserError
from flags import Settings

ATTEMPTS = 3


class Job(NamedTuple):
    """One run of a study: the experiment's name, and the settings, seed included."""

    experiment: str
    settings: Settings


class LostError(Exception):
    """A worker died in the middle of a run."""


def on_processes(jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Does each job, as many at a time as there are cores, in no certain order.

    A worker that dies loses its current run, which is done once more.

    Args:
        jobs: what to do.

    Yields:
        A job and the content of its metrics.json, as soon as it is done.

    Raises:
        UserError: a run failed.
    """
    waiting: queue.SimpleQueue[tuple[Job, int]] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[Job, dict[str, Any] | Exception]] = queue.SimpleQueue()
    for job in jobs:
        waiting.put((job, 1))

    def work() -> None:
        worker = Worker()
        while True:
            try:
                job, attempt = waiting.get_nowait()
            except queue.Empty:
                worker.close()
                return
            try:
                ended.put((job, worker.run(job.settings)))
            except LostError as error:
                worker = Worker()
                if attempt < ATTEMPTS:
                    waiting.put((job, attempt + 1))
                else:
                    ended.put((job, error))
            except UserError as error:
                ended.put((job, error))

    for _ in range(min(len(os.sched_getaffinity(0)), len(jobs))):
        threading.Thread(target=work, daemon=True).start()
    for _ in jobs:
        job, result = ended.get()
        if isinstance(result, Exception):
            raise UserError(f"{job.experiment}, --seed={job.settings.seed}: {result}")
        yield job, result


class Worker:
    """A process that does one run after the other; it ends when this one does."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def run(self, settings: Settings) -> dict[str, Any]:
        """Does a run. Raises `LostError`, or what the run raised."""
        try:
            self._pipe.send(settings)
            result = self._pipe.recv()
        except (EOFError, OSError):
            raise LostError("its process died") from None
        if isinstance(result, Exception):
            raise result
        measured: dict[str, Any] = result
        return measured

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join()


def _serve(pipe: Connection) -> None:
    # Ctrl-C reaches this process too; it is for the other one to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from experiment.quiet import import_tensorflow

    import_tensorflow()
    from experiment import metrics, mnist, session, traces

    # The pipe breaks when the other process ends, and so does this one.
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            settings = pipe.recv()
            try:
                data = mnist.load(settings.data_dir, allow_other=settings.allow_other_data)
                split = mnist.split(data, settings)
                outcome = session.run(settings, split)
                trace = traces.find(settings) if data.official else None
                pipe.send(metrics.measure(settings, data, split, outcome, trace))
            except UserError as error:
                pipe.send(error)
