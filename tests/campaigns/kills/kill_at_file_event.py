"""Runs a program that is killed at one of the things that it does to its files.

    dying.py FOLDER EVENT NUMBER PROGRAM ARGUMENTS...

Python tells of them, by the names of EVENTS, before they happen. It is killed before the one of
this NUMBER that is called EVENT and is done within FOLDER; a file that was to be written is there
then, and empty. With NUMBER 0 it comes to its end, and its last line on stderr says how many there
were of each, as JSON. RENAMEAT2=no in the environment makes the system one that cannot swap two
names in one step.
"""

import collections
import json
import os
import runpy
import signal
import sys
from pathlib import Path

EVENTS = (
    "ctypes.dlsym", "fcntl.flock", "open", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
    "os.truncate", "shutil.rmtree",
)  # fmt: skip
SWAP = "renameat2"


def concerns(event, arguments, folder):
    """Whether it changes something within the folder, as far as one can see."""
    if event == "ctypes.dlsym":
        return arguments[1] == SWAP
    first, last = arguments[0], arguments[-1]
    if event == "open" and (isinstance(first, int) or not last & (os.O_WRONLY | os.O_RDWR)):
        return False
    # A lock is known by its file's number, and of a name within a folder that is being removed
    # that folder's number comes last.
    within = event in ("os.remove", "os.rmdir") and last >= 0
    return within or isinstance(first, int) or os.fsdecode(first).startswith(folder)


def main(folder, event, number, program, *arguments):
    done = collections.Counter()

    def hook(name, its):
        if name in EVENTS and concerns(name, its, folder):
            done[name] += 1
            if name == event and done[name] == int(number):
                if name == "open":  # which tells the hook once more, of the next number
                    os.open(its[0], its[2], 0o666)
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "ctypes.dlsym" and os.environ.get("RENAMEAT2") == "no":
                raise AttributeError(SWAP)

    sys.argv = [program, *arguments]
    sys.path[0] = str(Path(program).parent)
    sys.addaudithook(hook)
    try:
        runpy.run_path(program, run_name="__main__")
    finally:
        if number == "0":
            print(f"\n{json.dumps(done)}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
