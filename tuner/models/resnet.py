"""The residual convolutional network."""

from itertools import pairwise
from typing import Any

from flax import nnx
from jaxtyping import Array, Float

from tuner import nn
from tuner.data import Spec
from tuner.hyperparameters import Width
from tuner.models.images import image_shape
from tuner.models.parts import activation, at, dropouts, initializer, norms

_WINDOW = (3, 3)


class Block(nnx.Module):
    """Two convolutions beside a shortcut, each behind a normalization and an activation.

    (He et al., "Identity mappings in deep residual networks", 2016, figure 4e.) The shortcut is a projection where a
    stage begins.
    """

    def __init__(
        self, hyperparameters: Any, inputs: int | Width, outputs: int | Width, stride: int, rngs: nnx.Rngs
    ) -> None:
        init = initializer(hyperparameters, "he_normal")
        self.norms = norms(hyperparameters, [inputs, outputs], "batch")
        use_bias = not self.norms  # a norm takes it away again
        self.first = nn.Conv(inputs, outputs, _WINDOW, stride, use_bias=use_bias, kernel_init=init, rngs=rngs)
        self.second = nn.Conv(outputs, outputs, _WINDOW, use_bias=use_bias, kernel_init=init, rngs=rngs)
        self.shortcut = (
            nn.Conv(inputs, outputs, (1, 1), stride, use_bias=False, kernel_init=init, rngs=rngs)
            if stride > 1
            else None
        )
        self.activation = activation(hyperparameters)

    def __call__(self, x: Float[Array, "batch height width inputs"]) -> Float[Array, "batch h w outputs"]:
        """The input, or its projection, and what the convolutions add to it."""
        y = self.activation(at(self.norms, 0, x))
        shortcut = x if self.shortcut is None else self.shortcut(y)
        y = self.activation(at(self.norms, 1, self.first(y)))
        return shortcut + self.second(y)


class ResNet(nnx.Module):
    """Stages of residual blocks, each stage but the first of half the height and width, then the mean over the image.

    Hyperparameters: ``channels`` (one number or ``Width`` a stage, default 16, 32 and 64), ``blocks`` (of each stage,
    default 1), ``norm`` ("batch" by default, "group", "layer" or None), ``dropout`` (before the last layer, default
    none), ``activation`` (default ``relu``), ``initializer`` (default ``he_normal``).

    Raises:
        InputError: examples are no images, or a name is none of those that there are.
    """

    def __init__(self, hyperparameters: Any, spec: Spec, rngs: nnx.Rngs) -> None:
        _, _, inputs = image_shape(spec)
        channels, blocks = list(hyperparameters.get("channels", [16, 32, 64])), hyperparameters.get("blocks", 1)
        init = initializer(hyperparameters, "he_normal")
        self.stem = nn.Conv(inputs, channels[0], _WINDOW, use_bias=False, kernel_init=init, rngs=rngs)
        steps = [(channels[0], channels[0], 1)] * blocks
        for before, after in pairwise(channels):
            steps += [(before, after, 2), *[(after, after, 1)] * (blocks - 1)]
        self.blocks = nnx.List([Block(hyperparameters, *step, rngs=rngs) for step in steps])
        self.norms = norms(hyperparameters, channels[-1:], "batch")
        self.activation = activation(hyperparameters)
        self.dropouts = dropouts(hyperparameters, 1, rngs)
        self.output = nn.Linear(channels[-1], spec.outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "batch height width *channels"]) -> Float[Array, "batch outputs"]:
        """Logits, or predictions for a regression."""
        x = self.stem(x.reshape(*x.shape[:3], -1))
        for block in self.blocks:
            x = block(x)
        x = self.activation(at(self.norms, 0, x)).mean((1, 2))
        return self.output(at(self.dropouts, 0, x))
