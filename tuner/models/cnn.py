"""The convolutional network for small images."""

import math
from itertools import pairwise
from typing import Any

from flax import nnx
from jaxtyping import Array, Float

from tuner import nn
from tuner.data import Spec
from tuner.models.images import halved, image_shape
from tuner.models.parts import activation, at, dropouts, initializer, norms

_POOL = (2, 2)


class CNN(nnx.Module):
    """Convolutions, each with 2 x 2 max pooling and an activation, then dense layers (LeCun et al., 1998, "LeNet").

    Images are (height, width) or (height, width, channels). Pooling ends where an image is only one pixel wide or
    high. Dropout stands before each dense layer, the output among them; a normalization after each convolution.

    Hyperparameters: ``channels`` (a list of ints or ``Width``s, default 16 and 32), ``kernel_size`` (default 3),
    ``hidden`` (dense layers after the convolutions, default none), ``norm`` (default none), ``dropout`` (default none),
    ``activation`` (default ``relu``), ``initializer`` (default ``lecun_normal``).

    Raises:
        InputError: examples are no images, or a name is none of those that there are.
    """

    def __init__(self, hyperparameters: Any, spec: Spec, rngs: nnx.Rngs) -> None:
        height, width, inputs = image_shape(spec)
        size, init = hyperparameters.get("kernel_size", 3), initializer(hyperparameters)
        channels = [inputs, *hyperparameters.get("channels", [16, 32])]
        self.convolutions = nnx.List(
            [nn.Conv(i, o, (size, size), kernel_init=init, rngs=rngs) for i, o in pairwise(channels)]
        )
        self.norms = norms(hyperparameters, channels[1:])
        sides = halved(height, width, len(self.convolutions))
        self.pooled = tuple(before != after for before, after in pairwise(sides))
        widths = [channels[-1], *hyperparameters.get("hidden", []), spec.outputs]
        places = [math.prod(sides[-1])] + [1] * (len(widths) - 2)
        self.dense = nnx.List(
            [
                nn.Linear(i, o, positions=p, kernel_init=init, rngs=rngs)
                for (i, o), p in zip(pairwise(widths), places, strict=True)
            ]
        )
        self.dropouts = dropouts(hyperparameters, len(self.dense), rngs)
        self.activation = activation(hyperparameters)

    def __call__(self, x: Float[Array, "batch height width *channels"]) -> Float[Array, "batch outputs"]:
        """Logits, or predictions for a regression."""
        x = x.reshape(*x.shape[:3], -1)
        for index, (convolution, pooled) in enumerate(zip(self.convolutions, self.pooled, strict=True)):
            pool = _POOL if pooled else None
            if self.norms:  # of all places, then pooled
                x = self.activation(self.norms[index](convolution(x)))
                x = x if pool is None else nn.max_pool(x, pool, pool)
            else:
                x = self.activation(convolution(x, pool))
        for index, dense in enumerate(self.dense):
            x = x if index == 0 else self.activation(x)
            x = at(self.dropouts, index, x)  # before flattening: a bit belongs to (place, channel)
            x = dense(x.reshape(x.shape[0], -1))
        return x
