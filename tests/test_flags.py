"""The command line as a user meets it: help and mistakes."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

import flags
from experiment.settings import Settings, UserError


def test_help_names_every_flag_and_does_not_import_tensorflow(reproduce):
    result = reproduce("--help", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    for flag in (
        *dataclasses.asdict(Settings()),
        "study",
        "scheduler",
        "insecure",
        "dashboard",
        "flagfile",
        "verbosity",
    ):
        assert f"--{flag}:" in result.stdout.replace("[no]", "")
    assert "absl" in result.stderr
    assert "tensorflow" not in result.stderr
    assert "distributed" not in result.stderr


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("--epochs=0", "--epochs"),
        ("--epochs=1.5", "--epochs"),
        ("--train_images=0", "--train_images"),
        ("--test_images=-1", "--test_images"),
        ("--test_images=2016", "--test_images"),
        ("--train_images=2096", "--train_images"),
        ("--seed=-1", "--seed"),
        ("--split_seed=4294967296", "--split_seed"),
        ("--init=random", "--init"),
        ("--mode=both", "--mode"),
        ("--wiring=other", "--wiring"),
        ("--lr_x=-0.1", "--lr_x"),
        ("--lr_rec=nan", "--lr_rec"),
        ("--lr_sg=inf", "--lr_sg"),
        # NumPy warned of it, with a path: it is infinite for TensorFlow.
        ("--lr_sg=1e40", "--lr_sg=1e+40: must be a finite number, as a float32 too"),
        ("--mode=auto --lr_auto=3.5e38", "--lr_auto=3.5e+38"),
        ("--noresume=1", "--noresume=1 does not take an argument"),
        ("--stderrthreshold=x", "--stderrthreshold must be one of"),
        ("--logger_levels=a:b", "'b'"),
        (f"--{'x' * 1000}", "xxx is not a flag"),
        ("--lr_auto=fast", "--lr_auto"),
        ("--lr_auto", "lr_auto"),
        ("--epoch=3", "'epoch'"),
        ("manual", "'manual'"),
        ("--digits=3", "--digits"),
        ("--digits=3,3", "--digits"),
        ("--digits=3,", "--digits"),
        ("--digits=01,12", "--digits"),
        ("--digits=11,2", "--digits"),
        ("--digits=1,2,3", "--digits"),
        ("--digits=3,٨", "--digits"),
        ("--decoupled=none", "--wiring=connected"),
        ("--decoupled=1", "--wiring=connected"),
        ("--decoupled=3", "--decoupled"),
        ("--mode=auto --wiring=connected --decoupled=none", "--decoupled=none"),
        ("--mode=auto --synthetic_step=descend", "--synthetic_step=descend"),
        ("--mode=auto --synthetic_init=zeros", "--synthetic_init=zeros"),
        ("--decoupled=none --wiring=ordered --synthetic_init=zeros", "--synthetic_init=zeros"),
        ("--condition_on_label", "--wiring=published"),
        ("--mode=auto --wiring=ordered --condition_on_label", "--mode=auto"),
        ("--wiring=ordered --decoupled=none --condition_on_label", "--decoupled=none"),
        ("--wiring=ordered --label_scale=4", "--condition_on_label"),
        ("--wiring=ordered --label_alone", "--condition_on_label"),
        ("--wiring=ordered --condition_on_label --label_scale=0", "--label_scale=0"),
        ("--wiring=ordered --condition_on_label --label_alone --engine=delayed", "--label_alone"),
        ("--mode=numpy --condition_on_label", "--condition_on_label"),
        ("--engine=delayed --mode=auto", "--engine=delayed"),
        ("--engine=delayed --wiring=connected --decoupled=none", "--engine=delayed"),
        ("--engine=delayed --wiring=connected --decoupled=1", "--engine=delayed"),
        ("--engine=parallel --mode=auto", "--engine=parallel"),
        ("--engine=parallel --wiring=connected --decoupled=2", "--engine=parallel"),
        (
            "--engine=parallel --wiring=ordered --condition_on_label",
            "--engine=parallel is for --mode=manual with --decoupled=both, without "
            "--condition_on_label",
        ),
        ("--mode=numpy --engine=feed", "--engine"),
        ("--recurrent_update=inner", "--recurrent_update"),
        ("--mode=numpy --wiring=published", "--wiring"),
        ("--mode=numpy --lr_auto=0.1", "--lr_auto"),
        ("--mode=numpy --split_seed=1", "--split_seed"),
        ("--mode=numpy --init=portable", "--init"),
        ("--mode=numpy --tensorboard", "--tensorboard"),
        ("--mode=numpy --train_images=2106", "--train_images=2106"),
        ("--mode=auto --lr_x=0.5", "--lr_x=0.5"),
        ("--mode=auto --lr_rec=0.5", "--lr_rec=0.5"),
        ("--mode=auto --lr_sg=0.5", "--lr_sg=0.5"),
        ("--lr_auto=0.5", "--lr_auto=0.5"),
        ("--decoupled=none --wiring=ordered --lr_sg=0.5", "--lr_sg=0.5"),
        ("--results_dir=", "--results_dir"),
        ("--data_dir=", "--data_dir"),
        ("--study=", "--study="),
        ("--scheduler=tls://host:8786", "--scheduler makes no sense without --study"),
        ("--insecure", "--insecure makes no sense without --study"),
        ("--dashboard", "--dashboard makes no sense without --study"),
        ("--study=x.toml --scheduler=host:8786", "--scheduler=host:8786"),
        ("--study=x.toml --scheduler=tls://host", "--scheduler=tls://host"),
        ("--study=x.toml --scheduler=tls://host:0", "--scheduler=tls://host:0"),
        ("--study=x.toml --scheduler=tls://host:65536", "--scheduler=tls://host:65536"),
        ("--study=x.toml --scheduler=http://host:80", "--scheduler=http"),
        ("--study=x.toml --scheduler=", "--scheduler="),
        ("--study=x.toml --scheduler=tcp://host:8786", "--insecure"),
        ("--study=x.toml --scheduler=tcp://192.0.2.1:8786", "--insecure"),
        ("--study=x.toml --scheduler=tcp://host:8786 --insecure", "x.toml cannot be read"),
        ("--study=x.toml --scheduler=tcp://localhost:8786", "x.toml cannot be read"),
        ("--study=x.toml --scheduler=tcp://localhost@host:8786", "--scheduler=tcp"),
        ("--flagfile=/no/such/file", "/no/such/file"),
        ("--flagfile", "--flagfile=. cannot be read"),
        ("--flagfile=~nobody-of-this-name/x", "--flagfile=~nobody-of-this-name/x"),
        ("--flagfile=/dev/zero", "--flagfile=/dev/zero is not a file of flags"),
        ("--data_dir=/no/such/folder", "/no/such/folder"),
        ("--results_dir=/dev/null/results", "cannot write to /dev/null/results ("),
    ],
)
def test_a_mistake_gets_one_line(reproduce, tmp_path, argument, named):
    result = reproduce(f"--results_dir={tmp_path}", *argument.split())
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("reproduce.py: ")
    assert named in line
    assert list(tmp_path.iterdir()) == []


def test_flagfile(reproduce, tmp_path):
    flagfile = tmp_path / "some.flags"
    flagfile.write_text("--epochs=0\n")
    for arguments in ([f"--flagfile={flagfile}"], ["--flagfile", flagfile]):
        assert "--epochs=0" in reproduce(*arguments).stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "some.flags cannot be read ('utf-8' codec"),
        (b"--flagfile=some.flags\n", "--flagfile=some.flags is not a file of flags"),
        (b"--flagfile=a\0b\n", "--flagfile=a\\x00b cannot be read"),
        (b"--results_dir=a\0b\n", "--results_dir=a\\x00b: must name a folder"),
        (b"--data_dir=a\0b\n", "--data_dir=a\\x00b: must name a folder"),
        (b"--study=a\0b\n", "--study=a\\x00b: must name the file"),
        (b"--mode=\x1b[31m\n", "\\x1b[31m"),
        (b"--epochs=" + b"9" * 5000 + b"\n", " … "),
    ],
)
def test_a_mistake_in_a_flag_file_gets_one_line(content, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("some.flags").write_bytes(content)
    with pytest.raises(UserError) as error:
        flags.parse(["reproduce.py", "--flagfile=some.flags"])
    text = str(error.value)
    assert said in text
    assert text.isprintable()
    assert len(text) < 2100


def test_the_flags_of_a_file_stand_where_it_is_named(tmp_path):
    inner = tmp_path / "inner.flags"
    inner.write_text("--seed=3\n")
    outer = f"# Ten of them.\n// No more.\n\n --epochs=10\n--flagfile={inner}"
    (tmp_path / "outer.flags").write_text(outer)
    settings = flags.parse(["", "--epochs=1", "--seed=1", f"-flagfile={tmp_path}/outer.flags"])
    assert (settings.epochs, settings.seed) == (10, 3)
    settings = flags.parse(["", f"--flagfile={tmp_path}/outer.flags", "--epochs=1", "--seed=1"])
    assert (settings.epochs, settings.seed) == (1, 1)


def test_a_path_of_two_lines_is_shown_in_one(reproduce):
    result = reproduce("--data_dir=no such\nfolder")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert r"no such\nfolder" in line


def test_a_missing_package_is_named():
    # -S leaves out what is installed.
    result = subprocess.run(
        [sys.executable, "-S", PROJECT / "reproduce.py"], capture_output=True, text=True
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "package absl" in line
    assert "make setup" in line


def test_an_output_that_is_full():
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, PROJECT / "reproduce.py", "--help"],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("reproduce.py: ")
    assert "No space left" in line
