"""The command line: help, mistakes, and flags from files."""

import dataclasses

import pytest

import flags
from experiment.errors import UserError
from experiment.settings import Settings
from tests import processes


def test_help_names_every_flag_and_does_not_import_tensorflow():
    result = processes.run("--help", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    others = ("study", "scheduler", "dashboard", "flagfile", "verbosity")
    for flag in (*dataclasses.asdict(Settings()), *others):
        assert f"--{flag}:" in result.stdout.replace("[no]", "")
    assert "absl" in result.stderr
    assert "tensorflow" not in result.stderr
    assert "distributed" not in result.stderr


TRUE = "--wiring=ordered --gradient_1=true --gradient_2=true"


def refusal(*arguments):
    """The text of the UserError, which is one line."""
    with pytest.raises(UserError) as refused:
        flags.parse(["reproduce.py", *map(str, arguments)])
    text = str(refused.value)
    assert text.isprintable()
    return text


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("--epochs=0", "--epochs"),
        ("--epochs=1.5", "--epochs"),
        ("--train_images=0", "--train_images"),
        ("--test_images=-1", "--test_images"),
        ("--seed=-1", "--seed"),
        ("--split_seed=4294967296", "--split_seed"),
        ("--init=random", "--init"),
        ("--mode=both", "--mode"),
        ("--wiring=other", "--wiring"),
        ("--lr_x=-0.1", "--lr_x"),
        ("--lr_rec=nan", "--lr_rec"),
        ("--lr_sg=inf", "--lr_sg"),
        ("--lr_sg=1e40", "--lr_sg=1e+40: must be a finite number, as a float32 too"),
        ("--mode=auto --lr_auto=3.5e38", "--lr_auto=3.5e+38"),
        ("--noresume=1", "--noresume=1 does not take an argument"),
        ("--stderrthreshold=x", "--stderrthreshold must be one of"),
        ("--logger_levels=a:b", "'b'"),
        (f"--{'x' * 1000}", "a flag's name is too long"),
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
        ("--gradient_1=true", "--wiring=connected"),
        ("--gradient_2=zero", "--wiring=connected"),
        ("--gradient_1=false", "--gradient_1"),
        ("--wiring=ordered --gradient_1=true", "--synthetic_step=descend"),
        ("--mode=auto --wiring=connected --gradient_1=true", "--gradient_1=true"),
        ("--mode=auto --synthetic_step=descend", "--synthetic_step=descend"),
        ("--mode=auto --synthetic_init=zeros", "--synthetic_init=zeros"),
        (f"{TRUE} --synthetic_init=zeros", "--synthetic_init=zeros"),
        ("--module_input=label", "--wiring=published"),
        ("--mode=auto --wiring=ordered --module_input=label", "--mode=auto"),
        (f"{TRUE} --module_input=label", "no time box learns from a synthetic gradient"),
        ("--wiring=ordered --label_scale=4", "--module_input=state+label"),
        ("--wiring=ordered --module_input=label --label_scale=0", "--label_scale=0"),
        ("--wiring=ordered --module_input=label --engine=delayed", "--engine=delayed"),
        ("--mode=numpy --module_input=label", "--module_input"),
        ("--mode=numpy --diagnostics", "--diagnostics"),
        ("--mode=auto --diagnostics", "--mode=auto"),
        ("--diagnostics --engine=feed", "--engine=stepwise"),
        ("--mode=auto --warm_up", "--warm_up"),
        ("--decay=0", "--decay"),
        ("--decay=1.5", "--decay"),
        ("--engine=delayed --mode=auto", "--engine=delayed"),
        (f"--engine=delayed {TRUE}", "--engine=delayed"),
        ("--mode=numpy --engine=feed", "--engine"),
        ("--engine=parallel --mode=auto", "--engine=parallel"),
        (f"--engine=parallel {TRUE}", "--engine=parallel"),
        (
            "--engine=parallel --wiring=ordered --module_input=state+label",
            "--module_input=state",
        ),
        ("--recurrent_update=inner", "--recurrent_update"),
        ("--mode=numpy --wiring=published", "--wiring"),
        ("--mode=numpy --lr_auto=0.1", "--lr_auto"),
        ("--mode=numpy --split_seed=1", "--split_seed"),
        ("--mode=numpy --init=portable", "--init"),
        ("--mode=numpy --tensorboard", "--tensorboard"),
        ("--mode=auto --lr_x=0.5", "--lr_x=0.5"),
        ("--mode=auto --lr_rec=0.5", "--lr_rec=0.5"),
        ("--mode=auto --lr_sg=0.5", "--lr_sg=0.5"),
        ("--lr_auto=0.5", "--lr_auto=0.5"),
        (f"{TRUE} --lr_sg=0.5", "--lr_sg=0.5"),
        ("--results_dir=", "--results_dir"),
        ("--data_dir=", "--data_dir"),
        ("--study=", "--study="),
        ("--scheduler=tls://host:8786", "--scheduler makes no sense without --study"),
        ("--dashboard", "--dashboard makes no sense without --study"),
        ("--study=x.toml --scheduler=host:8786", "--scheduler=host:8786"),
        ("--study=x.toml --scheduler=tls://host", "--scheduler=tls://host"),
        ("--study=x.toml --scheduler=tls://host:0", "--scheduler=tls://host:0"),
        ("--study=x.toml --scheduler=tls://host:65536", "--scheduler=tls://host:65536"),
        ("--study=x.toml --scheduler=http://host:80", "--scheduler=http"),
        ("--study=x.toml --scheduler=", "--scheduler="),
        ("--study=x.toml --scheduler=tcp://host:8786", "use tls://"),
        ("--study=x.toml --scheduler=tcp://192.0.2.1:8786", "use tls://"),
        ("--study=x.toml --scheduler=tcp://localhost@host:8786", "--scheduler=tcp"),
        ("--study=x.toml --epochs=3", "--epochs makes no sense with --study"),
        ("--flagfile", "--flagfile with no argument"),
        ("--flagfile=/no/such/file", "/no/such/file"),
    ],
)
def test_a_mistake_gets_one_line(argument, named):
    assert named in refusal(*argument.split())


def test_a_local_scheduler_may_be_plain_tcp():
    flags.parse(["reproduce.py", "--study=x.toml", "--scheduler=tcp://localhost:8786"])
    assert flags.scheduler() == "tcp://localhost:8786"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"--epochs=0\n", "--epochs=0"),
        (b"\xff\xfe", "'utf-8' codec"),
        (b"--flagfile=a\0b\n", "null byte"),
        (b"--results_dir=a\0b\n", "--results_dir=a\\x00b: must name a folder"),
        (b"--data_dir=a\0b\n", "--data_dir=a\\x00b: must name a folder"),
        (b"--study=a\0b\n", "--study=a\\x00b: must name the file"),
        (b"--mode=\x1b[31m\n", "\\x1b[31m"),
    ],
)
def test_a_mistake_in_a_flag_file_gets_one_line(content, named, tmp_path):
    path = tmp_path / "some.flags"
    path.write_bytes(content)
    assert named in refusal(f"--flagfile={path}")
    assert named in refusal("--flagfile", path)


def test_the_flags_of_a_file_stand_where_it_is_named(tmp_path):
    inner = tmp_path / "inner.flags"
    inner.write_text("--seed=3\n")
    outer = f"# Ten of them.\n// No more.\n\n --epochs=10\n--flagfile={inner}"
    (tmp_path / "outer.flags").write_text(outer)
    settings = flags.parse(["", "--epochs=1", "--seed=1", f"-flagfile={tmp_path}/outer.flags"])
    assert (settings.epochs, settings.seed) == (10, 3)
    settings = flags.parse(["", f"--flagfile={tmp_path}/outer.flags", "--epochs=1", "--seed=1"])
    assert (settings.epochs, settings.seed) == (1, 1)


def test_numpy_mode_has_the_numpy_post_s_defaults():
    settings = flags.parse(["", "--mode=numpy", "--epochs=7"])
    assert (settings.epochs, settings.train_images, settings.recurrent_update) == (7, 50, "inner")
    assert (settings.wiring, settings.split_seed) == ("ordered", settings.seed)


def test_no_digit_is_in_both_sets():
    assert "no digit twice" in refusal("--digits=01234,45678")
    assert flags.parse(["", "--digits=43210,98765"]).digits == ("01234", "56789")


@pytest.mark.parametrize(
    ("flags_given", "engine"),
    [
        ("", "parallel"),
        ("--wiring=ordered --lr_rec=1e-5", "parallel"),
        ("--wiring=ordered --lr_rec=2e-5", "delayed"),
        ("--wiring=ordered --module_input=state+label", "delayed"),
        ("--wiring=ordered --module_input=label", "stepwise"),
        ("--mode=auto", "stepwise"),
        (TRUE, "stepwise"),
        ("--wiring=connected --gradient_1=zero --synthetic_step=descend", "stepwise"),
        ("--diagnostics", "stepwise"),
        ("--engine=feed", "feed"),
    ],
)
def test_the_fastest_engine_that_fits_the_flags(flags_given, engine):
    settings = flags.parse(["reproduce.py", *flags_given.split()])
    assert settings.chosen_engine == engine
