"""Feeds damaged files to the reader of the data: `fuzz_mnist.py hypothesis|atheris COUNT SEED`.

Each file has to be refused with a UserError, or read as another reader of a few lines reads it.
Prints how many were read, how many refused, and the most memory in MB.
"""

import contextlib
import gzip
import io
import json
import re
import sys
import tempfile
import zlib
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

if sys.argv[1:2] == ["atheris"]:
    import atheris

    watched = atheris.instrument_imports(include=["experiment.training.mnist"])
else:
    watched = contextlib.nullcontext()
with watched:
    from experiment.training.mnist import COUNT_MAX, IMAGES, LABELS, load
from experiment.settings import UserError

COUNT = 3
WHOLE = {
    IMAGES: bytes.fromhex("00000803 00000003 0000001c 0000001c")
    + bytes(range(256)) * 9
    + bytes(48),
    LABELS: bytes.fromhex("00000801 00000003 030009"),
}
seen = Counter()


def entries(name, content):
    """What an IDX file holds, or None if it is none; it has the whole of it in memory."""
    sizes = {IMAGES: [28, 28], LABELS: []}[name]
    start = 8 + 4 * len(sizes)
    numbers = [int.from_bytes(content[at : at + 4], "big") for at in range(0, start, 4)]
    if len(content) < start or numbers[2:] != sizes or numbers[0] != 2049 + len(sizes):
        return None
    count, rest = numbers[1], content[start:]
    if not 0 < count <= COUNT_MAX or len(rest) != count * (784 if sizes else 1):
        return None
    return None if name == LABELS and max(rest) > 9 else (count, rest)


def check(folder, name, packed, content):
    """Damages one of the two files, has both read, and raises if that was not right."""
    for path in folder.iterdir():
        path.unlink()
    other = LABELS if name == IMAGES else IMAGES
    (folder / other).write_bytes(WHOLE[other])
    (folder / (f"{name}.gz" if packed else name)).write_bytes(content)
    if packed:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            content = b""
    found = entries(name, content)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            data = load(folder, allow_other=True)
    except UserError as error:
        assert len(str(error).splitlines()) == 1, error
        assert found is None or found[0] != COUNT, "refused without need"
        seen["refused"] += 1
    else:
        assert found is not None, "read, but it should have been refused"
        assert getattr(data, name.split("-")[1]).tobytes() == found[1], "read wrongly"
        assert (len(data.images), len(data.labels)) == (COUNT, COUNT)
        seen["read"] += 1


def with_hypothesis(folder, count, seed):
    from hypothesis import HealthCheck, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    sizes = st.one_of(st.sampled_from([0, 1, 2, 3, 27, 28, 784, 2049, 2051, 70_000, 70_001, 2**31,
                                       2**32 - 1]), st.integers(0, 2**32 - 1))  # fmt: skip
    edits = st.lists(
        st.one_of(
            st.tuples(st.just("byte"), st.integers(0, 2500), st.integers(0, 255)),
            st.tuples(st.just("number"), st.integers(0, 3), sizes),
            st.tuples(st.just("cut"), st.integers(0, 2500), st.just(0)),
            st.tuples(st.just("insert"), st.integers(0, 2500), st.binary(max_size=20)),
        ),
        max_size=4,
    )

    def edited(content, changes):
        content = bytearray(content)
        for kind, at, value in changes:
            if kind == "byte" and at < len(content):
                content[at] = value
            elif kind == "number":
                content[4 * at : 4 * at + 4] = value.to_bytes(4, "big")
            elif kind == "cut":
                del content[at:]
            elif kind == "insert":
                content[at:at] = value
        return bytes(content)

    @seeded(seed)
    @settings(
        max_examples=count, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.sampled_from([IMAGES, LABELS]), st.booleans(), edits, edits)
    def fuzz(name, packed, before, after):
        content = edited(WHOLE[name], before)
        check(folder, name, packed, edited(gzip.compress(content), after) if packed else content)

    fuzz()
    report()


def with_atheris(folder, count, seed):
    def one(data):
        if not data:
            return
        name = IMAGES if data[0] & 1 else LABELS
        packed, whole = bool(data[0] & 2), bool(data[0] & 4)
        # What the fuzzer made either replaces the file's beginning or is the file.
        content = data[1:] + WHOLE[name][len(data) - 1 :] if whole else data[1:]
        check(folder, name, packed, gzip.compress(content) if packed and data[0] & 8 else content)
        # The fuzzer ends the process, and leaves no time for anything after it.
        if sum(seen.values()) == count:
            report()

    atheris.Setup(
        [sys.argv[0], f"-runs={count + 100}", "-seed=1", "-max_len=2500", "-verbosity=0"], one
    )
    atheris.Fuzz()


def report():
    # Linux's own count: getrusage's begins at the peak of the process that started this one.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({**seen, "peak_mb": int(peak[1]) * 1024 / 1e6}), flush=True)


if __name__ == "__main__":
    kind, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        {"hypothesis": with_hypothesis, "atheris": with_atheris}[kind](Path(folder), count, seed)
