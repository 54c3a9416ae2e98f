"""Compares a run with the post's claims and with the recorded run of the post's program."""

from typing import Any, NamedTuple

from experiment.evaluation.captions import name
from experiment.evaluation.recorded_runs import RecordedRun
from experiment.evaluation.statistics import wilson_interval
from experiment.markdown import markdown
from experiment.settings import Settings, non_default_flags
from experiment.training.mnist import SHA_256

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
# C3, "amazingly fast": auto is called so if manual mode takes at least this many times as long.
FAR_FASTER = 2
# In full: docs/experiment.md §4.
POST = {
    "C1": "manual mode learns: its cost falls",
    "C3": "auto is far faster than manual",
    "C4": "auto does badly on the test images",
    "C5": "manual does better on them than auto",
}
JUDGED_BY = {
    "C1": "--mode=manual",
    "C3": "make bench",
    "C4": "--mode=auto",
    "C5": "make reproduce",
}


class Claim(NamedTuple):
    """A claim of the post: its number, the evidence of a run, the verdict."""

    number: str
    evidence: str
    verdict: str


def judge(
    manual: dict[str, Any] | None,
    auto: dict[str, Any] | None,
    ms_per_step: dict[str, float] | None = None,
) -> list[Claim]:
    """Judges each claim; without evidence, the verdict names the command that measures it.

    Args:
        manual: the content of metrics.json of a manual run.
        auto: of an auto run.
        ms_per_step: of each program of the benchmark.
    """
    evidence: dict[str, tuple[str, bool]] = {}
    runs = {"manual": manual, "auto": auto}
    given = {mode: metrics for mode, metrics in runs.items() if metrics is not None}
    correct = {
        mode: f"{m['test_correct']} of {m['test_total']} correct" for mode, m in given.items()
    }
    each = ", ".join(f"{mode} {text}" for mode, text in correct.items())
    if manual is not None:
        first, last = manual["cost_first"], manual["cost_last"]
        evidence["C1"] = f"cost {first:.3f} → {last:.3f}", last < first
    if auto is not None:
        low, high = wilson_interval(auto["test_correct"], auto["test_total"])
        # Badly: the interval includes chance.
        interval = f"95 % CI {100 * low:.0f} to {100 * high:.0f} %"
        evidence["C4"] = f"{correct['auto']} ({interval})", low <= 0.5
    if ms_per_step is not None:
        slow, fast = ms_per_step["feed"], ms_per_step["auto, feed"]
        text = f"fed image by image: manual {slow:.2f} ms per step, auto {fast:.2f}"
        evidence["C3"] = text, slow >= FAR_FASTER * fast
    if manual is not None and auto is not None:
        shares = (metrics["test_correct"] / metrics["test_total"] for metrics in (manual, auto))
        evidence["C5"] = each, next(shares) > next(shares)
    claims = []
    for number, by in JUDGED_BY.items():
        if number in evidence:
            text, holds = evidence[number]
            claims.append(Claim(number, text, REPRODUCED if holds else NOT_REPRODUCED))
        else:
            claims.append(Claim(number, "–", f"not judged: run {by}"))
    return claims


class OverSeeds(NamedTuple):
    """Evidence of a study over seeds, by the number of the claim."""

    seeds: int
    evidence: dict[str, str]


def table(claims: list[Claim], study: OverSeeds | None = None) -> str:
    """The claims as a table in Markdown."""
    header = ["", "the post says", "this run shows", "verdict"]
    rows = [[claim.number, POST[claim.number], claim.evidence, claim.verdict] for claim in claims]
    if study is not None:
        header.append(f"over {study.seeds} seeds")
        for row in rows:
            row.append(study.evidence.get(row[0], "–"))
    return markdown(header, rows)


def diff_text(settings: Settings, metrics: dict[str, Any], recorded: RecordedRun | None) -> str:
    """The content of diff.md: the claims, and the distance to the recorded run."""
    lines = [f"# {settings.name}: this run against the post", ""]
    if settings.mode == "numpy":
        lines += ["The claims of the post are about its TensorFlow program, not this one.", ""]
    else:
        if changes := non_default_flags(settings.numeric()):
            lines += [f"Settings that are not the post's: {' '.join(changes)}.", ""]
        if settings.digits != Settings().digits:
            zero, one = map(name, settings.digits)
            lines += [f"Label 0 is for {zero}, label 1 for {one}.", ""]
        if metrics["data_sha_256"] != SHA_256:
            lines += ["The data are not the post's.", ""]
        manual, auto = (metrics if metrics["mode"] == m else None for m in ("manual", "auto"))
        lines += [table(judge(manual, auto))]
    if recorded is None:
        lines += ["No published program's run is recorded at these settings."]
    else:
        lines += [
            f"Distance to the recorded run of {recorded.program} ({recorded.path.name}):",
            "",
            "- cost of an epoch: at most "
            f"{metrics['trace_max_relative_cost_difference']:.1e} relative",
            f"- p of an image: at most {metrics['trace_max_prediction_difference']:.1e}",
        ]
    return "\n".join([*lines, ""])
