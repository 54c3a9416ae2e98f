"""Studies: the command as a user runs it, cut off or not; and their figures beside SciPy's."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT
from matplotlib.figure import Figure
from test_cluster import config, scheduler, worker

import flags
from experiment.settings import Settings, UserError
from experiment.studies import definition, runs, study, summary
from experiment.training import mnist

__all__ = ["config"]
STUDY = """
seeds = 2
images = "held_out"
[experiments]
later = "--mode=auto --wiring=ordered --epochs=2 --train_images=20"
first = "--engine=delayed --epochs=2 --train_images=20"
[differences]
later = "first"
"""
NAMES = {
    "README.md", "table.md", "points.png", "points.svg", "cosines.png", "cosines.svg", "runs.jsonl",
}  # fmt: skip


def command(folder, *arguments, **environment):
    (folder / "small.toml").write_text(STUDY)
    command = [sys.executable, PROJECT / "reproduce.py", f"--study={folder / 'small.toml'}"]
    result = subprocess.run(
        [*command, f"--results_dir={folder / 'results'}", *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result


def content(folder):
    return {path.name: path.read_bytes() for path in folder.glob("results/studies/small/*")}


def measured(folder):
    return runs.read(folder / "results/studies/small")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a study that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    assert "| later − first " in command(folder).stdout
    assert set(content(folder)) == NAMES
    return folder


def test_a_run_of_a_study_is_a_run_of_the_command(whole, reproduce, tmp_path):
    found = measured(whole)
    assert [(run["experiment"], run["seed"]) for run in found] == [
        ("later", 0), ("first", 0), ("later", 1), ("first", 1),
    ]  # fmt: skip
    flags = "--mode=auto --wiring=ordered --epochs=2 --train_images=20 --seed=1"
    assert reproduce(*flags.split(), f"--results_dir={tmp_path}").returncode == 0
    metrics = json.loads((tmp_path / "ordered-auto" / "metrics.json").read_text())
    assert found[2] == {"experiment": "later", **metrics, "pooled_cosines": []}
    assert np.shape(found[3]["pooled_cosines"]) == (2, 2)


def jobs_of(asked):
    return asked.jobs(Settings(), flags.parse)


def small(folder):
    """The study of a folder, its jobs, and what its runs measured."""
    asked = definition.read(folder / "small.toml")
    return asked, jobs_of(asked), measured(folder)


def test_a_run_on_other_data_does_not_count(whole, tmp_path, monkeypatch):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    asked, asked_jobs, found = small(whole)
    other = {**found[1], "data_sha_256": dict.fromkeys(found[1]["data_sha_256"], "other")}
    folder = tmp_path / "results/studies/small"
    runs.write(folder, [found[0], other, *found[2:]])
    repeated = []

    def on_workers(jobs, *_, **__):
        repeated.extend(jobs)
        yield jobs[0], {name: value for name, value in found[1].items() if name != "experiment"}

    monkeypatch.setattr(study, "on_workers", on_workers)
    study.run(asked, asked_jobs, folder)
    assert repeated == [asked_jobs[1]]
    assert content(tmp_path) == content(whole)


def test_what_is_done_is_not_repeated(whole, tmp_path):
    shutil.copytree(whole / "results", tmp_path / "results")
    path = tmp_path / "results/studies/small/runs.jsonl"
    # As if one flag were newer than these runs, and another were cut off in its line.
    lines = measured(tmp_path)
    assert [line.pop("condition_on_label") for line in lines] == [False] * 4
    path.write_text("".join(map(runs.line, lines)) + '{"experiment": "lat')
    assert "4/4" in command(tmp_path).stderr
    assert measured(tmp_path) == lines
    assert {**content(tmp_path), path.name: b""} == {**content(whole), path.name: b""}


def test_workers_over_tls_write_the_bytes_of_local_ones(whole, config, tmp_path):
    with scheduler(config) as (address, _), worker(address, config, PROJECT):
        command(tmp_path, f"--scheduler={address}", **config)
    assert content(tmp_path) == content(whole)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "seeds = None"),
        ("seeds = many\n", "Invalid value"),
        ("[study]\nseeds = 2\n", "it has no use for study"),
        (STUDY.replace("seeds = 2", "seeds = 0"), "seeds = 0"),
        (STUDY.replace("seeds = 2", "seeds = 2.5"), "seeds = 2.5"),
        (STUDY.replace("held_out", "training"), "say held_out or test"),
        (STUDY.replace("epochs=2", "epochs=0"), "later: flag --epochs=0"),
        (
            STUDY.replace("--mode=auto --wiring=ordered", "--mode=numpy"),
            "later: --mode=numpy has no graph",
        ),
        (STUDY.replace('later = "first"', 'later = "last"'), "last, which is no experiment"),
        (STUDY.replace('later = "first"', 'later = "First"'), "First, which is no experiment"),
        (STUDY.replace('later = "first"', "later = 1"), "has no attribute"),
        ('seeds = 1\nimages = "test"', "has no experiments"),
        (STUDY + "[grid.dni]\nlr_x = 1e-3", "grid.dni: each flag takes a list"),
        (STUDY + "[grid.dni]\nlr_x = []", "grid.dni: each flag takes a list"),
        (STUDY.replace("seeds = 2", "seeds = true"), "seeds = True"),
        (STUDY.replace("seeds = 2", "seeds = 9999999999"), "more than 10000 runs: lower its seeds"),
        (STUDY.replace("seeds = 2", 'seeds = 2\nsplits = "no"'), "splits is true or false"),
        (STUDY.replace('"held_out"', '["test"]'), "images = ['test']"),
        (STUDY.replace('"held_out"', f"0x{'f' * 5000}"), "Exceeds the limit"),
        (STUDY.replace("seeds = 2", f"seeds = 2\nflags = {'[' * 5000}"), "recursion"),
        (
            "differences = []\n" + STUDY.split("[differences]")[0],
            "no attribute",
        ),
        (STUDY.replace("--mode=auto", "--help"), "later: --help is for the command"),
        (STUDY.replace("later =", '"$\\\\x$" =', 1), "is no name of letters"),
        (STUDY + f"[grid.a]\nlr_x = {list(range(101))}\nlr_rec = {list(range(100))}", "10000 rows"),
    ],
)
def test_a_mistake_in_a_study_gets_one_line(reproduce, tmp_path, text, said):
    (tmp_path / "wrong.toml").write_text(text)
    result = reproduce(f"--study={tmp_path / 'wrong.toml'}", f"--results_dir={tmp_path}")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert said in line
    assert f"--study={tmp_path / 'wrong.toml'}" in line
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.toml"]


def test_a_study_may_be_in_a_folder_of_any_name(tmp_path):
    folder = tmp_path / r"a\q"
    folder.mkdir()
    (folder / "some.flags").write_text("--epochs=3")
    (folder / "small.toml").write_text(STUDY.replace("--mode=auto", "--flagfile=some.flags"))
    assert jobs_of(definition.read(folder / "small.toml"))[0].settings.epochs == 2


WITHOUT = object()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cost_last", WITHOUT), ("cost_first", WITHOUT), ("cost_last", "9"), ("cost_last", 1e308),
        ("test_correct", 3.0), ("test_correct", -1), ("test_total", 0), ("experiment", WITHOUT),
        ("held_out_accuracy", None), ("held_out_accuracy", 2), ("held_out_interval_95", [0]),
        ("pooled_cosines", [[0.5, 0.5]]), ("pooled_cosines", None), ("seed", "0"), ("epochs", [2]),
        ("digits", "01"), ("wiring", {"a": 1}),
    ],
)  # fmt: skip
def test_a_line_that_is_no_run(whole, tmp_path, name, value):
    _, asked_jobs, found = small(whole)
    wrong = {**found[1], name: value}
    if value is WITHOUT:
        del wrong[name]
    runs.write(tmp_path, [found[0], wrong, *found[2:]])
    # A study that goes on does it again; one that is shown has to be whole.
    assert runs.read(tmp_path, whole=False) == [found[0], *found[2:]]
    assert len(study._done(runs.read(tmp_path, whole=False), asked_jobs, mnist.SHA_256)) == 3
    with pytest.raises(UserError, match=r"runs\.jsonl is damaged .*: make studies writes it anew"):
        runs.read(tmp_path)


@pytest.mark.parametrize("text", [b"\xff\xff", b"[" * 100_000, b"[]", b"null", b'{"a": 9', b""])
def test_text_that_is_no_run(whole, tmp_path, text):
    _, _, found = small(whole)
    line = runs.line(found[0]).encode()
    (tmp_path / runs.FILE).write_bytes(line + text + b"\n" + line)
    assert runs.read(tmp_path, whole=False) == [found[0]] * 2
    with pytest.raises(UserError, match=r"runs\.jsonl is damaged"):
        runs.read(tmp_path)


def test_a_study_of_old_gets_one_line(reproduce):
    result = reproduce("--study=claims.ini")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "--study=claims.ini: a study is TOML now, as presets/studies/claims.toml is" in line


def test_a_grid_is_multiplied_out(tmp_path):
    (tmp_path / "grid.toml").write_text(
        'seeds = 1\nimages = "test"\nflags = "--epochs=3"\n[grid.one]\n'
        'flags = "--wiring=ordered"\nlr_x = [1e-3, 3e-3]\nmode = ["manual", "auto"]\n'
        '[grid.two]\n"lr_rec lr_x" = [1e-2]\n'
    )
    asked = definition.read(tmp_path / "grid.toml")
    assert {name: " ".join(flags) for name, flags in asked.experiments.items()} == {
        "one-x1e-3-modemanual": "--wiring=ordered --lr_x=1e-3 --mode=manual --epochs=3",
        "one-x1e-3-modeauto": "--wiring=ordered --lr_x=1e-3 --mode=auto --epochs=3",
        "one-x3e-3-modemanual": "--wiring=ordered --lr_x=3e-3 --mode=manual --epochs=3",
        "one-x3e-3-modeauto": "--wiring=ordered --lr_x=3e-3 --mode=auto --epochs=3",
        "two-rec-x1e-2": "--lr_rec=1e-2 --lr_x=1e-2 --epochs=3",
    }
    assert asked.grids["two"] == {"two-rec-x1e-2": ["--lr_rec=1e-2", "--lr_x=1e-2"]}


def test_the_second_of_a_difference_is_subtracted(whole):
    asked, _, found = small(whole)
    later, first = (
        np.array([run["held_out_accuracy"] for run in found if run["experiment"] == name])
        for name in ("later", "first")
    )
    assert (later > first).all()
    (by_seed,) = summary.compared(asked, summary.figures(found, "held_out_accuracy")).values()
    np.testing.assert_array_equal(by_seed, later - first)
    (row,) = [row for row in summary.table(asked, found).splitlines() if "later −" in row]
    assert row.split("|")[2].strip() == f"{100 * (later - first).mean():+.2f}"
    assert row.split("|")[4].strip() == "2 of 2"


def test_each_seed_may_have_a_split_of_its_own(tmp_path):
    (tmp_path / "small.toml").write_text(STUDY.replace("seeds = 2", "seeds = 2\nsplits = true"))
    settings = [job.settings for job in jobs_of(definition.read(tmp_path / "small.toml"))]
    assert [(each.seed, each.split_seed) for each in settings] == [(0, 0), (0, 0), (1, 1), (1, 1)]


def test_names_are_as_they_are_written(tmp_path):
    text = STUDY.replace("later", "Later").replace("first", "First")
    (tmp_path / "small.toml").write_text(text)
    asked = definition.read(tmp_path / "small.toml")
    assert [job.experiment for job in jobs_of(asked)] == ["Later", "First", "Later", "First"]
    assert asked.differences == [("Later", "First")]


def test_one_seed_has_no_deviation(whole):
    asked, _, found = small(whole)
    rows = summary.table(asked._replace(seeds=1), found[:2]).splitlines()
    assert [row.split("|")[3].strip() for row in rows[2:4]] == ["–", "–"]
    assert "nan" not in "".join(rows)


def made_up(cosines, correct):
    """Of an experiment, the runs of two seeds with these pooled cosines of each epoch."""
    return [
        {
            "experiment": "first", "held_out_accuracy": 0.5, "cost_first": 2.0, "cost_last": 1.0,
            "test_correct": right, "pooled_cosines": [[cosine, -cosine] for cosine in cosines],
        }
        for right in correct
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cosines", "said"),
    [
        ([0.25], ("0.25 → 0.25", "-0.25 → -0.25")),
        ([0.25, 0.5, 0.75], ("0.25 → 0.75", "-0.25 → -0.75")),
        ([0.1, 0.2, 0.3, 0.4, 0.8, 0.6, 0.7], ("0.10 → 0.70, 0.60", "-0.10 → -0.70, -0.80")),
    ],
)
def test_the_table_says_how_the_cosines_went_and_what_is_right(whole, cosines, said):
    asked, _, _ = small(whole)
    found = made_up(cosines, (15, 18))
    lines = summary.table(asked._replace(differences=[]), found).splitlines()
    head, row = ([cell.strip() for cell in lines[at].split("|")] for at in (0, 2))
    assert head[5] == "of 20 test images right"
    assert row[5].startswith("16.5 (")
    assert tuple(row[6:8]) == said
    (other, *_) = summary.table(asked._replace(differences=[]), [
        {**run, "test_images": 50} for run in found
    ]).splitlines()  # fmt: skip
    assert "| of 50 test images right |" in re.sub(" +", " ", other)


@pytest.mark.parametrize(("epochs", "marker"), [(1, "."), (2, "")])
def test_a_cosine_of_one_epoch_is_a_point(epochs, marker):
    figure = Figure()
    summary.draw_cosines(figure, {"first": np.zeros((2, epochs, 2))})
    for axes in figure.axes:
        assert axes.lines[0].get_marker() == marker


def test_a_study_needs_images_that_are_held_out(tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(STUDY)
    asked = definition.read(tmp_path / "small.toml")
    found = {"held_out_accuracy": None}
    monkeypatch.setattr(study, "on_workers", lambda jobs, *_, **__: ((job, found) for job in jobs))
    with pytest.raises(UserError, match="later leaves no image held out"):
        study.run(asked, jobs_of(asked), tmp_path / "results")
    assert (tmp_path / "results" / "runs.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [("--study=/no/such.toml", "/no/such.toml"), ("--study=x.toml --epochs=3", "--epochs")],
)
def test_a_mistake_in_the_command_gets_one_line(reproduce, arguments, said):
    result = reproduce(*arguments.split())
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert said in line


@pytest.mark.parametrize(
    "path", sorted((PROJECT / "presets" / "studies").iterdir()), ids=lambda path: path.name
)
def test_the_studies_of_this_project_can_be_read(path):
    assert jobs_of(definition.read(path))


def test_an_experiment_is_compared_with_several(tmp_path):
    path = tmp_path / "three.toml"
    path.write_text(
        STUDY.replace("[differences]", 'last = ""\n[differences]') + 'last = "later first"\n'
    )
    assert definition.read(path).differences == [
        ("later", "first"), ("last", "later"), ("last", "first"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path", sorted((PROJECT / "presets" / "studies").iterdir()), ids=lambda path: path.name
)
def test_the_studies_of_this_project_are_done(path):
    asked = definition.read(path)
    jobs = jobs_of(asked)
    folder = PROJECT / "results" / "studies" / path.stem
    lines = runs.read(folder)
    assert [(run["experiment"], run["seed"]) for run in lines] == [
        (job.experiment, job.settings.seed) for job in jobs
    ]
    figure, _ = definition.ACCURACY[asked.images]
    assert len(study._done(lines, jobs, mnist.SHA_256)) == len(jobs)
    assert len(jobs) == asked.seeds * len(asked.experiments)
    rows = [
        line.split("|") for line in (folder / "README.md").read_text().splitlines() if "|" in line
    ]
    for name in {job.experiment for job in jobs}:
        accuracies = [run.get(figure) for run in lines if run["experiment"] == name]
        (row,) = [row for row in rows if row[1].strip() == name]
        mean = "–" if None in accuracies else f"{np.mean(accuracies):.1%} ("
        assert row[2].strip().startswith(mean)


# Where the row that a grid chose is used.
CHOSEN = {
    "frozen": "frozen.flags",
    "frozen-long": "frozen-long",  # one of controls.toml
    "dni": "dni.flags",
    "dni-x": "dni.flags",
    "cdni": "cdni.flags",
    "cdni-x": "cdni.flags",
    "cdni-scale": "label-1",
    "bptt": "bptt.flags",
    "bptt-x": "bptt.flags",
    "autodiff": "autodiff.flags",
}


def test_the_presets_have_the_rates_that_their_grid_chose():
    asked = definition.read(PROJECT / "presets/studies/rates.toml")
    folder = PROJECT / "results/studies/rates"
    best = summary.best(asked, runs.read(folder))
    controls = definition.read(PROJECT / "presets/studies/controls.toml")
    assert best.keys() == CHOSEN.keys()
    text = (folder / "README.md").read_text()
    for grid, row in best.items():
        chosen = asked.grids[grid][row]
        where = CHOSEN[grid]
        if where in controls.experiments:
            used = controls.experiments[where]
            used += Path(used[0].removeprefix("--flagfile=")).read_text().split()
        else:
            used = (PROJECT / "presets" / where).read_text().split()
        assert set(chosen) <= set(used), grid
        assert f"`{' '.join(chosen)}`" in text


def test_no_best_rate_lies_on_the_edge_of_its_grid():
    asked = definition.read(PROJECT / "presets/studies/rates.toml")
    for grid, row in summary.best(asked, runs.read(PROJECT / "results/studies/rates")).items():
        rows = [dict(flag.split("=") for flag in flags) for flags in asked.grids[grid].values()]
        for flag, value in (flag.split("=") for flag in asked.grids[grid][row]):
            values = sorted({float(row[flag]) for row in rows})
            assert values[0] < float(value) < values[-1], (grid, flag)


def test_a_run_whose_cost_is_not_finite_is_no_end_of_a_study(whole, tmp_path):
    asked, asked_jobs, found = small(whole)
    # What experiment.studies.cluster.measure gives of such a run.
    settings = asked_jobs[2].settings.numeric()
    lost = {"experiment": asked_jobs[2].experiment, **settings, "data_sha_256": mnist.SHA_256}
    lines = [*found[:2], lost, found[3]]
    table = summary.table(asked, lines)
    assert "nan" not in table
    rows = table.splitlines()
    name = f"| {lost['experiment']} "
    row, difference = (row.split("|") for row in rows if row.startswith(name))
    assert difference[2].strip() == "–"
    assert row[2].strip() == "–"
    assert row[4].strip() == "not finite"
    summary.write(asked, lines, tmp_path)
    assert (tmp_path / "points.png").exists()
