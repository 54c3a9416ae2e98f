"""The sentences about the study of update rules, beside its runs."""

import json
import re
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from experiment.report import experiments, tables
from experiment.settings import PROJECT

RUNS = PROJECT / "results/studies/rules/runs.jsonl"


@pytest.fixture(scope="module")
def accuracy():
    """The held-out accuracy in percent of each experiment, [seeds]."""
    by_name = {}
    for line in RUNS.read_text().splitlines():
        run = json.loads(line)
        by_name.setdefault(run["experiment"], []).append(100 * run["held_out_accuracy"])
    return {name: np.array(values) for name, values in by_name.items()}


def test_make_reproduce_goes_on_and_ends_with_what_fails(monkeypatch, capsys):
    fails = "ordered-manual"
    monkeypatch.setattr(
        experiments, "ALL", {"numpy": "--mode=numpy", "a/b": "--epochs=2", fails: "", "last": ""}
    )
    commands = []

    def run(command, **_):
        commands.append(command[2:])
        return SimpleNamespace(returncode=3 if command[2:] == ["--resume"] else 0)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit) as ended:
        experiments.make()
    assert ended.value.code == 3
    assert commands == [
        ["--mode=numpy"], ["--epochs=2", "--results_dir=results/a", "--resume"], ["--resume"],
    ]  # fmt: skip
    assert capsys.readouterr().out.splitlines() == [
        "1 of 4: numpy", "2 of 4: a/b", f"3 of 4: {fails}",
    ]  # fmt: skip


def test_the_result_is_that_of_the_runs(accuracy):
    text = (PROJECT / "results/learning.md").read_text()
    readout, bptt = accuracy["readout-100"], accuracy["bptt"]
    figures = [
        readout,
        accuracy["cdni"] - readout,
        accuracy["cdni"] - bptt,
        accuracy["dni"] - readout,
    ]
    parts = re.findall(r"([-+\d.]+)(?: %)? \(95 % CI ([-+\d.]+) to ([-+\d.]+), \d+ seeds\)", text)
    for part, values in zip(parts, figures, strict=True):
        interval = stats.bootstrap([values], np.mean, method="percentile").confidence_interval
        assert [float(number) for number in part] == pytest.approx(
            [values.mean(), interval.low, interval.high], abs=0.06
        )


def test_the_limit_is_that_of_the_longest_input():
    words = tables.limit(tables.TASK).replace(",", "").split()
    longest, rate = float(words[words.index("to") + 1].rstrip(".")), float(words[-1].rstrip("."))
    assert rate == pytest.approx(2 / longest, rel=0.02)
