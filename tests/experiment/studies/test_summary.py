"""The tables and pictures of a study."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from experiment.studies import summary


def cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


def runs_of(accuracies, quality=()):
    """Runs of the experiment *first*, of which each has an accuracy."""
    return [
        {"experiment": "first", "held_out_accuracy": accuracy, "quality": list(quality)}
        for accuracy in accuracies
    ]


def rows_of(study, runs, **changes):
    study = study.definition._replace(differences=[], **changes)
    head, _, *rows = map(cells, summary.table(study, runs).splitlines())
    return head, rows


def test_the_second_of_a_difference_is_subtracted(study):
    study.run()
    runs = study.runs()
    later, first = (
        np.array([run["held_out_accuracy"] for run in runs if run["experiment"] == name])
        for name in ("later", "first")
    )
    assert (later > first).all()
    by_seed = summary.compared(study.definition, {"later": later, "first": first[:1]})
    np.testing.assert_array_equal(by_seed["later − first"], later[:1] - first[:1])
    table = summary.table(study.definition, runs).splitlines()
    (row,) = [cells(row) for row in table if "later −" in row]
    assert row[1:] == [f"{100 * (later - first).mean():+.2f}", "2 of 2"]


def test_an_interval_takes_five_seeds(study):
    accuracies = [0.9, 0.91, 0.92, 0.95, 0.96]
    low, high = stats.ttest_1samp(100 * np.array(accuracies), 0).confidence_interval(0.95)
    head, ((_, _, mean, deviation),) = rows_of(study, runs_of(accuracies), seeds=range(5))
    assert head[2] == "accuracy, % held out (95 % CI)"
    assert mean == f"92.8 ({low:.1f} to {high:.1f})"
    assert deviation == f"{100 * np.std(accuracies, ddof=1):.1f}"
    head, ((_, _, mean, _),) = rows_of(study, runs_of(accuracies[:4]), seeds=range(4))
    assert (head[2], mean) == ("accuracy, % held out", "92.0")
    _, ((_, _, mean, deviation),) = rows_of(study, runs_of([0.5]), seeds=range(1))
    assert (mean, deviation) == ("50.0", "–")


def test_failures_are_counted(study):
    runs = runs_of([0.9, 0.8999, 0.95])
    head, (row,) = rows_of(study, runs, seeds=range(3), failure_below=0.9)
    assert head[4:] == ["lowest", "failures (below 90%)"]
    assert row[4:] == ["90.0", "1"]
    del runs[0]["held_out_accuracy"]
    _, (row,) = rows_of(study, runs, seeds=range(3), failure_below=0.9)
    assert row[2:] == ["diverged", "–", "–", "2"]


def test_the_quality_of_the_first_and_the_last_epoch(study):
    quality = np.array([[0.1, 0.2, 1.5, 1.25, 0, 0], [0, 0, 9, 9, 0, 0], [0.3, 0.4, 0.5, 2, 0, 0]])
    other = quality + np.array([0.2, 0, 0, 0, 0, 0])
    runs = [*runs_of([0.5], quality.tolist()), *runs_of([0.5], other.tolist())]
    head, (row,) = rows_of(study, runs)
    assert head[4:] == ["cosine, box 1", "box 2", "relative error, box 1", "box 2"]
    assert row[4:] == ["0.20 → 0.40", "0.20 → 0.40", "1.50 → 0.50", "1.25 → 2.00"]


@pytest.mark.parametrize(("epochs", "marker"), [(1, "."), (2, "")])
def test_a_figure_of_one_epoch_is_a_point(epochs, marker):
    figure = Figure()
    summary.draw_quality(figure, {"first": np.zeros((2, epochs, 6))})
    assert len(figure.axes) == 4
    for axes in figure.axes:
        assert axes.lines[0].get_marker() == marker
