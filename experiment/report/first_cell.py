"""The first cell of the notebook that is one file: it unpacks the project, ready to be imported.

`experiment.report.colab` puts all of this into that cell, and below it the archive. So it imports
nothing but the standard library, and a Python that is too old gets as far as being told so.
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
# What the notebook imports, and what pip knows it as.
NEEDED = {
    "absl": "absl-py",
    "filelock": "filelock",
    "ipywidgets": "ipywidgets",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "tensorflow": "tensorflow",
}


def unpack(archive: str, digest: str, folder: Path) -> None:
    """Unpacks the archive, unless that was done before.

    Args:
        archive: a zip file in base64, on any number of lines.
        digest: SHA-256 of the base64 without its line ends.
        folder: where to; it is there afterwards with all that it should hold, or not at all.

    Raises:
        SystemExit: the archive is damaged, or there is something else in the folder's place.
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
    # It takes its place in one step, when it is whole.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        whole = Path(beside) / folder.name
        zipfile.ZipFile(io.BytesIO(base64.b64decode(text))).extractall(whole)
        (whole / mark.name).write_text(digest)
        whole.rename(folder)


def install(locked: str) -> None:
    """Installs what is missing, and says so; of what is there, nothing is changed.

    Args:
        locked: the version of TensorFlow that the project's figures come from.

    Raises:
        SystemExit: something is missing and cannot be installed.
    """
    named = {**NEEDED, "tensorflow": f"tensorflow=={locked}"}
    missing = [named[name] for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print("Installing", *missing, flush=True)
        # Without what could follow the reason if it fails: a notice, or the end of a colour.
        quiet = ["--quiet", "--disable-pip-version-check", "--no-color"]
        pip = [sys.executable, "-m", "pip", "install", *quiet, *missing]
        result = subprocess.run(pip, capture_output=True, text=True)
        if result.returncode:
            reason = "".join(result.stderr.splitlines()[-1:])
            raise SystemExit(f"pip cannot install {', '.join(missing)}: {reason}")
        importlib.invalidate_caches()
    from importlib import metadata  # which Python 3.7 does not have

    # A build such as tensorflow-cpu goes by another name.
    versions = (each.version for each in metadata.distributions(name="tensorflow"))
    found = next(versions, "another build")
    if found != locked:
        print(f"TensorFlow is {found} here, not {locked}: the last digits may differ.")


def start(archive: str, digest: str, locked: str) -> Path:
    """Makes the project ready to be imported.

    Args:
        archive: see `unpack`.
        digest: see `unpack`.
        locked: see `install`.

    Returns:
        The project's folder, `decoupled_rnn` in the current one.

    Raises:
        SystemExit: it cannot be; one line says why.
    """
    if sys.version_info < (3, 11):  # noqa: UP036, for this goes where the project is not installed
        raise SystemExit(f"This needs Python 3.11 or newer, and this is {sys.version.split()[0]}.")
    folder = Path.cwd() / FOLDER
    unpack(archive, digest, folder)
    install(locked)
    sys.path.insert(0, str(folder))
    return folder
