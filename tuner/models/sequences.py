"""What the families for sequences share: which steps there are, and how a step becomes a vector."""

import math
from typing import Any

import jax.numpy as jnp
from flax import nnx

from tuner import nn
from tuner.data import Spec
from tuner.errors import InputError
from tuner.hyperparameters import Width


def steps_there(x: Any, spec: Spec) -> tuple[Any, Any]:
    """A batch without its padding's marks, and which of its steps there are, (batch, time).

    Args:
        x: tokens (batch, time), -1 where a sequence has ended; or numbers (batch, time, ..), NaN there.
        spec: what the data is.
    """
    if spec.tokens is not None:
        return x, x >= 0
    flat = x.reshape(*x.shape[:2], -1)
    there = ~jnp.isnan(flat[..., 0])
    return jnp.where(there[..., None], flat, 0), there


def channels_of(spec: Spec) -> int:
    """Numbers of a step.

    Raises:
        InputError: examples are no sequences.
    """
    if len(spec.input_shape) > 1:
        return math.prod(spec.input_shape[1:])
    fix = "Give inputs [rows, time, channels], a list of arrays [time, channels], or tokens [rows, time]."
    raise InputError("this model needs sequences", f"examples of shape {spec.input_shape}", fix)


def input_layer(spec: Spec, features: int | Width, rngs: nnx.Rngs) -> nnx.Module:
    """From a step to a vector of these features: an embedding of tokens, else a dense layer."""
    if spec.tokens is not None:
        return nn.Embed(spec.tokens, features, rngs=rngs)
    return nn.Linear(channels_of(spec), features, rngs=rngs)
