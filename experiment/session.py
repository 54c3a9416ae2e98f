"""The Session: trains the graph and lets it predict."""

import contextlib
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import tensorflow.compat.v1 as tf

from experiment.build import Graph, build
from experiment.checkpoint import Checkpoints, State
from experiment.errors import UserError
from experiment.interruption import Signals
from experiment.mnist import Images, Split
from experiment.outcome import Outcome, check_finite
from flags import Settings
from graph.weights import portable_draw


def run(
    settings: Settings,
    split: Split,
    start: State,
    checkpoints: Checkpoints,
    signals: Signals,
    on_epoch: Callable[[int, float], None],
) -> Outcome:
    """Trains and predicts in one Session.

    Args:
        settings: of the run.
        split: the images.
        start: where it starts.
        checkpoints: get one every `settings.checkpoint_every` epochs, if that is not 0, and one
            when the run is interrupted.
        signals: held back until the epoch has ended.
        on_epoch: called after each epoch with its number, from 1, and its cost.

    Returns:
        The outcome.

    Raises:
        UserError: the cost of an epoch is not finite, or a checkpoint cannot be written.
        Interrupted: a signal came.
    """
    graph = build(settings)
    with open_session(graph) as session:
        initialize(session, graph, settings, split.train)
        if start.variables is not None:
            graph.saver.restore(session, str(start.variables))
        began = time.perf_counter() - start.seconds
        costs = list(start.costs)

        with signals.deferred():
            for epoch in range(len(costs) + 1, settings.epochs + 1):
                cost = train_epoch(session, graph, split.train)
                check_finite(settings, epoch, cost)
                costs.append(cost)
                on_epoch(epoch, cost)
                every = settings.checkpoint_every
                if every and (epoch % every == 0 or signals.received is not None):
                    with _cannot_save():
                        checkpoints.add(
                            costs,
                            time.perf_counter() - began,
                            lambda prefix: save(session, graph, prefix),
                        )
                signals.check()
        seconds = time.perf_counter() - began
        test = predict(session, graph, split.test)
        held_out = predict(session, graph, split.held_out)
    return Outcome(costs, test, held_out, seconds)


@contextlib.contextmanager
def _cannot_save() -> Iterator[None]:
    """Turns the errors of a full or read-only disk into a UserError."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        # TensorFlow's message is of many lines, in one of which the system's own follows the path.
        reason = (
            error.strerror
            if isinstance(error, OSError)
            else error.message.partition("; ")[2].partition("\n")[0]
        )
        raise UserError(
            f"cannot write a checkpoint ({reason}): make room in --results_dir and go on with "
            "--resume, or do without, with --checkpoint_every=0"
        ) from None


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


def save(session: tf.Session, graph: Graph, prefix: str) -> None:
    """Writes the weights to files that begin with `prefix`, and nothing that names a path."""
    graph.saver.save(session, prefix, write_meta_graph=False, write_state=False)


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
