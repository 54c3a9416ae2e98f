"""The tables and pictures of a study."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiment.studies import summary


def cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_the_second_of_a_difference_is_subtracted(study):
    study.run()
    runs = study.runs()
    later, first = (
        np.array([run["held_out_accuracy"] for run in runs if run["experiment"] == name])
        for name in ("later", "first")
    )
    assert (later > first).all()
    by_seed = summary.compared(study.definition, summary.figures(runs, "held_out_accuracy"))
    np.testing.assert_array_equal(by_seed["later − first"], later - first)
    table = summary.table(study.definition, runs).splitlines()
    (row,) = [cells(row) for row in table if "later −" in row]
    assert (row[1], row[3]) == (f"{100 * (later - first).mean():+.2f}", "2 of 2")


def test_one_seed_has_no_deviation(study):
    study.run()
    rows = summary.table(study.definition._replace(seeds=1), study.runs()[:2]).splitlines()
    assert [cells(row)[2] for row in rows[2:4]] == ["–", "–"]
    assert "nan" not in "".join(rows)


@pytest.mark.parametrize(
    ("cosines", "text"),
    [
        ([0.25], ("0.25 → 0.25", "-0.25 → -0.25")),
        ([0.25, 0.5, 0.75], ("0.25 → 0.75", "-0.25 → -0.75")),
        ([0.1, 0.2, 0.3, 0.4, 0.8, 0.6, 0.7], ("0.10 → 0.70, 0.60", "-0.10 → -0.70, -0.80")),
    ],
)
def test_the_table_has_the_cosines_and_the_correct_images(study, cosines, text):
    runs = [
        {
            "experiment": "first", "held_out_accuracy": 0.5, "cost_first": 2.0, "cost_last": 1.0,
            "test_correct": correct, "pooled_cosines": [[cosine, -cosine] for cosine in cosines],
        }
        for correct in (15, 18)
    ]  # fmt: skip
    defined = study.definition._replace(differences=[])
    head, _, row, *_ = map(cells, summary.table(defined, runs).splitlines())
    assert head[4] == "of 20 test images correct"
    assert row[4].startswith("16.5 (")
    assert tuple(row[5:7]) == text
    other = summary.table(defined, [{**run, "test_images": 50} for run in runs])
    assert "| of 50 test images correct |" in re.sub(" +", " ", other)


@pytest.mark.parametrize(("epochs", "marker"), [(1, "."), (2, "")])
def test_a_cosine_of_one_epoch_is_a_point(epochs, marker):
    figure = Figure()
    summary.draw_cosines(figure, {"first": np.zeros((2, epochs, 2))})
    for axes in figure.axes:
        assert axes.lines[0].get_marker() == marker
