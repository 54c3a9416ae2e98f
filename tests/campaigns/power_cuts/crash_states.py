"""What a power cut can leave of the files that a command writes.

As ALICE and CrashMonkey do it, but from outside of the kernel: strace tells what the command does
with the files below a folder, TensorFlow's C++ too. All of it is done again here, one operation
after the other, on a disk that knows what was flushed; after each one the power may be cut.

What was flushed (fsync) is there. Of the rest there is whatever the kernel has written by then:

- the data of files: all, none, half of them, or zeros in their place;
- the names in folders (made, renamed, removed): all, none, or all but any one. A journal that
  keeps their order, as those of ext4, XFS and Btrfs do, leaves fewer: all, now or earlier.

One renaming is there as a whole or not at all. A file whose folder has no name is lost.
"""

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import PROJECT

# Not every processor has those with a question mark.
CALLS = (
    "?open,openat,?creat,write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range,splice,"
    "mmap,ftruncate,truncate,fallocate,?rename,renameat,renameat2,?unlink,unlinkat,?rmdir,?mkdir,"
    "mkdirat,?link,linkat,?symlink,symlinkat,fsync,fdatasync,sync,syncfs,sync_file_range"
)
STRACE = ["strace", "-f", "-y", "--seccomp-bpf", "-s", str(2**26), "-e", f"trace={CALLS}", "-o"]
LINE = re.compile(rb"\d+ +(\w+)\((.*)\) += (\d+)(?:<.*|x[0-9a-f]+)?\n")
PLACE = re.compile(rb'(?:AT_FDCWD|\d+)<([^>]*)>(?:, "([^"]*)")?|"([^"]*)"')
WRITTEN = re.compile(rb'\d+<[^>]*>, "(.*)", \d+')


class Operation(NamedTuple):
    """A change of the files, or that some of it is on the disk.

    Attributes:
        name: create, write, cut, copy, mkdir, remove, rename, exchange or flush.
        path: what is changed.
        other: of rename and exchange, the new name; of copy, where from.
        data: of write, what is appended; of copy and cut, a number of bytes.
    """

    name: str
    path: str
    other: str = ""
    data: bytes | int = 0


def skip_without_strace():
    if shutil.which("strace") is None:
        pytest.skip("strace is not there: it tells what a command does with its files")
    result = subprocess.run([*STRACE, os.devnull, "true"], capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"strace cannot be used here ({result.stderr.strip()})")


def record(command, root, log):
    """Runs a command, from the project; what it does with the files below a folder.

    The folder is a path without links.

    Pieces of a file that are written one after the other, and nothing between, are one operation.
    """
    result = subprocess.run([*STRACE, log, *command], cwd=PROJECT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    operations = []
    for found in _operations(log, root):
        last = operations[-1] if operations else found
        if found.name == "write" and last[:2] == found[:2] and last is not found:
            operations[-1] = found._replace(data=last.data + found.data)
        else:
            operations.append(found)
    return operations


def _operations(log, root):
    begun = {}
    with log.open("rb") as file:
        for line in file:
            process = line.partition(b" ")[0]
            if line.endswith(b" <unfinished ...>\n"):
                begun[process] = line.removesuffix(b" <unfinished ...>\n")
                continue
            if b" resumed>" in line[:60]:
                line = begun.pop(process) + line.partition(b" resumed>")[2]
            # Those that failed are not of this form.
            if os.fsencode(root) in line[:5000] and (found := LINE.fullmatch(line)):
                yield from _operation(found[1].decode(), found[2], int(found[3]), root)


def _operation(call, arguments, result, root):
    # Of write: but for the data, which may hold anything.
    named = arguments.partition(b">")[0] + b">" if "write" in call else arguments
    places = [
        Path(os.fsdecode(folder), os.fsdecode(name or alone))
        for folder, name, alone in PLACE.findall(named)
    ]
    paths = [str(place) for place in places if place.is_relative_to(root)]
    if not paths:
        return
    match call:
        case "open" | "openat" | "creat":
            if call == "creat" or b"O_CREAT" in arguments:
                yield Operation("create", *paths)
            if call == "creat" or b"O_TRUNC" in arguments:
                yield Operation("cut", *paths)
        case "write":
            data = WRITTEN.fullmatch(arguments)[1].decode("unicode_escape").encode("latin-1")
            yield Operation("write", *paths, data=data[:result])
        case "sendfile":
            yield Operation("copy", *paths, data=result)
        case "copy_file_range":
            yield Operation("copy", *reversed(paths), data=result)
        case "truncate" | "ftruncate":
            yield Operation("cut", *paths, data=int(arguments.rpartition(b", ")[2]))
        case "mkdir" | "mkdirat":
            yield Operation("mkdir", *paths)
        case "unlink" | "unlinkat" | "rmdir":
            yield Operation("remove", *paths)
        case "rename" | "renameat" | "renameat2":
            exchange = b"RENAME_EXCHANGE" in arguments
            yield Operation("exchange" if exchange else "rename", *paths)
        case "fsync" | "fdatasync":
            yield Operation("flush", *paths)
        case "mmap" if b"MAP_SHARED" not in arguments or b"PROT_WRITE" not in arguments:
            pass
        case _:
            raise ValueError(f"{call} is not known here: {arguments[:500]}")


class Node:
    """A file or a folder, whatever its name.

    Attributes:
        data: what is in a file; None: it is a folder.
        flushed: the data that are on the disk for sure.
    """

    def __init__(self, data):
        self.data = self.flushed = data


@functools.cache
def _left(data, flushed):
    """What may be left of a file: all, what was flushed, half of the rest, zeros in its place."""
    if data == flushed:
        return [data] * 4
    sure = len(flushed) if data.startswith(flushed) else 0
    rest = len(data) - sure
    return [data, flushed, data[: sure + rest // 2], data[:sure] + bytes(rest)]


class Disk:
    """The files below a folder, and what is on the disk of them for sure.

    A change of names is a dictionary: what has a name in a folder, or None, by both of these.
    """

    def __init__(self, root):
        self._root, self._prefix = Node(None), root
        self._names = {}
        self._pending = []
        for path, data in sorted(files_of(root).items()):
            self._put(root / path, Node(data))
        self._flushed, self._pending = dict(self._names), []

    def _entry(self, path):
        """The folder of a path, and the name in it."""
        *folders, name = path.relative_to(self._prefix).parts
        folder = self._root
        for each in folders:
            folder = self._names[folder, each]
        return folder, name

    def _node(self, path):
        return self._root if path == self._prefix else self._names.get(self._entry(path))

    def _put(self, path, node, *more):
        change = {self._entry(path): node, **{self._entry(path): node for path, node in more}}
        self._names.update(change)
        self._pending.append(change)

    def do(self, operation):
        """Does an operation."""
        path, other, data = Path(operation.path), Path(operation.other), operation.data
        node = self._node(path)
        match operation.name:
            case "create":
                if node is None:
                    self._put(path, Node(b""))
            case "write":
                node.data += data
            case "copy":
                done = len(node.data)
                node.data += self._node(other).data[done : done + data]
            case "cut":
                node.data = node.data[:data].ljust(data, b"\0")
            case "mkdir":
                self._put(path, Node(None))
            case "remove":
                self._put(path, None)
            case "rename":
                self._put(path, None, (other, node))
            case "exchange":
                self._put(path, self._node(other), (other, node))
            case "flush":
                node.flushed = node.data
                waiting, self._pending = self._pending, []
                for change in waiting:
                    if any(folder is node for folder, _ in change):
                        self._flushed.update(change)
                    else:
                        self._pending.append(change)

    def now(self):
        """The files, each with its data, and the folders, with None, by their paths."""
        return self._tree(self._names)[0]

    def after_a_cut(self):
        """All that may be there when the power is cut now, each as in `now`; some are equal."""
        pending = self._pending
        without_one = (pending[:at] + pending[at + 1 :] for at in range(len(pending)))
        for chosen in (pending, [], *without_one):
            names = dict(self._flushed)
            for change in chosen:
                names.update(change)
            yield from self._tree(names)

    def _tree(self, names):
        """The files that have names, by their paths, for each thing that may be left of them."""
        inside = {}
        for (folder, name), node in names.items():
            if node is not None:
                inside.setdefault(folder, []).append((name, node))
        left = [{} for _ in range(4)]
        waiting = [("", self._root)]
        while waiting:
            path, folder = waiting.pop()
            for name, node in inside.get(folder, []):
                its = f"{path}/{name}".lstrip("/")
                if node.data is None:
                    waiting.append((its, node))
                    choices = [None] * 4
                else:
                    choices = _left(node.data, node.flushed)
                for tree, data in zip(left, choices, strict=True):
                    tree[its] = data
        return left


def cuts(disk, operations, progress):
    """Every state that a cut can leave, and what the command has promised by then.

    Once it goes on, what it has done is to last: before, it may flush.

    Args:
        disk: before the first operation.
        operations: that are done on it, one after the other.
        progress: how far the command is, a number, by the files as they are in `Disk.now`.

    Returns:
        The progress that has to be there, by the state: the set of paths and data.
    """
    promised = 0
    states = dict.fromkeys(map(_state, disk.after_a_cut()), promised)
    for operation in operations:
        if operation.name != "flush":
            promised = progress(disk.now())
        disk.do(operation)
        states.update(dict.fromkeys(map(_state, disk.after_a_cut()), promised))
    promised = progress(disk.now())
    states.update(dict.fromkeys(map(_state, disk.after_a_cut()), promised))
    return states


def _state(tree):
    return frozenset(tree.items())


def files_of(folder):
    """The files below a folder as they are, each with its data, and the folders, with None."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


def below(files, folder):
    """Those of some files that are below a folder, by their paths from there."""
    prefix = f"{folder}/"
    return {path[len(prefix) :]: data for path, data in files.items() if path.startswith(prefix)}


def build(files, folder):
    """Makes files in a folder."""
    for path, data in sorted(files.items()):
        if data is None:
            (folder / path).mkdir(parents=True)
        else:
            (folder / path).write_bytes(data)
