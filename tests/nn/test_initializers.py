"""Initializers against JAX's, whatever the cap."""

import jax
import numpy as np
import pytest

from tuner import Width
from tuner.errors import InputError
from tuner.nn.initializers import INITIALIZERS, draw_kernel

WORDS = np.array([1, 2], np.uint32)


@pytest.mark.parametrize("name", ["glorot_normal", "he_normal", "lecun_normal"])
@pytest.mark.parametrize(("places", "window"), [(1, False), (9, True), (4, False)])
def test_variances_are_jax_s(name, places, window):
    kernel = draw_kernel(WORDS, 50, 80, name, places=places, window=window)
    shape = (3, 3, 50, 80) if window else (places * 50, 80)
    native = getattr(jax.nn.initializers, name)()(jax.random.key(0), shape)
    np.testing.assert_allclose(kernel.std(), native.std(), rtol=0.03)
    assert abs(kernel).max() <= abs(native).max() * 1.03  # both are cut off at two deviations


@pytest.mark.parametrize(("rows", "columns"), [(6, 4), (4, 6), (5, 5)])
def test_orthogonal_kernels_are_orthogonal_and_evenly_distributed(rows, columns):
    keys = np.stack([np.arange(2000), np.arange(2000) * 7 + 1], 1).astype(np.uint32)
    kernels = draw_kernel(keys, rows, columns, "orthogonal")[:, 0]
    small = kernels if rows < columns else kernels.swapaxes(1, 2)
    products = small @ small.swapaxes(1, 2)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(min(rows, columns)), products.shape), atol=1e-5)
    # every entry has the mean 0 and the variance of a coordinate on the sphere
    np.testing.assert_allclose(kernels.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(kernels.var(0), 1 / max(rows, columns), rtol=0.15)


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("places", [1, 3])
def test_caps_do_not_move_what_is_drawn(name, places):
    narrow = draw_kernel(WORDS, Width(4, 4), Width(5, 5), name, places=places)
    wide = draw_kernel(WORDS, Width(4, 7), Width(5, 16), name, places=places)
    np.testing.assert_array_equal(narrow, wide[:, :4, :5])
    assert np.count_nonzero(wide) == np.count_nonzero(narrow) == places * 20
    several = draw_kernel(np.stack([WORDS + 1, WORDS]), Width(4, 7), Width(5, 16), name, places=places)
    np.testing.assert_array_equal(several[1], wide)


def test_an_unknown_initializer_is_refused():
    with pytest.raises(InputError, match=r"no initializer of this name: he_norml\. Did you mean 'he_normal'"):
        draw_kernel(WORDS, 2, 3, "he_norml")
