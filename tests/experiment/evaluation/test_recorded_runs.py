import dataclasses

import pytest

import flags
from experiment.evaluation import recorded_runs
from experiment.settings import Settings
from experiment.training.outcome import History, Outcome


def test_a_recorded_run_applies_at_its_own_settings_only():
    assert recorded_runs.find(Settings()).path.name == "tf15-published-manual.json"
    auto = dataclasses.replace(Settings(), mode="auto")
    assert recorded_runs.find(auto).path.name == "tf15-published-auto.json"
    assert (
        recorded_runs.find(flags.parse(["reproduce.py", "--mode=numpy"])).path.name
        == "numpy-post.json"
    )
    for change in ({"seed": 1}, {"epochs": 99}, {"lr_x": 0.1}, {"init": "tensorflow"}):
        assert recorded_runs.find(dataclasses.replace(Settings(), **change)) is None


def test_distance():
    recorded = recorded_runs.find(Settings())
    costs = recorded.costs.copy()
    costs[7] *= 1.25
    held_out = recorded.held_out.copy()
    held_out[3] += 0.5
    outcome = Outcome(History(list(costs)), recorded.test + 0.125, held_out)
    assert recorded_runs.distance(recorded, outcome) == pytest.approx((0.25, 0.5))
