"""The switch between the training steps: by hand or by automatic differentiation.

This is the post's "Reason 3: Switch and Compare Between Automatic Differentiation": "I can just
comment out one section of output while, uncommenting the other."
"""

from typing import NamedTuple

import tensorflow.compat.v1 as tf

from graph import backprop, network
from graph.modules import Module
from graph.weights import Rates, Weights


class Step(NamedTuple):
    """The choice of a training step.

    Attributes:
        mode: "manual" or "auto".
        wiring: "published", "ordered" or "connected" (docs/experiment.md §3).
        decoupled: "both", "1", "2" or "none": the time boxes that in manual mode learn from
            synthetic gradients; "none" is back-propagation through time.
        ascend: whether synthetic gradients are added, as in the post, or subtracted.
        rates: the learning rates of manual mode.
        lr_auto: that of auto mode.
    """

    mode: str
    wiring: str
    decoupled: str
    ascend: bool
    rates: Rates
    lr_auto: float


def forward_pass(step: Step, x: tf.Tensor, weights: Weights) -> network.Forward:
    """The forward pass of an image x [1, width]."""
    if step.wiring == "published":
        return network.published(x, weights)
    return network.ordered(x, weights, connected=step.wiring == "connected")


def training_step(
    step: Step,
    x: tf.Tensor,
    y: tf.Tensor,
    weights: Weights,
    modules: tuple[Module, Module],
    forward: network.Forward | None = None,
) -> tuple[tf.Tensor, tf.Operation]:
    """One training step.

    Args:
        step: the choice.
        x: the image, [1, width].
        y: its label, [1, 1].
        weights: the variables.
        modules: of time boxes 1 and 2.
        forward: the forward pass of x, if the graph has one already.

    Returns:
        The cost of the image, a scalar, and the operation that trains.
    """
    if step.mode == "manual" and step.decoupled != "none" and step.wiring != "published":
        # Its updates come between the boxes, so it has its own forward pass.
        by_hand = {
            "both": backprop.ordered_manual,
            "1": backprop.box_1_decoupled,
            "2": backprop.box_2_decoupled,
        }[step.decoupled]
        with tf.name_scope("manual_back_propagation"):
            readout, train = by_hand(
                x,
                y,
                weights,
                modules,
                step.rates,
                connected=step.wiring == "connected",
                ascend=step.ascend,
            )
        with tf.name_scope("cost"):
            return network.cost_function(readout.a, y), train
    forward = forward or forward_pass(step, x, weights)
    with tf.name_scope("cost"):
        cost = network.cost_function(forward.readout.a, y)
    if step.mode == "auto":
        with tf.name_scope("automatic_differentiation"):
            return cost, backprop.auto(cost, forward, step.lr_auto)
    with tf.name_scope("manual_back_propagation"):
        if step.decoupled == "none":
            return cost, backprop.true_manual(x, y, forward, weights, step.rates)
        return cost, backprop.published_manual(
            x, y, forward, weights, modules, step.rates, ascend=step.ascend
        )
