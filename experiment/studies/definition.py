"""A study: every experiment of a file, over many seeds.

[study]            seeds = N, for the seeds 0 to N − 1
images = held_out or test, those that experiments are compared on
[experiments]      name = flags; the path of a --flagfile is taken from the study's folder
[differences]      name = the experiments that it is compared with, seed by seed
"""

import configparser
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from experiment.settings import Settings, UserError

# The share of the images that are right, from metrics.json, and what these images are called.
ACCURACY = {
    "held_out": ("held_out_accuracy", "held out"),
    "test": ("test_accuracy", "test images"),
}


class Job(NamedTuple):
    """One run of a study: the experiment's name, and the settings, seed included."""

    experiment: str
    settings: Settings


class Study(NamedTuple):
    """What a study's file says.

    Attributes:
        path: of the file.
        seeds: how many.
        images: `held_out` or `test`, which of them the experiments are compared on.
        experiments: the flags of each, by its name.
        differences: pairs of experiments; the second is subtracted from the first.
    """

    path: Path
    seeds: int
    images: str
    experiments: dict[str, list[str]]
    differences: list[tuple[str, str]]

    @property
    def name(self) -> str:
        """That of the file, without its ending."""
        return self.path.stem

    def jobs(self, settings: Settings, parse: Callable[[Sequence[str]], Settings]) -> list[Job]:
        """Every experiment with every seed; all experiments of a seed, then those of the next.

        Args:
            settings: whose data its runs use.
            parse: makes settings of a command line, the program's name first.

        Raises:
            UserError: the flags of an experiment make no sense.
        """
        data = [f"--data_dir={settings.data_dir}"]
        if settings.allow_other_data:
            data.append("--allow_other_data")

        def job(name: str, seed: int) -> Job:
            command = [str(self.path), *data, *self.experiments[name], f"--seed={seed}"]
            try:
                its = parse(command)
            except UserError as error:
                raise UserError(f"--study={self.path}, {name}: {error}") from None
            if its.mode == "numpy":
                raise UserError(
                    f"--study={self.path}, {name}: --mode=numpy has no graph, and no study"
                )
            return Job(name, its)

        return [job(name, seed) for seed in range(self.seeds) for name in self.experiments]


def read(path: Path) -> Study:
    """Reads a study. Raises a UserError if the file is missing, or makes no sense."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # Names as they are written.
    try:
        parser.read_string(path.read_text(), source=str(path))
        seeds = parser.getint("study", "seeds")
        images = parser["study"]["images"]
        experiments = {
            name: [
                re.sub("^--flagfile=", f"--flagfile={path.parent}/", flag) for flag in flags.split()
            ]
            for name, flags in parser["experiments"].items()
        }
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
    return Study(path, seeds, images, experiments, differences)
