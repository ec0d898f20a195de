"""The convolutional network for small images."""

import math
from itertools import pairwise
from typing import Any

from flax import nnx
from jaxtyping import Array, Float

from tuner import nn
from tuner.data import Spec
from tuner.errors import InputError
from tuner.models.mlp import activation

_POOL = (2, 2)


class CNN(nnx.Module):
    """Convolutions, each with 2 x 2 max pooling and an activation, then dense layers (LeCun et al., 1998, "LeNet").

    Images are (height, width) or (height, width, channels). Pooling ends where an image is only one pixel wide or
    high. Dropout stands before each dense layer, the output among them.

    Hyperparameters: ``channels`` (a list of ints or ``Width``s, default 16 and 32), ``kernel_size`` (default 3),
    ``hidden`` (dense layers after the convolutions, default none), ``dropout`` (default none), ``activation``
    (default ``relu``).

    Raises:
        InputError: examples are no images, or there is no such activation.
    """

    def __init__(self, hyperparameters: Any, spec: Spec, rngs: nnx.Rngs) -> None:
        height, width, inputs = _image_shape(spec)
        size = hyperparameters.get("kernel_size", 3)
        channels = [inputs, *hyperparameters.get("channels", [16, 32])]
        self.convolutions = nnx.List([nn.Conv(i, o, (size, size), rngs=rngs) for i, o in pairwise(channels)])
        sides = _sides(height, width, len(self.convolutions))
        self.pooled = tuple(before != after for before, after in pairwise(sides))
        widths = [channels[-1], *hyperparameters.get("hidden", []), spec.outputs]
        places = [math.prod(sides[-1])] + [1] * (len(widths) - 2)
        self.dense = nnx.List(
            [nn.Linear(i, o, positions=p, rngs=rngs) for (i, o), p in zip(pairwise(widths), places, strict=True)]
        )
        rate = hyperparameters.get("dropout")
        self.dropouts = nnx.List([] if rate is None else [nn.Dropout(rate, rngs=rngs) for _ in self.dense])
        self.activation = activation(hyperparameters.get("activation", "relu"))

    def __call__(self, x: Float[Array, "batch height width *channels"]) -> Float[Array, "batch outputs"]:
        """Logits, or predictions for a regression."""
        x = x.reshape(*x.shape[:3], -1)
        for convolution, pooled in zip(self.convolutions, self.pooled, strict=True):
            x = self.activation(convolution(x, _POOL if pooled else None))
        for index, dense in enumerate(self.dense):
            x = x if index == 0 else self.activation(x)
            x = self.dropouts[index](x) if self.dropouts else x  # before flattening: a bit belongs to (place, channel)
            x = dense(x.reshape(x.shape[0], -1))
        return x


def _image_shape(spec: Spec) -> tuple[int, int, int]:
    match spec.input_shape:
        case (height, width):
            return height, width, 1
        case (height, width, channels):
            return height, width, channels
    fix = "Give inputs [rows, height, width] or [rows, height, width, channels], or take models.MLP."
    raise InputError("a CNN needs images", f"examples of shape {spec.input_shape}", fix)


def _sides(height: int, width: int, convolutions: int) -> list[tuple[int, int]]:
    """Height and width before the first convolution and after each pooling, which ends where a side is one pixel."""
    sides = [(height, width)]
    for _ in range(convolutions):
        height, width = sides[-1]
        sides.append((height // 2, width // 2) if min(height, width) >= 2 else (height, width))
    return sides
