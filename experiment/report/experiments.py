"""`python -m experiment.report.experiments`: runs every named experiment.

Each writes its folder under results/.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from experiment.evaluation.files import read_metrics, read_timing
from experiment.settings import PROJECT, RESULTS

# The folder that the run writes, below results/, and the flags that make it do so.
EXPERIMENTS = {
    "published-manual": "--wiring=published --mode=manual",
    "published-auto": "--wiring=published --mode=auto",
    "ordered-manual": "--wiring=ordered --mode=manual",
    "ordered-auto": "--wiring=ordered --mode=auto",
    "connected-manual": "--wiring=connected --mode=manual",
    "connected-auto": "--wiring=connected --mode=auto",
    "one-rate/connected-auto": "--wiring=connected --mode=auto --lr_auto=0.01",
    "one-rate/connected-manual-true": (
        "--wiring=connected --mode=manual --gradient=true --lr_x=0.01 --lr_rec=0.01"
    ),
    "descend/ordered-manual": "--wiring=ordered --mode=manual --synthetic_step=descend",
    "lr_rec-0/ordered-manual": "--wiring=ordered --mode=manual --lr_rec=0",
    "numpy-inner": "--mode=numpy",
    "numpy-outer": "--mode=numpy --recurrent_update=outer",
}
# What each is, for readers of the page.
ABOUT = {
    "published-manual": "The post's program in manual mode. Each part of the network reads the "
    "hidden states that the image before left.",
    "published-auto": "The post's program in auto mode, which trains only the readout and the "
    "hidden states.",
    "ordered-manual": "Each part reads the hidden states of the image at hand, as the post draws "
    "it (fault 1 mended).",
    "ordered-auto": "The same in auto mode.",
    "connected-manual": "The hidden states are also passed on as tensors, so that gradients can "
    "go through. By hand that changes nothing.",
    "connected-auto": "The same in auto mode, which now trains the RNN too (fault 2 mended), at "
    "the post's rate of 0.1.",
    "one-rate/connected-auto": "The same at a rate of 0.01.",
    "one-rate/connected-manual-true": "The same by hand: true back propagation through time, at "
    "0.01 for everything.",
    "descend/ordered-manual": "As ordered-manual, but the synthetic gradients are subtracted, not "
    "added (fault 3 mended).",
    "lr_rec-0/ordered-manual": "As ordered-manual, but the rate of the RNN, lr_rec, is 0: only the "
    "readout learns.",
    "numpy-inner": "Seo's Numpy program, with an inner product where an outer one is meant.",
    "numpy-outer": "The same with the outer product.",
}
# Folders and flags of the presets, which are about another task.
PRESETS = {
    "frozen/connected-manual": "--flagfile=presets/frozen.flags",
    "dni/connected-manual": "--flagfile=presets/dni.flags",
    "cdni/connected-manual": "--flagfile=presets/cdni.flags",
    "bptt/connected-manual-true": "--flagfile=presets/bptt.flags",
    "autodiff/connected-auto": "--flagfile=presets/autodiff.flags",
}
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
    return ALL[name] + where


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
    """Reads what the experiments of these names wrote."""
    return {
        name: Run(name, _flags(name), read_metrics(RESULTS / name), read_timing(RESULTS / name))
        for name in names
    }


if __name__ == "__main__":
    run_all()
