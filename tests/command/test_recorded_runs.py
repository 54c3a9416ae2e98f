"""Both modes with every engine against the recorded runs, whatever the number of threads."""

import contextlib
import csv
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios

import matplotlib.image
import numpy as np
import pytest

from experiment.settings import RESULTS
from tests import preloaded_process, processes
from tests.reference.result_files import contents, read_costs, read_predictions

pytestmark = pytest.mark.slow
FILES = {
    "cost.csv", "cost.png", "cost.svg", "diff.md", "log.txt", "metrics.json", "predictions.csv",
    "predictions.png", "predictions.svg",
}  # fmt: skip


@pytest.fixture(
    scope="module",
    params=["manual-stepwise", "manual-delayed", "auto-stepwise"],
)
def run(request, tmp_path_factory):
    """A run at the post's settings; with 1 and with 8 threads between operations."""
    mode, engine = request.param.split("-")
    folders = []
    for threads in ("1", "8"):
        results_dir = tmp_path_factory.mktemp("results")
        result = preloaded_process.run(
            f"--mode={mode}", f"--engine={engine}", f"--results_dir={results_dir}",
            TF_NUM_INTEROP_THREADS=threads,
        )  # fmt: skip
        assert (result.returncode, result.stderr) == (0, "")
        folders.append(results_dir / f"published-{mode}")
    return mode, *folders


def test_the_recorded_run_is_followed(run, recorded):
    mode, one, _ = run
    np.testing.assert_allclose(read_costs(one), recorded[mode]["cost_per_epoch"], rtol=1e-4)
    for name, p in read_predictions(one).items():
        np.testing.assert_allclose(p, recorded[mode][f"{name}_predictions"], rtol=0, atol=1e-4)


def test_the_files_are_the_same_bytes_whatever_the_threads(run):
    _, one, eight = run
    assert contents(one).keys() == FILES
    assert contents(one) == contents(eight)


def test_metrics_are_the_specification_s(run):
    mode, folder, _ = run
    metrics = json.loads((folder / "metrics.json").read_text())
    # docs/experiment.md §5
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


def test_the_csv_files_restore_the_float32(run):
    _, folder, _ = run
    with (folder / "predictions.csv").open() as file:
        for row in csv.DictReader(file):
            assert str(np.float32(row["probability"])) == row["probability"]
            assert row["prediction"] == str(round(float(row["probability"])))


def test_no_part_of_a_picture_is_blank(run):
    _, folder, _ = run
    for name in ("cost.png", "predictions.png"):
        pixels = matplotlib.image.imread(folder / name)[..., :3]
        for rows in np.array_split(pixels, 3):
            assert np.mean(np.any(rows < 0.9, axis=-1)) > 0.01


@pytest.mark.parametrize("mode", ["manual", "auto"])
def test_feed_follows_the_recorded_run(mode, recorded, tmp_path):
    """20 epochs: one Session.run per image takes long, and the other engines train to the end."""
    flags = (f"--mode={mode}", "--engine=feed", "--epochs=20", f"--results_dir={tmp_path}")
    result = preloaded_process.run(*flags, TF_NUM_INTEROP_THREADS="8")
    assert result.returncode == 0, result.stderr
    costs = read_costs(tmp_path / f"published-{mode}")
    np.testing.assert_allclose(costs, recorded[mode]["cost_per_epoch"][:20], rtol=1e-5)


def test_the_committed_diff_is_what_the_command_writes(run):
    mode, folder, _ = run
    committed = (RESULTS / f"published-{mode}" / "diff.md").read_text()
    assert committed.splitlines()[:10] == (folder / "diff.md").read_text().splitlines()[:10]


def test_all_images_may_be_used(tmp_path):
    flags = ("--epochs=1", "--train_images=1", "--test_images=2114")
    result = preloaded_process.run(*flags, f"--results_dir={tmp_path}")
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "published-manual" / "metrics.json").read_text())
    assert metrics["test_total"] == 2114
    assert metrics["held_out_accuracy"] is None


def test_the_messages_of_a_failed_import_of_tensorflow_are_shown(tmp_path):
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text("import os\nos.write(2, b'It has no legs.')\n1 / 0\n")
    result = processes.run(f"--results_dir={tmp_path}", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "It has no legs." in result.stderr
    assert "ZeroDivisionError" in result.stderr
    assert list(tmp_path.iterdir()) == [package]


def test_an_output_that_is_full():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, processes.REPRODUCE, "--help"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert "No space left" in processes.error_line(result)


def test_a_terminal_shows_a_bar(tmp_path):
    terminal, inner = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, processes.REPRODUCE, "--epochs=3", f"--results_dir={tmp_path}"],
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
