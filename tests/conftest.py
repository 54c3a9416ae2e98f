import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiment import mnist
from flags import Settings

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def split():
    """The post's split."""
    settings = Settings()
    return mnist.split(
        *mnist.load(settings.data_dir),
        digits=settings.digits,
        split_seed=settings.split_seed,
        test_images=settings.test_images,
        train_images=settings.train_images,
    )


@pytest.fixture(scope="session")
def recorded():
    """The recorded runs of the post's program, as they are on file, by mode."""
    return {
        mode: json.loads((PROJECT / f"traces/tf15-published-{mode}.json").read_text())
        for mode in ("manual", "auto")
    }


@pytest.fixture(scope="session")
def reproduce():
    """Runs the command as a user does, from a folder that is not the project's."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, PROJECT / "reproduce.py", *map(str, arguments)],
            cwd="/",
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )

    return run
