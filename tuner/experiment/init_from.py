"""Where lanes start from, when not from what is drawn."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tuner.data.datasets import experiment_folder
from tuner.data.files import find
from tuner.errors import InputError, nearest
from tuner.training.recipe import fits
from tuner.training.weights import NO_WEIGHTS, Weights


@dataclass(frozen=True)
class InitFrom:
    """Values that every lane starts from, by name; those of other names are drawn.

    Args:
        weights: a safetensors file, or a function that returns a mapping from names to arrays. Relative files are
            looked up beside the experiment file, then in the current folder. A name is the value's place in the module:
            ``convolutions.0.kernel``; an array has the shape that the model has at the sizes in use.
        only: patterns of names (as of shells) that are taken; all by default.
        frozen: patterns of names of parameters that are not trained. Normalizations that are frozen use their running
            statistics.

    Raises:
        InputError: patterns are no list of text.
    """

    weights: str | Path | Callable[[], Mapping[str, Any]]
    only: Sequence[str] = ("*",)
    frozen: Sequence[str] = ()
    folder: Path | None = field(default_factory=experiment_folder.get, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("only", "frozen"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(pattern, str) for pattern in value):
                raise InputError(f"{name} is no list of patterns", value, f'Give {name}=["convolutions.*"], say.')

    def load(self) -> Weights:
        """Read the values.

        Raises:
            InputError: the file cannot be read, or a pattern of ``only`` fits none of its names.
        """
        arrays = {name: np.asarray(array) for name, array in self._read().items()}
        for pattern in self.only:
            if not any(fits(name, [pattern]) for name in arrays):
                raise InputError("only names nothing in the weights", pattern, nearest(pattern, arrays))
        taken = {n: a for n, a in sorted(arrays.items()) if fits(n, self.only)}
        return Weights(taken, tuple(self.frozen), _digest(taken))

    def _read(self) -> Mapping[str, Any]:
        if callable(self.weights):
            return self.weights()
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = find(Path(self.weights), self.folder)
        try:
            found: Mapping[str, Any] = load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError("no safetensors file", str(path), f"It says: {error}") from error
        return found


def load_weights(init_from: InitFrom | None) -> Weights:
    """The values that lanes start from; none where nothing is said.

    Raises:
        InputError: they cannot be read.
    """
    return NO_WEIGHTS if init_from is None else init_from.load()


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
