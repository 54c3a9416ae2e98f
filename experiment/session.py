"""The Session: trains the graph and lets it predict."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow.compat.v1 as tf

from experiment import gradients
from experiment.build import Graph, build
from experiment.checkpoint import START, State
from experiment.errors import UserError
from experiment.events import Events
from experiment.mnist import Images, Split
from experiment.outcome import History, Outcome, check_finite
from flags import Settings
from graph.weights import draw

# Inside an operation, for a run that has the machine to itself. Two halve what `delayed` takes for
# its products, and change none of its costs and predictions. In the loops of the others, where two
# operations run at a time, a second thread costs more than it saves.
THREADS = {"feed": 1, "stepwise": 1, "delayed": 2}

AfterEpoch = Callable[[History, Callable[[str], None]], None]


def run(
    settings: Settings,
    split: Split,
    start: State = START,
    after_epoch: AfterEpoch = lambda history, save: None,
    tensorboard: Path | None = None,
    target: str = "",
    threads: int = 1,
) -> Outcome:
    """Trains and predicts in one Session.

    Args:
        settings: of the run.
        split: the images.
        start: where it starts.
        after_epoch: called after each epoch with the history so far, and a function that saves the
            weights to files that begin with a prefix.
        tensorboard: a folder to be made for TensorBoard's events, if they are wanted.
        target: the TensorFlow server that the Session is on, or this process.
        threads: inside an operation; a server has one.

    Returns:
        The outcome.

    Raises:
        UserError: the cost of an epoch is not finite, the events cannot be written, or the run
            cannot start there.
        tf.errors.OpError: the server is lost.
    """
    graph = build(settings)
    with open_session(graph, target, threads) as session:
        initialize(session, graph, settings, split.train)
        if start.variables is not None:
            restore(session, graph, start.variables)
        costs, quality = list(start.history.costs), list(start.history.quality)
        seconds = start.history.seconds
        events = Events(tensorboard, session, graph, costs) if tensorboard else None
        for epoch in range(len(costs) + 1, settings.epochs + 1):
            began = time.perf_counter()
            cost = train_epoch(session, graph, split.train)
            seconds += time.perf_counter() - began
            check_finite(settings, epoch, cost)
            costs.append(cost)
            if graph.quality is not None:
                quality.append(gradients.quality(session, graph))
            if events:
                events.add_epoch(epoch, cost)
            after_epoch(
                History(costs, quality, seconds), lambda prefix: save(session, graph, prefix)
            )
        test = predict(session, graph, split.test)
        held_out = predict(session, graph, split.held_out)
        if events:
            events.finish(settings.epochs, split.test, test, settings.digits)
    return Outcome(costs, test, held_out, seconds, quality)


def open_session(graph: Graph, target: str = "", threads: int = 1) -> tf.Session:
    """A Session in this process, or on the TensorFlow server that is the target."""
    return Session(target, graph=graph.graph, config=configuration(threads))


def configuration(threads: int = 1) -> tf.ConfigProto:
    """What decides how numbers are rounded, here and on a server.

    That is the kind of processor and the number of threads inside an operation; between operations
    any number gives the same result. Without the isolation two Sessions on one server would share
    their variables, by name.
    """
    return tf.ConfigProto(
        intra_op_parallelism_threads=threads,
        device_count={"GPU": 0},
        isolate_session_state=True,
    )


class Session(tf.Session):  # type: ignore[misc]
    """A Session that repeats the steps that a server turns away by mistake.

    A server turns away, before it runs any of it, a step whose number it has seen among its last
    100,000. It draws the numbers from 2**32, so that one new step in some 40,000 is turned away.
    """

    def run(self, *arguments: Any, **options: Any) -> Any:
        """As in `tf.Session`."""
        try:
            return super().run(*arguments, **options)
        except tf.errors.AbortedError as error:
            if "request was received twice" not in error.message:
                raise
            return super().run(*arguments, **options)


def initialize(session: tf.Session, graph: Graph, settings: Settings, train: Images) -> None:
    """Gives the variables their initial values, and the graph its training images."""
    values = {graph.images.initial_value: train.x, graph.labels.initial_value: train.y[:, None]}
    if settings.init == "portable":
        shapes = {name: variable.shape for name, variable in graph.variables.items()}
        for name, value in draw(settings.seed, shapes):
            values[graph.variables[name].initial_value] = value
    if settings.synthetic_init == "zeros":
        for variable in (graph.weights.w_sg_1, graph.weights.w_sg_2):
            values[variable.initial_value] = np.zeros(variable.shape)
    variables = (*graph.variables.values(), graph.images, graph.labels)
    session.run([variable.initializer for variable in variables], values)


def save(session: tf.Session, graph: Graph, prefix: str) -> None:
    """Writes the weights to files that begin with `prefix`, and nothing that names a path.

    Raises:
        OSError: they cannot be written.
    """
    try:
        graph.saver.save(session, prefix, write_meta_graph=False, write_state=False)
    except tf.errors.OpError as error:
        # The message is of many lines; in one of them the system's own follows the path.
        raise OSError(0, error.message.partition("; ")[2].partition("\n")[0]) from None


def restore(session: tf.Session, graph: Graph, prefix: Path) -> None:
    """Gives the variables the values that `save` wrote.

    Raises:
        UserError: the files are of other variables.
    """
    try:
        graph.saver.restore(session, str(prefix))
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError, ValueError):
        raise UserError(
            f"{prefix.parent} holds other variables than this run has: add --noresume to drop it"
        ) from None


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
