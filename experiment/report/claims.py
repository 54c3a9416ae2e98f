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

    def figures(mode: dict[int, dict[str, Any]], name: str) -> npt.NDArray[np.float64]:
        return np.array([mode[seed][name] for seed in both], float)

    def mean(values: npt.NDArray[np.float64], form: str = ".1f") -> str:
        of_seeds = spread(values)
        low, high = of_seeds.low, of_seeds.high
        return f"{of_seeds.mean:{form}} (95 % CI {low:{form}} to {high:{form}})"

    seeds = len(both)
    falls = np.sum(figures(manual, "cost_last") < figures(manual, "cost_first"))
    on_test = figures(auto, "test_correct")
    more, points = (
        scale * (figures(manual, name) - figures(auto, name))
        for name, scale in (("test_correct", 1), ("held_out_accuracy", 100))
    )
    return OverSeeds(
        seeds,
        {
            "C1": f"the cost falls in {falls} of {seeds}",
            "C4": f"{mean(on_test)} of 20 correct",
            "C5": f"manual − auto: {mean(more, '+.1f')} of 20 test images; on the held-out images "
            f"{mean(points, '+.1f')} points, more than 0 in {np.sum(points > 0)} of {seeds}",
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
