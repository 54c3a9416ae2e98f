"""The notebook of many boxes, run from the top in a clean kernel, and as it is committed."""

import json

import kernel
import pytest
from conftest import PROJECT
from kernel import printed, read

from experiment.studies import many_boxes, many_boxes_summary

PATH = PROJECT / "notebooks" / "many_boxes.ipynb"
LAST_CELL = """
import json
import sys

print(json.dumps({
    "differences": {name: float(value) for name, value in differences.items()},
    "epochs": {rule: line["epochs"] for rule, line in live.items()},
    "cosines": cosines.shape,
    "dask": "distributed" in sys.modules,
}))
"""
FIRST_CHANGES = """\
T =  2, synthetic, K = 1             :  3 products in a row
T =  2, back-propagation through time:  6 products in a row
T =  7, synthetic, K = 1             :  3 products in a row
T =  7, back-propagation through time: 16 products in a row
T = 28, synthetic, K = 1             :  3 products in a row
T = 28, back-propagation through time: 58 products in a row
"""


def test_it_runs_from_the_top():
    notebook = kernel.executed(PATH, "EPOCHS, SEED = 1, 0", LAST_CELL, timeout=1200)
    found = json.loads(printed(notebook, "last"))
    assert max(found["differences"].values()) < 1e-5
    assert found["epochs"] == dict.fromkeys(many_boxes.RULES, 1)
    assert found["cosines"] == [1, 27]
    assert not found["dask"]  # Colab has none.
    assert printed(notebook, "count") == FIRST_CHANGES


def test_what_is_committed_was_run_from_the_top():
    notebook = read(PATH)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} == {"stream", "display_data"}
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert printed(notebook, "count") == FIRST_CHANGES
    (cell,) = (cell for cell in cells if cell.id == "counting")
    table = (PROJECT / "results" / "many-boxes" / "counting.md").read_text()
    assert cell.outputs[0].data["text/markdown"] == table


def test_its_live_runs_are_those_of_the_study():
    """With the same seed the numbers are the same, but for an image or two."""
    study = many_boxes.read(PROJECT / "results" / "many-boxes")
    lines = printed(read(PATH), "train").splitlines()
    assert len(lines) == len(many_boxes.RULES)
    for rule, line in zip(many_boxes.RULES, lines, strict=True):
        cell = many_boxes_summary.cell_of("strips", 28, 1, rule)
        (run,) = many_boxes.runs_of(cell, many_boxes.chosen(cell, study), [0], "held_out")
        name, accuracy = line.split()[:2]
        assert name == rule
        expected = 100 * study[run]["correct"] / study[run]["total"]
        assert float(accuracy.rstrip("%")) == pytest.approx(expected, abs=0.1)
