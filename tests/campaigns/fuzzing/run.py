"""Atheris drives a test of targets.py: inputs that reach new code of a parser are changed further.

    python -m tests.campaigns.fuzzing.run TARGET FOLDER COUNT SEED

Prints how many inputs were read and refused, as JSON. The folder is for the inputs, and is empty.
"""

import collections
import json
import os
import random
import sys
import warnings
from pathlib import Path

import atheris

# The parsers are instrumented. Parsers in C, as of JSON, cannot be.
MODULES = {
    "data": ["experiment.training.mnist"],
    "study": ["tomllib", "experiment.studies.definition"],
    "flags": ["absl.flags._flagvalues", "absl.flags._argument_parser", "flags"],
}


def main(name, folder, count, seed):
    with atheris.instrument_imports(include=MODULES[name]):
        from tests.campaigns.fuzzing import targets
    warnings.simplefilter("error")
    (folder / "inputs").mkdir()
    (folder / "corpus").mkdir()
    counts = collections.Counter()
    fuzz_one_input = targets.fuzz_test(name, folder / "inputs", counts).hypothesis.fuzz_one_input
    for number in range(20):  # Shorter ones, with which Atheris would begin, are no inputs.
        content = random.Random(f"{seed} {number}").randbytes(1000)
        (folder / "corpus" / str(number)).write_bytes(content)

    def one_input(content):
        fuzz_one_input(content)
        if counts.total() == count:
            print(json.dumps(counts), flush=True)
            os._exit(0)  # Atheris would go on.

    # A seed of 0 would be the clock's.
    options = f"-seed={seed + 1}", "-max_len=4000", "-len_control=0", "-verbosity=0"
    atheris.Setup([sys.argv[0], *options, str(folder / "corpus")], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
