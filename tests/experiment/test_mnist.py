import gzip
import shutil

import numpy as np
import pytest

from experiment import mnist
from experiment.errors import UserError
from flags import Settings

DATA = Settings().data_dir


def test_the_split_is_the_post_s(split, recorded):
    np.testing.assert_array_equal(
        split.test.y, [1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1]
    )
    assert split.train.y.sum() == 57
    assert [len(part.x) for part in split] == [20, 100, 1995]
    np.testing.assert_array_equal(split.held_out.y, recorded["manual"]["held_out_labels"])


def test_pixels(split):
    assert split.train.x.dtype == np.float32
    assert split.train.x.min() == 0
    assert split.train.x.max() == np.float32(255) * np.float32(1 / 255)


def test_every_image_is_in_one_part(split):
    images, labels = mnist.load(DATA)
    everything = np.concatenate([part.x for part in split])
    expected = images[labels <= 1] * np.float32(1 / 255)
    assert len(everything) == 980 + 1135
    np.testing.assert_array_equal(np.sort(everything, axis=0), np.sort(expected, axis=0))


def flip_a_bit(path):
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[5000] ^= 1
    path.write_bytes(gzip.compress(content))


def append(path):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"\0"))


def truncate(path):
    path.write_bytes(path.read_bytes()[:3000])


def empty(path):
    path.write_bytes(b"")


def no_gzip(path):
    path.write_bytes(gzip.decompress(path.read_bytes()))


def damage_the_stream(path):
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)


def make_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", [mnist.IMAGES, mnist.LABELS])
@pytest.mark.parametrize(
    "harm", [flip_a_bit, append, truncate, empty, no_gzip, damage_the_stream, make_a_folder]
)
def test_a_damaged_file_is_named(tmp_path, name, harm):
    for path in DATA.glob("*.gz"):
        shutil.copy(path, tmp_path)
    harm(tmp_path / f"{name}.gz")
    with pytest.raises(UserError, match=f"{name}.gz .*--data_dir"):
        mnist.load(tmp_path)


def test_other_digits():
    images, labels = mnist.load(DATA)
    split = mnist.split(images, labels, digits=(8, 3), split_seed=1, test_images=5, train_images=7)
    chosen = np.concatenate([np.flatnonzero(labels == 8), np.flatnonzero(labels == 3)])
    np.random.RandomState(1).shuffle(chosen)
    np.testing.assert_array_equal(
        np.concatenate([part.y for part in split]), np.uint8(labels[chosen] == 3)
    )
    np.testing.assert_array_equal(split.train.x[0], images[chosen[5]] * np.float32(1 / 255))
