"""The Session: trains the graph and lets it predict."""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow.compat.v1 as tf

from experiment.build import Graph, build
from experiment.mnist import Images, Split
from experiment.outcome import Outcome, check_finite
from flags import Settings
from graph.weights import portable_draw


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
    with open_session(graph) as session:
        initialize(session, graph, settings, split.train)
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


def open_session(graph: Graph) -> tf.Session:
    """A Session on the processor, with one thread inside an operation.

    More save nothing at this size, and how many there are would decide how sums are rounded.
    Between operations any number of threads gives the same result.
    """
    config = tf.ConfigProto(intra_op_parallelism_threads=1, device_count={"GPU": 0})
    return tf.Session(graph=graph.graph, config=config)


def initialize(session: tf.Session, graph: Graph, settings: Settings, train: Images) -> None:
    """Gives the variables their initial values, and the graph its training images."""
    values = {graph.images.initial_value: train.x, graph.labels.initial_value: train.y[:, None]}
    if settings.init == "portable":
        width = graph.x.shape[1]
        for variable, value in zip(graph.weights, portable_draw(settings.seed, width), strict=True):
            values[variable.initial_value] = value
    if settings.synthetic_init == "zeros":
        for variable in (graph.weights.w_sg_1, graph.weights.w_sg_2):
            values[variable.initial_value] = np.zeros(variable.shape)
    variables = (*graph.weights, graph.images, graph.labels)
    session.run([variable.initializer for variable in variables], values)


def train_epoch(session: tf.Session, graph: Graph, images: Images) -> float:
    """One training step an image, in order; the sum of the costs."""
    if graph.epoch is None:
        costs = [
            session.run([graph.cost, graph.train], {graph.x: x[np.newaxis], graph.y: [[y]]})[0]
            for x, y in zip(*images, strict=True)
        ]
    else:
        costs = session.run(graph.epoch)
    return float(np.sum(costs, dtype=np.float64))


def predict(session: tf.Session, graph: Graph, images: Images) -> npt.NDArray[np.float32]:
    """p for each image in turn, [n]; the hidden states go on from image to image."""
    p = np.empty(len(images.x), np.float32)
    for i, x in enumerate(images.x):
        value, _ = session.run([graph.p, graph.feed_forward], {graph.x: x[np.newaxis]})
        p[i] = value[0, 0]
    return p
