"""Feeds damaged files and flags to what reads them.

    fuzz.py SURFACE hypothesis|atheris COUNT SEED

What each surface of surfaces.py is given has to be refused with one line, or read as another reader
of a few lines reads it; within 10 s, without a warning, and with nothing written but in the folder
of the inputs. Prints how many were read, how many refused, and the most memory in MB.
"""

import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]
# Which parsers are watched, that what leads into another of their branches is mutated further.
WATCHED = {
    "data": ["experiment.training.mnist"],
    "study": ["tomllib", "experiment.studies.definition"],
    "flags": ["absl.flags._flagvalues", "absl.flags._argument_parser", "flags"],
}
SECONDS = 10
# What else than to open a file changes a folder, and which argument is the folder's, if any.
WRITES = {"os.mkdir": 2, "os.remove": 1, "os.rmdir": 1, "os.rename": 2, "os.truncate": None}
seen = Counter()


class Watch:
    """Notes what is written outside of a folder, and ends what takes too long."""

    def __init__(self, folder):
        self.folder, self.on, self.outside = Path(folder).resolve(), False, []
        signal.signal(signal.SIGALRM, self.too_long)
        sys.addaudithook(self.hook)

    def hook(self, event, arguments):
        if not self.on:
            return
        if event == "open":
            if not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in WRITES:
            return
        path, place = arguments[0], WRITES.get(event)
        if isinstance(path, int):
            return
        folder = -1 if place is None else arguments[place]
        base = Path.cwd() if folder == -1 else Path(f"/proc/self/fd/{folder}").resolve()
        path = (base / os.fsdecode(path)).resolve()
        if not path.is_relative_to(self.folder):
            self.outside.append(str(path))

    def too_long(self, *_):
        raise TimeoutError(f"it took more than {SECONDS} s")

    @contextlib.contextmanager
    def __call__(self):
        self.on = True
        signal.alarm(SECONDS)
        try:
            yield
        finally:
            signal.alarm(0)
            self.on = False
        assert not self.outside, f"{self.outside} written"


def with_hypothesis(surface, feed, count, seed):
    from hypothesis import HealthCheck, given, settings
    from hypothesis import seed as seeded

    @seeded(seed)
    @settings(
        max_examples=count, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(surface.inputs())
    def fuzz(arguments):
        feed(*arguments)

    fuzz()
    report()


def with_atheris(surface, feed, count, seed):
    def one(data):
        arguments = surface.from_bytes(data)
        if arguments is None:
            return
        feed(*arguments)
        # The fuzzer ends the process, and leaves no time for anything after it.
        if sum(seen.values()) == count:
            report()

    with tempfile.TemporaryDirectory() as corpus:
        for number, content in enumerate(surface.corpus):
            (Path(corpus) / str(number)).write_bytes(content)
        options = [
            # A seed of 0 would be that of the clock.
            f"-runs={count + 1000}", f"-seed={seed + 1}", "-max_len=2500", "-verbosity=0",
        ]  # fmt: skip
        atheris.Setup([sys.argv[0], *options, corpus], one)
        atheris.Fuzz()


def report():
    # Linux's own count: getrusage's begins at the peak of the process that started this one.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({**seen, "peak_mb": int(peak[1]) * 1024 / 1e6}), flush=True)


if __name__ == "__main__":
    name, engine, count, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    watched = contextlib.nullcontext()
    if engine == "atheris":
        import atheris

        watched = atheris.instrument_imports(include=WATCHED[name])
    with watched:
        import surfaces
    warnings.simplefilter("error")
    run = {"hypothesis": with_hypothesis, "atheris": with_atheris}[engine]
    # In memory, where the system has a folder there: to open a file on a disk takes longer.
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as inputs, tempfile.TemporaryDirectory() as here:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = f"{here}/hypothesis"
        surface, watch = surfaces.SURFACES[name](Path(inputs)), Watch(inputs)
        os.chdir(here)

        def feed(*arguments):
            with watch():
                read = surface.check(*arguments)
            seen["read" if read else "refused"] += 1

        run(surface, feed, count, seed)
