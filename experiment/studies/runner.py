"""Does the missing runs of a study, then writes its summary.

A run that has ended is a line of <results_dir>/studies/<study>/runs.jsonl, and is not repeated.
"""

import contextlib
import importlib
import json
import math
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiment.errors import UserError
from experiment.settings import Settings
from experiment.storage.folder import cannot_write, locked, make
from experiment.storage.interruption import NUMBERS
from experiment.studies import store
from experiment.studies.cluster import on_workers
from experiment.studies.definition import ACCURACY, Job, Study
from experiment.training import mnist


def run(
    study: Study,
    jobs: Sequence[Job],
    folder: Path,
    scheduler: str | None = None,
    *,
    dashboard: bool = False,
) -> None:
    """Does the missing runs of a study, then writes its summary.

    Args:
        study: from `definition.read`.
        jobs: of the study.
        folder: for the results.
        scheduler: the address of a Dask; None: the cores of this machine.
        dashboard: print the address of Dask's dashboard.

    Raises:
        UserError: a run fails, no worker is left, the data are missing, or a file cannot be
            written.
    """
    settings = jobs[0].settings
    data = mnist.load(settings.data_dir, allow_other=settings.allow_other_data)
    with locked(folder):
        try:
            make(folder)
            completed = completed_runs(store.read(folder, whole=False), jobs, data.sha_256)

            def in_order() -> list[dict[str, Any]]:
                return [completed[_key(job)] for job in jobs if _key(job) in completed]

            todo = [job for job in jobs if _key(job) not in completed]
            # Drops runs that the study no longer asks for, and a line that was cut off.
            store.write(folder, in_order())
            with (
                (folder / store.FILE).open("a") as file,
                tqdm(total=len(jobs), initial=len(completed), unit="run", desc=study.name) as bar,
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
                    completed[_key(job)] = {"experiment": job.experiment, **measured}
                    store.append(file, completed[_key(job)])
                    bar.update()
                    # The import of Matplotlib takes a second, during which the workers go on. A
                    # signal waits: an exception may be lost within an import.
                    signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
                    importlib.import_module("experiment.studies.summary")
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
            store.write(folder, in_order())
            from experiment.studies import summary

            summary.write(study, in_order(), folder)
        except OSError as error:
            raise cannot_write(folder, error) from None


def _key(job: Job) -> tuple[str, str]:
    """The identity of a run: its experiment and its settings."""
    return job.experiment, json.dumps(job.settings.numeric())


def completed_runs(
    runs: Sequence[dict[str, Any]], jobs: Sequence[Job], data_sha_256: dict[str, str]
) -> dict[tuple[str, str], dict[str, Any]]:
    """The completed runs among the jobs, on these data, by `_key`.

    A run that is older than a setting counts as one at that setting's default. One that is older
    than `cpu_seconds` is repeated.
    """
    wanted = {_key(job) for job in jobs}
    defaults = Settings().numeric()
    completed = {}
    for measured in runs:
        settings = {name: measured.get(name, value) for name, value in defaults.items()}
        key = str(measured.get("experiment")), json.dumps(settings)
        timed = "cpu_seconds" in measured
        if key in wanted and timed and measured.get("data_sha_256") == data_sha_256:
            completed[key] = measured
    return completed
