"""Every flag of `reproduce.py`, with its default, help and validator.

Parsing freezes the flags into one `Settings` object; no other module reads a flag. TensorFlow is
not imported here, so that help and mistakes are answered at once.
"""

import dataclasses
import math
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
    epochs: int = 100
    train_images: int = 100
    test_images: int = 20
    split_seed: int = 678
    seed: int = 678
    init: str = "portable"
    lr_x: float = 1e-3
    lr_rec: float = 1e-6
    lr_sg: float = 1e-4
    lr_auto: float = 0.1
    data_dir: Path = PROJECT / "MNIST_data"
    results_dir: Path = PROJECT / "results"

    def numeric(self) -> dict[str, Any]:
        """The settings that bear on the numbers: all but the two folders."""
        values = dataclasses.asdict(self)
        del values["data_dir"], values["results_dir"]
        return values


_SEED_MAX = 2**32 - 1

# absl sorts its help by module: each group of flags passes for one.
_EXPERIMENT = {"module_name": "experiment"}
flags.DEFINE_enum(
    "mode",
    Settings.mode,
    ["manual", "auto"],
    "manual: back propagation by hand-written assign operations; auto: GradientDescentOptimizer.",
    **_EXPERIMENT,
)
flags.DEFINE_enum(
    "wiring",
    Settings.wiring,
    ["published"],
    "What each part of the network reads. published: as the post's program, hidden states and "
    "all that follows from them are those of the image before.",
    **_EXPERIMENT,
)
flags.DEFINE_integer(
    "epochs", Settings.epochs, "Passes over the training images.", lower_bound=1, **_EXPERIMENT
)

_DATA = {"module_name": "data"}
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

_RATES = {"module_name": "learning rates (all per image)"}


def _define_rate(name: str, text: str) -> None:
    flags.DEFINE_float(name, getattr(Settings, name), text, lower_bound=0, **_RATES)
    flags.register_validator(name, math.isfinite, "must be a finite number")


_define_rate("lr_x", "Rate of w_fc in manual mode (the name is the post's).")
_define_rate("lr_rec", "Rate of w_rec and w_x in manual mode.")
_define_rate("lr_sg", "Rate of the synthetic gradients w_sg_1 and w_sg_2 in manual mode.")
_define_rate("lr_auto", "Rate of GradientDescentOptimizer in auto mode.")

_FILES = {"module_name": "files"}
flags.DEFINE_string(
    "data_dir", str(Settings.data_dir), "Folder of the two t10k-*.gz files.", **_FILES
)
flags.DEFINE_string(
    "results_dir",
    str(Settings.results_dir),
    "Folder of the results: a run writes <results_dir>/<wiring>-<mode>/.",
    **_FILES,
)

_OTHER = {"module_name": "other"}
flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", **_OTHER)

_GROUPS = [group["module_name"] for group in (_EXPERIMENT, _DATA, _INITIAL, _RATES, _FILES, _OTHER)]


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
    try:
        rest = values(argv)
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
    names = (field.name for field in dataclasses.fields(Settings))
    settings = {name: values[name].value for name in names}
    for name in ("data_dir", "results_dir"):
        settings[name] = Path(settings[name])
    return Settings(**settings)


def verbose() -> bool:
    """Whether `--verbosity` asks for more than warnings."""
    return logging.get_verbosity() > logging.WARNING
