"""The elastic convolution, lowered to what is fast as lanes (docs/decisions/convolutions.md)."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from tuner.errors import InputError
from tuner.hyperparameters import Width
from tuner.nn.elastic import cap_of, float_dtype, mask_units, size_variable
from tuner.nn.initializers import draw_kernel
from tuner.nn.pooling import max_pool
from tuner.nn.random import key_words
from tuner.nn.windows import Padding, Pads, padded, pads_of, side_by_side

_SPACE = "DHW"


class Conv(nnx.Module):
    """A convolution over one, two or three spatial axes, channels last, whose channel counts may be elastic.

    Names and meaning are those of ``nnx.Conv``. Kernels are drawn per logical (input, place in the window, output) and
    scaled by the fans in use, by default as those of ``nnx.Conv``, and are zero behind the masks. Inputs and outputs
    are masked too, so that the zeros stay.

    Args:
        in_features: input channels, an int or a ``Width``.
        out_features: output channels, an int or a ``Width``.
        kernel_size: the window's lengths, one a spatial axis; an int is one axis, as in ``nnx.Conv``.
        strides: steps from window to window, one a spatial axis or one for all.
        padding: "SAME", "VALID", or numbers: one for all axes, one an axis, or a pair (before, after) an axis.
        use_bias: whether a bias is added; it starts at zero.
        kernel_init: the name of an initializer (see `tuner.nn.initializers`).
        rngs: its ``params`` stream is used.

    Raises:
        InputError: there are more than three spatial axes, or not as many strides; when called, an unknown padding.
    """

    def __init__(
        self,
        in_features: int | Width,
        out_features: int | Width,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        *,
        padding: Padding = "SAME",
        use_bias: bool = True,
        kernel_init: str = "lecun_normal",
        rngs: nnx.Rngs,
    ) -> None:
        self.window = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
        self.strides = (strides,) * len(self.window) if isinstance(strides, int) else tuple(strides)
        _check_axes(self.window, self.strides)
        self.padding = padding if isinstance(padding, str | int) else tuple(padding)
        words, places = key_words(rngs.params()), math.prod(self.window)
        kernel = draw_kernel(words, in_features, out_features, kernel_init, places=places, window=True)
        self.kernel = nnx.Param(kernel.reshape(*kernel.shape[:-3], *self.window, *kernel.shape[-2:]))
        self.bias = nnx.Param(np.zeros(cap_of(out_features), float_dtype())) if use_bias else None
        self.in_size = size_variable(in_features)
        self.out_size = size_variable(out_features)

    def __call__(
        self, x: Float[Array, "*batch_and_space inputs"], pool: Sequence[int] | None = None
    ) -> Float[Array, "*batch_and_windows outputs"]:
        """Map (batch.., space.., inputs) to (batch.., windows.., outputs), zero in the channels past each size.

        Args:
            x: the inputs.
            pool: the window of a max pooling of the outputs, without overlap. The bias is added and the channels are
                masked after it, which gives the same on a smaller array.

        Raises:
            InputError: the padding is unknown, or the pool's window has other axes than the convolution's.
        """
        if pool is not None and len(pool) != len(self.window):
            raise InputError("pool and kernel_size differ in length", pool, f"Give {len(self.window)} lengths.")
        batch, example = x.shape[: -len(self.window) - 1], x.shape[-len(self.window) - 1 :]
        pads = pads_of(self.padding, example[:-1], self.window, self.strides)
        x = mask_units(x, self.in_size).reshape(-1, *example)
        y = convolve(x, self.kernel[...], self.strides, pads)
        y = y if pool is None else max_pool(y, pool, pool)
        y = y.reshape(*batch, *y.shape[1:])
        if self.bias is not None:
            y = y + self.bias[...]
        return mask_units(y, self.out_size)


def convolve(x: Any, kernel: Any, strides: tuple[int, ...], pads: Pads) -> Any:
    """A convolution, by the lowering that is fast on the platform that the program is compiled for.

    Args:
        x: shape (batch, *space, inputs).
        kernel: shape (*window, inputs, outputs).
        strides: one a spatial axis.
        pads: zeros before and after each spatial axis.

    Returns:
        Shape (batch, *windows, outputs).
    """
    patches, convolution = (partial(way, strides=strides, pads=pads) for way in (by_patches, by_convolution))
    return lax.platform_dependent(x, kernel, cpu=patches, cuda=patches, default=convolution)


def by_patches(x: Any, kernel: Any, strides: tuple[int, ...], pads: Pads) -> Any:
    """``convolve`` as one matrix product over the windows, laid side by side.

    ``vmap`` makes convolutions grouped, at which XLA is slow, on a CPU inside loops at others too; a matrix product
    stays one (Chellapilla, Puri and Simard, "High performance convolutional neural networks for document processing",
    2006).
    """
    patches = side_by_side(padded(x, pads, 0.0), kernel.shape[:-2], strides)
    rows = patches.reshape(
        -1, patches.shape[-1]
    )  # else XLA's CPU back end copies the patches for the kernel's gradient
    return (rows @ kernel.reshape(-1, kernel.shape[-1])).reshape(*patches.shape[:-1], -1)


def by_convolution(x: Any, kernel: Any, strides: tuple[int, ...], pads: Pads) -> Any:
    """``convolve`` as XLA's own convolution."""
    space = _SPACE[-len(strides) :]
    layout = (f"N{space}C", f"{space}IO", f"N{space}C")
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=layout)


def _check_axes(window: tuple[int, ...], strides: tuple[int, ...]) -> None:
    if not 1 <= len(window) <= len(_SPACE):
        raise InputError("a convolution has one to three spatial axes", window, "Give kernel_size=(3, 3), say.")
    if len(strides) != len(window):
        raise InputError("strides and kernel_size differ in length", strides, f"Give one stride or {len(window)}.")
