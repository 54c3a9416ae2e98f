"""The same flags give the same bytes, whatever the environment of the command.

Threads are in test_recorded_runs.py, kills and resumptions in test_interruptions.py.
"""

import contextlib
import os
import shutil
import subprocess
import sys

import pytest

from experiment.settings import PROJECT
from tests import preloaded_process, processes
from tests.reference.result_files import contents

pytestmark = pytest.mark.slow
FLAGS = ("--epochs=3", "--train_images=20", "--test_images=5")
ENVIRONMENT = {
    "PYTHONHASHSEED": "random",
    "TZ": "Pacific/Kiritimati",
    # As in a locale of Latin 1, which is not on every machine: Python would make UTF-8 of C.
    "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
    # Where nobody can make one, not even root.
    "HOME": "/proc/nowhere",
}  # fmt: skip
# Variables that name folders for caches.
CACHES = ("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")


def files(folder, *flags, project=PROJECT, **environment):
    """The files of a run by name, without timing.json; it prints nothing on stderr."""
    result = processes.run(
        *FLAGS, *flags, "--results_dir=results", folder=folder, project=project,
        without=CACHES, **environment,
    )  # fmt: skip
    return written(result, folder / "results")


def usual(folder, *flags):
    """As `files`, in the environment of the tests."""
    return written(preloaded_process.run(*FLAGS, *flags, f"--results_dir={folder}"), folder)


def written(result, results_dir):
    assert (result.returncode, result.stderr) == (0, "")
    (of_run,) = results_dir.iterdir()
    return contents(of_run)


def differing(one, other):
    assert one.keys() == other.keys()
    return [name for name in one if one[name] != other[name]]


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    return usual(tmp_path_factory.mktemp("manual"))


@contextlib.contextmanager
def one_core():
    """For this process and those that it starts."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def load():
    """Twice as many processes as there are cores, each of which would like one."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(2 * os.cpu_count())]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be restricted here")
@pytest.mark.parametrize("engine", ["stepwise", "delayed", "parallel"])
def test_one_core(engine, tmp_path):
    flag = f"--engine={engine}"
    with one_core():
        one = files(tmp_path, flag)
    assert differing(usual(tmp_path / "all", flag), one) == []


def test_load(manual, tmp_path):
    with load():
        assert differing(usual(tmp_path), manual) == []


def test_another_folder(manual, tmp_path):
    project = tmp_path / "another folder, ü"
    for name in ("experiment", "graph", "numpy_version", "MNIST_data", "traces", "presets"):
        shutil.copytree(PROJECT / name, project / name)
    for name in ("reproduce.py", "flags.py"):
        shutil.copy(PROJECT / name, project)
    assert differing(files(project, project=project), manual) == []


@pytest.mark.parametrize("mode", ["manual", "auto"])
def test_another_environment(mode, tmp_path):
    flag = f"--mode={mode}"
    other = files(tmp_path, flag, **ENVIRONMENT)
    assert differing(usual(tmp_path / "usual", flag), other) == []
