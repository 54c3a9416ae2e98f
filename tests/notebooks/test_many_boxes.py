"""The notebook of many boxes as it is committed; test_colab_file.py runs it."""

import pytest

from experiment.settings import PROJECT, RESULTS
from experiment.studies.many_boxes import plan, summary
from tests.run_notebook import printed, read

pytestmark = pytest.mark.slow

PATH = PROJECT / "notebooks" / "many_boxes.ipynb"
FIRST_CHANGES = """\
T =  2, synthetic, K = 1             :  3 products in a row
T =  2, back-propagation through time:  6 products in a row
T =  7, synthetic, K = 1             :  3 products in a row
T =  7, back-propagation through time: 16 products in a row
T = 28, synthetic, K = 1             :  3 products in a row
T = 28, back-propagation through time: 58 products in a row
"""


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
    table = (RESULTS / "many-boxes" / "counting.md").read_text()
    assert cell.outputs[0].data["text/markdown"] == table


def test_its_live_runs_are_those_of_the_study():
    """With the same seed the numbers are the same, but for an image or two."""
    study = plan.read(RESULTS / "many-boxes")
    lines = printed(read(PATH), "train").splitlines()
    assert len(lines) == len(plan.RULES)
    for rule, line in zip(plan.RULES, lines, strict=True):
        cell = summary.cell_of("strips", 28, 1, rule)
        (run,) = plan.runs_of(cell, plan.chosen(cell, study), [0], "held_out")
        name, accuracy = line.split()[:2]
        assert name == rule
        expected = 100 * study[run]["correct"] / study[run]["total"]
        assert float(accuracy.rstrip("%")) == pytest.approx(expected, abs=0.1)
