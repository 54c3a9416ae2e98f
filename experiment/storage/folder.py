"""The folder of a run has one owner at a time, and is replaced whole or not at all."""

import contextlib
import ctypes
import os
import shutil
import socket
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from experiment.errors import UserError
from experiment.storage.interruption import Signals

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's renameat2


@contextlib.contextmanager
def replacing(
    target: Path, signals: Signals, known: Container[str], keep: Sequence[str] = ()
) -> Iterator[Path]:
    """Yields an empty folder that replaces `target` if the body succeeds.

    A run that dies leaves `target` as it was; the next one removes its other files.

    Args:
        target: the folder of a run, locked meanwhile.
        signals: held back while the folders are swapped.
        known: the names that a run writes.
        keep: names that are copied from `target` to the new folder.

    Raises:
        UserError: the folder cannot be written, another run holds it, or `target` has a file that
            no run writes and that would be lost.
    """
    target = resolved(target)
    new, old = (target.with_name(f".{target.name}.{end}") for end in ("new", "old"))
    with locked(target):
        try:
            _recover(target, new, old)
            _refuse_strangers(target, known)
            new.mkdir()
        except OSError as error:
            raise cannot_write(target, error) from None
        try:
            yield new
            try:
                with signals.deferred():
                    # A file may have come while the run trained.
                    _refuse_strangers(target, known)
                    _put_in_place(new, target, old, keep)
            except OSError as error:
                raise cannot_write(target, error) from None
        finally:
            shutil.rmtree(new, ignore_errors=True)


def resolved(target: Path) -> Path:
    """The folder of a run, with links followed. Raises a UserError if it cannot be a folder."""
    try:
        path = target.resolve()
        is_folder = path.is_dir() or not (path.exists() or path.is_symlink())
    except (OSError, RuntimeError) as error:  # a RuntimeError: links in a circle, before 3.13
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--results_dir={target.parent} cannot be used ({reason})") from None
    if not is_folder:
        raise UserError(f"{path} is not a folder: move it away, or choose another --results_dir")
    return path


def cannot_write(target: Path, error: OSError) -> UserError:
    """The error for a folder of results that cannot be written."""
    return UserError(
        f"cannot write to {target.parent} ({error.strerror or error}): make room there, or choose "
        "another --results_dir"
    )


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Holds the lock of a folder, which the system releases however this process ends.

    Raises:
        UserError: another run holds it, or it cannot be written.
    """
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path, mode=0o666, blocking=False, fallback_to_soft=False, on_acquired=_sign)
    try:
        make(path.parent)
        lock.acquire()
    except Timeout:
        owner = path.read_text(errors="replace")[:200] if path.exists() else "it has just ended"
        raise UserError(
            f"another run writes to {target} ({owner}): wait for its end, or choose another "
            "--results_dir"
        ) from None
    except OSError as error:
        raise cannot_write(target, error) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _sign(file: int) -> None:
    """Writes the owner of a lock to its file."""
    os.ftruncate(file, 0)
    os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())


def _recover(target: Path, new: Path, old: Path) -> None:
    """Removes the temporary folders of a run that died."""
    if old.exists() and not target.exists():
        old.rename(target)
    for folder in (new, old):
        remove(folder)


def _refuse_strangers(target: Path, known: Container[str]) -> None:
    """Raises a UserError if a folder has a file whose name is not known."""
    names = [path.name for path in target.iterdir()] if target.exists() else []
    if strangers := sorted(name for name in names if name not in known):
        raise UserError(
            f"{target / strangers[0]} is not a file of a run, and would be lost: move it away, or "
            "choose another --results_dir"
        )


def _put_in_place(new: Path, target: Path, old: Path, keep: Sequence[str]) -> None:
    """Flushes `new` to the disk, gives it the name of `target`, and removes `target`."""
    for name in keep:
        # Copied, not moved: `target` is whole whenever the process ends.
        if (target / name).exists():
            shutil.copytree(target / name, new / name, symlinks=True)
    flush(new)
    if not target.exists():
        new.rename(target)
    elif _exchange(new, target):
        old = new
    else:
        target.rename(old)
        new.rename(target)
    # The new name is flushed before the removal: otherwise a power cut could keep only the removal.
    flush_entry(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps the names of two folders in one step; False if the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    return renameat2 is not None and not renameat2(
        AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE
    )


def make(folder: Path) -> None:
    """Makes a folder and its parents, and flushes their names to the disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        flush_entry(path.parent)


def remove(path: Path) -> None:
    """Removes a folder with its content, a file, or a link but not its target."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Writes a text, in UTF-8, whole or not at all, and flushes it to the disk."""
    new = path.with_name(f".{path.name}.new")
    remove(new)  # A link is not followed.
    new.write_text(text, "utf-8")
    flush_entry(new)
    new.replace(path)
    flush_entry(path.parent)


def flush(folder: Path) -> None:
    """Flushes a folder with its content to the disk."""
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink() and (path.is_file() or path.is_dir()):
            flush_entry(path)


def flush_entry(path: Path) -> None:
    """Flushes a file to the disk, or the names in a folder."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
