"""What every elastic layer is made of: variables that carry traced numbers, and masks over units."""

from numbers import Integral
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from tuner.hyperparameters import Width


class Hyperparameter(nnx.Variable[Any]):
    """A traced hyperparameter inside a module: it travels with the module's state and is never trained."""


class RandomWords(nnx.Variable[Any]):
    """The two uint32 words of a layer's random key."""


class Calls(nnx.Variable[Any]):
    """How often a layer has drawn, uint32."""


def float_dtype() -> Any:
    """The default float type: float32, or float64 where ``jax_enable_x64`` is on."""
    return jnp.result_type(float)


def cap_of(features: int | Width) -> int:
    """The number of units that arrays have room for."""
    return features.cap if isinstance(features, Width) else features


def size_of(features: int | Width) -> Any:
    """The number of units in use: an int, or a traced number."""
    return features.size if isinstance(features, Width) else features


def size_variable(features: int | Width) -> Hyperparameter | None:
    """A variable that holds the size of a ``Width``; None where the width is plain."""
    if not isinstance(features, Width):
        return None
    return Hyperparameter(jnp.asarray(features.size, jnp.int32))


def mask_units(x: Any, size: Hyperparameter | None) -> Any:
    """Zeros in the units past ``size`` on the last axis. It selects: NaN behind the mask does not pass."""
    if size is None:
        return x
    return jnp.where(jnp.arange(x.shape[-1]) < size[...], x, 0)


def units_to_draw(features: int | Width) -> int:
    """The units that values are drawn for: those in use where their number is known, else all of the cap."""
    if isinstance(features, Width) and isinstance(features.size, Integral):
        return int(features.size)
    return cap_of(features)


def pad_units(values: Any, features: int | Width, axis: int) -> Any:
    """Values of ``units_to_draw`` on an axis, as long as the cap there, with zeros in the units past the size."""
    if not isinstance(features, Width):
        return values
    if isinstance(features.size, Integral):
        pads = [(0, 0)] * values.ndim
        pads[axis] = (0, features.cap - units_to_draw(features))
        return (np if isinstance(values, np.ndarray) else jnp).pad(values, pads)
    shape = [1] * values.ndim
    shape[axis] = features.cap
    return jnp.where((jnp.arange(features.cap) < features.size).reshape(shape), values, 0).astype(values.dtype)
