"""Folders of pictures: a subfolder for each class."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuner.data.dataset import Dataset
from tuner.errors import InputError

_KINDS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}
_PARTS = ("train", "test")


def picture_folder(folder: Path, size: tuple[int, int], *, colour: bool) -> Dataset:
    """The pictures in a folder's subfolders, whose names are the classes, brought to one size.

    A folder that holds just ``train`` and ``test`` is a training part and a test part of the data's own.

    Args:
        folder: of the subfolders.
        size: height and width.
        colour: whether pictures have three channels, else one.

    Raises:
        InputError: there is no picture, or one that cannot be read.
    """
    parts = [folder / part for part in _PARTS]
    if {entry.name for entry in _folders(folder)} != set(_PARTS):
        parts = [folder]
    loaded = [_part(part, size, colour=colour) for part in parts]
    return Dataset(*loaded[0], "classification", test=loaded[1] if len(loaded) > 1 else None)


def _part(folder: Path, size: tuple[int, int], *, colour: bool) -> tuple[NDArray[np.uint8], list[str]]:
    files = [(file, label.name) for label in _folders(folder) for file in _pictures(label)]
    if not files:
        fix = f"Give a folder with a subfolder for each class, with {', '.join(sorted(_KINDS))} files."
        raise InputError("no pictures in subfolders", str(folder), fix)
    return np.stack([_read(file, size, colour=colour) for file, _ in files]), [label for _, label in files]


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _pictures(folder: Path) -> Iterator[Path]:
    yield from sorted(file for file in folder.rglob("*") if file.suffix.lower() in _KINDS)


def _read(file: Path, size: tuple[int, int], *, colour: bool) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB" if colour else "L").resize(size[::-1]))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError("a picture cannot be read", str(file), f"It says: {error}") from error
    return pixels if colour else pixels[..., np.newaxis]
