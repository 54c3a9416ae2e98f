"""The command, run as a user runs it, on the real data."""

import contextlib
import csv
import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios

import matplotlib.image
import numpy as np
import pytest
from conftest import PROJECT, read_costs, read_predictions

from experiment.settings import Settings

OF_EVERY_RUN = {
    "cost.csv", "cost.png", "cost.svg", "diff.md", "log.txt", "metrics.json", "predictions.csv",
    "predictions.png", "predictions.svg", "timing.json",
}  # fmt: skip
FILES = {
    "auto": OF_EVERY_RUN,
    "manual": OF_EVERY_RUN | {"quality.csv", "quality.png", "quality.svg"},
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((mode, engine), id=f"{mode}-{engine}")
        for mode, engine in (
            ("manual", "feed"),
            ("manual", "stepwise"),
            ("manual", "delayed"),
            ("auto", "feed"),
            ("auto", "stepwise"),
        )
    ],
)
def runs(request, reproduce, tmp_path_factory):
    """The same run at the post's settings, with one and with eight threads between operations."""
    mode, engine = request.param
    folders = []
    for threads in ("1", "8"):
        results_dir = tmp_path_factory.mktemp("results")
        result = reproduce(
            f"--mode={mode}", f"--engine={engine}", f"--results_dir={results_dir}",
            TF_NUM_INTEROP_THREADS=threads,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        folders.append((results_dir / f"published-{mode}", result.stdout))
    return mode, folders


def test_the_recorded_run_is_followed(runs, recorded):
    mode, folders = runs
    for folder, _ in folders:
        costs, predictions = read_costs(folder), read_predictions(folder)
        np.testing.assert_allclose(costs, recorded[mode]["cost_per_epoch"], rtol=1e-4)
        for name, p in predictions.items():
            np.testing.assert_allclose(p, recorded[mode][f"{name}_predictions"], rtol=0, atol=1e-4)


def test_the_files_are_the_same_bytes_whatever_the_threads(runs):
    mode, ((one, _), (eight, _)) = runs
    for folder in (one, eight):
        assert {path.name for path in folder.iterdir()} == FILES[mode]
    for name in FILES[mode] - {"timing.json"}:
        assert (one / name).read_bytes() == (eight / name).read_bytes(), name


def test_the_committed_results_are_what_the_command_writes(runs, recorded):
    mode, ((folder, _), _) = runs
    committed = PROJECT / "results" / f"published-{mode}"
    assert {path.name for path in committed.iterdir()} == FILES[mode]
    # Another machine may round differently; the recorded run's tolerance holds there too.
    np.testing.assert_allclose(read_costs(folder), read_costs(committed), rtol=1e-4)
    assert (committed / "diff.md").read_text().splitlines()[:10] == (
        folder / "diff.md"
    ).read_text().splitlines()[:10]


def test_metrics_are_the_specification_s(runs):
    mode, ((folder, _), _) = runs
    metrics = json.loads((folder / "metrics.json").read_text())
    expected = {
        "manual": (16.722, 9.854, 8, 0.513, 0.682),
        "auto": (17.418, 0.243, 12, 0.488, 0.607),
    }[mode]
    assert metrics["cost_first"] == pytest.approx(expected[0], abs=1e-3)
    assert metrics["cost_last"] == pytest.approx(expected[1], abs=1e-3)
    assert (metrics["test_correct"], metrics["test_total"]) == (expected[2], 20)
    assert metrics["held_out_accuracy"] == pytest.approx(expected[3], abs=1e-3)
    assert metrics["held_out_matches_previous_label"] == pytest.approx(expected[4], abs=1e-3)
    assert metrics["trace_max_relative_cost_difference"] < 1e-4
    assert metrics["trace_max_prediction_difference"] < 1e-4


def test_the_csv_files_restore_the_float32(runs):
    _, ((folder, _), _) = runs
    with (folder / "predictions.csv").open() as file:
        for row in csv.DictReader(file):
            assert str(np.float32(row["probability"])) == row["probability"]
            assert row["prediction"] == str(round(float(row["probability"])))


def test_what_is_printed(runs):
    _, ((folder, stdout), _) = runs
    lines = stdout.splitlines()
    log = (folder / "log.txt").read_text().splitlines()
    assert [line.partition(":")[0] for line in lines[:10]] == [
        f"epoch {epoch} of 100" for epoch in range(10, 101, 10)
    ]
    assert lines[10:30] == log[100:]
    assert (folder / "diff.md").read_text() in stdout
    assert lines[-1] == f"Results: {folder}"


def test_the_pictures_show_something(runs):
    _, ((folder, _), _) = runs
    for name in ("cost.png", "predictions.png"):
        pixels = matplotlib.image.imread(folder / name)[..., :3]
        # Neither corner nor middle is left blank.
        for rows in np.array_split(pixels, 3):
            assert np.mean(np.any(rows < 0.9, axis=-1)) > 0.01


def test_all_images_may_be_used(reproduce, tmp_path):
    result = reproduce(
        "--epochs=1", "--train_images=1", "--test_images=2114", f"--results_dir={tmp_path}"
    )
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "published-manual" / "metrics.json").read_text())
    assert metrics["test_total"] == 2114
    assert metrics["held_out_accuracy"] is None


def test_damaged_data_stop_the_run(reproduce, tmp_path):
    data_dir = tmp_path / "data"
    shutil.copytree(Settings().data_dir, data_dir)
    path = data_dir / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1000])
    result = reproduce(f"--data_dir={data_dir}", f"--results_dir={tmp_path / 'results'}")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert str(path) in line
    assert not (tmp_path / "results").exists()


def test_what_a_tensorflow_that_cannot_be_imported_says_is_heard(reproduce, tmp_path):
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text("import os\nos.write(2, b'It has no legs.')\n1 / 0\n")
    result = reproduce(f"--results_dir={tmp_path}", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "It has no legs." in result.stderr
    assert "ZeroDivisionError" in result.stderr
    assert list(tmp_path.iterdir()) == [package]


def test_a_terminal_shows_a_bar(tmp_path):
    terminal, inner = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, PROJECT / "reproduce.py", "--epochs=3", f"--results_dir={tmp_path}"],
        stdout=inner,
        stderr=inner,
    )
    os.close(inner)
    shown = b""
    # Linux ends the reading of a closed terminal with an error.
    with contextlib.suppress(OSError):
        while block := os.read(terminal, 4096):
            shown += block
    assert process.wait() == 0
    assert b"cost 16." in shown
    assert b"/3 [" in shown
    assert b"epoch 3 of 3" not in shown
