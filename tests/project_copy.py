"""A copy of the project, for what writes into it."""

import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def copy_project(folder):
    """Copies to a folder what is in the project's, without what git ignores."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=PROJECT, text=True).split("\0")[:-1]:
        if (PROJECT / name).is_file():  # and not removed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, folder / name)
