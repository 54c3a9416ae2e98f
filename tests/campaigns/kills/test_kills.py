"""SIGKILL, at any moment and at those that are known as dangerous: nothing is lost, or differs.

`make test` tries a few, `make faults` over a thousand: it says every now and then how far it is,
and when it was stopped it goes on. A *round* kills something again and again until it has come to
its end in spite of that, and compares what it wrote with what it writes undisturbed.
"""

import contextlib
import hashlib
import itertools
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import forked
import pytest
from conftest import PROJECT
from test_cluster import certified, end, last_line, processes, scheduler, wait_for, worker, workers
from test_study import STUDY

from experiment.storage.folder import write_whole

REPRODUCE = str(PROJECT / "reproduce.py")
SHORT = ("--epochs=12", "--train_images=30", "--test_images=5")
CHECKPOINTS = ("--checkpoint_every=2", "--resume")
FORMER = "of an earlier study\n"
GONE = 60  # seconds, after which nothing that a command began may be alive
HANGS = 900  # seconds, after which something hangs
PROGRESS = 20  # seconds between two lines that say how far it is


def content(folder):
    """The results in a folder: all that has to be the same in every run."""
    return {
        path.name: path.read_bytes() for path in folder.glob("*.*") if path.name != "timing.json"
    }


@contextlib.contextmanager
def started(*command, **environment):
    """A process in a session of its own; it ends with all that it began."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd="/", env={**os.environ, **environment}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        end(process)


def dying(folder, event="", number=0):
    """What a command begins with that is to die before an event in the folder."""
    return str(PROJECT / "tests/dying.py"), str(folder), event, str(number)


def lives_until(process, condition, seconds):
    """Whether it is still there some seconds after a condition is met."""
    while process.poll() is None and not condition():
        time.sleep(0.001)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.poll() is None


def always():
    return True


class Kind:
    """Something to kill.

    Attributes:
        fault, then: the first columns of the table.
        operations: how many of each event of dying.py there are if nothing happens.
        seconds: that it takes then.
        share: of the kills that are asked for; a study takes many times as long as a run.

    A `round` takes the folder to use, what decides at random, and the most kills; it says how many
    there were.
    """

    share = 1.0

    def undisturbed(self, folder):
        """Runs the command to its end."""
        begun = time.monotonic()
        with started(*dying(folder), *self.command(folder), RENAMEAT2="no") as process:
            _, stderr = process.communicate()
        assert process.returncode == 0, stderr
        self.seconds = time.monotonic() - begun
        self.operations = dict(sorted(json.loads(stderr.splitlines()[-1]).items()))

    @contextlib.contextmanager
    def killed(self, folder, random, meant):
        """The command; if it is meant to, it dies at something it does, or from outside."""
        command = self.command(folder)
        if not meant:
            with started(*command) as process:
                yield process
        elif random.random() < 0.3:
            with self.doomed(folder, "", 1, command) as process:
                moment = random.choice(list(self.moments(folder, process, random)))
                if lives_until(process, *moment):
                    process.kill()
                yield process
        else:
            # Mostly those that matter most; there are more renames where the system cannot swap.
            event = random.choice(["open", "os.rename", random.choice(list(self.operations))])
            number = random.randint(1, self.operations.get(event, 1))
            swap = "no" if event == "os.rename" else "yes"
            with self.doomed(folder, event, number, command, RENAMEAT2=swap) as process:
                yield process

    def doomed(self, folder, event, number, command, **environment):
        """The command, which dies before an event in the folder."""
        return started(*dying(folder, event, number), *command, **environment)


class Run(Kind):
    """A single run, in the place of an earlier one.

    What is to die is forked from a process that has imported TensorFlow: it takes half the time.
    """

    fault = "a run is killed (SIGKILL), at any moment"

    def __init__(self, name, *flags):
        self.name, self.flags = name, flags
        goes_on = "`--resume` goes on from the newest checkpoint"
        then = goes_on if "--resume" in flags else "in numpy mode it starts over"
        self.then = (
            "the former results are there, or the new ones, whole; the next run takes over its "
            f"lock, and {then}, to the same bytes"
        )

    def command(self, folder):
        return REPRODUCE, *self.flags, f"--results_dir={folder}"

    @contextlib.contextmanager
    def doomed(self, folder, event, number, command, **environment):
        process = forked.Dying(
            (*dying(folder, event, number)[1:], *command), environment, folder.parent
        )
        try:
            yield process
        finally:
            end(process)

    def begin(self, folder):
        """Puts there what is to be replaced."""
        shutil.copytree(PROJECT / "results" / self.name, folder / self.name)

    def prepare(self, folder):
        self.begin(folder)
        self.undisturbed(folder)
        self.whole = content(folder / self.name)
        self.former = content(PROJECT / "results" / self.name)

    def epoch(self, there):
        """Of the newest checkpoint."""
        names = (path.name for path in there.glob("checkpoint/epoch-*"))
        return max((int(name.removeprefix("epoch-")) for name in names), default=0)

    def moments(self, folder, process, random):
        """When to kill: at any time, or soon after something that is worth a cut has begun."""

        def there(pattern):
            return lambda: any(folder.glob(pattern))

        yield always, random.uniform(0, self.seconds)
        yield there(f".{self.name}.new/*"), random.uniform(0, 1)
        yield there(f".{self.name}.new/predictions.png"), random.uniform(0, 0.1)
        if "--resume" in self.flags:
            yield there(f"{self.name}/checkpoint/new"), random.uniform(0, 0.1)
            yield there(f"{self.name}/checkpoint/epoch-*"), random.uniform(0, 0.5)

    def round(self, folder, random, most):
        self.begin(folder)
        epoch = 0
        for kills in itertools.count():
            with self.killed(folder, random, kills < most) as process:
                _, stderr = process.communicate(timeout=HANGS)
            assert stderr == ""  # Above all, no checkpoint may be damaged.
            there = folder / self.name
            if process.returncode == 0:
                assert content(there) == self.whole
                assert [path.name for path in folder.iterdir()] == [self.name]
                return kills
            assert process.returncode == -signal.SIGKILL
            if not there.exists():  # It died between two renames: the next run finds this.
                there = folder / f".{self.name}.old"
            if content(there) != self.former:
                assert content(there) == self.whole
                continue
            former, epoch = epoch, self.epoch(there)
            assert former <= epoch


class Study(Kind):
    """The command of a study, in the place of an earlier one."""

    share = 0.1
    fault = "the command of a study is killed (SIGKILL), at any moment"
    then = (
        f"its workers end within {GONE} seconds; what it said is done is kept, the former table is "
        "there or the new one; the same command goes on, to the same bytes"
    )

    def command(self, folder, *flags):
        return REPRODUCE, f"--study={self.file}", f"--results_dir={folder}", *flags

    def prepare(self, folder):
        self.begin(folder)
        self.file = folder / "small.toml"
        self.file.write_text(STUDY)
        self.undisturbed(folder)
        self.whole = content(folder / "studies/small")
        self.lines = self.whole["runs.jsonl"].splitlines(keepends=True)

    def begin(self, folder):
        """Puts there what is to be replaced."""
        (folder / "studies/small").mkdir(parents=True)
        for name in ("table.md", "README.md"):
            (folder / "studies/small" / name).write_text(FORMER)

    def done(self, folder):
        """The runs that are in the study's file."""
        path = folder / "studies/small/runs.jsonl"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        return {line for line in lines if line.endswith(b"\n")}

    def check(self, folder, before, stderr):
        """The runs that are done; asserts that these are in order, and those before among them."""
        done = self.done(folder)
        assert before <= done <= set(self.lines)
        # What the progress bar said.
        assert max(map(int, re.findall(r" (\d+)/\d+ \[", stderr)), default=0) <= len(done)
        for name in ("table.md", "README.md"):
            text = (folder / "studies/small" / name).read_bytes()
            assert text in (FORMER.encode(), self.whole[name])
        return done

    def another(self, folder):
        """A condition: one more run is done."""
        before = len(self.done(folder))
        return lambda: len(self.done(folder)) > before

    def moments(self, folder, process, random):
        yield always, random.uniform(0, self.seconds)
        yield lambda: workers(process), random.uniform(0, 3)
        yield self.another(folder), random.uniform(0, 0.1)
        yield (folder / "studies/small/cosines.png").exists, random.uniform(0, 0.5)

    def round(self, folder, random, most):
        self.begin(folder)
        done = set()
        for kills in itertools.count():
            with self.killed(folder, random, kills < most) as process:
                process.wait(HANGS)
                wait_for(lambda its=process: not processes(its), seconds=GONE)
                _, stderr = process.communicate()
            done = self.check(folder, done, stderr)
            if process.returncode == 0:
                assert content(folder / "studies/small") == self.whole
                return kills
            assert process.returncode == -signal.SIGKILL, stderr


class Worker(Study):
    """Two workers of a study; Dask gives up a run that ends three."""

    fault = "workers of a study are killed (SIGKILL), at any moment"
    then = (
        "the study ends well, with the same bytes; as long as no run is done it may end with one "
        "line, and the same command goes on"
    )

    def round(self, folder, random, most):
        self.begin(folder)
        kills, early = 0, False
        with started(*self.command(folder)) as process:
            for _ in range(min(2, most)):
                moments = (
                    (lambda: workers(process), random.uniform(0, 5)),
                    (self.another(folder), random.uniform(0, 2)),
                )
                lives_until(process, *random.choice(moments))
                early |= not self.done(folder)
                # They may have ended, and the command too.
                with contextlib.suppress(ProcessLookupError, IndexError):
                    os.kill(random.choice(workers(process)), signal.SIGKILL)
                    kills += 1
            if process.wait(HANGS):
                assert early
                assert "and the same command goes on" in last_line(process, 1)
        if process.returncode:
            with started(*self.command(folder)) as process:
                assert process.wait(HANGS) == 0, process.communicate()
        assert content(folder / "studies/small") == self.whole
        return kills


class Scheduler(Study):
    """The scheduler of a study."""

    fault = "the scheduler of a study is killed (SIGKILL), at any moment"
    then = (
        "the study ends with one line; what was done is kept; with a scheduler the same command "
        "goes on, to the same bytes"
    )

    def prepare(self, folder):
        super().prepare(folder)
        self.config = certified(folder)

    def round(self, folder, random, most):
        self.begin(folder)
        done, kills = set(), 0
        while True:
            with (
                scheduler(self.config) as (address, its),
                worker(address, self.config, PROJECT),
                started(*self.command(folder, f"--scheduler={address}"), **self.config) as process,
            ):
                moments = (
                    (always, random.uniform(0, self.seconds)),
                    (self.another(folder), random.random()),
                )
                killed = kills < most and lives_until(process, *random.choice(moments))
                if killed:
                    its.kill()
                    kills += 1
                if process.wait(HANGS):
                    assert killed
                    assert "and the same command goes on" in last_line(process, 1)
            done = self.check(folder, done, "")
            if process.returncode == 0:
                assert content(folder / "studies/small") == self.whole
                return kills


KINDS = {
    "manual": Run("published-manual", *SHORT, *CHECKPOINTS),
    "delayed": Run("published-manual", "--engine=delayed", *SHORT, *CHECKPOINTS),
    "auto": Run("published-auto", "--mode=auto", *SHORT, *CHECKPOINTS),
    "numpy": Run("numpy-inner", "--mode=numpy", *SHORT),
    "study": Study(),
    "worker": Worker(),
    "scheduler": Scheduler(),
}


def code(kind):
    """A digest of what a kind kills: with other code all is to be tried anew."""
    rooms = ("experiment", "graph", "numpy_version")
    files = [path for room in rooms for path in sorted((PROJECT / room).rglob("*.py"))]
    # A single run imports nothing of the studies, and no command what reports are made with.
    others = {"report", "studies"} if isinstance(kind, Run) else {"report"}
    files = [path for path in files if others.isdisjoint(path.parts)]
    files += [PROJECT / "flags.py", PROJECT / "reproduce.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@pytest.mark.parametrize("name", KINDS)
def test_kills(name, tmp_path, pytestconfig, capfd, tried):
    wanted, seconds, campaign = map(pytestconfig.getoption, ("kills", "kill_seconds", "campaign"))
    kind, folder = KINDS[name], tmp_path / "round"
    wanted = math.ceil(wanted * kind.share)
    counts = {"code": code(kind), "kills": 0, "rounds": 0}
    path = campaign and campaign / f"{name}.json"
    if path and path.exists():
        former = json.loads(path.read_text())
        if former["code"] == counts["code"]:
            counts = former

    def said():
        return f"{name}: {counts['kills']} kills, {counts['rounds']} rounds: 0 lost, 0 differ"

    if counts["kills"] < wanted:
        kind.prepare(tmp_path / "whole")
    begun = told = time.monotonic()
    while counts["kills"] < wanted and time.monotonic() < begun + seconds:
        # A round that was stopped, or failed, is the same when it is tried again.
        its = random.Random(f"{name} {counts['rounds']}")
        counts["kills"] += kind.round(folder, its, wanted - counts["kills"])
        counts["rounds"] += 1
        shutil.rmtree(folder)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(counts))
        if time.monotonic() > told + PROGRESS:
            told = time.monotonic()
            with capfd.disabled():
                print(said(), file=sys.stderr, flush=True)
    tried(kind.fault, kind.then, said())
