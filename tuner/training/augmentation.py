"""What is done to a batch before it is trained on: random shifts and flips of images, and mixup."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from tuner.nn.random import counter_bits, fold_in, uniform
from tuner.training.settings import setting

_SHIFT, _FLIP, _MIX = range(3)  # the draws of a step


def draws(hyperparameters: Mapping[str, Any]) -> bool:
    """Whether a trial's batches are changed at random."""
    values = (setting(hyperparameters, name) for name in ("random_shift", "random_flip", "mixup"))
    return any(value is not None and value is not False for value in values)


def augmented(hyperparameters: Mapping[str, Any], inputs: Any, words: Any) -> Any:
    """A batch of images, each shifted and flipped by itself.

    ``random_shift`` is the largest shift, a share of each side: whole pixels, drawn evenly from both directions; what
    comes in is 0. ``random_flip`` mirrors every second image, left to right.

    Args:
        hyperparameters: of one trial.
        inputs: (batch, height, width, ...).
        words: of this step's random key, uint32 (2,).
    """
    if (share := setting(hyperparameters, "random_shift")) is not None:
        for axis in (1, 2):
            draws = uniform(fold_in(words, _SHIFT), jnp.arange(inputs.shape[0]), jnp.asarray([axis]))[:, 0]
            most = jnp.floor(share * inputs.shape[axis])
            inputs = _shifted(inputs, jnp.floor(draws * (2 * most + 1) - most).astype(jnp.int32), axis)
    if setting(hyperparameters, "random_flip"):
        heads = counter_bits(fold_in(words, _FLIP), jnp.arange(inputs.shape[0]), jnp.arange(1))[:, 0] >> 31
        inputs = jnp.where(_as_column(heads, inputs) == 1, inputs[:, :, ::-1], inputs)
    return inputs


def mixing(hyperparameters: Mapping[str, Any], words: Any) -> Any:
    """The share of each example's own in mixup (Zhang et al., 2018, eq. 1), Beta(alpha, alpha); None without mixup.

    Args:
        hyperparameters: of one trial; ``mixup`` is alpha.
        words: of this step's random key, uint32 (2,).
    """
    alpha = setting(hyperparameters, "mixup")
    if alpha is None:
        return None
    return jax.random.beta(jax.random.wrap_key_data(fold_in(words, _MIX)), alpha, alpha)


def neighbours(tree: Any) -> Any:
    """What each example of a batch is mixed with: the one before it, which is any, since batches are shuffled."""
    return jax.tree.map(lambda leaf: jnp.roll(leaf, 1, axis=0), tree)


def _shifted(inputs: Any, shifts: Any, axis: int) -> Any:
    """Each example moved along an axis by its own number of places."""
    length = inputs.shape[axis]
    places = jnp.arange(length) - shifts[:, None]
    shape = [len(shifts) if at == 0 else length if at == axis else 1 for at in range(inputs.ndim)]
    index, inside = jnp.clip(places, 0, length - 1).reshape(shape), ((places >= 0) & (places < length)).reshape(shape)
    return jnp.where(inside, jnp.take_along_axis(inputs, index, axis), 0)


def _as_column(values: Any, like: Any) -> Any:
    return values.reshape(-1, *[1] * (like.ndim - 1))
