"""What a run needs to go on after it was cut off.

    <run folder>/checkpoint/epoch-<n>/
        variables.index, variables.data-00000-of-00001    by tf.train.Saver
        state.json                                        settings, history
        SHA256SUMS                                        the digests of these three

A checkpoint is written under another name and renamed when it is complete. It counts only if it is
a folder of just these files, and every digest is right. No file is asked for a path, and no link is
followed.
"""

import hashlib
import itertools
import json
import math
import re
import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiment.settings import Settings, UserError
from experiment.storage.folder import flush, flush_entry, make, remove
from experiment.storage.reading import DAMAGED, check
from experiment.training.mnist import Split
from experiment.training.outcome import QUALITY, START, History, State

KEPT = 2
VARIABLES, STATE, DIGESTS = "variables", "state.json", "SHA256SUMS"
FILES = {f"{VARIABLES}.index", f"{VARIABLES}.data-00000-of-00001", STATE, DIGESTS}
# The largest modules take 130 MB; and what is larger than a run writes is not to be read.
SIZE_MAX = 2**28


class Checkpoints:
    """The checkpoints of one run.

    Attributes:
        folder: that holds them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._settings: dict[str, Any] = {}
        self._every = self._last = 0

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
            except OSError as error:
                raise UserError(
                    f"cannot write a checkpoint to {self.folder} ({error.strerror or error}): make "
                    "room and go on with --resume, or do without, with --checkpoint_every=0"
                ) from None

    def add(self, history: History, save: Callable[[str], None]) -> None:
        """Writes a checkpoint, and removes all but the newest few.

        Arguments as in `after_epoch`. Raises an OSError if it cannot be written.
        """
        make(self.folder)
        new = self.folder / "new"
        remove(new)
        new.mkdir()
        save(str(new / VARIABLES))
        state = {"settings": self._settings, "history": history._asdict()}
        (new / STATE).write_text(json.dumps(state))
        (new / DIGESTS).write_text(_digests(new))
        flush(new)
        new.rename(self._path(len(history.costs)))
        flush_entry(self.folder)
        for epoch in self.epochs()[:-KEPT]:
            shutil.rmtree(self._path(epoch))

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch}"

    def _read(self, epoch: int) -> State | None:
        """A checkpoint, or None if it is damaged. Raises a UserError if its settings are others."""
        path = self._path(epoch)
        try:
            check(_is_complete(path) and _is_signed(path), DIGESTS)
            state = json.loads((path / STATE).read_bytes())
            settings: dict[str, Any] = dict(state["settings"])
            # A NamedTuple would fill in what is missing.
            check(state["history"].keys() == set(History._fields), "history")
            history = History(**state["history"])
            _check(history, epoch)
            differ = [
                f"{name}={settings.get(name)} there, {value} here"
                for name, value in self._settings.items()
                if settings.get(name) != value
            ]
        except (OSError, *DAMAGED):
            return None
        if differ:
            raise UserError(
                f"{path} has other settings ({'; '.join(differ)}): give the same flags, or "
                "--noresume to drop it"
            )
        return State(history, path / VARIABLES)


def _check(history: History, epoch: int) -> None:
    """Raises one of `DAMAGED` unless it can be the history of so many epochs."""
    costs, quality, seconds = history
    check(type(costs) is list and len(costs) == epoch, "costs")
    check(type(quality) is list and len(quality) in (0, epoch), "quality")
    check(all(type(row) is list and len(row) == len(QUALITY) for row in quality), "quality")
    for figure in (*costs, *itertools.chain(*quality), seconds):
        check(type(figure) is float, "figures")
    check(0 <= seconds < math.inf and all(map(math.isfinite, costs)), "figures")


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


def _is_signed(folder: Path) -> bool:
    """Whether every digest of a checkpoint is right. Raises OSErrors."""
    expected = _digests(folder).encode()
    with (folder / DIGESTS).open("rb") as file:
        return file.read(len(expected) + 1) == expected


def _digests(folder: Path) -> str:
    """Of the other files of a checkpoint, as `sha256sum` writes and checks them."""
    lines = []
    for name in sorted(FILES - {DIGESTS}):
        with (folder / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)
