"""The elastic recurrent layer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float

from tuner.errors import InputError, nearest
from tuner.hyperparameters import Width
from tuner.nn.elastic import cap_of, float_dtype, mask_units, size_variable
from tuner.nn.initializers import draw_kernel
from tuner.nn.random import key_words

Step = Callable[[Any, Any, Any], tuple[Any, ...]]


def _simple(carry: Any, drive: Any, feedback: Any) -> tuple[Any, ...]:
    """Elman (1990). The state is what goes on, the hidden units first."""
    del carry
    return (jnp.tanh(drive[..., 0, :] + feedback[..., 0, :]),)


def _gru(carry: Any, drive: Any, feedback: Any) -> tuple[Any, ...]:
    """Cho et al. (2014), the reset gate behind the product, as in ``nnx.GRUCell``."""
    reset, update = (jax.nn.sigmoid(drive[..., gate, :] + feedback[..., gate, :]) for gate in (0, 1))
    candidate = jnp.tanh(drive[..., 2, :] + reset * feedback[..., 2, :])
    return ((1 - update) * candidate + update * carry[0],)


def _lstm(carry: Any, drive: Any, feedback: Any) -> tuple[Any, ...]:
    """Hochreiter and Schmidhuber (1997), with a forget gate (Gers et al., 2000)."""
    gates = drive + feedback
    into, forget, out = (jax.nn.sigmoid(gates[..., gate, :]) for gate in (0, 1, 3))
    cell = forget * carry[1] + into * jnp.tanh(gates[..., 2, :])
    return out * jnp.tanh(cell), cell


CELLS: dict[str, tuple[int, int, Step]] = {"gru": (3, 1, _gru), "lstm": (4, 2, _lstm), "rnn": (1, 1, _simple)}
"""Of each cell: gates, arrays of its state, and a step: (state, input's share, hidden units' share) -> state."""


class Recurrent(nnx.Module):
    """A recurrent layer over a sequence, whose inputs and hidden units may be elastic.

    Kernels are those of ``nnx.SimpleCell``, ``nnx.GRUCell`` and ``nnx.OptimizedLSTMCell``, gate by gate: of the inputs
    LeCun's normal, of the hidden units orthogonal. Each gate has a bias, at first 0.

    Args:
        in_features: inputs a step, an int or a ``Width``.
        hidden_features: hidden units, an int or a ``Width``.
        cell: "rnn", "gru" or "lstm".
        kernel_init: the name of the inputs' initializer (see `tuner.nn.initializers`).
        rngs: its ``params`` stream is used.

    Raises:
        InputError: there is no such cell.
    """

    def __init__(
        self,
        in_features: int | Width,
        hidden_features: int | Width,
        *,
        cell: str = "lstm",
        kernel_init: str = "lecun_normal",
        rngs: nnx.Rngs,
    ) -> None:
        if cell not in CELLS:
            raise InputError("there is no recurrent cell of this name", cell, nearest(str(cell), CELLS))
        self.cell = cell
        gates = CELLS[cell][0]

        def kernels(inputs: int | Width, initializer: str) -> nnx.Param[Any]:
            each = [draw_kernel(key_words(rngs.params()), inputs, hidden_features, initializer) for _ in range(gates)]
            stacked = (np if all(isinstance(kernel, np.ndarray) for kernel in each) else jnp).concatenate(each, axis=-3)
            return nnx.Param(stacked.swapaxes(-3, -2))  # (inputs, gates, hidden)

        self.kernel = kernels(in_features, kernel_init)
        self.recurrent_kernel = kernels(hidden_features, "orthogonal")
        self.bias = nnx.Param(np.zeros((gates, cap_of(hidden_features)), float_dtype()))
        self.in_size, self.size = size_variable(in_features), size_variable(hidden_features)

    def __call__(
        self, x: Float[Array, "batch time inputs"], there: Bool[Array, "batch time"] | None = None
    ) -> tuple[Float[Array, "batch time hidden"], Float[Array, "batch hidden"]]:
        """The hidden units at every step, and at the last.

        Args:
            x: the inputs.
            there: which steps there are; at the others the state stays as it is. All by default.
        """
        _, arrays, step = CELLS[self.cell]
        kernel, recurrent = self.kernel[...], self.recurrent_kernel[...]
        drive = jnp.tensordot(mask_units(x, self.in_size), kernel, 1) + self.bias[...]
        there = jnp.ones(x.shape[:2], bool) if there is None else there

        def advance(state: tuple[Any, ...], now: tuple[Any, Any]) -> tuple[tuple[Any, ...], Any]:
            drive, there = now
            feedback = jnp.tensordot(state[0], recurrent, 1)
            after = (mask_units(new, self.size) for new in step(state, drive, feedback))
            kept = tuple(jnp.where(there[:, None], new, old) for new, old in zip(after, state, strict=True))
            return kept, kept[0]

        start = (jnp.zeros((x.shape[0], kernel.shape[-1]), drive.dtype),) * arrays
        last, outputs = lax.scan(advance, start, (drive.swapaxes(0, 1), there.swapaxes(0, 1)))
        return outputs.swapaxes(0, 1), last[0]
