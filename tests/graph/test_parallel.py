"""The steps of a block at once against NumPy, which takes one after the other."""

import contextlib
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


@contextlib.contextmanager
def open_small(settings, tolerance=parallel.TOLERANCE):
    with tf.Graph().as_default():
        weights = declare_weights(WIDTH, tf.float64)
        x = tf.placeholder(tf.float64, [TOTAL, WIDTH])
        y = tf.placeholder(tf.float64, [TOTAL, 1])
        rates = Rates(*(tf.placeholder(tf.float64, []) for _ in Rates._fields))
        former = tf.Variable(tf.zeros([TOTAL, 3, 3, WIDTH], tf.float64), use_resource=True)
        published, ascend = settings.wiring == "published", settings.synthetic_step == "ascend"
        with pytest.MonkeyPatch.context() as patch:  # The other tests' blocks are not small.
            patch.setattr(parallel, "BLOCK", BLOCK)
            patch.setattr(parallel, "TOLERANCE", tolerance)
            epoch = parallel.parallel_manual(
                x, y, weights, former, rates, published=published, ascend=ascend
            )
        with tf.Session() as tf_session:
            yield Small(tf_session, settings, weights, former, x, y, rates, epoch)


@pytest.fixture(
    scope="module",
    params=itertools.product(("published", "ordered"), ("ascend", "descend")),
    ids="-".join,
)
def small(request):
    wiring, step = request.param
    with open_small(Settings(wiring=wiring, synthetic_step=step)) as opened:
        yield opened


def draw(seed=1):
    """Weights, images and labels; all units take part, and few of them saturate."""
    random = np.random.RandomState(seed)
    shapes = dict.fromkeys(("w_x", "w_rec", "w_sg_1", "w_sg_2"), (WIDTH, WIDTH))
    shapes |= {"hidden_states": (WIDTH, 3), "w_fc": (WIDTH, 1)}
    w = {name: 0.3 * random.standard_normal(shape) for name, shape in shapes.items()}
    return w, random.standard_normal((TOTAL, WIDTH)), random.randint(0, 2, (TOTAL, 1))


def train(small, rates, w, images, labels, epochs=2, former=0):
    """The costs and the rounds of each epoch, and the weights after the last."""
    feed = {small.x: images, small.y: labels, **dict(zip(small.rates, rates, strict=True))}
    small.former.load(np.broadcast_to(former, small.former.shape), small.session)
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
        (HIGH, BLOCK, 2 * BLOCK),
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


@pytest.mark.parametrize(
    ("zeros", "lr_sg"),
    [
        (["w_sg_1"], 0),
        (["w_sg_2"], 0),
        (["w_sg_1", "w_sg_2"], HIGH.lr_sg),
        (["w_fc"], HIGH.lr_sg),
    ],
)
def test_zeros_equal_numpy(small, zeros, lr_sg):
    w, images, labels = draw()
    for name in zeros:
        w[name] = np.zeros_like(w[name])
    assert_equal_numpy(small, HIGH._replace(lr_sg=lr_sg), w, images, labels)


def test_derivatives_of_zero_equal_numpy(small):
    w, images, labels = draw()
    assert_equal_numpy(small, HIGH, w, 1e6 * images, labels)


@pytest.mark.parametrize(
    ("name", "value", "rates"),
    [
        (None, None, HIGH._replace(lr_sg=1e200)),
        (None, None, HIGH._replace(lr_sg=1e308)),
        ("w_fc", np.nan, HIGH),
        ("w_sg_1", np.inf, HIGH._replace(lr_rec=0)),
    ],
)
def test_what_is_not_finite_ends(small, name, value, rates):
    """The costs say so from the last image of its own block on."""
    w, images, labels = draw()
    if name:
        w[name][0, 0] = value
    ((costs, _),), _ = train(small, rates, w, images, labels, epochs=1)
    assert not np.any(np.isfinite(costs[BLOCK - 1 :]))


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


@pytest.mark.parametrize("wiring", ["published", "ordered"])
@pytest.mark.parametrize(("tolerance", "most"), [(1e-3, 3), (1e-5, 4), (1e-7, 5)])
def test_rounds_end_when_a_next_one_would_change_little(wiring, tolerance, most):
    """A large h₀ lets a₁ change the most."""
    rates = Rates(lr_x=0.05, lr_rec=1e-4, lr_sg=0.02)
    settings = Settings(wiring=wiring, **rates._asdict())
    w, images, labels = draw()
    w["hidden_states"][:, 0] *= 10
    with open_small(settings, tolerance / np.finfo(np.float64).eps) as small:
        ((_, rounds),), _ = train(small, rates, w, images, labels, epochs=1)
        a_1 = small.session.run(small.former)[:, 0, 0]
    expected = []
    for x, (y,) in zip(images, labels, strict=True):
        numpy_steps.step(settings, x, y, w)
        expected.append(w["hidden_states"][:, 1].copy())
    assert np.abs(a_1 - expected).max() <= tolerance
    assert max(rounds) <= most


def test_a_start_that_three_epochs_foretell_needs_one_round(small):
    w, images, labels = draw()
    train(small, HIGH, w, images, labels, epochs=1)
    values = small.session.run(small.former)[:, 0]
    second, third = np.random.RandomState(4).standard_normal((2, *values.shape))
    last = second + (values - third) / 3
    start = np.stack([last, second, third], 1)
    ((_, rounds),), _ = train(small, HIGH, w, images, labels, epochs=1, former=start)
    # A second one may be needed for rounding.
    assert max(rounds) <= 2
    former = small.session.run(small.former)
    np.testing.assert_allclose(former, np.stack([values, last, second], 1), rtol=1e-9, atol=1e-11)


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


def test_the_recorded_run_is_followed_in_four_rounds_and_later_in_one(split, recorded):
    settings = Settings(engine="parallel")
    graph = build(settings)
    with session.open_session(graph, session.threads_for(settings)) as tf_session:
        session.initialize(tf_session, graph, settings, split.train)
        for epoch, expected in enumerate(recorded["manual"]["cost_per_epoch"][:16], 1):
            costs, rounds = tf_session.run([graph.epoch, graph.rounds])
            assert np.sum(costs, dtype=np.float64) == pytest.approx(expected, rel=2e-6)
            assert max(rounds) <= (4 if epoch < 13 else 1)
