"""The plan of the study: tasks, update rules, tries of the rates, and the runs that they make.

Every rule is tuned on images that are not held out, then measured with other seeds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiment.storage.result_errors import reading
from experiment.studies import store
from experiment.training.many_boxes import Run


class Task(NamedTuple):
    """A task: T of each of its networks, H, and the epochs that these are trained for."""

    time_boxes: tuple[int, ...]
    hidden_units: int
    epochs: int


TASKS = {"strips": Task((4, 7, 14, 28), 64, 20), "delay": Task((2, 5, 9, 17, 33), 32, 15)}


class Rule(NamedTuple):
    """An update rule of the time boxes.

    Attributes:
        title: in tables and figures.
        module_input: as in `Run`.
        tuned: the fields of `Run` that are tuned; those of `RANGES` that are not among them are 0.
    """

    title: str
    module_input: str
    tuned: tuple[str, ...]


# Rules whose graph is the same come one after the other.
RULES = {
    "bptt": Rule("back-propagation through time", "", ("lr_rec", "lr_x")),
    "truncated": Rule("truncated", "", ("lr_rec", "lr_x")),
    "readout": Rule("readout only", "", ("lr_x",)),
    "cdni": Rule("synthetic, with the label", "state+label", ("lr_rec", "lr_x", "lr_sg")),
    "dni": Rule("synthetic, without the label", "state", ("lr_rec", "lr_x", "lr_sg")),
    "label-only": Rule("synthetic, from the label alone", "label", ("lr_rec", "lr_x", "lr_sg")),
    "random": Rule("random, one vector a label", "label", ("lr_rec", "lr_x", "sg_deviation")),
}
IN_WINDOWS = [rule for rule in RULES if rule not in ("bptt", "readout")]


class Cell(NamedTuple):
    """A rule (of `RULES`) on a task, with T and K; each cell is tuned alone."""

    task: str
    time_boxes: int
    window: int
    rule: str

    @property
    def name(self) -> str:
        """The task, T, K if it is neither 1 nor T, and the rule."""
        window = f"-K{self.window}" if self.window not in (1, self.time_boxes) else ""
        return f"{self.task}-{self.time_boxes}{window}-{self.rule}"


CELLS = [
    Cell(name, time_boxes, time_boxes if rule == "bptt" else 1, rule)
    for name, task in TASKS.items()
    for time_boxes in task.time_boxes
    for rule in RULES
] + [Cell("strips", 28, 4, rule) for rule in IN_WINDOWS]

# Every cell gets the same number of tries: first over these ranges, with one seed; then the best of
# them and others within a factor of `NARROW` of it, with three. The best of these is chosen.
RANGES = {
    "lr_rec": (2e-3, 0.2),
    "lr_x": (5e-3, 0.3),
    "lr_sg": (1e-3, 0.1),
    "sg_deviation": (1e-3, 1.0),
}
WIDE_TRIES, NARROW_TRIES, NARROW = 16, 8, 3
TUNING_SEEDS, SEEDS = (100, 101, 102), range(10)
COMPARED = "strips", 28  # In these cells the gradients are compared with the true ones.

Rates = dict[str, float]
Measured = dict[Run, dict[str, Any]]


class Job(NamedTuple):
    """A run, and the name of its cell."""

    experiment: str
    settings: Run


def points(number: int, seed: int) -> list[dict[str, float]]:
    """Points of a Latin hypercube, a coordinate from 0 to 1 for each of `RANGES`."""
    random = np.random.RandomState(seed)
    columns = [(random.permutation(number) + random.rand(number)) / number for _ in RANGES]
    return [dict(zip(RANGES, point, strict=True)) for point in zip(*columns, strict=True)]


def wide(cell: Cell) -> list[Rates]:
    """The first tries, log-uniform over `RANGES`."""
    return [
        {
            name: _rounded(RANGES[name][0] * (RANGES[name][1] / RANGES[name][0]) ** point[name])
            for name in RULES[cell.rule].tuned
        }
        for point in points(WIDE_TRIES, seed=0)
    ]


def narrow(cell: Cell, measured: Measured) -> list[Rates]:
    """The best of the first tries, and more, log-uniform about it."""
    centre = best(cell, wide(cell), TUNING_SEEDS[:1], measured)
    around = [
        {name: _rounded(rate * NARROW ** (2 * point[name] - 1)) for name, rate in centre.items()}
        for point in points(NARROW_TRIES - 1, seed=1)
    ]
    return [centre, *around]


def _rounded(rate: float) -> float:
    """Three digits."""
    return float(f"{rate:.3g}")


def runs_of(cell: Cell, rates: Rates, seeds: Sequence[int], images: str) -> list[Run]:
    """The runs of a cell at these rates, one for each seed."""
    task = TASKS[cell.task]
    module_input = RULES[cell.rule].module_input
    compared = bool(module_input) and images == "held_out" and cell[:2] == COMPARED
    return [
        Run(
            cell.task, cell.time_boxes, cell.window, module_input, task.hidden_units, task.epochs,
            seed, images, compared=compared, **{"lr_rec": 0.0, **rates},
        )
        for seed in seeds
    ]  # fmt: skip


def score(cell: Cell, rates: Rates, seeds: Sequence[int], measured: Measured) -> float:
    """The mean share of test images that are correct."""
    runs = [measured[run] for run in runs_of(cell, rates, seeds, "test")]
    return float(np.mean([run["correct"] / run["total"] for run in runs]))


def best(cell: Cell, tries: Sequence[Rates], seeds: Sequence[int], measured: Measured) -> Rates:
    """The rates with the best score."""
    return max(tries, key=lambda rates: score(cell, rates, seeds, measured))


def chosen(cell: Cell, measured: Measured) -> Rates:
    """The rates of a cell that is tuned."""
    return best(cell, narrow(cell, measured), TUNING_SEEDS, measured)


def phases(measured: Measured) -> Iterator[list[Job]]:
    """The jobs of the study in three phases; the measurements of a phase decide the next."""

    def jobs(runs: Callable[[Cell], Iterable[Run]]) -> list[Job]:
        return [Job(cell.name, run) for cell in CELLS for run in runs(cell)]

    def tuning(cell: Cell, tries: Sequence[Rates], seeds: Sequence[int]) -> list[Run]:
        return [run for rates in tries for run in runs_of(cell, rates, seeds, "test")]

    yield jobs(lambda cell: tuning(cell, wide(cell), TUNING_SEEDS[:1]))
    yield jobs(lambda cell: tuning(cell, narrow(cell, measured), TUNING_SEEDS))
    yield jobs(lambda cell: runs_of(cell, chosen(cell, measured), SEEDS, "held_out"))


def total() -> int:
    """The number of runs."""
    tuning = WIDE_TRIES + NARROW_TRIES * len(TUNING_SEEDS) - 1  # One try is both wide and narrow.
    return len(CELLS) * (tuning + len(SEEDS))


def read(folder: Path) -> Measured:
    """The measurements of the runs that have ended. Raises a UserError if their file is damaged."""
    with reading(folder / store.FILE, "make studies"):
        return {
            Run(**{name: run[name] for name in Run._fields}): run
            for run in store.read(folder, whole=False)
        }
