"""Builds the static graph that the settings ask for, from the pieces in graph/."""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from experiment.settings import Settings
from graph.delayed import delayed_manual
from graph.modules import Module
from graph.network import predict
from graph.parallel import parallel_manual
from graph.quality import Quality, quality
from graph.step import Step, forward_feed, training_step
from graph.stepwise import loop_over_rows
from graph.weights import PIXELS, Rates, Weights, declare_weights


class Graph(NamedTuple):
    """What a Session needs of the static graph.

    Attributes:
        graph: the `tf.Graph` that the rest belongs to.
        weights: the variables that are trained.
        images: the variable that holds the training images, [n, width].
        labels: the variable that holds their labels, [n, 1].
        x: placeholder for an image, [1, width].
        y: placeholder for its label, [1, 1].
        p: the probability that the label is 1, [1, 1].
        feed_forward: the operation that runs the network, hidden states included.
        new_images: placeholder for images to predict, [n, width].
        predictions: p of each of them, [n], the hidden states going on from image to image.
        cost: of the image, a scalar.
        train: the operation of one training step.
        epoch: the cost of each training image, [n], to evaluate which is to train on them all; or
            None with `--engine=feed`, which feeds them one by one.
        rounds: that `--engine=parallel` took in an epoch, [blocks]; to evaluate them is to train,
            too. None with the other engines.
        saver: saves and restores the weights.
        quality: of the synthetic gradients of the training images, or None if there are none.
    """

    graph: tf.Graph
    weights: Weights
    images: Any
    labels: Any
    x: tf.Tensor
    y: tf.Tensor
    p: tf.Tensor
    feed_forward: tf.Operation
    new_images: tf.Tensor
    predictions: tf.Tensor
    cost: tf.Tensor
    train: tf.Operation
    epoch: tf.Tensor | None
    rounds: tf.Tensor | None
    saver: tf.train.Saver
    quality: Quality | None


def compiled(settings: Settings) -> bool:
    """Whether XLA compiles an epoch: where `stepwise` rewrites matrices, and in `delayed`."""
    rewritten = settings.mode == "manual" or settings.wiring == "connected"
    return rewritten and settings.engine in ("stepwise", "delayed")


def build(settings: Settings, width: int = PIXELS, dtype: tf.DType = tf.float32) -> Graph:
    """Builds the static graph: weights, structure, cost and training.

    Args:
        settings: of the run.
        width: pixels per image.
        dtype: of every number; float64 is for checks of the arithmetic.
    """
    label = settings.label_scale if settings.condition_on_label else 0.0
    alone = settings.label_alone
    step = Step(
        settings.mode,
        settings.wiring,
        settings.decoupled,
        ascend=settings.synthetic_step == "ascend",
        rates=Rates(settings.lr_x, settings.lr_rec, settings.lr_sg),
        lr_auto=settings.lr_auto,
    )
    graph = tf.Graph()
    with graph.as_default():
        tf.set_random_seed(settings.seed)
        sg_rows = (0 if alone else width) + (2 if label else 0)
        weights = declare_weights(width, dtype, sg_rows)
        modules = Module(weights.w_sg_1, label, alone), Module(weights.w_sg_2, label, alone)
        with tf.name_scope("data"):
            x = tf.placeholder(dtype, [1, width], name="x")
            y = tf.placeholder(dtype, [1, 1], name="y")
            images = _training_data("images", settings.train_images, width, dtype)
            labels = _training_data("labels", settings.train_images, 1, dtype)
        forward = forward_feed(step, x, weights)
        cost, train = training_step(step, x, y, weights, modules, forward)
        epoch = rounds = None
        with tf.name_scope("epoch"):
            if settings.engine == "stepwise":
                epoch = loop_over_rows(
                    lambda x, y: training_step(step, x, y, weights, modules),
                    (images.read_value(), labels.read_value()),
                    compiled=compiled(settings),
                )
            elif settings.engine == "delayed":
                epoch = delayed_manual(
                    images.read_value(),
                    labels.read_value(),
                    weights,
                    step.rates,
                    published=settings.wiring == "published",
                    ascend=step.ascend,
                    label=label,
                )
            elif settings.engine == "parallel":
                epoch, rounds = parallel_manual(
                    images.read_value(),
                    labels.read_value(),
                    weights,
                    step.rates,
                    published=settings.wiring == "published",
                    ascend=step.ascend,
                )
        with tf.name_scope("prediction"):
            new_images = tf.placeholder(dtype, [None, width], name="images")
            predictions = predict(new_images, weights, published=settings.wiring == "published")
        saver = tf.train.Saver(weights._asdict())
        of_gradients = None
        if settings.mode == "manual" and settings.decoupled != "none":
            with tf.name_scope("quality_of_synthetic_gradients"):
                data = images.read_value(), labels.read_value()
                of_gradients = quality(*data, weights, modules, settings.decoupled)
    return Graph(
        graph=graph,
        weights=weights,
        images=images,
        labels=labels,
        x=x,
        y=y,
        p=forward.readout.a,
        feed_forward=forward.write,
        new_images=new_images,
        predictions=predictions,
        cost=cost,
        train=train,
        epoch=epoch,
        rounds=rounds,
        saver=saver,
        quality=of_gradients,
    )


def _training_data(name: str, rows: int, columns: int, dtype: tf.DType) -> Any:
    """A variable to be initialized with training data: no constant of the graph, no weight."""
    zeros = tf.zeros([rows, columns], dtype)
    return tf.Variable(zeros, name=name, trainable=False, use_resource=True)
