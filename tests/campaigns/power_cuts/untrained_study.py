"""A study of six runs that are not trained: their measurements are those of this project's results.

python -m tests.campaigns.power_cuts.untrained_study FOLDER
"""

import sys
from pathlib import Path
from unittest import mock

import flags
from experiment.settings import PROJECT, Settings
from experiment.studies import definition, runner, store

STUDY = definition.read(PROJECT / "presets/studies/claims.toml")._replace(seeds=range(1))
JOBS = STUDY.jobs(Settings(), flags.parse)
MEASURED = {
    run.pop("experiment"): run
    for run in store.read(PROJECT / "results/studies/claims")[: len(JOBS)]
}


def run(folder):
    """Does the missing runs of the study in a folder; returns their number."""
    missing = []

    def on_workers(jobs, *_, **__):
        for job in jobs:
            missing.append(job)
            yield job, MEASURED[job.experiment]

    with mock.patch.object(runner, "on_workers", on_workers):
        runner.run(STUDY, JOBS, folder)
    return len(missing)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
