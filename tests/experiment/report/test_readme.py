"""README, docs/, tests/README.md and the notebooks are up to date; their links lead somewhere."""

import re
import subprocess

import pytest

from experiment.report.readme import (
    NOTEBOOK,
    NOTEBOOKS,
    PAGES,
    filled,
    filled_notebook,
    repository,
)
from experiment.settings import PROJECT

TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=PROJECT, capture_output=True, text=True, check=True,
).stdout.splitlines()  # fmt: skip
TEXTS = [PROJECT / name for name in TRACKED if name.endswith((".py", ".md", ".j2", ".toml"))]
WITH_LINKS = [*PAGES, PROJECT / "CONTRIBUTING.md", PROJECT / "results" / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_pages_show_the_committed_results(page):
    text = page.read_text()
    assert filled(text, repository()) == text


def test_the_readme_is_short():
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 100


def anchors(path):
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", WITH_LINKS, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_somewhere(page):
    text = page.read_text()
    targets = re.findall(r"\]\(([^)]+)\)|^\[[^\]]+\]: (.*)$", text, re.MULTILINE)
    for target in (inline or reference for inline, reference in targets):
        if re.match("https?://", target):
            continue
        path, _, anchor = target.partition("#")
        destination = (page.parent / path) if path else page
        assert destination.exists(), target
        assert not anchor or anchor in anchors(destination), target


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_what_cites_the_experiment_cites_a_part_that_is_there(path):
    sections = set(
        re.findall(r"^## (\d+a?)\. ", (PROJECT / "docs/experiment.md").read_text(), re.M)
    )
    text = path.read_text()
    assert not re.search(r"[Ss]pecification.{0,3} §", text)
    if path.suffix != ".md":
        cited = re.findall(r"(.{0,18})§(\w+)", text)
        assert all(before.endswith("experiment.md ") and n in sections for before, n in cited), (
            cited
        )
    for number in re.findall(r"experiment\.md\)? §(\w+)", text):
        assert number in sections


def test_every_fault_of_the_specification_has_its_test():
    text = (PROJECT / "docs" / "experiment.md").read_text()
    section = text.partition("\n## 6. ")[2].partition("\n## ")[0]
    faults = (PROJECT / "tests" / "graph" / "test_faults.py").read_text()
    numbers = re.findall(r"^(\d)\. ", section, re.MULTILINE)
    assert numbers == re.findall(r"def test_fault_(\d)_", faults) == list("12345678")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_there_is_no_badge_before_the_project_has_a_place(notebook):
    readme, text = (PROJECT / "README.md").read_text(), notebook.read_text()
    address = repository()
    assert ("colab-badge" in readme) == ("colab-badge" in text) == (address is not None)
    assert filled_notebook(notebook, address) == text
    for text in (filled(readme, None), filled_notebook(notebook, None)):
        assert "colab-badge" not in text
    there = "https://github.com/someone/something"
    opens = "https://colab.research.google.com/github/someone/something/blob/main/notebooks/"
    assert f"]({opens}{NOTEBOOK.name})\n" in filled(readme, there)
    text = filled_notebook(notebook, there)
    assert f"]({opens}{notebook.name})" in text
    assert f"REPOSITORY = '{there}'" in text
