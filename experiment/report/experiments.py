"""`python -m experiment.report.experiments`: runs what presets/experiments.toml names."""

import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from experiment.evaluation.files import read_metrics, read_timing
from experiment.settings import PROJECT, RESULTS
from experiment.storage.reading import check, reading

_FILE = tomllib.loads((PROJECT / "presets" / "experiments.toml").read_text())
# The flags of each experiment and of each preset, by the folder that it writes below results/.
EXPERIMENTS = {name: entry["flags"] for name, entry in _FILE["experiments"].items()}
PRESETS = {name: entry["flags"] for name, entry in _FILE["presets"].items()}
ABOUT = {name: entry["about"] for name, entry in _FILE["experiments"].items()}
ALL = EXPERIMENTS | PRESETS


class Run(NamedTuple):
    """An experiment's name, its flags, and what it wrote to metrics.json and timing.json."""

    name: str
    flags: str
    metrics: dict[str, Any]
    timing: dict[str, Any]


def _flags(name: str) -> str:
    folder = Path(name).parent
    where = "" if folder == Path() else f" --results_dir=results/{folder}"
    flags: str = ALL[name]
    return flags + where


def run_all() -> None:
    """Runs every experiment, one after the other; the first that fails ends it all."""
    for number, name in enumerate(ALL, 1):
        print(f"{number} of {len(ALL)}: {name}", flush=True)
        # If it was interrupted the last time, it goes on; numpy mode starts over.
        resume = [] if "--mode=numpy" in ALL[name] else ["--resume"]
        command = [sys.executable, "reproduce.py", *_flags(name).split(), *resume]
        result = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        if result.returncode:
            sys.exit(result.returncode)


def read_all(names: Iterable[str]) -> dict[str, Run]:
    """Reads what the experiments of these names wrote. Raises a UserError if it is damaged."""
    runs = {
        name: Run(name, _flags(name), read_metrics(RESULTS / name), read_timing(RESULTS / name))
        for name in names
    }
    for name, run in runs.items():
        with reading(RESULTS / name / "metrics.json", "make results"):
            check(run.metrics["held_out_total"] > 0, "held_out_total")
    return runs


if __name__ == "__main__":
    run_all()
