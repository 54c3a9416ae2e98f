"""A run that is interrupted, fails, or finds no room keeps the former results and the checkpoints.

These need processes: signals, two runs at once, full and read-only disks. Kills are in
tests/campaigns/kills. Damaged checkpoints are in tests/experiment/storage.
"""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from experiment.settings import PROJECT
from tests import processes
from tests.preloaded_process import run, started
from tests.processes import error_line, wait_for
from tests.reference.result_files import contents

pytestmark = pytest.mark.slow

NAME = "published-manual"
FLAGS = ("--epochs=30", "--train_images=30", "--test_images=5", "--checkpoint_every=10")


def start(results_dir, *flags):
    return started(*FLAGS, f"--results_dir={results_dir}", *flags)


def finish(results_dir, *flags, **options):
    return run(*FLAGS, f"--results_dir={results_dir}", *flags, **options)


def interrupt(process, number):
    """Sends a signal and waits for the end; returns the only line on stderr."""
    process.send_signal(number)
    _, stderr = process.communicate()
    assert process.returncode == 128 + number
    (line,) = stderr.splitlines()
    assert line.startswith("reproduce.py: interrupted: ")
    return line


def assert_completes(results_dir, new, *flags):
    """Runs to the end, with the results of an undisturbed run and nothing else."""
    result = finish(results_dir, *flags)
    assert (result.returncode, result.stderr) == (0, "")
    assert contents(results_dir / NAME) == new
    assert [path.name for path in results_dir.iterdir()] == [NAME]
    assert not (results_dir / NAME / "checkpoint").exists()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of an undisturbed run, with its checkpoints: epoch-20 and epoch-30."""
    results_dir = tmp_path_factory.mktemp("undisturbed")
    result = finish(results_dir, "--keep_checkpoints")
    assert result.returncode == 0, result.stderr
    return results_dir / NAME


@pytest.fixture(scope="module")
def new(undisturbed):
    """The results of an undisturbed run."""
    return contents(undisturbed)


@pytest.fixture
def results_dir(tmp_path):
    """A folder with the results of an earlier run."""
    shutil.copytree(PROJECT / "results" / NAME, tmp_path / "results" / NAME)
    return tmp_path / "results"


@pytest.fixture(scope="module")
def former():
    """The results of that earlier run."""
    return contents(PROJECT / "results" / NAME)


def test_a_signal_ends_the_run_after_its_epoch(new, former, results_dir, outcome):
    epochs = [0]
    for number in (signal.SIGINT, signal.SIGTERM):
        # No checkpoint is due but that of the interruption.
        with start(results_dir, "--resume", "--checkpoint_every=1000") as process:
            shown = int(process.stdout.readline().split()[1])  # "epoch 10 of 30: cost 4.321"
            line = interrupt(process, number)
        epoch = int(line.removeprefix("reproduce.py: interrupted: --resume goes on after epoch "))
        assert epochs[-1] < shown <= epoch < 30
        epochs.append(epoch)
        checkpoint = results_dir / NAME / f"checkpoint/epoch-{epoch}"
        history = json.loads((checkpoint / "state.json").read_text())["history"]
        assert len(history["costs"]) == epoch
        assert contents(results_dir / NAME) == former
        outcome(
            number.name,
            f"the epoch ends, a checkpoint is written, exit status {128 + number}; a second signal "
            "ends the run at once",
            "passed",
        )
    line = error_line(finish(results_dir))
    for part in (f"epoch {epoch}", "--resume", "--noresume"):
        assert part in line
    assert checkpoint.exists()
    assert contents(results_dir / NAME) == former
    assert_completes(results_dir, new, "--resume")


def test_a_second_signal_ends_the_run_at_once(former, results_dir):
    # The first epoch is one step of the graph, and long enough for two signals.
    with start(results_dir, "--train_images=2000", "--tensorboard") as process:
        wait_for(lambda: any(results_dir.glob(f".{NAME}.new/tensorboard/*")), process)
        for number in (signal.SIGTERM, signal.SIGINT):
            time.sleep(0.2)
            process.send_signal(number)
        _, stderr = process.communicate()
    assert (process.returncode, stderr) == (128 + signal.SIGINT, "")
    assert not (results_dir / NAME / "checkpoint").exists()
    assert contents(results_dir / NAME) == former


def test_a_signal_before_the_first_epoch_leaves_nothing(tmp_path):
    # While it imports TensorFlow.
    command = processes.REPRODUCE, *FLAGS, f"--results_dir={tmp_path}"
    with processes.started(*command) as process:
        wait_for((tmp_path / f".{NAME}.new").exists, process)
        line = interrupt(process, signal.SIGTERM)
    assert line == "reproduce.py: interrupted: nothing was written"
    assert list(tmp_path.iterdir()) == []


def test_a_signal_while_the_results_are_written(undisturbed, new, former, results_dir):
    shutil.copytree(undisturbed / "checkpoint", results_dir / NAME / "checkpoint")
    with start(results_dir, "--resume") as process:
        wait_for((results_dir / f".{NAME}.new/cost.csv").exists, process)
        line = interrupt(process, signal.SIGINT)
    assert line == "reproduce.py: interrupted: --resume goes on after epoch 30"
    assert contents(results_dir / NAME) == former
    assert_completes(results_dir, new, "--resume")


def test_a_signal_while_the_results_are_printed(tmp_path):
    # The lines are more than a pipe holds, and nobody reads them.
    with start(tmp_path, "--test_images=2000") as process:
        wait_for((tmp_path / NAME / "diff.md").exists, process)
        time.sleep(0.5)
        line = interrupt(process, signal.SIGINT)
    assert line == f"reproduce.py: interrupted: Results: {tmp_path / NAME}"


def test_a_damaged_checkpoint_is_left_out(undisturbed, new, tmp_path, outcome):
    folder = shutil.copytree(undisturbed / "checkpoint", tmp_path / NAME / "checkpoint")
    path = folder / "epoch-30/variables.data-00000-of-00001"
    os.truncate(path, path.stat().st_size // 2)
    result = finish(tmp_path, "--resume")
    assert result.stderr == f"{folder / 'epoch-30'} is damaged: it is removed\n"
    assert result.stdout.startswith("epoch 30 of 30")
    assert contents(tmp_path / NAME) == new
    outcome(
        "a file of a checkpoint is damaged",
        "its digest shows it; the run goes on from the checkpoint before, to the same bytes",
        "passed",
    )


def test_two_runs_at_once(new, results_dir, outcome):
    with start(results_dir) as first:
        wait_for((results_dir / f".{NAME}.new").exists, first)
        first.send_signal(signal.SIGSTOP)
        line = error_line(finish(results_dir))
        first.send_signal(signal.SIGCONT)
        assert f"process {first.pid} on {os.uname().nodename}" in line
        _, stderr = first.communicate()
    assert first.returncode == 0, stderr
    assert contents(results_dir / NAME) == new
    outcome(
        "a second run into the same folder",
        "it is refused; one line names the process and the host of the first",
        "passed",
    )


@pytest.mark.parametrize(
    ("limit", "flags", "hint"),
    [(10**6, (), "--checkpoint_every=0"), (20_000, ("--checkpoint_every=0",), "--results_dir")],
)
def test_files_that_may_not_grow(limit, flags, hint, former, results_dir):
    line = error_line(finish(results_dir, *flags, largest_file=limit))
    assert "too large" in line
    assert hint in line
    assert contents(results_dir / NAME) == former
    assert [path.name for path in results_dir.iterdir()] == [NAME]


@pytest.fixture
def mount(tmp_path):
    """Mounts or remounts a small disk, which only root may."""

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", tmp_path]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root can mount a disk")
        return tmp_path

    yield mount
    subprocess.run(["umount", tmp_path], capture_output=True)


def test_a_full_disk(mount, former, new, outcome):
    folder = mount("size=14m")
    shutil.copytree(PROJECT / "results" / NAME, folder / NAME)
    line = error_line(finish(folder))
    assert "make room and go on with --resume, or do without, with --checkpoint_every=0" in line
    assert contents(folder / NAME) == former
    mount("remount,size=100m")
    assert_completes(folder, new, "--resume")
    outcome(
        "the disk is full",
        "one line asks for room; the former results are there; with more room `--resume` goes on, "
        "to the same bytes",
        "passed",
    )


def test_a_read_only_disk(mount, outcome):
    folder = mount("size=1m")
    mount("remount,ro")
    assert f"cannot write to {folder} (" in error_line(finish(folder))
    outcome("the results folder is read-only", "one line names it before the run begins", "passed")


def test_a_cost_that_is_not_finite(former, results_dir, outcome):
    line = error_line(finish(results_dir, "--lr_x=1e30", "--lr_sg=1e30"))
    assert "epoch 1 " in line
    assert "--lr_x=1e+30" in line
    assert contents(results_dir / NAME) == former
    assert [path.name for path in results_dir.iterdir()] == [NAME]
    outcome(
        "the cost stops being a finite number",
        "the run ends; one line names the epoch and the rates",
        "passed",
    )


JUMPING_CLOCK = """
import itertools, pathlib, runpy, sys, time
clock, jumps = time.time, itertools.cycle([0, 86400, -86400, 1e9])
time.time = lambda: clock() + next(jumps)
del sys.argv[0]
sys.path.insert(0, str(pathlib.Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_clock_that_jumps(new, tmp_path, outcome):
    command = "-c", JUMPING_CLOCK, processes.REPRODUCE, *FLAGS, f"--results_dir={tmp_path}"
    with processes.started(*command) as process:
        _, stderr = process.communicate()
    assert (process.returncode, stderr) == (0, "")
    assert contents(tmp_path / NAME) == new
    timing = json.loads((tmp_path / NAME / "timing.json").read_text())
    assert 0 < timing["seconds"] < 3600
    outcome("the clock jumps by days", "the bytes are the same, and so is the time", "passed")
