import re

from conftest import PROJECT

from experiment.report.readme import filled


def test_the_readme_shows_the_committed_results():
    readme = (PROJECT / "README.md").read_text()
    assert "<!-- results/claims.md -->" in readme
    assert "<!-- results/table.md -->" in readme
    assert "<!-- results/bench.md -->" in readme
    assert filled(readme) == readme


def test_the_readme_s_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", (PROJECT / "README.md").read_text()):
        assert (PROJECT / target).exists(), target


def test_the_readme_s_tests_exist():
    readme = (PROJECT / "README.md").read_text()
    names = re.findall(r"`(test_fault_\w+)`", readme)
    faults = (PROJECT / "tests" / "test_faults.py").read_text()
    assert names == re.findall(r"def (test_fault_\w+)\(", faults)
    assert len(names) == 8
