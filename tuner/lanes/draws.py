"""What a trial starts with, drawn on the host from (study seed, trial number, fold): it needs no program."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tuner.nn.random import threefry_fold_in
from tuner.training.recipe import STREAMS, Recipe, Values, initial_values, streams_of
from tuner.training.weights import NO_WEIGHTS, Weights, put_in

_ORDER = len(STREAMS)  # folded into a lane's key for its data order; the model's streams take the numbers below
_BATCHES = _ORDER + 1  # for what is done to its batches


class Drawn(NamedTuple):
    """What a trial starts with: its lanes' values (leading axis folds), its numbers, and words of keys, (folds, 2).

    words: of the data orders. batch_words: of what is done to batches.
    """

    values: Values
    numbers: Mapping[str, float]
    words: np.ndarray
    batch_words: np.ndarray


def draw(
    recipe: Recipe,
    numbers: Mapping[str, float],
    seed: int,
    trial: int,
    folds: int,
    weights: Weights = NO_WEIGHTS,
) -> Drawn:
    """Draw a trial's start; what there are weights for starts from these.

    The model is built once for all folds where its layers draw by words (those of ``tuner.nn`` do), and once a fold
    where they need JAX's keys. Both give the same numbers.

    Raises:
        Exception: whatever the model raises while it is built.
    """
    keys = lane_words(seed, trial, folds)
    config: Any = jax.config
    with _on_the_host():  # an accelerator would be waited for at each number
        values = _built_once(recipe, numbers, keys) if config.jax_default_prng_impl == "threefry2x32" else None
        values = _built_for_each(recipe, numbers, keys) if values is None else values
    return Drawn(put_in(weights, values), numbers, order_words(keys), threefry_fold_in(keys, _BATCHES))


def _on_the_host() -> AbstractContextManager[None]:
    """Arrays are made by the CPU's back end, unless JAX was told to do without it (``JAX_PLATFORMS=cuda``)."""
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:
        return nullcontext()


def lane_words(seed: int, trial: int, folds: int) -> np.ndarray:
    """The words of the random keys of a trial's lanes, uint32 (folds, 2): functions of (seed, trial, fold) alone."""
    of_trial = threefry_fold_in(np.asarray([seed >> 32, seed & 0xFFFFFFFF], np.uint32), trial)
    return np.stack([threefry_fold_in(of_trial, fold) for fold in range(folds)])


def order_words(keys: np.ndarray) -> np.ndarray:
    """The words that lanes' data orders are drawn from, of the shape of their keys' words."""
    return threefry_fold_in(keys, _ORDER)


class _Stream:
    """A random stream as Flax has them, of several keys' words at once."""

    def __init__(self, words: np.ndarray) -> None:
        self._words, self._count = words, 0

    def __call__(self) -> np.ndarray:
        words = threefry_fold_in(self._words, self._count)
        self._count += 1
        return words


class _Streams(nnx.Rngs):
    """The streams of a model, of all lanes at once."""

    def __init__(self, keys: np.ndarray) -> None:
        for index, name in enumerate(STREAMS):
            setattr(self, name, _Stream(threefry_fold_in(keys, index)))


def _built_once(recipe: Recipe, numbers: Mapping[str, float], keys: np.ndarray) -> Values | None:
    """All lanes' values from one build; None where the model's layers do not draw by words."""
    try:
        values = initial_values(recipe, numbers, _Streams(keys))
    except Exception:  # noqa: BLE001  layers that need keys raise anything; so may the model, and then it does again
        return None
    shapes, expected = jax.tree.flatten(recipe.abstract.values)
    leaves, structure = jax.tree.flatten(values)
    if structure != expected:  # type: ignore[operator]  # JAX's stubs do not know it
        return None
    lanes = [_of_all(leaf, shape.shape, len(keys)) for leaf, shape in zip(leaves, shapes, strict=True)]
    whole: Values = jax.tree.unflatten(structure, lanes)
    return None if any(leaf is None for leaf in lanes) else whole


def _of_all(leaf: Any, shape: tuple[int, ...], lanes: int) -> np.ndarray | None:
    """A leaf with the lanes' axis in front: it has one already where it was drawn."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return None
    if leaf.shape == (lanes, *shape):
        return np.asarray(leaf)
    return np.stack([np.asarray(leaf)] * lanes) if leaf.shape == shape else None


def _built_for_each(recipe: Recipe, numbers: Mapping[str, float], keys: np.ndarray) -> Values:
    lanes = [initial_values(recipe, numbers, streams_of(jax.random.wrap_key_data(words))) for words in keys]
    return _stack(lanes)


def _stack(trees: Sequence[Any]) -> Any:
    def stack(*leaves: Any) -> Any:
        if jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
            return jnp.stack(leaves)
        return np.stack([np.asarray(leaf) for leaf in leaves])

    return jax.tree.map(stack, *trees)
