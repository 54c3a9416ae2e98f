"""runs.jsonl: what each run of a study measured, a line each, as far as the study has come."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiment.evaluation.files import check_metrics, check_settings
from experiment.storage.folder import write_whole
from experiment.storage.reading import DAMAGED, check, reading

FILE = "runs.jsonl"


def line(measured: dict[str, Any]) -> str:
    """A run as it stands in the file: its experiment, and what metrics.json says of it."""
    return json.dumps(measured) + "\n"


def read(folder: Path, *, whole: bool = True) -> list[dict[str, Any]]:
    """The runs of the study in `folder`.

    Args:
        folder: of the results of the study.
        whole: whether every line has to be a run, but for a last one that was cut off; else, what
            is none is left out.

    Raises:
        UserError: the file cannot be read, or has to be whole and is not.
    """
    path = folder / FILE
    found = []
    with reading(path, "make studies"):
        *lines, last = path.read_bytes().split(b"\n") if path.exists() else [b""]
        for number, text in enumerate([*lines, last]):
            try:
                found.append(_run(text))
            except DAMAGED:
                if whole and number < len(lines):
                    raise
    return found


def _run(text: bytes) -> dict[str, Any]:
    """What a line says; raises one of `DAMAGED` if it is not what `measure` can have measured."""
    measured: dict[str, Any] = json.loads(text)
    check(type(measured["experiment"]) is str, "experiment")
    check_settings(measured)
    if "cost_first" not in measured:  # The cost was not finite.
        check(not any(name.endswith(("_accuracy", "_last")) for name in measured), "cost_first")
        return measured
    check_metrics(measured)
    cosines = measured["pooled_cosines"]
    check(len(cosines) in (0, measured["epochs"]), "pooled_cosines")
    for each in cosines:
        check([type(cosine) for cosine in each] == [float, float], "pooled_cosines")
    return measured


def write(folder: Path, all_measured: Iterable[dict[str, Any]]) -> None:
    """Writes the file anew, whole or not at all."""
    write_whole(folder / FILE, "".join(map(line, all_measured)))
