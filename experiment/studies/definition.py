"""A study: every experiment of a TOML file, over many seeds.

seeds = N                       for the seeds 0 to N − 1
images = "held_out"             or "test": those that experiments are compared on
splits = true                   each seed has a split of its own, too; may be left out
flags = "--flag=value"          for all experiments, after their own; may be left out
[experiments]
name = "--flag=value"           the path of a --flagfile is taken from the study's folder
[grid.name]
flags = "--flag=value"          of every row of the grid; may be left out
lr_x = [1e-3, 1e-2]             a flag's values: a row for each, with each of every other flag
"lr_rec lr_x" = [1e-3, 1e-2]    two flags that share a value
[differences]
name = "other another"          the experiments that it is compared with, seed by seed
"""

import dataclasses
import itertools
import math
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiment.settings import Settings, UserError

# The share of the images that are right, from metrics.json, and what these images are called.
ACCURACY = {
    "held_out": ("held_out_accuracy", "held out"),
    "test": ("test_accuracy", "test images"),
}
TABLES = ("experiments", "grid", "differences")
# More cannot be meant: a run takes seconds.
RUNS_MAX = 10_000
# Of an experiment, as tables and pictures can show it.
NAME = r"[\w.,+=-]{1,200}"


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
        splits: whether each seed has a split of its own.
        experiments: the flags of each, by its name.
        grids: the flags that make the experiments of each, by their names, by its name.
        differences: pairs of experiments; the second is subtracted from the first.
    """

    path: Path
    seeds: int
    images: str
    splits: bool
    experiments: dict[str, list[str]]
    grids: dict[str, dict[str, list[str]]]
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

        def its(name: str) -> Settings:
            try:
                found = parse([str(self.path), *data, *self.experiments[name], "--seed=0"])
            except UserError as error:
                raise UserError(f"--study={self.path}, {name}: {error}") from None
            except SystemExit:
                raise UserError(f"--study={self.path}, {name}: --help is for the command") from None
            if found.mode == "numpy":
                raise UserError(
                    f"--study={self.path}, {name}: --mode=numpy has no graph, and no study"
                )
            return found

        all_settings = {name: its(name) for name in self.experiments}

        def with_seed(found: Settings, seed: int) -> Settings:
            split_seed = seed if self.splits else found.split_seed
            return dataclasses.replace(found, seed=seed, split_seed=split_seed)

        return [
            Job(name, with_seed(found, seed))
            for seed in range(self.seeds)
            for name, found in all_settings.items()
        ]


def _grid(name: str, axes: dict[str, list[Any]]) -> dict[str, list[str]]:
    """The flags that make each row of a grid, by a name of their values: dni-rec1e-2-x1e-3, say."""
    if not all(isinstance(values, list) and values for values in axes.values()):
        raise ValueError(f"grid.{name}: each flag takes a list of values")
    if math.prod(map(len, axes.values())) > RUNS_MAX:
        raise ValueError(f"grid.{name}: it has more than {RUNS_MAX} rows")
    rows = {}
    for values in itertools.product(*axes.values()):
        row = dict(zip(axes, values, strict=True))
        parts = [f"{key.replace('lr_', '').replace(' ', '-')}{row[key]}" for key in row]
        rows["-".join([name, *parts])] = [
            f"--{flag}={value}" for key, value in row.items() for flag in key.split()
        ]
    return rows


def read(path: Path) -> Study:
    """Reads a study. Raises a UserError if the file is missing, or makes no sense."""
    if path.suffix == ".ini":
        raise UserError(f"--study={path}: a study is TOML now, as presets/studies/claims.toml is")
    try:
        # Numbers stay as they are written: they are parts of names.
        found = tomllib.loads(path.read_text("utf-8"), parse_float=str)
        if other := found.keys() - {"seeds", "images", "splits", "flags", *TABLES}:
            raise ValueError(f"it has no use for {min(other)}")
        seeds, images = found.get("seeds"), found.get("images")
        own, grid, compared = (found.get(table, {}) for table in TABLES)
        experiments = {name: flags.split() for name, flags in own.items()}
        grids = {}
        for name, axes in grid.items():
            flags = axes.pop("flags", "").split()
            grids[name] = _grid(name, axes)
            experiments |= {row: flags + chosen for row, chosen in grids[name].items()}
        experiments = {
            name: [
                re.sub("^--flagfile=", lambda _: f"--flagfile={path.parent}/", flag)
                for flag in (*flags, *found.get("flags", "").split())
            ]
            for name, flags in experiments.items()
        }
        differences = [
            (name, other) for name, others in compared.items() for other in others.split()
        ]
        if strange := [name for name in experiments if not re.fullmatch(NAME, name, re.ASCII)]:
            raise ValueError(f"{strange[0]!r} is no name of letters, digits and any of _.,+=-")
        if not isinstance(found.get("splits", False), bool):
            raise ValueError("splits is true or false")
        if type(seeds) is not int or seeds < 1:
            raise UserError(f"--study={path} has seeds = {seeds}: it takes one at least")
        if not experiments:
            raise UserError(f"--study={path} has no experiments")
        if seeds * len(experiments) > RUNS_MAX:
            raise UserError(f"--study={path} has more than {RUNS_MAX} runs: lower its seeds")
        if images not in tuple(ACCURACY):
            raise UserError(f"--study={path} has images = {images}: say {' or '.join(ACCURACY)}")
        if unknown := {name for pair in differences for name in pair} - set(experiments):
            raise UserError(f"--study={path} compares {min(unknown)}, which is no experiment of it")
    except OSError as error:
        raise UserError(f"--study={path} cannot be read ({error.strerror})") from None
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--study={path} is not a study ({reason})") from None
    return Study(path, seeds, images, found.get("splits", False), experiments, grids, differences)
