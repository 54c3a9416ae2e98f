"""Every file in results/ that is made from others there is what today's code makes from them."""

import csv
import json
import re
import shutil
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

import flags
from experiment.evaluation import claims, recorded_runs, run_files
from experiment.report import claims as claims_product
from experiment.report import page, pictures, speed, tables, timeline
from experiment.settings import PROJECT, RESULTS, Settings
from experiment.studies import definition, runner, store, summary
from experiment.studies.many_boxes import plan
from experiment.studies.many_boxes import summary as many_boxes_summary
from experiment.training import mnist
from experiment.training.outcome import QUALITY, History, Outcome
from tests.reference.result_files import read_costs, read_predictions

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
STUDIES = sorted((PROJECT / "presets/studies").glob("*.toml"))
each_study = pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)


def assert_same(made, published):
    """The same text, but for the last digits of drawings; the same picture, but for rounding."""
    if made.suffix == ".png":
        one, other = (matplotlib.image.imread(path) for path in (made, published))
        assert one.shape == other.shape
        assert np.mean(np.abs(one - other)) < 1e-3
    elif made.suffix == ".html":
        texts = made.read_text("utf-8"), published.read_text("utf-8")
        assert NUMBER.sub("", texts[0]) == NUMBER.sub("", texts[1])
        numbers = [[float(number) for number in NUMBER.findall(text)] for text in texts]
        np.testing.assert_allclose(*numbers, rtol=0, atol=0.0101)
    else:
        assert without_times(made) == without_times(published)


def without_times(path):
    """A text without the column of ms per step, which differs from run to run."""
    text = path.read_text("utf-8")
    if path.name == "README.md":
        text = re.sub(r"  +|--+", "", re.sub(r"\| \d+\.\d\d +(?=\|)", "| ", text))
    return text


def assert_all_same(made, published):
    names = sorted(path.name for path in made.iterdir() if path.suffix != ".svg")
    assert names
    for name in names:
        assert_same(made / name, published / name)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A copy of results/."""
    folder = tmp_path_factory.mktemp("published") / "results"
    shutil.copytree(RESULTS, folder, ignore=shutil.ignore_patterns(".*", "checkpoint", "*.svg"))
    return folder


@pytest.mark.parametrize(
    ("product", "names"),
    [
        (claims_product, {"claims.md"}),
        (page, {"report.html"}),
        (
            tables,
            {"finding.md", "learning.md", "rules.md", "limit.md", "fault-costs.md"},
        ),
        (tables, {"README.md"}),
        (pictures, {"shift.md", "shift.png", "costs.png", "strip.png"}),
        (speed, {"bench.md", "rounding.md", "bench.png", "rounds.png"}),
    ],
)
def test_products(product, names, results, monkeypatch):
    for name in names:
        (results / name).unlink()
    monkeypatch.setattr(product, "RESULTS", results)
    product.make()
    for name in names:
        assert_same(results / name, RESULTS / name)


def test_the_timeline(tmp_path):
    shutil.copy(RESULTS / "timeline.csv", tmp_path)
    timeline.write_picture(tmp_path)
    assert_all_same(tmp_path, RESULTS)


def jobs_of(study):
    return study.jobs(Settings(), flags.parse)


@each_study
def test_studies(path, tmp_path):
    study = definition.read(path)
    published = RESULTS / "studies" / study.name
    runs, jobs = store.read(published), jobs_of(study)
    assert [(run["experiment"], run["seed"]) for run in runs] == [
        (job.experiment, job.settings.seed) for job in jobs
    ]
    assert len(runner.completed_runs(runs, jobs, mnist.SHA_256)) == len(jobs)
    summary.write(study, runs, tmp_path)
    assert_all_same(tmp_path, published)
    # The mean is that of the runs.
    rows = [line.split("|") for line in (published / "table.md").read_text().splitlines()]
    means = {row[1].strip(): row[3].strip() for row in rows if len(row) > 5}
    figure, _ = definition.ACCURACY[study.images]
    for name in study.experiments:
        accuracies = [run.get(figure) for run in runs if run["experiment"] == name]
        mean = "diverged" if None in accuracies else f"{100 * np.mean(accuracies):.1f}"
        assert means[name].startswith(mean)


def test_every_rule_has_the_rates_that_its_grids_chose_none_at_an_end():
    tuning = definition.read(PROJECT / "presets/studies/tuning.toml")
    rules = jobs_of(definition.read(PROJECT / "presets/studies/rules.toml"))
    used = {job.experiment: job.settings for job in rules if job.settings.seed == 0}
    tried = {job.experiment: job.settings for job in jobs_of(tuning)}
    tuned = set()
    for grid, row in summary.best(tuning, store.read(RESULTS / "studies/tuning")).items():
        rule = grid.removesuffix("-rec").removesuffix("-sg").removesuffix("-x")
        ((flag, best),) = (each.removeprefix("--").split("=") for each in tuning.grids[grid][row])
        values = [getattr(tried[name], flag) for name in tuning.grids[grid]]
        assert min(values) < float(best) < max(values), grid
        chosen = replace(tried[row], seed=0, split_seed=0)
        assert chosen.numeric() == used[rule].numeric(), grid
        tuned.add(rule)
    assert tuned == set(used)


@pytest.mark.slow
def test_the_study_of_many_boxes(tmp_path):
    published = RESULTS / "many-boxes"
    runs = plan.read(published)
    assert len(runs) == plan.total()
    many_boxes_summary.write(runs, tmp_path)
    assert_all_same(tmp_path, published)


@pytest.mark.parametrize(
    "name", ["published-auto", "numpy-outer", "cdni/connected-manual", "readout/connected-manual"]
)
def test_runs(name, tmp_path):
    published = RESULTS / name
    metrics, timing = (
        json.loads((published / f"{of}.json").read_text()) for of in ("metrics", "timing")
    )
    numeric = {field: metrics[field] for field in Settings().numeric()}
    settings = Settings(**{**numeric, "digits": tuple(numeric["digits"])})
    quality = []
    if (published / "quality.csv").exists():
        with (published / "quality.csv").open() as file:
            quality = [[float(row[of]) for of in QUALITY] for row in csv.DictReader(file)]
    kind = np.float64 if metrics["mode"] == "numpy" else np.float32
    p = read_predictions(published)
    outcome = Outcome(
        History(read_costs(published).tolist(), quality),
        *(p[of].astype(kind) for of in ("test", "held_out")),
    )
    images = mnist.split(mnist.load(settings.data_dir), settings)
    recorded = recorded_runs.find(settings)
    diff = claims.diff_text(settings, metrics, recorded)
    run_files.write(tmp_path, images, outcome, metrics, timing, diff, recorded)
    assert_all_same(tmp_path, published)
    assert {path.name for path in tmp_path.iterdir()} >= {
        path.name for path in published.iterdir() if path.name != "checkpoint"
    }
