"""Processes that start quickly: forks of a server that has imported TensorFlow and Matplotlib.

The server has run nothing else, and no code of this project. A run of the command that takes two
seconds takes seven if it imports them itself.
"""

import contextlib
import multiprocessing
import os
import resource
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

from tests.processes import REPRODUCE

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


def _main(function, arguments, environment, outputs, largest_file):
    os.chdir("/")
    os.environ.update(environment)
    for number, pipe in enumerate(outputs, start=1):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    # Those of the server cannot write to a pipe.
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", 1)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    function(*arguments)


class PreloadedProcess:
    """Calls a function in a fork; has the part of subprocess.Popen that the tests use.

    Args:
        environment: added to the server's.
        largest_file: bytes beyond which no file may grow.
    """

    def __init__(self, function, arguments, environment, largest_file=None):
        (stdout, out), (stderr, err) = CONTEXT.Pipe(duplex=False), CONTEXT.Pipe(duplex=False)
        self.process = fork(_main, function, arguments, environment, (out, err), largest_file)
        self.pid = self.process.pid
        for pipe in (out, err):
            pipe.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(pipe.fileno())) for pipe in (stdout, stderr))

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
        with ThreadPoolExecutor() as pool:
            texts = [pool.submit(pipe.read) for pipe in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            return tuple(text.result() for text in texts)

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.process.kill()


def run_program(program, *arguments):
    """Runs a Python program as if it were called, in this process."""
    sys.argv = [program, *arguments]
    sys.path[0] = str(Path(program).parent)
    runpy.run_path(program, run_name="__main__")


@contextlib.contextmanager
def preloaded(function, *arguments, largest_file=None, **environment):
    """Yields the process that calls the function; in the end kills it."""
    texts = [str(each) for each in arguments]
    process = PreloadedProcess(function, texts, environment, largest_file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def started(*arguments, **options):
    """Yields reproduce.py in a fork, as `preloaded` does."""
    return preloaded(run_program, REPRODUCE, *arguments, **options)


def run(*arguments, **options):
    """Runs reproduce.py in a fork to its end."""
    with started(*arguments, **options) as process:
        stdout, stderr = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)
