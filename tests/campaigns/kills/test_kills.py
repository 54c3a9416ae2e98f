"""Kills runs, studies, workers and schedulers at random and at dangerous moments: nothing is lost.

The slow tests kill each kind of run and a study once, `make failures` all over a thousand times. A
*round* kills a command again and again until it ends in spite of that, then compares its files with
those of an undisturbed command. The number of a round decides everything random in it, so that a
failed round can be repeated; a stopped campaign goes on with the next round.
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

import pytest

from experiment.settings import PROJECT
from experiment.storage.folder import write_whole
from tests.campaigns.kills import kill_at_file_event
from tests.preloaded_process import preloaded
from tests.processes import (
    REPRODUCE,
    SMALL_STUDY,
    certificates,
    dask_workers,
    last_line,
    scheduler,
    session_of,
    started,
    wait_for,
    worker,
)
from tests.reference.result_files import contents, without_times

pytestmark = pytest.mark.slow

SHORT = ("--epochs=12", "--train_images=30", "--test_images=5")
CHECKPOINTS = ("--checkpoint_every=2", "--resume")
FORMER = "of an earlier study\n"
END_SECONDS = 60  # the children of a killed command end within
HANG_SECONDS = 900
PROGRESS_SECONDS = 20  # between two lines of progress


def lives_after(process, condition, seconds):
    """Whether the process still lives some seconds after the condition is met."""
    while process.poll() is None and not condition():
        time.sleep(0.001)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.poll() is None


def always():
    return True


class Kind:
    """A kind of command to kill.

    Attributes:
        failure, outcome: the first columns of the table.
        share: of the kills that --kills names.
        seconds: of an undisturbed command.
        events: of kill_at_file_event.py in an undisturbed command, by name.

    `round` takes an empty folder, a random.Random and the most kills; it returns their number.
    """

    share = 1.0

    def run_undisturbed(self, folder):
        """Runs the command to its end; returns its seconds and its events."""
        begun = time.monotonic()
        with self.killed_at(folder, "", 0, RENAMEAT2="no") as process:
            _, stderr = process.communicate()
        assert process.returncode == 0, stderr
        events = json.loads(stderr.splitlines()[-1])
        return time.monotonic() - begun, dict(sorted(events.items()))

    @contextlib.contextmanager
    def killed(self, folder, random):
        """Yields the command, which is killed at one of its events, or at a moment from outside."""
        if random.random() < 0.3:
            with self.killed_at(folder, "", 1) as process:
                moment = random.choice(list(self.moments(folder, process, random)))
                if lives_after(process, *moment):
                    process.kill()
                yield process
        else:
            # Files and renames matter most. Without renameat2 there are more renames.
            event = random.choice(["open", "os.rename", random.choice(list(self.events))])
            number = random.randint(1, self.events.get(event, 1))
            swap = "no" if event == "os.rename" else "yes"
            with self.killed_at(folder, event, number, RENAMEAT2=swap) as process:
                yield process

    def killed_at(self, folder, event, number, **environment):
        """The command in kill_at_file_event.py; without an event it is not killed."""
        program = kill_at_file_event.__file__, folder, event, number, *self.command(folder)
        return started(*program, **environment)


class Run(Kind):
    """A single run that replaces the results of an earlier one.

    Runs are forks of a process that has imported TensorFlow, which halves their time.
    """

    failure = "a run is killed (SIGKILL) at any moment"

    def __init__(self, name, *flags):
        self.name, self.flags = name, flags
        resumed = "`--resume` goes on from the newest checkpoint"
        then = resumed if "--resume" in flags else "in numpy mode it starts over"
        self.outcome = (
            "the former results or the new ones are there, complete; the next run takes over the "
            f"lock, and {then}, to the same bytes"
        )

    def command(self, folder):
        return REPRODUCE, *self.flags, f"--results_dir={folder}"

    def killed_at(self, folder, event, number, **environment):
        arguments = folder, event, number, *self.command(folder)
        return preloaded(kill_at_file_event.main, *arguments, **environment)

    def begin(self, folder):
        """Copies the results that the run replaces."""
        shutil.copytree(PROJECT / "results" / self.name, folder / self.name)

    def prepare(self, folder):
        self.begin(folder)
        self.former = contents(folder / self.name)
        self.seconds, self.events = self.run_undisturbed(folder)
        self.new = contents(folder / self.name)

    def newest_checkpoint(self, run_folder):
        """The epoch of the newest checkpoint, or 0."""
        names = (path.name for path in run_folder.glob("checkpoint/epoch-*"))
        return max((int(name.removeprefix("epoch-")) for name in names), default=0)

    def moments(self, folder, process, random):
        """Conditions, each with the seconds from then to the kill."""

        def exists(pattern):
            return lambda: any(folder.glob(pattern))

        yield always, random.uniform(0, self.seconds)
        yield exists(f".{self.name}.new/*"), random.uniform(0, 1)
        yield exists(f".{self.name}.new/predictions.png"), random.uniform(0, 0.1)
        if "--resume" in self.flags:
            yield exists(f"{self.name}/checkpoint/new"), random.uniform(0, 0.1)
            yield exists(f"{self.name}/checkpoint/epoch-*"), random.uniform(0, 0.5)

    def round(self, folder, random, most):
        self.begin(folder)
        epoch = 0
        for kills in itertools.count():
            kill = kills < most
            command = self.killed(folder, random) if kill else self.killed_at(folder, "", 1)
            with command as process:
                _, stderr = process.communicate(timeout=HANG_SECONDS)
            assert stderr == ""  # No checkpoint is damaged.
            run_folder = folder / self.name
            if process.returncode == 0:
                assert contents(run_folder) == self.new
                assert [path.name for path in folder.iterdir()] == [self.name]
                return kills
            assert process.returncode == -signal.SIGKILL
            if not run_folder.exists():  # killed between two renames; the next run undoes the first
                run_folder = folder / f".{self.name}.old"
            if contents(run_folder) != self.former:
                assert contents(run_folder) == self.new
                continue
            former, epoch = epoch, self.newest_checkpoint(run_folder)
            assert former <= epoch


class Study(Kind):
    """The command of a study that replaces the tables of an earlier one."""

    share = 0.1  # A study takes many times as long as a run.
    failure = "the command of a study is killed (SIGKILL) at any moment"
    outcome = (
        f"its workers end within {END_SECONDS} seconds; completed runs are kept, the former table "
        "or the new one is there; the same command goes on, to the same bytes"
    )

    def command(self, folder, *flags):
        return REPRODUCE, f"--study={Study.file}", f"--results_dir={folder}", *flags

    def prepare(self, folder):
        if hasattr(Study, "new"):  # All kinds of study share an undisturbed one.
            return
        self.begin(folder)
        Study.file = folder / "small.toml"
        Study.file.write_text(SMALL_STUDY)
        Study.seconds, Study.events = self.run_undisturbed(folder)
        Study.new = contents(folder / "studies/small")
        Study.lines = Study.new["runs.jsonl"].splitlines(keepends=True)

    def begin(self, folder):
        """Writes the tables that the study replaces."""
        (folder / "studies/small").mkdir(parents=True)
        for name in ("table.md", "README.md"):
            (folder / "studies/small" / name).write_text(FORMER)

    def completed(self, folder):
        """The lines of the completed runs."""
        path = folder / "studies/small/runs.jsonl"
        lines = without_times(path.read_bytes()).splitlines(keepends=True) if path.exists() else []
        return {line for line in lines if line.endswith(b"\n")}

    def check(self, folder, before, stderr):
        """Asserts that nothing is lost since `before`; returns the lines of the completed runs."""
        completed = self.completed(folder)
        assert before <= completed <= set(self.lines)
        shown = max(
            map(int, re.findall(r" (\d+)/\d+ \[", stderr)), default=0
        )  # by the progress bar
        assert shown <= len(completed)
        for name in ("table.md", "README.md"):
            text = without_times((folder / "studies/small" / name).read_bytes())
            assert text in (FORMER.encode(), self.new[name])
        return completed

    def one_run_more(self, folder):
        """A condition: one more run is completed."""
        before = len(self.completed(folder))
        return lambda: len(self.completed(folder)) > before

    def moments(self, folder, process, random):
        """Conditions, each with the seconds from then to the kill."""
        yield always, random.uniform(0, self.seconds)
        yield lambda: dask_workers(process), random.uniform(0, 3)
        yield self.one_run_more(folder), random.uniform(0, 0.1)
        yield (folder / "studies/small/cosines.png").exists, random.uniform(0, 0.5)

    def round(self, folder, random, most):
        self.begin(folder)
        completed = set()
        for kills in itertools.count():
            command = (
                self.killed(folder, random) if kills < most else started(*self.command(folder))
            )
            with command as process:
                process.wait(HANG_SECONDS)
                wait_for(lambda process=process: not session_of(process), seconds=END_SECONDS)
                _, stderr = process.communicate()
            completed = self.check(folder, completed, stderr)
            if process.returncode == 0:
                assert contents(folder / "studies/small") == self.new
                return kills
            assert process.returncode == -signal.SIGKILL, stderr


class Workers(Study):
    """Two workers of a study. Dask gives up a run that ends three."""

    failure = "workers of a study are killed (SIGKILL) at any moment"
    outcome = (
        "the study completes, with the same bytes; before the first run is completed it may end "
        "with one line, and the same command goes on"
    )

    def round(self, folder, random, most):
        self.begin(folder)
        kills, early = 0, False
        with started(*self.command(folder)) as process:
            for _ in range(min(2, most)):
                moments = (
                    (lambda: dask_workers(process), random.uniform(0, 5)),
                    (self.one_run_more(folder), random.uniform(0, 2)),
                )
                lives_after(process, *random.choice(moments))
                early |= not self.completed(folder)
                # The workers, or the command, may have ended.
                with contextlib.suppress(ProcessLookupError, IndexError):
                    os.kill(random.choice(dask_workers(process)), signal.SIGKILL)
                    kills += 1
            if process.wait(HANG_SECONDS):
                assert early
                assert "and the same command goes on" in last_line(process, 1)
        if process.returncode:
            with started(*self.command(folder)) as process:
                assert process.wait(HANG_SECONDS) == 0, process.communicate()
        assert contents(folder / "studies/small") == self.new
        return kills


class Scheduler(Study):
    """The scheduler of a study."""

    failure = "the scheduler of a study is killed (SIGKILL) at any moment"
    outcome = (
        "the study ends with one line; completed runs are kept; with a new scheduler the same "
        "command goes on, to the same bytes"
    )

    def prepare(self, folder):
        super().prepare(folder)
        folder.mkdir(exist_ok=True)
        self.config = certificates(folder)

    def round(self, folder, random, most):
        self.begin(folder)
        completed, kills = set(), 0
        while True:
            with (
                scheduler(self.config) as (address, dask),
                worker(address, self.config, PROJECT),
                started(*self.command(folder, f"--scheduler={address}"), **self.config) as process,
            ):
                moments = (
                    (always, random.uniform(0, self.seconds)),
                    (self.one_run_more(folder), random.random()),
                )
                killed = kills < most and lives_after(process, *random.choice(moments))
                if killed:
                    dask.kill()
                    kills += 1
                if process.wait(HANG_SECONDS):
                    assert killed
                    assert "and the same command goes on" in last_line(process, 1)
            completed = self.check(folder, completed, "")
            if process.returncode == 0:
                assert contents(folder / "studies/small") == self.new
                return kills


KINDS = {
    "manual": Run("published-manual", *SHORT, *CHECKPOINTS),
    "delayed": Run("published-manual", "--engine=delayed", *SHORT, *CHECKPOINTS),
    "auto": Run("published-auto", "--mode=auto", *SHORT, *CHECKPOINTS),
    "numpy": Run("numpy-inner", "--mode=numpy", *SHORT),
    "study": Study(),
    "worker": Workers(),
    "scheduler": Scheduler(),
}


def code_digest(kind):
    """A digest of the code that a kind runs: changed code is to be killed anew."""
    packages = ("experiment", "graph", "numpy_version")
    files = [path for package in packages for path in sorted((PROJECT / package).rglob("*.py"))]
    others = (
        {"report", "packaging", "studies"} if isinstance(kind, Run) else {"report", "packaging"}
    )
    files = [path for path in files if others.isdisjoint(path.parts)]
    files += [PROJECT / "flags.py", PROJECT / "reproduce.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@pytest.mark.parametrize("name", KINDS)
def test_kills(name, tmp_path, tmp_path_factory, pytestconfig, capfd, outcome):
    wanted, seconds, campaign = map(pytestconfig.getoption, ("kills", "kill_seconds", "campaign"))
    kind, folder = KINDS[name], tmp_path / "round"
    if wanted == 1 and name in ("worker", "scheduler"):
        pytest.skip("in make failures; tests/command/test_cluster.py kills each once")
    wanted = math.ceil(wanted * kind.share)
    counts = {"code": code_digest(kind), "kills": 0, "rounds": 0}
    path = campaign and campaign / f"{name}.json"
    if path and path.exists():
        former = json.loads(path.read_text())
        if former["code"] == counts["code"]:
            counts = former

    def summary():
        return f"{name}: {counts['kills']} kills, {counts['rounds']} rounds: 0 lost, 0 differ"

    if counts["kills"] < wanted:
        kind.prepare(tmp_path_factory.mktemp("undisturbed") / "results")
    begun = shown = time.monotonic()
    while counts["kills"] < wanted and time.monotonic() < begun + seconds:
        random_of_round = random.Random(f"{name} {counts['rounds']}")
        counts["kills"] += kind.round(folder, random_of_round, wanted - counts["kills"])
        counts["rounds"] += 1
        shutil.rmtree(folder)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(counts))
        if time.monotonic() > shown + PROGRESS_SECONDS:
            shown = time.monotonic()
            with capfd.disabled():
                print(summary(), file=sys.stderr, flush=True)
    outcome(kind.failure, kind.outcome, summary())
