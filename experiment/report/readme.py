"""`python -m experiment.report.readme` brings the tables of README.md up to date with results/.

What stands between `<!-- FILE -->` and `<!-- end -->` is a copy of FILE.
"""

import re

from experiment.settings import PROJECT


def filled(text: str) -> str:
    """The text with every marked part replaced by the file that it names."""

    def copy(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->\n{(PROJECT / match[1]).read_text()}<!-- end -->"

    return re.sub(r"<!-- (\S+) -->\n.*?<!-- end -->", copy, text, flags=re.DOTALL)


if __name__ == "__main__":
    readme = PROJECT / "README.md"
    readme.write_text(filled(readme.read_text()))
