"""Turns what a user gives as data into plain arrays, or says what is wrong with it and where.

Rows and unnamed columns are counted from 1 in messages.
"""

import math
from numbers import Real
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from tuner.errors import InputError

Columns = tuple[str, ...] | None
_BLOCK = 4096  # rows


def as_array(values: Any, name: str) -> NDArray[Any]:
    """The values as an array; text comes back as objects, so that a missing value among it can be seen.

    Raises:
        InputError: sparse, masked or ragged values.
    """
    if hasattr(values, "toarray"):
        raise InputError(f"{name} are sparse", type(values), "Give a dense array, for instance by .toarray().")
    if np.ma.is_masked(values):
        raise InputError(f"{name} have masked values", type(values), "Fill them in, or drop their rows.")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name} are no array", str(error), "Give every example the same shape.") from error
    is_text = array.dtype.kind in "UST"
    return np.asarray(values, dtype=object) if is_text else array


def as_numbers(values: Any, name: str, columns: Columns = None) -> NDArray[Any]:
    """The values as an array of finite real numbers.

    Raises:
        InputError: anything else; the message names the first offending row and, in a table, column.
    """
    array = as_array(values, name)
    if array.dtype.kind == "O":
        raise _no_numbers(array, name, columns)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} are no real numbers", str(array.dtype), "Encode them as numbers.")
    if array.dtype.kind == "f" and not _are_finite(array):
        first = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        what = "a missing value (NaN)" if np.isnan(array[first]) else "an infinite value"
        raise InputError(f"{name}: {what} in {place(first, columns)}", float(array[first]), _FILL)
    return array


def _are_finite(array: NDArray[Any]) -> bool:
    """Looked at block by block: a file that is mapped into memory may be larger than that."""
    return all(np.isfinite(array[begin : begin + _BLOCK]).all() for begin in range(0, len(array), _BLOCK))


def as_labels(values: Any, name: str) -> NDArray[Any]:
    """One label per row, as an array of text, integers, floats or booleans.

    Raises:
        InputError: more than one column, a missing label, kinds that cannot be sorted together.
    """
    array = as_array(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        fix = "Give one label per example: argmax(axis=1) turns one-hot rows into labels."
        raise InputError(f"{name} have more than one axis", f"shape {array.shape}", fix)
    if array.dtype.kind == "O":
        array = _from_objects(array, name)
    if array.dtype.kind not in "biufUS":
        raise InputError(f"{name} are no labels", str(array.dtype), "Give text, integers or booleans.")
    if array.dtype.kind == "f" and np.isnan(array).any():
        row = int(np.argmax(np.isnan(array)))
        raise InputError(f"{name}: a missing value (NaN) in {place((row,))}", "nan", "Drop such rows.")
    return array


def place(index: tuple[int, ...], columns: Columns = None) -> str:
    """Where in the data: a row and, for a cell of a table, its column, for a message."""
    row = f"row {index[0] + 1} (counted from 1)"
    if len(index) != 2:
        return row
    return f"column {columns[index[1]]!r}, {row}" if columns else f"column {index[1] + 1}, {row}"


def is_missing(cell: object) -> bool:
    """Whether a cell of an object array stands for a missing value."""
    return (
        cell is None or type(cell).__name__ in {"NAType", "NaTType"} or (isinstance(cell, float) and math.isnan(cell))
    )


def is_whole(value: object) -> TypeGuard[int]:
    """Whether the value is an integer, NumPy's included; True and False are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


_FILL = "Fill such values in, or drop their rows."


def _no_numbers(array: NDArray[Any], name: str, columns: Columns) -> InputError:
    for index, cell in np.ndenumerate(array):
        if is_missing(cell):
            return InputError(f"{name}: a missing value in {place(index, columns)}", cell, _FILL)
        if not isinstance(cell, (Real, np.bool_)):
            fix = "Encode it as a number, or leave that column out."
            return InputError(f"{name}: no number in {place(index, columns)}", cell, fix)
    return InputError(
        f"{name} are an array of objects", str(array.dtype), "Convert it, for instance by .astype(float)."
    )


def _from_objects(array: NDArray[Any], name: str) -> NDArray[Any]:
    cells = array.tolist()
    for row, cell in enumerate(cells):
        if is_missing(cell):
            raise InputError(f"{name}: a missing value in {place((row,))}", cell, "Drop such rows.")
    if all(isinstance(cell, str) for cell in cells):
        return np.asarray(cells, dtype=str)
    if all(isinstance(cell, (Real, np.bool_)) for cell in cells):
        return np.asarray(cells)
    kinds = sorted({type(cell).__name__ for cell in cells})
    raise InputError(f"{name} mix kinds", ", ".join(kinds), "Give all labels as text, or all as integers.")
