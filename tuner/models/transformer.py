"""Transformers: an encoder that classifies sequences, and a decoder that predicts the next token."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tuner import nn
from tuner.data import Spec
from tuner.errors import InputError
from tuner.hyperparameters import Width
from tuner.models.parts import activation, at, dropouts
from tuner.models.sequences import input_layer, steps_there
from tuner.nn.attention import scaled


class Block(nnx.Module):
    """Attention and dense layers, each behind a normalization and beside a shortcut.

    (Xiong et al., "On layer normalization in the Transformer architecture", 2020: pre-norm.)
    """

    def __init__(self, hyperparameters: Any, features: int | Width, *, causal: bool, rngs: nnx.Rngs) -> None:
        heads, head_size = hyperparameters.get("heads", 4), hyperparameters.get("head_size", 16)
        hidden = hyperparameters.get("feedforward", scaled(features, 4))
        self.norms = nnx.List([nn.LayerNorm(features), nn.LayerNorm(features)])
        self.attention = nn.MultiHeadAttention(features, heads, head_size, causal=causal, rngs=rngs)
        self.widen, self.narrow = nn.Linear(features, hidden, rngs=rngs), nn.Linear(hidden, features, rngs=rngs)
        self.dropouts = dropouts(hyperparameters, 2, rngs)
        self.activation = activation(hyperparameters, "gelu")

    def __call__(self, x: Float[Array, "batch time features"], there: Any) -> Float[Array, "batch time features"]:
        """The input and what attention and the dense layer add to it."""
        x = x + at(self.dropouts, 0, self.attention(self.norms[0](x), there))
        return x + at(self.dropouts, 1, self.narrow(self.activation(self.widen(self.norms[1](x)))))


class Trunk(nnx.Module):
    """What encoder and decoder share: steps and their places as vectors, blocks, a last normalization."""

    def __init__(self, hyperparameters: Any, spec: Spec, *, causal: bool, rngs: nnx.Rngs) -> None:
        features, count = _features(hyperparameters), hyperparameters.get("layers", 2)
        self.embed = input_layer(spec, features, rngs)
        self.places = nn.Embed(spec.input_shape[0], features, rngs=rngs)
        self.blocks = nnx.List([Block(hyperparameters, features, causal=causal, rngs=rngs) for _ in range(count)])
        self.norm = nn.LayerNorm(features)

    def __call__(self, x: Array, there: Any) -> Float[Array, "batch time features"]:
        """The vectors of all steps."""
        x = self.embed(x) + self.places(jnp.arange(x.shape[1]))
        for block in self.blocks:
            x = block(x, there)
        return self.norm(x)


class TransformerEncoder(nnx.Module):
    """A transformer that sees the whole sequence, and a dense layer on the mean of its steps.

    Sequences may differ in length; tokens are embedded, places have learned vectors.

    Hyperparameters: ``features`` (an int or a ``Width``, default 64), ``heads`` (an int or a ``Width``, default 4),
    ``head_size`` (default 16), ``feedforward`` (an int or a ``Width``, default four times the features), ``layers``
    (default 2), ``dropout`` (default none), ``activation`` (default ``gelu``).

    Raises:
        InputError: examples are no sequences, or there is no such activation.
    """

    def __init__(self, hyperparameters: Any, spec: Spec, rngs: nnx.Rngs) -> None:
        self.spec = spec
        self.trunk = Trunk(hyperparameters, spec, causal=False, rngs=rngs)
        self.output = nn.Linear(_features(hyperparameters), spec.outputs, rngs=rngs)

    def __call__(self, x: Array) -> Float[Array, "batch outputs"]:
        """Logits, or predictions for a regression, of tokens (batch, time) or numbers (batch, time, ..)."""
        x, there = steps_there(x, self.spec)
        x = jnp.where(there[..., None], self.trunk(x, there), 0)
        return self.output(x.sum(1) / jnp.maximum(there.sum(1), 1)[:, None])


class GPT(nnx.Module):
    """A small transformer that predicts each next token from those before it (Radford et al., 2018).

    Hyperparameters: those of ``TransformerEncoder``.

    Raises:
        InputError: examples are no tokens, or there is no such activation.
    """

    def __init__(self, hyperparameters: Any, spec: Spec, rngs: nnx.Rngs) -> None:
        if spec.task != "next_token":
            fix = "Give data whose task is next_token: datasets.text, say."
            raise InputError("this model predicts the next token", f"a {spec.task}", fix)
        self.trunk = Trunk(hyperparameters, spec, causal=True, rngs=rngs)
        self.output = nn.Linear(_features(hyperparameters), spec.outputs, rngs=rngs)

    def __call__(self, tokens: Array) -> Float[Array, "batch time tokens"]:
        """The logits of what comes next at each place."""
        return self.output(self.trunk(tokens, tokens >= 0))


def _features(hyperparameters: Any) -> int | Width:
    features: int | Width = hyperparameters.get("features", 64)
    return features
