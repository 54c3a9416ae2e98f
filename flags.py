"""Every flag of `reproduce.py`, with its default, help and validator.

Parsing freezes the flags into one `Settings` object; no other module reads a flag. TensorFlow is
not imported here, so that help and mistakes are answered at once.
"""

import dataclasses
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from absl import flags, logging

from experiment.settings import OF_CHECKPOINTS, PROJECT, Settings, UserError

# The text of each flag's help. absl sorts its help by module: each group of flags passes for one.
_HELP = {
    "experiment": {
        "mode": "manual: back propagation by hand-written assign operations; auto: "
        "GradientDescentOptimizer; numpy: the Numpy post, with its own defaults "
        "(presets/numpy_post.flags).",
        "wiring": "What each part of the network reads. published: as in the post's program, time "
        "box 2 and the readout see the hidden states of the image before; ordered: in the order "
        "that the post draws, they see those of this image; connected: ordered, and the hidden "
        "states pass as tensors, so that automatic differentiation sees the time boxes.",
        "decoupled": "The time boxes that in manual mode learn at once, each from a guess at its "
        "gradient. none: back-propagation through time, by hand.",
        "synthetic_step": "Whether manual mode adds synthetic gradients to the weights, as the "
        "post does, or subtracts.",
        "condition_on_label": "Tell the label to the modules that guess the gradients, as the "
        "paper's cDNI does.",
        "label_scale": "How large the label is among what they are told.",
        "label_alone": "Tell them nothing else: a control.",
        "recurrent_update": "In numpy mode, the product that changes w_rec and w_x; inner is the "
        "Numpy post's fault, and the default there.",
        "engine": "How an epoch is run; the numbers are the same but for rounding. feed: a "
        "Session.run per image, as the post does it; stepwise: the same step in a loop in the "
        "graph; delayed: in manual mode, blocks of images whose updates are applied together; "
        "parallel: in manual mode, the steps of a block all at once, for a small --lr_rec.",
        "epochs": "Passes over the training images.",
    },
    "data": {
        "digits": "Two sets of digits to tell apart, 0,1 or 01234,56789: those of the first have "
        "label 0, those of the second label 1.",
        "train_images": "Number of images to train on.",
        "test_images": "Number of images to test on.",
        "split_seed": "Seed of the shuffle that decides which images are for training, testing or "
        "held out.",
    },
    "initial values": {
        "seed": "Seed of the initial values of hidden states and weights.",
        "init": "How they are drawn. portable: with numpy.random.RandomState, the same in every "
        "version; tensorflow: with tf.random_normal, as the post does.",
        "synthetic_init": "How w_sg_1 and w_sg_2 begin: normal, drawn as the post does; zeros, as "
        "the paper advises.",
    },
    "learning rates (all per image)": {
        "lr_x": "Rate of w_fc in manual mode (the name is the post's).",
        "lr_rec": "Rate of w_rec and w_x in manual mode; with --decoupled=none, of h_0 too.",
        "lr_sg": "Rate of the synthetic gradients w_sg_1 and w_sg_2 in manual mode.",
        "lr_auto": "Rate of GradientDescentOptimizer in auto mode.",
    },
    "files": {
        "data_dir": "Folder of the two files of MNIST's test set, t10k-*, packed with gzip (.gz) "
        "or not.",
        "allow_other_data": "Take files of the same names and format that are not the official "
        "ones.",
        "results_dir": "Folder of the results: a run writes <results_dir>/<wiring>-<mode>/ there, "
        "<wiring>-manual-decoupled-<decoupled>/ unless both time boxes are, "
        "numpy-<recurrent_update>/ in numpy mode.",
        "checkpoint_every": "Epochs between two checkpoints, in <run folder>/checkpoint/, and one "
        "after the last; 0: none. They are removed when the run has ended well.",
        "resume": "Go on from the newest checkpoint, if there is one; --noresume drops what there "
        "is.",
        "keep_checkpoints": "Leave the checkpoints when the run has ended well.",
        "tensorboard": "Write, to <run folder>/tensorboard/, what `make tensorboard` shows; "
        "training takes longer.",
    },
}
_CHOICES = {
    "mode": ["manual", "auto", "numpy"],
    "wiring": ["published", "ordered", "connected"],
    "decoupled": ["both", "1", "2", "none"],
    "synthetic_step": ["ascend", "descend"],
    "recurrent_update": ["inner", "outer"],
    "engine": ["feed", "stepwise", "delayed", "parallel"],
    "init": ["portable", "tensorflow"],
    "synthetic_init": ["normal", "zeros"],
}
_SEED_MAX = 2**32 - 1
_BOUNDS = {
    "epochs": (1, None),
    "train_images": (1, None),
    "test_images": (1, None),
    "split_seed": (0, _SEED_MAX),
    "seed": (0, _SEED_MAX),
    "checkpoint_every": (0, None),
}


# Beyond, it is infinite for TensorFlow.
_FLOAT32_MAX = math.ldexp(2 - 2**-23, 127)


def _is_finite(value: float) -> bool:
    return value <= _FLOAT32_MAX  # A NaN is not.


def _define(name: str, text: str, group: str) -> None:
    """Defines the flag of a field of `Settings`, by the type of its default."""
    default = getattr(Settings, name)
    if name in _CHOICES:
        flags.DEFINE_enum(name, default, _CHOICES[name], text, module_name=group)
    elif isinstance(default, bool | None):
        flags.DEFINE_boolean(name, default, text, module_name=group)
    elif isinstance(default, int):
        low, high = _BOUNDS[name]
        flags.DEFINE_integer(name, default, text, low, high, module_name=group)
    elif isinstance(default, float):
        flags.DEFINE_float(name, default, text, lower_bound=0, module_name=group)
        flags.register_validator(
            name, _is_finite, "must be a finite number, as a float32 too: below 3.4e38"
        )
    else:
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        flags.DEFINE_string(name, shown, text, module_name=group)


for _group, _texts in _HELP.items():
    for _name, _text in _texts.items():
        _define(_name, _text, _group)


def _are_sets_of_digits(text: str) -> bool:
    # No digit comes twice.
    return re.fullmatch(r"(?!.*(.).*\1)[0-9]+,[0-9]+", text) is not None


flags.register_validator(
    "digits",
    _are_sets_of_digits,
    "must be two sets, no digit twice, such as 3,8 or 01234,56789",
)
flags.register_validator(
    "label_scale", lambda scale: 1e-3 <= scale <= 1e3, "must be from 0.001 to 1000"
)


def _is_path(text: str | None) -> bool:
    # No system's path has a NUL in it; a line of a flag file may.
    return text is None or (text != "" and "\0" not in text)


for _name in ("data_dir", "results_dir"):
    flags.register_validator(_name, _is_path, "must name a folder; . is the one you are in")

_STUDIES = {"module_name": "studies"}
flags.DEFINE_string(
    "study",
    None,
    "File of a study, such as presets/studies/claims.toml: experiments, each with its flags, to be "
    "run over many seeds. Goes on where it was cut off; writes <results_dir>/studies/<name>/.",
    **_STUDIES,
)

flags.DEFINE_string(
    "scheduler",
    None,
    "With --study: the Dask whose workers do its runs, tls://host:8786, or tcp:// on this machine; "
    "without it, the cores of this machine do them. docs/studies.md shows how to start one.",
    **_STUDIES,
)
flags.DEFINE_boolean(
    "insecure",
    False,
    "Take tcp:// to another machine too, where whoever reaches the port can run what he likes.",
    **_STUDIES,
)
flags.DEFINE_boolean(
    "dashboard", False, "With --study: say where Dask shows what its workers do.", **_STUDIES
)


def _is_scheduler(text: str | None) -> bool:
    found = re.fullmatch(r"(tcp|tls)://[\w.-]+:([0-9]{1,5})", text or "tls://host:1", re.ASCII)
    return text != "" and found is not None and 1 <= int(found[2]) < 2**16


flags.register_validator("study", _is_path, "must name the file of a study")
flags.register_validator("scheduler", _is_scheduler, "must be like tls://host:8786")

flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", module_name="other")

_NUMPY_POST = PROJECT / "presets" / "numpy_post.flags"
# Characters, of a flag file and of the name of a flag.
_FILE_MAX = 2**20
_NAME_MAX = 40
_OF_STUDIES = ("data_dir", "allow_other_data", "results_dir")


def _with_files(arguments: Iterable[str], within: tuple[Path, ...] = ()) -> Iterator[str]:
    """The arguments, each --flagfile replaced by the lines of the file that it names.

    absl would do that too, with a traceback for what is no text, and no end for /dev/zero.

    Args:
        arguments: of the command, or lines of a file.
        within: the files that the arguments are from, each named by the one before it.

    Raises:
        UserError: a file cannot be read, or is none of flags.
    """
    following = iter(arguments)
    for argument in following:
        found = re.fullmatch(r"--?flagfile(?:=(.*))?", argument, re.DOTALL)
        if found is None:
            yield argument
            continue
        path = Path(next(following, "") if found[1] is None else found[1])
        try:
            with path.expanduser().open(encoding="utf-8") as file:
                text = file.read(_FILE_MAX + 1)
        except (OSError, RuntimeError, ValueError) as error:  # a RuntimeError: no such ~user
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"--flagfile={path} cannot be read ({reason})") from None
        if len(text) > _FILE_MAX or path in within:
            raise UserError(f"--flagfile={path} is not a file of flags: it has no end")
        lines = (line.strip() for line in text.splitlines())
        flag_lines = (line for line in lines if line and not line.startswith(("#", "//")))
        yield from _with_files(flag_lines, (*within, path))


def _check_names(arguments: Sequence[str]) -> None:
    """Raises a UserError if one has a name so long that absl fails to find a similar flag's."""
    for argument in arguments:
        if argument.startswith("-") and len(argument.partition("=")[0]) > _NAME_MAX:
            raise UserError(f"{argument} is not a flag: --help shows them all")


def parse(argv: Sequence[str]) -> Settings:
    """Parses the command line; prints the help and exits if that is what is asked for.

    Args:
        argv: the command line, the program's name first.

    Returns:
        The settings.

    Raises:
        UserError: a flag is unknown, or its value is out of range.
    """
    values = flags.FLAGS
    values.unparse_flags()
    try:
        arguments = list(_with_files(argv[1:]))
        _check_names(arguments)
        rest = values([argv[0], *arguments])
        if values.mode == "numpy":
            rest = values([argv[0], *_with_files([f"--flagfile={_NUMPY_POST}"]), *arguments])
    except (flags.Error, ValueError) as error:  # absl raises both.
        raise UserError(" ".join(str(error).removeprefix("ERROR:: ").split())) from None
    if values.help:
        print("python reproduce.py [flags]\n\nTrains the post's network and compares the results.")
        print("\n".join(values.module_help(group) for group in (*_HELP, "studies", "other")))
        print("  --flagfile: File that holds flags, one a line.")
        print("  --verbosity: 0 shows TensorFlow's own messages.")
        sys.exit()
    if len(rest) > 1:
        raise UserError(f"{rest[1]!r} is not a flag: flags start with --")
    _refuse_what_makes_no_sense(values)
    settings = {field.name: values[field.name].value for field in dataclasses.fields(Settings)}
    settings["digits"] = tuple("".join(sorted(each)) for each in values.digits.split(","))
    for name in ("data_dir", "results_dir"):
        settings[name] = Path(settings[name])
    if values.mode == "numpy":
        # One generator shuffles and draws, and the order is that of the wiring `ordered`.
        settings |= {"split_seed": values.seed, "wiring": "ordered"}
    return Settings(**settings)


def _refuse_what_makes_no_sense(values: flags.FlagValues) -> None:
    """Raises a UserError for flags that contradict each other."""

    def refuse(names: Sequence[str], reason: str) -> None:
        for name in names:
            if values[name].value != values[name].default:
                raise UserError(f"--{name}={values[name].value} makes no sense here: {reason}")

    for name in ("scheduler", "insecure", "dashboard"):
        if values[name].present and not values.study:
            raise UserError(f"--{name} makes no sense without --study: name one, or leave it out")
    url = urlsplit(values.scheduler or "")
    local = url.hostname in ("localhost", "127.0.0.1")
    if url.scheme == "tcp" and not (local or values.insecure):
        raise UserError(
            f"--scheduler={values.scheduler} is open to whoever reaches it: use tls://, or add "
            "--insecure if that is meant"
        )
    if values.study:
        for field in dataclasses.fields(Settings):
            if values[field.name].present and field.name not in _OF_STUDIES:
                raise UserError(f"--{field.name} makes no sense with --study: it has its own flags")
    label = ("condition_on_label", "label_scale", "label_alone")
    synthetic = ("synthetic_step", "synthetic_init", "lr_sg", *label)
    if values.mode == "auto":
        of_manual = ("decoupled", *synthetic, "lr_x", "lr_rec")
        refuse(of_manual, "it is for --mode=manual, and this is --mode=auto")
    if values.mode == "numpy":
        meant_for_graphs = (
            "wiring", "engine", "decoupled", "synthetic_step", "synthetic_init", *label, "init",
            "split_seed", "lr_auto", *OF_CHECKPOINTS, "tensorboard",
        )  # fmt: skip
        for name in meant_for_graphs:
            if values[name].present:
                raise UserError(f"--{name} makes no sense with --mode=numpy: leave it out")
    else:
        refuse(("recurrent_update",), "it is for --mode=numpy")
    if values.mode == "manual":
        refuse(("lr_auto",), "it is for --mode=auto, and this is --mode=manual")
    of_label = {"delayed": "label_alone", "parallel": "condition_on_label"}.get(values.engine)
    if of_label is not None and (
        (values.mode, values.decoupled) != ("manual", "both") or values[of_label].value
    ):
        raise UserError(
            f"--engine={values.engine} is for --mode=manual with --decoupled=both, without "
            f"--{of_label}"
        )
    if values.wiring == "published":
        refuse(label, "in --wiring=published a guess and its correction come from two images")
        if values.decoupled != "both":
            raise UserError(
                f"--decoupled={values.decoupled} makes no sense with --wiring=published, where the "
                "cost and the time boxes belong to different images: add --wiring=connected"
            )
    if values.decoupled == "none":
        refuse(synthetic, "--decoupled=none uses no synthetic gradients")
    if not values.condition_on_label:
        refuse(label[1:], "it is for --condition_on_label")


def study() -> Path | None:
    """The file that `--study` names."""
    return Path(flags.FLAGS.study) if flags.FLAGS.study else None


def scheduler() -> str | None:
    """The address that `--scheduler` names."""
    address: str | None = flags.FLAGS.scheduler
    return address


def dashboard() -> bool:
    """Whether `--dashboard` is given."""
    return bool(flags.FLAGS.dashboard)


def verbose() -> bool:
    """Whether `--verbosity` asks for more than warnings."""
    return logging.get_verbosity() > logging.WARNING
