"""The static graph of T time boxes, and its Session (docs/many-boxes.md)."""

import functools
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from experiment.training.many_boxes import BLOCK, TRAIN_IMAGES
from graph.modules import Module
from graph.network import cost_function
from graph.stepwise import loop_over_rows
from graph.weights import PIXELS, Rates
from graph.windows import Inputs, Recurrent, gradients, readout_of, windows_manual


class Graph(NamedTuple):
    """The parts of the static graph that a Session needs.

    Attributes:
        session: of the graph.
        variables: those that learn, by name.
        images, labels: variables that hold the training images and labels.
        first: placeholder, the number of the first image of a block, a scalar.
        rates: placeholders.
        train: the cost of each image of the block, [BLOCK, 1]; evaluating it trains on them.
        synthetic_and_true: what each time box learns from, and the true gradient, for the block's
            images with the weights as they are, [2, T, BLOCK, H]; None without modules.
        new_images: placeholder for images to predict, [n, PIXELS].
        predictions: p of each, [n].
    """

    session: tf.Session
    variables: dict[str, Any]
    images: Any
    labels: Any
    first: tf.Tensor
    rates: Rates
    train: tf.Tensor
    synthetic_and_true: tf.Tensor | None
    new_images: tf.Tensor
    predictions: tf.Tensor


def inputs_of(task: str, time_boxes: int, x: tf.Tensor) -> Inputs:
    """The inputs of the time boxes for images x [n, PIXELS]."""
    if task == "strips":
        return tf.split(x, time_boxes, 1)  # type: ignore[no-any-return]
    return [x, *[None] * (time_boxes - 1)]


def module_shape(module_input: str, hidden_units: int) -> tuple[int, int]:
    """Of a module's weights."""
    state, label = (part in module_input for part in ("state", "label"))
    return hidden_units * state + 2 * label, hidden_units


# The rates and the initial values are fed: one graph serves all seeds and rates.
@functools.lru_cache(maxsize=1)
def build(task: str, time_boxes: int, window: int, module_input: str, hidden_units: int) -> Graph:
    """Builds the graph, whose training XLA compiles, and opens a Session. Arguments as in `Run`."""
    pixels = PIXELS // time_boxes if task == "strips" else PIXELS
    windows = -(-time_boxes // window)
    label = 1.0 if "label" in module_input else 0.0
    alone = module_input == "label"

    def variable(rows: int, columns: int) -> Any:
        return tf.Variable(tf.zeros([rows, columns]), use_resource=True)

    with tf.Graph().as_default():
        named = {
            "w_x": variable(pixels, hidden_units),
            "w_rec": variable(hidden_units, hidden_units),
            "w_fc": variable(hidden_units, 1),
        }
        weights = Recurrent(tf.zeros([1, hidden_units]), **named)
        if module_input:
            shape = module_shape(module_input, hidden_units)
            named |= {f"w_sg_{n}": variable(*shape) for n in range(1, windows)}
        modules = [Module(named[name], label, alone) for name in named if "sg" in name]
        images, labels = variable(TRAIN_IMAGES, PIXELS), variable(TRAIN_IMAGES, 1)
        first = tf.placeholder(tf.int32, [])
        rates = Rates(*(tf.placeholder(tf.float32, []) for _ in Rates._fields))

        def step(x: tf.Tensor, y: tf.Tensor) -> tuple[list[tf.Tensor], tf.Operation]:
            inputs = inputs_of(task, time_boxes, x)
            readout, train = windows_manual(inputs, y, weights, modules, rates, window=window)
            return [tf.reshape(cost_function(readout.a, y), [1, 1])], train

        block = [
            tf.slice(rows.read_value(), [first, 0], [BLOCK, rows.shape[1]])
            for rows in (images, labels)
        ]
        (costs,) = loop_over_rows(step, block, columns=[1], compiled=True)
        synthetic_and_true = None
        if modules:
            data = inputs_of(task, time_boxes, block[0]), block[1], weights
            synthetic_and_true = tf.stack(
                [
                    gradients(*data, modules, window=window),
                    gradients(*data, [], window=time_boxes),
                ]
            )
        new_images = tf.placeholder(tf.float32, [None, PIXELS])
        predictions = readout_of(inputs_of(task, time_boxes, new_images), weights).a[:, 0]
        config = tf.ConfigProto(intra_op_parallelism_threads=1, device_count={"GPU": 0})
        return Graph(
            tf.Session(config=config),
            named,
            images,
            labels,
            first,
            rates,
            costs,
            synthetic_and_true,
            new_images,
            predictions,
        )
