"""What is said of the study of synthetic gradients, beside its runs."""

import json
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from experiment.report import experiments, tables
from experiment.settings import PROJECT

RUNS = PROJECT / "results" / "studies" / "synthetic" / "runs.jsonl"


@pytest.fixture(scope="module")
def runs():
    """The runs of each experiment, by seed."""
    found = {}
    for line in RUNS.read_text().splitlines():
        run = json.loads(line)
        found.setdefault(run["experiment"], []).append(run)
    return found


def right(runs, name):
    return np.array([run["held_out_accuracy"] for run in runs[name]])


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


def test_what_is_said_of_the_study_is_what_its_runs_show(runs):
    text = (PROJECT / "results" / "learning.md").read_text()
    frozen, dni, bptt = (right(runs, name) for name in ("frozen", "dni", "bptt"))
    for name in ("frozen", "dni", "cdni", "bptt"):
        assert f"{right(runs, name).mean():.1%}" in text
    assert f"Of the gap that is {100 * np.mean((dni - frozen) / (bptt - frozen)):.0f}% (" in text
    assert "means over 30 seeds" in text


def test_time_boxes_learn_from_guesses_that_are_told_the_label(runs):
    by_seed = 100 * (right(runs, "cdni") - right(runs, "frozen"))
    assert stats.ttest_1samp(by_seed, 0).confidence_interval(0.95).low >= 5
    by_seed = 100 * (right(runs, "cdni") - right(runs, "bptt"))
    interval = stats.ttest_1samp(by_seed, 0).confidence_interval(0.95)
    assert max(abs(interval.low), abs(interval.high)) <= 0.5
    cosines = np.mean([run["pooled_cosines"] for run in runs["cdni"]], axis=0)
    assert cosines.shape == (20, 2)
    assert cosines[4:].min() > 0.25


def test_the_limit_is_that_of_the_longest_input():
    words = tables.limit(tables.TASK).replace(",", "").split()
    longest, rate = float(words[words.index("to") + 1].rstrip(".")), float(words[-1].rstrip("."))
    assert rate == pytest.approx(2 / longest, rel=0.02)
