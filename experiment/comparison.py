"""A run against the post's claims and against the recorded run of the post's program.

`python -m experiment.comparison FOLDER` judges the claims that take both modes, from the metrics in
FOLDER/published-manual and FOLDER/published-auto and the benchmark's FOLDER/bench.json, beside the
study FOLDER/studies/claims, and writes FOLDER/claims.md.
"""

import contextlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiment.errors import UserError
from experiment.metrics import spread, wilson_interval
from experiment.mnist import SHA_256
from experiment.traces import Trace
from flags import Settings

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
# C3, "amazingly fast": auto is called so if manual mode takes at least this many times as long.
FAR_FASTER = 2
# What the post says, in short; in full in the specification, §4.
POST = {
    "C1": "manual mode learns: its cost falls",
    "C2": "a result on 20 test images",
    "C3": "auto is far faster than manual",
    "C4": "auto does badly on the test images",
    "C5": "manual does better on them than auto",
    "C6": "auto: gradient descent, rate 0.1",
}


class Claim(NamedTuple):
    """One of the post's claims: its number, what a run shows of it, and the verdict."""

    number: str
    shows: str
    verdict: str


def _verdict(holds: bool) -> str:
    return REPRODUCED if holds else NOT_REPRODUCED


def _cost(metrics: dict[str, Any]) -> str:
    return f"{metrics['cost_first']:.3f} → {metrics['cost_last']:.3f}"


def _right(metrics: dict[str, Any]) -> str:
    return f"{metrics['test_correct']} of {metrics['test_total']} right"


def judge(metrics: dict[str, Any]) -> list[Claim]:
    """The claims as one run shows them, C1 to C6.

    Args:
        metrics: of the run.

    Returns:
        The six claims; those that need another run are not judged, and say which command does it.
    """
    manual = metrics["mode"] == "manual"
    other = "auto" if manual else "manual"
    elsewhere = f"not judged: run --mode={other}"
    c1 = Claim(
        "C1", f"cost {_cost(metrics)}", _verdict(metrics["cost_last"] < metrics["cost_first"])
    )
    c2 = Claim("C2", _right(metrics), _verdict(metrics["test_total"] == 20))
    low, high = wilson_interval(metrics["test_correct"], metrics["test_total"])
    c4 = Claim(
        "C4",
        f"{_right(metrics)}, 95 % interval {low:.0%}–{high:.0%}",
        # Badly: as far as these images tell, it may be guessing.
        _verdict(low <= 0.5),
    )
    c6 = Claim("C6", f"rate {metrics['lr_auto']:g}", _verdict(metrics["lr_auto"] == 0.1))
    return [
        c1 if manual else Claim("C1", "–", elsewhere),
        c2,
        Claim("C3", "–", "not judged: run make bench"),
        Claim("C4", "–", elsewhere) if manual else c4,
        Claim("C5", "–", "not judged: run make reproduce"),
        Claim("C6", "–", elsewhere) if manual else c6,
    ]


def judge_both(
    manual: dict[str, Any], auto: dict[str, Any], ms_per_step: dict[str, float] | None
) -> list[Claim]:
    """The claims as a manual and an auto run show them together, C1 to C6.

    Args:
        manual: metrics of the manual run.
        auto: metrics of the auto run.
        ms_per_step: the benchmark's milliseconds per step, if it has been run.
    """
    c1, *_ = judge(manual)
    _, c2, _, c4, _, c6 = judge(auto)
    c3 = Claim("C3", "–", "not judged: run make bench")
    if ms_per_step is not None:
        slow, fast = ms_per_step["feed"], ms_per_step["auto, feed"]
        c3 = Claim(
            "C3",
            f"in the post's loop {slow:.2f} ms a step, auto {fast:.2f}",
            _verdict(slow >= FAR_FASTER * fast),
        )
    each = f"manual {_right(manual)}, auto {_right(auto)}"
    better = (
        manual["test_correct"] / manual["test_total"] > auto["test_correct"] / auto["test_total"]
    )
    return [c1, Claim("C2", each, c2.verdict), c3, c4, Claim("C5", each, _verdict(better)), c6]


class OverSeeds(NamedTuple):
    """What a study shows of the claims that the seed bears on, by their numbers."""

    seeds: int
    shows: dict[str, str]


def over_seeds(folder: Path) -> OverSeeds | None:
    """Reads the study *claims*, in `folder`; means are given with their 95 % intervals.

    Returns:
        What the seeds show that both modes have been run with, or None if there are none.
    """
    by_mode: dict[str, dict[int, dict[str, Any]]] = {"manual": {}, "auto": {}}
    path = folder / "runs.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):  # The last one, of a study cut off.
            measured = json.loads(line)
            if measured["wiring"] == "published":
                by_mode[measured["mode"]][measured["seed"]] = measured
    manual, auto = by_mode["manual"], by_mode["auto"]
    both = sorted(manual.keys() & auto.keys())
    if not both:
        return None
    right = {
        mode: np.array([runs[seed]["test_correct"] for seed in both], float)
        for mode, runs in by_mode.items()
    }
    seeds = len(both)

    def mean(values: npt.NDArray[np.float64]) -> str:
        found = spread(values)
        return f"{found.mean:.1f} ({found.low:.1f} to {found.high:.1f})"

    falls = sum(manual[seed]["cost_last"] < manual[seed]["cost_first"] for seed in both)
    better = right["manual"] - right["auto"]
    shows = {
        "C1": f"falls with {falls} of {seeds}",
        "C2": f"manual {mean(right['manual'])}, auto {mean(right['auto'])} right",
        "C4": f"{mean(right['auto'])} of 20 right",
        "C5": f"manual − auto: {mean(better)}; better with {np.sum(better > 0)} of {seeds}",
    }
    return OverSeeds(seeds, shows)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, padded so that it can be read as it stands."""
    rows = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def table(claims: list[Claim], study: OverSeeds | None = None) -> str:
    """The claims as a table in Markdown, with what many seeds show of them, if that is known."""
    header = ["", "the post says", "this run shows", "verdict"]
    rows = [[claim.number, POST[claim.number], claim.shows, claim.verdict] for claim in claims]
    if study is not None:
        header.append(f"over {study.seeds} seeds")
        for row in rows:
            row.append(study.shows.get(row[0], "–"))
    return markdown(header, rows)


def changed(settings: Mapping[str, Any]) -> list[str]:
    """The settings that are not the post's, as flags.

    Wiring, mode and engine are not among them: which of these a run has is said elsewhere.

    Args:
        settings: of the run, by name; there may be more beside them, as in metrics.json.
    """

    def text(value: Any) -> str:
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    return [
        f"--{name}={text(settings[name])}"
        for name, value in Settings().numeric().items()
        if name not in ("mode", "wiring", "engine") and text(settings[name]) != text(value)
    ]


def diff_text(settings: Settings, metrics: dict[str, Any], trace: Trace | None) -> str:
    """The content of diff.md: the claims, and the distance to the recorded run."""
    lines = [f"# {settings.name}: this run against the post", ""]
    if settings.mode == "numpy":
        lines += ["The claims of the post are about its TensorFlow program, not this one.", ""]
    else:
        if changes := changed(settings.numeric()):
            lines += [f"Settings that are not the post's: {' '.join(changes)}.", ""]
        if metrics["data_sha_256"] != SHA_256:
            lines += ["The data are not the post's.", ""]
        lines += [table(judge(metrics))]
    if trace is None:
        lines += ["No published program's run is recorded at these settings."]
    else:
        lines += [
            f"Distance to the recorded run of {trace.program} ({trace.path.name}):",
            "",
            "- cost of an epoch: at most "
            f"{metrics['trace_max_relative_cost_difference']:.1e} relative",
            f"- p of an image: at most {metrics['trace_max_prediction_difference']:.1e}",
        ]
    return "\n".join([*lines, ""])


def claims(folder: Path) -> list[Claim]:
    """The claims, judged from the two published runs in `folder` and from its benchmark.

    Raises:
        UserError: one of the runs is not there.
    """

    def metrics(mode: str) -> Any:
        path = folder / f"published-{mode}" / "metrics.json"
        try:
            return json.loads(path.read_text())
        except OSError:
            raise UserError(
                f"{path} is not there: run python reproduce.py --mode={mode} first"
            ) from None

    bench = folder / "bench.json"
    ms_per_step = json.loads(bench.read_text())["ms_per_step"] if bench.exists() else None
    return judge_both(metrics("manual"), metrics("auto"), ms_per_step)


def main(folder: Path) -> None:
    """Judges all claims from what is in `folder`; prints and writes claims.md."""
    text = table(claims(folder), over_seeds(folder / "studies" / "claims"))
    (folder / "claims.md").write_text(text)
    print(text)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m experiment.comparison FOLDER")
    try:
        main(Path(sys.argv[1]))
    except UserError as error:
        sys.exit(str(error))
