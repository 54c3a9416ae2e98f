"""The Session: builds the graph that the settings ask for, trains it, and lets it predict."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow.compat.v1 as tf

from experiment.mnist import Images, Split
from experiment.outcome import Outcome, check_finite
from flags import Settings
from graph import backprop, network
from graph.weights import PIXELS, Weights, declare_weights, portable_draw


class Graph(NamedTuple):
    """What a Session needs of the static graph.

    Attributes:
        graph: the `tf.Graph` that the rest belongs to.
        weights: the variables.
        x: placeholder for an image, [1, width].
        y: placeholder for its label, [1, 1].
        p: the probability that the label is 1, [1, 1].
        cost: of this image, a scalar.
        feed_forward: the operation that runs the network, hidden states included.
        train: the operation of one training step.
    """

    graph: tf.Graph
    weights: Weights
    x: tf.Tensor
    y: tf.Tensor
    p: tf.Tensor
    cost: tf.Tensor
    feed_forward: tf.Operation
    train: tf.Operation


def build(settings: Settings, width: int = PIXELS, dtype: tf.DType = tf.float32) -> Graph:
    """Builds the static graph: weights, structure, cost and the training step.

    Args:
        settings: of the run.
        width: pixels per image.
        dtype: of every number; float64 is for checks of the arithmetic.
    """
    graph = tf.Graph()
    with graph.as_default():
        tf.set_random_seed(settings.seed)
        with tf.name_scope("data"):
            x = tf.placeholder(dtype, [1, width], name="x")
            y = tf.placeholder(dtype, [1, 1], name="y")
        weights = declare_weights(width, dtype)
        if settings.wiring == "published":
            forward = network.published(x, weights)
        else:
            forward = network.ordered(x, weights, connected=settings.wiring == "connected")
        readout, train = forward.readout, None
        if settings.mode == "manual":
            with tf.name_scope("manual_back_propagation"):
                readout, train = _manual(settings, x, y, forward, weights)
        with tf.name_scope("cost"):
            cost = network.cost_function(readout.a, y)
        if settings.mode == "auto":
            with tf.name_scope("automatic_differentiation"):
                train = backprop.auto(cost, forward, settings.lr_auto)
    return Graph(graph, weights, x, y, forward.readout.a, cost, forward.write, train)


def _manual(
    settings: Settings, x: tf.Tensor, y: tf.Tensor, forward: network.Forward, weights: Weights
) -> tuple[network.Layer, tf.Operation]:
    """The readout that the cost is of, and the training step, in manual mode."""
    rates = backprop.Rates(settings.lr_x, settings.lr_rec, settings.lr_sg)
    ascend = settings.synthetic_step == "ascend"
    if settings.gradient == "true":
        return forward.readout, backprop.true_manual(x, y, forward, weights, rates)
    if settings.wiring == "published":
        return forward.readout, backprop.published_manual(
            x, y, forward, weights, rates, ascend=ascend
        )
    connected = settings.wiring == "connected"
    return backprop.ordered_manual(x, y, weights, rates, connected=connected, ascend=ascend)


def run(settings: Settings, split: Split, on_epoch: Callable[[int, float], None]) -> Outcome:
    """Trains and predicts in one Session.

    Args:
        settings: of the run.
        split: the images.
        on_epoch: called after each epoch with its number, from 1, and its cost.

    Returns:
        The outcome.

    Raises:
        UserError: the cost of an epoch is not finite.
    """
    graph = build(settings)
    # More threads inside one operation save nothing at this size, and how many there are would
    # decide how sums are rounded. Between operations any number of threads gives the same result.
    config = tf.ConfigProto(intra_op_parallelism_threads=1, device_count={"GPU": 0})
    with tf.Session(graph=graph.graph, config=config) as session:
        initialize(session, graph, settings)
        start = time.perf_counter()
        costs = []
        for epoch in range(1, settings.epochs + 1):
            cost = train_epoch(session, graph, split.train)
            check_finite(settings, epoch, cost)
            costs.append(cost)
            on_epoch(epoch, cost)
        seconds = time.perf_counter() - start
        test = predict(session, graph, split.test)
        held_out = predict(session, graph, split.held_out)
    return Outcome(costs, test, held_out, seconds)


def initialize(session: tf.Session, graph: Graph, settings: Settings) -> None:
    """Gives the variables their initial values."""
    values = {}
    if settings.init == "portable":
        width = graph.x.shape[1]
        for variable, value in zip(graph.weights, portable_draw(settings.seed, width), strict=True):
            values[variable.initial_value] = value
    if settings.synthetic_init == "zeros":
        for variable in (graph.weights.w_sg_1, graph.weights.w_sg_2):
            values[variable.initial_value] = np.zeros(variable.shape)
    session.run([variable.initializer for variable in graph.weights], values)


def train_epoch(session: tf.Session, graph: Graph, images: Images) -> float:
    """One training step an image, in order; the sum of the costs."""
    total = 0.0
    for x, y in zip(images.x, images.y, strict=True):
        feed = {graph.x: x[np.newaxis], graph.y: [[y]]}
        cost, _ = session.run([graph.cost, graph.train], feed)
        total += float(cost)
    return total


def predict(session: tf.Session, graph: Graph, images: Images) -> npt.NDArray[np.float32]:
    """p for each image in turn, [n]; the hidden states go on from image to image."""
    p = np.empty(len(images.x), np.float32)
    for i, x in enumerate(images.x):
        value, _ = session.run([graph.p, graph.feed_forward], {graph.x: x[np.newaxis]})
        p[i] = value[0, 0]
    return p
