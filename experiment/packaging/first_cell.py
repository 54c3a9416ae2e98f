"""The first cell of the notebook that is one file: it unpacks the project and installs packages.

`experiment.packaging.colab` copies this file into the cell, with the archive below. It imports only
the standard library, and on a Python that is too old it runs up to the message about that.
"""

import base64
import hashlib
import importlib.util
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FOLDER = "decoupled_rnn"
# The packages that the notebook imports, and their names for pip.
NEEDED = {
    "filelock": "filelock",
    "ipywidgets": "ipywidgets",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "tensorflow": "tensorflow",
}


def unpack(archive: str, digest: str, folder: Path) -> None:
    """Unpacks the archive whole or not at all, once.

    Args:
        archive: a zip file in base64, on any number of lines.
        digest: SHA-256 of the base64 without line ends.
        folder: to unpack to.

    Raises:
        SystemExit: the archive is damaged, or the folder exists and is not from this archive.
    """
    text = "".join(archive.split()).encode()
    if hashlib.sha256(text).hexdigest() != digest:
        raise SystemExit("This file was damaged on its way: download it again.")
    mark = folder / ".sha256"
    if folder.exists():
        if mark.is_file() and mark.read_bytes() == digest.encode():
            return
        raise SystemExit(
            f"{folder} is there already, and not from this file: rename it, or start in another "
            "folder."
        )
    # Renamed when it is whole.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        whole = Path(beside) / folder.name
        zipfile.ZipFile(io.BytesIO(base64.b64decode(text))).extractall(whole)
        (whole / mark.name).write_text(digest)
        whole.rename(folder)


def install(locked: str) -> None:
    """Installs the missing packages; changes no installed one.

    Args:
        locked: the version of TensorFlow that the project's figures come from.

    Raises:
        SystemExit: a missing package cannot be installed.
    """
    named = {**NEEDED, "tensorflow": f"tensorflow=={locked}"}
    missing = [named[name] for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print("Installing", *missing, flush=True)
        # The last line of an error is then the reason: no notice, no colour.
        quiet = ["--quiet", "--disable-pip-version-check", "--no-color"]
        pip = [sys.executable, "-m", "pip", "install", *quiet, *missing]
        result = subprocess.run(pip, capture_output=True, text=True)
        if result.returncode:
            reason = "".join(result.stderr.splitlines()[-1:])
            raise SystemExit(f"pip cannot install {', '.join(missing)}: {reason}")
        importlib.invalidate_caches()
    from importlib import metadata  # Python 3.7 lacks it.

    # A build such as tensorflow-cpu goes by another name.
    versions = (each.version for each in metadata.distributions(name="tensorflow"))
    installed = next(versions, "another build")
    if installed != locked:
        print(f"TensorFlow is {installed} here, not {locked}: the last digits may differ.")


def start(archive: str, digest: str, locked: str) -> Path:
    """Unpacks, installs, and returns the project's folder. Arguments as above."""
    if sys.version_info < (3, 11):  # noqa: UP036, this runs where the project is not installed
        raise SystemExit(f"This needs Python 3.11 or newer, and this is {sys.version.split()[0]}.")
    folder = Path.cwd() / FOLDER
    unpack(archive, digest, folder)
    install(locked)
    sys.path.insert(0, str(folder))
    return folder
