"""Does what is missing of a study.

What each run measured is a line of <results_dir>/studies/<study>/runs.jsonl, and the run is not
repeated while that is there. When the last one has ended, what they all show is written beside it.
"""

import contextlib
import importlib
import json
import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiment.settings import Settings, UserError
from experiment.storage.folder import cannot_write, locked, make
from experiment.studies import runs
from experiment.studies.cluster import on_workers
from experiment.studies.definition import ACCURACY, Job, Study
from experiment.training import mnist

SIGNALS = {signal.SIGINT, signal.SIGTERM}


def run(
    study: Study,
    jobs: Sequence[Job],
    folder: Path,
    scheduler: str | None = None,
    *,
    dashboard: bool = False,
) -> None:
    """Does what is missing of a study, and writes what all its runs show.

    Args:
        study: what to do.
        jobs: of it.
        folder: where its results go.
        scheduler: address of the Dask that does the runs; without it, this machine does.
        dashboard: whether to say where Dask's dashboard is.

    Raises:
        UserError: a run fails, no worker is left, the data are missing, or nothing can be written.
    """
    settings = jobs[0].settings
    data = mnist.load(settings.data_dir, allow_other=settings.allow_other_data)
    with locked(folder):
        try:
            make(folder)
            done = _done(runs.read(folder, whole=False), jobs, data.sha_256)

            def in_order() -> list[dict[str, Any]]:
                return [done[_key(job)] for job in jobs if _key(job) in done]

            todo = [job for job in jobs if _key(job) not in done]
            # Without what is no longer part of the study, and a line that was cut off.
            runs.write(folder, in_order())
            with (
                (folder / runs.FILE).open("a") as file,
                tqdm(total=len(jobs), initial=len(done), unit="run", desc=study.name) as bar,
                contextlib.closing(on_workers(todo, data, scheduler, dashboard=dashboard)) as ended,
            ):
                for job, measured in ended:
                    if measured.get(ACCURACY[study.images][0], math.nan) is None:
                        raise UserError(
                            f"{job.experiment} leaves no image held out, and images = held_out: "
                            "lower its --train_images"
                        )
                    if "not_finite" in measured:
                        run_of = f"{job.experiment}, --seed={job.settings.seed}"
                        tqdm.write(f"{run_of}: {measured['not_finite']}", sys.stderr)
                    done[_key(job)] = {"experiment": job.experiment, **measured}
                    file.write(runs.line(done[_key(job)]))
                    file.flush()
                    os.fsync(file.fileno())  # A power cut is not to take it back.
                    bar.update()
                    # Which takes a second, for Matplotlib, while the workers work. A signal waits:
                    # what it raises may be lost within an import.
                    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
                    importlib.import_module("experiment.studies.summary")
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            runs.write(folder, in_order())
            from experiment.studies import summary

            summary.write(study, in_order(), folder)
        except OSError as error:
            raise cannot_write(folder, error) from None


def _key(job: Job) -> tuple[str, str]:
    """What tells a run of a study from every other: its experiment and its settings."""
    return job.experiment, json.dumps(job.settings.numeric())


def _done(
    found: Sequence[dict[str, Any]], jobs: Sequence[Job], data_sha_256: dict[str, str]
) -> dict[tuple[str, str], dict[str, Any]]:
    """What the runs of this study measured on these data, as far as they are done.

    A flag that is newer than a run had, for it, the value that is its default now.
    """
    wanted = {_key(job) for job in jobs}
    defaults = Settings().numeric()
    done = {}
    for measured in found:
        settings = {name: measured.get(name, value) for name, value in defaults.items()}
        key = str(measured.get("experiment")), json.dumps(settings)
        if key in wanted and measured.get("data_sha_256") == data_sha_256:
            done[key] = measured
    return done
