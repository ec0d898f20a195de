"""Recurrent layers, attention and embeddings: against Flax's own at the narrow width, and deaf to what is masked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tuner import Width, nn
from tuner.errors import InputError
from tuner.nn.recurrent import CELLS

BATCH, TIME, INPUTS, SIZE, CAP = 4, 6, 3, 5, 8
NATIVE = {"rnn": nnx.SimpleCell, "gru": nnx.GRUCell, "lstm": nnx.OptimizedLSTMCell}


def sequences(width=INPUTS, dtype=float):
    return jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, TIME, width)), dtype)


def used(kernel, rows=SIZE, columns=SIZE):
    """A recurrent kernel (rows, gates, columns) as Flax has it, (rows, gates * columns)."""
    return np.asarray(kernel)[:rows, :, :columns].reshape(rows, -1)


def native_cell(layer, kind, dtype):
    cell = NATIVE[kind](INPUTS, SIZE, rngs=nnx.Rngs(0), dtype=dtype, param_dtype=dtype)
    cell.dense_i.kernel.set_value(jnp.asarray(used(layer.kernel[...], INPUTS)))
    cell.dense_h.kernel.set_value(jnp.asarray(used(layer.recurrent_kernel[...])))
    biased = cell.dense_h if kind == "lstm" else cell.dense_i
    biased.bias.set_value(jnp.asarray(layer.bias[...])[:, :SIZE].reshape(-1))
    return nnx.RNN(cell)


def recurrent(kind, width=None, seed=0):
    layer = nn.Recurrent(INPUTS, width or Width(SIZE, CAP), cell=kind, rngs=nnx.Rngs(seed))
    bias = np.random.default_rng(1).normal(size=layer.bias.shape)
    bias[:, SIZE:] = 0
    layer.bias.set_value(jnp.asarray(bias, layer.kernel[...].dtype))
    return layer


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_recurrent_layer_is_flax_s(kind, dtype, request):
    if dtype is np.float64:
        request.getfixturevalue("float64")
    layer, x = recurrent(kind), sequences(dtype=dtype)
    native = native_cell(layer, kind, dtype)
    outputs, last = layer(x)
    expected = native(x)
    tolerance = {"rtol": 1e-9, "atol": 1e-12} if dtype is np.float64 else {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(outputs[..., :SIZE], expected, **tolerance)
    np.testing.assert_array_equal(last, outputs[:, -1])
    assert not np.any(outputs[..., SIZE:])


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_are_flax_s_and_stay_behind_the_mask(float64, kind):
    layer, x = recurrent(kind), sequences()
    native = native_cell(layer, kind, np.float64)
    slopes = nnx.grad(lambda layer: (layer(x)[0] ** 2).sum())(layer)
    expected = nnx.grad(lambda native: (native(x) ** 2).sum())(native)
    np.testing.assert_allclose(used(slopes["kernel"][...], INPUTS), expected["cell"]["dense_i"]["kernel"][...])
    np.testing.assert_allclose(used(slopes["recurrent_kernel"][...]), expected["cell"]["dense_h"]["kernel"][...])
    for leaf in jax.tree.leaves(nnx.state(slopes)):
        assert not np.any(np.asarray(leaf)[..., SIZE:])
    assert not np.any(np.asarray(slopes["recurrent_kernel"][...])[SIZE:])


@pytest.mark.parametrize("kind", CELLS)
def test_a_sequence_s_end_is_where_its_steps_end(kind):
    layer, x = recurrent(kind), sequences()
    lengths = np.array([6, 1, 3, 4])
    there = jnp.arange(TIME) < lengths[:, None]
    outputs, last = layer(jnp.where(there[..., None], x, 1e9), there)
    for row, length in enumerate(lengths):
        alone, ended = layer(x[row : row + 1, :length])
        np.testing.assert_allclose(last[row], ended[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(outputs[row, :length], alone[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", CELLS)
def test_caps_do_not_move_what_is_drawn(kind):
    narrow, wide = recurrent(kind, Width(SIZE, SIZE)), recurrent(kind, Width(SIZE, 11))
    for name in ("kernel", "recurrent_kernel"):
        one, other = (np.asarray(getattr(layer, name)[...]) for layer in (narrow, wide))
        np.testing.assert_array_equal(one, other[: one.shape[0], :, :SIZE])
        assert np.count_nonzero(one) == np.count_nonzero(other)


def test_recurrent_kernels_are_orthogonal_gate_by_gate():
    kernel = np.asarray(nn.Recurrent(INPUTS, Width(SIZE, CAP), cell="gru", rngs=nnx.Rngs(0)).recurrent_kernel[...])
    for gate in range(3):
        square = kernel[:SIZE, gate, :SIZE]
        np.testing.assert_allclose(square @ square.T, np.eye(SIZE), atol=1e-6)


def test_an_unknown_cell_is_refused():
    with pytest.raises(InputError, match=r"no recurrent cell of this name: lstn\. Did you mean 'lstm'"):
        nn.Recurrent(3, 4, cell="lstn", rngs=nnx.Rngs(0))


# Attention

HEADS, HEAD_CAP, HEAD_SIZE, FEATURES, FEATURE_CAP = 2, 3, 4, 5, 7


def attention(*, causal=False):
    width, heads = Width(FEATURES, FEATURE_CAP), Width(HEADS, HEAD_CAP)
    layer = nn.MultiHeadAttention(width, heads, HEAD_SIZE, causal=causal, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(2)
    for part, units in ((layer.query, 8), (layer.key, 8), (layer.value, 8), (layer.output, FEATURES)):
        bias = np.zeros(part.bias.shape)
        bias[:units] = rng.normal(size=units)
        part.bias.set_value(jnp.asarray(bias, part.kernel[...].dtype))
    return layer


def native_attention(layer):
    inner = HEADS * HEAD_SIZE
    native = nnx.MultiHeadAttention(
        HEADS, FEATURES, inner, FEATURES, decode=False, rngs=nnx.Rngs(0), param_dtype=layer.query.kernel[...].dtype
    )
    for name in ("query", "key", "value"):
        ours, theirs = getattr(layer, name), getattr(native, name)
        kernel = np.asarray(ours.kernel[...])[:FEATURES, :inner].reshape(FEATURES, HEADS, HEAD_SIZE)
        theirs.kernel.set_value(jnp.asarray(kernel))
        theirs.bias.set_value(jnp.asarray(ours.bias[...])[:inner].reshape(HEADS, HEAD_SIZE))
    kernel = np.asarray(layer.output.kernel[...])[:inner, :FEATURES].reshape(HEADS, HEAD_SIZE, FEATURES)
    native.out.kernel.set_value(jnp.asarray(kernel))
    native.out.bias.set_value(jnp.asarray(layer.output.bias[...])[:FEATURES])
    return native


def features(seed=0):
    """Inputs (batch, time, cap) with something behind the mask, and what is in use of them."""
    x = np.random.default_rng(seed).normal(size=(BATCH, TIME, FEATURE_CAP))
    return jnp.asarray(x), jnp.asarray(x[..., :FEATURES])


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_flax_s(float64, causal):
    layer = attention(causal=causal)
    x, narrow = features()
    mask = nnx.make_causal_mask(jnp.ones((BATCH, TIME))) if causal else None
    expected = native_attention(layer)(narrow, mask=mask)
    # JAX's own attention, which Flax calls, takes the softmax in float32
    np.testing.assert_allclose(layer(x)[..., :FEATURES], expected, rtol=1e-6, atol=1e-6)
    assert not np.any(layer(x)[..., FEATURES:])


def test_nobody_sees_what_is_not_there():
    layer, (x, _) = attention(), features()
    there = jnp.arange(TIME) < jnp.asarray([6, 2, 3, 4])[:, None]
    spoilt = jnp.where(there[..., None], x, 1e6)
    seen = layer(spoilt, there)
    np.testing.assert_allclose(seen[1, :2], layer(x[1:2, :2])[0], rtol=1e-5, atol=1e-6)


def test_causal_attention_sees_nothing_ahead():
    layer, (x, _) = attention(causal=True), features()
    slopes = jax.jacobian(lambda x: layer(x)[0, :, 0])(x)[:, 0]
    ahead = np.abs(slopes).sum(-1)
    assert not np.triu(ahead, 1).any()
    assert np.tril(ahead).any()


def test_the_gradient_of_masked_heads_is_zero(float64):
    layer, (x, _) = attention(), features()
    slopes = nnx.grad(lambda layer: (layer(x) ** 2).sum())(layer)
    inner = HEADS * HEAD_SIZE
    for name in ("query", "key", "value"):
        assert not np.any(np.asarray(slopes[name]["kernel"][...])[:, inner:])
        assert not np.any(np.asarray(slopes[name]["kernel"][...])[FEATURES:])
    assert not np.any(np.asarray(slopes["output"]["kernel"][...])[inner:])
    assert np.any(np.asarray(slopes["query"]["kernel"][...]))


# Embeddings


def test_an_embedding_is_flax_s(float64):
    layer = nn.Embed(10, Width(SIZE, CAP), rngs=nnx.Rngs(0))
    native = nnx.Embed(10, SIZE, rngs=nnx.Rngs(0), param_dtype=np.float64)
    native.embedding.set_value(jnp.asarray(layer.embedding[...])[:, :SIZE])
    numbers = jnp.asarray([[3, 9, 0], [1, 1, 7]])
    np.testing.assert_array_equal(layer(numbers)[..., :SIZE], native(numbers))
    assert not np.any(layer(numbers)[..., SIZE:])
    assert not np.any(layer(jnp.asarray([-1])))


def test_embeddings_have_the_variance_of_flax_s():
    layer = nn.Embed(4000, Width(10, 16), rngs=nnx.Rngs(0))
    values = np.asarray(layer.embedding[...])[:, :10]
    np.testing.assert_allclose(values.std(), 10**-0.5, rtol=0.02)
    np.testing.assert_allclose(values.mean(), 0, atol=0.005)
