"""`python -m experiment.report.page`: results/report.html, the whole story on one page.

All on it comes from the files that `make results` and `make bench` wrote; the page needs no other
file, no script and no network.
"""

import base64
import io
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.image
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from experiment.evaluation import traces
from experiment.evaluation.claims import POST
from experiment.evaluation.files import Predictions, read_costs, read_predictions
from experiment.evaluation.pictures import draw_cost
from experiment.evaluation.statistics import Spread, spread
from experiment.report import speed, tables
from experiment.report.claims import claims
from experiment.report.experiments import ABOUT, EXPERIMENTS, PRESETS, read_all
from experiment.settings import PROJECT, RESULTS, Settings
from experiment.studies import definition, runs, summary
from experiment.style import inline
from experiment.training import mnist
from experiment.training.mnist import SIDE, Split

STUDIES = PROJECT / "presets" / "studies"
OFFSETS = range(-3, 4)
# A stretch of the test images on which published-auto answers for the image before each time.
STRIP = range(8, 15)
SHIFTED = {
    "published-auto": "auto mode, the post's wiring",
    "published-manual": "manual mode, the post's wiring",
    "ordered-auto": "auto mode, order mended",
}
# Inches: as wide as a phone, on which text is then as large as elsewhere.
WIDTH = 4.4


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


class Shown(NamedTuple):
    """A study on the page.

    Attributes:
        seeds: how many.
        picture: the accuracy of every run.
        spreads: of the accuracy of each experiment.
        differences: the spread of each difference between two experiments, by its name.
    """

    seeds: int
    picture: Markup
    spreads: dict[str, Spread]
    differences: dict[str, Spread]


def shown(results: Path, name: str) -> Shown:
    """What the study of this name shows."""
    study = definition.read(STUDIES / f"{name}.toml")
    figure, called = definition.ACCURACY[study.images]
    accuracy = summary.figures(runs.read(results / "studies" / name), figure)
    label = f"{called}: the share of images right in every run of the study {name}"
    height = 0.35 * len(accuracy) + 1.1
    draw = partial(summary.draw_points, accuracy=accuracy)
    return Shown(
        seeds=study.seeds,
        picture=Markup(inline(draw, WIDTH, height, label)),
        spreads={experiment: spread(found) for experiment, found in accuracy.items()},
        differences={
            difference: spread(by_seed)
            for difference, by_seed in summary.compared(study, accuracy).items()
        },
    )


def cost_pictures(results: Path) -> dict[str, Markup]:
    """The cost per training loop of each experiment, all on one logarithmic scale."""
    recorded = {trace.settings.name: trace.costs for trace in traces.load()}
    costs = {name: read_costs(results / name) for name in EXPERIMENTS}
    of_all = [cost for each in costs.values() for cost in each]
    limits = min(of_all) / 1.5, max(of_all) * 1.5

    def draw(figure: Figure, name: str) -> None:
        axes = figure.add_subplot()
        draw_cost(axes, costs[name], recorded.get(name, ()))
        axes.set(yscale="log", ylim=limits, ylabel="cost")
        axes.yaxis.set_major_formatter("{x:g}")

    return {
        name: Markup(inline(partial(draw, name=name), WIDTH, 2.4, f"{name}: cost per epoch"))
        for name in costs
    }


def content(results: Path, split: Split) -> dict[str, Any]:
    """What the template shows.

    Args:
        results: the folder of all results.
        split: the post's.
    """
    found = read_all(EXPERIMENTS)
    bench = speed.read_bench(results)
    assert bench is not None, "make bench writes bench.json"
    graphs = [name for name, run in found.items() if run.metrics["mode"] != "numpy"]
    test = {name: read_predictions(results / name, "test") for name in graphs}
    held_out = {name: read_predictions(results / name, "held_out") for name in SHIFTED}
    auto = test["published-auto"]

    def of_speed(draw: Any, what: Any, height: float, label: str) -> Markup:
        return Markup(inline(lambda figure: draw(figure.add_subplot(), what), WIDTH, height, label))

    return {
        "claims": [(*claim, POST[claim.number]) for claim in claims(results)],
        "runs": found,
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
        "about": ABOUT,
        "costs": cost_pictures(results),
        "studies": {name: shown(results, name) for name in ("claims", "synthetic")},
        "faults_header": tables.FAULTS_HEADER,
        "faults_say": tables.FAULTS_SAY,
        "faults": tables.faults(found | read_all(PRESETS)),
        "bench": bench,
        "speeds": of_speed(
            speed.draw_steps, bench["ms_per_step"], 3.6, "Milliseconds per step of each program"
        ),
        "growth": of_speed(
            speed.draw_growth, bench["growth"], 3, "Milliseconds per step against the width"
        ),
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
    return environment.get_template("page.html.j2").render(content(results, split))


if __name__ == "__main__":
    (RESULTS / "report.html").write_text(page(RESULTS))
