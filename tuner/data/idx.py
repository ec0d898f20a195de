"""IDX files, the form of MNIST and its kin (LeCun, "The MNIST database")."""

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data.dataset import Dataset
from tuner.errors import InputError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
"""Names of the four files, with or without .gz."""


def idx_images(folder: Path, sha256: tuple[str | None, ...] = (None,) * len(PARTS)) -> Dataset:
    """Images and labels of four IDX files: the training part, and a test part of the data's own.

    Raises:
        InputError: a file is missing, damaged, or not the one it should be.
    """
    arrays = [read_idx(_find_part(folder, name), expected) for name, expected in zip(PARTS, sha256, strict=True)]
    images, labels, test_images, test_labels = arrays
    return Dataset(images[..., np.newaxis], labels, "classification", test=(test_images[..., np.newaxis], test_labels))


def read_idx(path: Path, sha256: str | None = None) -> NDArray[Any]:
    """The array in an IDX file, gzip or not.

    Args:
        path: of the file.
        sha256: hexadecimal, that its content (unpacked) must have; None checks nothing.

    Raises:
        InputError: the file cannot be read, is no IDX file, or has another content.
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, ValueError) as error:
        raise InputError("a data file cannot be read", str(path), f"It says: {error}") from error
    if sha256 is not None and (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise InputError(f"{path} is not the file that it should be", f"SHA-256 {found}", f"Expected {sha256}.")
    return _array(data, path)


def _find_part(folder: Path, name: str) -> Path:
    """The file of this name in a folder, with .gz or without.

    Raises:
        InputError: there is none.
    """
    for candidate in (folder / name, folder / f"{name}.gz", folder / name.replace("-idx", ".idx")):
        if candidate.is_file():
            return candidate
    raise InputError("no such IDX file", str(folder / name), f"The folder needs {', '.join(PARTS)}, or these with .gz.")


def _array(data: bytes, path: Path) -> NDArray[Any]:
    fix = "It begins with two zero bytes, a type, the number of axes and their lengths."
    if len(data) < 4 or data[:2] != b"\x00\x00" or data[2] not in _TYPES:
        raise InputError("no IDX file", str(path), fix)
    axes = data[3]
    if len(data) < 4 + 4 * axes:
        raise InputError("an IDX file ends in its header", str(path), fix)
    shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
    kind = np.dtype(_TYPES[data[2]])
    content = data[4 + 4 * axes :]
    if len(content) != kind.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise InputError(f"{path} has not as many bytes as its shape {shape} says", len(content), "Get it again.")
    return np.frombuffer(content, kind).reshape(shape).astype(kind.newbyteorder("="))
