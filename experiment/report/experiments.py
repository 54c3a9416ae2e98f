"""The runs of presets/experiments.toml."""

import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from experiment.evaluation.run_files import read_json
from experiment.settings import PROJECT, RESULTS

_FILE = tomllib.loads((PROJECT / "presets" / "experiments.toml").read_text())
# The flags of each experiment and of each preset, by its folder below results/.
EXPERIMENTS = {name: entry["flags"] for name, entry in _FILE["experiments"].items()}
PRESETS = {name: entry["flags"] for name, entry in _FILE["presets"].items()}
ALL = EXPERIMENTS | PRESETS
ABOUT = {name: entry["about"] for name, entry in (_FILE["experiments"] | _FILE["presets"]).items()}


class Run(NamedTuple):
    """An experiment: its flags, and the content of metrics.json."""

    flags: str
    metrics: dict[str, Any]


def _flags(name: str) -> str:
    folder = Path(name).parent
    where = "" if folder == Path() else f" --results_dir=results/{folder}"
    flags: str = ALL[name]
    return flags + where


def make() -> None:
    """Runs every experiment in turn; exits with the status of the first that fails."""
    for number, name in enumerate(ALL, 1):
        print(f"{number} of {len(ALL)}: {name}", flush=True)
        # A run that was interrupted goes on; numpy mode has no checkpoints.
        resume = [] if "--mode=numpy" in ALL[name] else ["--resume"]
        command = [sys.executable, "reproduce.py", *_flags(name).split(), *resume]
        result = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        if result.returncode:
            sys.exit(result.returncode)


def read_all(names: Iterable[str]) -> dict[str, Run]:
    """The experiments of these names. Raises a UserError if a file is missing or damaged."""
    return {name: Run(_flags(name), read_json(RESULTS / name / "metrics.json")) for name in names}
