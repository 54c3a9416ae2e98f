"""A results file that is missing or cannot be read gets one line, from each of its readers."""

import pytest

from experiment.errors import UserError
from experiment.evaluation import run_files
from experiment.report import claims, readme, speed, timeline
from experiment.studies import store

READERS = {
    "metrics.json": lambda folder: run_files.read_json(folder / "metrics.json"),
    "cost.csv": run_files.read_costs,
    "predictions.csv": lambda folder: run_files.read_predictions(folder, "test"),
    "bench.json": speed.read_bench,
    "timeline.csv": timeline.read,
}


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_missing_or_damaged_is_named(name, tmp_path):
    with pytest.raises(UserError, match=rf"{name} is missing: make \w+ writes it"):
        READERS[name](tmp_path)
    for content in (b"\xff\xfe\x00", b'{"a": 1', b"a,b\n1,2\n"):
        if name.endswith(".csv") and content.startswith(b"{"):
            continue  # It is CSV, without rows.
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name} is damaged \(.*: make \w+ writes it anew"):
            READERS[name](tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=rf"{name} cannot be read \(Is a directory\)"):
        READERS[name](tmp_path)


def test_other_readers(tmp_path, monkeypatch):
    assert store.read(tmp_path) == []
    with pytest.raises(UserError, match=r"metrics\.json is missing: make reproduce writes it"):
        claims.claims(tmp_path)
    monkeypatch.setattr(readme, "PROJECT", tmp_path)
    with pytest.raises(UserError, match=r"claims\.md is missing: make results writes it"):
        readme.filled("<!-- results/claims.md -->\n<!-- end -->", None)
