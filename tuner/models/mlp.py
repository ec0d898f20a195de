"""The multi-layer perceptron."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from tuner import nn
from tuner.data import Spec
from tuner.errors import InputError, nearest

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": jax.nn.relu,
    "tanh": jax.nn.tanh,
    "sigmoid": jax.nn.sigmoid,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
}


def activation(name: str) -> Callable[[Any], Any]:
    """The activation function of this name.

    Raises:
        InputError: there is none.
    """
    if name not in ACTIVATIONS:
        raise InputError("the hyperparameter 'activation' names no activation", name, nearest(str(name), ACTIVATIONS))
    return ACTIVATIONS[name]


class MLP(nnx.Module):
    """Dense layers with dropout after each activation; any example is flattened first.

    Hyperparameters: ``hidden`` (a list of ints or ``Width``s, default one layer of 64), ``dropout`` (default none),
    ``activation`` (default ``relu``).
    """

    def __init__(self, hyperparameters: Any, spec: Spec, rngs: nnx.Rngs) -> None:
        widths = [math.prod(spec.input_shape), *hyperparameters.get("hidden", [64])]
        rate = hyperparameters.get("dropout")
        self.layers = nnx.List([nn.Linear(i, o, rngs=rngs) for i, o in pairwise(widths)])
        self.dropouts = nnx.List([] if rate is None else [nn.Dropout(rate, rngs=rngs) for _ in self.layers])
        self.output = nn.Linear(widths[-1], spec.outputs, rngs=rngs)
        self.activation = activation(hyperparameters.get("activation", "relu"))

    def __call__(self, x: Float[Array, "batch *example"]) -> Float[Array, "batch outputs"]:
        """Logits, or predictions for a regression."""
        x = x.reshape(x.shape[0], -1)
        for index, layer in enumerate(self.layers):
            x = self.activation(layer(x))
            if self.dropouts:
                x = self.dropouts[index](x)
        return self.output(x)
