"""Data sets in files, read when they are called for."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuner.data.checks import as_array, place
from tuner.data.columns import Encoding, encoding_of
from tuner.data.dataset import Dataset
from tuner.data.idx import idx_images
from tuner.data.pictures import picture_folder
from tuner.data.text import windows
from tuner.errors import InputError, nearest

_MOST_CLASSES = 20


@dataclass(frozen=True, repr=False)
class TableFile:
    """A data set in a CSV or Parquet file; calling it reads the file.

    Attributes:
        kind: "csv" or "parquet".
        path: the file; a relative one is looked up in ``folder``, then in the current folder.
        target: the column of the targets.
        task: None infers it from the targets.
        groups: the column of the groups, which is no input.
        test: a second file with the same columns, the data's own test part.
        folder: where the experiment file lies.
        categories: columns of categories, though they look like numbers.
    """

    kind: Literal["csv", "parquet"]
    path: Path
    target: str
    task: str | None = None
    groups: str | None = None
    test: Path | None = None
    folder: Path | None = None
    categories: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"datasets.{self.kind}({_arguments(self, 'target', 'task', 'groups', 'test', 'categories')})"

    def __call__(self) -> Dataset:
        """Reads the file.

        Raises:
            InputError: no such file or column, a target that is missing, or a column that cannot be encoded.
        """
        path = find(self.path, self.folder)
        frame = _read(self.kind, path)
        extra = [self.target] if self.groups is None else [self.target, self.groups]
        _check_columns(frame, [*extra, *self.categories], path)
        names = [name for name in frame.columns if name not in extra]
        if not names:
            raise InputError(f"no inputs beside the target in {path}", ", ".join(extra), "Add columns.")
        encoding, targets = encoding_of(frame, names, self.categories), _cells(frame, self.target)
        return Dataset(
            encoding.encoded(frame),
            targets,
            self.task or infer_task(targets),
            self._test_part(encoding),
            None if self.groups is None else _cells(frame, self.groups),
            encoding.columns,
            categories=encoding.blocks,
            impute=True,
        )

    def _test_part(self, encoding: Encoding) -> tuple[NDArray[Any], NDArray[Any]] | None:
        if self.test is None:
            return None
        path = find(self.test, self.folder)
        frame = _read(self.kind, path)
        _check_columns(frame, [*encoding.names, self.target], path)
        return encoding.encoded(frame), _cells(frame, self.target)


@dataclass(frozen=True, repr=False)
class ArrayFile:
    """A data set in a NumPy .npz file; calling it reads the arrays named ``inputs`` and ``targets``."""

    path: Path
    inputs: str = "x"
    targets: str = "y"
    task: str | None = None
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"datasets.npz({_arguments(self, 'inputs', 'targets', 'task')})"

    def __call__(self) -> Dataset:
        """Reads the file.

        Raises:
            InputError: no such file or array, or a file that cannot be read.
        """
        path = find(self.path, self.folder)
        if not zipfile.is_zipfile(path):
            raise InputError("no .npz file", str(path), "Write it with numpy.savez(path, x=.., y=..).")
        try:
            with np.load(path) as arrays:
                inputs, targets = (_member(arrays, name, path) for name in (self.inputs, self.targets))
        except (OSError, zipfile.BadZipFile) as error:
            raise _unreadable(path, error) from error
        return Dataset(inputs, targets, self.task or infer_task(targets))


@dataclass(frozen=True, repr=False)
class MappedFiles:
    """Inputs and targets in .npy files; calling it maps the inputs into memory, it does not read them."""

    path: Path
    targets: Path
    task: str | None = None
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"datasets.npy({_arguments(self, 'targets', 'task')})"

    def __call__(self) -> Dataset:
        """Maps the files.

        Raises:
            InputError: no such file, or none of NumPy's.
        """
        inputs, targets = (_mapped(find(path, self.folder)) for path in (self.path, self.targets))
        return Dataset(inputs, np.asarray(targets), self.task or infer_task(targets))


@dataclass(frozen=True, repr=False)
class IdxFolder:
    """Images and labels of four IDX files; calling it reads them."""

    path: Path
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"datasets.idx({_arguments(self)})"

    def __call__(self) -> Dataset:
        """Reads the files.

        Raises:
            InputError: a file is missing or damaged.
        """
        return idx_images(find(self.path, self.folder, "folder"))


@dataclass(frozen=True, repr=False)
class PictureFolder:
    """Pictures in a subfolder for each class; calling it reads them."""

    path: Path
    size: tuple[int, int]
    colour: bool = True
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"datasets.images({_arguments(self, 'size', 'colour')})"

    def __call__(self) -> Dataset:
        """Reads the pictures.

        Raises:
            InputError: no such folder, no picture in it, or one that cannot be read.
        """
        return picture_folder(find(self.path, self.folder, "folder"), self.size, colour=self.colour)


@dataclass(frozen=True, repr=False)
class TextFile:
    """A text file as tokens; calling it reads the file."""

    path: Path
    length: int = 64
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"datasets.text({_arguments(self, 'length')})"

    def __call__(self) -> Dataset:
        """Reads the file.

        Raises:
            InputError: no such file, no text, or too little of it.
        """
        path = find(self.path, self.folder)
        try:
            return windows(path.read_text(encoding="utf-8"), self.length)
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(path, error) from error


def find(path: Path, folder: Path | None, kind: Literal["file", "folder"] = "file") -> Path:
    """The file or folder that a path means: beside the experiment file, else in the current folder.

    Raises:
        InputError: there is none; the message says where it was looked for.
    """
    expanded = path.expanduser()
    candidates = [base / expanded for base in (folder, Path.cwd()) if base is not None]
    for candidate in candidates:
        if candidate.is_file() if kind == "file" else candidate.is_dir():
            return candidate
    places = " or ".join(dict.fromkeys(str(candidate.parent) for candidate in candidates))
    raise InputError(f"no such data {kind}", str(path), f"It was looked for in {places}.")


def infer_task(targets: Any) -> str:
    """Classification for text, booleans and integers of at most 20 distinct values; else regression."""
    array = as_array(targets, "targets")
    is_class = array.dtype.kind in "Ob" or (array.dtype.kind in "iu" and len(np.unique(array)) <= _MOST_CLASSES)
    return "classification" if is_class else "regression"


def _arguments(loader: object, *names: str) -> str:
    given = [(name, getattr(loader, name)) for name in names]
    options = [f"{name}={str(v) if isinstance(v, Path) else v!r}" for name, v in given if v is not None and v != ()]
    return ", ".join([repr(str(getattr(loader, "path"))), *options])  # noqa: B009


def _read(kind: str, path: Path) -> Any:
    import pandas as pd

    try:
        frame = pd.read_parquet(path) if kind == "parquet" else pd.read_csv(path, low_memory=False)
    except (ValueError, OSError) as error:
        raise _unreadable(path, error) from error
    if frame.empty:
        raise InputError("a data file has no rows", str(path), "Give at least one example.")
    if kind == "csv" and not isinstance(frame.index, pd.RangeIndex):
        raise InputError("rows have more values than the header has names", str(path), "Name every column.")
    return frame.set_axis([str(name) for name in frame.columns], axis=1)


def _mapped(path: Path) -> NDArray[Any]:
    try:
        mapped: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise InputError(
            "no .npy file", str(path), f"Write it with numpy.save(path, array). It says: {error}"
        ) from error
    return mapped


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError("a data file cannot be read", str(path), f"It says: {error}")


def _check_columns(frame: Any, names: list[str], path: Path) -> None:
    for name in names:
        if name not in frame.columns:
            raise InputError(f"no such column in {path}", name, nearest(name, frame.columns))


def _cells(frame: Any, name: str) -> NDArray[Any]:
    missing = frame[name].isna().to_numpy()
    if missing.any():
        where = place((int(missing.argmax()),))
        raise InputError(f"a missing value in column {name!r}", where, "Fill it in, or drop the row.")
    return np.asarray(frame[name].to_numpy())


def _member(arrays: Any, name: str, path: Path) -> NDArray[Any]:
    if name not in arrays:
        raise InputError(f"no such array in {path}", name, nearest(name, arrays))
    try:
        return np.asarray(arrays[name])
    except ValueError as error:
        raise _unreadable(path, error) from error
