"""A study of six runs that are not trained: the results of this project have what they measured.

`python -m tests.power_study FOLDER`, from the project, does what is missing of it there.
"""

import sys
from pathlib import Path

import flags
from experiment.settings import PROJECT, Settings
from experiment.studies import definition, runs, study

ASKED = definition.read(PROJECT / "presets/studies/claims.toml")._replace(seeds=1)
JOBS = ASKED.jobs(Settings(), flags.parse)
MEASURED = runs.read(PROJECT / "results/studies/claims")[: len(JOBS)]


def run(folder):
    """Does what is missing of the study. Returns how many runs that were."""
    done = {found["experiment"]: found for found in MEASURED}
    missing = []

    def on_workers(jobs, *_, **__):
        for job in jobs:
            missing.append(job)
            measured = done[job.experiment]
            yield job, {name: value for name, value in measured.items() if name != "experiment"}

    workers, study.on_workers = study.on_workers, on_workers
    try:
        study.run(ASKED, JOBS, folder)
    finally:
        study.on_workers = workers
    return len(missing)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
