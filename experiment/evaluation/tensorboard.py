"""The event file of a run, for TensorBoard.

TensorFlow's writer of records writes it, because `tf.summary.FileWriter` raises no error when the
disk is full.
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

from experiment.errors import UserError
from experiment.evaluation.captions import PICTURED_IMAGES, caption, draw_image
from experiment.training.mnist import Images
from experiment.training.outcome import QUALITY, History
from experiment.training.session import Running

FILE = "events.out.tfevents"
BINS = 30
# The description of a tag, with its unit, by the first part of its name.
DESCRIPTIONS = {
    "cost_per_epoch": "½(p − y)² summed over the training images of the epoch",
    "norm": "Euclidean norm of all entries, after the epoch",
    "update_norm_per_epoch": "Euclidean norm of the change of all entries in the epoch",
    "quality": "no unit: cosines from −1 to 1; relative errors, 1 for a gradient of 0",
}


class Events:
    """The event file of a run. Epoch 0 is the moment before the first."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder and begins the file.

        Raises:
            UserError: the file cannot be written. The other methods raise it too.
        """
        with _cannot_write():
            tf.gfile.MkDir(str(folder))
            self._file = tf.python_io.TFRecordWriter(str(folder / FILE))
        self._write(tf.Event(file_version="brain.Event:2"))
        self._weights: dict[str, npt.NDArray[np.floating]] = {}

    def observe(self, history: History, running: Running) -> None:
        """Writes the cost of the last epoch, and norms and histograms of the weights.

        The first call also writes the graph and, when a run goes on, the costs so far.
        """
        costs = history.costs
        before, self._weights = self._weights, running.weights()
        if before:
            changes = {name: value - before[name] for name, value in self._weights.items()}
            updates = [
                _scalar(f"update_norm_per_epoch/{name}", np.linalg.norm(change))
                for name, change in changes.items()
            ]
            self._summary(len(costs), [_scalar("cost_per_epoch", costs[-1]), *updates])
        else:
            definition = running.graph.graph.as_graph_def(add_shapes=True)
            self._write(tf.Event(graph_def=definition.SerializeToString()))
            for epoch, cost in enumerate(costs, 1):
                self._summary(epoch, [_scalar("cost_per_epoch", cost)])
        values = []
        for name, value in self._weights.items():
            values.append(_scalar(f"norm/{name}", np.linalg.norm(value)))
            values.append(_histogram(f"weights/{name}", value))
        if history.quality:
            figures = zip(QUALITY, history.quality[-1], strict=True)
            values += [_scalar(f"quality/{name}", figure) for name, figure in figures]
        self._summary(len(costs), values)

    def finish(
        self, epoch: int, images: Images, p: npt.NDArray[np.floating], digits: tuple[str, str]
    ) -> None:
        """Writes pictures of the first test images with their captions, and closes the file.

        Args:
            epoch: the last one.
            images: the test images.
            p: of each, [n].
            digits: the sets that the labels 0 and 1 stand for.
        """
        # zip ends with the shortest.
        shown = zip(range(PICTURED_IMAGES), *images, p, strict=False)
        pictures = [
            _picture(f"test_images/{number:02}", x, *caption(digits, y, p_of_one))
            for number, x, y, p_of_one in shown
        ]
        self._summary(epoch, pictures)
        with _cannot_write():
            self._file.close()

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
        # The system's message follows the path.
        reason = error.message.rpartition("; ")[2]
        raise UserError(
            f"cannot write TensorBoard's file ({reason}): make room in --results_dir, or choose "
            "another folder"
        ) from None


def _scalar(tag: str, value: float | np.floating) -> tf.Summary.Value:
    # As a tensor: TensorBoard drops the description of a `simple_value`.
    metadata = tf.SummaryMetadata(
        summary_description=DESCRIPTIONS[tag.partition("/")[0]],
        plugin_data=tf.SummaryMetadata.PluginData(plugin_name="scalars"),
    )
    tensor = tf.make_tensor_proto(value, tf.float32)
    return tf.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)


def _histogram(tag: str, value: npt.NDArray[np.floating]) -> tf.Summary.Value:
    """A histogram of the finite entries."""
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


def _picture(tag: str, x: npt.NDArray[np.float32], text: str, color: str) -> tf.Summary.Value:
    """An image x [784] under its caption."""
    figure = Figure(figsize=(1.6, 1.9), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    draw_image(axes, x)
    axes.set_title(text, color=color)
    png = io.BytesIO()
    figure.savefig(png)
    width, height = figure.canvas.get_width_height()
    image = tf.Summary.Image(
        width=width, height=height, colorspace=4, encoded_image_string=png.getvalue()
    )
    return tf.Summary.Value(tag=tag, image=image)
