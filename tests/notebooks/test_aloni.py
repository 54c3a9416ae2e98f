"""Aloni's network: its notebook run in a clean kernel, and as it is committed, against NumPy."""

import json

import numpy as np
import pytest

from experiment.report.readme import NOTEBOOK
from experiment.settings import PROJECT, Settings
from experiment.training import mnist
from tests import run_notebook
from tests.run_notebook import printed

pytestmark = pytest.mark.slow
PATH = PROJECT / "notebooks" / "aloni.ipynb"
STEPS = 60
# Of weights and biases, for manual and auto. By hand Aloni takes the mean for the biases, of ten
# images; his optimizer gets twice the cost, and its 0.1 is a float32.
OURS = ((0.5, 0.5), (0.5, 0.5))
RATES = {"float64": OURS, "float32": OURS, "Aloni": ((0.5, 0.05), (2 * np.float32(0.1),) * 2)}
COUNTS = ["93", "741", "870", "909", "904", "912", "916", "923"]
# The order is that of the operations which TensorFlow makes of the graph.
LAST_CELL = """
import json

sys.path.append(str(root / "tests" / "graph"))
from experiment.evaluation.dependencies import executed
from tests.reference.access_order import unordered

trained = {name: [each.weights._asdict() for each in pair] for name, pair in networks.items()}
feed = {pixels: images[batches[-1]], answers: labels[batches[-1]]}
results = {
    "weights": tf_session.run(trained),
    "apart": {name: [float(now[name]) for now in apart] for name in networks},
    "right": {name: [list(map(int, now[name])) for now in seen.values()] for name in networks},
    "unordered": unordered(executed(tf_session, steps, feed)),
}
print(json.dumps(results, default=np.ndarray.tolist))
"""
each_network = pytest.mark.parametrize(
    ("name", "which"), [(name, which) for name in RATES for which in (0, 1)]
)


def sigma(z):
    return 1 / (1 + np.exp(-z))


def initial_values():
    """Values beyond two deviations are replaced by the next of the stream until none is left."""
    random = np.random.RandomState(678)
    for shape in ((784, 30), (1, 30), (30, 10), (1, 10)):
        values = random.standard_normal(np.prod(shape))
        left = np.flatnonzero(abs(values) > 2)
        while len(left):
            values[left] = random.standard_normal(len(left))
            left = left[abs(values[left]) > 2]
        yield values.reshape(shape).astype(np.float32).astype(np.float64)


def train(data, steps, rate, rate_of_biases):
    """The weights, and the right answers after step 1, 1,001, … and the last one."""
    x = (data.images * np.float32(1 / 255)).astype(np.float64)
    y = np.eye(10)[data.labels]
    w_1, b_1, w_2, b_2 = initial_values()
    random = np.random.RandomState(678)
    right = []
    for step in range(steps):
        if step % 900 == 0:
            order = 1000 + random.permutation(9000)
        batch = order[10 * (step % 900) :][:10]
        a_1 = sigma(x[batch] @ w_1 + b_1)
        a_2 = sigma(a_1 @ w_2 + b_2)
        d = (a_2 - y[batch]) * a_2 * (1 - a_2)
        u = d @ w_2.T * a_1 * (1 - a_1)
        w_1 -= rate * x[batch].T @ u
        b_1 -= rate_of_biases * u.sum(0)
        w_2 -= rate * a_1.T @ d
        b_2 -= rate_of_biases * d.sum(0)
        if step % 1000 == 0 or step == steps - 1:
            predicted = sigma(sigma(x[:1000] @ w_1 + b_1) @ w_2 + b_2).argmax(1)
            right.append(int(np.sum(predicted == data.labels[:1000])))
    return {"w_1": w_1, "b_1": b_1, "w_2": w_2, "b_2": b_2}, right


@pytest.fixture(scope="module")
def data():
    return mnist.load(Settings().data_dir)


@pytest.fixture(scope="module")
def executed():
    """The notebook after a few steps, and the output of the last cell."""
    notebook = run_notebook.executed(PATH, f"STEPS = {STEPS}", LAST_CELL)
    return notebook, json.loads(printed(notebook, "last"))


def tables(notebook):
    """The rows of right answers and of largest differences, in columns of text."""
    parts = printed(notebook, "compare").split("\n\n")
    right, largest = ([line.split() for line in parts[i].splitlines()] for i in (1, 3))
    return right[2:], largest[1:]


def test_initial_values_are_of_a_truncated_normal():
    values = np.concatenate([values.ravel() for values in initial_values()])
    assert np.max(np.abs(values)) <= 2
    assert np.mean(values) == pytest.approx(0, abs=0.02)
    assert np.std(values) == pytest.approx(0.8796, abs=0.02)


@each_network
def test_it_trains_as_numpy_does(executed, data, name, which):
    _, results = executed
    weights, right = train(data, STEPS, *RATES[name][which])
    for field, expected in weights.items():
        values = results["weights"][name][which][field]
        tolerance = 1e-12 if name == "float64" else 1e-5
        np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance, err_msg=field)
    # One image may be rounded to the other side.
    assert [now[which] for now in results["right"][name]] == pytest.approx(right, abs=1)


def test_manual_and_auto_go_the_same_way(executed):
    notebook, results = executed
    apart = {name: np.maximum.accumulate(values) for name, values in results["apart"].items()}
    assert {len(values) for values in apart.values()} == {STEPS}
    assert apart["float64"][-1] < 1e-12
    assert 0 < apart["float32"][-1] < 1e-5
    assert apart["Aloni"][0] > 0.1
    right, largest = tables(notebook)
    for row, step in zip(largest, (1, STEPS), strict=True):
        assert row == [str(step), *(f"{apart[name][step - 1]:.1g}" for name in RATES)]
    for row, step, count, *now in zip(
        right, (1, STEPS), (COUNTS[0], "–"), *results["right"].values(), strict=True
    ):
        assert row == [str(step), count, *(str(each) for pair in now for each in pair)]


def test_reads_come_before_writes(executed):
    _, results = executed
    assert results["unordered"] == []


def test_what_is_committed_is_the_whole_run(data):
    notebook = run_notebook.read(PATH)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == [*range(1, len(counts) + 1)]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert {output.output_type for output in outputs} == {"stream", "display_data"}
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2

    right, largest = tables(notebook)
    steps = [f"{step:,}" for step in (*range(1, 10_000, 1000), 10_000)]
    assert [row[0] for row in right] == [row[0] for row in largest] == steps
    assert [row[1] for row in right] == [*COUNTS, "–", "–", "–"]
    assert [row[1] for row in largest] == ["0"] * len(steps)
    shown = np.array([row[2:] for row in right], int).T
    np.testing.assert_array_equal(shown[0], shown[1])
    rates = [rates for pair in RATES.values() for rates in pair]
    expected = {each: train(data, 10_000, *each)[1] for each in set(rates)}
    # The second row too: by then a last digit of float64 has not grown into a whole answer.
    assert list(shown[0][:2]) == expected[rates[0]][:2]
    for column, each in zip(shown, rates, strict=True):
        assert column[0] == expected[each][0]
        # In other rounding they are soon other networks, that are about as good.
        np.testing.assert_allclose(column, expected[each], rtol=0, atol=50)


def test_both_notebooks_begin_alike():
    first, other = (
        {cell.id: cell.source for cell in run_notebook.read(path).cells}
        for path in (PATH, NOTEBOOK)
    )
    for name in ("setup", "quiet"):
        assert first[name] == other[name]
