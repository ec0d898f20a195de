"""The elastic convolution against Flax's own, its masks and draws, and what it is compiled to on each platform."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from tuner import InputError, Width
from tuner import nn as elastic
from tuner.nn.conv import by_convolution, by_patches, convolve
from tuner.nn.random import key_words, truncated_normal

SIZE, CAP = 5, 8
IMAGES = {1: (3, 7, 4), 2: (3, 7, 5, 4), 3: (2, 5, 4, 3, 4)}


def images(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def outputs_and_gradients(layer, x, call=lambda layer, x: layer(x)):
    """Outputs, and the gradients of a curved loss for the parameters and the input."""
    graph, parameters, rest = nnx.split(layer, nnx.Param, ...)

    def loss(parameters, x):
        out = call(nnx.merge(graph, parameters, rest, copy=True), x)
        return ((out + 1) ** 3).sum(), out  # not flat where an output is zero

    (_, out), gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(parameters, x)
    return out, nnx.to_pure_dict(gradients[0]), gradients[1]


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9), one, other)


# Values


@pytest.mark.parametrize(
    ("kernel_size", "strides", "padding"),
    [
        ((3, 3), 1, "SAME"),
        ((3, 3), 1, "VALID"),
        ((3, 3), 2, "SAME"),
        ((2, 4), (2, 1), "SAME"),
        ((5, 2), (1, 2), "VALID"),
        ((3, 2), 2, 1),
        ((3, 3), 1, (0, (2, 1))),
        ((1, 1), 3, "SAME"),
        (3, 2, "SAME"),
        ((4,), 1, "VALID"),
        ((2, 3, 2), (2, 1, 1), "SAME"),
    ],
    ids=str,
)
def test_a_convolution_is_that_of_flax(float64, kernel_size, strides, padding):
    x = images(IMAGES[1 if isinstance(kernel_size, int) else len(kernel_size)])
    ours = elastic.Conv(4, 6, kernel_size, strides, padding=padding, rngs=nnx.Rngs(1))
    options = {"param_dtype": jnp.float64, "rngs": nnx.Rngs(0)}
    theirs = nnx.Conv(4, 6, kernel_size, strides, padding=padding, **options)
    ours.bias[...] = images((6,), 2)
    assert ours.kernel.shape == theirs.kernel.shape
    theirs.kernel[...], theirs.bias[...] = ours.kernel[...], ours.bias[...]
    assert_same(outputs_and_gradients(ours, x), outputs_and_gradients(theirs, x))


def test_leading_axes_are_all_batch(float64):
    layer = elastic.Conv(4, 6, (3, 3), use_bias=False, rngs=nnx.Rngs(1))
    assert layer.bias is None
    x = images((2, 3, 7, 5, 4))
    assert_same(layer(x), layer(x.reshape(6, 7, 5, 4)).reshape(2, 3, 7, 5, 6))
    assert_same(layer(x[0, 0]), layer(x)[0, 0])


@pytest.mark.parametrize("options", [{"padding": "SOME"}, {"padding": (1, 1, 1)}, {"strides": (1,)}])
def test_what_makes_no_sense_is_named(options):
    with pytest.raises(InputError):
        elastic.Conv(4, 6, (3, 3), **options, rngs=nnx.Rngs(1))(images(IMAGES[2]))
    with pytest.raises(InputError):
        elastic.Conv(4, 6, (3, 3, 3, 3), rngs=nnx.Rngs(1))


# Masks


class Two(nnx.Module):
    def __init__(self, layer, width, **options):
        self.first = layer(2, width, (3, 3), rngs=nnx.Rngs(1), **options)
        self.second = layer(width, width, (3, 3), 2, rngs=nnx.Rngs(2), **options)

    def __call__(self, x):
        return self.second(nnx.silu(self.first(x)))


def narrowed(tree):
    return jax.tree.map(lambda leaf: leaf[tuple(slice(SIZE if n == CAP else n) for n in leaf.shape)], tree)


def assert_masked_zero(tree):
    for leaf, narrow in zip(jax.tree.leaves(tree), jax.tree.leaves(narrowed(tree)), strict=True):
        assert np.count_nonzero(leaf) == np.count_nonzero(narrow)


def test_a_masked_convolution_is_the_narrow_one_of_flax(float64):
    masked, narrow = Two(elastic.Conv, Width(SIZE, CAP)), Two(nnx.Conv, SIZE, param_dtype=jnp.float64)
    parameters = nnx.state(narrow, nnx.Param)
    nnx.replace_by_pure_dict(parameters, narrowed(nnx.to_pure_dict(nnx.state(masked, nnx.Param))))
    nnx.update(narrow, parameters)
    x = images((3, 7, 5, 2))
    ours, theirs = outputs_and_gradients(masked, x), outputs_and_gradients(narrow, x)
    assert_masked_zero(ours)
    assert_same(narrowed(ours), theirs)


@pytest.mark.parametrize("filler", [np.nan, np.inf])
def test_nothing_behind_a_mask_leaks(filler):
    x = np.random.default_rng(0).normal(size=(2, 7, 5, CAP)).astype(np.float32)
    spoilt = x.copy()
    spoilt[..., SIZE:] = filler
    layer = elastic.Conv(Width(SIZE, CAP), Width(SIZE, CAP), (3, 3), rngs=nnx.Rngs(1))
    clean, other = (outputs_and_gradients(layer, jnp.asarray(batch)) for batch in (x, spoilt))
    assert_masked_zero(clean)
    for a, b in zip(jax.tree.leaves(clean), jax.tree.leaves(other), strict=True):
        assert np.isfinite(a).all()
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


# Draws


def drawn(cap, size=SIZE):
    width = size if cap is None else Width(size, cap)
    return elastic.Conv(width, width, (3, 2), rngs=nnx.Rngs(1)).kernel[...]


def test_initial_values_do_not_depend_on_the_cap():
    plain = np.asarray(drawn(None))
    assert len(np.unique(plain)) == plain.size  # no two entries share a draw
    for cap in (CAP, 64):
        kernel = np.asarray(drawn(cap))
        assert kernel.shape == (3, 2, cap, cap)
        assert np.array_equal(kernel[..., :SIZE, :SIZE], plain)
        assert np.count_nonzero(kernel) == plain.size


def test_a_kernel_is_scaled_by_the_fan_in_in_use():
    kernel = np.asarray(elastic.Conv(Width(16, 64), 500, (3, 3), rngs=nnx.Rngs(0)).kernel[...])[:, :, :16]
    assert abs(kernel.std() * 12 - 1) < 0.02


def test_initial_values_are_the_same_traced():
    np.testing.assert_allclose(jax.jit(functools.partial(drawn, CAP))(SIZE), drawn(CAP), rtol=2e-5, atol=1e-6)


def test_a_dense_layer_draws_its_rows_in_order():
    rngs = nnx.Rngs(1)
    draws = truncated_normal(key_words(nnx.Rngs(1).params()), np.arange(SIZE), np.arange(3))
    expected = (draws / SIZE**0.5).astype(np.float32)
    assert np.array_equal(elastic.Linear(SIZE, 3, rngs=rngs).kernel[...], expected)


def test_a_dense_layer_after_flattening_does_not_depend_on_the_cap(float64):
    x = images((2, 6, SIZE))
    plain = elastic.Linear(SIZE, 3, positions=6, rngs=nnx.Rngs(1))
    assert (
        abs(np.asarray(elastic.Linear(50, 90, positions=6, rngs=nnx.Rngs(1)).kernel[...]).std() * 300**0.5 - 1) < 0.02
    )
    wide = elastic.Linear(Width(SIZE, CAP), 3, positions=6, rngs=nnx.Rngs(1))
    spoilt = jnp.pad(x, ((0, 0), (0, 0), (0, CAP - SIZE)), constant_values=jnp.nan)
    assert_same(wide(spoilt.reshape(2, -1)), plain(x.reshape(2, -1)))
    kernel = np.asarray(wide.kernel[...]).reshape(6, CAP, 3)
    assert np.array_equal(kernel[:, :SIZE], np.asarray(plain.kernel[...]).reshape(6, SIZE, 3))
    assert np.count_nonzero(kernel) == 6 * SIZE * 3
    large = elastic.Linear(50, 90, positions=6, rngs=nnx.Rngs(1))
    assert abs(np.asarray(large.kernel[...]).std() * 300**0.5 - 1) < 0.02


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_pooling_before_the_bias_is_pooling_after_it(float64, axes):
    layer = elastic.Conv(4, Width(SIZE, CAP), (3,) * axes, rngs=nnx.Rngs(0))
    layer.bias.set_value(jnp.where(jnp.arange(CAP) < SIZE, images((CAP,)), 0))
    x, pool = images(IMAGES[axes]), (2,) * axes
    within = outputs_and_gradients(layer, x, lambda layer, x: layer(x, pool))
    after = outputs_and_gradients(layer, x, lambda layer, x: elastic.max_pool(layer(x), pool, pool))
    assert_same(within, after)


# Lowering


def trained(x, kernels):
    """Lanes side by side, each a loop of steps down the gradient, as programs are."""

    def lane(kernel):
        def step(_, kernel):
            return kernel - 0.01 * jax.grad(lambda k: (convolve(x, k, (1, 1), ((1, 1), (1, 1))) ** 3).sum())(kernel)

        return lax.fori_loop(0, 3, step, kernel)

    return jax.vmap(lane)(kernels)


LANES = images((2, 7, 5, 4)), images((5, 3, 3, 4, 6))


@pytest.mark.parametrize(("platform", "convolutions"), [("cpu", False), ("cuda", False), ("tpu", True)])
def test_each_platform_gets_its_lowering(platform, convolutions):
    module = jax.export.export(jax.jit(trained), platforms=[platform])(*LANES).mlir_module()
    assert ("stablehlo.convolution" in module) is convolutions
    assert ("stablehlo.dot_general" in module) is not convolutions
    assert "stablehlo.select" not in module  # vmap has not made both sides run


def test_all_platforms_fit_in_one_export():
    exported = jax.export.export(jax.jit(trained), platforms=["cpu", "cuda", "tpu"])(*LANES)
    assert "stablehlo.convolution" in exported.mlir_module()
    np.testing.assert_allclose(exported.call(*LANES), jax.jit(trained)(*LANES), rtol=1e-5)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="what a CPU runs")
def test_the_choice_is_gone_from_the_program():
    program = jax.jit(trained).lower(*LANES).compile().as_text()
    assert not re.search(r" (convolution|conditional|select)\(", program)
    assert re.search(r" dot\(", program)


@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
def test_both_lowerings_are_one_function(float64, strides):
    x, kernel = images((2, 7, 5, 4)), images((3, 2, 4, 6), 1)

    def values(way):
        pull = jax.vjp(lambda x, kernel: way(x, kernel, strides, ((1, 1), (0, 2))), x, kernel)
        return pull[0], pull[1](pull[0] ** 2)

    assert_same(values(by_patches), values(by_convolution))
