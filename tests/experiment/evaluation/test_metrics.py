import numpy as np
import pytest
from scipy import stats

import flags
from experiment.evaluation import recorded_runs
from experiment.evaluation.metrics import measure
from experiment.evaluation.run import run
from experiment.evaluation.statistics import spread, wilson_interval
from experiment.settings import Settings
from experiment.training import mnist, numpy_session
from experiment.training.mnist import Images, Split
from experiment.training.outcome import History, Outcome

SHA_256 = {"labels": "abc"}


def test_wilson_interval():
    # The 12 of 20 of docs/experiment.md §6, fault 8, and Newcombe's (1998) 81 of 263 and 0 of 20.
    assert wilson_interval(12, 20) == pytest.approx((0.39, 0.78), abs=0.005)
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)


def test_the_interval_is_scipy_s():
    values = np.random.RandomState(1).normal(0.9, 0.02, 30)
    computed = spread(values)
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=10_000, random_state=2
    )
    assert computed.mean == pytest.approx(np.mean(values))
    assert computed.deviation == pytest.approx(np.std(values, ddof=1))
    # Both are drawn at random, ten thousand times.
    near = 0.05 * (computed.high - computed.low)
    assert (computed.low, computed.high) == pytest.approx(expected.confidence_interval, abs=near)


@pytest.mark.parametrize("n", range(2, 10))
def test_the_interval_of_few_is_student_s(n):
    values = np.random.RandomState(n).normal(0.9, 0.02, n)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert spread(values)[2:] == pytest.approx(expected, rel=1e-4)


def test_measure():
    def images(*labels):
        return Images(np.zeros((len(labels), 784), np.float32), np.array(labels, np.uint8))

    split = Split(images(1, 0), images(0), images(1, 1, 0, 1), SHA_256)
    outcome = Outcome(
        History(
            [3.0, 2.0, 1.0],
            [*[(0.0, 0.0, 1.0, 1.0, 0.0, 0.0)] * 2, (0.5, 0.25, 0.75, 2.0, 0.1, 0.2)],
        ),
        np.array([0.9, 0.6], np.float32),
        np.array([0.1, 0.8, 0.7, 0.2], np.float32),
    )
    measured = measure(Settings(), split, outcome, None)
    assert measured["cost_first"] == 3
    assert measured["cost_last"] == 1
    assert (measured["test_correct"], measured["test_total"]) == (1, 2)
    assert measured["test_accuracy"] == 0.5
    assert (measured["pooled_cosine_1_last"], measured["pooled_cosine_2_last"]) == (0.5, 0.25)
    assert (measured["update_cosine_1_last"], measured["update_cosine_2_last"]) == (0.1, 0.2)
    assert (measured["relative_error_1_last"], measured["relative_error_2_last"]) == (0.75, 2)
    # Labels 1 1 0 1, predictions 0 1 1 0, labels before 0 1 1 0.
    assert (measured["held_out_accuracy"], measured["held_out_total"]) == (0.25, 4)
    assert measured["held_out_matches_previous_label"] == 1
    assert measured["trace_max_relative_cost_difference"] is None
    assert measured["data_sha_256"] == {"labels": "abc"}
    assert not {"data_dir", "results_dir", "resume"} & set(measured)


@pytest.mark.parametrize("official", [True, False])
def test_only_a_run_on_the_official_data_has_a_recorded_one(official, monkeypatch):
    settings = flags.parse(["reproduce.py", "--mode=numpy"])
    recorded = recorded_runs.find(settings)
    labels = [np.arange(len(p), dtype=np.uint8) % 2 for p in (recorded.test, recorded.held_out)]
    test, held_out = (Images(np.zeros((len(y), 0), np.float32), y) for y in labels)
    split = Split(test, test, held_out, mnist.SHA_256 if official else SHA_256)
    made_up = Outcome(History(list(recorded.costs)), recorded.test, recorded.held_out)
    monkeypatch.setattr(numpy_session, "run", lambda *_: made_up)
    outcome, measured, recorded_run = run(settings, split)
    assert outcome is made_up
    assert (recorded_run is not None) == official
    assert (measured["trace_max_relative_cost_difference"] is not None) == official


def test_measure_with_nothing_held_out():
    none = Images(np.zeros((0, 784), np.float32), np.zeros(0, np.uint8))
    one = Images(np.zeros((1, 784), np.float32), np.zeros(1, np.uint8))
    outcome = Outcome(History([1.0]), np.zeros(1, np.float32), np.zeros(0, np.float32))
    measured = measure(Settings(), Split(one, one, none, SHA_256), outcome, None)
    assert measured["held_out_total"] == 0
    assert measured["pooled_cosine_1_last"] is None
    assert measured["held_out_accuracy"] is None
    assert measured["held_out_interval_95"] is None
    assert measured["held_out_matches_previous_label"] is None
