"""Runs a program and kills it just before it changes a file.

    kill_at_file_event.py FOLDER EVENT NUMBER PROGRAM ARGUMENTS...

Python's audit hook reports each of EVENTS before it happens. The program gets SIGKILL before event
NUMBER of the name EVENT within FOLDER. A file that was to be opened for writing exists then, and is
empty. With NUMBER 0 the program runs to its end; the last line on stderr counts the events, as
JSON. With RENAMEAT2=no in the environment, the system cannot swap two names in one step.
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


def changes_folder(event, arguments, folder):
    """Whether an event changes a file within the folder, as far as its arguments show."""
    if event == "ctypes.dlsym":
        return arguments[1] == SWAP
    first, last = arguments[0], arguments[-1]
    if event == "open" and (isinstance(first, int) or not last & (os.O_WRONLY | os.O_RDWR)):
        return False
    # flock names a file by its descriptor. The last argument of a removal is the descriptor of the
    # folder if the name is relative to it, as in shutil.rmtree.
    relative = event in ("os.remove", "os.rmdir") and last >= 0
    return relative or isinstance(first, int) or os.fsdecode(first).startswith(folder)


def main(folder, event, number, program, *arguments):
    counts = collections.Counter()

    def hook(name, values):
        if name in EVENTS and changes_folder(name, values, folder):
            counts[name] += 1
            if name == event and counts[name] == int(number):
                if name == "open":  # os.open calls the hook again, with the next number.
                    os.open(values[0], values[2], 0o666)
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
            print(f"\n{json.dumps(counts)}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
