import csv
import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from copies import PROJECT

from experiment.training.startup import fix_rounding

fix_rounding()  # as in reproduce.py

import numpy as np

from experiment.markdown import markdown
from experiment.settings import Settings
from experiment.training import mnist


def pytest_addoption(parser):
    parser.addoption(
        "--kills", type=int, default=1, help="of each kind of run, a tenth of studies; power cuts"
    )
    parser.addoption(
        "--kill_seconds", type=float, default=math.inf, help="for each kind, and for power cuts"
    )
    parser.addoption("--campaign", type=Path, help="folder that knows how far test_kills.py is")
    parser.addoption("--inputs", type=int, default=400, help="by hypothesis; by atheris, 8 times")
    parser.addoption("--faults", type=Path, help="file to write its table to")


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """Prints what tests of faults tried, if `--faults` asks for it; writes it if all is well."""
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
    if exitstatus == 0:  # neither failed nor stopped
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


@pytest.fixture
def tried(record_property):
    """Notes for the table of `make faults`: what went wrong, what happens then, how often."""
    return lambda fault, then, count: record_property("tried", (fault, then, count))


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
