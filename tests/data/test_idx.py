"""IDX files, gzip or not, and what is wrong with them."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from tuner import InputError, datasets
from tuner.data.idx import PARTS, read_idx


def idx_bytes(array):
    kinds = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, kinds[array.dtype.str[1:]], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_written_is_read(tmp_path, kind, packed):
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    data = idx_bytes(array)
    (tmp_path / "a").write_bytes(gzip.compress(data) if packed else data)
    found = read_idx(tmp_path / "a", hashlib.sha256(data).hexdigest())
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: b"PK" + data[2:], "no IDX file"),
        (lambda data: data[:2] + b"\x07" + data[3:], "no IDX file"),
        (lambda data: data[:3], "no IDX file"),
        (lambda data: data[:9], "ends in its header"),
        (lambda data: data[:-1], "has not as many bytes as its shape"),
        (lambda data: data + b"0", "has not as many bytes as its shape"),
        (lambda data: gzip.compress(data)[:-4], "cannot be read"),
    ],
)
def test_a_damaged_file_is_told(tmp_path, spoil, message):
    (tmp_path / "a").write_bytes(spoil(idx_bytes(np.zeros((2, 3), np.uint8))))
    with pytest.raises(InputError, match=message):
        read_idx(tmp_path / "a")


def test_another_content_is_told(tmp_path):
    (tmp_path / "a").write_bytes(idx_bytes(np.zeros((2, 3), np.uint8)))
    with pytest.raises(InputError, match=r"is not the file that it should be: SHA-256 .* Expected 0000\."):
        read_idx(tmp_path / "a", "0000")


@pytest.mark.parametrize("name", ["{}", "{}.gz"])
def test_a_folder_has_images_labels_and_a_test_part(tmp_path, name):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (6, 4, 5)), rng.integers(0, 3, 6), rng.integers(0, 256, (2, 4, 5)), [0, 2]]
    for part, array in zip(PARTS, arrays, strict=True):
        data = idx_bytes(np.asarray(array, np.uint8))
        (tmp_path / name.format(part)).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    found = datasets.idx(tmp_path)()
    assert found.inputs.shape == (6, 4, 5, 1)
    assert found.inputs.dtype == np.uint8
    np.testing.assert_array_equal(found.targets, arrays[1])
    np.testing.assert_array_equal(found.test[0][..., 0], arrays[2])
    (tmp_path / name.format(PARTS[3])).unlink()
    with pytest.raises(InputError, match=r"no such IDX file: .*t10k-labels.* The folder needs train-images"):
        datasets.idx(tmp_path)()
    with pytest.raises(InputError, match="no such data folder: nowhere"):
        datasets.idx("nowhere")()
