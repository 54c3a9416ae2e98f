"""`python -m experiment.report`: results/report.html, the whole story on one page.

All on it comes from the files that `make results` and `make bench` wrote; the page needs no other
file, no script and no network.
"""

import base64
import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.image
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiment import comparison, mnist, study, table, traces
from experiment.metrics import Spread, spread
from experiment.mnist import SIDE, Split
from flags import Settings

RESULTS = table.RESULTS
STUDIES = table.PROJECT / "presets" / "studies"
OFFSETS = range(-3, 4)
# A stretch of the test images on which published-auto answers for the image before each time.
STRIP = range(8, 15)
SHIFTED = {
    "published-auto": "auto mode, the post's wiring",
    "published-manual": "manual mode, the post's wiring",
    "ordered-auto": "auto mode, order mended",
}


class Predictions(NamedTuple):
    """What a run said of the test images, or of those held out.

    Attributes:
        labels: [n].
        p: [n], the probability that the label is 1.
        says: [n], the predicted labels.
    """

    labels: npt.NDArray[np.int64]
    p: npt.NDArray[np.float64]
    says: npt.NDArray[np.int64]


def predictions(folder: Path, split: str) -> Predictions:
    """Reads what the run in `folder` said of `test` or `held_out`."""
    with (folder / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return Predictions(
        np.array([int(row["label"]) for row in rows]),
        np.array([float(row["probability"]) for row in rows]),
        np.array([int(row["prediction"]) for row in rows]),
    )


def agreement(test: Predictions, held_out: Predictions) -> dict[int, float]:
    """How many of the held-out predictions are the label of the image so many places on.

    Args:
        test: the test images, which are visited just before those held out.
        held_out: the images held out.

    Returns:
        A share from 0 to 1 for each of `OFFSETS`.
    """
    labels = np.concatenate([test.labels, held_out.labels])
    shares = {}
    for offset in OFFSETS:
        there = labels[len(test.labels) + offset :][: len(held_out.says)]
        shares[offset] = float(np.mean(held_out.says[: len(there)] == there))
    return shares


def picture(x: npt.NDArray[np.float32]) -> str:
    """An image, [784], dark on light, as the address of a PNG."""
    file = io.BytesIO()
    pixels = x.reshape(SIDE, SIDE)
    # Without the name of the software, so that the page is the same from every version.
    metadata: Any = {"Software": None}
    matplotlib.image.imsave(file, pixels, cmap="gray_r", vmin=0, vmax=1, metadata=metadata)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def place(offset: int) -> str:
    """Where the image so many places on stands, in words."""
    if not offset:
        return "this image"
    return f"{abs(offset)} {'before' if offset < 0 else 'after'}"


def powers_of_ten(costs: Iterable[Sequence[float]]) -> range:
    """The exponents of an axis that all these costs, which are above 0, fit on."""
    logs = [math.log10(cost) for run in costs for cost in run]
    return range(math.floor(min(logs)), math.ceil(max(logs)) + 1)


def curve(costs: Sequence[float], width: float, height: float, powers: range) -> str:
    """The points of a line through the costs, in a frame with a logarithmic axis.

    Args:
        costs: one an epoch, above 0.
        width: of the frame.
        height: of the frame.
        powers: of ten; the frame begins at the first and ends at the last.
    """
    step = width / max(len(costs) - 1, 1)
    scale = height / (powers[-1] - powers[0])
    return " ".join(
        f"{i * step:.1f},{scale * (powers[-1] - math.log10(cost)):.1f}"
        for i, cost in enumerate(costs)
    )


def read_costs(folder: Path) -> list[float]:
    """The cost of each epoch of the run in `folder`."""
    with (folder / "cost.csv").open() as file:
        return [float(row["cost"]) for row in csv.DictReader(file)]


class Points(NamedTuple):
    """A study on the page.

    Attributes:
        seeds: how many.
        low: where the picture's axis begins, in percent; it ends at 100.
        values: the accuracy of every run, by experiment, [seeds], shares from 0 to 1.
        spreads: of each experiment.
        differences: the spread of each difference between two experiments, by its name.
    """

    seeds: int
    low: int
    values: dict[str, list[float]]
    spreads: dict[str, Spread]
    differences: dict[str, Spread]


def points(results: Path, name: str) -> Points:
    """What the study of this name shows."""
    asked = study.read(STUDIES / f"{name}.ini", Settings())
    lines = (results / "studies" / name / study.RUNS).read_text().splitlines()
    accuracy = study.figures([json.loads(line) for line in lines], study.ACCURACY[asked.images][0])
    values = {experiment: list(map(float, found)) for experiment, found in accuracy.items()}
    worst = min(min(found) for found in values.values())
    return Points(
        seeds=len(next(iter(values.values()))),
        low=int(20 * worst) * 5,
        values=values,
        spreads={experiment: spread(found) for experiment, found in accuracy.items()},
        differences={
            difference: spread(by_seed)
            for difference, by_seed in study.compared(asked, accuracy).items()
        },
    )


def content(results: Path, split: Split) -> dict[str, Any]:
    """What the template shows.

    Args:
        results: the folder of all results.
        split: the post's.
    """
    runs = table.read_all(table.EXPERIMENTS)
    recorded = {trace.settings.name: list(trace.costs) for trace in traces.load()}
    bench = json.loads((results / "bench.json").read_text())
    graphs = [name for name, run in runs.items() if run.metrics["mode"] != "numpy"]
    test = {name: predictions(results / name, "test") for name in graphs}
    held_out = {name: predictions(results / name, "held_out") for name in SHIFTED}
    auto = test["published-auto"]
    costs = {name: read_costs(results / name) for name in runs}
    return {
        "claims": [(*claim, comparison.POST[claim.number]) for claim in comparison.claims(results)],
        "runs": runs,
        "graphs": graphs,
        "test": test,
        "labels": split.test.y.tolist(),
        "pictures": [picture(x) for x in split.test.x],
        "strip": STRIP,
        "own": int(np.sum(auto.says == auto.labels)),
        "before": int(np.sum(auto.says[1:] == auto.labels[:-1])),
        "shifted": SHIFTED,
        "agreement": {name: agreement(test[name], said) for name, said in held_out.items()},
        "held_out_total": len(split.held_out.y),
        "place": place,
        "about": table.ABOUT,
        "costs": costs,
        "powers": powers_of_ten([*costs.values(), *recorded.values()]),
        "recorded": recorded,
        "curve": curve,
        "studies": {name: points(results, name) for name in ("claims", "synthetic")},
        "faults_header": table.FAULTS_HEADER,
        "faults_say": table.FAULTS_SAY,
        "faults": table.faults(runs | table.read_all(table.PRESETS)),
        "bench": bench,
    }


def page(results: Path) -> str:
    """The page, from what is in the folder of all results."""
    settings = Settings()
    split = mnist.split(mnist.load(settings.data_dir), settings)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(content(results, split))


if __name__ == "__main__":
    (RESULTS / "report.html").write_text(page(RESULTS))
