"""The states of a disk that a power cut can leave.

The method is that of ALICE and CrashMonkey, from outside the kernel: strace records the changes
that a command, TensorFlow's C++ included, makes to the files below a folder. They are repeated here
one by one on a model of a disk, which knows what was flushed. The power may be cut after each.

What was flushed (fsync) is kept. Of the rest, the kernel may have written:

- of the data of files: all, none, half, or zeros in their place;
- of the changes of names (made, renamed, removed): all, none, or all but one. A journal that keeps
  their order, as those of ext4, XFS and Btrfs do, leaves fewer states.

A single rename is kept whole or not at all. A file is lost if its folder has no name.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from experiment.settings import PROJECT

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
    """A change of a file, or a flush.

    Attributes:
        name: create, write, cut, copy, mkdir, remove, rename, exchange or flush.
        path: of the file or folder.
        other: for rename and exchange the new name; for copy the source.
        data: for write the appended bytes; for copy and cut a number of bytes.
    """

    name: str
    path: str
    other: str = ""
    data: bytes | int = 0


def skip_without_strace():
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    result = subprocess.run([*STRACE, os.devnull, "true"], capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"strace cannot be used here ({result.stderr.strip()})")


def record(command, root, log):
    """Runs a Python command in the project's folder; returns its operations below `root`.

    Successive writes to a file are one operation.

    Args:
        command: without the interpreter.
        root: a path without links.
        log: a path for strace's output.
    """
    result = subprocess.run(
        [*STRACE, log, sys.executable, *command], cwd=PROJECT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    operations = []
    for operation in _operations(log, root):
        last = operations[-1] if operations else None
        if last and operation.name == "write" and last[:2] == operation[:2]:
            operations[-1] = operation._replace(data=last.data + operation.data)
        else:
            operations.append(operation)
    log.unlink()
    return operations


def _operations(log, root):
    """Yields the operations in strace's output."""
    unfinished = {}
    with log.open("rb") as file:
        for line in file:
            process = line.partition(b" ")[0]
            if line.endswith(b" <unfinished ...>\n"):
                unfinished[process] = line.removesuffix(b" <unfinished ...>\n")
                continue
            if b" resumed>" in line[:60]:
                line = unfinished.pop(process) + line.partition(b" resumed>")[2]
            # A call that failed does not match.
            if os.fsencode(root) in line[:5000] and (match := LINE.fullmatch(line)):
                yield from _operation(match[1].decode(), match[2], int(match[3]), root)


def _operation(call, arguments, result, root):
    """Yields the operations of a system call."""
    # The data of a write may look like a path.
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
            raise ValueError(f"{call} has no model here: {arguments[:500]}")


class Node:
    """A file or a folder, whatever its name.

    Attributes:
        data: of a file; None for a folder.
        flushed: the data that a power cut keeps.
    """

    def __init__(self, data):
        self.data = self.flushed = data


@functools.cache
def _data_left(data, flushed):
    """The data of a file after a cut: all; flushed only, and with half or zeros of the rest."""
    if data == flushed:
        return [data] * 4
    kept = len(flushed) if data.startswith(flushed) else 0
    rest = len(data) - kept
    return [data, flushed, data[: kept + rest // 2], data[:kept] + bytes(rest)]


class Disk:
    """A model of the files below a folder, and of what a power cut keeps of them.

    A change of names is a dictionary: the node, or None, by its folder and its name there.
    """

    def __init__(self, root):
        self._root, self._prefix = Node(None), root
        self._names = {}
        self._pending = []
        for path, data in sorted(read_tree(root).items()):
            self._put(root / path, Node(data))
        self._flushed, self._pending = dict(self._names), []

    def _entry(self, path):
        """The folder of a path, and the name there."""
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
                pending, self._pending = self._pending, []
                for change in pending:
                    if any(folder is node for folder, _ in change):
                        self._flushed.update(change)
                    else:
                        self._pending.append(change)

    def now(self):
        """The present files with their data, and the folders with None, by path."""
        return self._trees(self._names)[0]

    def after_a_cut(self):
        """Yields the trees that a power cut can leave now, each as in `now`; some are equal."""
        pending = self._pending
        without_one = (pending[:at] + pending[at + 1 :] for at in range(len(pending)))
        for chosen in (pending, [], *without_one):
            names = dict(self._flushed)
            for change in chosen:
                names.update(change)
            yield from self._trees(names)

    def _trees(self, names):
        """The trees of these names, one for each of the four things that a cut does to data."""
        inside = {}
        for (folder, name), node in names.items():
            if node is not None:
                inside.setdefault(folder, []).append((name, node))
        trees = [{} for _ in range(4)]
        waiting = [("", self._root)]
        while waiting:
            path, folder = waiting.pop()
            for name, node in inside.get(folder, []):
                inner = f"{path}/{name}".lstrip("/")
                choices = [None] * 4
                if node.data is None:
                    waiting.append((inner, node))
                else:
                    choices = _data_left(node.data, node.flushed)
                for tree, data in zip(trees, choices, strict=True):
                    tree[inner] = data
        return trees


def crash_states(disk, operations, progress):
    """Every state that a cut can leave, with the progress that it must not take back.

    Progress has to last once the command does something else: until then it may still flush.

    Args:
        disk: before the first operation.
        operations: from `record`.
        progress: of the command, a number, from the tree `Disk.now`.

    Returns:
        The progress by state; a state is a frozenset of the items of a tree.
    """
    kept = 0
    states = {}

    def add_states():
        trees = disk.after_a_cut()
        states.update((frozenset(tree.items()), kept) for tree in trees)

    add_states()
    for operation in operations:
        if operation.name != "flush":
            kept = progress(disk.now())
        disk.do(operation)
        add_states()
    kept = progress(disk.now())
    add_states()
    return states


def read_tree(folder):
    """The files below a folder with their data, and the folders with None, by path."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


def subtree(tree, folder):
    """The part of a tree below a folder."""
    prefix = f"{folder}/"
    return {path[len(prefix) :]: data for path, data in tree.items() if path.startswith(prefix)}


def write_tree(tree, folder):
    """Writes a tree into a folder, which is made."""
    folder.mkdir()
    for path, data in sorted(tree.items()):
        if data is None:
            (folder / path).mkdir(parents=True)
        else:
            (folder / path).write_bytes(data)
