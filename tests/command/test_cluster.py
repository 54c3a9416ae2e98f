"""What may go wrong in a study, in real processes: nothing is lost, and one line says what to do.

The commands are those of a copy of the project whose runs are short, and need no TensorFlow.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from conftest import PROJECT, free_port

from experiment.settings import Settings, UserError
from experiment.studies import cluster
from experiment.studies.definition import Job

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
from types import SimpleNamespace
import numpy as np
from experiment.training.outcome import History, NotFiniteError, Outcome
THREADS = {"stepwise": 1}

def run(settings, split, start, observe, threads):
    observe(History([], [], 0.0), None)
    fault = os.environ.get("FAULT")
    if settings.seed == 1 and fault == "killed":
        # Dask lets its log be heard again when a worker ends, and may log then what came too late.
        logging.getLogger("distributed").handlers[0].setLevel(logging.INFO)
        logging.getLogger("distributed.worker").error("Traceback")
        os.kill(os.getpid(), signal.SIGKILL)
    if settings.seed == 1 and fault == "diverges":
        raise NotFiniteError("the cost of epoch 1 is nan")
    once = Path(os.environ.get("ONCE", "/"))
    if settings.seed == 1 and fault == "hangs" and not once.exists():
        once.touch()
        time.sleep(600)
    time.sleep(0.5)
    random = np.random.RandomState(settings.seed)
    p = [random.rand(len(images.x)).astype(np.float32) for images in (split.test, split.held_out)]
    return Outcome(History([2.0, 1.0], [], 0.0), *p)
"""
STARTUP = """

def import_tensorflow():
    if os.environ.get("FAULT") == "set-up":
        os._exit(1)
"""
TTL = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The folder of the copy."""
    folder = tmp_path_factory.mktemp("project")
    for room in ("experiment", "graph"):
        shutil.copytree(PROJECT / room, folder / room)
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
    """Starts the study of the copy, in a session of its own, to be found by its processes."""
    started = []

    def start(*arguments, **environment):
        command = [sys.executable, project / "reproduce.py", f"--study={project / 'small.toml'}"]
        process = subprocess.Popen(
            [*command, f"--results_dir={tmp_path}", *arguments],
            cwd="/", env={**os.environ, **environment}, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        end(process)


@pytest.fixture(scope="module")
def whole(project, tmp_path_factory):
    """What the study writes if nothing happens to it."""
    folder = tmp_path_factory.mktemp("whole")
    command = [sys.executable, project / "reproduce.py", f"--study={project / 'small.toml'}"]
    subprocess.run([*command, f"--results_dir={folder}"], check=True)
    return content(folder)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.glob("studies/small/*")}


def runs(folder):
    path = folder / "studies/small/runs.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def processes(process):
    """Those of its session that live: their command lines, by their numbers."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == process.pid and state != "Z":
                found[int(path.name)] = (path / "cmdline").read_bytes()
    return found


def workers(process):
    # Dask renames them where setproctitle is installed.
    names = (b"spawn_main", b"dask worker")
    return sorted(
        pid for pid, line in processes(process).items() if any(name in line for name in names)
    )


def wait_for(condition, process=None, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


def end(process):
    """Ends a command, with all that it began."""
    for pid in processes(process):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def test_a_run_whose_cost_is_not_finite_is_written_down(study, tmp_path, whole):
    process = study(FAULT="diverges")
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    for name in ("one", "two"):
        assert f"{name}, --seed=1: the cost of epoch 1 is nan" in stderr
    text = content(tmp_path)["runs.jsonl"].decode()
    lines, others = ([json.loads(line) for line in each.splitlines()]
                     for each in (text, whole["runs.jsonl"].decode()))  # fmt: skip
    assert [line["seed"] for line in lines if "held_out_accuracy" not in line] == [1, 1]
    assert [line for line in lines if line["seed"] != 1] == [
        line for line in others if line["seed"] != 1
    ]
    assert "not finite" in (tmp_path / "studies/small/README.md").read_text()


@pytest.mark.parametrize("does", ["is set up", "gives a result"])
def test_a_connection_that_ends_as_it_begins(does):
    """Seen when a scheduler is killed just then; it cannot be brought about at will."""

    class Cut:
        def __init__(self, error):
            self.error = error

        def result(self, *_, **__):
            raise self.error

        register_plugin = result

    def reached(error):
        if does == "is set up":
            cluster._set_up(Cut(error), SimpleNamespace(name="plugin"))
        else:
            cluster._result(Cut(error), Job("first", Settings()))

    with pytest.raises(UserError, match=cluster.LOST):
        reached(ValueError("IOStream is not idle; cannot convert to SSL"))
    with pytest.raises(ValueError, match="a mistake of ours"):
        reached(ValueError("a mistake of ours"))


def last_line(process, status):
    """The end of what a command that ended so said."""
    _, stderr = process.communicate()
    assert process.returncode == status, stderr
    assert "Traceback" not in stderr
    return stderr.splitlines()[-1]


def goes_on(process, folder, whole, done=0):
    """The command comes to its end, and nothing is lost."""
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert f" {done}/8 " in stderr
    assert content(folder) == whole
    wait_for(lambda: not processes(process))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_dies_or_stops_loses_nothing(study, whole, tmp_path, sent):
    process = study(**TTL)
    wait_for(lambda: runs(tmp_path), process)
    os.kill(workers(process)[0], sent)
    goes_on(process, tmp_path, whole)


def test_a_run_that_hangs_is_done_once_more(study, whole, tmp_path):
    goes_on(study(FAULT="hangs", ONCE=str(tmp_path / "once"), **TTL), tmp_path, whole)
    assert (tmp_path / "once").exists()


def test_a_run_that_kills_three_workers_is_named(study, tmp_path):
    process = study(FAULT="killed")
    line = last_line(process, 1)
    assert "--seed=1: every worker that began it died or hung" in line
    wait_for(lambda: not processes(process))


def test_a_worker_that_dies_in_its_set_up_ends_the_study(study):
    process = study(FAULT="set-up")
    assert "a worker cannot be set up" in last_line(process, 1)
    wait_for(lambda: not processes(process))


def test_a_command_that_is_killed_leaves_nothing_behind(study, whole, tmp_path):
    process = study()
    wait_for(lambda: runs(tmp_path), process)
    process.kill()
    process.wait()
    wait_for(lambda: not processes(process))
    done = runs(tmp_path)
    assert 1 <= done < 8
    goes_on(study(), tmp_path, whole, done)


def test_ctrl_c_ends_the_study_and_it_goes_on(study, whole, tmp_path):
    process = study()
    wait_for(lambda: runs(tmp_path), process)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    *bar, line = stderr.splitlines()
    assert all(part.startswith("small:") for part in bar if part)
    assert "the same command goes on" in line
    wait_for(lambda: not processes(process))
    goes_on(study(), tmp_path, whole, runs(tmp_path))


def test_a_second_ctrl_c_ends_it_at_once(study, tmp_path):
    process = study()
    wait_for(lambda: runs(tmp_path), process)
    # One that hangs would be waited for.
    os.kill(workers(process)[0], signal.SIGSTOP)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(2)
    assert process.returncode == 130
    os.kill(workers(process)[0], signal.SIGCONT)
    wait_for(lambda: not processes(process))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_the_start_leaves_nothing_behind(study, sent, tmp_path):
    process = study()
    wait_for(lambda: workers(process), process)
    os.killpg(process.pid, sent)
    assert "the same command goes on" in last_line(process, 128 + sent)
    wait_for(lambda: not processes(process))


@contextlib.contextmanager
def dask(*arguments, folder="/", **environment):
    """A Dask that the user starts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        cwd=folder, env={**os.environ, **environment}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        end(process)


def certified(folder):
    """Makes a certificate; where the configuration that names it is."""
    usage = "keyUsage=critical,digitalSignature,keyCertSign"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=study"),
            *("-addext", usage, "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    pair = {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    tls = {"ca-file": pair["cert"], "scheduler": pair, "worker": pair, "client": pair}
    path = folder / "dask.yaml"  # JSON is YAML.
    path.write_text(json.dumps({"distributed": {"comm": {"tls": tls}}}))
    return {"DASK_CONFIG": str(path)}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return certified(tmp_path_factory.mktemp("certificates"))


@contextlib.contextmanager
def scheduler(config, port=None):
    """One that takes tls:// alone; its address, and its process."""
    address = f"tls://127.0.0.1:{port or free_port()}"
    host, _, port = address.rpartition(":")
    with dask("scheduler", f"--host={host}", f"--port={port}", "--no-dashboard", **config) as found:
        wait_for(lambda: listens(int(port)), found)
        yield address, found


def worker(address, config, folder, *arguments, **environment):
    """Two workers, or so many as the arguments say."""
    return dask(
        "worker", address, "--nworkers=2", "--nthreads=1", "--memory-limit=0", "--no-dashboard",
        *arguments, folder=folder, **config, **environment,
    )  # fmt: skip


def test_a_worker_over_tls_that_dies_loses_nothing(study, project, whole, config, tmp_path):
    with scheduler(config) as (address, _), worker(address, config, project) as two:
        process = study(f"--scheduler={address}", **config)
        wait_for(lambda: runs(tmp_path), process)
        os.kill(workers(two)[0], signal.SIGKILL)
        goes_on(process, tmp_path, whole)


def test_a_command_over_tls_that_is_killed_goes_on(study, project, whole, config, tmp_path):
    with scheduler(config) as (address, _), worker(address, config, project):
        process = study(f"--scheduler={address}", **config)
        wait_for(lambda: runs(tmp_path), process)
        process.kill()
        process.wait()
        goes_on(study(f"--scheduler={address}", **config), tmp_path, whole, runs(tmp_path))


def test_a_scheduler_that_is_killed_is_named(study, project, whole, config, tmp_path):
    with scheduler(config) as (address, its), worker(address, config, project):
        process = study(f"--scheduler={address}", **config)
        wait_for(lambda: runs(tmp_path), process)
        end(its)
        assert "the scheduler is lost: start it again" in last_line(process, 1)
    with scheduler(config, address.rpartition(":")[2]), worker(address, config, project):
        goes_on(study(f"--scheduler={address}", **config), tmp_path, whole, runs(tmp_path))


def test_a_stranger_is_refused(study, config, tmp_path):
    """Who has no certificate, or another; and who takes a host that is not there."""
    other = certified(tmp_path)
    with scheduler(config) as (address, _):
        port = int(address.rpartition(":")[2])
        wait_for(lambda: listens(port))
        line = last_line(study(f"--scheduler={address}"), 1)
        assert "needs certificates: name them" in line
        line = last_line(study(f"--scheduler={address}", **other), 1)
        assert f"--scheduler={address} does not take part" in line
        line = last_line(study(f"--scheduler=tcp://127.0.0.1:{port}"), 1)
        assert f"--scheduler=tcp://127.0.0.1:{port} does not take part" in line
    line = last_line(study(f"--scheduler={address}", **config), 1)
    assert f"--scheduler={address} does not take part ([Errno 111] Connection refused)" in line
    line = last_line(study("--scheduler=tls://a..b:1", **config), 1)
    assert "--scheduler=tls://a..b:1 does not take part" in line


def listens(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


def test_a_worker_of_other_code_is_refused(study, project, config, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(project, other, symlinks=True)
    with (other / "graph/weights.py").open("a") as file:
        file.write("# A comment.\n")
    with scheduler(config) as (address, _), worker(address, config, other):
        line = last_line(study(f"--scheduler={address}", **config), 1)
    assert "has another code than this command" in line


@pytest.mark.parametrize("name", ["NumPy", "TensorFlow"])
def test_a_worker_with_another_package_is_refused(name, monkeypatch):
    plugin = cluster.Plugin(None, [], local=True)
    others = {"NumPy": version("numpy"), "TensorFlow": version("tensorflow"), name: "0"}
    monkeypatch.setattr(cluster, "version", {of.lower(): its for of, its in others.items()}.get)
    with pytest.raises(UserError, match=f"the worker tls://it has another {name} than this"):
        plugin.check("tls://it")


def test_a_worker_with_threads_of_numpy_is_refused(study, project, config):
    with (
        scheduler(config) as (address, _),
        worker(address, config, project, "--nworkers=1", OPENBLAS_NUM_THREADS="2"),
    ):
        line = last_line(study(f"--scheduler={address}", **config), 1)
    assert "lacks OPENBLAS_NUM_THREADS=1" in line


def test_no_workers_are_named(study, config):
    patience = {"DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT": "1s"}
    with scheduler({**config, **patience}) as (address, _):
        line = last_line(study(f"--scheduler={address}", **config), 1)
    assert "there is no worker: start one" in line


def test_a_study_is_open_to_its_machine_alone(study, tmp_path):
    process = study()
    wait_for(lambda: runs(tmp_path), process)
    open_to = {
        connection.laddr.ip
        for pid in processes(process)
        for connection in psutil.Process(pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert open_to == {"127.0.0.1"}
