"""The notebook, run from the top in a clean kernel, and as it is committed with its outputs.

And what holds of every notebook.
"""

import ast
import inspect
import json

import numpy as np
import pytest
from nbclient.exceptions import CellExecutionError

from experiment.report.readme import NOTEBOOKS
from experiment.settings import PROJECT, Settings
from experiment.training import mnist
from graph import backprop, network
from graph.weights import portable_draw
from tests import run_notebook
from tests.reference import numpy_steps
from tests.run_notebook import printed, read

pytestmark = pytest.mark.slow
PATH = PROJECT / "notebooks" / "decoupled_rnn.ipynb"
EPOCHS = 2
# The controls, with a list of what they draw.
LAST_CELL = """
import json

shown = []
Run.show = lambda run: shown.append(run)
modes.value, wirings.value, zero.value, one.value = "auto", "connected", 3, 8
epochs.value, rates["lr_auto"].value = 1, 0.01
button.click()
one.value = 3
button.click()
print(json.dumps({
    "costs": {" ".join(key): run.costs for key, run in runs.items()},
    "shares": {" ".join(key): list(run.shares().values()) for key, run in runs.items()},
    "derivative_error": derivative_error,
    "controls": [[run.settings.numeric(), run.costs] for run in shown],
}))
"""


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def executed():
    """The notebook after a run with few epochs, and the output of the last cell."""
    notebook = run_notebook.executed(PATH, f"EPOCHS = {EPOCHS}", LAST_CELL)
    return notebook, json.loads(printed(notebook, "last"))


@pytest.fixture(scope="module")
def manual_by_numpy(split):
    """The weights after the post's first epochs in manual mode."""
    settings = Settings()
    draw = portable_draw(settings.seed)._asdict()
    w = {name: value.astype(np.float64) for name, value in draw.items()}
    for _ in range(EPOCHS):
        for x, y in zip(*split.train, strict=True):
            numpy_steps.step(settings, x, y, w)
    return w


def test_it_follows_the_recorded_runs(executed, recorded):
    notebook, results = executed
    for mode, run in recorded.items():
        expected = run["cost_per_epoch"][:EPOCHS]
        np.testing.assert_allclose(results["costs"][f"published {mode}"], expected, rtol=1e-4)
    np.testing.assert_allclose(
        results["costs"]["ordered manual"], results["costs"]["connected manual"], rtol=1e-5
    )
    assert results["derivative_error"] < 1e-12
    rows = [line.split() for line in printed(notebook, "run-both").splitlines()[1:]]
    assert [row[0] for row in rows] == ["manual", "auto"]
    for mode, first, first_recorded, last, last_recorded, *_, correct, of, total in rows:
        run = recorded[mode]
        costs = results["costs"][f"published {mode}"]
        assert [first, last] == [f"{costs[i]:.3f}" for i in (0, -1)]
        expected = run["cost_per_epoch"][:EPOCHS]
        assert [first_recorded, last_recorded] == [f"{expected[i]:.3f}" for i in (0, -1)]
        right = np.sum(np.rint(run["test_predictions"]) == run["test_labels"])
        assert [correct, of, total] == [str(right), "of", "20"]


def test_the_answers_and_labels_are_those_of_numpy(executed, manual_by_numpy, split):
    notebook, results = executed
    w = {name: value.copy() for name, value in manual_by_numpy.items()}
    images = np.concatenate([split.test.x, split.held_out.x])
    answers = np.rint(numpy_steps.predict(Settings(), images, w))
    labels = np.concatenate([split.test.y, split.held_out.y])
    total = len(split.test.y)
    shares = results["shares"]["published manual"]
    # One image may be rounded to the other side.
    one = pytest.approx(0, abs=1.5 / len(split.held_out.y))
    for offset, share in zip(range(-3, 4), shares, strict=True):
        there = labels[total + offset :][: len(split.held_out.y)]
        assert share - np.mean(answers[total : total + len(there)] == there) == one, offset
    rows = [line.split() for line in printed(notebook, "compare").splitlines()[1:]]
    assert {" ".join(row[:2]): row[-2:] for row in rows} == {
        name: [f"{shares[i]:.1%}" for i in (3, 2)] for name, shares in results["shares"].items()
    }


def body(function):
    """The code of a function without signature and docstring: its lines, without indentation."""
    source = inspect.getsource(function).splitlines()
    (tree,) = ast.parse("\n".join(source)).body
    return [line.strip() for line in source[tree.body[0].end_lineno :] if line.strip()]


@pytest.mark.parametrize(
    ("function", "cells"),
    [
        (network.published, "show-published-"),
        (backprop.published_manual, "show-manual-"),
        (backprop.auto, "show-auto-"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_it_shows_every_line_of_the_function_once(function, cells):
    shown = []
    for cell in read(PATH).cells:
        if cell.id.startswith(cells):
            (output,) = cell.outputs
            title, fence, *lines, end = output.data["text/markdown"].splitlines()
            assert (fence, end) == ("```python", "```")
            assert title.startswith(f"`{function.__name__}` in ")
            shown += [line.strip() for line in lines if line.strip()]
    assert shown == body(function)


def test_a_line_that_is_gone_is_an_error():
    notebook = read(PATH)
    needed = ("setup", "quiet", "imports", "derivatives", "show-auto-1")
    notebook.cells = [cell for cell in notebook.cells if cell.id in needed]
    notebook.cells[-1].source = notebook.cells[-1].source.replace("with tf.control", "is gone")
    with pytest.raises(CellExecutionError, match="auto has no line 'is gone'"):
        run_notebook.execute(notebook, PATH.parent)


def test_the_controls_train(executed):
    _, results = executed
    # The second click is refused: threes against threes.
    ((settings, costs),) = results["controls"]
    expected = Settings(
        mode="auto", wiring="connected", digits=("3", "8"), epochs=1, lr_auto=0.01
    ).numeric()
    assert settings == json.loads(json.dumps(expected))
    w = {name: value.astype(np.float64) for name, value in portable_draw(678)._asdict().items()}
    train = mnist.split(mnist.load(Settings().data_dir), Settings(digits=("3", "8"))).train
    by_numpy = [numpy_steps.through_time(x, y, w, 0.01, 0.01) for x, y in zip(*train, strict=True)]
    assert costs == pytest.approx([sum(by_numpy)], rel=1e-3)


@each_notebook
def test_outside_the_project_it_says_where_to_start(path, tmp_path):
    notebook = read(path)
    notebook.cells = notebook.cells[:2]
    with pytest.raises(CellExecutionError, match="Start Jupyter inside the project's folder"):
        run_notebook.execute(notebook, tmp_path, timeout=60)


def test_what_is_committed_was_run_from_the_top(recorded, split):
    notebook = read(PATH)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    # The controls need a kernel: of them nothing is kept.
    assert counts == [*range(1, len(counts)), None]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert {output.output_type for output in outputs} == {"stream", "display_data"}
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 6
    labels = np.concatenate([split.test.y, split.held_out.y])
    rows = [line.split() for line in printed(notebook, "compare").splitlines()]
    shown = {row[1]: row[2:] for row in rows if row[0] == "published"}
    for mode, run in recorded.items():
        right = np.sum(np.rint(run["test_predictions"]) == split.test.y)
        predicted = np.rint(run["held_out_predictions"])
        own, before = (np.mean(predicted == labels[20:]), np.mean(predicted == labels[19:-1]))
        assert shown[mode][:3] == [str(right), "of", "20"]
        percent = [float(share.rstrip("%")) for share in shown[mode][3:]]
        assert percent == pytest.approx([100 * own, 100 * before], abs=0.15)


@each_notebook
def test_nothing_in_the_file_is_of_one_machine_or_moment(path):
    text = path.read_text()
    assert len(text) < 1_000_000
    for trace in (str(PROJECT), "/root", "/home", "/tmp", "timestamp", "iopub", "python3.1"):
        assert trace not in text, trace
    assert set(read(path).metadata) == {"kernelspec"}
