"""The processes of the tests: the command as a user calls it, studies, and a Dask of the user's."""

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from experiment.settings import PROJECT

REPRODUCE = str(PROJECT / "reproduce.py")
SMALL_STUDY = """
seeds = 2
images = "held_out"
[experiments]
later = "--mode=auto --wiring=ordered --epochs=2 --train_images=20"
first = "--engine=delayed --epochs=2 --train_images=20"
[differences]
later = "first"
"""


def run(*arguments, folder="/", project=PROJECT, without=(), largest_file=None, **environment):
    """Runs reproduce.py to its end, by default from a folder that is not the project's.

    Args:
        without: variables that the environment loses.
        largest_file: bytes beyond which no file may grow.
    """
    limit = largest_file and (
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    )
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    return subprocess.run(
        [sys.executable, project / "reproduce.py", *map(str, arguments)],
        cwd=folder, env={**inherited, **environment}, capture_output=True, text=True,
        preexec_fn=limit,
    )  # fmt: skip


def error_line(result, status=1):
    """The only line on stderr of a command that failed."""
    assert result.returncode == status, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("reproduce.py: ")
    return line


@contextlib.contextmanager
def started(*command, folder="/", output=subprocess.PIPE, **environment):
    """Yields a Python process in a session of its own; in the end kills it and its children."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=folder, env={**os.environ, **environment}, start_new_session=True,
        stdout=output, stderr=output, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        kill_session(process)


def kill_session(process):
    """Kills a process that `started` yields, and its children."""
    for pid in session_of(process):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def session_of(process):
    """The living processes of its session: their command lines, by process number."""
    lines = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == process.pid and state != "Z":
                lines[int(path.name)] = (path / "cmdline").read_bytes()
    return lines


def dask_workers(process):
    """The process numbers of a study's workers."""
    # Dask renames them if setproctitle is installed.
    names = (b"spawn_main", b"dask worker")
    return sorted(
        pid for pid, line in session_of(process).items() if any(name in line for name in names)
    )


def wait_for(condition, process=None, seconds=300):
    """Waits until the condition holds, while the process lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


def last_line(process, status):
    """The last line on stderr of a process that ended with this status."""
    _, stderr = process.communicate()
    assert process.returncode == status, stderr
    assert "Traceback" not in stderr
    return stderr.splitlines()[-1]


def free_port():
    """A port of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def listens(port):
    """Whether a server of this machine listens on the port."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


def certificates(folder):
    """Makes a certificate; returns the environment variable that names it to Dask."""
    usage = "keyUsage=critical,digitalSignature,keyCertSign"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=study"),
            *("-addext", usage, "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    # As in docs/using.md, but for a command that starts elsewhere.
    text = (PROJECT / "presets/cluster/dask.yaml").read_text()
    path = folder / "dask.yaml"
    path.write_text(re.sub(r"\w+\.pem", rf"{folder}/\g<0>", text))
    return {"DASK_CONFIG": str(path)}


@contextlib.contextmanager
def scheduler(config, port=None):
    """Yields the address of a scheduler that takes tls:// alone, and its process."""
    port = port or free_port()
    command = ("-m", "dask", "scheduler", "--host=tls://127.0.0.1", f"--port={port}")
    with started(*command, "--no-dashboard", output=subprocess.DEVNULL, **config) as process:
        wait_for(lambda: listens(port), process)
        yield f"tls://127.0.0.1:{port}", process


def worker(address, config, project, *arguments, **environment):
    """Two workers, or as many as the arguments say, in the project's folder."""
    command = ("-m", "dask", "worker", address, "--nworkers=2", "--nthreads=1", "--memory-limit=0")
    return started(
        *command, "--no-dashboard", *arguments, folder=project, output=subprocess.DEVNULL,
        **config, **environment,
    )  # fmt: skip
