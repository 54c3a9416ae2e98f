"""A pytest plugin of run.py: coverage learns which test runs, and a file the seconds of each."""

import functools
import json
import os
import time
from pathlib import Path

import coverage
import pytest


def pytest_configure():
    # A fork ends without saving what coverage saw in it.
    from tests import preloaded_process, processes

    preloaded_process.run = processes.run
    preloaded_process.started = functools.partial(processes.started, processes.REPRODUCE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    begun = time.monotonic()
    coverage.Coverage.current().switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        with Path(os.environ["SECONDS"]).open("a") as file:
            print(json.dumps([item.nodeid, time.monotonic() - begun]), file=file)
