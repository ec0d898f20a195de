"""How kernels are drawn: each entry from a key and its logical place, so that no cap moves it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tuner.errors import InputError, nearest
from tuner.hyperparameters import Width
from tuner.nn.elastic import cap_of, float_dtype, pad_units, size_of, units_to_draw
from tuner.nn.random import draws_shapes_only, normal, truncated_normal

INITIALIZERS = ("glorot_normal", "he_normal", "lecun_normal", "orthogonal")


def draw_kernel(
    words: Any,
    in_features: int | Width,
    out_features: int | Width,
    initializer: str = "lecun_normal",
    *,
    places: int = 1,
    window: bool = False,
) -> Any:
    """A kernel by one of JAX's initializers, of the fans in use, with zeros behind the masks.

    lecun_normal (LeCun et al., "Efficient BackProp", 1998), glorot_normal (Glorot and Bengio, 2010, eq. 12, as a
    normal) and he_normal (He et al., 2015, eq. 10) are truncated normals; orthogonal (Saxe et al., 2014) is a matrix
    of all inputs by outputs with orthonormal columns, or rows where these are fewer.

    Row (place, input) is drawn as logical row ``input * places + place``, which no cap moves.

    Args:
        words: uint32, shape (..., 2): a key, or several.
        in_features: inputs at a place.
        out_features: outputs.
        initializer: one of ``INITIALIZERS``.
        places: that the inputs come from: of a window, or of what was flattened.
        window: whether the places are those of a convolution's window, which count in the fan-out too.

    Returns:
        Shape (..., places, cap of the inputs, cap of the outputs).

    Raises:
        InputError: there is no such initializer.
    """
    if initializer not in INITIALIZERS:
        what = "there is no initializer of this name"
        raise InputError(what, initializer, nearest(str(initializer), INITIALIZERS))
    if initializer == "orthogonal":
        kernel = _orthogonal(words, in_features, out_features, places)
    else:
        draws = _by_place(truncated_normal, words, in_features, out_features, places)
        fan_in, fan_out = places * size_of(in_features), (places if window else 1) * size_of(out_features)
        fans = {"lecun_normal": fan_in, "he_normal": fan_in / 2, "glorot_normal": (fan_in + fan_out) / 2}
        kernel = draws / fans[initializer] ** 0.5
    return pad_units(pad_units(kernel.astype(float_dtype()), in_features, -2), out_features, -1)


def _by_place(draw: Any, words: Any, in_features: int | Width, out_features: int | Width, places: int) -> Any:
    inputs, outputs = units_to_draw(in_features), units_to_draw(out_features)
    rows = np.arange(inputs) * places + np.arange(places)[:, None]
    draws = draw(words, rows.ravel(), np.arange(outputs))
    return draws.reshape(*draws.shape[:-2], places, inputs, outputs)


def _orthogonal(words: Any, in_features: int | Width, out_features: int | Width, places: int) -> Any:
    if draws_shapes_only():
        return jnp.zeros((*words.shape[:-1], places, cap_of(in_features), cap_of(out_features)))
    if any(isinstance(size_of(features), jax.core.Tracer) for features in (in_features, out_features)):
        raise TypeError("an orthogonal kernel needs the concrete size of a Width")
    draws = _by_place(normal, words, in_features, out_features, places)
    matrix = np.asarray(draws, np.float64).reshape(*draws.shape[:-3], -1, draws.shape[-1])
    wide = matrix.shape[-2] < matrix.shape[-1]
    q, r = np.linalg.qr(matrix.swapaxes(-1, -2) if wide else matrix)
    q = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]  # else not uniformly distributed (Mezzadri, 2007)
    return (q.swapaxes(-1, -2) if wide else q).reshape(draws.shape)
