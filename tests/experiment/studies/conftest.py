"""A study of four runs that are not trained."""

from types import SimpleNamespace

import numpy as np
import pytest

import flags
from experiment.evaluation.metrics import measure
from experiment.settings import Settings
from experiment.studies import definition, runner, store
from experiment.training.outcome import History, Outcome

STUDY = """
seeds = 2
images = "held_out"
[experiments]
later = "--mode=auto --wiring=ordered --epochs=2 --train_images=20"
first = "--epochs=2 --train_images=20"
[differences]
later = "first"
"""


def made_up_run(job, split):
    """Half of the images correct with the experiment *first*, and 3 in 4 with *later*."""
    share = {"first": 0.5, "later": 0.75}[job.experiment] + job.settings.seed / 100

    def p(images):
        right = np.arange(len(images.y)) < share * len(images.y)
        return np.where(right == images.y, 0.9, 0.1).astype(np.float32)

    quality = [[0.5, 0.25, 1.5, 1.0, 0.5, 0.5]] * 2 if job.settings.mode == "manual" else []
    history = History([2.0, 1.0], quality, seconds=0.5)
    measured = measure(
        job.settings, split, Outcome(history, p(split.test), p(split.held_out)), None
    )
    return {**measured, "quality": quality, "cpu_seconds": 900}


@pytest.fixture
def study(tmp_path, split, monkeypatch):
    """The study: definition, jobs, folder; `run()` does the missing runs, noted in `jobs_done`."""
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    defined = definition.read(path)
    jobs, folder, jobs_done = defined.jobs(Settings(), flags.parse), tmp_path / "small", []

    def on_workers(todo, *_, **__):
        for job in todo:
            jobs_done.append(job)
            yield job, made_up_run(job, split)

    monkeypatch.setattr(runner, "on_workers", on_workers)
    return SimpleNamespace(
        definition=defined,
        jobs=jobs,
        folder=folder,
        jobs_done=jobs_done,
        run=lambda: runner.run(defined, jobs, folder),
        runs=lambda: store.read(folder),
    )
