"""The steps of a block at once against NumPy, which takes one after the other."""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from experiment.settings import Settings
from experiment.training import session
from experiment.training.build import build
from experiment.training.mnist import Images
from graph import parallel
from graph.weights import Rates, Weights, declare_weights
from tests.reference import numpy_steps
from tests.reference.access_order import unordered

WIDTH = 30
BLOCK = 8
TOTAL = 2 * BLOCK + 3
POST = Rates(lr_x=1e-3, lr_rec=1e-6, lr_sg=1e-4)
# An image changes much of what the next one meets.
HIGH = Rates(lr_x=0.07, lr_rec=0.03, lr_sg=0.05)


class Small(NamedTuple):
    """A small network in float64; images, labels and learning rates are fed."""

    session: tf.Session
    settings: Settings
    weights: Weights
    former: tf.Variable
    x: tf.Tensor
    y: tf.Tensor
    rates: Rates
    epoch: tuple[tf.Tensor, tf.Tensor]


@pytest.fixture(
    scope="module",
    params=itertools.product(("published", "ordered"), ("ascend", "descend")),
    ids="-".join,
)
def small(request):
    wiring, step = request.param
    with tf.Graph().as_default():
        weights = declare_weights(WIDTH, tf.float64)
        x = tf.placeholder(tf.float64, [TOTAL, WIDTH])
        y = tf.placeholder(tf.float64, [TOTAL, 1])
        rates = Rates(*(tf.placeholder(tf.float64, []) for _ in Rates._fields))
        former = tf.Variable(tf.zeros([TOTAL, 3, WIDTH], tf.float64), use_resource=True)
        settings = Settings(wiring=wiring, synthetic_step=step)
        published, ascend = wiring == "published", step == "ascend"
        with pytest.MonkeyPatch.context() as patch:  # The other tests' blocks are not small.
            patch.setattr(parallel, "BLOCK", BLOCK)
            epoch = parallel.parallel_manual(
                x, y, weights, former, rates, published=published, ascend=ascend
            )
        with tf.Session() as tf_session:
            yield Small(tf_session, settings, weights, former, x, y, rates, epoch)


def draw(seed=1):
    """Weights, images and labels; all units take part, and few of them saturate."""
    random = np.random.RandomState(seed)
    shapes = dict.fromkeys(("w_x", "w_rec", "w_sg_1", "w_sg_2"), (WIDTH, WIDTH))
    shapes |= {"hidden_states": (WIDTH, 3), "w_fc": (WIDTH, 1)}
    w = {name: 0.3 * random.standard_normal(shape) for name, shape in shapes.items()}
    return w, random.standard_normal((TOTAL, WIDTH)), random.randint(0, 2, (TOTAL, 1))


def train(small, rates, w, images, labels, epochs=2):
    """The costs and the rounds of each epoch, and the weights after the last."""
    feed = {small.x: images, small.y: labels, **dict(zip(small.rates, rates, strict=True))}
    small.session.run(small.former.initializer)
    session.load(small.session, small.weights, w)
    epochs_run = [small.session.run(small.epoch, feed) for _ in range(epochs)]
    return epochs_run, small.session.run(small.weights._asdict())


def assert_equal_numpy(small, rates, w, images, labels):
    """Compares two epochs, and returns the rounds of the first."""
    settings = dataclasses.replace(small.settings, **rates._asdict())
    epochs_run, weights = train(small, rates, w, images, labels)
    expected = {name: value.copy() for name, value in w.items()}
    for costs, _ in epochs_run:
        by_numpy = [
            numpy_steps.step(settings, x, y, expected)
            for x, (y,) in zip(images, labels, strict=True)
        ]
        np.testing.assert_allclose(costs, by_numpy, rtol=1e-10, atol=1e-12)
    for name, value in weights.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-11, err_msg=name)
    return epochs_run[0][1]


@pytest.mark.parametrize(
    ("rates", "fewest", "most"),
    [
        (Rates(0, 0, 0), 1, 1),
        (Rates(lr_x=0.05, lr_rec=0, lr_sg=0.02), 1, 1),
        (POST, 3, 4),
        (Rates(lr_x=0.05, lr_rec=3e-4, lr_sg=0.02), 4, 9),
        (HIGH, 9, 2 * BLOCK),
    ],
    ids=["zero", "frozen boxes", "post", "between", "high"],
)
def test_epochs_equal_numpy(small, rates, fewest, most):
    rounds = assert_equal_numpy(small, rates, *draw())
    assert rounds.shape == (3,)
    assert fewest <= max(rounds) <= most


def test_a_readout_that_learns_fast_equals_numpy(small):
    """So fast that its rows have to be repeated one by one."""
    assert_equal_numpy(small, POST._replace(lr_x=3), *draw())


@pytest.mark.parametrize("case", ["w_sg", "w_fc", "saturated"])
def test_zeros_equal_numpy(small, case):
    """Of the synthetic gradients, of the readout, and of all derivatives."""
    w, images, labels = draw()
    for name in {"w_sg": ("w_sg_1", "w_sg_2"), "w_fc": ("w_fc",), "saturated": ()}[case]:
        w[name] = np.zeros_like(w[name])
    assert_equal_numpy(small, HIGH, w, images * (1e6 if case == "saturated" else 1), labels)


@pytest.mark.parametrize("lr_sg", [1e200, 1e308])
def test_what_is_not_finite_ends(lr_sg, small):
    """The cost of its own epoch says so, when the run looks at it."""
    w, images, labels = draw()
    ((costs, _), _), _ = train(small, HIGH._replace(lr_sg=lr_sg), w, images, labels)
    assert not np.all(np.isfinite(costs))
    w["w_fc"][0] = np.nan
    ((costs, _), _), _ = train(small, HIGH, w, images, labels)
    assert np.all(np.isnan(costs))


def test_reads_come_before_writes(small):
    assert unordered([tensor.op for tensor in small.epoch]) == []


def evaluate(tensor):
    with tf.Session(graph=tensor.graph) as tf_session:
        return tf_session.run(tensor)


def test_each_product_is_that_of_numpy():
    random = np.random.RandomState(3)
    with tf.Graph().as_default():
        for rows in (1, 2, 7):
            q, w = random.standard_normal((rows, 5)), random.standard_normal((5, 9))
            for product, factor in ((parallel.product, w), (parallel.product_transposed, w.T)):
                actual = evaluate(product(tf.constant(q), tf.constant(factor)))
                np.testing.assert_allclose(actual, q @ w)


@pytest.mark.parametrize("one", [0, 1])
@pytest.mark.parametrize(("change", "largest"), [(3.0, 3.0), (-3.0, 3.0), (np.nan, np.inf)])
def test_the_largest_change_is_that_of_any_tensor_up_or_down(one, change, largest):
    with tf.Graph().as_default():
        before = [tf.constant([[1.0, 2.0]])] * 2
        after = list(before)
        after[one] = tf.constant([[1.0, 2.0 + change]])
        assert evaluate(parallel.largest_change(before, after)) == largest


@pytest.mark.parametrize(
    ("a", "u_v", "u_v_before", "far"),
    [
        # The first round.
        (1.0, 1.0, 0.0, True),
        (1e-9, 1e-9, 0.0, True),
        # The next change of a is to this one as this one of u and v is to the one before.
        (1e-2, 1e-2, 1.0, True),
        (5e-3, 1e-2, 1.0, False),
        (1e-2, 1e-3, 0.1, True),
        (1e-2, 1e-3, 1.0, False),
        (0.0, 1e-2, 1.0, False),
        (0.0, 0.0, 0.0, False),
        (1.0, np.inf, 1.0, True),
        (np.inf, np.inf, np.inf, False),
    ],
)
def test_rounds_end_when_the_next_would_change_little(a, u_v, u_v_before, far):
    with tf.Graph().as_default():
        assert evaluate(parallel.is_far(*map(tf.constant, (a, u_v, u_v_before)))) == far


@pytest.mark.parametrize("wiring", ["published", "connected"])
def test_any_number_of_operations_at_a_time_rounds_alike(wiring, split):
    """At 784 pixels, in float32; the second block is short. The costs, p, and the variables."""
    count = parallel.BLOCK + 3
    settings = Settings(wiring=wiring, engine="parallel", train_images=count)
    images = Images(split.train.x[:count], split.train.y[:count])
    graph = build(settings)
    outcomes = []
    for threads in (1, 2, 8):
        config = tf.ConfigProto(
            intra_op_parallelism_threads=1,
            inter_op_parallelism_threads=threads,
            use_per_session_threads=True,
        )
        with tf.Session(graph=graph.graph, config=config) as tf_session:
            session.initialize(tf_session, graph, settings, images)
            costs = [tf_session.run(graph.epoch) for _ in range(2)]
            p = session.predict(tf_session, graph, split.test)
            outcomes.append([*costs, p, *tf_session.run(graph.weights)])
    for other in outcomes[1:]:
        for one, same in zip(outcomes[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_the_recorded_run_is_followed_in_three_rounds_and_then_in_two(split, recorded):
    settings = Settings(engine="parallel")
    graph = build(settings)
    with session.open_session(graph, session.threads_for(settings)) as tf_session:
        session.initialize(tf_session, graph, settings, split.train)
        for epoch, expected in enumerate(recorded["manual"]["cost_per_epoch"][:8], 1):
            costs, rounds = tf_session.run([graph.epoch, graph.rounds])
            assert np.sum(costs, dtype=np.float64) == pytest.approx(expected, rel=2e-6)
            assert max(rounds) <= (4 if epoch < 6 else 2)
