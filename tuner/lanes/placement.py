"""Which program a trial belongs to: the static floats and caps of its signature. Pure functions of plain data."""

import itertools
from collections.abc import Iterable

from tuner.hyperparameters import Width


def smallest_power_of_two(width: Width) -> int:
    """The smallest power of two that the size fits in, but no more than the declared cap."""
    return min(1 << (int(width.size) - 1).bit_length(), width.cap)


def caps_between(widths: Iterable[Width]) -> int:
    """How many caps are in use from the smallest to the largest of these widths."""
    caps = [smallest_power_of_two(width) for width in widths]
    low, high = ((cap - 1).bit_length() for cap in (min(caps), max(caps)))
    return high - low + 1


def first_free(taken: set[tuple[int, int]], trials: int) -> tuple[int, int]:
    """The first (chunk, place) that is not taken, where each chunk has places for this many trials."""
    places = ((chunk, place) for chunk in itertools.count() for place in range(trials))
    return next(place for place in places if place not in taken)
