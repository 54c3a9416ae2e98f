import pytest

import flags
from experiment.evaluation.captions import caption, name
from experiment.style import BLUE, VERMILION


@pytest.mark.parametrize(
    ("digits", "expected"),
    [("3", "3"), ("38", "38"), ("01234", "0–4"), ("357", "357"), ("789", "7–9")],
)
def test_a_set_of_digits_has_a_name(digits, expected):
    assert name(digits) == expected


def test_a_caption_names_the_sets():
    sets = flags.parse(["x", "--digits=43210,98765"]).digits
    assert caption(sets, 1, 0.9) == ("✓ says 5–9, is 5–9\np = 0.90", BLUE)
    assert caption(sets, 1, 0.2) == ("✗ says 0–4, is 5–9\np = 0.20", VERMILION)
