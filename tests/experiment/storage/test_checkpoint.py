"""Checkpoints of a small run: which one a run goes on from, and which ones it removes."""

import dataclasses
import hashlib
import json
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from experiment.errors import UserError
from experiment.settings import Settings
from experiment.storage.checkpoint import Checkpoints
from experiment.training import mnist, session
from experiment.training.outcome import START, History

SETTINGS = Settings(
    engine="feed", epochs=5, train_images=4, test_images=2, checkpoint_every=2, resume=True
)


@pytest.fixture(scope="module")
def split():
    return mnist.split(mnist.load(SETTINGS.data_dir), SETTINGS)


def run(checkpoints, split, start=START):
    """A run that writes checkpoints."""

    def observe(history, running):
        if len(history.costs) > len(start.history.costs):
            checkpoints.after_epoch(history, running.save, interrupted=False)

    return session.run(SETTINGS, split, start, observe)


@pytest.fixture(scope="module")
def undisturbed(split, tmp_path_factory):
    """The outcome of a run, and its folder of checkpoints."""
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    checkpoints = Checkpoints(folder)
    assert checkpoints.start(SETTINGS, split) == START
    return run(checkpoints, split), folder


@pytest.fixture
def folder(undisturbed, tmp_path):
    """A copy of the folder of checkpoints: epoch-4 and epoch-5."""
    return shutil.copytree(undisturbed[1], tmp_path / "checkpoint")


def start(folder, split, **changes):
    return Checkpoints(folder).start(dataclasses.replace(SETTINGS, **changes), split)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_two_checkpoints_are_kept(undisturbed):
    assert names(undisturbed[1]) == ["epoch-4", "epoch-5"]


@pytest.mark.parametrize("epoch", [4, 5])
def test_a_run_goes_on_to_the_same_numbers(epoch, undisturbed, folder, split):
    if epoch == 4:
        shutil.rmtree(folder / "epoch-5")
    state = start(folder, split)
    assert state.variables == folder / f"epoch-{epoch}" / "variables"
    outcome, expected = run(Checkpoints(folder), split, state), undisturbed[0]
    assert outcome.history.costs == expected.history.costs
    np.testing.assert_array_equal(outcome.history.quality, expected.history.quality)
    for name in ("test", "held_out"):
        np.testing.assert_array_equal(getattr(outcome, name), getattr(expected, name))


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


FILES = ("SHA256SUMS", "state.json", "variables.data-00000-of-00001", "variables.index")


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, os.remove])
@pytest.mark.parametrize("name", FILES)
def test_a_checkpoint_with_a_damaged_file_is_removed(name, damage, folder, split, capsys):
    assert set(names(folder / "epoch-5")) == set(FILES)
    damage(folder / "epoch-5" / name)
    assert start(folder, split).variables.parent.name == "epoch-4"
    assert capsys.readouterr().err == f"{folder / 'epoch-5'} is damaged: it is removed\n"
    assert names(folder) == ["epoch-4"]


def become_a_link(path):
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def contain_a_link(path):
    (path / "state.json").rename(path.with_suffix(".elsewhere"))
    (path / "state.json").symlink_to(path.with_suffix(".elsewhere"))


def become_a_file(path):
    shutil.rmtree(path)
    path.write_text("")


def contain_another_file(path):
    (path / "variables.data-00001-of-00002").write_text("")


def become_that_of_another_epoch(path):
    shutil.rmtree(path)
    shutil.copytree(path.with_name("epoch-4"), path)


def become_that_of_other_code(path):
    (path / "state.json").write_text('{"history": [1.0]}')
    digests = (
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(path.iterdir())
        if file.name != "SHA256SUMS"
    )
    (path / "SHA256SUMS").write_text("".join(digests))


@pytest.mark.parametrize(
    "change",
    [
        become_a_link, contain_a_link, become_a_file, contain_another_file,
        become_that_of_another_epoch, become_that_of_other_code,
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_form_is_removed(change, folder, split, capsys):
    change(folder / "epoch-5")
    assert start(folder, split).variables.parent.name == "epoch-4"
    assert capsys.readouterr().err == f"{folder / 'epoch-5'} is damaged: it is removed\n"
    assert Checkpoints(folder).epochs() == [4]
    assert (folder / "epoch-5.elsewhere").exists() == ("link" in change.__name__)


def test_without_an_intact_checkpoint_the_run_starts_over(folder, split, capsys):
    for path in folder.glob("*/state.json"):
        truncate(path)
    assert start(folder, split) == START
    assert len(capsys.readouterr().err.splitlines()) == 2
    # The new checkpoints are kept, although their epochs are lower.
    assert names(folder) == []


@pytest.mark.parametrize("resume", [True, False, None])
@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_the_folder_of_checkpoints_must_be_a_folder(kind, resume, folder, split, tmp_path):
    path, elsewhere = tmp_path / "other", tmp_path / "elsewhere"
    if kind == "link":
        folder.rename(elsewhere)
    if kind == "file":
        path.write_text("something else")
    else:
        path.symlink_to(elsewhere)
    with pytest.raises(UserError, match="other is not a folder"):
        start(path, split, resume=resume)
    assert elsewhere.exists() == (kind == "link")


def test_checkpoints_are_only_used_or_dropped_if_the_user_says_so(folder, split):
    with pytest.raises(UserError) as error:
        start(folder, split, resume=None)
    for part in (str(folder), "epoch 5", "--resume", "--noresume"):
        assert part in str(error.value)
    assert names(folder) == ["epoch-4", "epoch-5"]
    assert start(folder, split, resume=False) == START
    assert not folder.exists()


def test_checkpoints_of_other_settings_are_refused(folder, split):
    other_data = split._replace(sha_256={"a file": "a digest"})
    with pytest.raises(UserError, match=r"data=.* there, {'a file': 'a digest'} here"):
        start(folder, other_data)
    differences = re.escape("(seed=678 there, 1 here; lr_x=0.001 there, 0.1 here)")
    with pytest.raises(UserError, match=f"epoch-5 has other settings {differences}.*--noresume"):
        start(folder, split, seed=1, lr_x=0.1)
    # Nor are they removed: the same flags go on with them.
    assert names(folder) == ["epoch-4", "epoch-5"]


def test_a_checkpoint_of_other_variables_is_refused(folder, split):
    """The digests match, but other code wrote it."""
    state = start(folder, split)
    with tf.Graph().as_default(), tf.Session() as other:
        variable = tf.get_variable("w_x", [2, 2])
        other.run(variable.initializer)
        tf.train.Saver().save(
            other, str(state.variables), write_meta_graph=False, write_state=False
        )
    with pytest.raises(UserError, match=r"epoch-5 has other variables than this run.*--noresume"):
        session.run(SETTINGS, split, state)


@pytest.mark.parametrize(
    ("every", "interrupted", "written"),
    [(2, False, [2, 4, 5]), (0, False, []), (0, True, []), (3, True, [1, 2, 3, 4, 5])],
)
def test_when_a_checkpoint_is_written(every, interrupted, written, split, tmp_path, monkeypatch):
    epochs = []
    monkeypatch.setattr(Checkpoints, "add", lambda _, history, save: epochs.append(len(history[0])))
    checkpoints = Checkpoints(tmp_path)
    checkpoints.start(dataclasses.replace(SETTINGS, checkpoint_every=every), split)
    for epoch in range(1, 6):
        checkpoints.after_epoch(History([1.0] * epoch), None, interrupted=interrupted)
    assert epochs == written


def test_a_checkpoint_that_cannot_be_written_gets_one_line(split, tmp_path):
    def save(prefix):
        raise OSError(0, "no room")

    checkpoints = Checkpoints(tmp_path)
    checkpoints.start(SETTINGS, split)
    for _ in range(2):  # The second finds what the first left.
        with pytest.raises(UserError, match=r"\(no room\).*--resume.*--checkpoint_every=0"):
            checkpoints.after_epoch(History([1.0] * 2), save, interrupted=False)
    assert checkpoints.epochs() == []


def test_state_json_names_all_that_affects_the_numbers(folder, split):
    settings = json.loads((folder / "epoch-5/state.json").read_text())["settings"]
    assert settings.keys() == {*SETTINGS.numeric(), "data", "tensorflow"}
