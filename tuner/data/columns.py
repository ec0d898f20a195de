"""The columns of a table as numbers: numbers as they are, categories as one column each (one-hot)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data.checks import place
from tuner.errors import InputError

_MOST_CATEGORIES = 1000


@dataclass(frozen=True)
class Encoding:
    """How a table's columns become numbers, as its training file says.

    Attributes:
        names: of the columns.
        categories: name to the categories of a column, sorted; columns of numbers are not among it.
    """

    names: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]

    @property
    def columns(self) -> tuple[str, ...]:
        """What the numbers are called: a column's name, or ``name=category``."""
        return tuple(
            shown
            for name in self.names
            for shown in ([f"{name}={each}" for each in self.categories[name]] if name in self.categories else [name])
        )

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """Where the columns of each category column begin and end."""
        found, start = [], 0
        for name in self.names:
            width = len(self.categories[name]) if name in self.categories else 1
            if name in self.categories:
                found.append((start, start + width))
            start += width
        return tuple(found)

    def encoded(self, frame: Any) -> NDArray[np.float64]:
        """A table as numbers, float64 [rows, columns]; a missing number is NaN, a missing or new category all 0.

        Raises:
            InputError: there is something else than a number in a column of numbers.
        """
        parts = [
            _one_hot(frame[name], self.categories[name]) if name in self.categories else _numbers(frame[name], name)
            for name in self.names
        ]
        return np.concatenate(parts, axis=1)


def encoding_of(frame: Any, names: Sequence[str], categorical: Collection[str] = ()) -> Encoding:
    """The encoding of these columns: text are categories, and what is said to be.

    Raises:
        InputError: a column has no value at all, holds dates, more categories than a model could learn, or numbers
            with something else among them.
    """
    categories: dict[str, tuple[str, ...]] = {}
    for name in names:
        cells = frame[name].dropna()
        if cells.empty:
            raise InputError("a column has no value", name, "Leave it out of the file.")
        if name in categorical or not _is_numbers(frame[name], name):
            found = sorted({str(cell) for cell in cells})
            if len(found) > _MOST_CATEGORIES:
                what = f"column {name!r} has more categories than {_MOST_CATEGORIES}"
                raise InputError(what, f"{len(found)}, {found[0]!r} for one", "Is it an identifier? Leave it out.")
            categories[name] = tuple(found)
    return Encoding(tuple(names), categories)


def _is_numbers(column: Any, name: str) -> bool:
    """Whether a column is one of numbers; else it is one of categories."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype, is_object_dtype, is_string_dtype

    if is_numeric_dtype(column.dtype) or is_bool_dtype(column.dtype):
        return True
    cells = column.dropna()
    if not (is_object_dtype(column.dtype) or is_string_dtype(column.dtype) or column.dtype.name == "category"):
        row = int(column.notna().to_numpy().argmax())
        fix = "Encode it as numbers, or leave it out."
        raise InputError(f"no number and no text in column {name!r}, {place((row,))}", str(column.iloc[row]), fix)
    numbers = [_reads_as_number(cell) for cell in cells]
    if sum(numbers) * 2 >= len(numbers):  # one cell that is none would turn all the others into categories
        row = int(np.flatnonzero(column.notna().to_numpy())[int(np.argmin(numbers))])
        fix = "Mend the cell, or name the column in categories=[...]."
        raise InputError(f"no number in column {name!r}, {place((row,))}", str(column.iloc[row]), fix)
    return False


def _one_hot(column: Any, categories: Sequence[str]) -> NDArray[np.float64]:
    cells = column.astype(str).to_numpy()
    return ((cells[:, None] == np.asarray(categories)) & column.notna().to_numpy()[:, None]).astype(np.float64)


def _numbers(column: Any, name: str) -> NDArray[np.float64]:
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        cells = column.to_numpy()
        row = next((i for i, cell in enumerate(cells) if not _reads_as_number(cell)), 0)
        fix = "The training file has only numbers in this column."
        raise InputError(f"no number in column {name!r}, {place((row,))}", str(cells[row]), fix) from None
    if np.isinf(values).any():
        row = int(np.argmax(np.isinf(values)))
        raise InputError(f"an infinite value in column {name!r}, {place((row,))}", values[row], "Leave the cell empty.")
    return values.reshape(-1, 1)


def _reads_as_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True
