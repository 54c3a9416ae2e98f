"""Processes that begin with what takes seconds to import: forks of one that has done so.

That one has run nothing else, and none of this project's code.
"""

import multiprocessing
import os
import subprocess
import sys
from multiprocessing import forkserver
from unittest import mock

import dying

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["tensorflow.compat.v1", "matplotlib.backends.backend_svg", "matplotlib.pyplot"]
)


def fork(function, *arguments):
    """A process that calls the function."""
    # As the command sets it before the import; in this process all stays as it is.
    with mock.patch.dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3"):
        forkserver.ensure_running()
    process = CONTEXT.Process(target=function, args=arguments)
    process.start()
    return process


def begin(arguments, environment, files):
    os.setsid()
    os.chdir("/")
    os.environ.update(environment)
    for number, path in files.items():
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    dying.main(*arguments)


class Dying:
    """A program that dying.py runs, in a fork, as far as the tests need a subprocess.Popen of it.

    Args:
        arguments: of dying.py.
        environment: what is added to this process's.
        folder: for what it says.
    """

    def __init__(self, arguments, environment, folder):
        self.files = {1: folder / "stdout", 2: folder / "stderr"}
        self.process = fork(begin, arguments, environment, self.files)
        self.pid = self.process.pid
        self.stdout = self.stderr = None

    @property
    def returncode(self):
        return self.process.exitcode

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        self.process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(sys.executable, timeout)
        return self.returncode

    def communicate(self, timeout=None):
        self.wait(timeout)
        return tuple(path.read_text() for path in self.files.values())

    def kill(self):
        self.process.kill()
