"""The Session: costs, threads, the schedule of lr_rec."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from experiment.evaluation.run import run
from experiment.settings import Settings
from experiment.training import session


class Constant:
    """A Session in which every evaluation gives the same; notes what is fed."""

    def __init__(self, value):
        self.value, self.fed = value, []

    def run(self, _, feed):
        self.fed.append(feed)
        return self.value


GRAPH = SimpleNamespace(epoch="epoch", quality=None, rounds=None, lr_rec="lr_rec")


def test_the_costs_of_an_epoch_are_added_in_64_bits():
    tf_session = Constant((np.array([2.0**24, 1, 1], np.float32), (), ()))
    assert session.train_epoch(tf_session, GRAPH, None, 0.5) == (2**24 + 2, [], 0)
    assert tf_session.fed == [{"lr_rec": 0.5}]


def test_the_quality_has_six_significant_digits():
    tf_session = Constant((np.ones(2), (1 / 3, -123.4567891), ()))
    assert session.train_epoch(tf_session, GRAPH, None, 0.5) == (2, [0.333333, -123.457], 0)


def test_an_epoch_tells_the_most_rounds_of_a_block():
    tf_session = Constant((np.ones(3), (), np.array([3, 5, 4])))
    assert session.train_epoch(tf_session, GRAPH, None, 0.5) == (3, [], 5)


def test_the_schedule_of_lr_rec():
    def rates(**changes):
        settings = dataclasses.replace(Settings(lr_rec=8.0), **changes)
        return [session.lr_rec(settings, epoch) for epoch in (1, 2, 3)]

    assert rates() == [8, 8, 8]
    assert rates(warm_up=True) == pytest.approx([0.8, 8, 8])
    assert rates(warm_up=True, decay=0.5) == pytest.approx([0.8, 4, 2])


@pytest.mark.parametrize(
    ("changes", "threads"),
    [
        ({"engine": "delayed"}, 2),
        ({"engine": "parallel"}, 1),
        ({"engine": "stepwise", "gradient_1": "zero", "wiring": "ordered"}, 2),
        ({"engine": "stepwise", "mode": "auto", "wiring": "connected"}, 2),
        ({"engine": "stepwise", "mode": "auto"}, 1),
        ({"engine": "feed"}, 1),
    ],
)
def test_two_threads_share_an_epoch_that_xla_compiles(changes, threads):
    assert session.threads_for(dataclasses.replace(Settings(), **changes)) == threads


@pytest.mark.parametrize(("alone", "threads"), [(True, 2), (False, 1)])
def test_a_run_among_others_takes_one_thread(alone, threads, split, monkeypatch):
    taken = []

    def begin(settings, split, start, observe, threads):
        taken.append(threads)
        raise InterruptedError

    monkeypatch.setattr(session, "run", begin)
    with pytest.raises(InterruptedError):
        run(Settings(engine="stepwise"), split, alone=alone)
    assert taken == [threads]
