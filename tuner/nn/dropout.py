"""Dropout with a traced rate."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from tuner.nn.elastic import Calls, Hyperparameter, RandomWords, float_dtype
from tuner.nn.random import counter_bits, fold_in, key_words


class Dropout(nnx.Module):
    """Dropout (Srivastava et al., 2014) whose rate is a traced number and whose bits depend on the logical unit.

    The bit of (call, example, unit) is a function of the layer's key and these three, whatever the cap.

    Args:
        rate: the share of units that are dropped, 0 <= rate < 1; a float or a traced number.
        rngs: its ``dropout`` stream is used.
    """

    def __init__(self, rate: Any, *, rngs: nnx.Rngs) -> None:
        self.rate = Hyperparameter(jnp.asarray(rate, float_dtype()))
        self.words = RandomWords(key_words(rngs.dropout()))
        self.calls = Calls(np.zeros((), np.uint32))
        self.deterministic = False

    def __call__(self, x: Float[Array, "*batch units"]) -> Float[Array, "*batch units"]:
        """Drop units and scale the others by 1 / (1 - rate) in training; the identity in evaluation."""
        if self.deterministic:
            return x
        rate = self.rate[...]
        words = fold_in(jnp.asarray(self.words[...]), self.calls[...])
        self.calls.set_value(self.calls[...] + jnp.uint32(1))
        units = x.shape[-1]
        bits = counter_bits(words, jnp.arange(x.size // units), jnp.arange(units)).reshape(x.shape)
        keep = (bits >> 8) >= jnp.round(rate * 2.0**24).astype(jnp.uint32)
        return jnp.where(keep, x / (1 - rate), 0)
