"""runs.jsonl: what each run of a study measured, a line each, as far as the study has come."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiment.storage.folder import write_whole

FILE = "runs.jsonl"


def line(measured: dict[str, Any]) -> str:
    """A run as it stands in the file: its experiment, and what metrics.json says of it."""
    return json.dumps(measured) + "\n"


def read(folder: Path) -> list[dict[str, Any]]:
    """The runs of the study in `folder`, without what is no run: a line that was cut off, say."""
    path = folder / FILE
    found = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            measured = json.loads(text)
        except ValueError:
            continue
        if isinstance(measured, dict):
            found.append(measured)
    return found


def write(folder: Path, all_measured: Iterable[dict[str, Any]]) -> None:
    """Writes the file anew, whole or not at all."""
    write_whole(folder / FILE, "".join(map(line, all_measured)))
