"""Text as tokens: its characters."""

from collections.abc import Iterable, Sequence

import numpy as np

from tuner.data.dataset import Dataset
from tuner.errors import InputError

_BLOCK = 10  # windows in a row that stay on one side of a split: what stands beside them is nearly the same


def windows(text: str, length: int) -> Dataset:
    """A text cut into windows, for the prediction of the next character at each place.

    Inputs are tokens [windows, length], targets those that follow. Windows do not overlap; ten in a row form a group,
    so that a split keeps neighbours together.

    Args:
        text: whatever its characters are.
        length: characters of a window.

    Raises:
        InputError: the length is no whole number from 1, or the text is too short for two windows.
    """
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise InputError("length must be a whole number of at least 1", length, "Give length=64, say.")
    count = (len(text) - 1) // length
    if count < 2:
        fix = f"Give a text of at least {2 * length + 1} characters, or a smaller length."
        raise InputError("the text is too short for two windows", f"{len(text)} characters", fix)
    vocabulary = vocabulary_of([text])
    codes = np.asarray(encoded(text, vocabulary))
    inputs, targets = (codes[start : start + count * length].reshape(count, length) for start in (0, 1))
    groups = np.arange(count) // _BLOCK
    return Dataset(inputs, targets, "next_token", groups=groups, vocabulary=vocabulary)


def labelled(texts: Sequence[str], labels: Sequence[str]) -> Dataset:
    """Short texts with a class each, as sequences of characters.

    Raises:
        InputError: there is an empty text, or lengths differ.
    """
    for row, text in enumerate(texts):
        if not text:
            raise InputError("an empty text", f"row {row + 1} (counted from 1)", "Drop such rows.")
    vocabulary = vocabulary_of(texts)
    return Dataset([encoded(text, vocabulary) for text in texts], labels, "classification", vocabulary=vocabulary)


def vocabulary_of(texts: Iterable[str]) -> tuple[str, ...]:
    """All characters, sorted."""
    return tuple(sorted(set().union(*texts)))


def encoded(text: str, vocabulary: Sequence[str]) -> list[int]:
    """The number of each character."""
    numbers = {character: number for number, character in enumerate(vocabulary)}
    return [numbers[character] for character in text]
