"""The order in which an epoch's rows are seen: on a CPU the host draws it, elsewhere a program of its own.

Rows are sorted by random bits of (key, epoch, row's place), so the order depends on nothing else, and both ways give
the same. For 100 lanes of digits the host takes four times as long to draw them as a GPU to train an epoch.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tuner.nn.random import counter_bits


def epoch_order(words: np.ndarray, epoch: int, rows: np.ndarray, steps: int, batch_size: int) -> np.ndarray:
    """The rows of each step of an epoch: a permutation, the last batch filled up from its start.

    Args:
        words: uint32, shape (2,).
        epoch: counted from 0.
        rows: int32, the training rows.
        steps: of the epoch.
        batch_size: rows a step.

    Returns:
        int32, shape (steps, batch_size).
    """
    bits = counter_bits(words, np.asarray([epoch]), np.arange(len(rows)))[0]
    permutation = rows[np.argsort(bits, kind="stable")]
    return np.resize(permutation, (steps, batch_size))


def traced_order(words: Any, epoch: Any, rows: Any, count: Any, steps: int, batch_size: int) -> Any:
    """``epoch_order`` of the first ``count`` of the rows, in a program.

    Args:
        words: uint32, shape (2,).
        epoch: int32, a scalar.
        rows: int32, shape (most,), what follows the first ``count`` of them is not read.
        count: int32, a scalar.
        steps: of the order.
        batch_size: rows a step.
    """
    places = jnp.arange(rows.shape[0], dtype=jnp.int32)
    bits = counter_bits(words, epoch[None], places)[0]
    bits = jnp.where(places < count, bits, np.uint32(0xFFFFFFFF))  # behind the others, where these are as high too
    _, sorted_places = lax.sort((bits, places), num_keys=2)
    wanted = jnp.arange(steps * batch_size, dtype=jnp.int32) % count
    return rows[sorted_places[wanted]].reshape(steps, batch_size)


def order_shapes(lanes: int, rows: int) -> tuple[Any, ...]:
    """Shapes and types of the arguments of ``traced_order`` for lanes side by side."""
    whole = jax.ShapeDtypeStruct((lanes,), jnp.int32)
    return (
        jax.ShapeDtypeStruct((lanes, 2), jnp.uint32),
        whole,
        jax.ShapeDtypeStruct((lanes, rows), jnp.int32),
        whole,
    )
