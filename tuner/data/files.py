"""Data sets in files, read when they are called for."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuner.data.checks import as_array, place
from tuner.data.dataset import Dataset
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
    """

    kind: Literal["csv", "parquet"]
    path: Path
    target: str
    task: str | None = None
    groups: str | None = None
    test: Path | None = None
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"datasets.{self.kind}({_arguments(self, 'target', 'task', 'groups', 'test')})"

    def __call__(self) -> Dataset:
        """Reads the file.

        Raises:
            InputError: no such file or column, a cell that is missing or no number.
        """
        path = find(self.path, self.folder)
        frame = _read(self.kind, path)
        extra = [self.target] if self.groups is None else [self.target, self.groups]
        _check_columns(frame, extra, path)
        names = [name for name in frame.columns if name not in extra]
        if not names:
            raise InputError(f"no inputs beside the target in {path}", ", ".join(extra), "Add columns of numbers.")
        inputs, targets = _inputs(frame, names), _cells(frame, self.target)
        task = self.task or infer_task(targets)
        groups = None if self.groups is None else _cells(frame, self.groups)
        return Dataset(inputs, targets, task, self._test_part(names), groups, tuple(names))

    def _test_part(self, names: list[str]) -> tuple[NDArray[Any], NDArray[Any]] | None:
        if self.test is None:
            return None
        path = find(self.test, self.folder)
        frame = _read(self.kind, path)
        _check_columns(frame, [*names, self.target], path)
        return _inputs(frame, names), _cells(frame, self.target)


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


def find(path: Path, folder: Path | None) -> Path:
    """The file that a path means: beside the experiment file, else in the current folder.

    Raises:
        InputError: no such file; the message says where it was looked for.
    """
    expanded = path.expanduser()
    candidates = [base / expanded for base in (folder, Path.cwd()) if base is not None]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    places = " or ".join(dict.fromkeys(str(candidate.parent) for candidate in candidates))
    raise InputError("no such data file", str(path), f"It was looked for in {places}.")


def infer_task(targets: Any) -> str:
    """Classification for text, booleans and integers of at most 20 distinct values; else regression."""
    array = as_array(targets, "targets")
    is_class = array.dtype.kind in "Ob" or (array.dtype.kind in "iu" and len(np.unique(array)) <= _MOST_CLASSES)
    return "classification" if is_class else "regression"


def _arguments(loader: object, *names: str) -> str:
    given = [(name, getattr(loader, name)) for name in names]
    options = [f"{name}={str(v) if isinstance(v, Path) else v!r}" for name, v in given if v is not None]
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


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError("a data file cannot be read", str(path), f"It says: {error}")


def _check_columns(frame: Any, names: list[str], path: Path) -> None:
    for name in names:
        if name not in frame.columns:
            raise InputError(f"no such column in {path}", name, nearest(name, frame.columns))


def _inputs(frame: Any, names: list[str]) -> NDArray[np.float64]:
    from pandas.api.types import is_numeric_dtype

    for name in names:
        cells = _cells(frame, name)
        if not is_numeric_dtype(frame[name].dtype):
            row = next((i for i, cell in enumerate(cells) if not _reads_as_number(cell)), 0)
            fix = "Encode the column as numbers, or leave it out of the file."
            raise InputError(f"no number in column {name!r}, {place((row,))}", str(cells[row]), fix)
    return np.asarray(frame[names].to_numpy(dtype=np.float64))


def _reads_as_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


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
