"""runs.jsonl: a line for each run of a study that has ended."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from experiment.storage.folder import write_whole
from experiment.storage.result_errors import READ_ERRORS, reading

FILE = "runs.jsonl"


def line(measured: dict[str, Any]) -> str:
    """A run as a line of the file: its experiment, and the content of its metrics.json."""
    return json.dumps(measured) + "\n"


def read(folder: Path, *, whole: bool = True) -> list[dict[str, Any]]:
    """The runs of the study in `folder`; none if the file is missing.

    Args:
        folder: of the study's results.
        whole: raise for a line that is not JSON, unless it is the last and was cut off; otherwise
            leave it out.

    Raises:
        UserError: the file cannot be read.
    """
    path = folder / FILE
    runs = []
    with reading(path, "make studies"):
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        for number, text in enumerate(lines, 1):
            try:
                runs.append(json.loads(text))
            except READ_ERRORS:
                if whole and number < len(lines):
                    raise
    return runs


def write(folder: Path, runs: Iterable[dict[str, Any]]) -> None:
    """Writes the file anew, whole or not at all."""
    write_whole(folder / FILE, "".join(map(line, runs)))


def append(file: IO[str], run: dict[str, Any]) -> None:
    """Adds a line to the open file; a power cut does not undo it."""
    file.write(line(run))
    file.flush()
    os.fsync(file.fileno())
