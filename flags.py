"""Every flag of `reproduce.py`, with its default, help and validator.

Parsing freezes the flags into one `Settings` object; no other module reads a flag. TensorFlow is
not imported here, so that help and mistakes are answered at once.
"""

import dataclasses
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags, logging

from experiment.errors import UserError

PROJECT = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Settings:
    """The flags of one run; each field is the flag of that name. `Settings()` is the post's."""

    mode: str = "manual"
    wiring: str = "published"
    gradient: str = "synthetic"
    synthetic_step: str = "ascend"
    condition_on_label: bool = False
    sg_hidden: int = 0
    recurrent_update: str = "outer"
    engine: str = "stepwise"
    epochs: int = 100
    digits: tuple[int, int] = (0, 1)
    train_images: int = 100
    test_images: int = 20
    split_seed: int = 678
    seed: int = 678
    init: str = "portable"
    synthetic_init: str = "normal"
    lr_x: float = 1e-3
    lr_rec: float = 1e-6
    lr_sg: float = 1e-4
    lr_auto: float = 0.1
    data_dir: Path = PROJECT / "MNIST_data"
    allow_other_data: bool = False
    results_dir: Path = PROJECT / "results"
    checkpoint_every: int = 10
    resume: bool | None = None
    keep_checkpoints: bool = False
    tensorboard: bool = False

    @property
    def name(self) -> str:
        """Of the folder that the run writes to."""
        if self.mode == "numpy":
            return f"numpy-{self.recurrent_update}"
        true = "-true" if self.gradient == "true" else ""
        return f"{self.wiring}-{self.mode}{true}"

    def numeric(self) -> dict[str, Any]:
        """The settings that bear on the numbers: all but those of files."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in _OF_FILES}


_CHECKPOINTS = ("checkpoint_every", "resume", "keep_checkpoints")
_OF_FILES = ("data_dir", "allow_other_data", "results_dir", *_CHECKPOINTS, "tensorboard")
_OF_STUDIES = ("data_dir", "allow_other_data", "results_dir")
_SEED_MAX = 2**32 - 1
_PORT_MAX = 2**16 - 1

# absl sorts its help by module: each group of flags passes for one.
_EXPERIMENT = {"module_name": "experiment"}
flags.DEFINE_enum(
    "mode",
    Settings.mode,
    ["manual", "auto", "numpy"],
    "manual: back propagation by hand-written assign operations; auto: GradientDescentOptimizer; "
    "numpy: the Numpy post, with its own defaults (presets/numpy_post.flags).",
    **_EXPERIMENT,
)
flags.DEFINE_enum(
    "wiring",
    Settings.wiring,
    ["published", "ordered", "connected"],
    "What each part of the network reads. published: as in the post's program, time box 2 and the "
    "readout see the hidden states of the image before; ordered: in the order that the post "
    "draws, they see those of this image; connected: ordered, and the hidden states pass as "
    "tensors, so that automatic differentiation sees the time boxes.",
    **_EXPERIMENT,
)
flags.DEFINE_enum(
    "gradient",
    Settings.gradient,
    ["synthetic", "true"],
    "What manual mode trains the time boxes with. true: back-propagation through time, by hand.",
    **_EXPERIMENT,
)
flags.DEFINE_enum(
    "synthetic_step",
    Settings.synthetic_step,
    ["ascend", "descend"],
    "Whether manual mode adds synthetic gradients to the weights, as the post does, or subtracts.",
    **_EXPERIMENT,
)
flags.DEFINE_boolean(
    "condition_on_label",
    Settings.condition_on_label,
    "Tell the label to the modules that guess the gradients, as the paper's cDNI does.",
    **_EXPERIMENT,
)
flags.DEFINE_integer(
    "sg_hidden",
    Settings.sg_hidden,
    "Units of a hidden tanh layer in these modules; 0: none, linear as in the post.",
    lower_bound=0,
    upper_bound=10_000,
    **_EXPERIMENT,
)
flags.DEFINE_enum(
    "recurrent_update",
    Settings.recurrent_update,
    ["inner", "outer"],
    "In numpy mode, the product that changes w_rec and w_x; inner is the Numpy post's fault, and "
    "the default there.",
    **_EXPERIMENT,
)
flags.DEFINE_enum(
    "engine",
    Settings.engine,
    ["feed", "stepwise", "delayed"],
    "How an epoch is run; the numbers are the same but for rounding. feed: the post's loop, a "
    "Session.run per image; stepwise: the same step in a loop in the graph; delayed: in manual "
    "mode, blocks of images whose updates are applied together.",
    **_EXPERIMENT,
)
flags.DEFINE_integer(
    "epochs", Settings.epochs, "Passes over the training images.", lower_bound=1, **_EXPERIMENT
)

_DATA = {"module_name": "data"}
flags.DEFINE_string(
    "digits",
    ",".join(map(str, Settings.digits)),
    "The two digits to tell apart: the first has label 0, the second label 1.",
    **_DATA,
)


def _are_two_digits(text: str) -> bool:
    return re.fullmatch(r"([0-9]),(?!\1)[0-9]", text) is not None


flags.register_validator("digits", _are_two_digits, "must be two different digits, such as 3,8")
flags.DEFINE_integer(
    "train_images", Settings.train_images, "Number of images to train on.", lower_bound=1, **_DATA
)
flags.DEFINE_integer(
    "test_images", Settings.test_images, "Number of images to test on.", lower_bound=1, **_DATA
)
flags.DEFINE_integer(
    "split_seed",
    Settings.split_seed,
    "Seed of the shuffle that decides which images are for training, testing or held out.",
    lower_bound=0,
    upper_bound=_SEED_MAX,
    **_DATA,
)

_INITIAL = {"module_name": "initial values"}
flags.DEFINE_integer(
    "seed",
    Settings.seed,
    "Seed of the initial values of hidden states and weights.",
    lower_bound=0,
    upper_bound=_SEED_MAX,
    **_INITIAL,
)
flags.DEFINE_enum(
    "init",
    Settings.init,
    ["portable", "tensorflow"],
    "How they are drawn. portable: with numpy.random.RandomState, the same in every version; "
    "tensorflow: with tf.random_normal, as the post does.",
    **_INITIAL,
)

flags.DEFINE_enum(
    "synthetic_init",
    Settings.synthetic_init,
    ["normal", "zeros"],
    "How w_sg_1 and w_sg_2 begin: normal, drawn as the post does; zeros, as the paper advises. (A "
    "hidden layer before them is drawn in any case.)",
    **_INITIAL,
)

_RATES = {"module_name": "learning rates (all per image)"}


def _define_rate(name: str, text: str) -> None:
    flags.DEFINE_float(name, getattr(Settings, name), text, lower_bound=0, **_RATES)
    flags.register_validator(name, math.isfinite, "must be a finite number")


_define_rate("lr_x", "Rate of w_fc in manual mode (the name is the post's).")
_define_rate("lr_rec", "Rate of w_rec and w_x in manual mode; with --gradient=true, of h_0 too.")
_define_rate("lr_sg", "Rate of the synthetic gradients w_sg_1 and w_sg_2 in manual mode.")
_define_rate("lr_auto", "Rate of GradientDescentOptimizer in auto mode.")

_FILES = {"module_name": "files"}
flags.DEFINE_string(
    "data_dir",
    str(Settings.data_dir),
    "Folder of the two files of MNIST's test set, t10k-*, packed with gzip (.gz) or not.",
    **_FILES,
)
flags.DEFINE_boolean(
    "allow_other_data",
    Settings.allow_other_data,
    "Take files of the same names and format that are not the official ones.",
    **_FILES,
)
flags.DEFINE_string(
    "results_dir",
    str(Settings.results_dir),
    "Folder of the results: a run writes <results_dir>/<wiring>-<mode>/ there, "
    "<wiring>-manual-true/ with --gradient=true, numpy-<recurrent_update>/ in numpy mode.",
    **_FILES,
)
flags.DEFINE_integer(
    "checkpoint_every",
    Settings.checkpoint_every,
    "Epochs between two checkpoints, in <run folder>/checkpoint/, and one after the last; 0: none. "
    "They are removed when the run has ended well.",
    lower_bound=0,
    **_FILES,
)
flags.DEFINE_boolean(
    "resume",
    Settings.resume,
    "Go on from the newest checkpoint, if there is one; --noresume drops what there is.",
    **_FILES,
)
flags.DEFINE_boolean(
    "keep_checkpoints",
    Settings.keep_checkpoints,
    "Leave the checkpoints when the run has ended well.",
    **_FILES,
)
flags.DEFINE_boolean(
    "tensorboard",
    Settings.tensorboard,
    "Write, to <run folder>/tensorboard/, what `make tensorboard` shows; training takes longer.",
    **_FILES,
)

for folder in ("data_dir", "results_dir"):
    flags.register_validator(folder, bool, "must name a folder; . is the one you are in")

_STUDIES = {"module_name": "studies"}
flags.DEFINE_string(
    "study",
    None,
    "File of a study, such as presets/studies/claims.ini: experiments, each with its flags, to be "
    "run over many seeds. Goes on where it was cut off; writes <results_dir>/studies/<name>/.",
    **_STUDIES,
)

flags.DEFINE_string(
    "workers",
    None,
    "With --study: the TensorFlow servers that do its runs, host:port,host:port and so on, each "
    "started with --serve; without it, this machine does them.",
    **_STUDIES,
)
flags.DEFINE_string(
    "serve",
    None,
    "Be such a server: --serve=:port for programs on this machine, --serve=0.0.0.0:port for all "
    "who can reach it. They can do with it what they like: it asks nobody for a password, and "
    "nothing is encrypted.",
    **_STUDIES,
)
# TensorFlow's server listens on every address of its machine; experiment/server.py can restrict
# that to this machine, not to one network among others.
_LOOPBACK, _EVERYWHERE = ("localhost", "127.0.0.1"), "0.0.0.0"


def _address(text: str) -> tuple[str, int] | None:
    """The host, which may be empty, and the port; None if it is no address."""
    found = re.fullmatch(r"([^\s:/,]*):([0-9]{1,5})", text, re.ASCII)
    if found is None or not 1 <= int(found[2]) <= _PORT_MAX:
        return None
    return found[1], int(found[2])


def _are_workers(text: str | None) -> bool:
    found = [_address(part) for part in text.split(",")] if text is not None else []
    return all(address is not None and address[0] != "" for address in found)


def _is_to_serve(text: str | None) -> bool:
    if text is None:
        return True
    address = _address(text)
    return address is not None and address[0] in ("", *_LOOPBACK, _EVERYWHERE)


flags.register_validator("study", lambda text: text != "", "must name the file of a study")
flags.register_validator("workers", _are_workers, "must be like host:2222,host:2223")
flags.register_validator(
    "serve", _is_to_serve, "must be like :2222, for this machine alone, or 0.0.0.0:2222"
)

_OTHER = {"module_name": "other"}
flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", **_OTHER)

_NUMPY_POST = PROJECT / "presets" / "numpy_post.flags"
_GROUPS = [
    group["module_name"]
    for group in (_EXPERIMENT, _DATA, _INITIAL, _RATES, _FILES, _STUDIES, _OTHER)
]


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
        rest = values(argv)
        if values.mode == "numpy":
            rest = values([argv[0], f"--flagfile={_NUMPY_POST}", *argv[1:]])
    except flags.Error as error:
        raise UserError(" ".join(str(error).removeprefix("ERROR:: ").split())) from None
    if values.help:
        print("python reproduce.py [flags]\n\nTrains the post's network and compares the results.")
        print("\n".join(values.module_help(group) for group in _GROUPS))
        print("  --flagfile: File that holds flags, one a line.")
        print("  --verbosity: 0 shows TensorFlow's own messages.")
        sys.exit()
    if len(rest) > 1:
        raise UserError(f"{rest[1]!r} is not a flag: flags start with --")
    _refuse_what_makes_no_sense(values)
    settings = {field.name: values[field.name].value for field in dataclasses.fields(Settings)}
    settings["digits"] = tuple(map(int, values.digits.split(",")))
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

    if values.serve:
        fields = (field.name for field in dataclasses.fields(Settings))
        for name in (*fields, "study", "workers"):
            if values[name].present:
                raise UserError(f"--{name} makes no sense with --serve: leave it out")
    if values.workers and not values.study:
        raise UserError("--workers makes no sense without --study: name a study, or leave it out")
    if values.study:
        for field in dataclasses.fields(Settings):
            if values[field.name].present and field.name not in _OF_STUDIES:
                raise UserError(f"--{field.name} makes no sense with --study: it has its own flags")
    modules = ("condition_on_label", "sg_hidden")
    synthetic = ("synthetic_step", "synthetic_init", "lr_sg", *modules)
    if values.mode == "auto":
        of_manual = ("gradient", *synthetic, "lr_x", "lr_rec")
        refuse(of_manual, "it is for --mode=manual, and this is --mode=auto")
    if values.mode == "numpy":
        meant_for_graphs = (
            "wiring", "engine", "gradient", "synthetic_step", "synthetic_init", *modules, "init",
            "split_seed", "lr_auto", *_CHECKPOINTS, "tensorboard",
        )  # fmt: skip
        for name in meant_for_graphs:
            if values[name].present:
                raise UserError(f"--{name} makes no sense with --mode=numpy: leave it out")
    else:
        refuse(("recurrent_update",), "it is for --mode=numpy")
    if values.mode == "manual":
        refuse(("lr_auto",), "it is for --mode=auto, and this is --mode=manual")
    if values.engine == "delayed":
        if (values.mode, values.gradient) != ("manual", "synthetic"):
            raise UserError("--engine=delayed is for --mode=manual with --gradient=synthetic")
        refuse(modules, "--engine=delayed is for modules like the post's")
    if values.wiring == "published":
        refuse(modules, "in --wiring=published a guess and its correction come from two images")
    if values.gradient == "true":
        refuse(synthetic, "--gradient=true uses no synthetic gradients")
        if values.wiring == "published":
            raise UserError(
                "--gradient=true makes no sense with --wiring=published, where the cost and the "
                "time boxes belong to different images: add --wiring=connected"
            )


def study() -> Path | None:
    """The file that `--study` names."""
    return Path(flags.FLAGS.study) if flags.FLAGS.study else None


def workers() -> list[str]:
    """The addresses that `--workers` names."""
    return flags.FLAGS.workers.split(",") if flags.FLAGS.workers else []


def serve() -> tuple[str, int] | None:
    """The host and the port that `--serve` names; without a host it is this machine alone."""
    address = _address(flags.FLAGS.serve) if flags.FLAGS.serve else None
    return (address[0] or _LOOPBACK[0], address[1]) if address else None


def verbose() -> bool:
    """Whether `--verbosity` asks for more than warnings."""
    return logging.get_verbosity() > logging.WARNING
