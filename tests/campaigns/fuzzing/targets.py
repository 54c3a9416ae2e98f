"""Readers of files and flags, as Hypothesis tests with damaged or made-up inputs.

A target takes an empty folder. Its `inputs` is the strategy of the arguments of `check`, which lets
the project read an input, returns whether it did, and asserts that an independent reader agrees.
`fuzz_test` makes a test of a target.
"""

import contextlib
import copy
import functools
import gzip
import io
import json
import math
import os
import resource
import signal
import struct
import sys
import tomllib
import zlib
from pathlib import Path
from unittest import mock

from absl.flags import _helpers
from hypothesis import given
from hypothesis import strategies as st

import flags
from experiment.errors import UserError
from experiment.settings import PROJECT, Settings
from experiment.storage import checkpoint
from experiment.storage.folder import resolved
from experiment.studies import definition
from experiment.training import mnist
from experiment.training.mnist import IMAGES, LABELS
from experiment.training.outcome import History

SECONDS, MEGABYTES = 10, 300  # for an input


class Raw(str):
    """Text that `as_toml` does not quote."""


RAW = [
    Raw(text)
    for text in (
        "[" * 2000, "[" * 100_000, "[" * 400 + "]" * 400, "9" * 5000, "0x" + "f" * 5000, "1e999",
        "-1e999", "nan", "-inf", "tru", "1979-05-27", "'", '"', "\\", "\x00", "\ud800", "{a = 1}",
        "[[1]]", "",
    )
]  # fmt: skip
STRANGE = [
    *RAW, True, False, 0, -1, 1, 2, 3, 70_001, 2**31, 2**32, 2**63, 10**30, 10**310, -0.0, 0.5, 1.0,
    -1.5, 1e-320, 1e40, 3.4e38, 1.7e308, math.inf, -math.inf, math.nan, "", " ", "a", "1", "1e40",
    "-1", "0.5", "nan", "inf", "1_0", "１", "\x00", "..", "../../../etc", "/dev/null", "~",
    "~nobody-of-this-name", "é☃", "🙂", "\x1b[31m", "a\nb", "a\r", "\u2028", "$x$", "a|b", "`",
    "%s", "{0}", "x" * 5000, "01234", "56789", "0,1", "test", "held_out", "--help", "--epochs=0",
    "--lr_x=1e40", "manual", "auto", "numpy",
]  # fmt: skip
# Hypothesis takes 200 MB for all of Unicode.
LETTERS = "aZ09_-=.,:;|#'\"\\/$%{}[]<>() \t\n\r\x00\x1b\x7f\x85\xa0é٣\u200e\u2028☃🙂"
strange = st.one_of(
    st.sampled_from(STRANGE),
    st.sampled_from([[], {}, [[]], [1], ["0", "1"], {"a": 1}]),
    st.integers(),
    st.floats(),
    st.text(LETTERS, max_size=8),
)


def encoded(text):
    return text.encode(errors="surrogatepass")


def edits(*pieces, places=(0,)):
    """Strategy of up to four edits: a place, the bytes to remove there, the bytes to insert.

    Args:
        pieces: bytes to insert; others are random.
        places: of many edits; others are random.
    """
    place = st.one_of(st.integers(0, 2**16), st.sampled_from(places))
    another_byte = st.tuples(place, st.just(1), st.binary(min_size=1, max_size=1))
    removed = st.sampled_from([0, 1, 4, 20, 2**16])
    inserted = st.one_of(st.just(b""), st.binary(max_size=8), st.sampled_from([b"", *pieces]))
    return st.lists(st.one_of(another_byte, st.tuples(place, removed, inserted)), max_size=4)


def edited(content, changes):
    content = bytearray(content)
    for place, removed, inserted in changes:
        place %= len(content) + 1
        content[place : place + removed] = inserted
    return bytes(content)


STRANGE_EDITS = edits(*(encoded(str(value)) for value in STRANGE))


def places_in(document):
    """Each container of a document, with each of its keys."""
    for key in list(document if isinstance(document, dict) else range(len(document))):
        yield document, key
        if isinstance(document[key], dict | list):
            yield from places_in(document[key])


@st.composite
def wrong(draw, document):
    """Strategy of a document with one to three entries replaced, removed or added."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(places_in(document))
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        value = copy.deepcopy(draw(strange))
        kind = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if kind == "remove":
            del container[key]
        elif kind == "replace":
            container[key] = value
        elif isinstance(container, dict):
            container[str(draw(strange))] = value
        else:
            container.insert(key, value)
    return document


def as_toml(value):
    """A value as TOML, with inline tables."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_toml(str(k))} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def read_or_refused(function, *arguments, **options):
    """The value of a function of the project, or None if it refuses its input with one line."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            return function(*arguments, **options)
    except UserError as error:
        text = str(error)
        assert text.isprintable(), ascii(text)
        assert len(text) > 10, text
        return None


class Data:
    """The two files of MNIST, one of them damaged, packed or not."""

    COUNT = 3

    def __init__(self, folder):
        self.folder = folder
        self.intact = {
            IMAGES: struct.pack(">4I", 2051, self.COUNT, 28, 28)
            + bytes(range(256)) * 9
            + bytes(48),
            LABELS: struct.pack(">2I", 2049, self.COUNT) + b"\3\0\x09",
        }

    @staticmethod
    def entries(name, content):
        """The number of entries of an IDX file and their bytes, or None."""
        sizes = [28, 28] if name == IMAGES else []
        start = 8 + 4 * len(sizes)
        numbers = [int.from_bytes(content[at : at + 4], "big") for at in range(0, start, 4)]
        if len(content) < start or numbers[2:] != sizes or numbers[0] != 2049 + len(sizes):
            return None
        count, rest = numbers[1], content[start:]
        if count == 0 or len(rest) != count * math.prod(sizes):
            return None
        return None if name == LABELS and max(rest) > 9 else (count, rest)

    def check(self, name, packed, content):
        for path in self.folder.iterdir():
            path.unlink()
        other = LABELS if name == IMAGES else IMAGES
        (self.folder / other).write_bytes(self.intact[other])
        (self.folder / (f"{name}.gz" if packed else name)).write_bytes(content)
        if packed:
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, zlib.error):
                content = b""
        expected = self.entries(name, content)
        data = read_or_refused(mnist.load, self.folder, allow_other=True)
        if data is None:
            assert expected is None or expected[0] != self.COUNT, "refused without need"
            return False
        assert expected is not None, "read, but damaged"
        assert getattr(data, name.split("-")[1]).tobytes() == expected[1], "read wrong"
        assert (len(data.images), len(data.labels)) == (self.COUNT, self.COUNT)
        return True

    def inputs(self):
        numbers = (0, 1, 2, 3, 27, 28, 784, 2049, 2051, 70_000, 2**26, 2**31, 2**32 - 1)
        changes = edits(*(n.to_bytes(4, "big") for n in numbers), places=(0, 4, 8, 9, 10, 12))

        def arguments(name, packed, before, after):
            content = edited(self.intact[name], before)
            return name, packed, edited(gzip.compress(content), after) if packed else content

        names = st.sampled_from([IMAGES, LABELS])
        return st.builds(arguments, names, st.booleans(), changes, edits())


class Checkpoint:
    """A checkpoint after three epochs, one of its four files damaged."""

    SETTINGS = Settings(resume=True)
    SPLIT = mnist.Split(None, None, None, mnist.SHA_256)
    HISTORY = History([16.75, 1e-05, 0.0], [[0.5, -0.25, 344.8, 1e-07, 0.0, 1.0]] * 3, 4, 0.75)

    def __init__(self, folder):
        self.checkpoints = checkpoint.Checkpoints(folder / "checkpoint")
        self.version = functools.cache(checkpoint.version)  # It reads a file each time.

        def save(prefix):
            Path(f"{prefix}.index").write_bytes(b"\x00index" * 9)
            Path(f"{prefix}.data-00000-of-00001").write_bytes(bytes(range(256)))

        self.checkpoints.start(self.SETTINGS, self.SPLIT)
        self.checkpoints.add(self.HISTORY, save)
        self.path = folder / "checkpoint/epoch-3"
        self.intact = {path.name: path.read_bytes() for path in self.path.iterdir()}

    def check(self, name, content):
        self.path.mkdir(exist_ok=True)
        for file, intact in self.intact.items():
            (self.path / file).write_bytes(content if file == name else intact)
        with mock.patch.object(checkpoint, "version", self.version):
            state = read_or_refused(self.checkpoints.start, self.SETTINGS, self.SPLIT)
        read = state.variables is not None
        assert read == self.path.exists() == (content == self.intact[name])
        assert not read or state.history == self.HISTORY
        return read

    def inputs(self):
        def files(name):
            return st.tuples(st.just(name), st.builds(edited, st.just(self.intact[name]), changes))

        changes = edits()
        return st.one_of(*map(files, self.intact))


class Study:
    """The file of a study."""

    def __init__(self, folder):
        self.path = folder / "studies/study.toml"
        self.path.parent.mkdir()
        for path in PROJECT.glob("presets/*.flags"):
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / "studies/some.flags").write_bytes(b"--mode=auto\n")
        preset = (PROJECT / "presets/studies/predictability.toml").read_text()
        grid = (
            '\nsplits = true\nseeds = 2\nimages = "held_out"\nflags = "--epochs=3"\n[experiments]\n'
            'later = "--flagfile=some.flags"\nfirst = "--engine=delayed"\n[grid.one]\n'
            'flags = "--wiring=ordered"\nlr_x = [1e-3, 3e-3]\n"lr_rec lr_sg" = [1, 1e-2]\n'
            '[differences]\nlater = "first"\n'
        )
        self.texts = preset, grid
        self.intact = [text.encode() for text in self.texts]

    def check(self, content):
        self.path.write_bytes(content)
        study = read_or_refused(definition.read, self.path)
        jobs = None if study is None else read_or_refused(study.jobs, Settings(), flags.parse)
        if jobs is None:
            assert content not in self.intact, "refused without need"
            return False
        expected = tomllib.loads(content.decode())
        assert type(expected["seeds"]) is int
        names = list(expected.get("experiments", {}))
        rows = sum(
            math.prod(len(values) for flag, values in axes.items() if flag != "flags")
            for axes in expected.get("grid", {}).values()
        )
        assert names == list(study.experiments)[: len(names)]
        assert len(study.experiments) <= len(names) + rows
        assert [(job.experiment, job.settings.seed) for job in jobs] == [
            (name, seed) for seed in range(expected["seeds"]) for name in study.experiments
        ]
        for job in jobs[:5]:
            again = flags.parse(["", *study.experiments[job.experiment], "--seed=0"])
            assert again.lr_x == job.settings.lr_x
            check_settings(job.settings)
        return True

    def inputs(self):
        documents = [tomllib.loads(text, parse_float=Raw) for text in self.texts]
        written = st.one_of(*map(wrong, documents)).map(
            lambda document: encoded(
                "\n".join(f"{as_toml(key)} = {as_toml(value)}" for key, value in document.items())
            )
        )
        content = st.one_of(st.sampled_from(self.intact), written)
        return st.tuples(st.builds(edited, content, st.one_of(st.just([]), STRANGE_EDITS)))


def check_settings(settings):
    """Asserts that a run can have these settings."""
    for name in ("lr_x", "lr_rec", "lr_sg", "lr_auto", "label_scale"):
        assert 0 <= struct.unpack("f", struct.pack("f", getattr(settings, name)))[0] < math.inf
    for name in ("epochs", "train_images", "test_images"):
        assert getattr(settings, name) >= 1
    for name in ("seed", "split_seed"):
        assert 0 <= getattr(settings, name) < 2**32
    digits = "".join(settings.digits)
    assert len(set(digits)) == len(digits)
    assert set(digits) <= set("0123456789")


class Flags:
    """A command line, and the file that its --flagfile may name."""

    def __init__(self, folder):
        self.file = folder / "some.flags"
        self.intact = [path.read_bytes() for path in sorted(PROJECT.glob("presets/*.flags"))]
        self.names = [
            *Settings().numeric(), "data_dir", "results_dir", "allow_other_data", "resume",
            "checkpoint_every", "keep_checkpoints", "tensorboard", "study", "scheduler",
            "dashboard", "help", "h", "flagfile", "verbosity", "v", "undefok", "logger_levels",
            "stderrthreshold", "log_dir", "logtostderr", "epoch", "", "é",
        ]  # fmt: skip

    def check(self, arguments, content):
        self.file.write_bytes(content)
        try:
            # absl's search for flags of similar names takes most of the time of a refusal.
            with mock.patch.object(_helpers, "get_flag_suggestions", lambda *_: []):
                settings = read_or_refused(flags.parse, ["reproduce.py", *arguments])
        except SystemExit as end:
            assert end.code is None
            assert b"h" in content or any("h" in argument for argument in arguments)
            return True
        if settings is None:
            return False
        check_settings(settings)
        assert flags.parse(["reproduce.py", *self.as_flags(settings)]) == settings
        # The command looks at the folders next.
        with contextlib.suppress(OSError):
            read_or_refused(resolved, settings.results_dir / settings.name)
            if settings.data_dir != Settings.data_dir:
                read_or_refused(mnist.load, settings.data_dir)
        return True

    @staticmethod
    def as_flags(settings):
        """The command line of settings."""
        of_numpy = (
            "lr_x", "lr_rec", "lr_sg", "epochs", "train_images", "test_images", "seed", "data_dir",
            "results_dir", "digits", "recurrent_update", "allow_other_data",
        )  # fmt: skip
        numpy = settings.mode == "numpy"
        yield f"--mode={settings.mode}"
        for name, default in vars(Settings()).items():
            value = getattr(settings, name)
            if name in of_numpy if numpy else value != default:
                yield f"--{name}={','.join(value) if name == 'digits' else value}"

    def inputs(self):
        ordinary = (
            "manual", "ordered", "connected", "both", "none", "descend", "delayed", "normal",
            "zeros", "portable", "inner", "3", "100", "0.5", "3,8", "true", "false",
            "tls://host:8786", str(self.file),
        )  # fmt: skip
        values = st.one_of(strange.map(str), st.sampled_from(ordinary))
        flag = st.builds("{}{}{}{}".format, st.sampled_from(["--", "--", "--", "-", "--no", ""]),
                         st.sampled_from(self.names), st.sampled_from(["=", "=", "=", "", " "]),
                         values)  # fmt: skip
        # A command line has no NUL, and no surrogates but those that stand for bytes.
        argument = flag.map(lambda text: text.replace("\0", "").replace("\ud800", "\udcff"))
        arguments = st.lists(st.one_of(argument, st.just(f"--flagfile={self.file}")), max_size=3)
        lines = st.lists(flag, max_size=4).map(lambda lines: encoded("\n".join(lines)))
        content = st.one_of(lines, st.builds(edited, st.sampled_from(self.intact), STRANGE_EDITS))
        return st.tuples(arguments, content)


TARGETS = {"data": Data, "checkpoint": Checkpoint, "study": Study, "flags": Flags}


class Limits:
    """A context of `SECONDS` and `MEGABYTES` in which no file outside a folder may change."""

    EVENTS = (
        "open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "shutil.rmtree",
    )  # fmt: skip

    def __init__(self, folder):
        self.folder, self.active = folder.resolve(), False
        sys.addaudithook(self.hook)

    def hook(self, event, arguments):
        if not self.active or event not in self.EVENTS or isinstance(arguments[0], int):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        if event in ("os.remove", "os.rmdir") and arguments[1] >= 0:
            return  # within a folder that shutil.rmtree removes
        path = Path(os.fsdecode(arguments[0])).resolve()
        assert path.is_relative_to(self.folder), f"{event} of {path}"

    def __enter__(self):
        def too_slow(*_):
            raise TimeoutError(f"an input took more than {SECONDS} s")

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        self.set_memory(pages * resource.getpagesize() + MEGABYTES * 10**6)
        self.handler = signal.signal(signal.SIGALRM, too_slow)
        signal.alarm(SECONDS)
        self.active = True

    def __exit__(self, *_):
        self.active = False
        signal.alarm(0)
        signal.signal(signal.SIGALRM, self.handler)
        self.set_memory(resource.RLIM_INFINITY)

    @staticmethod
    def set_memory(most):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def fuzz_test(name, folder, counts):
    """A Hypothesis test of a target, which counts the inputs that were read and refused."""
    target, limits = TARGETS[name](folder), Limits(folder)

    @given(target.inputs())
    def test(arguments):
        with limits:
            read = target.check(*arguments)
        counts["read" if read else "refused"] += 1

    return test
