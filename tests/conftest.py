"""Fixtures of all tests, and the options of the campaigns (tests/README.md)."""

import json
import math
from pathlib import Path

import pytest

from experiment.training.startup import fix_rounding

fix_rounding()  # as in reproduce.py, before NumPy is imported

from experiment.markdown import markdown
from experiment.settings import PROJECT, Settings
from experiment.training import mnist


def pytest_addoption(parser):
    parser.addoption(
        "--kills", type=int, default=1, help="of each kind of run, a tenth of studies; power cuts"
    )
    parser.addoption(
        "--kill_seconds", type=float, default=math.inf, help="for each kind, and for power cuts"
    )
    parser.addoption("--campaign", type=Path, help="folder that keeps the progress of the kills")
    parser.addoption("--inputs", type=int, default=200, help="by Hypothesis; by Atheris, 8 times")
    parser.addoption("--failures", type=Path, help="file for the table of the campaigns")


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """Prints the rows of the `outcome` fixture as a table, and writes it if no test failed."""
    path = config.getoption("failures")
    if path is None:
        return
    counts = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, row in report.user_properties:
            if name == "outcome":
                failure, then, count = row
                counts.setdefault((failure, then), []).append(count)
    rows = [(*row, "; ".join(counts[row])) for row in sorted(counts)]
    text = markdown(("failure", "outcome", "tried"), rows)
    terminalreporter.write(f"\n{text}\n")
    if exitstatus == 0:
        path.write_text(text)


@pytest.fixture
def outcome(record_property):
    """Notes a row of the table of `make failures`: the failure, its outcome, the tries."""
    return lambda failure, then, tries: record_property("outcome", (failure, then, tries))


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
