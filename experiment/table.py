"""`python -m experiment.table`: runs every named experiment and writes what they show.

Each writes its folder under results/; then come results/README.md, the whole table and what each
fault costs, and results/table.md, the short table of the main README.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from experiment.comparison import markdown
from experiment.metrics import wilson_interval

PROJECT = Path(__file__).parent.parent
RESULTS = PROJECT / "results"

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
    "frozen/ordered-manual": "--wiring=ordered --mode=manual --lr_rec=0",
    "numpy-inner": "--mode=numpy",
    "numpy-outer": "--mode=numpy --recurrent_update=outer",
}
# The same of the presets, which are about another task.
PRESETS = {
    "frozen/connected-manual": "--flagfile=presets/frozen.flags",
    "dni/connected-manual": "--flagfile=presets/dni.flags",
    "cdni/connected-manual": "--flagfile=presets/cdni.flags",
    "bptt/connected-manual-true": "--flagfile=presets/bptt.flags",
    "autodiff/connected-auto": "--flagfile=presets/autodiff.flags",
}
PICTURES = {"cost": "cost", "predictions": "images", "gradients": "gradients"}
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

    def read(name: str, file: str) -> Any:
        return json.loads((RESULTS / name / file).read_text())

    return {
        name: Run(name, _flags(name), read(name, "metrics.json"), read(name, "timing.json"))
        for name in names
    }


def _cost(run: Run) -> str:
    return f"{run.metrics['cost_first']:.3f} → {run.metrics['cost_last']:.3f}"


def _test(run: Run) -> str:
    return f"{run.metrics['test_correct']} of {run.metrics['test_total']}"


def _held_out(run: Run) -> str:
    low, high = run.metrics["held_out_interval_95"]
    return f"{run.metrics['held_out_accuracy']:.1%} ({low:.1%}–{high:.1%})"


def short_table(runs: dict[str, Run]) -> str:
    """The table of the main README."""
    rows = [
        (f"[{name}](results/{name})", _cost(run), _test(run), _held_out(run))
        for name, run in runs.items()
    ]
    return markdown(("experiment", "cost, first → last epoch", "test", "held out (95 %)"), rows)


def whole_table(runs: dict[str, Run]) -> str:
    """The table of results/README.md."""
    rows = [
        (
            name,
            _cost(run),
            _test(run),
            _held_out(run),
            f"{run.timing['ms_per_step']:.2f}",
            ", ".join(
                f"[{text}]({name}/{picture}.png)"
                for picture, text in PICTURES.items()
                if (RESULTS / name / f"{picture}.png").exists()
            ),
            f"`python reproduce.py {run.flags}`",
        )
        for name, run in runs.items()
    ]
    header = (
        "experiment",
        "cost, first → last epoch",
        "test images right",
        "held out right (95 % interval)",
        "ms per step",
        "pictures",
        "command",
    )
    return markdown(header, rows)


FAULTS_HEADER = ("fault", "held out, with it", "held out, without it")


def faults(runs: dict[str, Run]) -> list[tuple[str, str, str]]:
    """What each fault of the specification's §6 costs, in held-out accuracy, a row each."""

    def row(fault: str, with_it: str, without_it: str) -> tuple[str, str, str]:
        return (
            fault,
            f"{_held_out(runs[with_it])} {with_it}",
            f"{_held_out(runs[without_it])} {without_it}",
        )

    low, high = wilson_interval(12, 20)
    nothing = ("nothing in these runs: they mend it", "")
    return [
        row("1. stale hidden state, manual", "published-manual", "ordered-manual"),
        row("1. stale hidden state, auto", "published-auto", "ordered-auto"),
        row("2. auto never trains the RNN; rate 0.1", "ordered-auto", "connected-auto"),
        row("2. the same; rate 0.01 without it", "ordered-auto", "one-rate/connected-auto"),
        row("3. manual mode climbs", "ordered-manual", "descend/ordered-manual"),
        row("4. lr_rec 1e-6 freezes the RNN: as 0 does", "ordered-manual", "frozen/ordered-manual"),
        ("5. the seed seeds nothing", *nothing),
        ("6. unordered double updates", *nothing),
        ("7. a wrong derivative", "nothing: it is not used", ""),
        ("8. 20 test images", f"12 right of 20 may be {low:.0%}–{high:.0%}", "see held out"),
        row("the Numpy post's inner product", "numpy-inner", "numpy-outer"),
    ]


def write(runs: dict[str, Run], presets: dict[str, Run]) -> None:
    """Writes results/README.md and results/table.md.

    Args:
        runs: of the experiments on the post's task.
        presets: of the presets.
    """
    (RESULTS / "table.md").write_text(short_table(runs))
    (RESULTS / "README.md").write_text(
        "# Results\n\n"
        "Written by `make results`, which runs every command below. A step is one training image. "
        "Milliseconds differ from run to run, all else does not.\n\n"
        f"{whole_table(runs)}\n"
        "`descend` subtracts the synthetic gradients instead of adding them, `frozen` has "
        "`lr_rec` = 0, and `one-rate` compares hand-written back-propagation through time with "
        "automatic differentiation at one learning rate for everything.\n\n"
        "## What each fault costs\n\n"
        "The faults are those of the post's program (see the main README); the figures are the "
        "rows above.\n\n"
        f"{markdown(FAULTS_HEADER, faults(runs))}\n"
        "## Threes against eights\n\n"
        "A harder task, on which the time boxes do learn: see "
        "[the study of it](studies/synthetic/README.md).\n\n"
        f"{whole_table(presets)}"
    )


if __name__ == "__main__":
    run_all()
    write(read_all(EXPERIMENTS), read_all(PRESETS))
