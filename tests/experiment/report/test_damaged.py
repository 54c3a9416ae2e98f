"""What makes the published results ends with one line where a file that it reads is damaged."""

import csv
import json
import shutil
import subprocess
import sys

import pytest
from conftest import PROJECT

from experiment.report import claims, speed, timeline
from experiment.settings import UserError

RESULTS = PROJECT / "results"
NOT_READ = ("*.png", "*.svg", "*.html", ".*", "tests", "dist", "__pycache__")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, whose results may be damaged."""
    folder = tmp_path_factory.mktemp("project") / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(*NOT_READ))
    return folder


@pytest.mark.parametrize(
    ("program", "damaged"),
    [
        ("claims results", "published-auto/metrics.json"),
        ("claims results", "bench.json"),
        ("claims results", "studies/claims/runs.jsonl"),
        ("tables", "descend/ordered-manual/timing.json"),
        ("tables", "studies/synthetic/runs.jsonl"),
        ("pictures", "published-manual/predictions.csv"),
        ("pictures", "numpy-inner/cost.csv"),
        ("speed", "bench.json"),
        ("page", "timeline.csv"),
        ("readme", "claims.md"),
    ],
)
def test_a_program_names_the_damaged_file(project, program, damaged):
    path = project / "results" / damaged
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\xff" + whole[len(whole) // 2 :])
    name, *arguments = program.split()
    result = subprocess.run(
        [sys.executable, "-m", f"experiment.report.{name}", *arguments], cwd=project,
        env={"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    path.write_bytes(whole)
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert f"results/{damaged} is damaged (" in line
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_what_was_measured_is_read():
    assert speed.bench(RESULTS) == json.loads((RESULTS / "bench.json").read_text())
    with (RESULTS / "timeline.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row._asdict() for rows in timeline.read(RESULTS).values() for row in rows] == [
        {**row, "start_ms": float(row["start_ms"]), "end_ms": float(row["end_ms"])} for row in rows
    ]


def without_a_program(report):
    del report["ms_per_step"]["auto, feed"]


def without_a_width(report):
    del report["growth"]["delayed"]["width"]


def with_one_width(report):
    report["growth"]["delayed"]["width"] = {"784": 0.5}


def with_no_time(report):
    report["ms_per_step"]["feed"] = 0


def with_a_formula(report):
    report["ms_per_step"]["$x$"] = 1.0


def with_a_word(report):
    report["start_up_seconds"]["first_epoch"] = "long"


@pytest.mark.parametrize(
    "change",
    [
        without_a_program, without_a_width, with_one_width, with_no_time, with_a_formula,
        with_a_word,
    ],
)  # fmt: skip
def test_what_bench_did_not_measure(change, tmp_path):
    report = json.loads((RESULTS / "bench.json").read_text())
    change(report)
    (tmp_path / "bench.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match=r"bench\.json is damaged .*: make bench writes it anew"):
        speed.bench(tmp_path)


def test_what_is_missing_is_named(tmp_path):
    for read in (speed.bench, timeline.read, claims.claims):
        with pytest.raises(UserError, match="is not there: make"):
            read(tmp_path)


@pytest.mark.parametrize(
    "row",
    ["", "a,b,c,1,2,d", "a,b,c,2,1,d,e", "a,b,c,nan,1,d,e", "a,b,c,0,1e400,d,e", "$x$,b,c,0,1,d,e"],
)
def test_a_row_that_no_step_has(row, tmp_path):
    text = (RESULTS / "timeline.csv").read_text()
    (tmp_path / "timeline.csv").write_text(f"{text}{row}\n")
    with pytest.raises(UserError, match=r"timeline\.csv is damaged"):
        timeline.read(tmp_path)
