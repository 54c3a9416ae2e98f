"""Builds the static graph of a run from the pieces in graph/."""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from experiment.settings import Settings
from graph.backprop import Source
from graph.delayed import delayed_manual
from graph.modules import Module
from graph.network import predict
from graph.parallel import parallel_manual
from graph.quality import Quality, Rows, quality, rows
from graph.step import Step, forward_pass, training_step
from graph.stepwise import loop_over_rows
from graph.weights import PIXELS, Rates, Weights, declare_weights, feedback


class Graph(NamedTuple):
    """The tensors and operations that a Session runs.

    Attributes:
        graph: their `tf.Graph`.
        weights: the variables.
        images: a variable of the training images, [n, width].
        labels: a variable of their labels, [n, 1].
        x: placeholder for an image, [1, width].
        y: placeholder for its label, [1, 1].
        p: the probability that the label is 1, [1, 1].
        forward: the operation of the forward pass, which writes the hidden states.
        new_images: placeholder for images to predict, [n, width].
        predictions: p of each of them, [n]; the hidden states go on from image to image.
        lr_rec: the rate of the time boxes in manual mode, fed with `--warm_up` or `--decay`.
        cost: of the image, a scalar.
        train: the operation of one training step.
        epoch: the cost of each training image, [n]; evaluating it trains on them all. None with
            `--engine=feed`.
        quality: of the gradients in that epoch, to be evaluated together with it. None without
            `--diagnostics`.
        rounds: of each block in that epoch, [blocks], likewise. None unless the engine is
            `parallel`.
        saver: of the weights, and with `parallel` of the variable `former`.
    """

    graph: tf.Graph
    weights: Weights
    images: Any
    labels: Any
    x: tf.Tensor
    y: tf.Tensor
    p: tf.Tensor
    forward: tf.Operation
    new_images: tf.Tensor
    predictions: tf.Tensor
    lr_rec: tf.Tensor
    cost: tf.Tensor
    train: tf.Operation
    epoch: tf.Tensor | None
    quality: Quality | None
    rounds: tf.Tensor | None
    saver: tf.train.Saver


def compiled(settings: Settings) -> bool:
    """Whether XLA compiles an epoch: `delayed`, and `stepwise` if its steps rewrite matrices."""
    rewritten = settings.mode == "manual" or settings.wiring == "connected"
    return rewritten and settings.chosen_engine in ("stepwise", "delayed")


def declare(settings: Settings, width: int, dtype: tf.DType) -> tuple[Weights, Step]:
    """Declares the variables, and chooses the training step of these settings."""
    label = settings.label_scale if "label" in settings.module_input else 0.0
    alone = settings.module_input == "label"
    sg_rows = (0 if alone else width) + (2 if label else 0)
    weights = declare_weights(width, dtype, sg_rows)
    boxes = zip(
        (settings.gradient_1, settings.gradient_2),
        (weights.w_sg_1, weights.w_sg_2),
        feedback(settings.seed, width),
        strict=True,
    )
    with tf.name_scope("weights/"):  # The scope of the variables, entered again.
        source_1, source_2 = (
            Source(
                name,
                Module(w_sg, label, alone) if name == "synthetic" else None,
                tf.constant(row, dtype) if name == "random" else None,
            )
            for name, w_sg, row in boxes
        )
        lr_rec = tf.placeholder_with_default(tf.constant(settings.lr_rec, dtype), [], "lr_rec")
    return weights, Step(
        settings.mode,
        settings.wiring,
        (source_1, source_2),
        ascend=settings.synthetic_step == "ascend",
        rates=Rates(settings.lr_x, lr_rec, settings.lr_sg),
        lr_auto=settings.lr_auto,
    )


def build(settings: Settings, width: int = PIXELS, dtype: tf.DType = tf.float32) -> Graph:
    """Builds the static graph: weights, structure, cost and training.

    Args:
        settings: of the run.
        width: pixels per image.
        dtype: float64 is for checks of the arithmetic.
    """
    graph = tf.Graph()
    with graph.as_default():
        tf.set_random_seed(settings.seed)
        weights, step = declare(settings, width, dtype)
        with tf.name_scope("data"):
            x = tf.placeholder(dtype, [1, width], name="x")
            y = tf.placeholder(dtype, [1, 1], name="y")
            images = _training_data("images", settings.train_images, width, dtype)
            labels = _training_data("labels", settings.train_images, 1, dtype)
        forward = forward_pass(step, x, weights)
        cost, train = training_step(step, x, y, weights, forward)
        epoch = of_epoch = rounds = None
        saved = weights._asdict()
        with tf.name_scope("epoch"):
            engine = settings.chosen_engine
            if engine == "stepwise":
                epoch, of_epoch = _stepwise(settings, step, weights, images, labels)
            elif step.modules and engine != "feed":
                published, label = settings.wiring == "published", step.modules[0].label
                data = images.read_value(), labels.read_value()
                if engine == "delayed":
                    epoch = delayed_manual(
                        *data, weights, step.rates,
                        published=published, ascend=step.ascend, label=label,
                    )  # fmt: skip
                else:
                    zeros = tf.zeros([settings.train_images, 3, 3, width], dtype)
                    former = tf.Variable(zeros, trainable=False, use_resource=True, name="former")
                    saved["former"] = former
                    epoch, rounds = parallel_manual(
                        *data, weights, former, step.rates, published=published, ascend=step.ascend
                    )
        with tf.name_scope("prediction"):
            new_images = tf.placeholder(dtype, [None, width], name="images")
            predictions = predict(new_images, weights, published=settings.wiring == "published")
        saver = tf.train.Saver(saved)
    return Graph(
        graph=graph,
        weights=weights,
        images=images,
        labels=labels,
        x=x,
        y=y,
        p=forward.readout.a,
        forward=forward.write,
        new_images=new_images,
        predictions=predictions,
        lr_rec=step.rates.lr_rec,
        cost=cost,
        train=train,
        epoch=epoch,
        quality=of_epoch,
        rounds=rounds,
        saver=saver,
    )


def _stepwise(
    settings: Settings, step: Step, weights: Weights, images: Any, labels: Any
) -> tuple[tf.Tensor, Quality | None]:
    """The costs of an epoch, [n], and the quality of its gradients with `--diagnostics`."""

    def one(x: tf.Tensor, y: tf.Tensor) -> tuple[list[tf.Tensor], tf.Operation]:
        of_step = rows(x, y, weights, step.sources) if settings.diagnostics else ()
        cost, train = training_step(step, x, y, weights)
        return [tf.reshape(cost, [1, 1]), *of_step], train

    width = images.shape[1]
    columns = [1] + ([width] * len(Rows._fields) if settings.diagnostics else [])
    x = images.read_value()
    costs, *of_steps = loop_over_rows(
        one, (x, labels.read_value()), columns, compiled=compiled(settings)
    )
    return costs[:, 0], quality(x, Rows(*of_steps)) if settings.diagnostics else None


def _training_data(name: str, rows: int, columns: int, dtype: tf.DType) -> Any:
    """A variable for training data, which would make the graph large as a constant."""
    zeros = tf.zeros([rows, columns], dtype)
    return tf.Variable(zeros, name=name, trainable=False, use_resource=True)
