"""Imports run one way: the contracts in pyproject.toml hold, and notice what breaks them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

LINT = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
ROOMS = ("graph", "numpy_version", "experiment")


def lint(folder):
    return subprocess.run(LINT, cwd=folder, capture_output=True, text=True)


def test_imports_run_one_way():
    result = lint(PROJECT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("graph/network.py", "experiment.settings"),
        ("graph/weights.py", "numpy_version.decoupled_rnn"),
        ("numpy_version/decoupled_rnn.py", "graph.weights"),
        ("experiment/settings.py", "experiment.markdown"),
        ("experiment/training/session.py", "experiment.storage.folder"),
        ("experiment/training/events.py", "experiment.evaluation.pictures"),
        ("experiment/storage/checkpoint.py", "experiment.evaluation.log"),
        ("experiment/evaluation/claims.py", "experiment.studies.runs"),
        ("experiment/studies/definition.py", "experiment.report.tables"),
        ("experiment/studies/study.py", "flags"),
        ("experiment/report/page.py", "reproduce"),
    ],
)
def test_one_forbidden_import_is_noticed(module, forbidden, tmp_path):
    for room in ROOMS:
        shutil.copytree(PROJECT / room, tmp_path / room)
    for name in ("pyproject.toml", "flags.py", "reproduce.py"):
        shutil.copy(PROJECT / name, tmp_path)
    with (tmp_path / module).open("a") as file:
        file.write(f"\nimport {forbidden}\n")
    result = lint(tmp_path)
    assert result.returncode == 1
    changed = module.removesuffix(".py").replace("/", ".")
    assert f"{changed} -> {forbidden}" in result.stdout
