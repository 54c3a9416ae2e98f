"""The rounding of each engine: its costs in float32 against those of single steps in float64."""

import dataclasses

import numpy as np
import numpy.typing as npt
import tensorflow.compat.v1 as tf

from experiment.settings import Settings
from experiment.training import session
from experiment.training.build import build
from experiment.training.mnist import Images
from graph.weights import PIXELS

ENGINES = ("stepwise", "delayed", "parallel")
WIRINGS = ("published", "ordered", "connected")


def costs(settings: Settings, images: Images, dtype: tf.DType) -> npt.NDArray[np.float64]:
    """The cost of each epoch of a run, [epochs]."""
    graph = build(settings, PIXELS, dtype)
    with session.open_session(graph) as tf_session:
        session.initialize(tf_session, graph, settings, images)
        epochs = range(settings.epochs)
        return np.array(
            [session.train_epoch(tf_session, graph, images, settings.lr_rec).cost for _ in epochs]
        )


def differences(images: Images) -> dict[str, dict[str, float]]:
    """The largest relative difference of an epoch's cost, by wiring and engine."""
    by_wiring: dict[str, dict[str, float]] = {}
    for wiring in WIRINGS:
        settings = Settings(wiring=wiring)
        exact = costs(dataclasses.replace(settings, engine="stepwise"), images, tf.float64)
        of_engines = {
            name: costs(dataclasses.replace(settings, engine=name), images, tf.float32)
            for name in ENGINES
        }
        by_wiring[wiring] = {
            name: float(np.abs(of / exact - 1).max()) for name, of in of_engines.items()
        }
    return by_wiring
