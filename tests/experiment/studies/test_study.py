"""Studies: the command as a user runs it, cut off or not; and their figures beside SciPy's."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT, free_port, served

import flags
from experiment.settings import Settings, UserError
from experiment.studies import definition, scheduler, summary, workers

STUDY = """
[study]
seeds = 2
images = held_out
[experiments]
later = --mode=auto --wiring=ordered --epochs=2 --train_images=20
first = --engine=delayed --epochs=2 --train_images=20
[differences]
later = first
"""
NAMES = {"README.md", "table.md", "points.png", "points.svg", "runs.jsonl"}


def start(folder, *arguments, program=(PROJECT / "reproduce.py",)):
    (folder / "small.ini").write_text(STUDY)
    command = [sys.executable, *program, f"--study={folder / 'small.ini'}"]
    return subprocess.Popen(
        [*command, f"--results_dir={folder / 'results'}", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def content(folder):
    return {path.name: path.read_bytes() for path in folder.glob("results/studies/small/*")}


def runs(folder):
    """The lines of the file of runs, as far as they are whole."""
    path = folder / "results/studies/small/runs.jsonl"
    return path.read_text().splitlines(keepends=True) if path.exists() else []


def wait_for(condition):
    while not condition():
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a study that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "| later − first " in stdout
    assert set(content(folder)) == NAMES
    return folder


def test_a_run_of_a_study_is_a_run_of_the_command(whole, reproduce, tmp_path):
    measured = [json.loads(line) for line in runs(whole)]
    assert [(run["experiment"], run["seed"]) for run in measured] == [
        ("later", 0), ("first", 0), ("later", 1), ("first", 1),
    ]  # fmt: skip
    flags = "--mode=auto --wiring=ordered --epochs=2 --train_images=20 --seed=1"
    assert reproduce(*flags.split(), f"--results_dir={tmp_path}").returncode == 0
    metrics = json.loads((tmp_path / "ordered-auto" / "metrics.json").read_text())
    assert measured[2] == {"experiment": "later", **metrics}


def jobs_of(study):
    return study.jobs(Settings(), flags.parse)


def small(folder):
    """The study of a folder, its jobs, and what its runs measured."""
    study = definition.read(folder / "small.ini")
    return study, jobs_of(study), [json.loads(line) for line in runs(folder)]


def test_a_run_on_other_data_does_not_count(whole, tmp_path, monkeypatch):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    asked, asked_jobs, measured = small(whole)
    measured[1]["data_sha_256"] = dict.fromkeys(measured[1]["data_sha_256"], "other")
    (tmp_path / "results/studies/small/runs.jsonl").write_text(
        "".join(json.dumps(run) + "\n" for run in measured)
    )
    repeated = []

    def on_workers(jobs, addresses):
        repeated.extend(jobs)
        yield jobs[0], json.loads(runs(whole)[1])

    monkeypatch.setattr(scheduler, "on_workers", on_workers)
    scheduler.run(asked, asked_jobs, tmp_path / "results/studies/small", [])
    assert repeated == [asked_jobs[1]]
    assert runs(tmp_path) == runs(whole)


def test_what_is_done_is_not_repeated(whole, tmp_path):
    shutil.copytree(whole / "results", tmp_path / "results")
    path = tmp_path / "results/studies/small/runs.jsonl"
    # As if one flag were newer than these runs.
    lines = [json.loads(line) for line in runs(tmp_path)]
    assert [line.pop("condition_on_label") for line in lines] == [False] * 4
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = content(tmp_path)
    process = start(tmp_path)
    _, stderr = process.communicate()
    assert process.returncode == 0
    assert "4/4" in stderr
    assert content(tmp_path) == before


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_study_that_was_cut_off_goes_on(sent, whole, tmp_path):
    process = start(tmp_path)
    wait_for(lambda: runs(tmp_path))
    process.send_signal(sent)
    _, stderr = process.communicate()
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert "the same command goes on" in stderr.splitlines()[-1]
    done = len(runs(tmp_path))
    assert 1 <= done < 4
    # A line may have been cut off.
    with (tmp_path / "results/studies/small/runs.jsonl").open("a") as file:
        file.write('{"experiment": "lat')
    process = start(tmp_path)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert f"{done}/4" in stderr
    assert content(tmp_path) == content(whole)


def test_a_worker_that_dies_loses_nothing(whole, tmp_path):
    process = start(tmp_path)
    wait_for(lambda: process.poll() is not None or runs(tmp_path))
    # Threads start them, so they are children of any of them.
    found = [
        child
        for task in Path(f"/proc/{process.pid}/task").iterdir()
        for child in (task / "children").read_text().split()
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    assert found
    os.kill(int(found[0]), signal.SIGKILL)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert content(tmp_path) == content(whole)


@pytest.fixture(scope="module")
def server():
    """The address of a server that nothing happens to."""
    with served() as (address, _):
        yield address


@pytest.fixture
def victim():
    """The address of a server, and its process."""
    with served() as (address, process):
        yield address, process


def test_two_sessions_at_once_on_one_server_write_the_bytes_of_local_processes(
    whole, server, tmp_path
):
    process = start(tmp_path, f"--workers={server},{server}")
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert content(tmp_path) == content(whole)


# Import experiment.studies.workers where reproduce.py would, and wait less.
IMPATIENT = f"""
import runpy, sys
sys.path.insert(0, {str(PROJECT)!r})
import experiment.studies.workers
experiment.studies.workers.SILENCE = 30
runpy.run_path({str(PROJECT / "reproduce.py")!r}, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("sent", "program", "said"),
    [
        (signal.SIGKILL, (PROJECT / "reproduce.py",), ""),
        (signal.SIGSTOP, ("-c", IMPATIENT), "silent for 30 seconds"),
    ],
    ids=["dies", "hangs"],
)
def test_a_server_that_is_lost_loses_nothing(whole, server, victim, tmp_path, sent, program, said):
    address, its_process = victim
    process = start(tmp_path, f"--workers={server},{address}", program=program)
    wait_for(lambda: process.poll() is not None or runs(tmp_path))
    its_process.send_signal(sent)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert f"{address} is lost (" in stderr
    assert said in stderr
    assert f"{server} is lost" not in stderr
    assert content(tmp_path) == content(whole)


def test_a_study_on_a_server_that_was_killed_goes_on(whole, server, tmp_path):
    process = start(tmp_path, f"--workers={server}")
    wait_for(lambda: process.poll() is not None or runs(tmp_path))
    process.kill()
    process.communicate()
    done = len(runs(tmp_path))
    assert 1 <= done < 4
    process = start(tmp_path, f"--workers={server}")
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert f"{done}/4" in stderr
    assert content(tmp_path) == content(whole)


def test_a_process_that_cannot_be_started_ends_the_study(whole, monkeypatch):
    def start(process):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.get_context("spawn").Process, "start", start)
    _, jobs, _ = small(whole)
    with pytest.raises(UserError, match="later, --seed=0: no process can be started: Resource"):
        list(workers.on_workers(jobs[:1]))


def test_a_study_that_is_interrupted_begins_no_process(whole, monkeypatch):
    begun, killed = [], threading.Event()

    class Worker:
        def __init__(self, address):
            begun.append(threading.current_thread())

        def run(self, settings):
            if settings.seed:
                killed.wait()
                raise workers.LostError("its process died")
            return {}

    monkeypatch.setattr(workers, "Worker", Worker)
    monkeypatch.setattr(workers, "_cores", lambda: 1)
    _, jobs, _ = small(whole)
    running = workers.on_workers(jobs)
    assert [next(running)[0].settings.seed for _ in range(2)] == [0, 0]
    running.close()
    killed.set()
    begun[0].join()
    assert len(begun) == 1


def test_a_name_that_no_host_can_have_is_named(tmp_path):
    process = start(tmp_path, "--workers=a..b:2222")
    _, stderr = process.communicate()
    assert process.returncode == 1
    assert stderr.splitlines()[-1].startswith("reproduce.py: a..b:2222 is lost (")
    assert "Traceback" not in stderr


def test_an_address_where_nobody_answers_is_named(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    process = start(tmp_path, f"--workers={address}")
    _, stderr = process.communicate()
    assert process.returncode == 1
    line = stderr.splitlines()[-1]
    assert line.startswith(f"reproduce.py: {address} is lost (Connection refused)")
    assert "the same command goes on" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "No section: 'study'"),
        ("[study]\nseeds = many\n", "'many'"),
        (STUDY.replace("seeds = 2", "seeds = 0"), "seeds = 0"),
        (STUDY.replace("held_out", "training"), "say held_out or test"),
        (STUDY.replace("epochs=2", "epochs=0"), "later: flag --epochs=0"),
        (
            STUDY.replace("--mode=auto --wiring=ordered", "--mode=numpy"),
            "later: --mode=numpy has no graph",
        ),
        (STUDY.replace("later = first", "later = last"), "last, which is no experiment"),
        (STUDY.replace("later = first", "later = First"), "First, which is no experiment"),
        ("[study]\nseeds=1\nimages=test\n[experiments]\n[differences]\n", "has no experiments"),
        ("seeds = 2", "no section headers"),
    ],
)
def test_a_mistake_in_a_study_gets_one_line(reproduce, tmp_path, text, said):
    (tmp_path / "wrong.ini").write_text(text)
    result = reproduce(f"--study={tmp_path / 'wrong.ini'}", f"--results_dir={tmp_path}")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert said in line
    assert f"--study={tmp_path / 'wrong.ini'}" in line
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.ini"]


def test_names_are_as_they_are_written(tmp_path):
    text = STUDY.replace("later", "Later").replace("first", "First")
    (tmp_path / "small.ini").write_text(text)
    asked = definition.read(tmp_path / "small.ini")
    assert [job.experiment for job in jobs_of(asked)] == ["Later", "First", "Later", "First"]
    assert asked.differences == [("Later", "First")]


def test_one_seed_has_no_deviation(whole):
    asked, _, measured = small(whole)
    rows = summary.table(asked, measured[:2]).splitlines()
    assert [row.split("|")[3].strip() for row in rows[2:4]] == ["–", "–"]
    assert "nan" not in "".join(rows)


def test_a_study_needs_images_that_are_held_out(tmp_path, monkeypatch):
    (tmp_path / "small.ini").write_text(STUDY)
    asked = definition.read(tmp_path / "small.ini")
    measured = {"held_out_accuracy": None}
    monkeypatch.setattr(
        scheduler, "on_workers", lambda jobs, addresses: ((job, measured) for job in jobs)
    )
    with pytest.raises(UserError, match="later leaves no image held out"):
        scheduler.run(asked, jobs_of(asked), tmp_path / "results", [])
    assert (tmp_path / "results" / "runs.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [("--study=/no/such.ini", "/no/such.ini"), ("--study=x.ini --epochs=3", "--epochs")],
)
def test_a_mistake_in_the_command_gets_one_line(reproduce, arguments, said):
    result = reproduce(*arguments.split())
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert said in line


@pytest.mark.parametrize("path", sorted((PROJECT / "presets" / "studies").iterdir()), ids=str)
def test_the_studies_of_this_project_can_be_read(path):
    assert jobs_of(definition.read(path))


def test_an_experiment_is_compared_with_several(tmp_path):
    path = tmp_path / "three.ini"
    path.write_text(
        STUDY.replace("[differences]", "last =\n[differences]") + "last = later first\n"
    )
    assert definition.read(path).differences == [
        ("later", "first"), ("last", "later"), ("last", "first"),
    ]  # fmt: skip


@pytest.mark.parametrize("path", sorted((PROJECT / "presets" / "studies").iterdir()), ids=str)
def test_the_studies_of_this_project_are_done(path):
    asked = definition.read(path)
    jobs = jobs_of(asked)
    folder = PROJECT / "results" / "studies" / path.stem
    lines = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
    assert [(run["experiment"], run["seed"]) for run in lines] == [
        (job.experiment, job.settings.seed) for job in jobs
    ]
    figure, _ = definition.ACCURACY[asked.images]
    seeds = 5 if path.stem == "rates" else 30
    assert len(jobs) == seeds * len({job.experiment for job in jobs})
    rows = [
        line.split("|") for line in (folder / "README.md").read_text().splitlines() if "|" in line
    ]
    for name in {job.experiment for job in jobs}:
        accuracies = [run[figure] for run in lines if run["experiment"] == name]
        (row,) = [row for row in rows if row[1].strip() == name]
        assert row[2].strip().startswith(f"{np.mean(accuracies):.1%} (")
