"""What TensorBoard shows of a run, in one event file.

An event file is a file of records, so TensorFlow's own writer of records writes it: unlike
`tf.summary.FileWriter` it raises an error when the disk is full.
"""

import contextlib
import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow.compat.v1 as tf
from matplotlib.figure import Figure

from experiment import gradients
from experiment.build import Graph
from experiment.errors import UserError
from experiment.mnist import SIDE, Images
from experiment.outcome import predicted
from experiment.results import BLUE, PICTURED_IMAGES, VERMILION

FILE = "events.out.tfevents"
BINS = 30


class Events:
    """Writes the event file of a run, epoch by epoch. Epoch 0 is the moment before the first."""

    def __init__(
        self, folder: Path, session: tf.Session, graph: Graph, costs: Sequence[float]
    ) -> None:
        """Writes the graph, the costs so far, and what the weights are like.

        Args:
            folder: for the file; it is made.
            session: of the graph, initialized.
            graph: that is trained.
            costs: of the epochs that the run has behind it, when it goes on from a checkpoint.

        Raises:
            UserError: the file cannot be written; the other methods raise it too.
        """
        self._session = session
        self._graph = graph
        self._weights = session.run(graph.variables)
        with _cannot_write():
            tf.gfile.MkDir(str(folder))
            self._file = tf.python_io.TFRecordWriter(str(folder / FILE))
        self._write(tf.Event(file_version="brain.Event:2"))
        definition = graph.graph.as_graph_def(add_shapes=True)
        self._write(tf.Event(graph_def=definition.SerializeToString()))
        for epoch, cost in enumerate(costs, 1):
            self._summary(epoch, [_scalar("cost", cost)])
        self._summary(len(costs), self._state())

    def add_epoch(self, epoch: int, cost: float) -> None:
        """Writes what has come of an epoch, counted from 1, and its cost."""
        before = self._weights
        self._weights = self._session.run(self._graph.variables)
        updates = [
            _scalar(f"update_norm/{name}", np.linalg.norm(value - before[name]))
            for name, value in self._weights.items()
        ]
        self._summary(epoch, [_scalar("cost", cost), *updates, *self._state()])

    def finish(
        self, epoch: int, images: Images, p: npt.NDArray[np.floating], digits: tuple[int, int]
    ) -> None:
        """Writes pictures of the first test images, and what was said of them; closes the file.

        Args:
            epoch: the last one.
            images: the test images.
            p: for each the probability that its label is 1, [n].
            digits: that the labels 0 and 1 stand for.
        """
        # zip ends with the shortest.
        shown = zip(range(PICTURED_IMAGES), *images, p, predicted(p), strict=False)
        pictures = [
            _picture(f"test_images/{number:02}", x, digits[y], probability, digits[prediction])
            for number, x, y, probability, prediction in shown
        ]
        self._summary(epoch, pictures)
        with _cannot_write():
            self._file.close()

    def _state(self) -> list[tf.Summary.Value]:
        """Norms and histograms of the weights, and the quality of the synthetic gradients."""
        values = []
        for name, value in self._weights.items():
            values.append(_scalar(f"norm/{name}", np.linalg.norm(value)))
            values.append(_histogram(f"weights/{name}", value))
        if self._graph.quality is not None:
            quality = gradients.quality(self._session, self._graph)
            values.append(_scalar("cosine/time_box_1", quality.cosine_1))
            values.append(_scalar("cosine/time_box_2", quality.cosine_2))
        return values

    def _summary(self, epoch: int, values: Sequence[tf.Summary.Value]) -> None:
        self._write(tf.Event(step=epoch, summary=tf.Summary(value=values)))

    def _write(self, event: tf.Event) -> None:
        event.wall_time = time.time()
        with _cannot_write():
            self._file.write(event.SerializeToString())


@contextlib.contextmanager
def _cannot_write() -> Iterator[None]:
    """Turns the errors of a full or read-only disk into a UserError."""
    try:
        yield
    except tf.errors.OpError as error:
        # After the path, the system's own message.
        reason = error.message.rpartition("; ")[2]
        raise UserError(
            f"cannot write what --tensorboard asks for ({reason}): make room in --results_dir, or "
            "choose another folder"
        ) from None


def _scalar(tag: str, value: float | np.floating) -> tf.Summary.Value:
    return tf.Summary.Value(tag=tag, simple_value=value)


def _histogram(tag: str, value: npt.NDArray[np.floating]) -> tf.Summary.Value:
    """Of the entries of a weight; those that are not finite have no place in it."""
    finite = value[np.isfinite(value)].astype(np.float64)
    counts, edges = np.histogram(finite, BINS)
    return tf.Summary.Value(
        tag=tag,
        histo=tf.HistogramProto(
            min=edges[0],
            max=edges[-1],
            num=finite.size,
            sum=np.sum(finite),
            sum_squares=np.sum(finite**2),
            bucket_limit=edges[1:],
            bucket=counts,
        ),
    )


def _picture(
    tag: str, x: npt.NDArray[np.float32], digit: int, p: float, said: int
) -> tf.Summary.Value:
    """An image x [784] under what was said of it."""
    figure = Figure(figsize=(1.6, 1.9), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(x.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    right = said == digit
    axes.set_title(
        f"{'✓' if right else '✗'} says {said}, is {digit}\np = {p:.2f}",
        color=BLUE if right else VERMILION,
    )
    png = io.BytesIO()
    figure.savefig(png)
    width, height = figure.canvas.get_width_height()
    image = tf.Summary.Image(
        width=width, height=height, colorspace=4, encoded_image_string=png.getvalue()
    )
    return tf.Summary.Value(tag=tag, image=image)
