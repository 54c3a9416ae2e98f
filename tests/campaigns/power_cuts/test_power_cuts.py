"""A power cut: what it leaves is whole, or known to be damaged, and the same command goes on.

`make test` goes on from a few of the states that cuts can leave, `make faults` from all kinds.
"""

import dataclasses
import shutil
import subprocess
import sys
import time
from typing import Any

import power
import power_study
import pytest
from conftest import PROJECT
from test_nothing_lost import NAME

from experiment.settings import Settings
from experiment.storage.checkpoint import Checkpoints
from experiment.storage.folder import replacing
from experiment.studies import runs
from experiment.training import mnist

FLAGS = ("--epochs=3", "--train_images=10", "--test_images=5", "--checkpoint_every=1", "--resume")
ASKED = Settings(epochs=3, train_images=10, test_images=5, checkpoint_every=1, resume=True)
NEW = ASKED.epochs + 1
TIMING = {"timing.json": b""}


# States share their data, but pytest would print them all: gigabytes.
@dataclasses.dataclass(repr=False)
class Cut:
    """A run, and all that cuts can leave of it.

    Attributes:
        folder: of the run, from that of a state.
        command: of the run, but for its last flag, --results_dir.
        operations: how many there were.
        states: each with the epoch whose checkpoint has to be there, or `NEW`: the new results.
        former, new: the results before the run and after it.
        checkpoints: the files of each, by its epoch.
    """

    folder: str
    command: list[str]
    operations: int
    states: dict[Any, int]
    former: dict[str, bytes]
    new: dict[str, bytes]
    checkpoints: dict[int, dict[str, bytes]]


def results(files, folder):
    """Those files of a run that are its results."""
    found = power.below(files, folder)
    return {path: data for path, data in found.items() if not path.startswith("checkpoint")}


def checkpoints_in(files, folder):
    """The files of each checkpoint, by its epoch."""
    found = {}
    for path, data in power.below(files, f"{folder}/checkpoint").items():
        name, _, file = path.partition("/")
        if name.startswith("epoch-"):
            of_it = found.setdefault(int(name.removeprefix("epoch-")), {})
            if file:
                of_it[file] = data
    return found


@pytest.fixture(scope="module", params=["former results", "no folder yet"])
def cut(request, tmp_path_factory):
    """Two runs: over former results; and into no folder, where the checkpoints are kept."""
    power.skip_without_strace()
    work = tmp_path_factory.mktemp("cut").resolve()
    root = work / "disk"
    root.mkdir()
    command = [sys.executable, str(PROJECT / "reproduce.py"), *FLAGS]
    if request.param == "former results":
        folder = f"results/{NAME}"
        shutil.copytree(PROJECT / folder, root / folder)
    else:
        folder = f"deep/results/{NAME}"
        command.append("--keep_checkpoints")
    disk = power.Disk(root)
    former = results(disk.now(), folder)
    results_dir = (root / folder).parent
    operations = power.record([*command, f"--results_dir={results_dir}"], root, work / "log")
    (work / "log").unlink()
    new = results(power.files_of(root), folder)
    checkpoints = {}

    def progress(files):
        found = checkpoints_in(files, folder)
        for epoch, content in found.items():
            checkpoints.setdefault(epoch, content)
        return NEW if results(files, folder) == new else max(found, default=0)

    states = power.cuts(disk, operations, progress)
    # All was understood: the same files are there as on the real disk.
    understood = disk.now() == power.files_of(root)
    assert understood
    assert [path.name for path in results_dir.iterdir()] == [NAME]
    assert set(checkpoints) == {1, 2, 3}
    shutil.rmtree(root)
    return Cut(folder, command, len(operations), states, former, new, checkpoints)


def test_the_former_results_are_there_or_the_new_ones(cut):
    for state, promised in cut.states.items():
        found = results(dict(state), cut.folder)
        # Said before it is asserted, here and below: pytest would print megabytes.
        whole = found == cut.new or (found == cut.former and promised < NEW)
        assert whole, sorted(found)


def test_checkpoints_are_whole_or_known_to_be_damaged(cut, tmp_path):
    split = mnist.split(mnist.load(ASKED.data_dir), ASKED)
    seen = {}
    for state, promised in cut.states.items():
        files = dict(state)
        if results(files, cut.folder) == cut.new and "--keep_checkpoints" not in cut.command:
            promised = 0
        found = checkpoints_in(files, cut.folder)
        key = frozenset((epoch, frozenset(files.items())) for epoch, files in found.items())
        most = max(min(promised, ASKED.epochs), seen.get(key, (0,))[0])
        seen[key] = most, found
    for promised, found in seen.values():
        folder = tmp_path / "checkpoint"
        for epoch, files in found.items():
            (folder / f"epoch-{epoch}").mkdir(parents=True)
            power.build(files, folder / f"epoch-{epoch}")
        intact = []
        while variables := Checkpoints(folder).start(ASKED, split).variables:
            intact.append(int(variables.parent.name.removeprefix("epoch-")))
            whole = power.files_of(variables.parent) == cut.checkpoints[intact[-1]]
            assert whole
            shutil.rmtree(variables.parent)
        assert max(intact, default=0) >= promised
        shutil.rmtree(folder, ignore_errors=True)
    assert len(seen) > 2 * ASKED.epochs


def kinds(cut):
    """One state of each kind, those of a kind being alike but for what is cleared away."""
    found = {}
    for state in cut.states:
        files = dict(state)
        checkpoints = checkpoints_in(files, cut.folder)
        whole = tuple(
            sorted(e for e, content in checkpoints.items() if content == cut.checkpoints[e])
        )
        others = len(checkpoints) - len(whole)
        names = frozenset(path for path in files if path.count("/") <= cut.folder.count("/"))
        new = f"{cut.folder}/checkpoint/new" in files
        found[results(files, cut.folder) == cut.new, whole, others, names, new] = files
    return list(found.values())


def in_time(count, pytestconfig):
    """The numbers below a count, the first of them and as many as there is time for."""
    begun = time.monotonic()
    for number in range(count):
        if number and time.monotonic() > begun + pytestconfig.getoption("kill_seconds"):
            return
        yield number


def test_the_run_goes_on(cut, tmp_path, pytestconfig, tried):
    every = kinds(cut)
    # The other half is for the other run.
    count = min(len(every), -(-pytestconfig.getoption("kills") // 2))
    for number in in_time(count, pytestconfig):
        folder = tmp_path / str(number)
        folder.mkdir()
        power.build(every[number * (len(every) - 1) // max(count - 1, 1)], folder)
        results_dir = (folder / cut.folder).parent
        result = subprocess.run(
            [*cut.command, f"--results_dir={results_dir}"], capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        assert [path.name for path in results_dir.iterdir()] == [NAME]
        files = power.files_of(folder)
        whole = results(files, cut.folder) | TIMING == cut.new | TIMING
        assert whole
        kept = [2, 3] if "--keep_checkpoints" in cut.command else []
        # The cut may have taken back that an older one was removed.
        assert sorted(checkpoints_in(files, cut.folder))[-2:] == kept
        shutil.rmtree(folder)
    count = number + 1
    tried(
        "the power is cut, at any moment of a run",
        "the former results are there, or the new ones, whole, and every checkpoint from which the "
        "run had gone on; what is damaged is known to be; `--resume` goes on to the same bytes",
        f"after each of {cut.operations} operations on files: {len(cut.states)} states, none lost; "
        f"gone on from {count} of {len(every)} kinds",
    )


STUDY = "results/studies/claims"


def lines(files):
    return (files.get(f"{STUDY}/{runs.FILE}") or b"").splitlines(keepends=True)


def test_a_study_goes_on(tmp_path, pytestconfig, tried):
    power.skip_without_strace()
    root = (tmp_path / "disk").resolve()
    root.mkdir()
    disk = power.Disk(root)
    command = [sys.executable, "-m", "tests.power_study", str(root / STUDY)]
    operations = power.record(command, root, tmp_path / "log")
    states = power.cuts(disk, operations, lambda files: len(lines(files)))
    whole = power.files_of(root)
    understood = disk.now() == whole
    assert understood
    every = {}
    for state, promised in states.items():
        files = dict(state)
        done = [line for line in lines(files) if line in lines(whole)]
        assert len(done) >= promised
        every[len(done), len(lines(files)), f"{STUDY}/.{runs.FILE}.new" in files] = files
    every = list(every.values())
    count = min(len(every), pytestconfig.getoption("kills"))
    for number in in_time(count, pytestconfig):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = every[number * (len(every) - 1) // max(count - 1, 1)]
        power.build(files, folder)
        missing = power_study.run(folder / STUDY)
        assert missing == len(lines(whole)) - len(set(lines(files)) & set(lines(whole)))
        same = power.files_of(folder) == whole
        assert same
    count = number + 1
    tried(
        "the power is cut, at any moment of a study",
        "runs that are done are not repeated, the same command does the others, and all files are "
        "the same to the last byte",
        f"after each of {len(operations)} operations on files: {len(states)} states, none lost; "
        f"gone on from {count} of {len(every)} kinds",
    )


@pytest.mark.parametrize("exchange", [True, False], ids=["in one step", "in two"])
def test_a_folder_is_replaced(exchange, tmp_path):
    power.skip_without_strace()
    root = (tmp_path / "disk").resolve()
    former, new = ({"one": text, "other": text} for text in (b"former", b"new"))
    (root / "run").mkdir(parents=True)
    power.build(former, root / "run")
    disk = power.Disk(root)
    program = (
        "import sys; from pathlib import Path; from experiment.storage import folder\n"
        "from experiment.storage.interruption import Signals\n"
        f"if not {exchange}: folder._exchange = lambda one, other: False\n"
        "with folder.replacing(Path(sys.argv[1]), Signals(), {'one', 'other'}) as new:\n"
        "    for name in ('one', 'other'): (new / name).write_text('new')\n"
    )
    command = [sys.executable, "-c", program, str(root / "run")]
    operations = power.record(command, root, tmp_path / "log")
    states = power.cuts(disk, operations, lambda files: power.below(files, "run") == new)
    assert disk.now() == power.files_of(root)
    for number, (state, promised) in enumerate(states.items()):
        disk = tmp_path / str(number)
        disk.mkdir()
        power.build(dict(state), disk)
        # The next run clears up, and fails.
        with pytest.raises(ZeroDivisionError), replacing(disk / "run", None, former):
            raise ZeroDivisionError
        found = power.files_of(disk / "run")
        assert found == new or (found == former and not promised)
        assert [path.name for path in disk.iterdir()] == ["run"]
    assert len(states) > len(operations)


@pytest.mark.parametrize(
    ("program", "left"),
    [
        ("new.write_text('new'); new.rename(path)", {b"old", b"", b"n", b"\0\0\0", b"new"}),
        ("new.write_text('new'); flush_entry(new); new.rename(path)", {b"old", b"new"}),
        ("path.write_text('new')", {b"old", b"", b"n", b"\0\0\0", b"new"}),
        ("write_whole(path, 'new')", {b"old", b"new"}),
        ("path.unlink(); new.write_text('new'); flush_entry(new); new.rename(path)",
         {b"old", None, b"new"}),
        ("path.open('a').write('new')", {b"old", b"oldn", b"old\0\0\0", b"oldnew"}),
        ("path.unlink(); flush_entry(path.parent)", {b"old", None}),
    ],
)  # fmt: skip
def test_what_a_cut_leaves_of_a_file(program, left, tmp_path):
    power.skip_without_strace()
    root = (tmp_path / "disk").resolve()
    root.mkdir()
    (root / "file").write_text("old")
    disk = power.Disk(root)
    names = f"path, new = Path({str(root / 'file')!r}), Path({str(root / 'other')!r})"
    imports = "from pathlib import Path; from experiment.storage.folder import *"
    command = [sys.executable, "-c", f"{imports}; {names}; {program}"]
    operations = power.record(command, root, tmp_path / "log")
    states = power.cuts(disk, operations, lambda files: 0)
    assert {dict(state).get("file") for state in states} == left
