import pytest

import flags
from experiment.settings import UserError
from experiment.style import BLUE, VERMILION
from experiment.training.answers import name, what_was_said


@pytest.mark.parametrize(
    ("digits", "called"),
    [("3", "3"), ("38", "38"), ("01234", "0–4"), ("357", "357"), ("789", "7–9")],
)
def test_a_set_of_digits_has_a_name(digits, called):
    assert name(digits) == called


def test_what_was_said_names_the_sets():
    sets = flags.parse(["x", "--digits=43210,98765"]).digits
    assert what_was_said(sets, 1, 0.9) == ("✓ says 5–9, is 5–9\np = 0.90", BLUE)
    assert what_was_said(sets, 1, 0.2) == ("✗ says 0–4, is 5–9\np = 0.20", VERMILION)


def test_no_digit_is_in_both_sets():
    with pytest.raises(UserError, match="no digit twice"):
        flags.parse(["x", "--digits=01234,45678"])
