"""Builds the static graph that the settings ask for, from the pieces in graph/."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from flags import Settings
from graph import backprop, network
from graph.delayed import delayed_manual
from graph.quality import Quality, quality
from graph.stepwise import stepwise
from graph.weights import PIXELS, Weights, declare_hidden_layers, declare_weights


class Graph(NamedTuple):
    """What a Session needs of the static graph.

    Attributes:
        graph: the `tf.Graph` that the rest belongs to.
        weights: the post's variables.
        variables: all that are trained, by their names: those, and what the post does not have.
        images: the variable that holds the training images, [n, width].
        labels: the variable that holds their labels, [n, 1].
        x: placeholder for an image, [1, width].
        y: placeholder for its label, [1, 1].
        p: the probability that the label is 1, [1, 1].
        feed_forward: the operation that runs the network, hidden states included.
        cost: of the image, a scalar.
        train: the operation of one training step.
        epoch: the cost of each training image, [n], to evaluate which is to train on them all; or
            None with `--engine=feed`, which feeds them one by one.
        saver: saves and restores the variables that are trained.
        quality: of the synthetic gradients of the training images, or None if there are none.
    """

    graph: tf.Graph
    weights: Weights
    variables: dict[str, Any]
    images: Any
    labels: Any
    x: tf.Tensor
    y: tf.Tensor
    p: tf.Tensor
    feed_forward: tf.Operation
    cost: tf.Tensor
    train: tf.Operation
    epoch: tf.Tensor | None
    saver: tf.train.Saver
    quality: Quality | None


def build(settings: Settings, width: int = PIXELS, dtype: tf.DType = tf.float32) -> Graph:
    """Builds the static graph: weights, structure, cost and training.

    Args:
        settings: of the run.
        width: pixels per image.
        dtype: of every number; float64 is for checks of the arithmetic.
    """
    graph = tf.Graph()
    with graph.as_default():
        tf.set_random_seed(settings.seed)
        label, units = settings.condition_on_label, settings.sg_hidden
        inputs = width + 2 if label else width
        weights = declare_weights(width, dtype, sg_rows=units or inputs)
        variables = weights._asdict()
        hidden: Sequence[Any] = (None, None)
        if units:
            layers = declare_hidden_layers(inputs, units, dtype)
            variables |= layers._asdict()
            hidden = layers
        modules = (
            backprop.Module(weights.w_sg_1, hidden[0], label),
            backprop.Module(weights.w_sg_2, hidden[1], label),
        )
        with tf.name_scope("data"):
            x = tf.placeholder(dtype, [1, width], name="x")
            y = tf.placeholder(dtype, [1, 1], name="y")
            images = _training_data("images", settings.train_images, width, dtype)
            labels = _training_data("labels", settings.train_images, 1, dtype)
        forward = _forward(settings, x, weights)
        cost, train = _training_step(settings, x, y, forward, weights, modules)
        epoch = None
        with tf.name_scope("epoch"):
            if settings.engine == "stepwise":
                epoch = stepwise(
                    images.read_value(),
                    labels.read_value(),
                    lambda x, y: _training_step(settings, x, y, None, weights, modules),
                )
            elif settings.engine == "delayed":
                epoch = delayed_manual(
                    images.read_value(),
                    labels.read_value(),
                    weights,
                    _rates(settings),
                    published=settings.wiring == "published",
                    ascend=_ascend(settings),
                )
        saver = tf.train.Saver(variables)
        of_gradients = None
        if settings.mode == "manual" and settings.gradient == "synthetic":
            with tf.name_scope("quality_of_synthetic_gradients"):
                of_gradients = quality(images.read_value(), labels.read_value(), weights, modules)
    return Graph(
        graph=graph,
        weights=weights,
        variables=variables,
        images=images,
        labels=labels,
        x=x,
        y=y,
        p=forward.readout.a,
        feed_forward=forward.write,
        cost=cost,
        train=train,
        epoch=epoch,
        saver=saver,
        quality=of_gradients,
    )


def _training_data(name: str, rows: int, columns: int, dtype: tf.DType) -> Any:
    """A variable to be initialized with training data: no constant of the graph, no weight."""
    zeros = tf.zeros([rows, columns], dtype)
    return tf.Variable(zeros, name=name, trainable=False, use_resource=True)


def _rates(settings: Settings) -> backprop.Rates:
    return backprop.Rates(settings.lr_x, settings.lr_rec, settings.lr_sg)


def _ascend(settings: Settings) -> bool:
    return settings.synthetic_step == "ascend"


def _forward(settings: Settings, x: tf.Tensor, weights: Weights) -> network.Forward:
    if settings.wiring == "published":
        return network.published(x, weights)
    return network.ordered(x, weights, connected=settings.wiring == "connected")


def _training_step(
    settings: Settings,
    x: tf.Tensor,
    y: tf.Tensor,
    forward: network.Forward | None,
    weights: Weights,
    modules: tuple[backprop.Module, backprop.Module],
) -> tuple[tf.Tensor, tf.Operation]:
    """One training step.

    Args:
        settings: of the run.
        x: the image, [1, width].
        y: its label, [1, 1].
        forward: the forward feed of x if there is one already.
        weights: the variables.
        modules: that guess the gradients of time boxes 1 and 2.

    Returns:
        The cost of the image, a scalar, and the operation that trains.
    """
    interleaved = (
        settings.mode == "manual"
        and settings.gradient == "synthetic"
        and settings.wiring != "published"
    )
    if interleaved:
        # Its updates come between the boxes: it has a forward feed of its own.
        with tf.name_scope("manual_back_propagation"):
            readout, train = backprop.ordered_manual(
                x,
                y,
                weights,
                modules,
                _rates(settings),
                connected=settings.wiring == "connected",
                ascend=_ascend(settings),
            )
        with tf.name_scope("cost"):
            return network.cost_function(readout.a, y), train
    forward = forward or _forward(settings, x, weights)
    with tf.name_scope("cost"):
        cost = network.cost_function(forward.readout.a, y)
    if settings.mode == "auto":
        with tf.name_scope("automatic_differentiation"):
            return cost, backprop.auto(cost, forward, settings.lr_auto)
    with tf.name_scope("manual_back_propagation"):
        if settings.gradient == "true":
            return cost, backprop.true_manual(x, y, forward, weights, _rates(settings))
        return cost, backprop.published_manual(
            x, y, forward, weights, _rates(settings), ascend=_ascend(settings)
        )
