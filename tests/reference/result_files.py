"""Readers of a run's files, independent of the project's."""

import csv
import re

import numpy as np


def read_costs(folder):
    with (folder / "cost.csv").open() as file:
        return np.array([float(row["cost"]) for row in csv.DictReader(file)])


def read_predictions(folder):
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        name: np.array([float(row["probability"]) for row in rows if row["split"] == name])
        for name in ("test", "held_out")
    }


def contents(folder, pattern="*.*"):
    """The files of a run or a study by name, without times, which differ from run to run."""
    return {
        path.name: without_times(path.read_bytes())
        for path in folder.glob(pattern)
        if path.name != "timing.json"
    }


def without_times(lines):
    """Of runs.jsonl and the README of a study, without how long the runs took."""
    return re.sub(rb', "cpu_seconds": [\d.]+|took \d+ minutes', b"", lines)
