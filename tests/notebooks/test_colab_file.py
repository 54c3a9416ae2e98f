"""The notebook as one file: run from the top, alone in an empty folder, without network."""

import ast
import json
import os
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from experiment.packaging import colab, first_cell
from experiment.studies.many_boxes import plan
from tests import run_notebook
from tests.run_notebook import printed

pytestmark = pytest.mark.slow
EPOCHS = 2
# Runs at the start of each kernel: connections to other machines are refused.
OFFLINE = """
import sys

def refuse(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost", "127.0.0.1"):
        raise PermissionError(f"no network: {arguments[0]}")
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if arguments[1][0] not in ("127.0.0.1", "::1"):
            raise PermissionError(f"no network: {arguments[1][0]}")

sys.addaudithook(refuse)
"""
LAST_CELL = """
import json
import socket

try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
except PermissionError as error:
    network = str(error)
files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
print(json.dumps({
    "costs": {" ".join(key): run.costs for key, run in runs.items()},
    "files": {name: file for name, file in files.items() if file},
    "network": network,
}))
"""


def first_code(notebook):
    return next(cell for cell in notebook.cells if cell.cell_type == "code")


def offline(folder):
    """The environment of such a kernel, with its files in the folder."""
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "offline.py").write_text(OFFLINE)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return environment | {"PIP_NO_INDEX": "1", "IPYTHONDIR": str(folder)}


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The folder, its environment, the executed notebook, and the output of the last cell."""
    folder, env = tmp_path_factory.mktemp("empty"), offline(tmp_path_factory.mktemp("offline"))
    path = folder / colab.packed_path(colab.NOTEBOOK).name
    path.write_text(colab.packed_notebook(colab.NOTEBOOK))
    # The one change to it: 100 epochs would take minutes.
    notebook = run_notebook.executed(path, f"EPOCHS = {EPOCHS}", LAST_CELL, env=env)
    return folder, env, notebook, json.loads(printed(notebook, "last"))


def test_the_file_alone_runs_from_the_top(executed, recorded):
    folder, _, notebook, results = executed
    assert {path.name for path in folder.iterdir()} == {
        "decoupled_rnn", "decoupled_rnn_colab.ipynb",
    }  # fmt: skip
    assert results["network"] == "no network: 192.0.2.1"
    # Nothing was missing, and TensorFlow is the locked one.
    assert printed(notebook, colab.SETUP) == ""
    for mode, run in recorded.items():
        expected = run["cost_per_epoch"][:EPOCHS]
        np.testing.assert_allclose(results["costs"][f"published {mode}"], expected, rtol=1e-4)


def test_its_modules_are_those_that_were_unpacked(executed):
    folder, _, _, results = executed
    rooms = ("experiment", "graph")
    ours = {
        name: Path(file) for name, file in results["files"].items() if name.split(".")[0] in rooms
    }
    assert {"graph.network", "experiment.training.mnist"} <= ours.keys()
    assert all(file.is_relative_to(folder / "decoupled_rnn") for file in ours.values())


def imported(source):
    """The first names of the modules that a Python source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_it_installs_what_it_imports_and_no_more(executed):
    folder, _, notebook, results = executed
    root = folder / "decoupled_rnn"
    sources = [
        Path(file).read_text()
        for file in results["files"].values()
        if Path(file).is_relative_to(root)
    ]
    without_magic = TransformerManager().transform_cell
    sources += [without_magic(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    names = {name for each in sources for name in imported(each)} - sys.stdlib_module_names
    # IPython is what runs it; cycler comes with Matplotlib, which cannot do without.
    others = names - {"experiment", "graph", "numpy_version", "IPython", "cycler"}
    assert others == first_cell.NEEDED.keys()


def test_a_second_kernel_takes_what_is_unpacked(executed):
    folder, env, notebook, _ = executed
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.py")}
    again = nbformat.v4.new_notebook(metadata=notebook.metadata)
    again.cells = [
        nbformat.v4.new_code_cell(first_code(notebook).source, id="first"),
        nbformat.v4.new_code_cell("import reproduce\nprint(reproduce.__file__)", id="second"),
    ]
    run_notebook.execute(again, folder, env=env)
    assert printed(again, "first") == ""
    assert printed(again, "second") == f"{folder / 'decoupled_rnn' / 'reproduce.py'}\n"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.py")} == before


MANY_BOXES_LAST_CELL = """
import json

print(json.dumps({
    "differences": list(map(float, differences.values())),
    "epochs": {rule: line["epochs"] for rule, line in live.items()},
    "cosines": cosines.shape,
    "modules": [*sys.modules],
}))
"""


def test_many_boxes_runs_from_its_own_file(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    path = folder / colab.packed_path(colab.NOTEBOOKS[1]).name
    path.write_text(colab.packed_notebook(colab.NOTEBOOKS[1]))
    parameters, env = "EPOCHS, SEED = 1, 0", offline(tmp_path / "offline")
    notebook = run_notebook.executed(path, parameters, MANY_BOXES_LAST_CELL, timeout=1200, env=env)
    assert printed(notebook, colab.SETUP) == ""
    results = json.loads(printed(notebook, "last"))
    assert max(results["differences"]) < 1e-5
    assert results["epochs"] == dict.fromkeys(plan.RULES, 1)
    assert results["cosines"] == [1, 27]
    assert not {"distributed", "tqdm"} & set(results["modules"])  # Colab has none.
    assert len(printed(notebook, "train").splitlines()) == len(plan.RULES)
    committed = run_notebook.read(colab.NOTEBOOKS[1])
    assert printed(notebook, "count") == printed(committed, "count")
