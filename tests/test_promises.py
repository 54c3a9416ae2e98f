"""Every promise of README and docs/, shown once by a real process."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from experiment.packaging import colab
from experiment.settings import PROJECT, RESULTS, Settings
from tests import processes
from tests.reference.result_files import contents, read_costs, read_predictions

NAME = "published-manual"
SHORT = ("--epochs=4", "--train_images=20", "--test_images=5", "--checkpoint_every=1")


@pytest.mark.parametrize(("mode", "tolerance"), [("manual", 1e-5), ("auto", 2e-5)])
def test_the_recorded_runs_are_followed(mode, tolerance, recorded, tmp_path):
    result = processes.run(f"--mode={mode}", f"--results_dir={tmp_path}")
    assert (result.returncode, result.stderr) == (0, "")
    folder = tmp_path / f"published-{mode}"
    costs, predictions = read_costs(folder), read_predictions(folder)
    np.testing.assert_allclose(costs, recorded[mode]["cost_per_epoch"], rtol=tolerance)
    for name, p in predictions.items():
        np.testing.assert_allclose(p, recorded[mode][f"{name}_predictions"], rtol=0, atol=5e-5)
    log = (PROJECT / f"traces/tf15-published-{mode}.log").read_text()
    assert (folder / "log.txt").read_text() == log
    # A user's `make reproduce` changes nothing else in git.
    committed = RESULTS / folder.name
    assert {path.name for path in folder.iterdir() if path.suffix != ".svg"} == {
        path.name for path in committed.iterdir() if path.suffix not in (".svg", "")
    }
    assert read_costs(committed).tolist() == pytest.approx(costs.tolist(), rel=1e-6)
    lines = result.stdout.splitlines()
    assert lines[:10:9] == [f"epoch {n} of 100: cost {costs[n - 1]:.3f}" for n in (10, 100)]
    assert lines[10:30] == log.splitlines()[100:]
    assert (folder / "diff.md").read_text() in result.stdout
    assert lines[-1] == f"Results: {folder}"


def test_numpy_mode_follows_the_numpy_post_without_tensorflow(tmp_path):
    recorded = json.loads((PROJECT / "traces" / "numpy-post.json").read_text())
    flags = ("--mode=numpy", "--epochs=5", f"--results_dir={tmp_path}")
    result = processes.run(*flags, PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0, result.stderr
    assert "tensorflow" not in result.stderr
    costs = read_costs(tmp_path / "numpy-inner")
    np.testing.assert_allclose(costs, recorded["cost_per_epoch"][:5], rtol=1e-9)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of a short run, with its event file."""
    folder = tmp_path_factory.mktemp("whole")
    result = processes.run(*SHORT, "--tensorboard", f"--results_dir={folder}")
    assert (result.returncode, result.stderr) == (0, "")
    return folder / NAME


@pytest.fixture
def former(tmp_path):
    """A folder of results with those of an earlier run."""
    shutil.copytree(RESULTS / NAME, tmp_path / NAME)
    return tmp_path


def test_a_run_that_is_killed_goes_on_to_the_same_bytes(whole, former):
    before = contents(former / NAME)
    kill = PROJECT / "tests/campaigns/kills/kill_at_file_event.py"
    # At the rename of its third checkpoint.
    command = [kill, former, "os.rename", "3", processes.REPRODUCE, *SHORT]
    with processes.started(*command, f"--results_dir={former}") as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert contents(former / NAME) == before
    line = processes.error_line(processes.run(*SHORT, f"--results_dir={former}"))
    assert "holds a run that came to epoch 2: add --resume" in line
    result = processes.run(*SHORT, "--resume", f"--results_dir={former}")
    assert (result.returncode, result.stderr) == (0, "")
    assert contents(former / NAME) == contents(whole)
    assert [path.name for path in former.iterdir()] == [NAME]


def test_sigterm_ends_a_run_after_its_epoch(former):
    before = contents(former / NAME)
    command = (processes.REPRODUCE, "--epochs=5000", f"--results_dir={former}")
    with processes.started(*command) as process:
        assert process.stdout.readline().startswith("epoch 10 of 5000")
        process.send_signal(signal.SIGTERM)
        line = processes.last_line(process, 128 + signal.SIGTERM)
    epoch = int(line.rpartition(" ")[2])
    assert line == f"reproduce.py: interrupted: --resume goes on after epoch {epoch}"
    assert (former / NAME / "checkpoint" / f"epoch-{epoch}").is_dir()
    assert contents(former / NAME) == before


def test_a_full_disk_gets_one_line_and_loses_nothing(former):
    before = contents(former / NAME)
    result = processes.run(*SHORT, f"--results_dir={former}", largest_file=10**6)
    assert "too large): make room" in processes.error_line(result)
    assert contents(former / NAME) == before
    assert [path.name for path in former.iterdir()] == [NAME]


def test_damaged_data_get_one_line(tmp_path):
    data_dir = tmp_path / "data"
    shutil.copytree(Settings().data_dir, data_dir)
    path = data_dir / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1000])
    result = processes.run(f"--data_dir={data_dir}", f"--results_dir={tmp_path / 'results'}")
    assert str(path) in processes.error_line(result)
    assert not (tmp_path / "results").exists()


def test_a_missing_package_is_named(tmp_path):
    # -S leaves out the installed packages.
    command = [sys.executable, "-S", processes.REPRODUCE]
    result = subprocess.run(command, capture_output=True, text=True)
    line = processes.error_line(result)
    assert "package absl" in line
    assert "make setup" in line
    (tmp_path / "dask.py").write_text("raise ModuleNotFoundError(name='dask')")
    study = f"--study={PROJECT / 'presets/studies/claims.toml'}"
    line = processes.error_line(processes.run(study, PYTHONPATH=str(tmp_path)))
    assert line == "reproduce.py: --study needs the package dask: call make setup-lab"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("--epoch=3", "'epoch'"),
        ("--lr_x=fast", "--lr_x"),
        ("--mode=auto --lr_x=0.5", "--lr_x=0.5 makes no sense here"),
        ("--results_dir=/dev/null/results", "cannot write to /dev/null/results ("),
        ("--study=no/such.toml", "--study=no/such.toml cannot be read"),
        ("--study={folder}/wrong.toml", "seeds = 0"),
        ("--study={folder}/wrong.toml --epochs=3", "--epochs makes no sense with --study"),
    ],
)
def test_a_mistake_gets_one_line(arguments, named, tmp_path):
    (tmp_path / "wrong.toml").write_text('seeds = 0\nimages = "test"\n[experiments]\none = ""\n')
    arguments = arguments.format(folder=tmp_path).split()
    result = processes.run(f"--results_dir={tmp_path}", *arguments)
    assert named in processes.error_line(result)
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.toml"]


def test_a_study_that_loses_a_worker_loses_nothing(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(
        'seeds = 4\nimages = "held_out"\nflags = "--epochs=2 --train_images=20 --engine=feed"\n'
        '[experiments]\none = "--mode=auto"\nother = "--mode=auto --lr_auto=0.01"\n'
    )
    runs = tmp_path / "studies/small/runs.jsonl"
    command = (processes.REPRODUCE, f"--study={path}", f"--results_dir={tmp_path}")
    with processes.started(*command) as process:
        processes.wait_for(lambda: runs.exists() and runs.read_text(), process)
        os.kill(processes.dask_workers(process)[0], signal.SIGKILL)
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert f"Results: {tmp_path}/studies/small" in stdout
    measured = [json.loads(line) for line in runs.read_text().splitlines()]
    assert [(run["experiment"], run["seed"]) for run in measured] == [
        (name, seed) for seed in range(4) for name in ("one", "other")
    ]
    assert runs.with_name("README.md").exists()
    # A run of a study is a run of the command.
    flags = "--mode=auto --epochs=2 --train_images=20 --engine=feed --seed=3"
    assert processes.run(*flags.split(), f"--results_dir={tmp_path}").returncode == 0
    metrics = json.loads((tmp_path / "published-auto" / "metrics.json").read_text())
    assert measured[6].pop("cpu_seconds") > 0
    assert measured[6] == {"experiment": "one", **metrics, "quality": []}


def test_the_event_file_has_the_costs_and_the_graph(whole):
    (path,) = (whole / "tensorboard").iterdir()
    events = list(tf.train.summary_iterator(str(path)))
    assert sum(bool(event.graph_def) for event in events) == 1
    costs = [
        float(tf.make_ndarray(value.tensor))
        for event in events
        for value in event.summary.value
        if value.tag == "cost_per_epoch"
    ]
    np.testing.assert_allclose(costs, read_costs(whole), rtol=1e-6)


def test_the_colab_file_unpacks_the_project(tmp_path, monkeypatch):
    command = [sys.executable, "-m", "experiment.packaging.colab"]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    cells = json.loads(colab.packed_path(colab.NOTEBOOK).read_text())["cells"]
    (first,) = ("".join(cell["source"]) for cell in cells if cell["id"] == colab.SETUP)
    script = tmp_path / "first_cell.py"
    script.write_text(f"{first}\nimport reproduce\nprint(reproduce.__file__)\n")
    result = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout == f"{tmp_path}/decoupled_rnn/reproduce.py\n"


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: on Debian, apt-get install chromium")
def test_the_page_is_whole_and_accessible_in_a_browser():
    with (
        sync_playwright() as playwright,
        contextlib.closing(
            # Chromium refuses to run as root in its sandbox.
            playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        ) as browser,
    ):
        page = browser.new_page()
        requests, complaints = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((RESULTS / "report.html").as_uri())
        assert [url for url in requests if not url.startswith("data:")] == [page.url]
        assert complaints == []
        axe = Axe().run(page)
        assert axe.violations_count == 0, axe.generate_report()
