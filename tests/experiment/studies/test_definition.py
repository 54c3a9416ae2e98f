"""A study's file: read, multiplied out, or refused with one line."""

import pytest

import flags
from experiment.errors import UserError
from experiment.settings import PROJECT, Settings
from experiment.studies import definition
from tests.experiment.studies.conftest import STUDY


def jobs_of(path):
    return definition.read(path).jobs(Settings(), flags.parse)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "seeds = None"),
        ("seeds = many\n", "Invalid value"),
        ("[study]\nseeds = 2\n", "study is not a key of a study"),
        (STUDY.replace("seeds = 2", "seeds = 0"), "seeds = 0"),
        (STUDY.replace("seeds = 2", "seeds = 2.5"), "seeds = 2.5"),
        (STUDY.replace("held_out", "training"), "say held_out or test"),
        (STUDY.replace("epochs=2", "epochs=0"), "later: flag --epochs=0"),
        (
            STUDY.replace("--mode=auto --wiring=ordered", "--mode=numpy"),
            "--mode=numpy has no graph",
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
        (f"{STUDY}[fewer_seeds]\nfirst = 2\n", "fewer_seeds.first is a whole number from 1 to 1"),
        (f"{STUDY}[fewer_seeds]\nfirst = true\n", "fewer_seeds.first is a whole number"),
        (f"{STUDY}[fewer_seeds]\nother = 1\n", "fewer_seeds.other: no experiment of it"),
        (STUDY.replace('"held_out"', '["test"]'), "images = ['test']"),
        (STUDY.replace("seeds = 2", f"seeds = 2\nflags = {'[' * 5000}"), "recursion"),
        ("differences = []\n" + STUDY.split("[differences]")[0], "no attribute"),
        (STUDY.replace("--mode=auto", "--help"), "later: --help is for the command"),
        (STUDY.replace("later =", '"$\\\\x$" =', 1), "is not a name of letters"),
    ],
)
def test_a_mistake_in_a_study_gets_one_line(text, named, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        jobs_of(path)
    line = str(refused.value)
    assert line.isprintable()
    assert line.startswith(f"--study={path}")
    assert named in line


def test_a_missing_study_gets_one_line():
    with pytest.raises(UserError, match=r"--study=no/such\.toml cannot be read"):
        definition.read(definition.Path("no/such.toml"))


def test_a_study_may_be_in_a_folder_of_any_name(tmp_path):
    folder = tmp_path / r"a\q"
    folder.mkdir()
    (folder / "some.flags").write_text("--epochs=3")
    (folder / "small.toml").write_text(STUDY.replace("--mode=auto", "--flagfile=some.flags"))
    assert jobs_of(folder / "small.toml")[0].settings.epochs == 2


def test_a_grid_is_multiplied_out(tmp_path):
    (tmp_path / "grid.toml").write_text(
        'seeds = 1\nimages = "test"\nflags = "--epochs=3"\n[grid.one]\n'
        'flags = "--wiring=ordered"\nlr_x = [1e-3, 3e-3]\nmode = ["manual", "auto"]\n'
        '[grid.two]\n"lr_rec lr_x" = [1e-2]\n'
    )
    study = definition.read(tmp_path / "grid.toml")
    assert {name: " ".join(flags) for name, flags in study.experiments.items()} == {
        "one-x1e-3-modemanual": "--wiring=ordered --lr_x=1e-3 --mode=manual --epochs=3",
        "one-x1e-3-modeauto": "--wiring=ordered --lr_x=1e-3 --mode=auto --epochs=3",
        "one-x3e-3-modemanual": "--wiring=ordered --lr_x=3e-3 --mode=manual --epochs=3",
        "one-x3e-3-modeauto": "--wiring=ordered --lr_x=3e-3 --mode=auto --epochs=3",
        "two-rec-x1e-2": "--lr_rec=1e-2 --lr_x=1e-2 --epochs=3",
    }
    assert study.grids["two"] == {"two-rec-x1e-2": ["--lr_rec=1e-2", "--lr_x=1e-2"]}


def test_the_jobs_are_all_experiments_of_a_seed_then_of_the_next(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(STUDY.replace("later", "Later").replace("first", "First"))
    jobs = [(job.experiment, job.settings.seed, job.settings.split_seed) for job in jobs_of(path)]
    assert jobs == [("Later", 0, 678), ("First", 0, 678), ("Later", 1, 678), ("First", 1, 678)]
    path.write_text(STUDY.replace("seeds = 2", "seeds = 2\nsplits = true"))
    assert [job.settings.split_seed for job in jobs_of(path)] == [0, 0, 1, 1]


def test_an_experiment_may_have_fewer_seeds(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(f"{STUDY}[fewer_seeds]\nlater = 1\n".replace("= 2", "= 3\nfirst_seed = 7"))
    jobs = [(job.experiment, job.settings.seed) for job in jobs_of(path)]
    assert jobs == [("later", 7), ("first", 7), ("first", 8), ("first", 9)]


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
def test_the_studies_of_this_project_can_be_read(path):
    assert jobs_of(path)
