"""The multi-layer perceptron."""

import math
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tuner import nn
from tuner.data import Spec
from tuner.models.parts import activation, at, dropouts, initializer, norms


class MLP(nnx.Module):
    """Dense layers, each with a normalization, an activation and dropout; any example is flattened first.

    A table's categories come as one-hot columns; with ``embedding`` (an int) each gets a vector of that length instead
    (Guo and Berkhahn, "Entity embeddings of categorical variables", 2016).

    Hyperparameters: ``hidden`` (a list of ints or ``Width``s, default one layer of 64), ``norm`` (default none),
    ``activation`` (default ``relu``), ``dropout`` (default none), ``initializer`` (default ``lecun_normal``).

    Raises:
        InputError: a name is none of those that there are.
    """

    def __init__(self, hyperparameters: Any, spec: Spec, rngs: nnx.Rngs) -> None:
        inputs, embedding = math.prod(spec.input_shape), hyperparameters.get("embedding")
        self.blocks = spec.categories if embedding is not None else ()
        self.embeddings = nnx.List(
            [nn.Linear(end - begin, embedding, use_bias=False, rngs=rngs) for begin, end in self.blocks]
        )
        inputs += sum(embedding - (end - begin) for begin, end in self.blocks)
        widths, init = [inputs, *hyperparameters.get("hidden", [64])], initializer(hyperparameters)
        self.layers = nnx.List([nn.Linear(i, o, kernel_init=init, rngs=rngs) for i, o in pairwise(widths)])
        self.norms = norms(hyperparameters, widths[1:])
        self.dropouts = dropouts(hyperparameters, len(self.layers), rngs)
        self.output = nn.Linear(widths[-1], spec.outputs, kernel_init=init, rngs=rngs)
        self.activation = activation(hyperparameters)

    def __call__(self, x: Float[Array, "batch *example"]) -> Float[Array, "batch outputs"]:
        """Logits, or predictions for a regression."""
        x = self._embedded(x.reshape(x.shape[0], -1))
        for index, layer in enumerate(self.layers):
            x = self.activation(at(self.norms, index, layer(x)))
            x = at(self.dropouts, index, x)
        return self.output(x)

    def _embedded(self, x: Any) -> Any:
        """The numbers and each category's vector."""
        if not self.blocks:
            return x
        of_category = {column for begin, end in self.blocks for column in range(begin, end)}
        numbers = [column for column in range(x.shape[-1]) if column not in of_category]
        vectors = [layer(x[:, begin:end]) for layer, (begin, end) in zip(self.embeddings, self.blocks, strict=True)]
        return jnp.concatenate([x[:, jnp.asarray(numbers, int)], *vectors], -1)
