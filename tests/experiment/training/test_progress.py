import sys

import pytest

from experiment.training.progress import Progress


def test_a_terminal_shows_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(4, done=1) as progress:
        progress(2, 1.5)
        progress(3, 0.25)
    stdout, shown = capsys.readouterr()
    assert stdout == ""
    assert "1/4" in shown
    assert "epoch/s" in shown or "s/epoch" in shown
    # It leaves the line empty.
    assert shown.endswith("\r")


@pytest.mark.parametrize(("epochs", "shown"), [(3, [3]), (10, [10]), (25, [10, 20, 25])])
def test_elsewhere_it_is_a_line_every_ten_epochs_and_the_last(capsys, epochs, shown):
    with Progress(epochs) as progress:
        for epoch in range(1, epochs + 1):
            progress(epoch, epoch / 2)
    assert capsys.readouterr() == (
        "".join(f"epoch {epoch} of {epochs}: cost {epoch / 2:.3f}\n" for epoch in shown), "",
    )  # fmt: skip
