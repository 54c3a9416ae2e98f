"""What stands in results/ and is made of other files there, today's code makes of them.

Of a picture the SVG says so, of its PNG only the size: both are drawn by the same code.
"""

import csv
import json
import re
import runpy
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT, read_costs, read_predictions
from copies import copy_project

from experiment import settings
from experiment.evaluation import claims, files, traces
from experiment.report import speed, timeline
from experiment.studies import definition, runs, summary
from experiment.style import drawing
from experiment.training import mnist
from experiment.training.outcome import QUALITY, History, Outcome

RESULTS = PROJECT / "results"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# What a last digit may do to a coordinate, which has two decimals (another processor).
ROUNDED = 0.0101


def same(made, published):
    """Asserts that what was made is what is published; of pictures, what their SVGs say."""
    if made.suffix == ".png":
        assert made.read_bytes()[16:24] == published.read_bytes()[16:24]  # width and height
    elif made.suffix in (".svg", ".html"):
        texts = made.read_text("utf-8"), published.read_text("utf-8")
        shapes = [NUMBER.sub("", text) for text in texts]
        assert shapes[0] == shapes[1]
        numbers = [[float(number) for number in NUMBER.findall(text)] for text in texts]
        np.testing.assert_allclose(*numbers, rtol=0, atol=ROUNDED)
    else:
        assert without_times(made) == without_times(published)


def without_times(path):
    """A file; in the tables of all runs, without ms per step, which differ from run to run."""
    text = path.read_text("utf-8")
    if "ms per step" in text and path.name != "bench.md":
        text = re.sub(r"\| \d+\.\d\d +(?=\|)", "| ", text)
        text = re.sub(r"  +|--+", "", text)
    return text


def all_same(made, published):
    names = sorted(path.name for path in made.iterdir())
    assert names
    for name in names:
        same(made / name, published / name)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    copy_project(folder)
    return folder


@pytest.mark.parametrize(
    ("command", "patterns"),
    [
        ("claims results", ["results/claims.md"]),
        ("diagram", ["docs/network.svg"]),
        ("logs", ["traces/tf15-published-*.log"]),
        ("page", ["results/report.html"]),
    ],
)
def test_what_a_command_writes(command, patterns, project):
    names = [path.relative_to(PROJECT) for each in patterns for path in PROJECT.glob(each)]
    assert names
    for name in names:
        (project / name).unlink()
    run = [sys.executable, "-m", *f"experiment.report.{command}".split()]
    subprocess.run(run, cwd=project, check=True, capture_output=True)
    for name in names:
        same(project / name, PROJECT / name)


def test_the_readme_command_fills_every_page_and_notebook(project):
    shown = [*project.glob("*.md"), *project.glob("docs/*.md"), *project.glob("notebooks/*.ipynb")]
    former = {path: path.read_text() for path in shown}
    for path in shown:
        emptied = re.sub(r"(<!-- results/\S+ -->\n).*?(<!-- end -->)", r"\1\2", former[path],
                         flags=re.DOTALL)  # fmt: skip
        path.write_text(emptied)
    assert sum(path.read_text() != former[path] for path in shown) > 5
    run = [sys.executable, "-m", "experiment.report.readme"]
    subprocess.run(run, cwd=project, check=True, capture_output=True)
    assert {path: path.read_text() for path in shown} == former


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A copy of what is published."""
    folder = tmp_path_factory.mktemp("published") / "results"
    shutil.copytree(RESULTS, folder, ignore=shutil.ignore_patterns(".*", "checkpoint"))
    return folder


@pytest.mark.parametrize(
    ("program", "names"),
    [
        ("tables", {"finding.md", "learning.md", "limit.md", "table.md", "fault-costs.md",
                    "README.md"}),
        ("pictures", {"shift.md", "shift.png", "shift.svg", "costs.png", "costs.svg", "strip.png",
                      "strip.svg"}),
    ],
)  # fmt: skip
def test_what_is_made_of_all_runs(program, names, results, monkeypatch):
    for name in names:
        (results / name).unlink(missing_ok=True)
    monkeypatch.setattr(settings, "RESULTS", results)
    program = f"experiment.report.{program}"
    monkeypatch.delitem(sys.modules, program, raising=False)  # runpy warns of what is there
    runpy.run_module(program, run_name="__main__")
    for name in names:
        same(results / name, RESULTS / name)


def test_the_benchmark(tmp_path):
    speed.write(tmp_path, json.loads((RESULTS / "bench.json").read_text()))
    all_same(tmp_path, RESULTS)


def test_the_timeline(tmp_path):
    found = timeline.read(RESULTS)
    with drawing(tmp_path / "timeline", 13, 5) as figure:
        for axes, rows in zip(figure.subplots(1, len(found)), found.values(), strict=True):
            timeline.draw(axes, rows, timeline.extent_of(found))
    all_same(tmp_path, RESULTS)


def test_the_timeline_is_measured_again(tmp_path):
    """All but the times."""
    text, rows = timeline.measure()
    assert text == (RESULTS / "timeline.md").read_text()
    published = [row for its in timeline.read(RESULTS).values() for row in its]
    times = {"start_ms": 0, "end_ms": 0}
    assert {row._replace(**times) for row in rows} == {row._replace(**times) for row in published}
    assert all(0 <= row.start_ms <= row.end_ms for row in rows)


@pytest.mark.parametrize(
    "path", sorted((PROJECT / "presets/studies").glob("*.toml")), ids=lambda path: path.name
)
def test_studies(path, tmp_path):
    study = definition.read(path)
    published = RESULTS / "studies" / study.name
    summary.write(study, runs.read(published), tmp_path)
    all_same(tmp_path, published)


@pytest.mark.parametrize(
    "name", ["published-auto", "numpy-outer", "cdni/connected-manual", "frozen/ordered-auto"]
)
def test_runs(name, tmp_path):
    published = RESULTS / name
    metrics, timing = (
        json.loads((published / f"{of}.json").read_text()) for of in ("metrics", "timing")
    )
    asked = {field: metrics[field] for field in settings.Settings().numeric()}
    asked = settings.Settings(**{**asked, "digits": tuple(asked["digits"])})
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
    images = mnist.split(mnist.load(asked.data_dir), asked)
    trace = traces.find(asked)
    diff = claims.diff_text(asked, metrics, trace)
    files.write(tmp_path, images, outcome, metrics, timing, diff, trace)
    all_same(tmp_path, published)
    names = {path.name for path in published.iterdir() if path.name != "checkpoint"}
    assert names == {path.name for path in tmp_path.iterdir()}
