"""Checkpoints: an interrupted run goes on from the newest intact one.

    <run folder>/checkpoint/epoch-<n>/
        variables.index, variables.data-00000-of-00001    by tf.train.Saver
        state.json                                        settings, history
        SHA256SUMS                                        the digests of these three

A checkpoint is written under another name and renamed when it is complete. It is intact if it is a
folder of exactly these files and every digest matches. No link is followed.
"""

import hashlib
import json
import re
import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiment.errors import UserError
from experiment.settings import Settings
from experiment.storage.folder import flush, flush_entry, make, remove
from experiment.storage.result_errors import READ_ERRORS
from experiment.training.mnist import Split
from experiment.training.outcome import START, History, State

KEPT = 2
VARIABLES, STATE, DIGESTS = "variables", "state.json", "SHA256SUMS"
FILES = {f"{VARIABLES}.index", f"{VARIABLES}.data-00000-of-00001", STATE, DIGESTS}


class Checkpoints:
    """The checkpoints of one run, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._settings: dict[str, Any] = {}
        self._every = self._last = 0

    def start(self, settings: Settings, split: Split) -> State:
        """The state that a run starts from: with `--resume` the newest intact checkpoint.

        Newer, damaged ones are removed.

        Raises:
            UserError: there are checkpoints but neither `--resume` nor `--noresume`, they have
                other settings, or they cannot be removed.
        """
        identity = {
            **settings.numeric(),
            "data": split.sha_256,
            "tensorflow": version("tensorflow"),
        }
        if self.folder.is_symlink() or (self.folder.exists() and not self.folder.is_dir()):
            raise UserError(f"{self.folder} is not a folder: move it away")
        self._settings = json.loads(json.dumps(identity))  # Tuples become lists.
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
        """The newest intact checkpoint; newer ones are removed."""
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
        """The epochs of the complete checkpoints, ascending."""
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
        """Writes a checkpoint if one is due: every `--checkpoint_every` epochs and after the last.

        Args:
            history: of the epochs so far.
            save: writes the variables to files that begin with a prefix.
            interrupted: whether the run ends here, and a checkpoint is due for that.

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
        """Writes a checkpoint and removes all but the newest `KEPT`. Raises OSErrors."""
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
        """A checkpoint, or None if it is damaged. Raises a UserError if its settings differ."""
        path = self._path(epoch)
        try:
            if not (_is_complete(path) and _digests_match(path)):
                return None
            state = json.loads((path / STATE).read_bytes())
            settings, history = state["settings"], History(**state["history"])
        except (OSError, *READ_ERRORS):
            return None
        if len(history.costs) != epoch:
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


def _remove(path: Path) -> None:
    try:
        remove(path)
    except OSError as error:
        raise UserError(f"cannot remove {path} ({error.strerror or error})") from None


def _is_complete(path: Path) -> bool:
    """Whether a folder has the files of a checkpoint, and no other. Raises OSErrors."""
    if path.is_symlink():
        return False
    modes = {file.name: file.lstat().st_mode for file in path.iterdir()}
    return modes.keys() == FILES and all(map(stat.S_ISREG, modes.values()))


def _digests_match(folder: Path) -> bool:
    """Whether the other files of a checkpoint have its digests. Raises OSErrors."""
    return (folder / DIGESTS).read_bytes() == _digests(folder).encode()


def _digests(folder: Path) -> str:
    """The digests of the other files of a checkpoint, in the format of `sha256sum`."""
    lines = []
    for name in sorted(FILES - {DIGESTS}):
        with (folder / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)
