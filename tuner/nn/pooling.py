"""Max pooling whose gradient is fast on a CPU (docs/decisions/convolutions.md). Mean pooling is Flax's own."""

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tuner.nn.windows import Padding, padded, pads_of

_PLACES = 16  # of a window at most, that are taken one by one


def max_pool(
    inputs: Float[Array, "*shape"],
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Padding = "VALID",
) -> Float[Array, "*pooled"]:
    """The largest entry of each window, with the arguments and values of ``nnx.max_pool``.

    Where entries of a window are equally large, its gradient is shared among them evenly; ``nnx.max_pool`` gives all
    of it to the first. Both are subgradients. Windows that overlap or leave gaps go to ``nnx.max_pool``.

    Args:
        inputs: shape (*batch, *space, features).
        window_shape: the window's lengths, one a spatial axis.
        strides: steps from window to window; by default 1, as in Flax.
        padding: "VALID", "SAME", or numbers, as for ``Conv``; padded entries are never the largest.

    Returns:
        Shape (*batch, *windows, features).

    Raises:
        InputError: the padding is unknown.
    """
    window = tuple(window_shape)
    steps = (1,) * len(window) if strides is None else tuple(strides)
    batch, example = inputs.shape[: -len(window) - 1], inputs.shape[-len(window) - 1 :]
    x, pads = inputs.reshape(-1, *example), pads_of(padding, example[:-1], window, steps)
    if window == steps:
        blocks = _blocks(padded(x, pads, -jnp.inf), window)
        pooled = _largest(blocks) if math.prod(window) <= _PLACES else blocks.max(_window_axes(blocks))
    else:
        pooled = nnx.max_pool(x, window, steps, pads)
    return pooled.reshape(*batch, *pooled.shape[1:])


def _blocks(x: Any, window: tuple[int, ...]) -> Any:
    """(batch, *space, features) as (batch, windows, window, windows, window, .., features); what is left over is cut.

    A maximum over a window's axes has a gradient of elementwise operations, where that of overlapping windows scatters.
    """
    counts = [length // size for length, size in zip(x.shape[1:-1], window, strict=True)]
    whole = (slice(count * size) for count, size in zip(counts, window, strict=True))
    pairs = [length for pair in zip(counts, window, strict=True) for length in pair]
    return x[(slice(None), *whole)].reshape(x.shape[0], *pairs, x.shape[-1])


def _window_axes(blocks: Any) -> tuple[int, ...]:
    return tuple(range(2, blocks.ndim - 1, 2))


def _places(blocks: Any) -> Iterator[Any]:
    """What each place of the windows holds, one after the other: arrays (batch, windows, .., features)."""
    for place in itertools.product(*(range(blocks.shape[axis]) for axis in _window_axes(blocks))):
        yield blocks[(slice(None), *itertools.chain.from_iterable((slice(None), index) for index in place))]


@jax.custom_vjp
def _largest(blocks: Any) -> Any:
    """The maximum over the windows' axes. Its gradient is JAX's, but for windows with a NaN, which get none.

    On a CPU it takes fewer and shorter loops. There is no forward mode.
    """
    return reduce(jnp.maximum, _places(blocks))


def _largest_forward(blocks: Any) -> tuple[Any, tuple[Any, Any]]:
    largest = _largest(blocks)
    return largest, (blocks, largest)


def _largest_backward(saved: tuple[Any, Any], gradient: Any) -> tuple[Any]:
    blocks, largest = saved
    count = sum((place == largest).astype(gradient.dtype) for place in _places(blocks))
    share, largest = (jnp.expand_dims(of, _window_axes(blocks)) for of in (gradient / count, largest))
    return (jnp.where(blocks == largest, share, 0),)


_largest.defvjp(_largest_forward, _largest_backward)
