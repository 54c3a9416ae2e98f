"""The Session: trains the graph and predicts with it."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow.compat.v1 as tf

from experiment.errors import UserError
from experiment.settings import Settings
from experiment.training.build import Graph, build, compiled
from experiment.training.mnist import Images, Split
from experiment.training.outcome import START, History, Outcome, State, check_finite
from graph.weights import Weights, draw

# Images that are predicted at a time: a larger number takes more memory, and hardly less time.
AT_A_TIME = 1000


class Running(NamedTuple):
    """A graph between two epochs, and its Session."""

    graph: Graph
    session: tf.Session

    def weights(self) -> dict[str, npt.NDArray[np.floating]]:
        """The weights by name."""
        values: dict[str, npt.NDArray[np.floating]] = self.session.run(self.graph.weights._asdict())
        return values

    def save(self, prefix: str) -> None:
        """Writes what a checkpoint keeps to files that begin with `prefix`. Raises OSErrors."""
        saver = self.graph.saver
        try:
            saver.save(self.session, prefix, write_meta_graph=False, write_state=False)
        except tf.errors.OpError as error:
            # The system's message follows the path in one of the message's lines.
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
        start: the first epoch, or a checkpoint.
        observe: called before the first epoch and after each, with the history so far.
        threads: inside an operation.

    Raises:
        UserError: the cost of an epoch is not finite, or the checkpoint is damaged.
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
            cost, quality, rounds = train_epoch(
                session, graph, split.train, lr_rec(settings, epoch)
            )
            seconds = history.seconds + time.perf_counter() - began
            check_finite(settings, epoch, cost)
            history = History(
                [*history.costs, cost],
                [*history.quality, quality] if quality else [],
                max(history.rounds, rounds),
                seconds,
            )
            observe(history, running)
        weights = running.weights()
    # Always with one thread: two may add up the products in another order.
    with open_session(graph) as session:
        load(session, graph.weights, weights)
        test = predict(session, graph, split.test)
        held_out = predict(session, graph, split.held_out)
    return Outcome(history, test, held_out)


def threads_for(settings: Settings) -> int:
    """Threads inside an operation, for a run that has the machine to itself.

    Two threads share the products of an epoch that XLA compiles, and change none of its costs.
    Other epochs already run two operations at a time.
    """
    return 2 if compiled(settings) else 1


def open_session(graph: Graph, threads: int = 1) -> tf.Session:
    """A Session on the CPU.

    Rounding depends on the processor and the threads inside an operation, and not on the threads
    between operations.
    """
    config = tf.ConfigProto(intra_op_parallelism_threads=threads, device_count={"GPU": 0})
    return tf.Session(graph=graph.graph, config=config)


def initialize(session: tf.Session, graph: Graph, settings: Settings, train: Images) -> None:
    """Initializes all variables."""
    values = {graph.images.initial_value: train.x, graph.labels.initial_value: train.y[:, None]}
    if settings.init == "portable":
        variables = graph.weights._asdict()
        shapes = {name: variable.shape for name, variable in variables.items()}
        for name, value in draw(settings.seed, shapes):
            values[variables[name].initial_value] = value
    if settings.synthetic_init == "zeros":
        for variable in (graph.weights.w_sg_1, graph.weights.w_sg_2):
            values[variable.initial_value] = np.zeros(variable.shape)
    all_variables = graph.graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)
    session.run([variable.initializer for variable in all_variables], values)


def load(session: tf.Session, variables: Weights, values: Mapping[str, npt.ArrayLike]) -> None:
    """Assigns values to the variables, by their names."""
    pairs = [(variable, values[name]) for name, variable in variables._asdict().items()]
    session.run([v.initializer for v, _ in pairs], {v.initial_value: value for v, value in pairs})


def restore(session: tf.Session, graph: Graph, prefix: Path) -> None:
    """Restores what `Running.save` wrote. Raises a UserError if that fails."""
    try:
        graph.saver.restore(session, str(prefix))
    except (tf.errors.OpError, ValueError):
        raise UserError(
            f"{prefix.parent} has other variables than this run, or damaged ones: add "
            "--noresume to drop it"
        ) from None


def lr_rec(settings: Settings, epoch: int) -> float:
    """The rate of the time boxes in an epoch, counted from 1 (docs/experiment.md §3a)."""
    warm_up = 0.1 if settings.warm_up and epoch == 1 else 1.0
    return warm_up * settings.lr_rec * settings.decay ** (epoch - 1)


class Epoch(NamedTuple):
    """An epoch that has ended.

    Attributes:
        cost: the sum over the training images.
        quality: `QUALITY`, or empty without `--diagnostics`. Six significant digits: further ones
            depend on the processor.
        rounds: the most that a block took, or 0 unless the engine is `parallel`.
    """

    cost: float
    quality: Sequence[float]
    rounds: int


def train_epoch(session: tf.Session, graph: Graph, images: Images, lr_rec: float) -> Epoch:
    """One training step per image, in order."""
    rate = {graph.lr_rec: lr_rec}
    if graph.epoch is None:
        feeds = ({graph.x: [x], graph.y: [[y]], **rate} for x, y in zip(*images, strict=True))
        costs = [session.run([graph.cost, graph.train], feed)[0] for feed in feeds]
        return Epoch(float(np.sum(costs, dtype=np.float64)), (), 0)
    rounds = () if graph.rounds is None else graph.rounds
    costs, quality, rounds = session.run([graph.epoch, graph.quality or (), rounds], rate)
    return Epoch(
        float(np.sum(costs, dtype=np.float64)),
        [float(f"{figure:.6g}") for figure in quality],
        int(max(rounds, default=0)),
    )


def predict(session: tf.Session, graph: Graph, images: Images) -> npt.NDArray[np.float32]:
    """p of each image in turn, [n]; the hidden states go on from image to image."""
    some = np.array_split(images.x, len(images.x) // AT_A_TIME + 1)
    return np.concatenate([session.run(graph.predictions, {graph.new_images: x}) for x in some])
