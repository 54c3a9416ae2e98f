"""The readers of a run's files give what stands there."""

import numpy as np

from experiment.evaluation import run_files
from experiment.settings import RESULTS

RUN = RESULTS / "published-manual"


def test_predictions():
    rows = [line.split(",") for line in (RUN / "predictions.csv").read_text().splitlines()[1:21]]
    predictions = run_files.read_predictions(RUN, "test")
    np.testing.assert_array_equal(predictions.labels, [int(row[2]) for row in rows])
    np.testing.assert_array_equal(predictions.p, [float(row[3]) for row in rows])
    np.testing.assert_array_equal(predictions.predicted, [int(row[4]) for row in rows])
    assert len(run_files.read_predictions(RUN, "held_out").p) == 1995


def test_costs():
    lines = (RUN / "cost.csv").read_text().splitlines()[1:]
    assert run_files.read_costs(RUN) == [float(line.split(",")[1]) for line in lines]
