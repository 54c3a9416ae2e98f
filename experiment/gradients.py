"""How good the synthetic gradients are, epoch by epoch."""

import numpy as np
import tensorflow.compat.v1 as tf

from experiment.build import Graph
from graph.quality import Quality


def quality(session: tf.Session, graph: Graph) -> Quality:
    """The quality of the synthetic gradients at this moment.

    After an epoch, that is the epoch's figure. All images are looked at with the same weights, and
    neither weights nor hidden states change.

    Args:
        session: of the graph.
        graph: of manual mode with synthetic gradients.

    Returns:
        Floats, of all training images: the mean of each cosine, and each relative error.
    """
    return Quality(*(float(np.mean(values)) for values in session.run(graph.quality)))
