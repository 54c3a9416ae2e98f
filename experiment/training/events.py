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

from experiment.settings import UserError
from experiment.training.answers import PICTURED_IMAGES, draw_image, what_was_said
from experiment.training.mnist import Images
from experiment.training.outcome import History
from experiment.training.session import Running

FILE = "events.out.tfevents"
BINS = 30
# What the values of a tag are, and in what unit, by how its name begins.
ABOUT = {
    "cost_per_epoch": "½(p − y)² summed over the training images of the epoch",
    "norm": "Euclidean norm of all entries, after the epoch",
    "update_norm_per_epoch": "Euclidean norm of what the epoch changed in all entries",
    "synthetic": "without unit: cosines from −1 to 1; relative errors, of which a guess of 0 has 1",
}


class Events:
    """Writes the event file of a run, epoch by epoch. Epoch 0 is the moment before the first."""

    def __init__(self, folder: Path) -> None:
        """Begins the file.

        Args:
            folder: for the file; it is made.

        Raises:
            UserError: the file cannot be written; the other methods raise it too.
        """
        with _cannot_write():
            tf.gfile.MkDir(str(folder))
            self._file = tf.python_io.TFRecordWriter(str(folder / FILE))
        self._write(tf.Event(file_version="brain.Event:2"))
        self._weights: dict[str, npt.NDArray[np.floating]] = {}

    def observe(self, history: History, running: Running) -> None:
        """Writes what the weights are like, and what has come of the epoch behind.

        At first also the graph, and the costs of the epochs behind when a run goes on.
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
        if (quality := running.quality()) is not None:
            values += [_scalar(f"synthetic/{k}", v) for k, v in quality._asdict().items()]
        self._summary(len(costs), values)

    def finish(
        self, epoch: int, images: Images, p: npt.NDArray[np.floating], digits: tuple[str, str]
    ) -> None:
        """Writes pictures of the first test images, and what was said of them; closes the file.

        Args:
            epoch: the last one.
            images: the test images.
            p: for each the probability that its label is 1, [n].
            digits: the sets that the labels 0 and 1 stand for.
        """
        # zip ends with the shortest.
        shown = zip(range(PICTURED_IMAGES), *images, p, strict=False)
        pictures = [
            _picture(f"test_images/{number:02}", x, *what_was_said(digits, y, p_of_one))
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
        # After the path, the system's own message.
        reason = error.message.rpartition("; ")[2]
        raise UserError(
            f"cannot write what --tensorboard asks for ({reason}): make room in --results_dir, or "
            "choose another folder"
        ) from None


def _scalar(tag: str, value: float | np.floating) -> tf.Summary.Value:
    # As a tensor: of a `simple_value` TensorBoard drops what is said about it.
    about = tf.SummaryMetadata(
        summary_description=ABOUT[tag.partition("/")[0]],
        plugin_data=tf.SummaryMetadata.PluginData(plugin_name="scalars"),
    )
    tensor = tf.make_tensor_proto(value, tf.float32)
    return tf.Summary.Value(tag=tag, tensor=tensor, metadata=about)


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


def _picture(tag: str, x: npt.NDArray[np.float32], said: str, color: str) -> tf.Summary.Value:
    """An image x [784] under what was said of it."""
    figure = Figure(figsize=(1.6, 1.9), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    draw_image(axes, x)
    axes.set_title(said, color=color)
    png = io.BytesIO()
    figure.savefig(png)
    width, height = figure.canvas.get_width_height()
    image = tf.Summary.Image(
        width=width, height=height, colorspace=4, encoded_image_string=png.getvalue()
    )
    return tf.Summary.Value(tag=tag, image=image)
