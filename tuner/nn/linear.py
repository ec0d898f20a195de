"""The elastic dense layer."""

from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from tuner.hyperparameters import Width
from tuner.nn.elastic import cap_of, float_dtype, mask_units, pad_units, size_of, size_variable
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
        rngs: its ``params`` stream is used.
    """

    def __init__(
        self, in_features: int | Width, out_features: int | Width, *, use_bias: bool = True, rngs: nnx.Rngs
    ) -> None:
        rows, columns = cap_of(in_features), cap_of(out_features)
        draws = truncated_normal(key_words(rngs.params()), np.arange(rows), np.arange(columns))
        kernel = (draws / size_of(in_features) ** 0.5).astype(float_dtype())
        self.kernel = nnx.Param(pad_units(pad_units(kernel, in_features, 0), out_features, 1))
        self.bias = nnx.Param(np.zeros(columns, float_dtype())) if use_bias else None
        self.in_size = size_variable(in_features)
        self.out_size = size_variable(out_features)

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Map inputs to outputs, zero in the units past each size."""
        y: Any = mask_units(x, self.in_size) @ self.kernel[...]
        if self.bias is not None:
            y = y + self.bias[...]
        return mask_units(y, self.out_size)
