"""Failures of workers, schedulers and commands of a study: completed runs are kept.

The commands are those of a copy of the project whose runs take half a second and no TensorFlow.
"""

import contextlib
import json
import os
import shutil
import signal
import time
from importlib.metadata import version
from types import SimpleNamespace

import psutil
import pytest

from experiment.errors import UserError
from experiment.settings import PROJECT, Settings
from experiment.studies import cluster
from experiment.studies.definition import Job
from tests.processes import (
    certificates,
    dask_workers,
    free_port,
    kill_session,
    last_line,
    scheduler,
    session_of,
    started,
    wait_for,
    worker,
)
from tests.reference.result_files import contents

pytestmark = pytest.mark.slow

STUDY = """
seeds = 4
images = "held_out"
[experiments]
one = "--train_images=20"
two = "--train_images=30"
[differences]
one = "two"
"""
SESSION = """
import logging, os, signal, time
from pathlib import Path
import numpy as np
from experiment.training.outcome import History, NotFiniteError, Outcome

def run(settings, split, start, observe, threads):
    observe(History(), None)
    failure = os.environ.get("FAILURE") if settings.seed == 1 else None
    if failure == "dies":
        # Dask turns its log on again when a worker ends, and may then log late messages.
        logging.getLogger("distributed").handlers[0].setLevel(logging.INFO)
        logging.getLogger("distributed.worker").error("Traceback")
        os.kill(os.getpid(), signal.SIGKILL)
    if failure == "diverges":
        raise NotFiniteError("the cost of epoch 1 is nan")
    if failure == "hangs once" and not Path(os.environ["ONCE"]).exists():
        Path(os.environ["ONCE"]).touch()
        time.sleep(3600)
    time.sleep(0.5)
    random = np.random.RandomState(settings.seed)
    p = [random.rand(len(images.x)).astype(np.float32) for images in (split.test, split.held_out)]
    return Outcome(History([2.0, 1.0]), *p)
"""
STARTUP = """

def import_tensorflow():
    if os.environ.get("FAILURE") == "set-up":
        os._exit(1)
"""
QUICK_TTL = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The folder of the copy."""
    folder = tmp_path_factory.mktemp("project")
    for package in ("experiment", "graph"):
        shutil.copytree(PROJECT / package, folder / package)
    for name in ("flags.py", "reproduce.py"):
        shutil.copy(PROJECT / name, folder)
    for name in ("MNIST_data", "traces"):
        (folder / name).symlink_to(PROJECT / name)
    (folder / "experiment/training/session.py").write_text(SESSION)
    with (folder / "experiment/training/startup.py").open("a") as file:
        file.write(STARTUP)
    (folder / "small.toml").write_text(STUDY)
    return folder


@pytest.fixture
def study(project, tmp_path):
    """Starts the study of the copy; at the end of the test it is killed."""
    command = project / "reproduce.py", f"--study={project / 'small.toml'}"
    with contextlib.ExitStack() as opened:

        def start(*arguments, **environment):
            process = started(*command, f"--results_dir={tmp_path}", *arguments, **environment)
            return opened.enter_context(process)

        yield start


@pytest.fixture(scope="module")
def undisturbed(project, tmp_path_factory):
    """The files of an undisturbed study."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = project / "reproduce.py", f"--study={project / 'small.toml'}"
    with started(*command, f"--results_dir={folder}") as process:
        _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    return contents(folder / "studies/small")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def address(config):
    """The address of a scheduler without workers."""
    with scheduler(config) as (address, _):
        yield address


def completed_runs(folder):
    """The number of completed runs."""
    path = folder / "studies/small/runs.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def wait_for_the_end(process):
    """Waits until the command and all of its children have ended."""
    wait_for(lambda: not session_of(process))


def assert_completes(process, folder, undisturbed, completed=0):
    """The command does the runs that are missing, and writes the files of an undisturbed one."""
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert f" {completed}/8 " in stderr
    assert contents(folder / "studies/small") == undisturbed
    wait_for_the_end(process)


def test_a_run_whose_cost_is_not_finite_is_recorded(study, tmp_path, undisturbed):
    process = study(FAILURE="diverges")
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    for name in ("one", "two"):
        assert f"{name}, --seed=1: the cost of epoch 1 is nan" in stderr
    files = contents(tmp_path / "studies/small")
    runs, others = (
        [json.loads(line) for line in each["runs.jsonl"].splitlines()]
        for each in (files, undisturbed)
    )
    assert [run["seed"] for run in runs if "held_out_accuracy" not in run] == [1, 1]
    assert [run for run in runs if run["seed"] != 1] == [run for run in others if run["seed"] != 1]
    assert b"diverged" in files["README.md"]


def test_workers_that_die_or_stop_are_replaced(study, undisturbed, tmp_path):
    process = study(**QUICK_TTL)
    wait_for(lambda: completed_runs(tmp_path), process)
    one, *others = dask_workers(process)
    os.kill(one, signal.SIGKILL)
    for other in others:
        os.kill(other, signal.SIGSTOP)
    assert_completes(process, tmp_path, undisturbed)


def test_a_run_that_hangs_is_repeated(study, undisturbed, tmp_path):
    process = study(FAILURE="hangs once", ONCE=str(tmp_path / "once"), **QUICK_TTL)
    assert_completes(process, tmp_path, undisturbed)
    assert (tmp_path / "once").exists()


def test_a_run_that_ends_three_workers_ends_the_study(study):
    process = study(FAILURE="dies")
    assert "--seed=1: every worker that began it died or hung" in last_line(process, 1)
    wait_for_the_end(process)


def test_a_worker_that_dies_in_its_set_up_ends_the_study(study):
    process = study(FAILURE="set-up")
    assert "a worker cannot be set up" in last_line(process, 1)
    wait_for_the_end(process)


def test_a_killed_command_leaves_no_process_and_no_open_port(study, undisturbed, tmp_path):
    process = study()
    wait_for(lambda: completed_runs(tmp_path), process)
    addresses = {
        connection.laddr.ip
        for pid in session_of(process)
        for connection in psutil.Process(pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}
    process.kill()
    process.wait()
    wait_for_the_end(process)
    completed = completed_runs(tmp_path)
    assert 1 <= completed < 8
    assert_completes(study(), tmp_path, undisturbed, completed)


def test_ctrl_c_ends_the_study_and_the_same_command_goes_on(study, undisturbed, tmp_path):
    process = study()
    wait_for(lambda: completed_runs(tmp_path), process)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    *bar, line = stderr.splitlines()
    assert all(part.startswith("small:") for part in bar if part)
    assert "the same command goes on" in line
    wait_for_the_end(process)
    completed = completed_runs(tmp_path)
    assert_completes(study(), tmp_path, undisturbed, completed)


def test_a_second_ctrl_c_ends_the_study_at_once(study, tmp_path):
    process = study()
    wait_for(lambda: completed_runs(tmp_path), process)
    stopped = dask_workers(process)[0]
    os.kill(stopped, signal.SIGSTOP)  # After one Ctrl-C the command waits for it.
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.1)
    process.wait(2)
    assert process.returncode == 128 + signal.SIGINT
    os.kill(stopped, signal.SIGCONT)
    wait_for_the_end(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_the_start_leaves_no_process(number, study):
    process = study()
    wait_for(lambda: dask_workers(process), process)
    os.killpg(process.pid, number)
    assert "the same command goes on" in last_line(process, 128 + number)
    wait_for_the_end(process)


def test_a_worker_over_tls_dies_and_the_command_is_killed(
    study, project, undisturbed, config, address, tmp_path
):
    with worker(address, config, project) as two:
        process = study(f"--scheduler={address}", **config)
        wait_for(lambda: completed_runs(tmp_path), process)
        os.kill(dask_workers(two)[0], signal.SIGKILL)
        completed = completed_runs(tmp_path)
        wait_for(lambda: completed_runs(tmp_path) > completed, process)
        process.kill()
        process.wait()
        completed = completed_runs(tmp_path)
        again = study(f"--scheduler={address}", **config)
        assert_completes(again, tmp_path, undisturbed, completed)


def test_a_killed_scheduler_gets_one_line(study, project, undisturbed, config, tmp_path):
    with scheduler(config) as (address, dask), worker(address, config, project):
        process = study(f"--scheduler={address}", **config)
        wait_for(lambda: completed_runs(tmp_path), process)
        kill_session(dask)
        assert "the scheduler is lost: start it again" in last_line(process, 1)
    completed = completed_runs(tmp_path)
    with scheduler(config, address.rpartition(":")[2]), worker(address, config, project):
        again = study(f"--scheduler={address}", **config)
        assert_completes(again, tmp_path, undisturbed, completed)


def test_a_scheduler_refuses_strangers(study, address, tmp_path):
    line = last_line(study(f"--scheduler={address}", **certificates(tmp_path)), 1)
    assert f"--scheduler={address} does not take part" in line
    plain = address.replace("tls", "tcp")
    assert f"--scheduler={plain} does not take part" in last_line(study(f"--scheduler={plain}"), 1)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ("tls://127.0.0.1:1", "tls://127.0.0.1:1 needs certificates: name them"),
        ("tcp://127.0.0.1:{port}", r"does not take part \(\[Errno 111\] Connection refused\)"),
        ("tcp://a..b:1", r"tcp://a\.\.b:1 does not take part"),
    ],
)
def test_a_scheduler_that_cannot_be_reached_gets_one_line(scheduler, message):
    opened = cluster._client(scheduler.format(port=free_port()), dashboard=False)
    with pytest.raises(UserError, match=message), opened:
        pass


def test_a_worker_of_other_code_ends_the_study(study, project, config, address, tmp_path):
    other = shutil.copytree(project, tmp_path / "other", symlinks=True)
    with (other / "graph/weights.py").open("a") as file:
        file.write("# A comment.\n")
    with worker(address, config, other):
        line = last_line(study(f"--scheduler={address}", **config), 1)
    assert "has another code than this command" in line


@pytest.mark.parametrize("name", ["NumPy", "TensorFlow"])
def test_a_worker_with_another_package_is_refused(name, monkeypatch):
    plugin = cluster.Plugin(None, [], local=True)
    monkeypatch.setattr(
        cluster, "version", lambda package: "0" if package == name.lower() else version(package)
    )
    with pytest.raises(UserError, match=f"the worker tls://it has another {name} than this"):
        plugin.check("tls://it")


@pytest.mark.parametrize("threads", [None, "2"])
def test_a_worker_with_threads_of_numpy_is_refused(threads, monkeypatch):
    plugin = cluster.Plugin(None, [], local=True)
    plugin.check("tls://it")
    if threads is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    else:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", threads)
    with pytest.raises(UserError, match="the worker tls://it lacks OPENBLAS_NUM_THREADS=1"):
        plugin.check("tls://it")


def test_a_scheduler_without_workers_ends_the_study(study, config):
    timeout = {"DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT": "1s"}
    with scheduler({**config, **timeout}) as (address, _):
        line = last_line(study(f"--scheduler={address}", **config), 1)
    assert "there is no worker: start one" in line


@pytest.mark.parametrize("call", ["set up", "result"])
def test_a_connection_that_ends_as_it_begins(call):
    """Seen when a scheduler is killed at that moment, which a test cannot choose."""

    def fail(error):
        def method(*_, **__):
            raise error

        if call == "set up":
            client = SimpleNamespace(register_plugin=method)
            cluster._set_up(client, SimpleNamespace(name="plugin"))
        else:
            cluster._result(SimpleNamespace(result=method), Job("first", Settings()))

    with pytest.raises(UserError, match=cluster.LOST):
        fail(ValueError("IOStream is not idle; cannot convert to SSL"))
    with pytest.raises(ValueError, match="another error"):
        fail(ValueError("another error"))
