"""The notebook, run from the top in a clean kernel, and as it is committed with its outputs.

And what holds of every notebook.
"""

import json

import numpy as np
import pytest
from nbclient.exceptions import CellExecutionError

from experiment.report.readme import NOTEBOOKS
from experiment.settings import PROJECT, Settings
from experiment.training import mnist
from graph.weights import portable_draw
from tests import run_notebook
from tests.reference import numpy_steps
from tests.run_notebook import printed, read

pytestmark = pytest.mark.slow
PATH = PROJECT / "notebooks" / "decoupled_rnn.ipynb"
EPOCHS = 2
# What the controls do, with what they draw noted instead.
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
    "shares": {" ".join(key): share(run) for key, run in runs.items()},
    "quality": runs["published", "manual"].quality,
    "learning": {name: run.quality for name, run in learning.items()},
    "derivative_error": derivative_error,
    "controls": [[run.settings.numeric(), run.costs] for run in shown],
}))
"""


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def executed():
    """The notebook after a run with few epochs, and what it found."""
    notebook = run_notebook.executed(PATH, f"EPOCHS = {EPOCHS}", LAST_CELL)
    return notebook, json.loads(printed(notebook, "last"))


@pytest.fixture(scope="module")
def manual_by_numpy(split):
    """The weights before and after the post's first epochs in manual mode."""
    settings = Settings()
    draw = portable_draw(settings.seed)._asdict()
    w = {name: value.astype(np.float64) for name, value in draw.items()}
    before = {name: value.copy() for name, value in w.items()}
    for _ in range(EPOCHS):
        for x, y in zip(*split.train, strict=True):
            numpy_steps.step(settings, x, y, w)
    return before, w


def test_it_follows_the_recorded_runs(executed, recorded):
    _, found = executed
    for mode, run in recorded.items():
        expected = run["cost_per_epoch"][:EPOCHS]
        np.testing.assert_allclose(found["costs"][f"published {mode}"], expected, rtol=1e-4)
    np.testing.assert_allclose(
        found["costs"]["ordered manual"], found["costs"]["connected manual"], rtol=1e-5
    )
    assert found["derivative_error"] < 1e-12


def test_the_answers_and_labels_are_those_of_numpy(executed, manual_by_numpy, split):
    notebook, found = executed
    _, w = manual_by_numpy
    w = {name: value.copy() for name, value in w.items()}
    images = np.concatenate([split.test.x, split.held_out.x])
    said = np.rint(numpy_steps.predict(Settings(), images, w))
    labels = np.concatenate([split.test.y, split.held_out.y])
    total = len(split.test.y)
    own, before = found["shares"]["published manual"]
    # One image may be rounded to the other side.
    one = pytest.approx(0, abs=1.5 / len(split.held_out.y))
    assert own - np.mean(said[total:] == labels[total:]) == one
    assert before - np.mean(said[total:] == labels[total - 1 : -1]) == one
    lines = printed(notebook, "shifted").splitlines()
    assert lines[0] == (
        f"manual: {own:.1%} match the image's own label, {before:.1%} that of the image before"
    )
    rows = [line.split() for line in printed(notebook, "compare").splitlines()[1:]]
    assert {" ".join(row[:2]): row[-2:] for row in rows} == {
        name: [f"{share:.1%}" for share in shares] for name, shares in found["shares"].items()
    }


def test_the_cosines_are_those_of_numpy(executed, manual_by_numpy, split):
    _, found = executed
    assert len(found["quality"]) == EPOCHS + 1
    for w, quality in zip(manual_by_numpy, found["quality"][::EPOCHS], strict=True):
        expected = numpy_steps.quality(Settings(), *split.train, w)
        assert quality == pytest.approx(expected, rel=1e-3, abs=1e-5)
    learned = found["learning"]
    assert learned["synthetic gradient"][0] == [0, 0, 1, 1, 0, 0]
    assert min(learned["synthetic gradient"][1][:2]) > 0.1
    assert learned["true gradient"] == []


def test_the_controls_train(executed):
    _, found = executed
    # Of two clicks one: the other asked to tell threes from threes.
    ((settings, costs),) = found["controls"]
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
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 7
    labels = np.concatenate([split.test.y, split.held_out.y])
    rows = [line.split() for line in printed(notebook, "compare").splitlines()]
    shown = {row[1]: row[2:] for row in rows if row[0] == "published"}
    for mode, run in recorded.items():
        right = np.sum(np.rint(run["test_predictions"]) == split.test.y)
        said = np.rint(run["held_out_predictions"])
        own, before = (np.mean(said == labels[20:]), np.mean(said == labels[19:-1]))
        assert shown[mode][:3] == [str(right), "of", "20"]
        percent = [float(share.rstrip("%")) for share in shown[mode][3:]]
        assert percent == pytest.approx([100 * own, 100 * before], abs=0.15)


@pytest.mark.parametrize("name", ["timeline", "failures"])
def test_the_tables_that_it_shows_are_those_in_results(name):
    (cell,) = (cell for cell in read(PATH).cells if cell.id == name)
    shown = [
        output.data["text/markdown"] for output in cell.outputs if "text/markdown" in output.data
    ]
    assert shown == [(PROJECT / "results" / f"{name}.md").read_text()]


def rows_of(study):
    """The first table of a study: cells, by the experiment."""
    table = (PROJECT / "results" / "studies" / study / "table.md").read_text().split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    return {name: cells for name, *cells in rows}


def test_what_it_shows_of_the_studies_is_in_their_tables():
    shown = dict(line.split()[:2] for line in printed(read(PATH), "studies").splitlines())
    expected = {**rows_of("synthetic"), **rows_of("combinations")}
    assert shown == {name: cells[0].split()[0] for name, cells in expected.items()}
    guesses = rows_of("guesses")
    pairs = [line.split()[-2:] for line in printed(read(PATH), "guesses").splitlines()[1:]]
    for learns, pair in zip(("alone", "readout", "all"), pairs, strict=True):
        last = [
            guesses[name][-1].split(" → ")[1].split(",")[0] for name in (learns, f"label-{learns}")
        ]
        assert pair == last


@each_notebook
def test_nothing_in_the_file_is_of_one_machine_or_moment(path):
    text = path.read_text()
    assert len(text) < 1_000_000
    for trace in (str(PROJECT), "/root", "/home", "/tmp", "timestamp", "iopub", "python3.1"):
        assert trace not in text, trace
    assert set(read(path).metadata) == {"kernelspec"}
