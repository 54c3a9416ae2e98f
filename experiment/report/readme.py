"""The parts of README.md, docs/, tests/README.md and the notebooks that are copies of other files.

Between `<!-- FILE -->` and `<!-- end -->` stands a copy of FILE. Between `<!-- badge -->` and
`<!-- end -->` stands a link that opens the notebook in Colab if pyproject.toml has an address of
the project ([project.urls] Repository), and nothing if it has none.
"""

import json
import re
import tomllib
from pathlib import Path

from experiment.settings import PROJECT
from experiment.storage.result_errors import reading

PAGES = (
    PROJECT / "README.md",
    *sorted((PROJECT / "docs").glob("*.md")),
    PROJECT / "tests" / "README.md",
)
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
NOTEBOOK = PROJECT / "notebooks" / "decoupled_rnn.ipynb"
COLAB = "https://colab.research.google.com"


def repository() -> str | None:
    """The address of the project in pyproject.toml, or None."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    address: str | None = project.get("urls", {}).get("Repository")
    return address


def filled(text: str, address: str | None, notebook: Path = NOTEBOOK) -> str:
    """The text with every marked part brought up to date; the badge opens `notebook`."""
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
    """A notebook's file with its badge, and the address that its setup cell clones."""
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        source = filled("".join(cell["source"]), address, path)
        source = re.sub("(?m)^REPOSITORY = .*$", f"REPOSITORY = {address!r}", source)
        cell["source"] = source.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def make() -> None:
    """Brings every page and notebook up to date."""
    for page in PAGES:
        page.write_text(filled(page.read_text(), repository()))
    for notebook in NOTEBOOKS:
        notebook.write_text(filled_notebook(notebook, repository()))
