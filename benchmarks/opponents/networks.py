"""The networks of the tasks in Flax NNX, shared by the peers that use it."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
from flax import nnx

from benchmarks.tasks import Task

Layer = Callable[[jax.Array], jax.Array]


class MLP(nnx.Module):
    """Linear, relu and dropout for each width, then a linear layer; images are flattened first."""

    def __init__(
        self, shape: Sequence[int], widths: Sequence[int], outputs: int, dropout: Layer, *, rngs: nnx.Rngs
    ) -> None:
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in pairwise([math.prod(shape), *widths])])
        self.dropout = dropout
        self.head = nnx.Linear(widths[-1], outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps a batch of images to logits."""
        x = x.reshape(len(x), -1)
        for layer in self.layers:
            x = self.dropout(nnx.relu(layer(x)))
        return self.head(x)


class CNN(nnx.Module):
    """A 3 x 3 convolution, relu and 2 x 2 max pooling for each width, then dropout and a linear layer."""

    def __init__(
        self, shape: Sequence[int], widths: Sequence[int], outputs: int, dropout: Layer, *, rngs: nnx.Rngs
    ) -> None:
        height, width, channels = shape
        self.layers = nnx.List([nnx.Conv(a, b, (3, 3), rngs=rngs) for a, b in pairwise([channels, *widths])])
        self.dropout = dropout
        pixels = (height >> len(widths)) * (width >> len(widths))
        self.head = nnx.Linear(pixels * widths[-1], outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps a batch of images to logits."""
        for layer in self.layers:
            x = nnx.max_pool(nnx.relu(layer(x)), (2, 2), strides=(2, 2))
        return self.head(self.dropout(x.reshape(len(x), -1)))


def network_of(task: Task) -> type[MLP] | type[CNN]:
    """The task's network."""
    return CNN if task.convolutional else MLP
