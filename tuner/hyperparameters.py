"""Hyperparameters: the elastic ``Width`` and the split into traced numbers and a static signature.

A float is traced: it enters a compiled program as a number. An int, str, bool, None or function is static: it shapes
the program. A ``Width`` is elastic: its size is traced, its cap is static. Trials whose static part is equal have one
signature and can share a program.
"""

import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tuner.errors import InputError


@dataclass(frozen=True)
class Width:
    """An elastic layer width: ``size`` units of at most ``cap``; units past ``size`` are masked.

    Raises:
        InputError: ``size`` is not an int from 1 to ``cap``.
    """

    size: Any
    cap: int

    def __post_init__(self) -> None:
        if not _is_int(self.cap) or self.cap < 1:
            raise InputError("the cap of a Width must be a whole number of at least 1", self.cap, "Give cap=256, say.")
        concrete: Any = self.size if isinstance(self.size, numbers.Number) else 1
        if not (_is_int(concrete) and 1 <= concrete <= self.cap):
            raise InputError(
                f"the size of a Width must be a whole number from 1 to its cap, {self.cap}",
                self.size,
                "Raise the cap or lower the range that the search space draws the size from.",
            )


@dataclass(frozen=True)
class Traced:
    """The place of a float in a signature."""


@dataclass(frozen=True)
class Elastic:
    """The place of a ``Width`` in a signature: only its cap shapes the program."""

    cap: int


@dataclass(frozen=True)
class Static:
    """A value that shapes the program. The type's name keeps 1, 1.0 and True apart, which Python holds for equal."""

    kind: str
    value: Any


Slot = Traced | Elastic | Static | tuple["Slot", ...]


@dataclass(frozen=True)
class Signature:
    """The static part of a trial's hyperparameters: names and what stands in each place, hashable."""

    slots: tuple[tuple[str, Slot], ...]

    def fill(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """The hyperparameters with these numbers (traced or concrete) in the places of floats and sizes.

        Args:
            numbers: path (``learning_rate``, ``hidden.0``) to number.
        """
        return {name: _fill(slot, name, numbers) for name, slot in self.slots}

    def with_caps(self, caps: Mapping[str, int]) -> "Signature":
        """The signature with other caps, by the path of each ``Width``."""
        return Signature(tuple((name, _with_caps(slot, name, caps)) for name, slot in self.slots))

    @property
    def caps(self) -> dict[str, int]:
        """Path to cap, for each ``Width``."""
        return {path: slot.cap for path, slot in self.leaves() if isinstance(slot, Elastic)}

    @property
    def statics(self) -> dict[str, Any]:
        """Path to value, for each that shapes the program and is no ``Width``."""
        return {path: slot.value for path, slot in self.leaves() if isinstance(slot, Static)}

    @property
    def sizes(self) -> list[str]:
        """The paths whose numbers are sizes of a ``Width``, thus whole."""
        return list(self.caps)

    @property
    def number_paths(self) -> list[str]:
        """The paths of all numbers: floats and sizes."""
        return [path for path, slot in self.leaves() if isinstance(slot, Traced | Elastic)]

    def leaves(self) -> Iterable[tuple[str, Slot]]:
        """Each path and what stands there."""
        for name, slot in self.slots:
            yield from _leaves(slot, name)


@dataclass(frozen=True)
class Split:
    """A trial's hyperparameters in their two parts: the signature, and a number for each of its places."""

    signature: Signature
    numbers: dict[str, float]

    @property
    def narrow(self) -> Signature:
        """The signature whose caps are the sizes in use, so that nothing is masked."""
        return self.signature.with_caps({path: int(self.numbers[path]) for path in self.signature.sizes})


def split(
    hyperparameters: Mapping[str, Any],
    *,
    floats: Iterable[str] = (),
    static: Iterable[str] = (),
    cap_for: Callable[[Width], int] = lambda width: width.cap,
) -> Split:
    """Split hyperparameters into a signature and numbers.

    Args:
        hyperparameters: names to values or (nested) lists of values.
        floats: names whose ints are floats (the trainer's own).
        static: paths of floats that shall be static nevertheless.
        cap_for: the cap to use for a ``Width``.

    Raises:
        InputError: a value is of a kind that no program can take.
    """
    found: dict[str, float] = {}
    floats, static = frozenset(floats), frozenset(static)

    def place(value: Any, path: str) -> Slot:
        if isinstance(value, Width):
            found[path] = int(value.size)
            return Elastic(cap_for(value))
        if isinstance(value, list | tuple):
            return tuple(place(item, f"{path}.{index}") for index, item in enumerate(value))
        value = plain(value)
        if _is_int(value) and path in floats:
            value = float(value)
        if isinstance(value, float) and path not in static:
            found[path] = value
            return Traced()
        if value is None or isinstance(value, bool | int | float | str) or callable(value):
            return Static(type(value).__name__, value)
        raise InputError(
            f"the search space returned a hyperparameter {path!r} of type {type(value).__name__}",
            value,
            "Return numbers, strings, booleans, None, Widths, functions or lists of them.",
        )

    slots = tuple((name, place(hyperparameters[name], name)) for name in sorted(hyperparameters))
    return Split(Signature(slots), found)


def plain(value: Any) -> Any:
    """A numpy scalar as its Python kind; anything else as it is."""
    return value.item() if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0 else value


def _is_int(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _fill(slot: Slot, path: str, found: Mapping[str, Any]) -> Any:
    match slot:
        case Traced():
            return found[path]
        case Elastic(cap):
            return Width(found[path], cap)
        case Static(_, value):
            return value
        case _:
            return [_fill(item, f"{path}.{index}", found) for index, item in enumerate(slot)]


def _with_caps(slot: Slot, path: str, caps: Mapping[str, int]) -> Slot:
    if isinstance(slot, Elastic):
        return Elastic(caps[path])
    if isinstance(slot, tuple):
        return tuple(_with_caps(item, f"{path}.{index}", caps) for index, item in enumerate(slot))
    return slot


def _leaves(slot: Slot, path: str) -> Iterable[tuple[str, Slot]]:
    if isinstance(slot, tuple):
        for index, item in enumerate(slot):
            yield from _leaves(item, f"{path}.{index}")
    else:
        yield path, slot
