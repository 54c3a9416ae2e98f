"""`python -m experiment.report.layout`: for TensorBoard, wirings and modes side by side.

Its Custom Scalars then show a chart for each of `CHARTS`, with a line for each run below results/.
"""

from pathlib import Path

import tensorflow.compat.v1 as tf
from tensorboard.plugins.custom_scalar import layout_pb2, summary

from experiment.settings import RESULTS
from experiment.training.events import FILE

# The title of each chart and the tag of experiment/training/events.py that it shows.
CHARTS = {
    "cost per epoch": "cost_per_epoch",
    "pooled cosine of the guess, time box 1": "synthetic/pooled_cosine_1",
    "pooled cosine of the guess, time box 2": "synthetic/pooled_cosine_2",
    "what an epoch changes in Wx (norm)": "update_norm_per_epoch/w_x",
    "what an epoch changes in Wrec (norm)": "update_norm_per_epoch/w_rec",
    "what an epoch changes in Wfc (norm)": "update_norm_per_epoch/w_fc",
}


def write(results: Path) -> None:
    """Writes the layout where TensorBoard finds it when it shows the folder of all results."""
    charts = [
        layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=[f"^{tag}$"]))
        for title, tag in CHARTS.items()
    ]
    category = layout_pb2.Category(title="Wirings and modes side by side", chart=charts)
    found = summary.pb(layout_pb2.Layout(category=[category]))
    folder = results / "tensorboard"
    folder.mkdir(exist_ok=True)
    with tf.python_io.TFRecordWriter(str(folder / FILE)) as file:
        for event in (
            tf.Event(file_version="brain.Event:2"),
            tf.Event(summary=tf.Summary.FromString(found.SerializeToString())),
        ):
            file.write(event.SerializeToString())


if __name__ == "__main__":
    write(RESULTS)
