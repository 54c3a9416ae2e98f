import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from experiment.training.startup import fix_rounding

fix_rounding()  # as in reproduce.py

import numpy as np

from experiment.markdown import markdown
from experiment.settings import Settings
from experiment.training import mnist

PROJECT = Path(__file__).parent.parent


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=4, help="of test_nothing_lost.py")
    parser.addoption("--inputs", type=int, default=400, help="of test_nothing_lost.py")
    parser.addoption("--faults", type=Path, help="file to write its table to")


def pytest_terminal_summary(terminalreporter, config):
    """Prints and writes what test_nothing_lost.py tried, if `--faults` asks for it."""
    path = config.getoption("faults")
    if path is None:
        return
    counts = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, row in report.user_properties:
            if name == "tried":
                fault, then, count = row
                counts.setdefault((fault, then), []).append(count)
    rows = [(*row, "; ".join(counts[row])) for row in sorted(counts)]
    text = markdown(("what goes wrong", "what happens", "tried"), rows)
    terminalreporter.write(f"\n{text}\n")
    if not terminalreporter.stats.get("failed"):
        path.write_text(text)


def free_port():
    """A port of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


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


@pytest.fixture(scope="session")
def split():
    """The post's split."""
    settings = Settings()
    return mnist.split(mnist.load(settings.data_dir), settings)


@pytest.fixture(scope="session")
def recorded():
    """The recorded runs of the post's program, as they are on file, by mode."""
    return {
        mode: json.loads((PROJECT / f"traces/tf15-published-{mode}.json").read_text())
        for mode in ("manual", "auto")
    }


@pytest.fixture(scope="session")
def reproduce():
    """Runs the command as a user does, from a folder that is not the project's."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, PROJECT / "reproduce.py", *map(str, arguments)],
            cwd="/",
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )

    return run
