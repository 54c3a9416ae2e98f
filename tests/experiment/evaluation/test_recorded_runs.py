import dataclasses

import numpy as np
import pytest

import flags
from experiment.evaluation import traces
from experiment.evaluation.log import log_text
from experiment.settings import Settings
from experiment.training.outcome import History, Outcome


@pytest.mark.parametrize("mode", ["manual", "auto"])
def test_the_committed_logs_are_rendered_from_the_recorded_runs(mode, recorded):
    content = recorded[mode]
    text = log_text(
        content["cost_per_epoch"],
        np.array(content["test_predictions"]),
        np.array(content["test_labels"]),
    )
    assert (traces.FOLDER / f"tf15-published-{mode}.log").read_text() == text


def test_a_trace_applies_at_its_own_settings_only():
    assert traces.find(Settings()).path.name == "tf15-published-manual.json"
    auto = dataclasses.replace(Settings(), mode="auto")
    assert traces.find(auto).path.name == "tf15-published-auto.json"
    assert traces.find(flags.parse(["reproduce.py", "--mode=numpy"])).path.name == "numpy-post.json"
    for change in ({"seed": 1}, {"epochs": 99}, {"lr_x": 0.1}, {"init": "tensorflow"}):
        assert traces.find(dataclasses.replace(Settings(), **change)) is None


def test_distance():
    trace = traces.find(Settings())
    costs = trace.costs.copy()
    costs[7] *= 1.25
    held_out = trace.held_out.copy()
    held_out[3] += 0.5
    outcome = Outcome(History(list(costs)), trace.test + 0.125, held_out)
    assert traces.distance(trace, outcome) == pytest.approx((0.25, 0.5))
