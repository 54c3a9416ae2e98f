"""The Session: trains the graph and lets it predict."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow.compat.v1 as tf

from experiment.settings import Settings, UserError
from experiment.training.build import Graph, build, compiled
from experiment.training.mnist import Images, Split
from experiment.training.outcome import START, History, Outcome, State, check_finite
from graph.quality import Quality
from graph.weights import Weights, draw

# Images that are predicted at a time: more take more memory, and hardly less time.
AT_A_TIME = 1000


class Running(NamedTuple):
    """A graph that is being trained, for those who observe it between two epochs.

    Attributes:
        graph: that is trained.
        session: of the graph.
    """

    graph: Graph
    session: tf.Session

    def weights(self) -> dict[str, npt.NDArray[np.floating]]:
        """Their values, by their names."""
        values: dict[str, npt.NDArray[np.floating]] = self.session.run(self.graph.weights._asdict())
        return values

    def quality(self) -> Quality | None:
        """That of the synthetic gradients at this moment, or None if there are none."""
        return quality(self.session, self.graph) if self.graph.quality is not None else None

    def save(self, prefix: str) -> None:
        """Writes the weights to files that begin with `prefix`, and nothing that names a path.

        Raises:
            OSError: they cannot be written.
        """
        saver = self.graph.saver
        try:
            saver.save(self.session, prefix, write_meta_graph=False, write_state=False)
        except tf.errors.OpError as error:
            # The message is of many lines; in one of them the system's own follows the path.
            reason = error.message.partition("; ")[2].partition("\n")[0]
            raise OSError(0, reason) from None


Observer = Callable[[History, Running], None]


def run(
    settings: Settings,
    split: Split,
    start: State = START,
    observe: Observer = lambda history, running: None,
    threads: int = 1,
) -> Outcome:
    """Trains and predicts in one Session.

    Args:
        settings: of the run.
        split: the images.
        start: where it starts.
        observe: called before the first epoch and after each, with the history so far.
        threads: inside an operation.

    Returns:
        The outcome.

    Raises:
        UserError: the cost of an epoch is not finite, or the run cannot start there.
    """
    graph = build(settings)
    with open_session(graph, threads) as session:
        initialize(session, graph, settings, split.train)
        if start.variables is not None:
            restore(session, graph, start.variables)
        history, running = start.history, Running(graph, session)
        observe(history, running)
        for epoch in range(len(history.costs) + 1, settings.epochs + 1):
            began = time.perf_counter()
            cost = train_epoch(session, graph, split.train)
            seconds = history.seconds + time.perf_counter() - began
            check_finite(settings, epoch, cost)
            figures = [quality(session, graph)] if graph.quality is not None else []
            history = History([*history.costs, cost], [*history.quality, *figures], seconds)
            observe(history, running)
        weights = running.weights()
    # With one thread, whatever training had: two may add up the products in another order.
    with open_session(graph) as session:
        load(session, graph.weights, weights)
        test = predict(session, graph, split.test)
        held_out = predict(session, graph, split.held_out)
    return Outcome(history, test, held_out)


def threads_for(settings: Settings) -> int:
    """Inside an operation, for a run that has the machine to itself.

    Where XLA compiles an epoch, two share its products and updates, and change none of its costs.
    Elsewhere two operations run at a time, and more threads would cost more than they save, or
    change how sums are rounded.
    """
    return 2 if compiled(settings) else 1


def open_session(graph: Graph, threads: int = 1) -> tf.Session:
    """A Session whose numbers are rounded alike everywhere.

    That takes a kind of processor and the number of threads inside an operation; between operations
    any number gives the same result.
    """
    config = tf.ConfigProto(intra_op_parallelism_threads=threads, device_count={"GPU": 0})
    return tf.Session(graph=graph.graph, config=config)


def initialize(session: tf.Session, graph: Graph, settings: Settings, train: Images) -> None:
    """Gives the variables their initial values, and the graph its training images."""
    values = {graph.images.initial_value: train.x, graph.labels.initial_value: train.y[:, None]}
    if settings.init == "portable":
        variables = graph.weights._asdict()
        shapes = {name: variable.shape for name, variable in variables.items()}
        for name, value in draw(settings.seed, shapes):
            values[variables[name].initial_value] = value
    if settings.synthetic_init == "zeros":
        for variable in (graph.weights.w_sg_1, graph.weights.w_sg_2):
            values[variable.initial_value] = np.zeros(variable.shape)
    all_variables = (*graph.weights, graph.images, graph.labels)
    session.run([variable.initializer for variable in all_variables], values)


def load(session: tf.Session, variables: Weights, values: Mapping[str, npt.ArrayLike]) -> None:
    """Gives the variables values, by their names."""
    pairs = [(variable, values[name]) for name, variable in variables._asdict().items()]
    session.run([v.initializer for v, _ in pairs], {v.initial_value: value for v, value in pairs})


def restore(session: tf.Session, graph: Graph, prefix: Path) -> None:
    """Gives the variables the values that `Running.save` wrote.

    Raises:
        UserError: the files are of other variables, or damaged.
    """
    try:
        graph.saver.restore(session, str(prefix))
    except (tf.errors.OpError, ValueError):
        raise UserError(
            f"{prefix.parent} holds other variables than this run has, or damaged ones: add "
            "--noresume to drop it"
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
    some = np.array_split(images.x, len(images.x) // AT_A_TIME + 1)
    return np.concatenate([session.run(graph.predictions, {graph.new_images: x}) for x in some])


def quality(session: tf.Session, graph: Graph) -> Quality:
    """The quality of the synthetic gradients at this moment.

    After an epoch, that is the epoch's figure. All images are looked at with the same weights, and
    neither weights nor hidden states change.

    Args:
        session: of the graph.
        graph: of manual mode with synthetic gradients.

    Returns:
        Floats, of all training images.
    """
    return Quality(*map(float, session.run(graph.quality)))
