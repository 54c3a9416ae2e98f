"""Every flag of `reproduce.py`, with its default, help and validator.

Parsing freezes the flags into one `Settings` object; no other module reads a flag. TensorFlow is
not imported here, so that help and errors come at once.
"""

import dataclasses
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from absl import flags, logging

from experiment.errors import UserError
from experiment.settings import OF_CHECKPOINTS, PROJECT, Settings

# The help of each flag. absl sorts its help by module: each group passes for one.
_HELP = {
    "experiment": {
        "mode": "manual: back propagation by hand-written assign operations; auto: "
        "GradientDescentOptimizer; numpy: the Numpy post, with its own defaults "
        "(presets/numpy_post.flags).",
        "wiring": "The order of reads and writes of the hidden states. published: as the post's "
        "program runs, time box 2 and the readout read those of the image before; ordered: as the "
        "post draws it, they read those of this image; connected: ordered, and the hidden states "
        "also pass as tensors, so that automatic differentiation reaches the time boxes.",
        "gradient_1": "The gradient that time box 1 learns from in manual mode. synthetic: that of "
        "its module; true: the one that comes back from time box 2; zero: none; random: the error "
        "of the readout through fixed random weights.",
        "gradient_2": "The same for time box 2; true: the one that comes back from the readout. "
        "With both true, manual mode is back-propagation through time.",
        "synthetic_step": "Whether manual mode adds synthetic gradients to the weights, as the "
        "post does, or subtracts them.",
        "module_input": "The input of the modules of synthetic gradients: the time box's state, as "
        "in the post; the state and the label, as in the paper's cDNI; or the label.",
        "label_scale": "Scale of the label in the input of the modules.",
        "recurrent_update": "In numpy mode, the product that changes w_rec and w_x; inner is the "
        "Numpy post's fault, and the default there.",
        "engine": "How an epoch is run; the numbers differ in rounding only. feed: a Session.run "
        "per image, as the post does it; stepwise: the same step in a loop in the graph; delayed: "
        "in manual mode, updates applied together for a block of images; parallel: in manual mode, "
        "all steps of a block at once, for a small --lr_rec; fastest: parallel, delayed or "
        "stepwise, the first that suits the other flags.",
        "epochs": "Passes over the training images.",
        "diagnostics": "Compare the gradients of the time boxes with the true ones in every step, "
        "for quality.csv; needs --engine=stepwise.",
    },
    "data": {
        "digits": "Two sets of digits to tell apart, 0,1 or 01234,56789: those of the first have "
        "label 0, those of the second label 1.",
        "train_images": "Number of training images.",
        "test_images": "Number of test images.",
        "split_seed": "Seed of the shuffle that decides which images are for training, testing or "
        "held out.",
    },
    "initial values": {
        "seed": "Seed of the initial values of hidden states and weights.",
        "init": "The generator of the initial values. portable: numpy.random.RandomState, the same "
        "in every version; tensorflow: tf.random_normal, as in the post.",
        "synthetic_init": "The initial values of w_sg_1 and w_sg_2. normal: random, as in the "
        "post; zeros: as the paper advises.",
    },
    "learning rates (all per image)": {
        "lr_x": "Rate of w_fc in manual mode (the name is the post's).",
        "lr_rec": "Rate of w_rec and w_x in manual mode; with --gradient_1=true also of h_0.",
        "lr_sg": "Rate of the synthetic gradients w_sg_1 and w_sg_2 in manual mode.",
        "lr_auto": "Rate of GradientDescentOptimizer in auto mode.",
        "warm_up": "Take a tenth of lr_rec in the first epoch.",
        "decay": "Factor of lr_rec from one epoch to the next.",
    },
    "files": {
        "data_dir": "Folder of the two files of MNIST's test set, t10k-*, packed with gzip (.gz) "
        "or not.",
        "allow_other_data": "Accept files of the same names and format that are not the official "
        "ones.",
        "results_dir": "Folder of the results: a run writes <results_dir>/<wiring>-<mode>/ there, "
        "<wiring>-manual-<gradient_1>-<gradient_2>/ unless both are synthetic, "
        "numpy-<recurrent_update>/ in numpy mode.",
        "checkpoint_every": "Epochs between two checkpoints, in <run folder>/checkpoint/, and one "
        "after the last; 0: none. They are removed when the run has ended well.",
        "resume": "Go on from the newest checkpoint, if there is one; --noresume drops all "
        "checkpoints.",
        "keep_checkpoints": "Leave the checkpoints when the run has ended well.",
        "tensorboard": "Write an event file for `make tensorboard` to <run folder>/tensorboard/; "
        "training takes longer.",
    },
}
_CHOICES = {
    "mode": ["manual", "auto", "numpy"],
    "wiring": ["published", "ordered", "connected"],
    "gradient_1": ["synthetic", "true", "zero", "random"],
    "gradient_2": ["synthetic", "true", "zero", "random"],
    "synthetic_step": ["ascend", "descend"],
    "module_input": ["state", "state+label", "label"],
    "recurrent_update": ["inner", "outer"],
    "engine": ["fastest", "feed", "stepwise", "delayed", "parallel"],
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


# A larger number is infinite for TensorFlow.
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
flags.register_validator("decay", lambda decay: 0 < decay <= 1, "must be above 0 and at most 1")


def _is_path(text: str | None) -> bool:
    return text is None or (text != "" and "\0" not in text)


for _name in ("data_dir", "results_dir"):
    flags.register_validator(_name, _is_path, "must name a folder; . is the one you are in")

_STUDIES = {"module_name": "studies"}
flags.DEFINE_string(
    "study",
    None,
    "File of a study, such as presets/studies/claims.toml: runs each of its experiments with many "
    "seeds. Repeats no run that has ended; writes <results_dir>/studies/<name>/.",
    **_STUDIES,
)

flags.DEFINE_string(
    "scheduler",
    None,
    "With --study: the address of the Dask scheduler whose workers do the runs, tls://host:8786, "
    "or tcp:// on this machine (docs/using.md). Without it, the cores of this machine do them.",
    **_STUDIES,
)
flags.DEFINE_boolean(
    "dashboard", False, "With --study: print the address of Dask's dashboard.", **_STUDIES
)


def _is_scheduler(text: str | None) -> bool:
    match = re.fullmatch(r"(tcp|tls)://[\w.-]+:([0-9]{1,5})", text or "tls://host:1", re.ASCII)
    return text != "" and match is not None and 1 <= int(match[2]) < 2**16


flags.register_validator("study", _is_path, "must name the file of a study")
flags.register_validator("scheduler", _is_scheduler, "must be like tls://host:8786")

flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", module_name="other")

_NUMPY_POST = PROJECT / "presets" / "numpy_post.flags"
_OF_STUDIES = ("data_dir", "allow_other_data", "results_dir")


def parse(argv: Sequence[str]) -> Settings:
    """Parses the command line, the program's name first; prints the help and exits with --help.

    Raises:
        UserError: a flag is unknown, its value is out of range, or two contradict each other.
    """
    values = flags.FLAGS
    values.unparse_flags()
    try:
        rest = values(argv)
        if values.mode == "numpy":
            rest = values([argv[0], f"--flagfile={_NUMPY_POST}", *argv[1:]])
    except (flags.Error, ValueError) as error:  # absl raises both.
        raise UserError(" ".join(str(error).removeprefix("ERROR:: ").split())) from None
    except RecursionError:
        raise UserError("a flag's name is too long: --help lists the flags") from None
    if values.help:
        print("python reproduce.py [flags]\n\nTrains the post's network and compares the results.")
        print("\n".join(values.module_help(group) for group in (*_HELP, "studies", "other")))
        print("  --flagfile: File that holds flags, one a line.")
        print("  --verbosity: 0 shows TensorFlow's own messages.")
        sys.exit()
    if len(rest) > 1:
        raise UserError(f"{rest[1]!r} is not a flag: flags start with --")
    _refuse_contradictions(values)
    settings = {field.name: values[field.name].value for field in dataclasses.fields(Settings)}
    settings["digits"] = tuple("".join(sorted(each)) for each in values.digits.split(","))
    for name in ("data_dir", "results_dir"):
        settings[name] = Path(settings[name])
    if values.mode == "numpy":
        # One generator shuffles and draws, and the order is that of the wiring `ordered`.
        settings |= {"split_seed": values.seed, "wiring": "ordered"}
    return Settings(**settings)


def _refuse_contradictions(values: flags.FlagValues) -> None:
    """Raises a UserError for flags that contradict each other."""

    def refuse(names: Sequence[str], reason: str) -> None:
        for name in names:
            if values[name].value != values[name].default:
                raise UserError(f"--{name}={values[name].value} makes no sense here: {reason}")

    for name in ("scheduler", "dashboard"):
        if values[name].present and not values.study:
            raise UserError(f"--{name} makes no sense without --study: name one, or leave it out")
    url = urlsplit(values.scheduler or "")
    if url.scheme == "tcp" and url.hostname not in ("localhost", "127.0.0.1"):
        raise UserError(
            f"--scheduler={values.scheduler} would let anyone on the network run code: use tls://, "
            "or a tunnel to tcp://localhost"
        )
    if values.study:
        for field in dataclasses.fields(Settings):
            if values[field.name].present and field.name not in _OF_STUDIES:
                raise UserError(f"--{field.name} makes no sense with --study: it has its own flags")
    sources = (values.gradient_1, values.gradient_2)
    synthetic = ("synthetic_step", "synthetic_init", "lr_sg", "module_input", "label_scale")
    of_manual = ("gradient_1", "gradient_2", *synthetic, "warm_up", "decay", "diagnostics")
    if values.mode == "auto":
        refuse((*of_manual, "lr_x", "lr_rec"), "it is for --mode=manual, and this is --mode=auto")
    if values.mode == "numpy":
        of_graphs = (
            "wiring", "engine", *(name for name in of_manual if name != "lr_sg"), "init",
            "split_seed", "lr_auto", *OF_CHECKPOINTS, "tensorboard",
        )  # fmt: skip
        for name in of_graphs:
            if values[name].present:
                raise UserError(f"--{name} makes no sense with --mode=numpy: leave it out")
    else:
        refuse(("recurrent_update",), "it is for --mode=numpy")
    if values.mode == "manual":
        refuse(("lr_auto",), "it is for --mode=auto, and this is --mode=manual")
    if values.wiring == "published":
        reason = "in --wiring=published the cost and the time boxes belong to different images"
        refuse(("gradient_1", "gradient_2", "module_input"), f"{reason}: add --wiring=connected")
    if "synthetic" not in sources:
        refuse(synthetic, "no time box learns from a synthetic gradient")
    elif set(sources) != {"synthetic"} and values.synthetic_step == "ascend":
        raise UserError(
            f"--gradient_1={sources[0]} and --gradient_2={sources[1]} need "
            "--synthetic_step=descend, because other gradients are subtracted"
        )
    if values.module_input == "state":
        refuse(("label_scale",), "the module's input has no label: add --module_input=state+label")
    inputs = {"delayed": ("state", "state+label"), "parallel": ("state",)}
    if values.engine in inputs and (
        values.mode != "manual"
        or set(sources) != {"synthetic"}
        or values.module_input not in inputs[values.engine]
    ):
        raise UserError(
            f"--engine={values.engine} is for --mode=manual with synthetic gradients in both time "
            f"boxes and --module_input={' or '.join(inputs[values.engine])}"
        )
    if values.diagnostics and values.engine not in ("fastest", "stepwise"):
        raise UserError(f"--diagnostics needs --engine=stepwise, and this is {values.engine}")


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
