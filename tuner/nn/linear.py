"""The elastic dense layer."""

from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from tuner.hyperparameters import Width
from tuner.nn.elastic import float_dtype, mask_units, size_variable
from tuner.nn.initializers import draw_kernel
from tuner.nn.random import key_words


class Linear(nnx.Module):
    """A dense layer whose input and output widths may be elastic.

    Kernels are drawn per logical (input, output) pair and scaled by the fans in use, by default as those of
    ``nnx.Linear``, and are zero behind the masks. Inputs and outputs are masked too, so that no gradient reaches what
    is masked: the zeros stay.

    Args:
        in_features: inputs, an int or a ``Width``.
        out_features: outputs, an int or a ``Width``.
        use_bias: whether a bias is added; it starts at zero.
        positions: how often the inputs repeat: after (positions, channels) was flattened, ``in_features`` are the
            channels. Each position's channels past the size are masked.
        kernel_init: the name of an initializer (see `tuner.nn.initializers`).
        rngs: its ``params`` stream is used.
    """

    def __init__(
        self,
        in_features: int | Width,
        out_features: int | Width,
        *,
        use_bias: bool = True,
        positions: int = 1,
        kernel_init: str = "lecun_normal",
        rngs: nnx.Rngs,
    ) -> None:
        kernel = draw_kernel(key_words(rngs.params()), in_features, out_features, kernel_init, places=positions)
        # the positions have an axis of their own, so that a narrow kernel is a corner of a wide one
        self.kernel = nnx.Param(kernel if positions > 1 else kernel.reshape(*kernel.shape[:-3], *kernel.shape[-2:]))
        self.bias = nnx.Param(np.zeros(kernel.shape[-1], float_dtype())) if use_bias else None
        self.in_size = size_variable(in_features)
        self.out_size = size_variable(out_features)
        self.positions = positions

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Map inputs to outputs, zero in the units past each size."""
        kernel: Any = self.kernel[...]
        y: Any = self._masked(x) @ kernel.reshape(-1, kernel.shape[-1])
        if self.bias is not None:
            y = y + self.bias[...]
        return mask_units(y, self.out_size)

    def _masked(self, x: Any) -> Any:
        if self.in_size is None or self.positions == 1:
            return mask_units(x, self.in_size)
        apart = x.reshape(*x.shape[:-1], self.positions, -1)
        return mask_units(apart, self.in_size).reshape(x.shape)
