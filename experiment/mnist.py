"""The two t10k files of MNIST → checked arrays → the post's split (specification §1)."""

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from experiment.errors import UserError

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
SIDE = 28
SHA_256 = {
    IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# Bytes in the unpacked file: a header of four or two 32-bit numbers, then a byte an entry.
SIZE = {IMAGES: 16 + 10_000 * SIDE * SIDE, LABELS: 8 + 10_000}


class Images(NamedTuple):
    """Images with their labels.

    Attributes:
        x: [n, 784], float32, from 0 (background) to 1.
        y: [n], uint8, 0 for the first digit, 1 for the second.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.uint8]


class Split(NamedTuple):
    """The three parts of the data, each in the order in which it is visited."""

    test: Images
    train: Images
    held_out: Images


def _read(folder: Path, name: str) -> bytes:
    """Reads <name>.gz, unpacked, and checks that it is the official file."""
    path = folder / f"{name}.gz"
    restore = "restore it from the project's MNIST_data/, or point --data_dir at a good copy"
    try:
        with gzip.open(path) as file:
            content = file.read(SIZE[name] + 1)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {restore}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}): {restore}") from None
    if hashlib.sha256(content).hexdigest() != SHA_256[name]:
        raise UserError(f"{path} is not the official file (its SHA-256 differs): {restore}")
    return content


def load(folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Reads the MNIST test set.

    Args:
        folder: where the two files are, packed with gzip.

    Returns:
        The images [10000, 784] and the labels [10000], 0 to 9, in file order.

    Raises:
        UserError: a file is missing, damaged, or not the official one.
    """
    images, labels = _read(folder, IMAGES), _read(folder, LABELS)
    return (
        np.frombuffer(images, np.uint8, offset=16).reshape(-1, SIDE * SIDE),
        np.frombuffer(labels, np.uint8, offset=8),
    )


def split(
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    *,
    digits: tuple[int, int],
    split_seed: int,
    test_images: int,
    train_images: int,
) -> Split:
    """Selects two digits, one after the other, shuffles them, and cuts off the parts.

    Args:
        images: [n, 784].
        labels: [n].
        digits: the two digits; the first gets label 0, the second label 1.
        split_seed: seed of the shuffle; 678 gives the post's order.
        test_images: how many of the shuffled images come first, as test images.
        train_images: how many of the next are training images; the rest is held out.

    Returns:
        The split. Source: specification §1.

    Raises:
        UserError: there are fewer images than asked for.
    """
    chosen = np.concatenate([np.flatnonzero(labels == digit) for digit in digits])
    if test_images + train_images > len(chosen):
        raise UserError(
            f"--test_images={test_images} and --train_images={train_images} are more than the "
            f"{len(chosen)} images there are: lower one of them"
        )
    order = np.arange(len(chosen))
    np.random.RandomState(split_seed).shuffle(order)
    chosen = chosen[order]
    y = np.uint8(labels == digits[1])
    parts = np.split(chosen, [test_images, test_images + train_images])
    return Split(*(Images(images[part] * np.float32(1 / 255), y[part]) for part in parts))
