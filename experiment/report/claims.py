"""results/claims.md: the post's claims, judged.

The evidence is the two published runs, the benchmark, and the study *claims*.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiment.evaluation.claims import Claim, OverSeeds, judge, table
from experiment.evaluation.run_files import read_json
from experiment.evaluation.statistics import spread
from experiment.report.speed import read_bench
from experiment.settings import RESULTS
from experiment.studies import store


def over_seeds(folder: Path) -> OverSeeds | None:
    """Evidence of the study *claims* in `folder`, from the seeds that both modes have.

    Returns:
        Means with their 95 % intervals, or None if no seed is complete.
    """
    by_mode: dict[str, dict[int, dict[str, Any]]] = {"manual": {}, "auto": {}}
    for run in store.read(folder):
        if run["wiring"] == "published" and "cost_first" in run:
            by_mode[run["mode"]][run["seed"]] = run
    manual, auto = by_mode["manual"], by_mode["auto"]
    both = sorted(manual.keys() & auto.keys())
    if not both:
        return None
    correct = {
        mode: np.array([of_mode[seed]["test_correct"] for seed in both], float)
        for mode, of_mode in by_mode.items()
    }
    seeds = len(both)

    def mean(values: npt.NDArray[np.float64]) -> str:
        of_seeds = spread(values)
        return f"{of_seeds.mean:.1f} ({of_seeds.low:.1f} to {of_seeds.high:.1f})"

    falls = sum(manual[seed]["cost_last"] < manual[seed]["cost_first"] for seed in both)
    better = correct["manual"] - correct["auto"]
    return OverSeeds(
        seeds,
        {
            "C1": f"falls with {falls} of {seeds}",
            "C2": f"manual {mean(correct['manual'])}, auto {mean(correct['auto'])} correct",
            "C4": f"{mean(correct['auto'])} of 20 correct",
            "C5": f"manual − auto: {mean(better)}; better with {np.sum(better > 0)} of {seeds}",
        },
    )


def claims(results: Path) -> list[Claim]:
    """The claims. Raises a UserError if one of the two published runs is missing."""
    manual, auto = (
        read_json(results / f"published-{mode}" / "metrics.json") for mode in ("manual", "auto")
    )
    measured = (results / "bench.json").exists()
    return judge(manual, auto, read_bench(results)["ms_per_step"] if measured else None)


def make() -> None:
    """Writes and prints the table."""
    text = table(claims(RESULTS), over_seeds(RESULTS / "studies" / "claims"))
    (RESULTS / "claims.md").write_text(text)
    print(text)
