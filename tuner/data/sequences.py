"""Sequences as arrays: those that differ in length are filled up at their ends."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data.checks import as_numbers, place
from tuner.errors import InputError

NO_TOKEN = -1
"""What stands in tokens where a sequence has ended; in numbers it is NaN."""


def are_sequences(values: Any) -> bool:
    """Whether these are sequences: a list, or an array of objects, of arrays [time, channels], but not of pictures."""
    if not isinstance(values, list | tuple) and getattr(getattr(values, "dtype", None), "kind", None) != "O":
        return False
    if not len(values) or not all(getattr(value, "ndim", 0) == 2 for value in values):
        return False
    return any(getattr(value, "dtype", None) != np.uint8 for value in values)


def as_sequences(values: Sequence[Any], names: Sequence[str]) -> list[NDArray[np.float64]]:
    """Several lists of sequences [time, channels] as arrays [rows, time, channels] of one length, NaN at the ends.

    Raises:
        InputError: a sequence is empty, has other channels than the first, or is not of finite numbers.
    """
    checked = [
        [_sequence(one, name, row) for row, one in enumerate(part)] for part, name in zip(values, names, strict=True)
    ]
    channels = checked[0][0].shape[1]
    longest = max(len(one) for part in checked for one in part)
    return [_filled(part, name, longest, channels) for part, name in zip(checked, names, strict=True)]


def as_tokens(values: Sequence[Any], names: Sequence[str], count: int) -> list[NDArray[np.int32]]:
    """Several lists of token sequences as arrays int32 [rows, time] of one length, -1 at the ends.

    Args:
        values: each a list of sequences, or an array [rows, time].
        names: for messages.
        count: of the vocabulary.

    Raises:
        InputError: a token is no whole number from 0 to ``count`` - 1, or stands behind a sequence's end.
    """
    checked = [
        [_tokens(one, name, row, count) for row, one in enumerate(part)]
        for part, name in zip(values, names, strict=True)
    ]
    longest = max((len(one) for part in checked for one in part), default=0)
    if longest == 0:
        raise InputError(f"{names[0]} are empty", "no tokens", "Give at least one example of one token.")
    filled = []
    for part in checked:
        array = np.full((len(part), longest), NO_TOKEN, np.int32)
        for row, one in enumerate(part):
            array[row, : len(one)] = one
        filled.append(array)
    return filled


def _sequence(values: Any, name: str, row: int) -> NDArray[np.float64]:
    array = as_numbers(values, f"{name}, {place((row,))}").astype(np.float64)
    if array.ndim != 2 or not array.size:
        fix = "Give arrays [time, channels] of at least one step."
        raise InputError(f"{name}: no sequence in {place((row,))}", f"shape {array.shape}", fix)
    return array


def _filled(part: list[NDArray[np.float64]], name: str, longest: int, channels: int) -> NDArray[np.float64]:
    filled = np.full((len(part), longest, channels), np.nan)
    for row, one in enumerate(part):
        if one.shape[1] != channels:
            fix = f"The first sequence has {channels}: give all the same."
            raise InputError(f"{name}: other channels in {place((row,))}", one.shape[1], fix)
        filled[row, : len(one)] = one
    return filled


def _tokens(values: Any, name: str, row: int, count: int) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        fix = "Tokens are whole numbers, a sequence of them an array [time]."
        raise InputError(f"{name}: no tokens in {place((row,))}", f"{array.dtype} {array.shape}", fix)
    there = array != NO_TOKEN
    length = int(there.sum())
    if not there[:length].all():
        raise InputError(
            f"{name}: a token behind the end in {place((row,))}", array.tolist(), "Put -1 at the end only."
        )
    wrong = array[:length][(array[:length] < 0) | (array[:length] >= count)]
    if wrong.size:
        fix = f"The vocabulary has {count}, numbered from 0; -1 is none."
        raise InputError(f"{name}: no token in {place((row,))}", int(wrong[0]), fix)
    return array[:length].astype(np.int64)
