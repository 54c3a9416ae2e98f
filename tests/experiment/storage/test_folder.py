"""The folder of a run is replaced whole or not at all."""

import pytest

from experiment.errors import UserError
from experiment.storage import folder
from experiment.storage.folder import replacing
from experiment.storage.interruption import Signals


class NoSignals(Signals):
    """Signals without handlers."""

    def __init__(self):
        self.received = None


KNOWN = {"result", "kept"}


def replace(target, content="new", keep=()):
    with replacing(target, NoSignals(), KNOWN, keep) as new:
        (new / "result").write_text(content)


def files(parent):
    return {
        str(path.relative_to(parent)): path.read_text()
        for path in parent.rglob("*")
        if path.is_file()
    }


@pytest.fixture(params=["swapped in one step", "renamed in two"])
def target(request, tmp_path, monkeypatch):
    """A folder with a former result and something else."""
    if request.param == "renamed in two":
        monkeypatch.setattr(folder, "_exchange", lambda one, other: False)
    path = tmp_path / "run"
    (path / "kept").mkdir(parents=True)
    (path / "kept" / "file").write_text("kept")
    (path / "result").write_text("former")
    return path


def test_a_folder_is_replaced(target):
    replace(target)
    assert files(target.parent) == {"run/result": "new"}


def test_part_of_a_folder_is_kept(target):
    replace(target, keep=["kept"])
    assert files(target.parent) == {"run/result": "new", "run/kept/file": "kept"}


def test_a_kept_name_may_be_missing(target):
    replace(target, keep=["something", "kept"])
    assert files(target.parent) == {"run/result": "new", "run/kept/file": "kept"}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_kept_files_are_there_at_any_moment(target, moment, monkeypatch):
    def killed(*arguments, **options):
        raise Killed

    class Killed(BaseException):
        pass

    # Nothing more is done, as if the process had ended there.
    if moment == "before":
        monkeypatch.setattr(folder, "_exchange", killed)
    monkeypatch.setattr(folder.shutil, "rmtree", killed)
    with pytest.raises(Killed):
        replace(target, keep=["kept"])
    monkeypatch.undo()
    result = {"before": "former", "after": "new"}[moment]
    expected = {"run/result": result, "run/kept/file": "kept"}
    assert files(target.parent).items() >= expected.items()
    with pytest.raises(RuntimeError), replacing(target, NoSignals(), KNOWN):
        raise RuntimeError
    assert files(target.parent) == expected


def test_a_file_is_written_whole_and_through_no_link(tmp_path):
    (tmp_path / "elsewhere").write_text("of someone else")
    (tmp_path / ".file.new").symlink_to(tmp_path / "elsewhere")
    folder.write_whole(tmp_path / "file", "text")
    assert files(tmp_path) == {"elsewhere": "of someone else", "file": "text"}


def test_a_link_is_followed(target):
    link = target.parent / "elsewhere" / "link"
    link.parent.mkdir()
    link.symlink_to(target)
    for _ in range(2):
        replace(link)
        assert link.is_symlink()
        assert files(target) == {"result": "new"}
    assert [path.name for path in link.parent.iterdir()] == ["link"]


def test_a_file_is_not_replaced(tmp_path):
    (tmp_path / "run").write_text("something else")
    with pytest.raises(UserError, match="run is not a folder"):
        replace(tmp_path / "run")
    assert files(tmp_path) == {"run": "something else"}


def test_the_first_result(tmp_path):
    replace(tmp_path / "deep" / "run")
    assert files(tmp_path) == {"deep/run/result": "new"}


def test_a_run_that_fails_leaves_the_folder_as_it_was(target):
    with pytest.raises(RuntimeError), replacing(target, NoSignals(), KNOWN) as new:
        (new / "result").write_text("half")
        raise RuntimeError
    assert files(target.parent) == {"run/result": "former", "run/kept/file": "kept"}


def test_the_exchange_is_one_step(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(name)
    assert folder._exchange(tmp_path / "one", tmp_path / "other")
    assert files(tmp_path) == {"one/name": "other", "other/name": "one"}
    assert not folder._exchange(tmp_path / "one", tmp_path / "no such folder")


def test_the_remains_of_a_run_that_died_are_removed(target):
    # It died between two renamings: the former result has another name, the new one is complete.
    target.rename(target.with_name(".run.old"))
    (target.parent / ".run.new").mkdir()
    (target.parent / ".run.new" / "result").write_text("of the dead run")
    (target.parent / ".run.lock").write_text("process 1 on elsewhere")
    with pytest.raises(RuntimeError), replacing(target, NoSignals(), KNOWN):
        assert files(target)["result"] == "former"
        raise RuntimeError
    assert files(target.parent) == {"run/result": "former", "run/kept/file": "kept"}


def test_a_folder_has_one_owner(target):
    with replacing(target, NoSignals(), KNOWN) as new:
        (new / "result").write_text("of the first")
        with pytest.raises(UserError, match="another run"):
            replace(target)
    assert files(target.parent) == {"run/result": "of the first"}
    replace(target)
    assert files(target.parent) == {"run/result": "new"}


def test_a_file_that_no_run_writes_is_not_removed(target):
    (target / "notes.md").write_text("mine")
    before = files(target.parent)
    with pytest.raises(UserError, match=r"notes\.md is not a file of a run"):
        replace(target)
    assert files(target.parent) == before


def test_a_file_that_comes_while_a_run_trains_is_not_removed(target):
    with (
        pytest.raises(UserError, match=r"notes\.md is not a file of a run"),
        replacing(target, NoSignals(), KNOWN),
    ):
        (target / "notes.md").write_text("mine")
    assert files(target)["notes.md"] == "mine"
    assert files(target)["result"] == "former"


def test_a_path_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "one").symlink_to(tmp_path / "other")
    (tmp_path / "other").symlink_to(tmp_path / "one")
    for target in (tmp_path / "one", tmp_path / "one" / "run", tmp_path / ("long" * 100) / "run"):
        # From Python 3.13 on a circle of links is not an error, but no folder.
        with pytest.raises(UserError, match=r"^--results_dir=|^cannot write to |is not a folder: "):
            replace(target)
    assert files(tmp_path) == {}


def test_links_where_a_run_writes(target):
    elsewhere = target.parent / "elsewhere"
    elsewhere.mkdir()
    (target.parent / ".run.new").symlink_to(elsewhere)
    (target.parent / ".run.old").symlink_to("nowhere")
    replace(target)
    assert files(target.parent) == {"run/result": "new"}
    assert sorted(path.name for path in target.parent.iterdir()) == ["elsewhere", "run"]


def test_a_link_to_nowhere_yet(tmp_path):
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere" / "there")
    replace(tmp_path / "run")
    assert files(tmp_path / "elsewhere") == {"there/result": "new"}


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(UserError) as refused:
        folder.resolved(tmp_path / ("a" * 300) / "run")
    message = f"--results_dir={tmp_path / ('a' * 300)} cannot be used (File name too long)"
    assert str(refused.value) == message
