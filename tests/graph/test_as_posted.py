"""The post's nine assignments beside the recorded run of its program."""

import numpy as np

from benchmarks.post_loop import PostLoop
from experiment.settings import Settings
from graph.weights import Rates, portable_draw


def test_the_nine_assignments_follow_the_recorded_run(split, recorded):
    post = Settings()
    loop = PostLoop(portable_draw(post.seed), Rates(post.lr_x, post.lr_rec, post.lr_sg))
    cost, *assignments = loop.fetches
    assert len(assignments) == 9
    new_states = [assignment.op.inputs[-1] for assignment in assignments[:2]]
    changes = [assignment.op.inputs[-1].op.inputs[1] for assignment in assignments[2:]]

    def step(x, y):
        """All reads first and no update lost, as in the recorded run; no edge sees to that."""
        probability, *values = loop.session.run(
            [cost, *new_states, *changes], {loop.x: [x], loop.y: [[y]]}
        )
        for tensor, value, assignment in zip(
            [*new_states, *changes], values, assignments, strict=True
        ):
            loop.session.run(assignment.op, {tensor: value})
        return probability

    costs = [sum(step(x, y) for x, y in zip(*split.train, strict=True)) for _ in range(3)]
    np.testing.assert_allclose(costs, recorded["manual"]["cost_per_epoch"][:3], rtol=2e-6)
