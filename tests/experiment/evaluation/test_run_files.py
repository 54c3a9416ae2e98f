"""The readers of a run's files: what is damaged is named in one line, what is not is read."""

import json
import shutil

import numpy as np
import pytest
from conftest import PROJECT

from experiment.evaluation import files
from experiment.report.experiments import ALL
from experiment.settings import UserError
from experiment.storage import reading

RESULTS = PROJECT / "results"


@pytest.fixture
def folder(tmp_path):
    for name in ("metrics.json", "timing.json", "cost.csv", "predictions.csv"):
        shutil.copy(RESULTS / "published-manual" / name, tmp_path)
    return tmp_path


def read(folder):
    files.read_metrics(folder)
    files.read_timing(folder)
    files.read_costs(folder)
    files.read_predictions(folder, "test")
    files.read_predictions(folder, "held_out")


@pytest.mark.parametrize("name", ALL)
def test_what_runs_wrote_is_read(name):
    read(RESULTS / name)


def test_what_is_read_is_what_stands_there(folder):
    lines = (folder / "predictions.csv").read_text().splitlines()[1:21]
    found = files.read_predictions(folder, "test")
    expected = [line.split(",") for line in lines]
    np.testing.assert_array_equal(found.labels, [int(row[2]) for row in expected])
    np.testing.assert_array_equal(found.p, [float(row[3]) for row in expected])
    np.testing.assert_array_equal(found.says, [int(row[4]) for row in expected])
    lines = (folder / "cost.csv").read_text().splitlines()[1:]
    assert files.read_costs(folder) == [float(line.split(",")[1]) for line in lines]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "true", '"1"', "null", "[]"])
def test_what_is_no_number_is_none(text):
    with pytest.raises(ValueError, match=r"its number .* cannot be"):
        reading.number(json.loads(text))
    assert [reading.number(found) for found in (0, -1.5)] == [0, -1.5]


@pytest.mark.parametrize("name", ["metrics.json", "timing.json", "cost.csv", "predictions.csv"])
@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe\x00", b"[" * 10**5, b"[]", b"null", b'1,2\n"', None]
)
def test_a_damaged_file_is_named(folder, name, text):
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(text)
    said = "is not there" if text is None else "is damaged"
    with pytest.raises(UserError, match=f"{name} {said}.*: make reproduce writes it"):
        read(folder)


@pytest.mark.parametrize("name", ["cost.csv", "predictions.csv"])
def test_a_file_that_was_cut_off_is_named(folder, name):
    text = (folder / name).read_text()
    lines = text.splitlines(keepends=True)
    for cut in ("".join(lines[:-1]), text[:-3], "".join([*lines, lines[-1]]), text + "\n"):
        (folder / name).write_text(cut)
        with pytest.raises(UserError, match=f"{name} is damaged"):
            read(folder)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("metrics.json", "test_total", 0),
        ("metrics.json", "test_correct", "8"),
        ("metrics.json", "test_correct", True),
        ("metrics.json", "test_accuracy", 0.5),
        ("metrics.json", "cost_first", float("inf")),
        ("metrics.json", "cost_last", 10**400),
        ("metrics.json", "held_out_interval_95", None),
        ("metrics.json", "lr_auto", "fast"),
        ("metrics.json", "digits", ["0"]),
        ("timing.json", "ms_per_step", 0),
        ("timing.json", "ms_per_step", "0.5"),
    ],
)
def test_a_figure_that_cannot_be(folder, name, field, value):
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, field: value}))
    with pytest.raises(UserError, match=f"{name} is damaged"):
        read(folder)
    del content[field]
    (folder / name).write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"{name} is damaged"):
        read(folder)
