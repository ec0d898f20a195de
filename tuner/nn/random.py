"""Random numbers as a function of a key and a logical index, so that caps, lane counts and slots do not move them.

``counter_bits`` hashes (key, row, column) with the 32-bit finalizer ``lowbias32`` (Wellons, "Prospecting for hash
functions", 2018) over a Weyl sequence, as SplitMix does (Steele, Lea and Flood, OOPSLA 2014). A few integer operations
an element: on a CPU they cost a tenth of threefry, to run and to compile. Their statistics are tested in tests/nn.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from tuner.nn.elastic import float_dtype

_shapes_only: ContextVar[bool] = ContextVar("shapes_only", default=False)
_GOLDEN = 0x9E3779B9  # 2**32 over the golden ratio: the step of the Weyl sequence
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_MULTIPLIERS = (0x7FEB352D, 0x846CA68B)


def key_words(key: Any) -> Any:
    """The two uint32 words of a JAX random key: numpy where the key is concrete, traced where it is not.

    Words that are given instead of a key stay as they are, with any axes before the last.
    """
    if isinstance(key, np.ndarray):
        return key
    words = jax.random.key_data(key)
    return words if isinstance(words, jax.core.Tracer) else np.asarray(words)


def fold_in(words: Any, index: Any) -> Any:
    """A new pair of words for the ``index``-th use of a key. Arrays of uint32, shape (2,)."""
    xp = _namespace(words, index)
    golden = xp.asarray([_GOLDEN], xp.uint32)
    place = xp.asarray(index).astype(xp.uint32).reshape(1) * golden + golden  # not 0, which the mixer leaves as it is
    return xp.concatenate([_mix(_mix(words[:1] ^ place) + words[1:]), _mix(_mix(words[1:] + place) ^ words[:1])])


def counter_bits(words: Any, rows: Any, columns: Any) -> Any:
    """Random bits for each (row, column).

    Args:
        words: uint32, shape (..., 2): a key, or several.
        rows: integers, shape (r,): logical row numbers.
        columns: integers, shape (c,): logical column numbers.

    Returns:
        uint32, shape (..., r, c); numpy where all arguments are numpy, else JAX.
    """
    xp = _namespace(words, rows, columns)
    rows, columns = xp.asarray(rows).astype(xp.uint32), xp.asarray(columns).astype(xp.uint32)
    start = _mix(_mix(rows ^ words[..., 0:1]) + words[..., 1:2])
    twist = _mix(start + xp.asarray([_GOLDEN], xp.uint32))
    return _mix(start[..., None] + columns * xp.asarray([_GOLDEN], xp.uint32), twist[..., None])


def uniform(words: Any, rows: Any, columns: Any) -> Any:
    """Uniform numbers in (0, 1), never an end, for each (row, column): the default float type, shape (r, c)."""
    bits = counter_bits(words, rows, columns) >> 9  # 23 bits and a half: float32 holds each of these numbers exactly
    return (bits.astype(float_dtype()) + 0.5) * 2.0**-23


def truncated_normal(words: Any, rows: Any, columns: Any) -> Any:
    """Normal numbers cut off at two standard deviations and scaled back to variance 1, as Flax's initializers do."""
    if _shapes_only.get():
        return jnp.zeros((*words.shape[:-1], len(rows), len(columns)), float_dtype())
    draws = uniform(words, rows, columns)
    ndtri = scipy.special.ndtri if isinstance(draws, np.ndarray) else jax.scipy.special.ndtri
    low = float(scipy.special.ndtr(-2.0))
    return (ndtri(low + draws * (1.0 - 2.0 * low)) / 0.87962566103423978).astype(float_dtype())


def normal(words: Any, rows: Any, columns: Any) -> Any:
    """Normal numbers for each (row, column): the default float type, shape (..., r, c)."""
    if _shapes_only.get():
        return jnp.zeros((*words.shape[:-1], len(rows), len(columns)), float_dtype())
    draws = uniform(words, rows, columns)
    ndtri = scipy.special.ndtri if isinstance(draws, np.ndarray) else jax.scipy.special.ndtri
    return ndtri(draws).astype(float_dtype())


def draws_shapes_only() -> bool:
    """Whether this thread only looks at shapes."""
    return _shapes_only.get()


@contextmanager
def shapes_only() -> Iterator[None]:
    """Zeros for initial values in this thread: who only looks at shapes need not have their drawing traced."""
    before = _shapes_only.set(True)
    try:
        yield
    finally:
        _shapes_only.reset(before)


def threefry_fold_in(words: np.ndarray, number: int) -> np.ndarray:
    """``jax.random.fold_in`` for keys of JAX's default kind, on the host: no executable, and many keys at once.

    Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011).

    Args:
        words: uint32, shape (..., 2): the keys.
        number: what is folded in, 0 <= number < 2**32.
    """
    keys = [words[..., :1], words[..., 1:], words[..., :1] ^ words[..., 1:] ^ np.uint32(0x1BD11BDA)]
    left, right = keys[0], keys[1] + np.uint32(number)  # the block is (0, number)
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            left = left + right
            right = ((right << np.uint32(rotation)) | (right >> np.uint32(32 - rotation))) ^ left
        left = left + keys[(group + 1) % 3]
        right = right + keys[(group + 2) % 3] + np.uint32(group + 1)
    return np.concatenate([left, right], axis=-1)


def _mix(x: Any, twist: Any = None) -> Any:
    first, second = (np.asarray([m], np.uint32) for m in _MULTIPLIERS)
    x = (x ^ (x >> 16)) * first
    if twist is not None:
        x = x ^ twist
    x = (x ^ (x >> 15)) * second
    return x ^ (x >> 16)


def _namespace(*arrays: Any) -> Any:
    return jnp if any(isinstance(a, jax.Array) for a in arrays) else np
