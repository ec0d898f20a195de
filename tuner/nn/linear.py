"""The elastic dense layer, and how kernels are drawn."""

from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from tuner.hyperparameters import Width
from tuner.nn.elastic import float_dtype, mask_units, pad_units, size_of, size_variable, units_to_draw
from tuner.nn.random import key_words, truncated_normal


class Linear(nnx.Module):
    """A dense layer whose input and output widths may be elastic.

    Kernels are drawn per logical (input, output) pair with LeCun's scaling by the fan-in in use (LeCun et al.,
    "Efficient BackProp", 1998; truncated normal, as ``nnx.Linear``), and are zero behind the masks. Inputs and outputs
    are masked too, so that no gradient reaches what is masked: the zeros stay.

    Args:
        in_features: inputs, an int or a ``Width``.
        out_features: outputs, an int or a ``Width``.
        use_bias: whether a bias is added; it starts at zero.
        positions: how often the inputs repeat: after (positions, channels) was flattened, ``in_features`` are the
            channels. Each position's channels past the size are masked.
        rngs: its ``params`` stream is used.
    """

    def __init__(
        self,
        in_features: int | Width,
        out_features: int | Width,
        *,
        use_bias: bool = True,
        positions: int = 1,
        rngs: nnx.Rngs,
    ) -> None:
        kernel = lecun_normal(key_words(rngs.params()), in_features, out_features, positions)
        self.kernel = nnx.Param(kernel.reshape(*kernel.shape[:-3], -1, kernel.shape[-1]))
        self.bias = nnx.Param(np.zeros(kernel.shape[-1], float_dtype())) if use_bias else None
        self.in_size = size_variable(in_features)
        self.out_size = size_variable(out_features)
        self.positions = positions

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Map inputs to outputs, zero in the units past each size."""
        y: Any = self._masked(x) @ self.kernel[...]
        if self.bias is not None:
            y = y + self.bias[...]
        return mask_units(y, self.out_size)

    def _masked(self, x: Any) -> Any:
        if self.in_size is None or self.positions == 1:
            return mask_units(x, self.in_size)
        apart = x.reshape(*x.shape[:-1], self.positions, -1)
        return mask_units(apart, self.in_size).reshape(x.shape)


def lecun_normal(words: Any, in_features: int | Width, out_features: int | Width, positions: int) -> Any:
    """A kernel of truncated normal numbers with variance 1 / fan-in in use, and zeros behind the masks.

    Row (position, input) is drawn as logical row ``input * positions + position``, which no cap moves.

    Args:
        words: uint32, shape (..., 2): a key, or several.
        in_features: inputs at a position.
        out_features: outputs.
        positions: places that the inputs come from.

    Returns:
        Shape (..., positions, cap of the inputs, cap of the outputs).
    """
    inputs, outputs = units_to_draw(in_features), units_to_draw(out_features)
    rows = np.arange(inputs) * positions + np.arange(positions)[:, None]
    draws = truncated_normal(words, rows.ravel(), np.arange(outputs))
    draws = draws.reshape(*draws.shape[:-2], positions, inputs, outputs)
    kernel = (draws / (positions * size_of(in_features)) ** 0.5).astype(float_dtype())
    return pad_units(pad_units(kernel, in_features, -2), out_features, -1)
