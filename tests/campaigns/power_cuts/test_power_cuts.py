"""After a power cut, files are complete or known to be damaged, and the same command goes on.

The slow tests go on from one or two of the states that a cut can leave, `make failures` from all
kinds.
"""

import dataclasses
import shutil
import time

import pytest

from experiment.settings import PROJECT, Settings
from experiment.storage.checkpoint import Checkpoints
from experiment.storage.folder import replacing
from experiment.studies import store
from experiment.training import mnist
from tests.campaigns.power_cuts import untrained_study
from tests.campaigns.power_cuts.crash_states import (
    Disk,
    crash_states,
    read_tree,
    record,
    skip_without_strace,
    subtree,
    write_tree,
)
from tests.preloaded_process import run
from tests.processes import REPRODUCE

pytestmark = pytest.mark.slow

NAME = "published-manual"
FLAGS = ("--epochs=3", "--train_images=10", "--test_images=5", "--checkpoint_every=1", "--resume")
SETTINGS = Settings(epochs=3, train_images=10, test_images=5, checkpoint_every=1, resume=True)
NEW = SETTINGS.epochs + 1  # the progress of a run whose results are in place
TIMING = {"timing.json": b""}


@pytest.fixture
def root(tmp_path):
    skip_without_strace()
    root = tmp_path.resolve() / "disk"
    root.mkdir()
    return root


# States share their data, but pytest would print all of them: gigabytes.
@dataclasses.dataclass(repr=False)
class Run:
    """A run and the states that cuts can leave of it.

    Attributes:
        folder: of the run, below the root of a state.
        keep: whether the checkpoints stay at the end.
        operations: their number.
        states: the progress that each must have: the epoch of a checkpoint, or `NEW`.
        former, new: the results before and after the run.
        checkpoints: the files of each, by epoch.
    """

    folder: str
    keep: bool
    operations: int = 0
    states: dict[frozenset, int] = None
    former: dict[str, bytes] = None
    new: dict[str, bytes] = None
    checkpoints: dict[int, dict[str, bytes]] = dataclasses.field(default_factory=dict)

    def flags(self, root):
        """The flags of the run below a root."""
        keep = ["--keep_checkpoints"] if self.keep else []
        return [*FLAGS, *keep, f"--results_dir={(root / self.folder).parent}"]

    def results(self, tree):
        """The results in a tree."""
        files = subtree(tree, self.folder)
        return {path: data for path, data in files.items() if not path.startswith("checkpoint")}

    def checkpoints_in(self, tree):
        """The files of each checkpoint in a tree, by epoch."""
        checkpoints = {}
        for path, data in subtree(tree, f"{self.folder}/checkpoint").items():
            name, _, file = path.partition("/")
            if name.startswith("epoch-"):
                files = checkpoints.setdefault(int(name.removeprefix("epoch-")), {})
                if file:
                    files[file] = data
        return checkpoints

    def progress(self, tree):
        """The progress of the run by the files in a tree."""
        checkpoints = self.checkpoints_in(tree)
        for epoch, files in checkpoints.items():
            self.checkpoints.setdefault(epoch, files)
        return NEW if self.results(tree) == self.new else max(checkpoints, default=0)


@pytest.fixture(scope="module", params=["former results", "no folder yet"])
def cut_run(request, tmp_path_factory):
    """A run over former results, and one into a new folder that keeps its checkpoints."""
    skip_without_strace()
    work = tmp_path_factory.mktemp("cut").resolve()
    root = work / "disk"
    root.mkdir()
    if request.param == "former results":
        cut_run = Run(f"results/{NAME}", keep=False)
        shutil.copytree(PROJECT / "results" / NAME, root / cut_run.folder)
    else:
        cut_run = Run(f"deep/results/{NAME}", keep=True)
    disk = Disk(root)
    cut_run.former = cut_run.results(disk.now())
    operations = record([REPRODUCE, *cut_run.flags(root)], root, work / "log")
    after = read_tree(root)
    cut_run.operations, cut_run.new = len(operations), cut_run.results(after)
    cut_run.states = crash_states(disk, operations, cut_run.progress)
    # A bare name in an assertion, here and below: pytest would print megabytes of files.
    model_is_right = disk.now() == after
    assert model_is_right
    assert [path.name for path in (root / cut_run.folder).parent.iterdir()] == [NAME]
    assert set(cut_run.checkpoints) == {1, 2, 3}
    shutil.rmtree(root)
    return cut_run


def test_the_former_results_are_there_or_the_new_ones(cut_run):
    for state, progress in cut_run.states.items():
        results = cut_run.results(dict(state))
        complete = results == cut_run.new or (results == cut_run.former and progress < NEW)
        assert complete, sorted(results)


def test_checkpoints_are_intact_or_known_to_be_damaged(cut_run, tmp_path):
    split = mnist.split(mnist.load(SETTINGS.data_dir), SETTINGS)
    distinct = {}
    for state, progress in cut_run.states.items():
        tree = dict(state)
        if cut_run.results(tree) == cut_run.new and not cut_run.keep:
            progress = 0
        checkpoints = cut_run.checkpoints_in(tree)
        key = frozenset((epoch, frozenset(files.items())) for epoch, files in checkpoints.items())
        most = max(min(progress, SETTINGS.epochs), distinct.get(key, (0,))[0])
        distinct[key] = most, checkpoints
    for progress, checkpoints in distinct.values():
        folder = tmp_path / "checkpoint"
        folder.mkdir()
        for epoch, files in checkpoints.items():
            write_tree(files, folder / f"epoch-{epoch}")
        intact = []
        while variables := Checkpoints(folder).start(SETTINGS, split).variables:
            intact.append(int(variables.parent.name.removeprefix("epoch-")))
            same = read_tree(variables.parent) == cut_run.checkpoints[intact[-1]]
            assert same
            shutil.rmtree(variables.parent)
        assert max(intact, default=0) >= progress
        shutil.rmtree(folder)
    assert len(distinct) > 2 * SETTINGS.epochs


def kinds(cut_run):
    """One state of each kind; states of a kind differ only in files that the next run removes."""
    trees = {}
    for state in cut_run.states:
        tree = dict(state)
        checkpoints = cut_run.checkpoints_in(tree)
        intact = tuple(
            sorted(e for e, files in checkpoints.items() if files == cut_run.checkpoints[e])
        )
        names = frozenset(path for path in tree if path.count("/") <= cut_run.folder.count("/"))
        new = f"{cut_run.folder}/checkpoint/new" in tree
        is_new = cut_run.results(tree) == cut_run.new
        trees[is_new, intact, len(checkpoints) - len(intact), names, new] = tree
    return list(trees.values())


def in_time(trees, most, pytestconfig):
    """Yields evenly spaced trees, at most `most`, and one at least, until --kill_seconds."""
    begun, count = time.monotonic(), min(len(trees), most)
    for number in range(count):
        if number and time.monotonic() > begun + pytestconfig.getoption("kill_seconds"):
            return
        yield trees[(2 * number + 1) * len(trees) // (2 * count)]


def test_the_run_goes_on(cut_run, tmp_path, pytestconfig, outcome):
    trees, count = kinds(cut_run), 0
    # The other run has the other half of the kills.
    for tree in in_time(trees, -(-pytestconfig.getoption("kills") // 2), pytestconfig):
        count += 1
        root = tmp_path / str(count)
        write_tree(tree, root)
        result = run(*cut_run.flags(root))
        assert result.returncode == 0, result.stderr
        assert [path.name for path in (root / cut_run.folder).parent.iterdir()] == [NAME]
        after = read_tree(root)
        same = cut_run.results(after) | TIMING == cut_run.new | TIMING
        assert same
        # The cut may have taken back the removal of an older one.
        assert sorted(cut_run.checkpoints_in(after))[-2:] == ([2, 3] if cut_run.keep else [])
        shutil.rmtree(root)
    outcome(
        "the power is cut at any moment of a run",
        "the former results or the new ones are there, complete; checkpoints are intact or known "
        "to be damaged; `--resume` goes on from the newest, to the same bytes",
        f"after each of {cut_run.operations} operations on files: {len(cut_run.states)} states, "
        f"none lost; gone on from {count} of {len(trees)} kinds",
    )


STUDY = "results/studies/claims"


def study_lines(tree):
    return (tree.get(f"{STUDY}/{store.FILE}") or b"").splitlines(keepends=True)


def test_a_study_goes_on(root, tmp_path, pytestconfig, outcome):
    disk = Disk(root)
    command = ["-m", "tests.campaigns.power_cuts.untrained_study", str(root / STUDY)]
    operations = record(command, root, tmp_path / "log")
    states = crash_states(disk, operations, lambda tree: len(study_lines(tree)))
    after = read_tree(root)
    model_is_right = disk.now() == after
    assert model_is_right
    all_lines = study_lines(after)
    trees, count = {}, 0
    for state, progress in states.items():
        tree = dict(state)
        lines = study_lines(tree)
        complete = sum(line in all_lines for line in lines)
        assert complete >= progress
        trees[complete, len(lines), f"{STUDY}/.{store.FILE}.new" in tree] = tree
    trees = list(trees.values())
    for tree in in_time(trees, pytestconfig.getoption("kills"), pytestconfig):
        count += 1
        again = tmp_path / str(count)
        write_tree(tree, again)
        missing = untrained_study.run(again / STUDY)
        assert missing == len(set(all_lines) - set(study_lines(tree)))
        same = read_tree(again) == after
        assert same
    outcome(
        "the power is cut at any moment of a study",
        "completed runs are not repeated; the same command does the others, to the same bytes",
        f"after each of {len(operations)} operations on files: {len(states)} states, none lost; "
        f"gone on from {count} of {len(trees)} kinds",
    )


REPLACE = """
import sys
from pathlib import Path
from experiment.storage import folder
from experiment.storage.interruption import Signals
if sys.argv[2] == "two renames":
    folder._exchange = lambda one, other: False
with folder.replacing(Path(sys.argv[1]), Signals(), {"one", "other"}) as new:
    for name in ("one", "other"):
        (new / name).write_text("new")
"""


@pytest.mark.parametrize("system", ["one step", "two renames"])
def test_a_folder_is_replaced(system, root, tmp_path):
    former, new = ({"one": text, "other": text} for text in (b"former", b"new"))
    write_tree(former, root / "run")
    disk = Disk(root)
    operations = record(["-c", REPLACE, root / "run", system], root, tmp_path / "log")
    states = crash_states(disk, operations, lambda tree: subtree(tree, "run") == new)
    assert disk.now() == read_tree(root)
    for number, (state, replaced) in enumerate(states.items()):
        again = tmp_path / str(number)
        write_tree(dict(state), again)
        # The next run removes the temporary folders, and fails.
        with pytest.raises(ZeroDivisionError), replacing(again / "run", None, former):
            raise ZeroDivisionError
        tree = read_tree(again / "run")
        assert tree == new or (tree == former and not replaced)
        assert [path.name for path in again.iterdir()] == ["run"]
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
def test_the_model_of_a_file(program, left, root, tmp_path):
    (root / "file").write_text("old")
    disk = Disk(root)
    names = f"path, new = Path({str(root / 'file')!r}), Path({str(root / 'other')!r})"
    imports = "from pathlib import Path; from experiment.storage.folder import *"
    operations = record(["-c", f"{imports}; {names}; {program}"], root, tmp_path / "log")
    states = crash_states(disk, operations, lambda tree: 0)
    assert {dict(state).get("file") for state in states} == left
