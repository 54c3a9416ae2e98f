"""Pictures are the same from every processor, and show what they showed."""

import io
import re

import matplotlib
import pytest
from matplotlib.figure import Figure

from experiment.style import svg

NUMBER = r"-?\d+(?:\.\d+)?"


def figure(shift=0.0):
    """Lines, markers, a rotated text; `shift` is in inches."""
    drawing = Figure(figsize=(4, 3))
    axes = drawing.add_axes((0.2 + shift / 4, 0.2, 0.7, 0.7))
    axes.plot([1, 2, 3.3], [0.1, 0.7, 0.35], "o-")
    axes.set_ylabel("a rotated text")
    return drawing


@pytest.fixture(params=["path", "none"])
def font(request):
    """Text as shapes, as in files, or as text, as on the page."""
    with matplotlib.rc_context({"svg.fonttype": request.param}):
        yield


def test_the_last_digits_do_not_show(font):
    assert svg(figure(1e-8), "n") == svg(figure(), "n")
    assert svg(figure(1e-3), "n") != svg(figure(), "n")


def test_it_is_the_picture_that_matplotlib_draws(font):
    file = io.StringIO()
    figure().savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    with_names, ours = file.getvalue(), svg(figure(), "n")
    shapes = [re.findall(r'(?: d="|translate\(|rotate\(|scale\(| [xy]=")[^")]*', text)
              for text in (with_names, ours)]  # fmt: skip
    assert len(shapes[0]) > 50
    for before, after in zip(*shapes, strict=True):
        assert re.sub(NUMBER, "", after) == re.sub(NUMBER, "", before)
        numbers = [[float(n) for n in re.findall(NUMBER, text)] for text in (before, after)]
        assert numbers[1] == pytest.approx(numbers[0], abs=0.00501 if "scale" not in before else 0)


def test_every_name_is_of_one_part():
    text = svg(figure(), "n")
    defined = re.findall(r' id="([^"]*)"', text)
    used = set(re.findall(r'(?:href="|url\()#([^")]*)', text))
    assert sorted(defined) == sorted(used)
    assert all(re.fullmatch(r"n\d+", name) for name in used)
