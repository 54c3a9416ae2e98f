"""The event file of a run, read back."""

import contextlib
import dataclasses
import resource
import time

import matplotlib.image
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from experiment.errors import UserError
from experiment.evaluation.run import run
from experiment.evaluation.tensorboard import FILE, Events
from experiment.settings import Settings
from experiment.training import mnist
from experiment.training.outcome import QUALITY
from graph.weights import portable_draw
from tests.reference import numpy_steps

SETTINGS = Settings(
    wiring="ordered", epochs=3, train_images=30, test_images=4, digits=("3", "8"), lr_rec=1e-4,
    diagnostics=True,
)  # fmt: skip


def run_with_events(folder, settings):
    """Trains, with events in the folder; returns the costs."""
    split = mnist.split(mnist.load(settings.data_dir), settings)
    events = Events(folder / "tensorboard")
    outcome, _, _ = run(settings, split, observe=events.observe)
    events.finish(settings.epochs, split.test, outcome.test, settings.digits)
    return dict(enumerate(outcome.history.costs, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def costs(folder):
    return run_with_events(folder, SETTINGS)


@pytest.fixture(scope="module")
def events(folder, costs):
    """The graph, and the value of every tag by epoch."""
    return read(folder)


def read(folder):
    """The graph, and the value of every tag by epoch."""
    (path,) = (folder / "tensorboard").iterdir()
    assert path.name == FILE
    graph, tags = None, {}
    for event in tf.train.summary_iterator(str(path)):
        assert abs(event.wall_time - time.time()) < 3600
        if event.graph_def:
            graph = tf.GraphDef.FromString(event.graph_def)
        for value in event.summary.value:
            assert event.step not in tags.setdefault(value.tag, {})
            tags[value.tag][event.step] = value
    return graph, tags


def scalars(tags, name):
    return {epoch: float(tf.make_ndarray(value.tensor)) for epoch, value in tags[name].items()}


@pytest.fixture(scope="module")
def by_numpy():
    """The weights before the first epoch and after each, and the quality of each epoch."""
    train = mnist.split(mnist.load(SETTINGS.data_dir), SETTINGS).train
    draw = portable_draw(SETTINGS.seed)._asdict()
    w = {name: value.astype(np.float64) for name, value in draw.items()}
    moments = [({name: value.copy() for name, value in w.items()}, None)]
    for _ in range(SETTINGS.epochs):
        _, quality = numpy_steps.epoch_with_quality(SETTINGS, *train, w)
        moments.append(({name: value.copy() for name, value in w.items()}, quality))
    return moments


def test_the_cost_is_that_of_the_run(events, costs):
    _, tags = events
    assert scalars(tags, "cost_per_epoch") == pytest.approx(costs, rel=1e-6)


def test_norms_and_histograms_are_those_of_numpy(events, by_numpy):
    _, tags = events
    for name in by_numpy[0][0]:
        norms, updates = (
            scalars(tags, f"norm/{name}"),
            scalars(tags, f"update_norm_per_epoch/{name}"),
        )
        assert list(norms) == list(tags[f"weights/{name}"]) == [0, 1, 2, 3]
        assert list(updates) == [1, 2, 3]
        for epoch, (w, _) in enumerate(by_numpy):
            assert norms[epoch] == pytest.approx(np.linalg.norm(w[name]), rel=1e-4)
            histogram = tags[f"weights/{name}"][epoch].histo
            counts, edges = np.histogram(w[name], len(histogram.bucket))
            assert histogram.num == sum(histogram.bucket) == w[name].size
            # An entry near an edge may be rounded to the other side of it.
            np.testing.assert_allclose(histogram.bucket, counts, atol=5)
            np.testing.assert_allclose(histogram.bucket_limit, edges[1:], atol=1e-3)
            assert (histogram.min, histogram.max) == pytest.approx((edges[0], edges[-1]), abs=1e-3)
            assert histogram.sum == pytest.approx(np.sum(w[name]), abs=0.02)
            assert histogram.sum_squares == pytest.approx(np.sum(w[name] ** 2), rel=1e-4)
            if epoch:
                update = np.linalg.norm(w[name] - by_numpy[epoch - 1][0][name])
                # Of the difference of two float32.
                assert updates[epoch] == pytest.approx(update, rel=1e-2)


def test_the_quality_is_that_of_numpy(events, by_numpy):
    _, tags = events
    for at, name in enumerate(QUALITY):
        figures = scalars(tags, f"quality/{name}")
        assert list(figures) == [1, 2, 3]
        for epoch, figure in figures.items():
            assert figure == pytest.approx(by_numpy[epoch][1][at], rel=1e-3, abs=1e-5)


def test_the_graph_has_the_post_s_boxes(events):
    graph, _ = events
    scopes = {node.name.partition("/")[0] for node in graph.node}
    boxes = {"data", "weights", "time_box_1", "time_box_2", "readout", "cost", "save"}
    own = {"manual_back_propagation", "epoch", "prediction"}
    assert scopes == boxes | own
    data = {node.name for node in graph.node if node.op in ("Placeholder", "VarHandleOp")}
    assert {"data/x", "data/y", "data/images", "data/labels"} <= data


def test_the_test_images_are_pictures(events, tmp_path):
    _, tags = events
    pictures = {name: values for name, values in tags.items() if name.startswith("test_images/")}
    assert list(pictures) == [f"test_images/0{number}" for number in range(4)]
    for values in pictures.values():
        assert list(values) == [3]
        image = values[3].image
        (tmp_path / "picture.png").write_bytes(image.encoded_image_string)
        pixels = matplotlib.image.imread(tmp_path / "picture.png")
        assert pixels.shape == (image.height, image.width, image.colorspace)
        # Text above, the digit below.
        for half in np.array_split(pixels[..., :3], 2):
            assert np.mean(np.any(half < 0.9, axis=-1)) > 0.02


def test_the_file_is_small(folder, events):
    assert (folder / "tensorboard" / FILE).stat().st_size < 300_000


def test_auto_mode_has_no_cosine(tmp_path):
    run_with_events(
        tmp_path,
        dataclasses.replace(SETTINGS, mode="auto", lr_rec=1e-6, epochs=1, diagnostics=False),
    )
    graph, tags = read(tmp_path)
    assert {name.partition("/")[0] for name in tags} == {
        "cost_per_epoch", "norm", "update_norm_per_epoch", "weights", "test_images",
    }  # fmt: skip
    assert any(node.name.startswith("automatic_differentiation/") for node in graph.node)


@contextlib.contextmanager
def files_up_to(size):
    """Files of this process may not grow beyond this size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [1000, 100_000])
def test_a_file_that_may_not_grow(limit, tmp_path):
    with (
        files_up_to(limit),
        pytest.raises(UserError, match=r"cannot write TensorBoard's file .*too large"),
    ):
        run_with_events(tmp_path, dataclasses.replace(SETTINGS, epochs=1))
