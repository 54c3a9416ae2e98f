import gzip
import shutil

import numpy as np
import pytest

from experiment.errors import UserError
from experiment.settings import Settings
from experiment.training import mnist

DATA = Settings().data_dir


def test_the_split_is_the_post_s(split, recorded):
    np.testing.assert_array_equal(
        split.test.y, [1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1]
    )
    assert split.train.y.sum() == 57
    assert [len(part.x) for part in split[:3]] == [20, 100, 1995]
    np.testing.assert_array_equal(split.held_out.y, recorded["manual"]["held_out_labels"])


def test_pixels(split):
    assert split.train.x.dtype == np.float32
    assert split.train.x.min() == 0
    assert split.train.x.max() == np.float32(255) * np.float32(1 / 255)


def test_every_image_is_in_one_part(split):
    images, labels, _ = mnist.load(DATA)
    everything = np.concatenate([part.x for part in split[:3]])
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


def claim_more_than_there_is(path):
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[4:8] = (10_001).to_bytes(4, "big")
    path.write_bytes(gzip.compress(content))


def make_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", [mnist.IMAGES, mnist.LABELS])
@pytest.mark.parametrize(
    "harm",
    [
        flip_a_bit, append, truncate, empty, no_gzip, damage_the_stream, claim_more_than_there_is,
        make_a_folder,
    ],
)  # fmt: skip
def test_a_damaged_file_is_named(tmp_path, name, harm):
    for path in DATA.glob("*.gz"):
        shutil.copy(path, tmp_path)
    harm(tmp_path / f"{name}.gz")
    with pytest.raises(UserError, match=f"{name}.gz .*--data_dir"):
        mnist.load(tmp_path)


@pytest.mark.parametrize("name", [mnist.IMAGES, mnist.LABELS])
def test_a_missing_file_is_named(tmp_path, name):
    for path in DATA.glob("*.gz"):
        shutil.copy(path, tmp_path)
    (tmp_path / f"{name}.gz").unlink()
    with pytest.raises(UserError) as refused:
        mnist.load(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / name}.gz does not exist: restore it")


def test_other_digits():
    data = mnist.load(DATA)
    images, labels, _ = data
    settings = Settings(digits=("8", "3"), split_seed=1, test_images=5, train_images=7)
    split = mnist.split(data, settings)
    chosen = np.concatenate([np.flatnonzero(labels == 8), np.flatnonzero(labels == 3)])
    np.random.RandomState(1).shuffle(chosen)
    np.testing.assert_array_equal(
        np.concatenate([part.y for part in split[:3]]), np.uint8(labels[chosen] == 3)
    )
    np.testing.assert_array_equal(split.train.x[0], images[chosen[5]] * np.float32(1 / 255))


def test_sets_of_digits():
    data = mnist.load(DATA)
    settings = Settings(digits=("01234", "56789"), test_images=1000, train_images=2000)
    split = mnist.split(data, settings)
    order = np.argsort(data.labels > 4, kind="stable")
    np.random.RandomState(678).shuffle(order)
    labels = np.concatenate([part.y for part in split[:3]])
    np.testing.assert_array_equal(labels, data.labels[order] > 4)
    assert len(split.held_out.y) == 7000
    np.testing.assert_array_equal(split.test.x[0], data.images[order[0]] * np.float32(1 / 255))


def idx(*sizes, content):
    header = (2048 + len(sizes), *sizes)
    return b"".join(number.to_bytes(4, "big") for number in header) + content


@pytest.fixture
def other_data(tmp_path):
    """Three images with the labels 3, 0 and 9, in plain files."""
    pixels = np.random.RandomState(0).randint(0, 256, (3, 28 * 28), np.uint8)
    (tmp_path / mnist.IMAGES).write_bytes(idx(3, 28, 28, content=pixels.tobytes()))
    (tmp_path / mnist.LABELS).write_bytes(idx(3, content=b"\3\0\x09"))
    return tmp_path, pixels


def test_plain_files(tmp_path):
    for path in DATA.glob("*.gz"):
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    plain, packed = mnist.load(tmp_path), mnist.load(DATA)
    assert mnist.split(plain, Settings()).official
    np.testing.assert_array_equal(plain.images, packed.images)
    np.testing.assert_array_equal(plain.labels, packed.labels)


def test_other_data_have_to_be_allowed(other_data, capsys):
    folder, pixels = other_data
    with pytest.raises(UserError, match="--allow_other_data"):
        mnist.load(folder)
    data = mnist.load(folder, allow_other=True)
    settings = Settings(digits=("3", "0"), test_images=1, train_images=1)
    assert not mnist.split(data, settings).official
    np.testing.assert_array_equal(data.images, pixels)
    np.testing.assert_array_equal(data.labels, [3, 0, 9])
    warnings = capsys.readouterr().err.splitlines()
    assert [line.startswith("warning: ") for line in warnings] == [True, True]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (mnist.LABELS, idx(3, content=b"\3\0\x0a"), "label 10"),
        (mnist.LABELS, idx(2, content=b"\3\0"), "3 images and 2 labels"),
        (mnist.LABELS, idx(3, 28, 28, content=bytes(3 * 784)), "does not begin"),
        (mnist.LABELS, idx(0, content=b""), "no entries"),
        (mnist.LABELS, b"\0\0\x08\1\0", "within its header"),
        (mnist.IMAGES, idx(3, 28, 27, content=bytes(3 * 28 * 27)), "does not begin"),
        (mnist.IMAGES, idx(2**32 - 1, 28, 28, content=bytes(784)), "cannot be read"),
        (mnist.IMAGES, idx(1, 28, 28, content=bytes(784 * 2)), "more or fewer bytes"),
    ],
)
def test_other_data_are_checked(other_data, name, content, message):
    folder, _ = other_data
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        mnist.load(folder, allow_other=True)


def test_a_file_is_not_read_beyond_a_limit(other_data, monkeypatch):
    folder, _ = other_data
    monkeypatch.setattr(mnist, "SIZE_MAX", 1000)
    with pytest.raises(UserError, match="has more or fewer bytes than its header says"):
        mnist.load(folder, allow_other=True)


def test_a_digit_of_which_there_is_no_image():
    data = mnist.Data(np.zeros((40, 784), np.uint8), np.full(40, 1, np.uint8), {})
    with pytest.raises(UserError, match="no image of a 0"):
        mnist.split(data, Settings())
