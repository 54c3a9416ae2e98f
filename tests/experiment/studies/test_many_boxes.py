"""The study of many time boxes: its plan, its runs against NumPy, and what it writes."""

import json

import numpy as np
import pytest

from experiment.errors import UserError
from experiment.settings import Settings
from experiment.studies import store
from experiment.studies.many_boxes import __main__ as command
from experiment.studies.many_boxes import plan, summary
from experiment.studies.many_boxes.plan import CELLS, RANGES, SEEDS, TUNING_SEEDS, Cell
from experiment.training import mnist
from experiment.training.many_boxes import BLOCK, Run, initial_values, train
from graph.weights import Rates
from tests.reference import numpy_windows

CDNI = Cell("strips", 28, 1, "cdni")


def fake(run):
    """Measurements that a run might have: best where every rate is in the middle of its range."""
    total = 1000 if run.images == "test" else 7000
    middles = {name: (low * high) ** 0.5 for name, (low, high) in RANGES.items()}
    off = sum(
        abs(np.log(getattr(run, name) / middle))
        for name, middle in middles.items()
        if getattr(run, name)
    )
    right = 0.95 - 0.02 * off - 0.001 * (run.seed % 7)
    line = {**run._asdict(), "correct": round(right * total), "total": total, "cost_last": 1.0,
            "cpu_seconds": 1.0}  # fmt: skip
    if run.compared:
        line["cosines"] = [[0.5] * (run.time_boxes - 1)] * run.epochs
    return line


@pytest.fixture(scope="module")
def measured():
    """All of the study, without its training."""
    lines = {}
    for jobs in plan.phases(lines):
        lines |= {job.settings: fake(job.settings) for job in jobs}
    return lines


def test_every_cell_is_tuned_by_as_many_tries(measured):
    assert len(measured) == plan.total()
    for cell in CELLS:
        wide, narrow = plan.wide(cell), plan.narrow(cell, measured)
        assert len({json.dumps(rates) for rates in (*wide, *narrow)}) == 23
        for rates in wide:
            assert set(rates) == set(plan.RULES[cell.rule].tuned)
            assert all(RANGES[name][0] <= rate <= RANGES[name][1] for name, rate in rates.items())
        for name in narrow[0]:
            ratios = [rates[name] / narrow[0][name] for rates in narrow]
            assert 1 / 3.02 < min(ratios) < 0.5 and 2 < max(ratios) < 3.02


def test_the_best_of_those_with_three_seeds_is_chosen(measured):
    for cell in CELLS:
        correct = {}
        for rates in plan.narrow(cell, measured):
            runs = plan.runs_of(cell, rates, TUNING_SEEDS, "test")
            assert [run.seed for run in runs] == [100, 101, 102]
            correct[tuple(rates.items())] = sum(measured[run]["correct"] for run in runs)
        chosen = plan.chosen(cell, measured)
        assert correct[tuple(chosen.items())] == max(correct.values()) > min(correct.values())


def test_what_is_held_out_is_looked_at_once_with_seeds_that_tuned_nothing(measured):
    assert not set(SEEDS) & set(TUNING_SEEDS)
    for run in measured:
        assert (run.images == "held_out") == (run.seed in SEEDS)
    held_out = [run for run in measured if run.images == "held_out"]
    assert len(held_out) == len(CELLS) * len(SEEDS)


def test_it_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "CELLS", CELLS[:3])
    done = []

    def on_workers(jobs, *_, work, **__):
        assert work is train
        for job in jobs:
            if len(done) == 70:
                done.append(None)
                raise UserError("stopped")
            done.append(job.settings)
            yield job, fake(job.settings)

    monkeypatch.setattr(command, "on_workers", on_workers)
    with pytest.raises(UserError, match="stopped"):
        command.run(tmp_path)
    path = tmp_path / store.FILE
    assert len(path.read_text().splitlines()) == 70
    with path.open("a") as file:
        file.write('{"cut of')
    lines = command.run(tmp_path)
    assert len(lines) == plan.total() == 147
    assert len(done) == 148  # None was done twice.
    assert plan.read(tmp_path) == lines
    lines = path.read_text()
    command.run(tmp_path)
    assert path.read_text() == lines


@pytest.fixture(scope="module")
def data():
    return mnist.load(Settings().data_dir)


@pytest.mark.slow
@pytest.mark.parametrize(
    "run",
    [
        Run("strips", 4, 2, "state+label", 8, 1, 3, "test", 0.05, 0.05, 0.02, 0.1, compared=True),
        Run("delay", 3, 1, "state", 8, 1, 3, "held_out", 0.05, 0.05, 0.02),
    ],
    ids=lambda run: run.task,
)
def test_a_run_against_numpy(run, data):
    line = train(run, data)
    settings = Settings(
        digits=("01234", "56789"), train_images=2000, test_images=1000, split_seed=run.seed
    )
    split = mnist.split(data, settings)
    pixels = 784 // run.time_boxes if run.task == "strips" else 784
    windows = -(-run.time_boxes // run.window)
    rows = 8 + 2 * ("label" in run.module_input)
    shapes = {"w_x": [pixels, 8], "w_rec": [8, 8], "w_fc": [8, 1]}
    shapes |= {f"w_sg_{n}": [rows, 8] for n in range(1, windows)}
    drawn = initial_values(run, shapes)
    np.testing.assert_allclose(drawn["w_rec"] @ drawn["w_rec"].T, np.eye(8), atol=1e-12)
    w = {
        "h_0": np.zeros(8), "w_x": drawn["w_x"], "w_rec": drawn["w_rec"],
        "w_fc": drawn["w_fc"][:, 0],
    }  # fmt: skip
    modules = [
        {"w_sg": drawn[name], "label": float("label" in run.module_input), "alone": False}
        for name in shapes
        if "sg" in name
    ]
    rates = Rates(run.lr_x, run.lr_rec, run.lr_sg)

    def inputs(x):
        if run.task == "strips":
            return np.split(x, run.time_boxes)
        return [x] + [None] * (run.time_boxes - 1)

    cost, products = 0, np.zeros((3, run.time_boxes))
    for first in range(0, 2000, BLOCK):
        block = [(inputs(split.train.x[i]), split.train.y[i]) for i in range(first, first + BLOCK)]
        for xs, y in block:
            g = np.array(numpy_windows.gradients(xs, y, w, modules, run.window))
            t = np.array(numpy_windows.gradients(xs, y, w, [], run.time_boxes))
            products += [np.sum(one * other, 1) for one, other in ((g, t), (g, g), (t, t))]
        cost += sum(numpy_windows.step(xs, y, w, modules, rates, run.window) for xs, y in block)
    assert line["cost_last"] == pytest.approx(cost, rel=1e-3)
    images = getattr(split, run.images)
    right = 0
    for x, y in zip(*images, strict=True):
        a = {0: w["h_0"]}
        numpy_windows.forward(inputs(x), w, 1, a)
        right += (a[run.time_boxes] @ w["w_fc"] > 0) == y
    assert line["total"] == len(images.y)
    assert line["correct"] == pytest.approx(right, abs=2)
    assert {name: line[name] for name in Run._fields} == run._asdict()
    if run.compared:
        expected = (products[0] / np.sqrt(products[1] * products[2]))[:-1]
        np.testing.assert_allclose(line["cosines"], [expected], atol=2e-3)
        g_t, g_g, t_t = products[:, :-1]
        expected = np.sqrt((g_g - 2 * g_t + t_t) / t_t)
        np.testing.assert_allclose(line["relative_errors"], [expected], atol=2e-3)


@pytest.mark.slow
def test_a_run_that_diverges_says_0(data):
    rates = {"lr_x": 1e30, "lr_rec": 1e30, "lr_sg": 1e30}
    run = Run("delay", 2, 1, "state", 4, 1, 0, "test", **rates, compared=True)
    line = train(run, data)
    zeros = np.sum(
        mnist.split(
            data,
            Settings(digits=("01234", "56789"), train_images=2000, test_images=1000, split_seed=0),
        ).test.y
        == 0
    )
    assert line["cost_last"] is None
    assert line["correct"] == zeros
    json.dumps(line, allow_nan=False)


@pytest.mark.slow
def test_what_is_written(measured, tmp_path):
    summary.write(measured, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    pictures = {f"{name}.{kind}" for name in ("accuracy", "cosines") for kind in ("png", "svg")}
    texts = {
        "README.md", "finding.md", "table.md", "differences.md", "counting.md", "reach.md",
        "method.md",
    }  # fmt: skip
    assert names == texts | pictures
    hours = sum(run["cpu_seconds"] for run in measured.values()) / 3600
    assert f"took {hours:.1f} hours of processor time" in " ".join(
        (tmp_path / "README.md").read_text().split()
    )
    accuracies = summary.accuracies(measured)
    values = [
        measured[run]["correct"] / 70
        for run in plan.runs_of(CDNI, plan.chosen(CDNI, measured), SEEDS, "held_out")
    ]
    np.testing.assert_allclose(100 * accuracies[CDNI], values)
    row = next(
        line
        for line in (tmp_path / "table.md").read_text().splitlines()
        if line.startswith("| strips | 28 | 1 ")
    )
    assert f"{np.mean(values):.1f} (" in row
    assert "failed" not in (tmp_path / "table.md").read_text()


def test_failed_runs_are_counted(measured):
    accuracies = summary.accuracies(measured)
    accuracies[CDNI] = np.array([0.9] * 7 + [0.599, 0.5, 0.6])
    rows = summary.table(accuracies).splitlines()
    (row,) = (row for row in rows if "failed" in row)
    assert row.startswith("| strips | 28 | 1 ") and "2 failed" in row


def test_a_rate_on_an_edge_is_named(measured):
    """Here the best of `lr_x` lies far above what is tried."""
    lines = {
        run: {**line, "correct": round(900 * run.lr_x / (1 + run.lr_x))}
        for run, line in measured.items()
    }
    for jobs in plan.phases(lines):
        for job in jobs:
            run = job.settings
            lines[run] = {**fake(run), "correct": round(900 * run.lr_x / (1 + run.lr_x))}
    rows = summary.rates(lines).splitlines()
    assert all(row.rstrip("| ").endswith("lr_x") for row in rows[2:])
    plain = summary.rates(measured).splitlines()
    assert not any(row.rstrip("| ").endswith(tuple(RANGES)) for row in plain[2:])
