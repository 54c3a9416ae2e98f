"""What a run needs to go on after it was cut off.

    <run folder>/checkpoint/epoch-<n>/
        variables.index, variables.data-00000-of-00001    by tf.train.Saver
        state.json                                        settings, history, digests
        state.sha256                                      the digest of state.json

A checkpoint is written under another name and renamed when it is complete. It counts only if it is
a folder of just these files, and every digest is right. No file is asked for a path, and no link is
followed.
"""

import hashlib
import json
import re
import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from experiment.errors import UserError
from experiment.folder import flush, flush_entry, remove
from experiment.mnist import Split
from experiment.outcome import History
from flags import Settings

KEPT = 2
VARIABLES, STATE, DIGEST = "variables", "state.json", "state.sha256"
FILES = {f"{VARIABLES}.index", f"{VARIABLES}.data-00000-of-00001", STATE, DIGEST}
# The largest modules take 130 MB; and what is larger than a run writes is not to be read.
SIZE_MAX = 2**28


class State(NamedTuple):
    """How far a run has come.

    Attributes:
        history: of the epochs so far.
        variables: the prefix of the files that hold the variables, or None before the first epoch.
    """

    history: History
    variables: Path | None


START = State(History(), None)


class Checkpoints:
    """The checkpoints of one run.

    Attributes:
        folder: that holds them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._settings: dict[str, Any] = {}
        self._every = self._last = 0
        # The disk takes its time, in which the run can train.
        self._flusher = ThreadPoolExecutor(1)
        self._flushing: Future[None] | None = None

    def start(self, settings: Settings, split: Split) -> State:
        """Where a run starts: with `--resume` after the newest checkpoint that is intact.

        Newer ones are damaged, and are removed: what is there afterwards is where a run can go on.

        Args:
            settings: of the run.
            split: the images.

        Raises:
            UserError: there are checkpoints, and nothing says what to do with them; or they are
                not of this run; or one cannot be removed; or there is something else.
        """
        bears_on_numbers = {
            **settings.numeric(),
            "data": split.sha_256,
            "tensorflow": version("tensorflow"),
        }
        if self.folder.is_symlink() or (self.folder.exists() and not self.folder.is_dir()):
            raise UserError(f"{self.folder} is not a folder: move it away")
        # As it comes back from a file: a tuple as a list.
        self._settings = json.loads(json.dumps(bears_on_numbers))
        self._every, self._last = settings.checkpoint_every, settings.epochs
        epochs = self.epochs()
        if epochs and settings.resume is None:
            raise UserError(
                f"{self.folder} holds a run that came to epoch {epochs[-1]}: add --resume to go on "
                "with it, or --noresume to drop it"
            )
        if settings.resume:
            return self._newest(epochs)
        _remove(self.folder)
        return START

    def _newest(self, epochs: Sequence[int]) -> State:
        """The newest intact checkpoint of some, once those that are newer are removed."""
        start, damaged = START, []
        for epoch in reversed(epochs):
            state = self._read(epoch)
            if state is not None:
                start = state
                break
            damaged.append(self._path(epoch))
        for path in damaged:
            _remove(path)
            print(f"{path} is damaged: it is removed", file=sys.stderr)
        return start

    def epochs(self) -> list[int]:
        """Of the complete checkpoints, in rising order."""
        if not self.folder.is_dir():
            return []
        names = (re.fullmatch(r"epoch-([1-9]\d{0,8})", path.name) for path in self.folder.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def after_epoch(
        self,
        history: History,
        save: Callable[[str], None],
        *,
        interrupted: bool,
    ) -> None:
        """Writes a checkpoint if one is due: with `--checkpoint_every=0` none is.

        One is due after the last epoch too: what comes then may be cut off as well.

        Args:
            history: of the epochs so far.
            save: writes the variables to files that begin with a prefix.
            interrupted: whether the run ends here.

        Raises:
            UserError: it cannot be written.
        """
        epoch = len(history.costs)
        if self._every and (interrupted or epoch % self._every == 0 or epoch == self._last):
            try:
                self.add(history, save)
                if interrupted or epoch == self._last:
                    self._wait_for_the_disk()
            except OSError as error:
                raise UserError(
                    f"cannot write a checkpoint to {self.folder} ({error.strerror or error}): make "
                    "room and go on with --resume, or do without, with --checkpoint_every=0"
                ) from None

    def add(self, history: History, save: Callable[[str], None]) -> None:
        """Writes a checkpoint, and removes all but the newest few.

        Arguments as in `after_epoch`. Raises an OSError if it cannot be written.
        """
        new = self.folder / "new"
        remove(new)
        new.mkdir(parents=True)
        save(str(new / VARIABLES))
        state = {
            "settings": self._settings,
            "history": history._asdict(),
            "digests": _digests(new),
        }
        (new / STATE).write_text(json.dumps(state))
        (new / DIGEST).write_text(_digest(new / STATE))
        path = self._path(len(history.costs))
        new.rename(path)
        # If the power fails, this one may be lost, but not the one before.
        self._wait_for_the_disk()
        for epoch in self.epochs()[:-KEPT]:
            shutil.rmtree(self._path(epoch))
        self._flushing = self._flusher.submit(_flush, path)

    def _wait_for_the_disk(self) -> None:
        """Waits until what `add` wrote is on the disk. Raises an OSError if it cannot be."""
        if self._flushing is not None:
            self._flushing.result()

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch}"

    def _read(self, epoch: int) -> State | None:
        """A checkpoint, or None if it is damaged. Raises a UserError if its settings are others."""
        path = self._path(epoch)
        try:
            if not _is_complete(path) or (path / DIGEST).read_text() != _digest(path / STATE):
                raise ValueError
            state = json.loads((path / STATE).read_text())
            if state["digests"] != _digests(path):
                raise ValueError
            settings: dict[str, Any] = dict(state["settings"])
            history = History(**state["history"])
            if len(history.costs) != epoch:
                raise ValueError
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        differ = [
            f"{name}={settings.get(name)} there, {value} here"
            for name, value in self._settings.items()
            if settings.get(name) != value
        ]
        if differ:
            raise UserError(
                f"{path} has other settings ({'; '.join(differ)}): give the same flags, or "
                "--noresume to drop it"
            )
        return State(history, path / VARIABLES)


def _flush(path: Path) -> None:
    """Waits until a checkpoint is on the disk, and its name."""
    flush(path)
    flush_entry(path.parent)


def _remove(path: Path) -> None:
    try:
        remove(path)
    except OSError as error:
        raise UserError(f"cannot remove {path} ({error.strerror or error})") from None


def _is_complete(path: Path) -> bool:
    """Whether it is a folder of the files of a checkpoint, and of nothing else. Raises OSErrors."""
    if path.is_symlink():
        return False
    found = {file.name: file.lstat() for file in path.iterdir()}
    return found.keys() == FILES and all(
        stat.S_ISREG(status.st_mode) and status.st_size <= SIZE_MAX for status in found.values()
    )


def _digests(folder: Path) -> dict[str, str]:
    """Of the files that hold the variables."""
    return {path.name: _digest(path) for path in sorted(folder.glob(f"{VARIABLES}.*"))}


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()
