"""Elastic attention and embeddings."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from tuner.hyperparameters import Width
from tuner.nn.elastic import mask_units, pad_units, size_of, size_variable, units_to_draw
from tuner.nn.linear import Linear
from tuner.nn.random import key_words, normal


class MultiHeadAttention(nnx.Module):
    """Self-attention (Vaswani et al., 2017, eq. 1) whose features and number of heads may be elastic.

    Weights of attention are not dropped. Projections are those of ``nnx.MultiHeadAttention``.

    Args:
        features: of inputs and outputs, an int or a ``Width``.
        heads: an int or a ``Width``.
        head_size: features of a head, static.
        causal: whether a place sees only itself and those before it.
        rngs: its ``params`` stream is used.
    """

    def __init__(
        self, features: int | Width, heads: int | Width, head_size: int, *, causal: bool = False, rngs: nnx.Rngs
    ) -> None:
        inner = scaled(heads, head_size)
        self.query, self.key, self.value = (Linear(features, inner, rngs=rngs) for _ in range(3))
        self.output = Linear(inner, features, rngs=rngs)
        self.head_size, self.causal = head_size, causal

    def __call__(
        self, x: Float[Array, "batch time features"], there: Bool[Array, "batch time"] | None = None
    ) -> Float[Array, "batch time features"]:
        """What each place gathers from those that it sees.

        Args:
            x: the inputs.
            there: which places there are to be seen; all by default.
        """
        query, key, value = (self._by_head(layer(x)) for layer in (self.query, self.key, self.value))
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / self.head_size**0.5
        time = x.shape[1]
        sees = jnp.tril(jnp.ones((time, time), bool)) if self.causal else jnp.ones((time, time), bool)
        sees = sees if there is None else sees & there[:, None, None, :]
        shares = jax.nn.softmax(jnp.where(sees, scores, float(np.finfo(scores.dtype).min)), -1)
        gathered = jnp.einsum("bhqk,bkhd->bqhd", shares, value)
        return self.output(gathered.reshape(*x.shape[:2], -1))

    def _by_head(self, x: Any) -> Any:
        return x.reshape(*x.shape[:2], -1, self.head_size)


class Embed(nnx.Module):
    """A vector for each of some numbers; its width may be elastic.

    Drawn as those of ``nnx.Embed``: normal, with a variance of 1 / features in use. The lookup is a product with
    one-hot rows, which stays one as lanes and has no scatter for a gradient. A negative number has the vector 0.

    Args:
        num_embeddings: how many numbers there are.
        features: of a vector, an int or a ``Width``.
        rngs: its ``params`` stream is used.
    """

    def __init__(self, num_embeddings: int, features: int | Width, *, rngs: nnx.Rngs) -> None:
        draws = normal(key_words(rngs.params()), np.arange(num_embeddings), np.arange(units_to_draw(features)))
        vectors = (draws / size_of(features) ** 0.5).astype(draws.dtype)
        self.embedding = nnx.Param(pad_units(vectors, features, -1))
        self.size = size_variable(features)

    def __call__(self, numbers: Int[Array, "*batch"]) -> Float[Array, "*batch features"]:
        """The vectors of these numbers."""
        table = self.embedding[...]
        one_hot = (numbers[..., None] == jnp.arange(table.shape[0])).astype(table.dtype)
        return mask_units(one_hot @ table, self.size)


def scaled(width: int | Width, factor: int) -> int | Width:
    """A width times a whole number."""
    if isinstance(width, Width):
        return Width(width.size * factor, width.cap * factor)
    return width * factor
