"""A study: every experiment of a TOML file, over many seeds.

seeds = N                       seeds 0 to N − 1
first_seed = M                  optional: seeds M to M + N − 1
images = "held_out"             or "test": the images that experiments are compared on
splits = true                   optional: split_seed = seed
failure_below = 0.9             optional: runs of a lower accuracy are counted as failures
flags = "--flag=value"          optional: for all experiments, after their own
[experiments]
name = "--flag=value"           the path of a --flagfile is relative to the study's folder
[grid.name]
flags = "--flag=value"          optional: of every row
lr_x = [1e-3, 1e-2]             the product of all flags' values makes the rows
"lr_rec lr_x" = [1e-3, 1e-2]    two flags that share a value
[fewer_seeds]
name = K                        only the first K seeds
[differences]
name = "other another"          paired differences, seed by seed
"""

import dataclasses
import itertools
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiment.errors import UserError
from experiment.settings import Settings

# The accuracy in metrics.json, and a name for these images.
ACCURACY = {
    "held_out": ("held_out_accuracy", "held out"),
    "test": ("test_accuracy", "test images"),
}
KEYS = {"seeds", "first_seed", "images", "splits", "failure_below", "flags"}
TABLES = ("experiments", "grid", "fewer_seeds", "differences")
RUNS_MAX = 10_000
# The names of experiments that tables and pictures can show.
NAME = r"[\w.,+=-]{1,200}"


class Job(NamedTuple):
    """One run of a study: the experiment's name, and the settings, seed included."""

    experiment: str
    settings: Settings


class Study(NamedTuple):
    """A study's file.

    Attributes:
        path: of the file.
        seeds: in order.
        images: `held_out` or `test`.
        splits: whether `split_seed` is the seed.
        failure_below: the accuracy below which a run is a failure, or None.
        experiments: flags by name, the rows of the grids included.
        grids: by name, the varied flags of each row, by the row's name.
        fewer_seeds: by name, of experiments that do not have all seeds: how many of the first.
        differences: pairs of experiments; the second is subtracted from the first.
    """

    path: Path
    seeds: range
    images: str
    splits: bool
    failure_below: float | None
    experiments: dict[str, list[str]]
    grids: dict[str, dict[str, list[str]]]
    fewer_seeds: dict[str, int]
    differences: list[tuple[str, str]]

    @property
    def name(self) -> str:
        """The file's, without its ending."""
        return self.path.stem

    def jobs(self, settings: Settings, parse: Callable[[Sequence[str]], Settings]) -> list[Job]:
        """Every experiment with every seed; all experiments of a seed, then those of the next.

        Args:
            settings: `data_dir` and `allow_other_data` are taken from these.
            parse: makes settings of a command line, the program's name first.

        Raises:
            UserError: the flags of an experiment are wrong.
        """
        data = [f"--data_dir={settings.data_dir}"]
        if settings.allow_other_data:
            data.append("--allow_other_data")

        def settings_of(name: str) -> Settings:
            try:
                parsed = parse([str(self.path), *data, *self.experiments[name], "--seed=0"])
            except UserError as error:
                raise UserError(f"--study={self.path}, {name}: {error}") from None
            except SystemExit:
                raise UserError(f"--study={self.path}, {name}: --help is for the command") from None
            if parsed.mode == "numpy":
                raise UserError(
                    f"--study={self.path}, {name}: --mode=numpy has no graph, and no study"
                )
            return parsed

        all_settings = {name: settings_of(name) for name in self.experiments}

        def with_seed(each: Settings, seed: int) -> Settings:
            split_seed = seed if self.splits else each.split_seed
            return dataclasses.replace(each, seed=seed, split_seed=split_seed)

        return [
            Job(name, with_seed(each, seed))
            for position, seed in enumerate(self.seeds)
            for name, each in all_settings.items()
            if position < self.fewer_seeds.get(name, len(self.seeds))
        ]


def _grid(name: str, axes: dict[str, list[Any]]) -> dict[str, list[str]]:
    """The varied flags of each row of a grid, by the row's name, such as dni-rec1e-2-x1e-3."""
    if not all(isinstance(values, list) and values for values in axes.values()):
        raise ValueError(f"grid.{name}: each flag takes a list of values")
    rows = {}
    for values in itertools.product(*axes.values()):
        row = dict(zip(axes, values, strict=True))
        parts = [f"{key.replace('lr_', '').replace(' ', '-')}{row[key]}" for key in row]
        rows["-".join([name, *parts])] = [
            f"--{flag}={value}" for key, value in row.items() for flag in key.split()
        ]
    return rows


def read(path: Path) -> Study:
    """Reads a study. Raises a UserError if the file is missing or is not a study."""
    try:
        # Numbers stay text: they are parts of names.
        content = tomllib.loads(path.read_text("utf-8"), parse_float=str)
        if other := content.keys() - KEYS - set(TABLES):
            raise ValueError(f"{min(other)} is not a key of a study")
        seeds, images = content.get("seeds"), content.get("images")
        first_seed, failure_below = content.get("first_seed", 0), content.get("failure_below")
        own, grid, fewer_seeds, compared = (content.get(table, {}) for table in TABLES)
        experiments = {name: flags.split() for name, flags in own.items()}
        grids = {}
        for name, axes in grid.items():
            flags = axes.pop("flags", "").split()
            grids[name] = _grid(name, axes)
            experiments |= {row: flags + chosen for row, chosen in grids[name].items()}
        experiments = {
            name: [
                re.sub("^--flagfile=", lambda _: f"--flagfile={path.parent}/", flag)
                for flag in (*flags, *content.get("flags", "").split())
            ]
            for name, flags in experiments.items()
        }
        differences = [
            (name, other) for name, others in compared.items() for other in others.split()
        ]
        if strange := [name for name in experiments if not re.fullmatch(NAME, name, re.ASCII)]:
            raise ValueError(f"{strange[0]!r} is not a name of letters, digits and _.,+=-")
        if not isinstance(content.get("splits", False), bool):
            raise ValueError("splits is true or false")
        if type(first_seed) is not int or first_seed < 0:
            raise ValueError("first_seed is a whole number from 0 on")
        failure_below = None if failure_below is None else float(failure_below)
        if type(seeds) is not int or seeds < 1:
            raise UserError(f"--study={path} has seeds = {seeds}: it takes one at least")
        if not experiments:
            raise UserError(f"--study={path} has no experiments")
        if seeds * len(experiments) > RUNS_MAX:
            raise UserError(f"--study={path} has more than {RUNS_MAX} runs: lower its seeds")
        if images not in tuple(ACCURACY):
            raise UserError(f"--study={path} has images = {images}: say {' or '.join(ACCURACY)}")
        if wrong := [n for n, k in fewer_seeds.items() if type(k) is not int or not 0 < k < seeds]:
            raise ValueError(f"fewer_seeds.{wrong[0]} is a whole number from 1 to {seeds - 1}")
        if unknown := set(fewer_seeds) - set(experiments):
            raise UserError(f"--study={path} has fewer_seeds.{min(unknown)}: no experiment of it")
        if unknown := {name for pair in differences for name in pair} - set(experiments):
            raise UserError(f"--study={path} compares {min(unknown)}, which is no experiment of it")
    except OSError as error:
        raise UserError(f"--study={path} cannot be read ({error.strerror})") from None
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--study={path} is not a study ({reason})") from None
    return Study(
        path,
        range(first_seed, first_seed + seeds),
        images,
        content.get("splits", False),
        failure_below,
        experiments,
        grids,
        fewer_seeds,
        differences,
    )
