"""A run against the post's claims and against the recorded run of the post's program."""

from typing import Any, NamedTuple

from experiment.evaluation.statistics import wilson_interval
from experiment.evaluation.traces import Trace
from experiment.markdown import markdown
from experiment.settings import Settings, changed
from experiment.training.mnist import SHA_256

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
# C3, "amazingly fast": auto is called so if manual mode takes at least this many times as long.
FAR_FASTER = 2
# What the post says, in short; in full in docs/experiment.md §4.
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
            f"fed image by image: manual {slow:.2f} ms a step, auto {fast:.2f}",
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


def table(claims: list[Claim], study: OverSeeds | None = None) -> str:
    """The claims as a table in Markdown, with what many seeds show of them, if that is known."""
    header = ["claim", "the post says", "this run shows", "verdict"]
    rows = [[claim.number, POST[claim.number], claim.shows, claim.verdict] for claim in claims]
    if study is not None:
        header.append(f"over {study.seeds} seeds")
        for row in rows:
            row.append(study.shows.get(row[0], "–"))
    return markdown(header, rows)


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
