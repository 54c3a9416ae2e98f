"""Processes that start quickly: forks of a server that has imported TensorFlow and Matplotlib.

The server has run nothing else, and no code of this project.
"""

import multiprocessing
import os
import subprocess
import sys
from multiprocessing import forkserver
from unittest import mock

from tests.campaigns.kills import kill_at_file_event

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["tensorflow.compat.v1", "matplotlib.backends.backend_svg", "matplotlib.pyplot"]
)


def fork(function, *arguments):
    """A multiprocessing.Process that calls the function."""
    # The command sets this before it imports TensorFlow; here it must not change this process.
    with mock.patch.dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3"):
        forkserver.ensure_running()
    process = CONTEXT.Process(target=function, args=arguments)
    process.start()
    return process


def _main(arguments, environment, outputs):
    os.setsid()
    os.chdir("/")
    os.environ.update(environment)
    for number, path in outputs.items():
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    kill_at_file_event.main(*arguments)


class PreloadedProcess:
    """kill_at_file_event.py in a fork, with the part of subprocess.Popen that the tests use.

    Args:
        arguments: of kill_at_file_event.py.
        environment: added to this process's.
        folder: for the files of its output.
    """

    def __init__(self, arguments, environment, folder):
        self.outputs = {1: folder / "stdout", 2: folder / "stderr"}
        self.process = fork(_main, arguments, environment, self.outputs)
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
        return tuple(path.read_text() for path in self.outputs.values())

    def kill(self):
        self.process.kill()
