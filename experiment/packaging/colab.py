"""`python -m experiment.packaging.colab`: dist/*_colab.ipynb, two notebooks as one file each.

Each is a file of notebooks/ without outputs; its first cell contains the project's code and data
and unpacks them (experiment/packaging/first_cell.py). Both unpack the same folder.
"""

import base64
import hashlib
import io
import json
import re
import zipfile
from pathlib import Path

from experiment.packaging import first_cell
from experiment.report.readme import NOTEBOOK
from experiment.settings import PROJECT

FOLDER = PROJECT / "dist"
NOTEBOOKS = NOTEBOOK, NOTEBOOK.with_name("many_boxes.ipynb")
# The code, and the files that it reads.
PACKED = (
    "LICENSE",
    "*.py",
    "MNIST_data/*.gz",
    "MNIST_data/README.md",
    "docs/*.md",
    "experiment/**/*.py",
    "experiment/report/page.*",
    "experiment/report/stepper.js",
    "graph/*.py",
    "notebooks/many_boxes.ipynb",
    "numpy_version/*.py",
    "presets/**/*.flags",
    "presets/**/*.toml",
    "results/many-boxes/counting.md",
    "results/many-boxes/runs.jsonl",
    "traces/*.*",
)
# It is shown before anything is unpacked, so the notebook contains it.
PICTURE = "docs/network.svg"
# The cell that finds the project, by its id.
SETUP = "setup"
# For Colab, JupyterLab and Kaggle, in this order.
HIDDEN = {"cellView": "form", "jupyter": {"source_hidden": True}, "_kg_hide-input": True}
# Characters: editors are slow with very long lines, and with very many lines.
LINE = 1000


def packed_path(path: Path) -> Path:
    """The path of the file that a notebook is packed into."""
    return FOLDER / f"{path.stem}_colab.ipynb"


def archive() -> bytes:
    """The project as a zip file; the same files give the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for path in sorted({path for pattern in PACKED for path in PROJECT.glob(pattern)}):
            # The time of a ZipInfo is that of 1980 by default.
            entry = zipfile.ZipInfo(path.relative_to(PROJECT).as_posix())
            packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return file.getvalue()


def first_source() -> str:
    """The source of the first cell."""
    text = base64.b64encode(archive()).decode()
    lines = "\n".join(text[i : i + LINE] for i in range(0, len(text), LINE))
    digest = hashlib.sha256(text.encode()).hexdigest()
    (locked,) = re.findall(r"(?m)^tensorflow==(\S+)", (PROJECT / "requirements.txt").read_text())
    # Raw: a damaged archive is still a string.
    return (
        "# @title Run this first: it unpacks the project and installs what is missing\n"
        f'{Path(first_cell.__file__).read_text()}\n\nARCHIVE = r"""\n{lines}\n"""\n'
        f'root = start(ARCHIVE, "{digest}", "{locked}")'
    )


def packed_notebook(path: Path) -> str:
    """The file that a notebook is packed into."""
    content = json.loads(path.read_text())
    picture = base64.b64encode((PROJECT / PICTURE).read_bytes()).decode()
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell.update(execution_count=None, outputs=[])
        cell["source"] = [
            line.replace(f"](../{PICTURE})", f"](data:image/svg+xml;base64,{picture})").replace(
                "](../", f"]({first_cell.FOLDER}/"
            )
            for line in cell["source"]
        ]
    (setup,) = (cell for cell in content["cells"] if cell["id"] == SETUP)
    setup.update(metadata=HIDDEN, source=first_source().splitlines(keepends=True))
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path in NOTEBOOKS:
        file = packed_path(path)
        file.write_text(packed_notebook(path))
        print(f"{file.relative_to(PROJECT)}: {file.stat().st_size / 1e6:.1f} MB")
