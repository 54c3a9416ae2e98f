"""The notebook as one file: its content, its first cell, and what that refuses."""

import ast
import base64
import importlib
import io
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from experiment.packaging import colab, first_cell
from experiment.settings import PROJECT

TENSORFLOW = metadata.version("tensorflow")


@pytest.fixture(scope="module", params=colab.NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture(scope="module")
def text():
    return colab.packed_notebook(colab.NOTEBOOK)


def first_code(notebook):
    return next(cell for cell in notebook.cells if cell.cell_type == "code")


@pytest.fixture
def source(text):
    return first_code(nbformat.reads(text, as_version=4)).source


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_first_cell_shows_no_code(text):
    """By the names of Colab, Jupyter and Kaggle."""
    first = first_code(nbformat.reads(text, as_version=4))
    assert first.metadata == {
        "cellView": "form", "jupyter": {"source_hidden": True}, "_kg_hide-input": True,
    }  # fmt: skip


def test_what_pip_is_asked_for_is_what_is_locked():
    locked = re.findall(r"(?m)^([\w-]+)==", "".join(
        (PROJECT / f"requirements{of}.txt").read_text() for of in ("", "-lab", "-dev")
    ))  # fmt: skip
    assert set(first_cell.NEEDED.values()) <= set(locked)


def test_two_builds_are_the_same_bytes(path):
    text = colab.packed_notebook(path)
    assert colab.packed_notebook(path) == text
    assert len(text.encode()) < 5e6


def test_but_for_its_first_cell_it_is_the_notebook(path):
    text = colab.packed_notebook(path)
    made, kept = nbformat.reads(text, as_version=4), nbformat.read(path, as_version=4)
    nbformat.validate(made)
    assert first_code(made).id == first_code(kept).id == colab.SETUP
    picture = base64.b64encode((PROJECT / "docs" / "network.svg").read_bytes()).decode()
    for cell, original in zip(made.cells, kept.cells, strict=True):
        assert cell.id == original.id
        # Links from the folder of notebooks lead there from beside what is unpacked.
        source = original.source.replace(
            "../docs/network.svg", f"data:image/svg+xml;base64,{picture}"
        )
        source = source.replace("](../", "](decoupled_rnn/")
        assert cell.source == source or cell.id == colab.SETUP
        assert not cell.get("outputs")
    assert str(PROJECT) not in text
    assert (picture in text) == (path == colab.NOTEBOOK)


def test_the_packed_files_are_those_that_git_has():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    rooms = {"MNIST_data", "experiment", "graph", "numpy_version", "presets", "traces"}
    expected = [
        name
        for name in listed
        if (Path(name).parts[0] in rooms and not name.startswith("presets/cluster/"))
        or ("/" not in name and name.endswith(".py"))
        or name == "notebooks/many_boxes.ipynb"
        or name in ("results/many-boxes/counting.md", "results/many-boxes/runs.jsonl")
        or re.fullmatch(r"docs/.*\.md", name)
    ]
    with zipfile.ZipFile(io.BytesIO(colab.archive())) as packed:
        assert sorted(packed.namelist()) == sorted(["LICENSE", *expected])
        # Not when they were written.
        assert {entry.date_time for entry in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.fixture
def run_first(tmp_path, monkeypatch):
    """Runs the source of a first cell in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(source):
        names = {}
        exec(compile(source, "first cell", "exec"), names)
        return names["root"]

    return run


def one_line(error):
    (line,) = str(error.value).splitlines()
    return line


@pytest.mark.parametrize("instead", ["A", "B", "!", '"', "\\", "é", " ", ""])
@pytest.mark.parametrize("where", [0, 0.5, 1])
def test_a_damaged_archive_is_refused(source, run_first, tmp_path, instead, where):
    before, archive, after = re.fullmatch(
        r'(.*ARCHIVE = r"""\n)(.*)(\n""".*)', source, re.DOTALL
    ).groups()
    i = round(where * (len(archive) - 1))
    # The middle may be a line's end, which does not count.
    i += archive[i] in (instead, "\n")
    with pytest.raises(SystemExit) as error:
        run_first(before + archive[:i] + instead + archive[i + 1 :] + after)
    assert one_line(error) == "This file was damaged on its way: download it again."
    assert listing(tmp_path) == []


def test_line_ends_are_no_damage(source, run_first, tmp_path):
    archive = source.partition('r"""')[2].partition('"""')[0]
    assert len(archive) > 1e6
    assert run_first(source.replace(archive, archive.replace("\n", " \n\n"))) == (
        tmp_path / "decoupled_rnn"
    )


@pytest.mark.parametrize("there", ["file", "empty", "full", "other build"])
def test_what_is_there_already_is_left_alone(source, run_first, tmp_path, there):
    folder = tmp_path / "decoupled_rnn"
    if there == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
    if there == "full":
        (folder / "reproduce.py").write_text("mine")
    if there == "other build":
        (folder / ".sha256").write_text("0" * 64)
    before = {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")}
    with pytest.raises(SystemExit) as error:
        run_first(source)
    assert one_line(error) == (
        f"{folder} is there already, and not from this file: rename it, or start in another folder."
    )
    assert {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")} == before


def test_when_it_is_interrupted_there_is_no_half_a_folder(source, run_first, tmp_path, monkeypatch):
    def interrupted(archive, folder):
        archive.extract("reproduce.py", folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(zipfile.ZipFile, "extractall", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_first(source)
    assert listing(tmp_path) == []
    run_first(source)
    assert listing(tmp_path) == ["decoupled_rnn"]


def test_what_is_missing_is_installed(tmp_path, monkeypatch, capfd):
    # To where it does no harm, from a folder that holds all there is.
    monkeypatch.setenv("FORCE_COLOR", "1")  # as kernels do
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "installed"))
    monkeypatch.syspath_prepend(tmp_path / "installed")
    monkeypatch.setitem(first_cell.NEEDED, "missing_one", "missing-one")
    with pytest.raises(SystemExit) as error:
        first_cell.install(TENSORFLOW)
    assert one_line(error) == (
        "pip cannot install missing-one: ERROR: No matching distribution found for missing-one"
    )
    with zipfile.ZipFile(tmp_path / "missing_one-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("missing_one.py", "here = True")
        about = "missing_one-1.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: missing-one\nVersion: 1")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
        wheel.writestr(f"{about}/RECORD", "")
    first_cell.install(TENSORFLOW)
    assert __import__("missing_one").here
    first_cell.install(TENSORFLOW)
    assert capfd.readouterr() == ("Installing missing-one\n" * 2, "")


def test_tensorflow_is_asked_for_in_the_locked_version(source, monkeypatch, capsys):
    (locked,) = re.findall(r'"([.0-9]+)"\)$', source)
    assert f"\ntensorflow=={locked} " in (PROJECT / "requirements.txt").read_text()
    monkeypatch.setattr(first_cell, "NEEDED", {"tensorflow": "tensorflow"})
    monkeypatch.setattr(first_cell.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(first_cell.subprocess, "run", lambda *_, **__: result)
    result = subprocess.CompletedProcess([], 0)
    first_cell.install(locked)
    assert capsys.readouterr().out == f"Installing tensorflow=={locked}\n"


@pytest.mark.parametrize("versions_there", [["2.19.0"], []])
def test_another_tensorflow_is_mentioned(versions_there, monkeypatch, capsys):
    versions = [SimpleNamespace(version=version) for version in versions_there]
    monkeypatch.setattr(metadata, "distributions", lambda name: iter(versions))
    first_cell.install(TENSORFLOW)
    (version_there,) = versions_there or ["another build"]
    assert capsys.readouterr().out == (
        f"TensorFlow is {version_there} here, not {TENSORFLOW}: the last digits may differ.\n"
    )


def test_an_old_python_is_refused(source, run_first, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    monkeypatch.setattr(sys, "version", "3.10.12 (main)")
    # Before anything else: neither this module nor some syntax is in older ones.
    monkeypatch.delattr(importlib, "metadata")
    monkeypatch.setitem(sys.modules, "importlib.metadata", None)
    with pytest.raises(SystemExit) as error:
        run_first(source)
    assert one_line(error) == "This needs Python 3.11 or newer, and this is 3.10.12."
    assert listing(tmp_path) == []
    ast.parse(source, feature_version=(3, 7))
