"""A study does the missing runs, keeps them in runs.jsonl, and goes on where it was stopped."""

import json

import pytest

from experiment.errors import UserError
from experiment.studies import runner, store


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_study_writes_its_runs_in_the_order_of_its_jobs(study):
    study.run()
    assert [(run["experiment"], run["seed"]) for run in study.runs()] == [
        ("later", 0), ("first", 0), ("later", 1), ("first", 1),
    ]  # fmt: skip
    assert set(files(study.folder)) == {
        "README.md", "table.md", "points.png", "points.svg", "quality.png", "quality.svg",
        "runs.jsonl",
    }  # fmt: skip
    assert "The 4 runs took 60 minutes of one core." in (study.folder / "README.md").read_text()


@pytest.mark.parametrize(
    "cut", ['{"experiment": "lat', "\n\x00\x00\x00", "not JSON\n", "[" * 100_000 + "\n"]
)
def test_only_missing_runs_are_done(study, cut):
    study.run()
    whole = files(study.folder)
    lines = study.runs()
    # A setting that is newer than these runs, and a third run that is lost.
    assert [line.pop("warm_up") for line in lines] == [False] * 4
    text = "".join(map(store.line, [*lines[:2], lines[3]])) + cut
    (study.folder / store.FILE).write_text(text)
    study.jobs_done.clear()
    study.run()
    assert study.jobs_done == [study.jobs[2]]
    again = files(study.folder)
    assert {**again, store.FILE: b""} == {**whole, store.FILE: b""}


def test_runs_that_the_study_does_not_ask_for_are_dropped(study):
    study.run()
    whole = files(study.folder)
    other_data = {**study.runs()[1], "data_sha_256": {"labels": "other"}}
    other_flags = {**study.runs()[2], "lr_x": 0.5}
    store.write(study.folder, [study.runs()[0], other_data, other_flags, study.runs()[3]])
    study.jobs_done.clear()
    study.run()
    assert study.jobs_done == study.jobs[1:3]
    assert files(study.folder) == whole


def test_a_line_that_is_not_json_stops_a_reader_that_needs_all(study):
    study.run()
    with (study.folder / store.FILE).open("a") as file:
        file.write('{"experiment": "la')
    assert len(study.runs()) == 4  # The last line was cut off.
    with (study.folder / store.FILE).open("a") as file:
        file.write("\n" + json.dumps({"experiment": "later"}) + "\n")
    with pytest.raises(UserError, match=r"runs\.jsonl is damaged .*: make studies writes it anew"):
        study.runs()


def test_a_study_needs_images_that_are_held_out(study, monkeypatch):
    monkeypatch.setattr(
        runner,
        "on_workers",
        lambda jobs, *_, **__: ((job, {"held_out_accuracy": None}) for job in jobs),
    )
    with pytest.raises(UserError, match="later leaves no image held out"):
        study.run()
    assert (study.folder / store.FILE).read_text() == ""


def test_a_run_that_diverges_does_not_end_the_study(study, monkeypatch, capsys):
    study.run()
    others = study.runs()
    lost = {"not_finite": "the cost of epoch 1 is nan", **study.jobs[2].settings.numeric()}
    lost |= {"data_sha_256": others[0]["data_sha_256"], "cpu_seconds": 0}
    store.write(study.folder, [others[0], others[1], others[3]])
    monkeypatch.setattr(runner, "on_workers", lambda jobs, *_, **__: ((job, lost) for job in jobs))
    study.run()
    assert "later, --seed=1: the cost of epoch 1 is nan" in capsys.readouterr().err
    rows = (study.folder / "table.md").read_text().splitlines()
    row, difference = (row.split("|") for row in rows if row.startswith("| later "))
    assert row[3].strip() == difference[2].strip() == "diverged"
    assert "nan" not in "".join(rows)
