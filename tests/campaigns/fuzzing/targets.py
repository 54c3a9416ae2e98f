"""What fuzz.py damages, and how it sees whether that was refused or read as it should.

A surface takes the folder of its inputs. `inputs` is the Hypothesis strategy of what `check` takes,
`from_bytes` makes that of the bytes of atheris, which begins with those of `corpus`. `check` has an
input read, says whether it was, and raises an error if that was not right.
"""

import contextlib
import copy
import csv
import functools
import gzip
import hashlib
import io
import json
import math
import pickle
import struct
import tomllib
import zlib
from pathlib import Path

from absl.flags import _helpers
from hypothesis import strategies as st

import flags
from experiment.evaluation import claims, files
from experiment.report import claims as report_claims
from experiment.report import pictures, speed, timeline
from experiment.settings import PROJECT, RESULTS, Settings, UserError
from experiment.storage import checkpoint
from experiment.storage.folder import resolved
from experiment.studies import definition, runs, study, summary
from experiment.training import mnist
from experiment.training.mnist import COUNT_MAX, IMAGES, LABELS, load
from experiment.training.outcome import History

# Where the text of a file cannot be had from Python's values; in a list, by their places.
RAW = (
    "[" * 2000, "[" * 100_000, '{"a":' * 20_000, "[" * 400 + "]" * 400, "9" * 5000,
    "0x" + "f" * 5000,
    "1e999", "-1e999", "NaN", "-Infinity", "nan", "tru", "1979-05-27", "'", '"', "\\", "\x00",
    "\ud800", "{a = 1}", "[[1]]", "",
)  # fmt: skip
STRANGE = [
    None, True, False, 0, -1, 1, 2, 3, 70_001, 2**31, 2**32, 2**63, 10**30, 10**310, -0.0, 0.5, 1.0,
    -1.5, 1e-320, 1e40, 3.4e38, 1.7e308, math.inf, -math.inf, math.nan, "", " ", "a", "1", "1e40",
    "-1", "0.5", "nan", "inf", "1_0", "１", "\x00", "..", "../../../etc", "/etc/passwd",
    "/dev/null", "/dev/zero", "~", "~nobody-of-this-name", "é☃", "🙂", "\x1b[31m", "a\nb", "a\r",
    "\u2028", "$x$", "$\\frac$", "a|b", "`", "%s", "{0}",
    "x" * 5000, "01234", "56789", "0,1", "test", "held_out", "--help", "--epochs=0", "--lr_x=1e40",
    "manual", "auto", "numpy", "\ud800", [], {}, [[]], [1], ["0", "1"], {"a": 1}, [None] * 3,
    *(f"@{place}@" for place in range(len(RAW))),
]  # fmt: skip
# All of Unicode would take Hypothesis 200 MB.
LETTERS = "aZ09_-=.,:;|#'\"\\/$%{}[]<>() \t\n\r\x00\x1b\x7f\x85\xa0é٣\u200e\u2028☃🙂"
# Copied, as what is put into a document may be damaged there.
strange = st.one_of(
    st.sampled_from(STRANGE).map(copy.deepcopy),
    st.integers(),
    st.floats(),
    st.text(LETTERS, max_size=8),
)


def raw(text):
    """The text with what stands for `RAW` replaced by it."""
    for place, part in enumerate(RAW):
        text = text.replace(f'"@{place}@"', part).replace(f"@{place}@", part)
    return text


def encoded(text):
    return text.encode(errors="surrogatepass")


PLACES = st.integers(0, 2**16)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("byte"), PLACES, st.integers(0, 255)),
        st.tuples(st.just("cut"), PLACES, st.just(0)),
        st.tuples(st.just("remove"), PLACES, st.integers(1, 20)),
        st.tuples(st.just("copy"), PLACES, st.integers(1, 200)),
        st.tuples(st.just("insert"), PLACES, st.binary(max_size=8)),
        st.tuples(
            st.just("insert"),
            PLACES,
            st.sampled_from([encoded(str(value)) for value in (*RAW, *STRANGE)]),
        ),
    ),
    max_size=4,
)


def edited(content, changes):
    """The content with some of its bytes changed."""
    content = bytearray(content)
    for kind, place, value in changes:
        at = place % (len(content) + 1)
        if kind == "byte" and at < len(content):
            content[at] = value
        elif kind == "cut":
            del content[at:]
        elif kind == "remove":
            del content[at : at + value]
        elif kind == "copy":
            content[at:at] = content[at : at + value]
        elif kind == "insert":
            content[at:at] = value
    return bytes(content)


def places(document):
    """Each container of a document, and the keys of what it holds."""
    keys = document if isinstance(document, dict) else range(len(document))
    for key in list(keys):
        yield document, key
        if isinstance(document[key], dict | list):
            yield from places(document[key])


@st.composite
def wrong_of(draw, document):
    """A document of the form of another: some of it replaced, missing, too much, elsewhere.

    The other is packed: to unpack it is the fastest way to copy it.
    """
    document = pickle.loads(document)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(document))
        if not found:
            break
        container, key = found[draw(st.integers(0, len(found) - 1))]
        kind = draw(st.sampled_from(["replace", "replace", "remove", "add", "move", "repeat"]))
        if kind == "replace":
            container[key] = draw(strange)
        elif kind == "remove":
            del container[key]
        elif kind == "add" and isinstance(container, dict):
            name = draw(strange)
            container[name if isinstance(name, str) else str(key)] = draw(strange)
        elif kind == "add":
            container.insert(key, draw(strange))
        elif kind == "move":
            other, there = found[draw(st.integers(0, len(found) - 1))]
            other[there] = copy.deepcopy(container[key])
        elif isinstance(container, list):
            container.insert(key, copy.deepcopy(container[key]))
    return document


def wrong(document):
    return wrong_of(pickle.dumps(document))


def as_toml(value):
    """The text of a value in TOML; tables are inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_toml(str(k))} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return {True: "true", False: "false"}.get(value, str(value)) if value in (0, 1) else str(value)


def bytes_or(contents, *documents):
    """Bytes of files with edits, or what is drawn from other strategies, with edits or not."""
    whole = st.sampled_from(contents) if contents else st.nothing()
    return st.one_of(
        st.builds(edited, whole, EDITS), *documents,
        *(st.builds(edited, document, EDITS) for document in documents),
    )  # fmt: skip


def json_of(document):
    return wrong(document).map(lambda value: encoded(raw(json.dumps(value))))


def call(function, *arguments, **options):
    """What a function of the project returns; None where it refuses with one line."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return function(*arguments, **options)
    except UserError as error:
        text = str(error)
        assert text.isprintable(), ascii(text)
        assert 10 < len(text) < 3000, text
        return None


# absl's search for a flag of a similar name takes most of the time of an unknown one's refusal.
_helpers.get_flag_suggestions = lambda *_: []


def content_of(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


class Data:
    """The two files of MNIST."""

    COUNT = 3
    corpus = ()

    def __init__(self, folder):
        self.folder = folder
        self.whole = {
            IMAGES: bytes.fromhex("00000803 00000003 0000001c 0000001c")
            + bytes(range(256)) * 9
            + bytes(48),
            LABELS: bytes.fromhex("00000801 00000003 030009"),
        }

    @staticmethod
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

    def check(self, name, packed, content):
        """Damages one of the two files, and has both read."""
        for path in self.folder.iterdir():
            path.unlink()
        other = LABELS if name == IMAGES else IMAGES
        (self.folder / other).write_bytes(self.whole[other])
        (self.folder / (f"{name}.gz" if packed else name)).write_bytes(content)
        if packed:
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, zlib.error):
                content = b""
        found = self.entries(name, content)
        data = call(load, self.folder, allow_other=True)
        if data is None:
            assert found is None or found[0] != self.COUNT, "refused without need"
            return False
        assert found is not None, "read, but it should have been refused"
        assert getattr(data, name.split("-")[1]).tobytes() == found[1], "read wrongly"
        assert (len(data.images), len(data.labels)) == (self.COUNT, self.COUNT)
        return True

    def inputs(self):
        known = [0, 1, 2, 3, 27, 28, 784, 2049, 2051, 70_000, 70_001, 2**31, 2**32 - 1]
        sizes = st.one_of(st.sampled_from(known), st.integers(0, 2**32 - 1))
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

        def arguments(name, packed, before, after):
            content = edited(self.whole[name], before)
            return name, packed, edited(gzip.compress(content), after) if packed else content

        return st.builds(arguments, st.sampled_from([IMAGES, LABELS]), st.booleans(), edits, edits)

    def from_bytes(self, data):
        if not data:
            return None
        name = IMAGES if data[0] & 1 else LABELS
        packed, whole = bool(data[0] & 2), bool(data[0] & 4)
        # What the fuzzer made either replaces the file's beginning or is the file.
        content = data[1:] + self.whole[name][len(data) - 1 :] if whole else data[1:]
        return name, packed, gzip.compress(content) if packed and data[0] & 8 else content


class Checkpoint:
    """A checkpoint after three epochs; `names` are the files that are damaged.

    The part that is TensorFlow's, to read variables, is not: see test_nothing_lost.py.
    """

    SETTINGS = Settings(resume=True)
    SPLIT = mnist.Split(None, None, None, mnist.SHA_256)
    HISTORY = History([16.75, 1e-05, 0.0], [[0.5, -0.25, 344.8, 1e-07, 0.0, math.nan]] * 3, 0.75)
    names = ()

    def __init__(self, folder):
        # It looks through all that is installed.
        checkpoint.version = functools.cache(checkpoint.version)
        self.checkpoints = checkpoint.Checkpoints(folder / "checkpoint")

        def save(prefix):
            Path(f"{prefix}.index").write_bytes(b"\x00index" * 9)
            Path(f"{prefix}.data-00000-of-00001").write_bytes(bytes(range(256)))

        self.checkpoints.start(self.SETTINGS, self.SPLIT)
        self.checkpoints.add(self.HISTORY, save)
        self.path = folder / "checkpoint" / "epoch-3"
        self.right = {path.name: path.read_bytes() for path in self.path.iterdir()}

    def start(self, files):
        """Where a run goes on that finds these files: a State, START, or None if it is refused."""
        content_of(self.path, files)
        return call(self.checkpoints.start, self.SETTINGS, self.SPLIT)

    def check(self, name, content):
        found = self.start({**self.right, name: content})
        assert found is not None
        read = found.variables is not None
        assert read == (content == self.right[name]), "its digest does not tell"
        assert read == self.path.exists()
        return read

    def inputs(self):
        return st.one_of(
            *(st.tuples(st.just(name), bytes_or([self.right[name]])) for name in self.names)
        )


class Digests(Checkpoint):
    names = (checkpoint.DIGESTS,)


class Variables(Checkpoint):
    names = ("variables.index", "variables.data-00000-of-00001")


class State(Checkpoint):
    """Its settings and its history, with the digest right, as one may forge it."""

    def __init__(self, folder):
        super().__init__(folder)
        self.document = json.loads(self.right[checkpoint.STATE])

    def check(self, content):
        files = {**self.right, checkpoint.STATE: content}
        files[checkpoint.DIGESTS] = b"".join(
            f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n".encode()
            for name in sorted(files.keys() - {checkpoint.DIGESTS})
        )
        found = self.start(files)
        state = None
        with contextlib.suppress(ValueError, RecursionError):
            state = json.loads(content)
        if found is None or found.variables is None:
            assert repr(state) != repr(self.document), "refused without need"
            # What is of another run stays, what is damaged does not.
            assert self.path.exists() == (found is None)
            return False
        # As text, in which a NaN is as every other, and in one order.
        history = json.dumps(found.history._asdict(), sort_keys=True)
        assert history == json.dumps(state["history"], sort_keys=True)
        assert state["settings"].items() >= self.document["settings"].items()
        costs, quality, seconds = found.history
        numbers = [*costs, *(figure for row in quality for figure in row), seconds]
        assert len(costs) == 3
        assert [len(row) for row in quality] in ([6] * 3, [])
        assert all(isinstance(number, float) for number in numbers)
        return True

    def inputs(self):
        return st.tuples(bytes_or([self.right[checkpoint.STATE]], json_of(self.document)))


class Study:
    """The file of a study."""

    def __init__(self, folder):
        self.path = folder / "studies" / "study.toml"
        for path in PROJECT.glob("presets/*.flags"):
            content_of(folder, {path.name: path.read_bytes()})
        content_of(folder, {"studies/some.flags": b"--mode=auto\n"})
        preset = (PROJECT / "presets" / "studies" / "guesses.toml").read_text()
        grid = (
            '\nsplits = true\nseeds = 2\nimages = "held_out"\nflags = "--epochs=3"\n[experiments]\n'
            'later = "--flagfile=some.flags"\nfirst = "--engine=delayed"\n[grid.one]\n'
            'flags = "--wiring=ordered"\nlr_x = [1e-3, 3e-3]\n"lr_rec lr_sg" = [1, 1e-2]\n'
            '[differences]\nlater = "first"\n'
        )
        self.documents = [tomllib.loads(text, parse_float=str) for text in (preset, grid)]
        self.corpus = [preset.encode(), grid.encode()]

    def check(self, content):
        self.path.write_bytes(content)
        asked = call(definition.read, self.path)
        jobs = None if asked is None else call(asked.jobs, Settings(), flags.parse)
        if jobs is None:
            assert content not in self.corpus, "refused without need"
            return False
        found = tomllib.loads(content.decode())
        assert type(found["seeds"]) is int
        names = list(found.get("experiments", {}))
        rows = sum(
            math.prod(len(values) for flag, values in axes.items() if flag != "flags")
            for axes in found.get("grid", {}).values()
        )
        assert names == list(asked.experiments)[: len(names)]
        assert len(asked.experiments) <= len(names) + rows
        expected = [(name, seed) for seed in range(found["seeds"]) for name in asked.experiments]
        assert [(job.experiment, job.settings.seed) for job in jobs] == expected
        for job in jobs[:5]:
            again = flags.parse(["", *asked.experiments[job.experiment], "--seed=0"])
            assert again.lr_x == job.settings.lr_x
            check_settings(job.settings)
        return True

    def inputs(self):
        documents = st.one_of(*map(wrong, self.documents))
        text = documents.map(
            lambda document: encoded(
                raw("\n".join(f"{as_toml(key)} = {as_toml(document[key])}" for key in document))
            )
        )
        return st.tuples(bytes_or(self.corpus, text))

    def from_bytes(self, data):
        return (data,)


def check_settings(settings):
    """Raises an error unless a run can be given these settings."""
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
    """A command line, and the file that a --flagfile of it names."""

    def __init__(self, folder):
        self.file = folder / "some.flags"
        self.corpus = [path.read_bytes() for path in sorted(PROJECT.glob("presets/*.flags"))]
        self.names = [
            *Settings().numeric(), "data_dir", "results_dir", "allow_other_data", "resume",
            "checkpoint_every", "keep_checkpoints", "tensorboard", "study", "scheduler", "insecure",
            "dashboard", "help", "h", "flagfile", "verbosity", "v", "undefok", "logger_levels",
            "stderrthreshold", "log_dir", "logtostderr", "epoch", "", "é",
        ]  # fmt: skip

    def check(self, arguments, content):
        self.file.write_bytes(content)
        argv = ["reproduce.py", *arguments]
        try:
            settings = call(flags.parse, argv)
        except SystemExit as end:
            assert end.code is None
            assert b"h" in content or any("h" in argument for argument in arguments)
            return True
        if settings is None:
            return False
        check_settings(settings)
        # As they are said, they are the same settings.
        said = [f"--mode={settings.mode}"]
        for name, default in vars(Settings()).items():
            value = getattr(settings, name)
            graph = settings.mode != "numpy" or name.startswith(("lr_x", "lr_rec", "lr_sg"))
            common = ("epochs", "train_images", "test_images", "seed", "data_dir", "results_dir",
                      "digits", "recurrent_update", "allow_other_data")  # fmt: skip
            if (graph or name in common) and (value != default or settings.mode == "numpy"):
                text = ",".join(value) if name == "digits" else str(value)
                said.append(f"--{name}={text}")
        assert flags.parse(["reproduce.py", *said]) == settings
        # What comes next looks at the folders.
        with contextlib.suppress(OSError):
            call(resolved, settings.results_dir / settings.name)
            if settings.data_dir != Settings.data_dir:
                call(load, settings.data_dir)
        return True

    def inputs(self):
        values = st.one_of(
            strange.map(lambda value: raw(str(value))),
            st.sampled_from([
                "manual", "ordered", "connected", "both", "none", "descend", "delayed", "normal",
                "zeros", "portable", "inner", "3", "100", "0.5", "3,8", "true", "false",
                "tls://host:8786", str(self.file),
            ]),
        )  # fmt: skip
        flag = st.builds("{}{}{}{}".format, st.sampled_from(["--", "--", "--", "-", "--no", ""]),
                         st.sampled_from(self.names), st.sampled_from(["=", "=", "=", "", " "]),
                         values)  # fmt: skip
        # What a command line can hold: no NUL, and only surrogates that stand for bytes.
        argument = flag.map(lambda text: text.replace("\0", "").replace("\ud800", "\udcff"))
        given = st.lists(st.one_of(argument, st.just(f"--flagfile={self.file}")), max_size=3)
        lines = st.lists(flag, max_size=4).map(lambda lines: encoded("\n".join(lines)))
        return st.tuples(given, bytes_or(self.corpus, lines))

    def from_bytes(self, data):
        return [f"--flagfile={self.file}"], data


class Runs:
    """The runs.jsonl of a study that goes on, and of one that is shown."""

    def __init__(self, folder):
        self.folder = folder
        self.study = definition.read(PROJECT / "presets" / "studies" / "claims.toml")
        # Fewer of them are read sooner: the first two are those that the claims are judged by.
        experiments = dict(list(self.study.experiments.items())[:2])
        differences = self.study.differences[:1]
        self.study = self.study._replace(seeds=1, experiments=experiments, differences=differences)
        self.jobs = self.study.jobs(Settings(), flags.parse)
        whole = (RESULTS / "studies" / "claims" / runs.FILE).read_bytes().splitlines(keepends=True)
        lines = whole[: len(self.jobs)]
        self.documents = [json.loads(line) for line in lines]
        self.content = b"".join(lines)
        self.originals = dict(zip(map(study._key, self.jobs), self.documents, strict=True))

    def check(self, content):
        (self.folder / runs.FILE).write_bytes(content)
        # A study that goes on does again what is no run.
        found = call(runs.read, self.folder, whole=False)
        done = study._done(found, self.jobs, mnist.SHA_256)
        lines = content.split(b"\n")
        for key, original in self.originals.items():
            if runs.line(original).encode().rstrip() in lines:
                assert key in done, "a run is done again without need"
        for measured in done.values():
            assert measured in found
        together = {**self.originals, **done}
        call(summary.table, self.study, [together[study._key(job)] for job in self.jobs])
        # What is shown has to be whole.
        found = call(runs.read, self.folder)
        if found is None:
            assert content != self.content, "refused without need"
            return False
        # The last line may have been cut off.
        assert len(found) >= len(lines) - 1
        assert repr(found) == repr([json.loads(line) for line in lines[: len(found)]])
        return call(report_claims.over_seeds, self.folder) is not None

    def inputs(self):
        text = wrong(self.documents).map(
            lambda document: encoded(raw("".join(json.dumps(line) + "\n" for line in document)))
        )
        return st.tuples(bytes_or([self.content], text))


class Results:
    """The files that `make results` reads."""

    def __init__(self, folder):
        self.folder = folder
        run = RESULTS / "published-manual"
        metrics = json.loads((run / "metrics.json").read_text())
        with (run / "predictions.csv").open() as file:
            header, *rows = csv.reader(file)
        # Fewer of them are read sooner.
        total = 30
        rows = rows[: metrics["test_total"] + total]
        right = sum(row[2] == row[4] for row in rows[-total:])
        metrics |= {"held_out_total": total, "held_out_accuracy": right / total}
        self.documents = {
            "run/metrics.json": metrics,
            "run/timing.json": json.loads((run / "timing.json").read_text()),
            "bench.json": json.loads((RESULTS / "bench.json").read_text()),
        }
        self.right = {
            **{name: json.dumps(value).encode() for name, value in self.documents.items()},
            "run/cost.csv": (run / "cost.csv").read_bytes(),
            "run/predictions.csv": "".join(",".join(r) + "\n" for r in [header, *rows]).encode(),
            "timeline.csv": b"".join(
                (RESULTS / "timeline.csv").read_bytes().splitlines(keepends=True)[:50]
            ),
        }
        content_of(folder, self.right)

    def check(self, name, content):
        content_of(self.folder, {name: content})
        read = call(getattr(self, Path(name).stem), content)
        content_of(self.folder, {name: self.right[name]})
        assert read or content != self.right[name], "refused without need"
        return bool(read)

    def metrics(self, content):
        found = files.read_metrics(self.folder / "run")
        assert repr(found) == repr(json.loads(content))
        claims.table(claims.judge(found, found))
        f"{found['cost_first']:.3f}{found['cost_last']:.3f}{found['held_out_total']:,}"
        if found["held_out_total"]:
            low, high = found["held_out_interval_95"]
            f"{low:.1%}{high:.1%}{found['held_out_accuracy']:.1%}"
        return True

    def timing(self, content):
        found = files.read_timing(self.folder / "run")
        assert repr(found) == repr(json.loads(content))
        f"{found['ms_per_step']:.2f}"
        return True

    def cost(self, content):
        found = files.read_costs(self.folder / "run")
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))[1:]
        assert found == [float(cost) for _, cost in rows]
        return True

    def predictions(self, content):
        folder = self.folder / "run"
        test, held_out = (files.read_predictions(folder, each) for each in ("test", "held_out"))
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
        said = [int(row[4]) for row in rows if row[0] in ("test", "held_out")]
        assert [*test.says, *held_out.says] == said
        pictures.agreement(self.folder, "run")
        return True

    def bench(self, content):
        found = speed.bench(self.folder)
        assert repr(found) == repr(json.loads(content))
        speed.summary(found)
        metrics = self.documents["run/metrics.json"]
        claims.judge(metrics, metrics, found["ms_per_step"])
        return True

    def timeline(self, content):
        found = timeline.read(self.folder)
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))[1:]
        assert sum(map(len, found.values())) == len(rows)
        assert 0 < timeline.extent_of(found)[0] < math.inf
        return True

    def inputs(self):
        def as_csv(rows):
            lines = (row if isinstance(row, list) else [row] for row in rows)
            return encoded(raw("".join(",".join(map(str, line)) + "\n" for line in lines)))

        def inputs_of(name, content):
            if name in self.documents:
                document = json_of(self.documents[name])
            else:
                rows = [line.split(",") for line in content.decode().splitlines()]
                document = wrong(rows).map(as_csv)
            return st.tuples(st.just(name), bytes_or([content], document))

        return st.one_of(*(inputs_of(name, content) for name, content in self.right.items()))


SURFACES = {
    "data": Data,
    "state": State,
    "digests": Digests,
    "variables": Variables,
    "study": Study,
    "flags": Flags,
    "runs": Runs,
    "results": Results,
}
