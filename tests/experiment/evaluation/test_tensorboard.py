"""What `--tensorboard` writes, read back, and shown by TensorBoard itself."""

import csv
import html
import json
import re
import resource
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import matplotlib.image
import numpy as np
import oracle
import pytest
import tensorflow.compat.v1 as tf
from cases import CASES, WIDTH
from conftest import PROJECT

from experiment.report import layout
from experiment.settings import Settings
from experiment.training import mnist
from experiment.training.build import build
from experiment.training.events import ABOUT, FILE
from experiment.training.outcome import QUALITY
from graph.weights import portable_draw

NAME = "ordered-manual"
SETTINGS = Settings(
    wiring="ordered", epochs=3, train_images=30, test_images=4, digits=("3", "8"), lr_rec=1e-4
)
FLAGS = (
    "--wiring=ordered", "--epochs=3", "--train_images=30", "--test_images=4", "--digits=3,8",
    "--lr_rec=1e-4",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(reproduce, tmp_path_factory):
    """Of a run with events."""
    results_dir = tmp_path_factory.mktemp("results")
    result = reproduce(*FLAGS, "--tensorboard", f"--results_dir={results_dir}")
    assert (result.returncode, result.stderr) == (0, "")
    return results_dir / NAME


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


def costs(folder):
    with (folder / "cost.csv").open() as file:
        return {int(row["epoch"]): float(row["cost"]) for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def by_numpy():
    """The weights before the first epoch and after each, and the quality of that moment."""
    train = mnist.split(mnist.load(SETTINGS.data_dir), SETTINGS).train
    draw = portable_draw(SETTINGS.seed)._asdict()
    w = {name: value.astype(np.float64) for name, value in draw.items()}
    moments = []
    for epoch in range(SETTINGS.epochs + 1):
        if epoch:
            for x, y in zip(*train, strict=True):
                oracle.step(SETTINGS, x, y, w)
        quality = oracle.quality(SETTINGS, *train, w)
        moments.append(({name: value.copy() for name, value in w.items()}, quality))
    return moments


def test_the_cost_is_that_of_cost_csv(folder):
    _, tags = read(folder)
    assert scalars(tags, "cost_per_epoch") == pytest.approx(costs(folder), rel=1e-6)


def test_norms_and_histograms_are_those_of_numpy(folder, by_numpy):
    _, tags = read(folder)
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


def test_the_quality_is_that_of_numpy(folder, by_numpy):
    _, tags = read(folder)
    for at, name in enumerate(QUALITY):
        figures = scalars(tags, f"synthetic/{name}")
        assert list(figures) == [0, 1, 2, 3]
        for epoch, (_, expected) in enumerate(by_numpy):
            assert figures[epoch] == pytest.approx(expected[at], rel=1e-3, abs=1e-5)


BOXES = {"data", "weights", "time_box_1", "time_box_2", "readout", "cost"}


def test_the_graph_has_the_post_s_boxes(folder):
    graph, _ = read(folder)
    scopes = {node.name.partition("/")[0] for node in graph.node}
    own = {"manual_back_propagation", "epoch", "prediction", "quality_of_synthetic_gradients"}
    assert scopes == BOXES | own | {"save"}
    data = {node.name for node in graph.node if node.op in ("Placeholder", "VarHandleOp")}
    assert {"data/x", "data/y", "data/images", "data/labels"} <= data


IN_TURN = {
    "time_box_1", "update_1", "time_box_2", "update_2", "update_synthetic_gradient_1", "readout",
    "update_readout", "update_synthetic_gradient_2",
}  # fmt: skip
# What back-propagation by hand consists of: in the wiring `published`, then by --decoupled.
BY_HAND = {
    "published": {
        "synthetic_gradient_1", "synthetic_gradient_2", "true_gradient_1", "true_gradient_2",
        "updates",
    },
    "both": IN_TURN,
    "1": IN_TURN - {"update_readout", "update_synthetic_gradient_1", "update_synthetic_gradient_2"}
    | {"true_gradients"},
    "2": IN_TURN - {"update_1", "update_2", "update_synthetic_gradient_1"}
    | {"synthetic_gradient_2", "update_1_and_2"},
    "none": {"readout", "time_box_2", "time_box_1", "update_readout", "update_time_boxes"},
}  # fmt: skip


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_every_operation_is_in_a_box(settings):
    scopes = {
        tuple(op.name.split("/")[:-1]) for op in build(settings, WIDTH).graph.get_operations()
    }
    boxes = BOXES | {"epoch", "prediction", "save"}
    if settings.wiring == "published":
        boxes |= {"w_x_and_w_rec", "write_hidden_states"}
    if settings.mode == "auto":
        boxes |= {"automatic_differentiation"}
    else:
        boxes |= {"manual_back_propagation"}
        way = "published" if settings.wiring == "published" else settings.decoupled
        by_hand = {
            scope[1] for scope in scopes if scope[0] == "manual_back_propagation" and scope[1:]
        }
        assert by_hand == BY_HAND[way]
        boxes |= {"quality_of_synthetic_gradients"} if settings.decoupled != "none" else set()
    assert {scope[0] for scope in scopes} == boxes


def test_the_test_images_are_pictures(folder, tmp_path):
    _, tags = read(folder)
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


def test_the_file_is_small(folder):
    assert (folder / "tensorboard" / FILE).stat().st_size < 300_000


def test_auto_mode_has_no_cosine(reproduce, tmp_path):
    result = reproduce(*FLAGS[:5], "--mode=auto", "--tensorboard", f"--results_dir={tmp_path}")
    assert result.returncode == 0, result.stderr
    graph, tags = read(tmp_path / "ordered-auto")
    assert {name.partition("/")[0] for name in tags} == {
        "cost_per_epoch", "norm", "update_norm_per_epoch", "weights", "test_images",
    }  # fmt: skip
    assert any(node.name.startswith("automatic_differentiation/") for node in graph.node)


def test_the_other_files_are_the_same_bytes(folder, reproduce, tmp_path):
    result = reproduce(*FLAGS, "--notensorboard", f"--results_dir={tmp_path}")
    assert result.returncode == 0, result.stderr
    without = {path.name: path for path in (tmp_path / NAME).iterdir()}
    assert {path.name for path in folder.iterdir()} == {*without, "tensorboard"}
    for name in without.keys() - {"timing.json"}:
        assert (folder / name).read_bytes() == without[name].read_bytes(), name


def test_a_run_that_goes_on_has_all_costs(folder, reproduce, tmp_path):
    checkpoints = ("--checkpoint_every=2", f"--results_dir={tmp_path}")
    assert reproduce(*FLAGS, *checkpoints, "--keep_checkpoints").returncode == 0
    shutil.rmtree(tmp_path / NAME / "checkpoint" / "epoch-3")
    result = reproduce(*FLAGS, *checkpoints, "--resume", "--tensorboard")
    assert result.stdout.startswith("epoch 3 of 3")
    _, tags = read(tmp_path / NAME)
    assert scalars(tags, "cost_per_epoch") == pytest.approx(costs(folder), rel=1e-6)
    _, whole = read(folder)
    for name in ("norm/w_fc", "synthetic/pooled_cosine_1"):
        expected = {epoch: value for epoch, value in scalars(whole, name).items() if epoch >= 2}
        assert scalars(tags, name) == expected


@pytest.mark.parametrize("limit", [1000, 100_000])
def test_a_file_that_may_not_grow(limit, tmp_path):
    command = [sys.executable, PROJECT / "reproduce.py", *FLAGS, "--tensorboard"]
    result = subprocess.run(
        [*command, "--checkpoint_every=0", f"--results_dir={tmp_path}"],
        capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "--tensorboard" in line
    assert "too large" in line
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def server(folder):
    """The address of a TensorBoard that shows the run, with the layout of `make tensorboard`."""
    layout.write(folder.parent)
    process = subprocess.Popen(
        [
            sys.executable, "-m", "tensorboard.main",
            f"--logdir={folder.parent}", "--host=127.0.0.1", "--port=0",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        said = ""
        while "Press CTRL+C" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        yield re.search(r"http://127\.0\.0\.1:\d+/", said)[0]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_tensorboard_shows_it(server, folder):
    def get(path):
        with urllib.request.urlopen(server + path, timeout=30) as response:
            return response.read().decode()

    run, of_layout = f"{NAME}/tensorboard", "tensorboard"
    deadline = time.monotonic() + 60
    # The last that is written; TensorBoard reads in the background.
    while "test_images/03" not in get("data/plugin/images/tags"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert json.loads(get("data/runs")) == [of_layout, run]
    _, tags = read(folder)
    shown = json.loads(get("data/plugin/scalars/tags"))[run].keys()
    assert shown == {name for name in tags if tags[name][3].HasField("tensor")}
    assert len(shown) == 1 + len(QUALITY) + 2 * 6
    points = json.loads(get(f"data/plugin/scalars/scalars?run={run}&tag=cost_per_epoch"))
    assert {step: value for _, step, value in points} == pytest.approx(costs(folder), rel=1e-6)
    described = json.loads(get("data/plugin/scalars/tags"))[run]
    for tag, about in described.items():
        assert ABOUT[tag.partition("/")[0]] in html.unescape(about["description"])
    histograms = json.loads(get("data/plugin/histograms/tags"))[run]
    assert histograms.keys() == {name for name in tags if name.startswith("weights/")}
    assert json.loads(get("data/plugin/graphs/info"))[run]["run_graph"]
    graph = get(f"data/plugin/graphs/graph?run={run}&conceptual=false")
    assert 'name: "time_box_2/' in graph
    # The charts of the layout: each of its tags is one that the run has.
    charts = json.loads(get("data/plugin/custom_scalars/layout"))["category"][0]["chart"]
    assert [chart["title"] for chart in charts] == list(layout.CHARTS)
    for chart in charts:
        (tag,) = chart["multiline"]["tag"]
        found = urllib.parse.urlencode({"run": run, "tag": tag})
        lines = json.loads(get(f"data/plugin/custom_scalars/scalars?{found}"))
        assert lines["regex_valid"]
        assert [len(points) for points in lines["tag_to_events"].values()] in ([3], [4])
