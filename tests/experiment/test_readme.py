import re

from conftest import PROJECT

from experiment.readme import filled


def test_the_readme_shows_the_committed_results():
    def without_times(text):
        return re.sub(r"[0-9.]+ ms a step in manual mode, [0-9.]+ in auto", "", text)

    readme = (PROJECT / "README.md").read_text()
    assert "<!-- results/claims.md -->" in readme
    assert without_times(filled(readme)) == without_times(readme)


def test_the_readme_s_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", (PROJECT / "README.md").read_text()):
        assert (PROJECT / target).exists(), target
