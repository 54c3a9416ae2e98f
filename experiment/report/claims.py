"""`python -m experiment.report.claims FOLDER`: the claims of the post, judged; FOLDER/claims.md.

They are judged from the metrics in FOLDER/published-manual and FOLDER/published-auto and from the
benchmark's FOLDER/bench.json, beside the study FOLDER/studies/claims.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiment.evaluation.claims import Claim, OverSeeds, judge, table
from experiment.evaluation.files import read_metrics
from experiment.evaluation.statistics import spread
from experiment.report.speed import read_bench
from experiment.settings import said_in_a_line
from experiment.storage.reading import reading
from experiment.studies import runs


def over_seeds(folder: Path) -> OverSeeds | None:
    """Reads the study *claims*, in `folder`; means are given with their 95 % intervals.

    Returns:
        What the seeds show that both modes have been run with, or None if there are none.
    """
    by_mode: dict[str, dict[int, dict[str, Any]]] = {"manual": {}, "auto": {}}
    found = runs.read(folder)
    with reading(folder / runs.FILE, "make studies"):
        for measured in found:
            if measured["wiring"] == "published" and "cost_first" in measured:
                by_mode[measured["mode"]][measured["seed"]] = measured
    manual, auto = by_mode["manual"], by_mode["auto"]
    both = sorted(manual.keys() & auto.keys())
    if not both:
        return None
    right = {
        mode: np.array([of_mode[seed]["test_correct"] for seed in both], float)
        for mode, of_mode in by_mode.items()
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


def claims(folder: Path) -> list[Claim]:
    """The claims, judged from the two published runs in `folder` and from its benchmark.

    Raises:
        UserError: one of the runs is not there, or a file is damaged.
    """
    manual, auto = (read_metrics(folder / f"published-{mode}") for mode in ("manual", "auto"))
    bench = read_bench(folder)
    return judge(manual, auto, bench["ms_per_step"] if bench else None)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m experiment.report.claims FOLDER")
    results = Path(sys.argv[1])
    with said_in_a_line():
        text = table(claims(results), over_seeds(results / "studies" / "claims"))
        (results / "claims.md").write_text(text)
        print(text)
