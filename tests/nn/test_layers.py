"""Elastic layers against the narrow model of Flax's own layers, trained by Optax, written out here."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from tests.nn.test_random import one_bits
from tuner import Width
from tuner import nn as elastic
from tuner.data import Spec
from tuner.hyperparameters import split
from tuner.nn.random import fold_in
from tuner.training.lane import Bounds, Data, Fold, start, train_epoch
from tuner.training.recipe import Recipe, apply, initial_values, streams_of
from tuner.training.settings import FLOATS, OPTIMIZERS
from tuner.training.tasks import task_of

INPUTS, SIZE, CAP, OUTPUTS = 4, 5, 8, 3
BATCH, STEPS = 6, 50
SPEC = Spec((INPUTS,), OUTPUTS, "classification")


class Elastic(nnx.Module):
    def __init__(self, hyperparameters, spec, rngs):
        width, self.kind = hyperparameters["width"], hyperparameters["kind"]
        self.first = elastic.Linear(INPUTS, width, use_bias=self.kind not in {"batch_norm", "all"}, rngs=rngs)
        self.layer = elastic.LayerNorm(width) if self.kind in {"layer_norm", "all"} else None
        self.batch = elastic.BatchNorm(width, momentum=0.9) if self.kind in {"batch_norm", "all"} else None
        self.dropout = elastic.Dropout(0.3, rngs=rngs) if self.kind in {"dropout", "all"} else None
        self.middle = elastic.Linear(width, width, rngs=rngs)
        self.last = elastic.Linear(width, OUTPUTS, rngs=rngs)

    def __call__(self, x):
        x = self.first(x)
        x = x if self.batch is None else self.batch(x)
        x = self.middle(nnx.silu(x))
        x = x if self.layer is None else self.layer(x)
        x = nnx.silu(x)
        x = x if self.dropout is None else self.dropout(x)
        return self.last(x)


class Narrow(nnx.Module):
    """The same model of Flax's layers; the mask of dropout comes from outside."""

    def __init__(self, kind, dtype):
        types = {"dtype": dtype, "param_dtype": dtype, "rngs": nnx.Rngs(0)}
        self.first = nnx.Linear(INPUTS, SIZE, use_bias=kind not in {"batch_norm", "all"}, **types)
        self.layer = nnx.LayerNorm(SIZE, **types) if kind in {"layer_norm", "all"} else None
        self.batch = nnx.BatchNorm(SIZE, momentum=0.9, **types) if kind in {"batch_norm", "all"} else None
        if self.batch is not None:  # Flax keeps them in float32 whatever it is told
            self.batch.mean, self.batch.var = (
                nnx.BatchStat(jnp.zeros(SIZE, dtype)),
                nnx.BatchStat(jnp.ones(SIZE, dtype)),
            )
        self.has_dropout = kind in {"dropout", "all"}
        self.middle = nnx.Linear(SIZE, SIZE, **types)
        self.last = nnx.Linear(SIZE, OUTPUTS, **types)

    def __call__(self, x, keep=None):
        x = self.first(x)
        x = x if self.batch is None else self.batch(x)
        x = self.middle(nnx.silu(x))
        x = x if self.layer is None else self.layer(x)
        x = nnx.silu(x)
        if keep is not None and self.has_dropout:
            x = jnp.where(keep, x / 0.7, 0)
        return self.last(x)


def narrowed(tree):
    """Slices of the arrays of a module with caps, as a nested dict of numpy arrays."""

    def cut(path, leaf):
        leaf = np.asarray(leaf)
        shape = [SIZE if length == CAP else length for length in leaf.shape]
        return leaf[tuple(slice(length) for length in shape)]

    return jax.tree_util.tree_map_with_path(cut, nnx.to_pure_dict(tree))


def start_from(module, parameters):
    """Put a nested dict of arrays into a module of Flax's layers."""
    state = nnx.state(module, nnx.Param)
    nnx.replace_by_pure_dict(state, parameters)
    nnx.update(module, state)


def keep_masks(values, steps):
    """Dropout's mask of each step (steps, batch, units), by the hash on Python's whole numbers."""
    words = np.asarray(values.other["dropout"]["words"][...])
    masks = np.zeros((steps, BATCH, SIZE), bool)
    for step in range(steps):
        key = [int(word) for word in fold_in(words, step)]
        for row in range(BATCH):
            for unit in range(SIZE):
                masks[step, row, unit] = (one_bits(key, row, unit) >> 8) / 2**24 >= round(0.3 * 2**24) / 2**24
    return masks


CASES = {
    "adam": {"optimizer": "adam", "learning_rate": 0.01, "l2": 0.01, "l1": 0.003},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1, "gradient_clip": 0.3},
    "lion": {"optimizer": "lion", "learning_rate": 0.001, "weight_decay": 0.1},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 0.002, "momentum": 0.8, "weight_decay": 0.2},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.9, "gradient_clip": 0.5, "l1": 0.003},
    "plain sgd": {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 0.05},
}


def plain_optax(case):
    """Optax's own optimizers; the decay that they lack is added to their step."""
    rate, decay = case["learning_rate"], case.get("weight_decay", 0.0)
    own = {
        "adam": lambda: optax.adam(rate),
        "adamw": lambda: optax.adamw(rate, weight_decay=decay),
        "lion": lambda: optax.lion(rate, b1=0.9, b2=0.99, weight_decay=decay),
        "rmsprop": lambda: optax.rmsprop(rate, decay=0.9, momentum=case.get("momentum")),
        "sgd": lambda: optax.sgd(rate, momentum=case.get("momentum")),
    }[case["optimizer"]]()
    inner = optax.chain(optax.clip_by_global_norm(case["gradient_clip"]), own) if "gradient_clip" in case else own
    missing = 0.0 if case["optimizer"] in {"adamw", "lion"} else decay

    def step(gradients, state, parameters):
        updates, state = inner.update(gradients, state, parameters)
        return jax.tree.map(lambda p, u: p + u - rate * missing * p, parameters, updates), state

    return inner.init, step


def native_training(narrow, case, inputs, targets, masks):
    """Steps of a model of Flax's layers, in a loop that knows nothing of tuner."""
    init, update = plain_optax(case)
    graph, parameters, rest = nnx.split(narrow, nnx.Param, ...)

    def loss(parameters, rest, x, y, keep):
        module = nnx.merge(graph, parameters, rest, copy=True)
        logits = module(x, keep)
        weights = [leaf for leaf in jax.tree.leaves(parameters) if leaf.ndim == 2]
        penalty = sum(case.get("l1", 0.0) * jnp.abs(w).sum() + case.get("l2", 0.0) * (w * w).sum() for w in weights)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)
        return penalty - chosen.mean(), nnx.split(module, nnx.Param, ...)[2]

    @jax.jit
    def run(parameters, rest):
        def step(carry, batch):
            parameters, rest, state = carry
            gradients, rest = jax.grad(loss, has_aux=True)(parameters, rest, *batch)
            parameters, state = update(gradients, state, parameters)
            return (parameters, rest, state), None

        return jax.lax.scan(step, (parameters, rest, init(parameters)), (inputs, targets, masks))[0][:2]

    return nnx.merge(graph, *run(parameters, rest))


def elastic_training(recipe, values, numbers, rows, data):
    dtype = data.inputs.dtype
    fold = Fold(
        np.zeros(INPUTS, dtype), np.ones(INPUTS, dtype), np.zeros(OUTPUTS, dtype), np.ones(OUTPUTS, dtype),
        np.ones(OUTPUTS, dtype),
        np.int32(STEPS), np.int32(STEPS), np.zeros((1, BATCH), np.int32), np.ones((1, BATCH), dtype),
    )  # fmt: skip
    typed = {path: jnp.asarray(value, dtype) for path, value in numbers.items()}
    lane = start(recipe, values, typed, np.zeros(2, np.uint32))
    train = jax.jit(functools.partial(train_epoch, recipe))
    return train(data, fold, rows, Bounds(np.int32(STEPS), None, np.int32(1)), lane)


def compare(kind, case, dtype):
    rng = np.random.default_rng(3)
    data = Data(rng.normal(size=(40, INPUTS)).astype(dtype), rng.integers(0, OUTPUTS, 40).astype(np.int32))
    rows = rng.integers(0, 40, (STEPS, BATCH)).astype(np.int32)
    parts = split({**case, "width": Width(SIZE, CAP), "kind": kind, "batch_size": BATCH}, floats=FLOATS)
    recipe = Recipe(Elastic, SPEC, task_of(SPEC.task), parts.signature)
    values = initial_values(recipe, parts.numbers, streams_of(jax.random.key(5)))
    has_dropout = kind in {"dropout", "all"}
    masks = keep_masks(values, STEPS) if has_dropout else np.ones((STEPS, BATCH, SIZE), bool)
    narrow = Narrow(kind, dtype)
    start_from(narrow, narrowed(values.parameters))
    narrow = native_training(narrow, case, data.inputs[rows], data.targets[rows], masks)
    lane, loss = elastic_training(recipe, values, parts.numbers, rows, data)
    assert np.isfinite(loss)
    narrow.eval()
    outputs, _ = apply(recipe, recipe.abstract.evaluation, lane.values, jnp.asarray(data.inputs))
    return values, lane, np.asarray(outputs), narrow, np.asarray(narrow(data.inputs))


def assert_masked_zero(tree):
    for leaf in jax.tree.map(np.array, jax.tree.leaves(nnx.to_pure_dict(tree))):
        leaf[tuple(slice(SIZE if length == CAP else length) for length in leaf.shape)] = 0
        assert not leaf.any()


PAIRS = [("linear", "adam"), ("layer_norm", "adamw"), ("batch_norm", "adamw"), ("dropout", "adam")]
ALL = [("all", case) for case in CASES]


def test_every_optimizer_is_compared():
    assert {case["optimizer"] for case in CASES.values()} == set(OPTIMIZERS)


@pytest.mark.parametrize(("kind", "case"), PAIRS + ALL)
def test_a_masked_model_trains_as_the_narrow_one_of_flax_in_float64(float64, kind, case):
    values, lane, outputs, narrow, expected = compare(kind, CASES[case], np.float64)
    ours = narrowed(lane.values.parameters)
    theirs = nnx.to_pure_dict(nnx.state(narrow, nnx.Param))
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-12), ours, theirs)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    assert_masked_zero(lane.values.parameters)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max() > 1e-3, ours, narrowed(values.parameters))
    assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize(("kind", "case"), [*(pytest.param(*pair, marks=pytest.mark.slow) for pair in PAIRS), *ALL])
def test_a_masked_model_trains_as_the_narrow_one_of_flax_in_float32(kind, case):
    _, lane, outputs, _, expected = compare(kind, CASES[case], np.float32)
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-5)
    assert_masked_zero(lane.values.parameters)


# Draws


def drawn(cap, size=SIZE, key=1):
    return elastic.Linear(Width(size, cap), Width(size, cap), rngs=nnx.Rngs(key))


def test_initial_values_do_not_depend_on_the_cap():
    small, large = drawn(8), drawn(64)
    assert np.array_equal(small.kernel[...][:SIZE, :SIZE], large.kernel[...][:SIZE, :SIZE])
    assert np.array_equal(elastic.Linear(SIZE, SIZE, rngs=nnx.Rngs(1)).kernel[...], small.kernel[...][:SIZE, :SIZE])
    for layer in (small, large):
        kernel = np.array(layer.kernel[...])
        assert np.count_nonzero(kernel) == SIZE * SIZE
        assert not np.asarray(layer.bias[...]).any()
        assert kernel.dtype == np.float32


def test_a_kernel_is_scaled_by_the_fan_in_in_use():
    layer = elastic.Linear(Width(64, 256), 500, rngs=nnx.Rngs(0))
    kernel = np.asarray(layer.kernel[...])[:64]
    assert abs(kernel.std() * 8 - 1) < 0.02


def test_initial_values_are_the_same_traced():
    def build(size):
        return elastic.Linear(Width(size, 8), Width(size, 8), rngs=nnx.Rngs(1)).kernel[...]

    np.testing.assert_allclose(jax.jit(build)(SIZE), drawn(8).kernel[...], rtol=2e-5, atol=1e-6)


def test_dropout_bits_do_not_depend_on_the_cap():
    x = jnp.ones((6, 64))
    small, large = (elastic.Dropout(0.4, rngs=nnx.Rngs(2)) for _ in range(2))
    seen = []
    for _ in range(3):
        narrow = small(x[:, :8])
        assert np.array_equal(narrow, large(x)[:, :8])
        seen.append(np.asarray(narrow).tobytes())
    assert len(set(seen)) == 3


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_and_the_mean(rate):
    dropout = elastic.Dropout(rate, rngs=nnx.Rngs(0))
    out = np.asarray(dropout(jnp.ones((500, 400))))
    bound = 5 * np.sqrt(rate * (1 - rate) / out.size)
    assert abs((out > 0).mean() - (1 - rate)) <= bound
    np.testing.assert_allclose(out[out > 0], 1 / (1 - rate), rtol=1e-6)
    dropout.eval()
    assert np.array_equal(dropout(jnp.asarray(out)), out)


def test_two_dropouts_draw_apart():
    rngs = nnx.Rngs(0)
    one, other = (np.asarray(elastic.Dropout(0.5, rngs=rngs)(jnp.ones((100, 100)))) > 0 for _ in range(2))
    assert abs((one == other).mean() - 0.5) < 0.03


# Masks


LAYERS = {
    "linear": lambda: drawn(8),
    "layer_norm": lambda: elastic.LayerNorm(Width(SIZE, CAP)),
    "batch_norm": lambda: elastic.BatchNorm(Width(SIZE, CAP)),
    "dropout then linear": lambda: nnx.Sequential(elastic.Dropout(0.5, rngs=nnx.Rngs(0)), drawn(8)),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("filler", [np.nan, np.inf, 1e30])
def test_nothing_behind_a_mask_leaks(kind, filler):
    x = np.random.default_rng(0).normal(size=(6, CAP)).astype(np.float32)
    spoilt = x.copy()
    spoilt[:, SIZE:] = filler
    results = []
    for batch in (x, spoilt):
        graph, parameters, rest = nnx.split(LAYERS[kind](), nnx.Param, ...)

        def loss(parameters, batch, graph=graph, rest=rest):
            module = nnx.merge(graph, parameters, rest, copy=True)
            out = module(batch)
            return (out**3).sum(), (out, nnx.state(module, nnx.BatchStat))

        grads, (out, stats) = jax.grad(loss, argnums=(0, 1), has_aux=True)(parameters, batch)
        results.append([np.asarray(leaf) for leaf in jax.tree.leaves((grads, out, stats))])
        assert not np.asarray(out)[:, SIZE:].any()
        assert not np.asarray(grads[1])[:, SIZE:].any()
        assert_masked_zero(grads[0])
    for clean, other in zip(*results, strict=True):
        assert np.isfinite(clean).all()
        assert clean.tobytes() == other.tobytes()


def test_a_norm_in_evaluation_uses_what_it_has_run_over():
    layer, native = (
        elastic.BatchNorm(Width(SIZE, CAP), momentum=0.9),
        nnx.BatchNorm(SIZE, momentum=0.9, rngs=nnx.Rngs(0)),
    )
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = jnp.asarray(rng.normal(2, 3, size=(20, CAP)), jnp.float32)
        layer(x)
        native(x[:, :SIZE])
    layer.eval()
    native.eval()
    np.testing.assert_allclose(layer(x)[:, :SIZE], native(x[:, :SIZE]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.mean[...][:SIZE], native.mean[...], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.var[...][:SIZE], native.var[...], rtol=1e-4)
