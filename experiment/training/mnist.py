"""The two t10k files of MNIST → checked arrays → the post's split (docs/experiment.md §1)."""

import gzip
import hashlib
import io
import math
import struct
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from experiment.settings import Settings, UserError

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
SIDE = 28
# As many as all of MNIST has: more cannot be meant, and would not fit everywhere.
COUNT_MAX = 70_000
SHA_256 = {
    IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# A file begins with a number that says what it is, the number of entries, and an entry's shape.
MAGIC = {IMAGES: 2051, LABELS: 2049}
ENTRY = {IMAGES: [SIDE, SIDE], LABELS: []}


class Data(NamedTuple):
    """The content of the two files.

    Attributes:
        images: [n, 784].
        labels: [n], 0 to 9.
        sha_256: of each file, unpacked, by its name.
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
    """What a run takes of the data.

    Attributes:
        test, train, held_out: three parts, each in the order in which it is visited.
        sha_256: of each file that they come from, unpacked, by its name.
    """

    test: Images
    train: Images
    held_out: Images
    sha_256: dict[str, str]

    @property
    def official(self) -> bool:
        """Whether it all comes from MNIST's own files."""
        return self.sha_256 == SHA_256


def _entries(file: io.BufferedIOBase, name: str) -> tuple[npt.NDArray[np.uint8], str]:
    """Reads an IDX file: its bytes, an entry a row, and the SHA-256 of it all.

    The header says how much there is to read, and is checked before any of that is read.

    Raises:
        ValueError: it is something else, or damaged.
    """
    form = f">{2 + len(ENTRY[name])}I"
    header = file.read(struct.calcsize(form))
    if len(header) < struct.calcsize(form):
        raise ValueError("it ends within its header")
    magic, count, *entry = struct.unpack(form, header)
    if (magic, entry) != (MAGIC[name], ENTRY[name]):
        kind = "images" if ENTRY[name] else "labels"
        raise ValueError(f"it does not begin as a file of MNIST's {kind} does")
    if not 1 <= count <= COUNT_MAX:
        raise ValueError(f"its header says {count} entries, not 1 to {COUNT_MAX}")
    size = count * math.prod(entry)
    content = file.read(size + 1)
    if len(content) != size:
        than = "less" if len(content) < size else "more"
        raise ValueError(f"it holds {than} than the {count} entries that its header says")
    digest = hashlib.sha256(header)
    digest.update(content)
    return np.frombuffer(content, np.uint8).reshape(count, -1), digest.hexdigest()


def load(folder: Path, *, allow_other: bool = False) -> Data:
    """Reads the MNIST test set.

    Args:
        folder: where the two files are, packed with gzip or not.
        allow_other: whether other files of this format will do, with a warning.

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
                entries, digest = _entries(file, name)
        except FileNotFoundError:
            raise refuse("does not exist") from None
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise refuse(f"cannot be read ({error})") from None
        if name == LABELS and entries.max() > 9:
            raise refuse(f"holds the label {entries.max()}, not 0 to 9 alone")
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
            f"{folder} holds {len(images)} images and {len(labels)} labels: --data_dir needs a "
            "label for each image"
        )
    return Data(images, labels[:, 0], {IMAGES: images_digest, LABELS: labels_digest})


def split(data: Data, settings: Settings) -> Split:
    """Selects two sets of digits, one after the other, shuffles them, and cuts off the parts.

    Args:
        data: the images and labels.
        settings: `digits`, of which the first gets label 0 and the second label 1; `split_seed`,
            of the shuffle; `test_images`, how many of the shuffled images come first;
            `train_images`, how many come next. The rest is held out.

    Returns:
        The split. Source: docs/experiment.md §1.

    Raises:
        UserError: there are fewer images than asked for, or none of a digit.
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
