"""A study: every experiment of a file, over many seeds.

    [study]            seeds = N, for the seeds 0 to N − 1
                       images = held_out or test, those that experiments are compared on
    [experiments]      name = flags; the path of a --flagfile is taken from the study's folder
    [differences]      name = the experiments that it is compared with, seed by seed

What each run measured is a line of <results_dir>/studies/<study>/runs.jsonl, and the run is not
repeated while that is there. When the last one has ended, what they all show is written beside it.
"""

import configparser
import contextlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

import flags
from experiment import mnist, results
from experiment.comparison import markdown
from experiment.errors import UserError
from experiment.folder import cannot_write, locked, write_whole
from experiment.metrics import RESAMPLES, spread
from experiment.workers import Job, on_workers
from flags import Settings

RUNS = "runs.jsonl"
# The share of the images that are right, from metrics.json, and what these images are called.
ACCURACY = {
    "held_out": ("held_out_accuracy", "held out"),
    "test": ("test_accuracy", "test images"),
}


class Study(NamedTuple):
    """What a study's file says.

    Attributes:
        name: of the file, without its ending.
        images: `held_out` or `test`, which of them the experiments are compared on.
        jobs: every experiment with every seed; all experiments of a seed, then those of the next.
        differences: pairs of experiments; the second is subtracted from the first.
    """

    name: str
    images: str
    jobs: list[Job]
    differences: list[tuple[str, str]]


def read(path: Path, settings: Settings) -> Study:
    """Reads a study.

    Args:
        path: of its file.
        settings: whose folders its runs use.

    Raises:
        UserError: the file is missing, or makes no sense.
    """
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # Names as they are written.
    try:
        parser.read_string(path.read_text(), source=str(path))
        seeds = parser.getint("study", "seeds")
        images = parser["study"]["images"]
        experiments = dict(parser["experiments"])
        differences = [
            (name, other)
            for name, others in parser["differences"].items()
            for other in others.split()
        ]
    except OSError as error:
        raise UserError(f"--study={path} cannot be read ({error.strerror})") from None
    except (configparser.Error, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--study={path} is not a study ({reason})") from None
    if seeds < 1:
        raise UserError(f"--study={path} has seeds = {seeds}: it takes one at least")
    if not experiments:
        raise UserError(f"--study={path} has no experiments")
    if images not in ACCURACY:
        raise UserError(f"--study={path} has images = {images}: say {' or '.join(ACCURACY)}")
    if unknown := {name for pair in differences for name in pair} - set(experiments):
        raise UserError(f"--study={path} compares {min(unknown)}, which is no experiment of it")
    data = [f"--data_dir={settings.data_dir}"]
    if settings.allow_other_data:
        data.append("--allow_other_data")

    def job(name: str, seed: int) -> Job:
        own = [
            re.sub("^--flagfile=", f"--flagfile={path.parent}/", flag)
            for flag in experiments[name].split()
        ]
        try:
            its = flags.parse([str(path), *data, *own, f"--seed={seed}"])
        except UserError as error:
            raise UserError(f"--study={path}, {name}: {error}") from None
        if its.mode == "numpy":
            raise UserError(f"--study={path}, {name}: --mode=numpy has no graph, and no study")
        return Job(name, its)

    jobs = [job(name, seed) for seed in range(seeds) for name in experiments]
    return Study(path.stem, images, jobs, differences)


def run(study: Study, folder: Path, addresses: Sequence[str]) -> None:
    """Does what is missing of a study, and writes what all its runs show.

    Args:
        study: what to do.
        folder: where its results go.
        addresses: of the TensorFlow servers that do the runs; without any, this machine does.

    Raises:
        UserError: a run fails, no server is left, the data are missing, or nothing can be written.
    """
    settings = study.jobs[0].settings
    data = mnist.load(settings.data_dir, allow_other=settings.allow_other_data)
    with locked(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            done = _read_runs(folder / RUNS, study, data.sha_256)
            todo = [job for job in study.jobs if _key(job) not in done]
            # Without what is no longer part of the study, and a line that was cut off.
            _write_runs(folder / RUNS, study, done)
            total, begun = len(study.jobs), len(done)
            with (
                (folder / RUNS).open("a") as file,
                tqdm(total=total, initial=begun, unit="run", desc=study.name) as bar,
                contextlib.closing(on_workers(todo, addresses)) as ended,
            ):
                for job, measured in ended:
                    if measured[ACCURACY[study.images][0]] is None:
                        raise UserError(
                            f"{job.experiment} leaves no image held out, and images = held_out: "
                            "lower its --train_images"
                        )
                    done[_key(job)] = {"experiment": job.experiment, **measured}
                    file.write(json.dumps(done[_key(job)]) + "\n")
                    file.flush()
                    bar.update()
            _write_runs(folder / RUNS, study, done)
            write(study, [done[_key(job)] for job in study.jobs], folder)
        except OSError as error:
            raise cannot_write(folder, error) from None


def _key(job: Job) -> tuple[str, str]:
    """What tells a run of a study from every other: its experiment and its settings."""
    return job.experiment, json.dumps(job.settings.numeric())


def _read_runs(
    path: Path, study: Study, data_sha_256: dict[str, str]
) -> dict[tuple[str, str], dict[str, Any]]:
    """What the runs of this study measured on these data, as far as they are done.

    A flag that is newer than a run had, for it, the value that is its default now.
    """
    wanted = {_key(job) for job in study.jobs}
    defaults = Settings().numeric()
    done = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            measured = json.loads(line)
            settings = {name: measured.get(name, value) for name, value in defaults.items()}
            key = measured["experiment"], json.dumps(settings)
            its_data = measured["data_sha_256"]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        if key in wanted and its_data == data_sha_256:
            done[key] = measured
    return done


def _write_runs(path: Path, study: Study, done: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Writes what is done, in the order of the study."""
    keys = [_key(job) for job in study.jobs]
    write_whole(path, "".join(json.dumps(done[key]) + "\n" for key in keys if key in done))


def figures(runs: Sequence[dict[str, Any]], name: str) -> dict[str, npt.NDArray[np.float64]]:
    """One figure of metrics.json, for each experiment [seeds]; NaN where it has none."""
    values: dict[str, list[float]] = {}
    for measured in runs:
        values.setdefault(measured["experiment"], []).append(measured.get(name, np.nan))
    return {experiment: np.array(found, float) for experiment, found in values.items()}


def compared(
    study: Study, accuracy: dict[str, npt.NDArray[np.float64]]
) -> dict[str, npt.NDArray[np.float64]]:
    """Each of the study's differences, by its name, seed by seed, [seeds]."""
    return {f"{one} − {other}": accuracy[one] - accuracy[other] for one, other in study.differences}


def _mean(values: npt.NDArray[np.float64], form: str) -> str:
    """The mean of values [seeds] with its interval, or a dash where there are none."""
    if np.isnan(values).any():
        return "–"
    found = spread(values)
    return f"{found.mean:{form}} ({found.low:{form}} to {found.high:{form}})"


def table(study: Study, runs: Sequence[dict[str, Any]]) -> str:
    """What all runs of a study show, and what the differences are: two tables in Markdown.

    Args:
        study: that the runs are of.
        runs: what each measured, experiment and metrics.json, in the order of the study.
    """
    figure, called = ACCURACY[study.images]
    accuracy = figures(runs, figure)
    first, last = figures(runs, "cost_first"), figures(runs, "cost_last")
    columns = {f"{called} right, mean (95 %)": {n: _mean(v, ".1%") for n, v in accuracy.items()}}
    deviations = {name: spread(values).deviation for name, values in accuracy.items()}
    columns["standard deviation, points"] = {
        name: "–" if np.isnan(value) else f"{100 * value:.1f}" for name, value in deviations.items()
    }
    columns["cost, first → last epoch"] = {
        name: f"{first[name].mean():.3f} → {last[name].mean():.3f}" for name in accuracy
    }
    if study.images == "held_out":
        right, total = figures(runs, "test_correct"), runs[0]["test_total"]
        columns[f"of {total} test images right"] = {n: _mean(v, ".1f") for n, v in right.items()}
    for box in (1, 2):
        cosines = figures(runs, f"cosine_{box}_last")
        columns[f"cosine (ĝ, t), time box {box}"] = {n: _mean(v, ".2f") for n, v in cosines.items()}
    experiments = markdown(
        ("experiment", *columns),
        [(name, *(column[name] for column in columns.values())) for name in accuracy],
    )
    if not study.differences:
        return experiments
    differences = []
    for name, by_seed in compared(study, accuracy).items():
        found = spread(by_seed)
        differences.append(
            (
                name,
                f"{100 * found.mean:+.2f}",
                f"{100 * found.low:+.2f} to {100 * found.high:+.2f}",
                f"{np.sum(by_seed > 0)} of {len(by_seed)}",
            )
        )
    header = ("difference, seed by seed", f"points {called}, mean", "95 %", "the first better")
    return f"{experiments}\n{markdown(header, differences)}"


def write(study: Study, runs: Sequence[dict[str, Any]], folder: Path) -> None:
    """Writes table.md, README.md, points.png and points.svg to `folder`; the rest as in `table`."""
    figure, called = ACCURACY[study.images]
    accuracy = figures(runs, figure)
    text = table(study, runs)
    write_whole(folder / "table.md", text)
    write_whole(
        folder / "README.md",
        f"# The study *{study.name}*: {len(next(iter(accuracy.values())))} seeds\n\n"
        "Written by `make studies`. Each seed draws other initial values; the images are the same. "
        "Means are over the seeds; their 95 % intervals are by bootstrap "
        f"({RESAMPLES:,} resamples of the seeds), those of the differences too, which are taken "
        "seed by seed. The cosine is that of the synthetic gradient ĝ and the true one, t, after "
        f"the last epoch.\n\n{text}\n![{called}: accuracy of every run](points.png)\n",
    )
    draw(folder / "points", accuracy, called)


def draw(path: Path, accuracy: dict[str, npt.NDArray[np.float64]], called: str) -> None:
    """The accuracy of every run, and the mean of each experiment with its interval."""
    seeds = len(next(iter(accuracy.values())))
    with results.drawing(path, 8, 0.45 * len(accuracy) + 1.9) as figure:
        figure.suptitle(f"Share of images right ({called}), {seeds} seeds")
        axes = figure.add_subplot()
        for row, values in enumerate(accuracy.values()):
            # One above the other, so that no point hides behind another.
            heights = row + np.linspace(-0.3, 0.3, len(values))
            found = spread(values)
            ends = [100 * found.low, 100 * found.high]
            color = results.VERMILION
            axes.plot(100 * values, heights, ".", color=results.BLUE, markersize=4, label="a run")
            axes.plot(100 * found.mean, row, "|", color=color, markersize=16, label="mean")
            axes.plot(ends, [row, row], color=color, linewidth=3, label="its 95 % interval")
        axes.set_yticks(range(len(accuracy)), list(accuracy))
        axes.set_ylim(len(accuracy) - 0.4, -0.6)
        axes.set_xlabel("images right, %")
        # One row's parts stand for those of all.
        figure.legend(handles=axes.lines[:3], loc="outside lower center", ncols=3)
