"""The two t10k files of MNIST → checked arrays → the post's split (docs/experiment.md §1)."""

import gzip
import hashlib
import struct
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from experiment.errors import UserError
from experiment.settings import Settings

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
SIDE = 28
SHA_256 = {
    IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# The header of an IDX file: its magic number, the number of entries, and the shape of an entry.
MAGIC = {IMAGES: 2051, LABELS: 2049}
SHAPE = {IMAGES: [SIDE, SIDE], LABELS: []}
# Bytes of an unpacked file: the 70,000 images of all of MNIST fit.
SIZE_MAX = 2**26


class Data(NamedTuple):
    """The content of the two files.

    Attributes:
        images: [n, 784].
        labels: [n], 0 to 9.
        sha_256: of each unpacked file, by its name.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    sha_256: dict[str, str]


class Images(NamedTuple):
    """Images with their labels.

    Attributes:
        x: [n, 784], float32, from 0 (background) to 1.
        y: [n], uint8, 0 for the first set of digits, 1 for the second.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.uint8]


class Split(NamedTuple):
    """The images of a run.

    Attributes:
        test, train, held_out: each in the order in which it is visited.
        sha_256: as in `Data`.
    """

    test: Images
    train: Images
    held_out: Images
    sha_256: dict[str, str]

    @property
    def official(self) -> bool:
        """Whether the files are MNIST's own."""
        return self.sha_256 == SHA_256


def _entries(content: bytes, name: str) -> npt.NDArray[np.uint8]:
    """The entries of an IDX file, [n, bytes per entry]. Raises a ValueError if it is damaged."""
    header = struct.Struct(f">{2 + len(SHAPE[name])}I")
    if len(content) < header.size:
        raise ValueError("it ends within its header")
    magic, count, *shape = header.unpack_from(content)
    if (magic, shape) != (MAGIC[name], SHAPE[name]):
        kind = "images" if SHAPE[name] else "labels"
        raise ValueError(f"it does not begin as a file of MNIST's {kind} does")
    if count == 0:
        raise ValueError("it has no entries")
    return np.frombuffer(content, np.uint8, offset=header.size).reshape(count, -1)


def load(folder: Path, *, allow_other: bool = False) -> Data:
    """Reads the MNIST test set.

    Args:
        folder: of the two files, packed with gzip or not.
        allow_other: accept other files of this format, with a warning.

    Returns:
        The data, in file order.

    Raises:
        UserError: a file is missing, damaged, or not the official one.
    """

    def read(name: str) -> tuple[npt.NDArray[np.uint8], str]:
        path = folder / f"{name}.gz"
        if not path.exists() and (folder / name).exists():
            path = folder / name

        def refuse(reason: str) -> UserError:
            return UserError(
                f"{path} {reason}: restore it from the project's MNIST_data/, or point --data_dir "
                "at a good copy"
            )

        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                content = file.read(SIZE_MAX)
            entries = _entries(content, name)
        except FileNotFoundError:
            raise refuse("does not exist") from None
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise refuse(f"cannot be read ({error})") from None
        if entries.shape[1] != (SIDE**2 if name == IMAGES else 1):
            raise refuse("has more or fewer bytes than its header says")
        if name == LABELS and entries.max() > 9:
            raise refuse(f"has the label {entries.max()}, which is not a digit")
        digest = hashlib.sha256(content).hexdigest()
        if digest != SHA_256[name]:
            if not allow_other:
                raise refuse(
                    "is not the official file (its SHA-256 differs), which needs --allow_other_data"
                )
            print(f"warning: {path} is not the official file", file=sys.stderr)
        return entries, digest

    (images, images_digest), (labels, labels_digest) = read(IMAGES), read(LABELS)
    if len(images) != len(labels):
        raise UserError(
            f"{folder} has {len(images)} images and {len(labels)} labels: --data_dir needs a "
            "label for each image"
        )
    return Data(images, labels[:, 0], {IMAGES: images_digest, LABELS: labels_digest})


def split(data: Data, settings: Settings) -> Split:
    """Selects two sets of digits, one after the other, shuffles them, and splits them.

    The first `test_images` of the shuffled images are for testing, the next `train_images` for
    training, and the rest is held out. Source: docs/experiment.md §1.

    Raises:
        UserError: there are fewer images than `settings` needs, or none of a digit.
    """
    for digit in "".join(settings.digits):
        if int(digit) not in data.labels:
            raise UserError(f"there is no image of a {digit}: choose other --digits, or other data")
    first_set, second_set = (np.isin(data.labels, list(map(int, each))) for each in settings.digits)
    chosen = np.concatenate([np.flatnonzero(first_set), np.flatnonzero(second_set)])
    first, then = settings.test_images, settings.train_images
    if first + then > len(chosen):
        raise UserError(
            f"--test_images={first} and --train_images={then} are more than the {len(chosen)} "
            "images there are: lower one of them"
        )
    order = np.arange(len(chosen))
    np.random.RandomState(settings.split_seed).shuffle(order)
    chosen = chosen[order]
    y = second_set.astype(np.uint8)
    test, train, held_out = (
        Images(data.images[part] * np.float32(1 / 255), y[part])
        for part in np.split(chosen, [first, first + then])
    )
    return Split(test, train, held_out, data.sha_256)
