"""A copy of the project for tests that change its files."""

import shutil
import subprocess

from experiment.settings import PROJECT


def copy_project(folder):
    """Copies the files of the project, without those that git ignores, into a folder."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=PROJECT, text=True).split("\0")[:-1]:
        if (PROJECT / name).is_file():  # A removed file may still be listed.
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, folder / name)
