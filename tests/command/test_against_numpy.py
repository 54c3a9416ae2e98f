"""Whole runs of the command against NumPy programs, and against each other, on the real data."""

import csv
import dataclasses
import hashlib
import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from experiment.settings import PROJECT, Settings
from graph.weights import portable_draw
from numpy_version import decoupled_rnn
from tests import processes
from tests.preloaded_process import run
from tests.reference import numpy_steps
from tests.reference.result_files import read_costs, read_predictions

pytestmark = pytest.mark.slow
RECORDED = PROJECT / "tests" / "reference" / "recorded"


def computed_once(program, settings, split):
    """Costs and predictions in float64, computed once for a program, its settings and data."""
    draw = portable_draw(settings.seed)
    digest = hashlib.sha256(repr((program.__name__, settings.numeric())).encode())
    for module in (numpy_steps, decoupled_rnn):
        digest.update(Path(module.__file__).read_bytes())
    digest.update(inspect.getsource(program).encode())
    for values in (*draw, *split.test, *split.train, *split.held_out):
        digest.update(values.tobytes())
    path = RECORDED / f"{settings.name}.npz"
    if path.exists() and np.load(path)["digest"] == digest.hexdigest():
        content = np.load(path)
    else:
        costs, predictions = program(settings, split)
        content = {"costs": costs, **predictions}
        np.savez_compressed(path, digest=digest.hexdigest(), **content)
    return content["costs"], {name: content[name] for name in ("test", "held_out")}


def run_numpy(settings, split):
    """Costs and predictions of the NumPy programs, in float64."""
    draw = portable_draw(settings.seed)._asdict()
    w = {name: value.astype(np.float64) for name, value in draw.items()}
    costs = [
        sum(numpy_steps.step(settings, x, y, w) for x, y in zip(*split.train, strict=True))
        for _ in range(settings.epochs)
    ]
    return costs, {
        name: numpy_steps.predict(settings, getattr(split, name).x, w)
        for name in ("test", "held_out")
    }


@pytest.mark.parametrize(
    ("mode", "engine"), [("manual", "stepwise"), ("manual", "delayed"), ("auto", "stepwise")]
)
def test_other_settings_follow_numpy(mode, engine, tmp_path, split):
    rates = {"auto": {"lr_auto": 0.05}, "manual": {"lr_x": 0.01, "lr_rec": 1e-4, "lr_sg": 1e-3}}
    settings = Settings(mode=mode, epochs=3, seed=7, **rates[mode])
    result = run(
        f"--mode={mode}", f"--engine={engine}", "--seed=7", "--epochs=3",
        f"--results_dir={tmp_path}", *(f"--{name}={rate}" for name, rate in rates[mode].items()),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    costs, predictions = run_numpy(settings, split)
    folder = tmp_path / f"published-{mode}"
    np.testing.assert_allclose(read_costs(folder), costs, rtol=1e-4)
    actual = read_predictions(folder)
    for name, p in predictions.items():
        np.testing.assert_allclose(actual[name], p, atol=1e-4)
    assert json.loads((folder / "metrics.json").read_text())["seed"] == 7
    assert "--seed=7" in (folder / "diff.md").read_text()
    assert "No published program's run is recorded" in result.stdout


@pytest.mark.parametrize("rate", ["--lr_sg=3e38", "--lr_sg=1e30"])
def test_numpy_s_cost_that_is_not_finite_gets_one_line(rate, tmp_path):
    result = run("--mode=numpy", rate, "--epochs=2", f"--results_dir={tmp_path}")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "the cost of epoch 1 is nan" in line
    assert list(tmp_path.iterdir()) == []


def run_numpy_version(settings, split):
    """As `run_numpy`, for the `ordered` wiring's manual mode: by the Numpy post's own code."""
    draw = portable_draw(settings.seed)
    w = decoupled_rnn.Weights(
        draw.hidden_states[:, 0], draw.w_x, draw.w_rec, draw.w_fc[:, 0], draw.w_sg_1, draw.w_sg_2
    )
    rates = decoupled_rnn.Rates(settings.lr_x, settings.lr_rec, settings.lr_sg)
    costs = [
        decoupled_rnn.epoch(zip(*split.train, strict=True), w, rates, "outer")
        for _ in range(settings.epochs)
    ]
    return costs, {
        name: np.array([decoupled_rnn.predict(x, w) for x in getattr(split, name).x])
        for name in ("test", "held_out")
    }


@pytest.fixture(scope="module")
def ordered_by_numpy(split):
    run = {"manual": run_numpy_version, "auto": run_numpy}
    return {
        mode: computed_once(run[mode], Settings(mode=mode, wiring="ordered"), split) for mode in run
    }


@pytest.mark.parametrize(
    ("mode", "engine", "test_correct", "held_out"),
    [
        ("manual", "stepwise", 19, 0.98),
        ("manual", "delayed", 19, 0.98),
        ("auto", "stepwise", 20, 0.99),
    ],
)
def test_ordered_follows_numpy_and_tells_zeros_from_ones(
    mode, engine, test_correct, held_out, tmp_path, ordered_by_numpy
):
    result = run(
        f"--mode={mode}", f"--engine={engine}", "--wiring=ordered", f"--results_dir={tmp_path}"
    )
    assert result.returncode == 0, result.stderr
    folder = tmp_path / f"ordered-{mode}"
    costs, predictions = ordered_by_numpy[mode]
    # Auto's cost falls below 1e-3, where the float32 p of a hundred images near 0 and 1 shows.
    atol = {"manual": 0, "auto": 1e-6}[mode]
    np.testing.assert_allclose(read_costs(folder), costs, rtol=1e-4, atol=atol)
    actual = read_predictions(folder)
    for name, p in predictions.items():
        np.testing.assert_allclose(actual[name], p, atol=1e-4)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test_correct"] >= test_correct
    assert metrics["held_out_accuracy"] >= held_out


def test_back_propagation_by_hand_is_automatic_differentiation(tmp_path):
    common = ("--wiring=connected", "--epochs=20", f"--results_dir={tmp_path}")
    for own in (
        "--mode=auto --lr_auto=0.01",
        "--gradient_1=true --gradient_2=true --lr_x=0.01 --lr_rec=0.01",
    ):
        assert run(*common, *own.split()).returncode == 0
    auto, true = (
        read_costs(tmp_path / name) for name in ("connected-auto", "connected-manual-true-true")
    )
    assert auto[-1] < 0.1 * auto[0]
    np.testing.assert_allclose(true, auto, rtol=1e-4)


def test_connected_is_ordered_in_manual_mode(tmp_path):
    for wiring in ("ordered", "connected"):
        arguments = (f"--wiring={wiring}", "--epochs=5", "--lr_rec=1e-5", "--digits=3,8")
        assert run(*arguments, f"--results_dir={tmp_path}").returncode == 0
    ordered, connected = (tmp_path / f"{wiring}-manual" for wiring in ("ordered", "connected"))
    np.testing.assert_allclose(read_costs(ordered), read_costs(connected), rtol=1e-5)
    assert json.loads((ordered / "metrics.json").read_text())["digits"] == ["3", "8"]


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({"module_input": "state+label", "diagnostics": True}, 786),
        ({"module_input": "state+label", "label_scale": 4.0, "engine": "delayed"}, 786),
        ({"module_input": "label"}, 2),
        ({"gradient_2": "true", "synthetic_step": "descend", "diagnostics": True}, 784),
        ({"gradient_1": "random", "gradient_2": "random", "diagnostics": True}, 784),
        ({"gradient_1": "zero", "synthetic_step": "descend", "module_input": "state+label"}, 786),
        ({"synthetic_step": "descend", "warm_up": True, "decay": 0.5}, 784),
    ],
)
def test_update_rules_follow_numpy(changes, rows, tmp_path, split):
    settings = Settings(wiring="ordered", epochs=2, train_images=10, lr_rec=1e-4, **changes)
    own = [f"--{name}={value}" for name, value in changes.items()]
    flags = "--wiring=ordered --epochs=2 --train_images=10 --lr_rec=1e-4"
    result = run(*flags.split(), *own, f"--results_dir={tmp_path}")
    assert result.returncode == 0, result.stderr
    folder = tmp_path / settings.name
    drawn = {
        "hidden_states": ((784, 3), 1), "w_x": ((784, 784), 0.45), "w_rec": ((784, 784), 0.035),
        "w_fc": ((784, 1), 0.95), "w_sg_1": ((rows, 784), 0.35), "w_sg_2": ((rows, 784), 0.35),
    }  # fmt: skip
    random = np.random.RandomState(settings.seed)
    w = {
        name: random.standard_normal(shape) * (deviation if deviation == 1 else deviation * 0.2)
        for name, (shape, deviation) in drawn.items()
    }
    train = [images[:10] for images in split.train]
    costs = []
    for epoch in (0, 1):
        rate = 1e-4 * settings.decay**epoch * (0.1 if settings.warm_up and not epoch else 1)
        of_epoch = dataclasses.replace(settings, lr_rec=rate)
        by_image, expected = numpy_steps.epoch_with_quality(of_epoch, *train, w)
        costs.append(sum(by_image))
        if settings.diagnostics:
            with (folder / "quality.csv").open() as file:
                figures = list(map(float, [*csv.DictReader(file)][epoch].values()))
            np.testing.assert_allclose(figures, [epoch + 1, *expected], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(read_costs(folder), costs, rtol=1e-4)
    assert (folder / "quality.csv").exists() == settings.diagnostics


def test_the_numpy_post_is_followed(tmp_path):
    recorded = json.loads((PROJECT / "traces" / "numpy-post.json").read_text())
    result = processes.run("--mode=numpy", f"--results_dir={tmp_path}", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0, result.stderr
    assert "tensorflow" not in result.stderr
    folder = tmp_path / "numpy-inner"
    np.testing.assert_allclose(read_costs(folder), recorded["cost_per_epoch"], rtol=1e-9)
    for name, p in read_predictions(folder).items():
        np.testing.assert_allclose(p, recorded[f"{name}_predictions"], rtol=0, atol=1e-9)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["test_correct"], metrics["test_total"]) == (8, 10)
    assert metrics["held_out_accuracy"] == pytest.approx(0.810, abs=5e-4)


def test_the_numpy_post_without_its_fault(tmp_path):
    result = run("--mode=numpy", "--recurrent_update=outer", f"--results_dir={tmp_path}")
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "numpy-outer" / "metrics.json").read_text())
    # The figures of docs/experiment.md §7.
    assert metrics["cost_first"] == pytest.approx(9.281, abs=5e-4)
    assert metrics["cost_last"] == pytest.approx(1.125, abs=5e-4)
    assert metrics["test_correct"] == 8
    assert metrics["held_out_accuracy"] == pytest.approx(0.839, abs=5e-4)
