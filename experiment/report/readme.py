"""`python -m experiment.report.readme` brings README.md, docs/ and the notebooks up to date.

What stands between `<!-- FILE -->` and `<!-- end -->` is a copy of FILE. Between `<!-- badge -->`
and `<!-- end -->` is a link that opens the notebook (on a page, the post's) in Colab, once
pyproject.toml says where the project is ([project.urls] Repository); until then, nothing.
"""

import json
import re
import tomllib
from pathlib import Path

from experiment.settings import PROJECT, said_in_a_line
from experiment.storage.reading import reading

PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
NOTEBOOK = PROJECT / "notebooks" / "decoupled_rnn.ipynb"
COLAB = "https://colab.research.google.com"


def repository() -> str | None:
    """Where the project is, if pyproject.toml says so."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    address: str | None = project.get("urls", {}).get("Repository")
    return address


def filled(text: str, address: str | None, notebook: Path = NOTEBOOK) -> str:
    """The text with every marked part replaced by what it names.

    Args:
        text: with the marks.
        address: of the repository, if there is one.
        notebook: that a badge opens.
    """
    badge = ""
    if address is not None:
        path = f"{address.removeprefix('https://github.com')}/blob/main/notebooks/{notebook.name}"
        badge = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({COLAB}/github{path})\n"

    def copy(match: re.Match[str]) -> str:
        with reading(PROJECT / match[1], "make results"):
            part = badge if match[1] == "badge" else (PROJECT / match[1]).read_text()
        return f"<!-- {match[1]} -->\n{part}<!-- end -->"

    return re.sub(r"<!-- (\S+) -->\n.*?<!-- end -->", copy, text, flags=re.DOTALL)


def filled_notebook(path: Path, address: str | None) -> str:
    """A notebook's file with its badge, and with the address that Colab clones."""
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        source = filled("".join(cell["source"]), address, path)
        source = re.sub("(?m)^REPOSITORY = .*$", f"REPOSITORY = {address!r}", source)
        cell["source"] = source.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    with said_in_a_line():
        for page in PAGES:
            page.write_text(filled(page.read_text(), repository()))
        for notebook in NOTEBOOKS:
            notebook.write_text(filled_notebook(notebook, repository()))
