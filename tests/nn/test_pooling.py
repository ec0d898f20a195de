"""Pooling against Flax's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tuner import nn as elastic
from tuner.errors import InputError


def images(shape):
    """Distinct numbers below zero: a padded zero would be the largest."""
    values = np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape)
    return jnp.asarray(values - values.size - 1, jnp.float32)


def values_and_gradients(pool, x, *arguments):
    out, pull = jax.vjp(lambda x: pool(x, *arguments), x)
    return np.asarray(out), np.asarray(pull(out * jnp.arange(1, out.size + 1).reshape(out.shape))[0])


@pytest.mark.parametrize("padding", ["VALID", "SAME", ((1, 0), (0, 1))], ids=str)
@pytest.mark.parametrize(
    ("window", "strides"),
    [((2, 2), (2, 2)), ((3, 2), (3, 2)), ((5, 4), (5, 4)), ((2, 2), None), ((3, 3), (2, 2))],
    ids=str,
)
@pytest.mark.parametrize("shape", [(3, 7, 5, 4), (2, 3, 8, 6, 1)], ids=str)
def test_max_pooling_is_that_of_flax(shape, window, strides, padding):
    ours = values_and_gradients(elastic.max_pool, images(shape), window, strides, padding)
    one_batch = images(shape).reshape(-1, *shape[-3:])  # Flax takes numbers of padding with one batch axis only
    theirs = values_and_gradients(nnx.max_pool, one_batch, window, strides, padding)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == (*shape[:-3], *other.shape[1:])
        assert np.array_equal(one, other.reshape(one.shape))


@pytest.mark.parametrize("shape", [(3, 7, 4), (2, 5, 6, 4, 3), (7, 4)], ids=str)
def test_one_and_three_axes_and_no_batch(shape):
    window = (2,) * max(len(shape) - 2, 1)
    ours = values_and_gradients(elastic.max_pool, images(shape), window, window)
    theirs = values_and_gradients(nnx.max_pool, images(shape), window, window)
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_tie_shares_its_gradient():
    x = jnp.asarray([[1.0, 1.0], [0.0, 1.0]]).reshape(1, 2, 2, 1)
    gradient = jax.grad(lambda x: elastic.max_pool(x, (2, 2), (2, 2)).sum())(x)
    np.testing.assert_allclose(gradient.reshape(2, 2), [[1 / 3, 1 / 3], [0, 1 / 3]], rtol=1e-6)


def test_its_gradient_does_not_scatter():
    x = images((3, 8, 6, 4))
    program = jax.jit(jax.grad(lambda x: elastic.max_pool(x, (2, 2), (2, 2)).sum())).lower(x).as_text()
    assert "scatter" not in program
    assert "reduce_window" not in program


def test_an_unknown_padding_is_named():
    with pytest.raises(InputError, match="padding"):
        elastic.max_pool(images((1, 4, 4, 1)), (2, 2), (2, 2), "SOME")


@pytest.mark.parametrize("pool", [elastic.max_pool, elastic.avg_pool])
def test_zeros_stay_zeros(pool):
    x = images((2, 5, 5, 4)).at[..., 3].set(0)
    for padding in ("VALID", "SAME"):
        assert not np.asarray(pool(x, (2, 2), (2, 2), padding))[..., 3].any()
