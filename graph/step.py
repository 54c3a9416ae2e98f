"""The switch between the training steps: by hand or by automatic differentiation.

This is the post's "Reason 3: Switch and Compare Between Automatic Differentiation": "I can just
comment out one section of output while, uncommenting the other."
"""

from typing import NamedTuple

import tensorflow.compat.v1 as tf

from graph import backprop, network
from graph.backprop import Source
from graph.modules import Module
from graph.weights import Rates, Weights


class Step(NamedTuple):
    """The choice of a training step.

    Attributes:
        mode: "manual" or "auto".
        wiring: "published", "ordered" or "connected" (docs/experiment.md §3).
        sources: in manual mode, of the gradients of time boxes 1 and 2 (docs/experiment.md §3a).
        ascend: whether synthetic gradients are added, as in the post, or subtracted.
        rates: the learning rates of manual mode.
        lr_auto: the learning rate of auto mode.
    """

    mode: str
    wiring: str
    sources: tuple[Source, Source]
    ascend: bool
    rates: Rates
    lr_auto: float

    @property
    def modules(self) -> tuple[Module, Module] | None:
        """The modules if both time boxes learn from synthetic gradients, or None."""
        module_1, module_2 = (source.module for source in self.sources)
        return (module_1, module_2) if module_1 is not None and module_2 is not None else None


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
    forward: network.Forward | None = None,
) -> tuple[tf.Tensor, tf.Operation]:
    """One training step.

    Args:
        step: the choice.
        x: the image, [1, width].
        y: its label, [1, 1].
        weights: the variables.
        forward: the forward pass of x, if the graph has one already.

    Returns:
        The cost of the image, a scalar, and the operation that trains.
    """
    if step.mode == "manual" and step.wiring != "published" and step.modules:
        # Its updates come between the boxes, so it has its own forward pass.
        with tf.name_scope("manual_back_propagation"):
            readout, train = backprop.ordered_manual(
                x,
                y,
                weights,
                step.modules,
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
        if step.wiring == "published" and step.modules:
            return cost, backprop.published_manual(
                x, y, forward, weights, step.modules, step.rates, ascend=step.ascend
            )
        return cost, backprop.mixed_manual(x, y, forward, weights, step.sources, step.rates)
