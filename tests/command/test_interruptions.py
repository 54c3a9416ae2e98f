"""What can go wrong around a run: it ends with its former results, or with all of its new ones.

Kills are in test_kills.py.

`make test` runs this with few repetitions, `make faults` with many; that also prints a table of
what was tried, from the `tried` of each test.
"""

import dataclasses
import hashlib
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import PROJECT

from experiment.settings import Settings, UserError
from experiment.storage.checkpoint import Checkpoints
from experiment.training import mnist, session
from experiment.training.build import build

NAME = "published-manual"
RUN = ("--epochs=12", "--train_images=30", "--test_images=5", "--checkpoint_every=2")
# What these flags and --resume ask for.
ASKED = Settings(epochs=12, train_images=30, test_images=5, resume=True)
PER_PROCESS = 5_000
COMMAND = [sys.executable, str(PROJECT / "reproduce.py"), *RUN]


def asked():
    """The images of that run."""
    return mnist.split(mnist.load(ASKED.data_dir), ASKED)


def start(results_dir, *flags, **options):
    return subprocess.Popen(
        [*COMMAND, f"--results_dir={results_dir}", *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def finish(results_dir, *flags, **options):
    process = start(results_dir, *flags, **options)
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def content(folder):
    """The results in the folder of a run: all that has to be the same in every run."""
    return {
        path.name: path.read_bytes()
        for path in (folder / NAME).glob("*.*")
        if path.name != "timing.json"
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The results of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    result = finish(folder)
    assert result.returncode == 0, result.stderr
    return content(folder)


@pytest.fixture
def former(tmp_path):
    """A folder with the results of an earlier run, and these."""
    shutil.copytree(PROJECT / "results" / NAME, tmp_path / "results" / NAME)
    return tmp_path / "results", content(PROJECT / "results")


def epoch_lines(process, count):
    for _ in range(count):
        line = process.stdout.readline()
        assert line.startswith("epoch"), process.communicate()
    return line


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder of two checkpoints, epoch-10 and epoch-12."""
    folder = tmp_path_factory.mktemp("checkpoints")
    result = finish(folder, "--keep_checkpoints")
    assert result.returncode == 0, result.stderr
    return folder / NAME / "checkpoint"


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_after_its_epoch(sent, status, whole, former, tried):
    results_dir, before = former
    process = start(results_dir, "--epochs=5000")
    line = epoch_lines(process, 2)
    process.send_signal(sent)
    _, stderr = process.communicate()
    assert process.returncode == status
    (message,) = stderr.splitlines()
    epoch = int(message.rpartition(" ")[2])
    assert epoch >= int(line.split()[1])
    assert "--resume" in message
    assert content(results_dir) == before
    refused = finish(results_dir, "--resume")
    assert refused.returncode == 1
    assert "epochs=5000 there, 12 here" in refused.stderr
    # Without --checkpoint_every there would be none at such an epoch but by chance.
    state = json.loads((results_dir / NAME / f"checkpoint/epoch-{epoch}/state.json").read_text())
    assert len(state["history"]["costs"]) == epoch
    result = finish(results_dir, "--noresume")
    assert result.returncode == 0
    assert content(results_dir) == whole
    assert [path.name for path in results_dir.iterdir()] == [NAME]
    tried(
        f"{sent.name}",
        f"the epoch ends, a checkpoint is written, exit status {status}; a second signal ends all "
        "at once",
        "as said",
    )


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_the_run_at_once(sent, status, former):
    results_dir, before = former
    # An epoch takes long enough for two signals.
    process = start(results_dir, "--train_images=1000", "--epochs=50", "--checkpoint_every=1000")
    epoch_lines(process, 1)
    for _ in range(2):
        time.sleep(0.05)
        process.send_signal(sent)
    _, stderr = process.communicate()
    assert (process.returncode, stderr) == (status, "")
    assert not (results_dir / NAME / "checkpoint").exists()
    assert content(results_dir) == before


def test_an_interruption_before_the_first_epoch_leaves_nothing(tmp_path):
    process = start(tmp_path)
    while not (tmp_path / f".{NAME}.new").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate()
    assert process.returncode == 143
    assert stderr == "reproduce.py: interrupted: nothing was written\n"
    assert list(tmp_path.iterdir()) == []


def test_an_old_checkpoint_is_not_touched_silently(checkpoints, former, whole):
    results_dir, before = former
    folder = results_dir / NAME / "checkpoint"
    shutil.copytree(checkpoints, folder)
    result = finish(results_dir)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    for said in (str(folder), "epoch 12", "--resume", "--noresume"):
        assert said in line
    result = finish(results_dir, "--resume", "--lr_x=0.1", "--seed=1")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "seed=678 there, 1 here; lr_x=0.001 there, 0.1 here" in line
    assert content(results_dir) == before
    assert {path.name for path in folder.iterdir()} == {"epoch-10", "epoch-12"}
    shutil.rmtree(folder / "epoch-12")
    result = finish(results_dir, "--resume", "--keep_checkpoints")
    assert result.returncode == 0
    assert result.stdout.startswith("epoch 12 of 12")
    assert content(results_dir) == whole
    assert {path.name for path in folder.iterdir()} == {"epoch-10", "epoch-12"}


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)


@pytest.mark.parametrize("harm", [truncate, flip_a_bit, os.remove])
def test_a_damaged_checkpoint_is_left_out(harm, checkpoints, tmp_path, whole, capsys, tried):
    folder = tmp_path / NAME / "checkpoint"
    split = asked()
    names = sorted(path.name for path in (checkpoints / "epoch-12").iterdir())
    assert len(names) == 4
    for name in names:
        shutil.copytree(checkpoints, folder)
        harm(folder / "epoch-12" / name)
        assert Checkpoints(folder).start(ASKED, split).variables.parent.name == "epoch-10"
        assert capsys.readouterr().err == f"{folder / 'epoch-12'} is damaged: it is removed\n"
        shutil.rmtree(folder)
    shutil.copytree(checkpoints, folder)
    harm(folder / "epoch-12" / "variables.data-00000-of-00001")
    result = finish(tmp_path, "--resume")
    assert result.returncode == 0, result.stderr
    assert result.stderr == f"{folder / 'epoch-12'} is damaged: it is removed\n"
    assert result.stdout.startswith("epoch 12 of 12")
    assert content(tmp_path) == whole
    assert not folder.exists()
    tried(
        f"a file of a checkpoint is damaged ({harm.__name__.replace('_', ' ')})",
        "its digest tells; the checkpoint before it is used, to the same bytes",
        f"each of its {len(names)} files",
    )


def is_a_link(path):
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def is_endless(path):
    (path / "state.json").unlink()
    (path / "state.json").symlink_to("/dev/zero")


def is_a_pipe(path):
    (path / "state.json").unlink()
    os.mkfifo(path / "state.json")


def is_too_large(path):
    os.truncate(path / "state.json", 2**40)


def is_a_file(path):
    shutil.rmtree(path)
    path.write_text("")


def has_one_file_more(path):
    (path / "variables.data-00001-of-00002").write_text("")


def is_of_another_epoch(path):
    shutil.rmtree(path)
    shutil.copytree(path.with_name("epoch-10"), path)


def sign(path):
    """Makes every digest right, as one may forge it."""
    digests = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(path.iterdir())
        if file.name != "SHA256SUMS"
    ]
    (path / "SHA256SUMS").write_text("".join(digests))


def with_state(change):
    """Harms what state.json holds, and forges its digest."""

    def harm(path):
        state = json.loads((path / "state.json").read_text())
        change(state["history"])
        (path / "state.json").write_text(json.dumps(state))
        sign(path)

    return harm


HISTORIES = {
    "costs are letters": lambda history: history.update(costs="twelve chars"),
    "a cost is no number": lambda history: history["costs"].__setitem__(3, None),
    "a cost is not finite": lambda history: history["costs"].__setitem__(3, float("nan")),
    "a cost is true": lambda history: history["costs"].__setitem__(3, True),
    "a row is cut off": lambda history: history["quality"][3].pop(),
    "a row is missing": lambda history: history["quality"].pop(),
    "seconds are a word": lambda history: history.update(seconds="1"),
    "seconds are missing": lambda history: history.pop("seconds"),
}


def has_too_many_digests(path):
    with (path / "SHA256SUMS").open("a") as file:
        file.write("0" * 10**8)


def nests_too_deep(path):
    (path / "state.json").write_text("[" * 10**6)
    sign(path)


def names_no_digests(path):
    for file in path.glob("variables.*"):
        file.unlink()
    sign(path)


@pytest.mark.parametrize(
    "harm",
    [
        is_a_link, is_endless, is_a_pipe, is_too_large, is_a_file, has_one_file_more,
        is_of_another_epoch, names_no_digests, has_too_many_digests, nests_too_deep,
        *(pytest.param(with_state(change), id=name) for name, change in HISTORIES.items()),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_not_followed(harm, checkpoints, tmp_path, capsys):
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoints, folder)
    harm(folder / "epoch-12")
    found = Checkpoints(folder).start(ASKED, asked())
    assert found.variables.parent.name == "epoch-10"
    assert capsys.readouterr().err == f"{folder / 'epoch-12'} is damaged: it is removed\n"
    assert not (folder / "epoch-12").is_symlink()
    assert Checkpoints(folder).epochs() == [10]
    assert (folder / "epoch-12.elsewhere").exists() == (harm == is_a_link)


@pytest.mark.parametrize("resume", [True, False, None])
@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_the_folder_of_checkpoints_is_a_folder(kind, resume, checkpoints, tmp_path):
    path, elsewhere = tmp_path / "checkpoint", tmp_path / "elsewhere"
    if kind == "link":
        shutil.copytree(checkpoints, elsewhere)
    if kind == "file":
        path.write_text("something else")
    else:
        path.symlink_to(elsewhere)
    settings = dataclasses.replace(ASKED, resume=resume)
    with pytest.raises(UserError, match="checkpoint is not a folder"):
        Checkpoints(path).start(settings, asked())
    assert elsewhere.exists() == (kind == "link")


def test_with_every_checkpoint_damaged_the_run_starts_over(checkpoints, tmp_path, whole):
    shutil.copytree(checkpoints, tmp_path / NAME / "checkpoint")
    for path in tmp_path.glob("**/state.json"):
        truncate(path)
    result = finish(tmp_path, "--resume")
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == 2
    assert content(tmp_path) == whole


def test_a_run_that_starts_over_is_interrupted(checkpoints, tmp_path):
    folder = tmp_path / NAME / "checkpoint"
    shutil.copytree(checkpoints, folder)
    for path in folder.glob("*/state.json"):
        truncate(path)
    # The damaged ones are of higher numbers than all that it writes before the signal. The lines
    # of epochs come every ten, so it is a file that says how far it is.
    process = start(tmp_path, "--resume", "--train_images=300")
    while not (folder / "epoch-2").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    epoch = int(stderr.rpartition(" ")[2])
    assert epoch < 10
    names = {path.name for path in folder.iterdir()}
    assert f"epoch-{epoch}" in names
    assert names.isdisjoint({"epoch-10", "epoch-12"})
    result = finish(tmp_path, "--resume", "--train_images=300")
    assert (result.returncode, result.stderr) == (0, "")


def test_an_interruption_after_the_last_epoch(whole, former):
    results_dir, before = former
    process = start(results_dir, "--checkpoint_every=5")
    while not (results_dir / f".{NAME}.new" / "cost.csv").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert stderr == "reproduce.py: interrupted: --resume goes on after epoch 12\n"
    assert content(results_dir) == before
    result = finish(results_dir, "--resume")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("0  :")
    assert content(results_dir) == whole


def test_an_interruption_while_the_result_is_printed(tmp_path):
    # More lines than a pipe holds, and nobody who reads them.
    process = start(tmp_path, "--test_images=2000")
    while not (tmp_path / NAME / "diff.md").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert stderr == f"reproduce.py: interrupted: Results: {tmp_path / NAME}\n"


def test_a_checkpoint_of_other_variables(checkpoints, tmp_path):
    folder = tmp_path / NAME / "checkpoint"
    shutil.copytree(checkpoints, folder)
    path = folder / "epoch-12"
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable("w_x", [2, 2])
        session.run(variable.initializer)
        tf.train.Saver().save(session, str(path / "variables"), write_meta_graph=False,
                              write_state=False)  # fmt: skip
    sign(path)
    result = finish(tmp_path, "--resume")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert f"{path} holds other variables" in line
    assert "--noresume" in line


def test_two_runs_at_once(former, whole, tried):
    results_dir, _ = former
    first = start(results_dir)
    while not (results_dir / f".{NAME}.new").exists():
        time.sleep(0.01)
    second = finish(results_dir)
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert f"process {first.pid} on {os.uname().nodename}" in line
    _, stderr = first.communicate()
    assert first.returncode == 0, stderr
    assert content(results_dir) == whole
    tried(
        "a second run into the same folder",
        "it is refused, and told the process and the host of the first",
        "as said",
    )


@pytest.mark.parametrize(
    ("limit", "flags", "hint"),
    [(10**6, (), "--checkpoint_every=0"), (20_000, ("--checkpoint_every=0",), "--results_dir")],
)
def test_files_that_may_not_grow(limit, flags, hint, former):
    results_dir, before = former
    result = finish(
        results_dir, *flags,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "too large" in line
    assert hint in line
    assert content(results_dir) == before
    assert [path.name for path in results_dir.iterdir()] == [NAME]


@pytest.fixture
def disk(tmp_path):
    """Mounts a small disk, for which one has to be root."""

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", tmp_path]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a disk can be mounted by root only")
        return tmp_path

    yield mount
    subprocess.run(["umount", tmp_path], capture_output=True)


@pytest.mark.parametrize("size", ["14m", "25m"])
def test_a_full_disk(size, disk, whole, tried):
    folder = disk(f"size={size}")
    shutil.copytree(PROJECT / "results" / NAME, folder / NAME)
    before = content(folder)
    result = finish(folder)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "make room" in line
    assert content(folder) == before
    disk("remount,size=100m")
    result = finish(folder, "--resume")
    assert result.returncode == 0, result.stderr
    assert content(folder) == whole
    tried(
        f"the disk is full (one of {size.upper()}B)",
        "one line says so; the former results are there; with more room `--resume` goes on",
        "as said",
    )


def test_a_disk_that_cannot_be_written(disk, tried):
    folder = disk("size=1m")
    disk("remount,ro")
    result = finish(folder)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert f"cannot write to {folder} (" in line
    tried("the results folder is read-only", "one line says so, before anything is run", "as said")


def test_a_cost_that_is_not_finite(former, tried):
    results_dir, before = former
    result = finish(results_dir, "--lr_x=1e30", "--lr_sg=1e30")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "epoch 1 " in line
    assert "--lr_x=1e+30" in line
    assert content(results_dir) == before
    assert [path.name for path in results_dir.iterdir()] == [NAME]
    tried(
        "the cost stops being a finite number",
        "the run ends; one line names the epoch and the rates",
        "as said",
    )


def test_a_clock_that_jumps(former, whole, tried):
    results_dir, _ = former
    jumping = (
        "import itertools, runpy, sys, time\n"
        "right, jumps = time.time, itertools.cycle([0, 86400, -86400, 1e9])\n"
        "time.time = lambda: right() + next(jumps)\n"
        "sys.argv = sys.argv[1:]\n"
        "sys.path.insert(0, sys.argv[0].rpartition('/')[0])\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [sys.executable, "-c", jumping, *COMMAND[1:], f"--results_dir={results_dir}"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert content(results_dir) == whole
    timing = json.loads((results_dir / NAME / "timing.json").read_text())
    assert 0 < timing["seconds"] < 3600
    tried("the clock jumps by days", "nothing: the same bytes, and a sensible time", "as said")


# What is damaged, what happens then, and what was read or refused.
SURFACES = {
    "data": (
        "the data are damaged",
        "they are refused with one line that names the file, or they are right",
        "files",
    ),
    "state": (
        "the state.json of a checkpoint is damaged, and its digest forged",
        "the checkpoint is left out, or one line names other settings, or it is right",
        "files",
    ),
    "digests": (
        "the digests of a checkpoint are damaged",
        "the checkpoint is left out, or they are right",
        "files",
    ),
    "variables": (
        "the variables of a checkpoint are damaged",
        "the checkpoint is left out, or they are right",
        "files",
    ),
    "study": (
        "the file of a study is wrong",
        "it is refused with one line that names the file, or it is a study",
        "files",
    ),
    "flags": (
        "a flag or a flag file is wrong",
        "it is refused with one line, or a run can be given these settings",
        "command lines",
    ),
    "runs": (
        "the runs.jsonl of a study is damaged",
        "a study that goes on does again what is no run; what shows it is refused with one line",
        "files",
    ),
    "results": (
        "a file that `make results` reads is damaged",
        "it is refused with one line that names the file, or it can be what was written",
        "files",
    ),
}
# Atheris where a parser of Python's own can be watched: what else parses is written in C.
FUZZERS = [
    *((surface, "hypothesis") for surface in SURFACES),
    ("data", "atheris"), ("study", "atheris"), ("flags", "atheris"),
]  # fmt: skip


@pytest.mark.parametrize(("surface", "fuzzer"), FUZZERS)
def test_damaged_inputs(surface, fuzzer, pytestconfig, tried):
    if importlib.util.find_spec(fuzzer) is None:
        pytest.skip(f"{fuzzer} has no build for this Python")
    # Atheris, which goes by what the code does with an input, can take in more.
    wanted = pytestconfig.getoption("inputs") * (8 if fuzzer == "atheris" else 1)
    read = refused = peak = 0
    # In processes of their own, because a fuzzer remembers what it has tried.
    for seed in range(-(-wanted // PER_PROCESS)):
        arguments = [surface, fuzzer, str(min(wanted, PER_PROCESS)), str(seed)]
        command = [sys.executable, PROJECT / "tests" / "fuzz.py", *arguments]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        seen = json.loads(result.stdout)
        read += seen.get("read", 0)
        refused += seen.get("refused", 0)
        peak = max(peak, seen["peak_mb"])
    assert read + refused >= wanted
    assert min(read, refused) > 0.001 * wanted
    assert peak < 300
    fault, then, what = SURFACES[surface]
    tried(
        f"{fault} (by {fuzzer})",
        then,
        f"{read + refused} {what}, {refused} refused: 0 crashes, at most {peak:.0f} MB",
    )


def test_variables_that_tensorflow_cannot_read(tmp_path):
    # With digests that are forged, which only TensorFlow's own sums tell.
    graph = build(ASKED, width=4)
    split = mnist.Images(np.zeros((30, 4), np.float32), np.zeros(30, np.uint8))
    prefix, mixed = tmp_path / "variables", random.Random(0)
    with session.open_session(graph) as of_graph:
        session.initialize(of_graph, graph, ASKED, split)
        session.Running(graph, of_graph).save(str(prefix))
        whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
        refused = 0
        for _ in range(100):
            for path, content in whole.items():
                path.write_bytes(content)
            path = mixed.choice(list(whole))
            damaged = bytearray(whole[path])
            del damaged[mixed.choice([0, mixed.randrange(len(damaged)), 10**6]) :]
            for _ in range(mixed.randrange(4) if damaged else 0):
                damaged[mixed.randrange(len(damaged))] = mixed.randrange(256)
            path.write_bytes(damaged)
            try:
                session.restore(of_graph, graph, prefix)
            except UserError as error:
                assert "or damaged ones" in str(error)
                refused += 1
    assert 0 < refused < 100
