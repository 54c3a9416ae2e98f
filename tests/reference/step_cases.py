"""Every kind of training step, on a small network."""

import functools

import tensorflow.compat.v1 as tf

from experiment.settings import Settings
from experiment.training.build import build

WIDTH = 8  # A multiple of the parts that products have in graph/delayed.py.
# Rates so large that every term of every update shows in the numbers. The optimizer keeps its own
# in float32, so lr_auto is a number that float32 can hold.
RATES = {"lr_x": 0.7, "lr_rec": 0.3, "lr_sg": 0.5, "lr_auto": 0.875}
# Gentle enough that rounding does not grow over many steps.
GENTLE_RATES = {"lr_x": 0.07, "lr_rec": 0.03, "lr_sg": 0.05, "lr_auto": 0.0625}
CASES = {
    "-".join(map(str, values.values())): Settings(**values, **RATES)
    for values in (
        {"wiring": "published", "mode": "manual"},
        {"wiring": "published", "mode": "manual", "synthetic_step": "descend"},
        {"wiring": "published", "mode": "auto"},
        {"wiring": "ordered", "mode": "manual"},
        {"wiring": "ordered", "mode": "manual", "synthetic_step": "descend"},
        {"wiring": "ordered", "mode": "auto"},
        {"wiring": "ordered", "mode": "manual", "gradient_1": "true", "gradient_2": "true"},
        {
            "wiring": "ordered", "mode": "manual", "gradient_1": "synthetic", "gradient_2": "true",
            "synthetic_step": "descend",
        },
        {
            "wiring": "connected", "mode": "manual", "gradient_1": "true",
            "gradient_2": "synthetic", "synthetic_step": "descend",
            "module_input": "state+label", "label_scale": 4.0,
        },
        {
            "wiring": "connected", "mode": "manual", "gradient_1": "zero",
            "gradient_2": "synthetic", "synthetic_step": "descend", "module_input": "label",
        },
        {"wiring": "connected", "mode": "manual", "gradient_1": "zero", "gradient_2": "true"},
        {"wiring": "connected", "mode": "manual", "gradient_1": "random", "gradient_2": "random"},
        {"wiring": "connected", "mode": "manual"},
        {"wiring": "connected", "mode": "manual", "module_input": "state+label"},
        {
            "wiring": "ordered", "mode": "manual", "module_input": "state+label",
            "synthetic_step": "descend", "label_scale": 4.0,
        },
        {"wiring": "connected", "mode": "manual", "module_input": "label"},
        {"wiring": "connected", "mode": "auto"},
        {"wiring": "connected", "mode": "manual", "gradient_1": "true", "gradient_2": "true"},
    )
}  # fmt: skip


@functools.cache
def small_graph(settings):
    """The graph of these settings, in float64."""
    return build(settings, WIDTH, tf.float64)


def both_synthetic(settings):
    sources = (settings.gradient_1, settings.gradient_2)
    return settings.mode == "manual" and sources == ("synthetic", "synthetic")


def session_of(graph, threads=1):
    """A Session with so many threads between operations."""
    config = tf.ConfigProto(inter_op_parallelism_threads=threads, use_per_session_threads=True)
    return tf.Session(graph=graph.graph, config=config)


def initial_values(random, graph):
    return {
        name: random.standard_normal(variable.shape)
        for name, variable in graph.weights._asdict().items()
    }


def initialize(tf_session, graph, values, images=None, labels=None):
    feed = {
        variable.initial_value: values[name] for name, variable in graph.weights._asdict().items()
    }
    if images is not None:
        feed |= {graph.images.initial_value: images, graph.labels.initial_value: labels}
    variables = (*graph.weights, graph.images, graph.labels)
    tf_session.run([variable.initializer for variable in variables], feed)
