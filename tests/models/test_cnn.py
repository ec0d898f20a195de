"""The convolutional network: its numbers across caps, against Flax's layers, and the shapes it takes."""

import jax
import jax.numpy as jnp
import numpy as np
import optuna
import pytest
from flax import nnx

from search_spaces.cnn import small_cnn
from tuner import InputError, Width
from tuner.data import Spec
from tuner.hyperparameters import split
from tuner.models import CNN
from tuner.training.lane import Bounds, Data, Fold, start, train_epoch
from tuner.training.recipe import Recipe, initial_values, streams_of
from tuner.training.settings import FLOATS
from tuner.training.tasks import task_of

SIZES, STEPS, EPOCHS = (3, 5), 5, 4
SPEC = Spec((9, 6), 3, "classification")
WORDS = np.zeros(2, np.uint32)
PLACES = 2 * 1  # what two poolings leave of 9 x 6


def point(caps=(None, None), **changes):
    widths = [size if cap is None else Width(size, cap) for size, cap in zip(SIZES, caps, strict=True)]
    return {"channels": widths, "learning_rate": 0.03, "batch_size": 8, "dropout": 0.25, **changes}


def built(hyperparameters, spec=SPEC):
    return CNN(hyperparameters, spec, nnx.Rngs(0))


def trained(hyperparameters):
    """Losses of each epoch and lane of two lanes side by side, and their parameters."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 40).astype(np.int32)
    images = rng.random((40, 9, 6)) + (np.arange(9)[:, None] // 3 == targets[:, None, None])
    data = Data(jnp.asarray(images), jnp.asarray(targets))
    fold = Fold(
        *np.array([0.0, 1.0]), np.zeros(3), *np.ones((2, 3)), *np.int32([STEPS, 20]), np.zeros((1, 8), int), None
    )
    orders = rng.integers(0, 40, (2, STEPS, 8))
    parts = split(hyperparameters, floats=FLOATS)
    recipe = Recipe(CNN, SPEC, task_of(SPEC.task), parts.signature)
    numbers = {path: jnp.asarray(value, recipe.number_shapes[path].dtype) for path, value in parts.numbers.items()}
    lanes = [
        start(recipe, initial_values(recipe, parts.numbers, streams_of(jax.random.key(lane))), numbers, WORDS)
        for lane in range(2)
    ]
    lane = jax.tree.map(lambda *leaves: jnp.stack(leaves), *lanes)
    bounds = Bounds(np.int32(STEPS), None, np.int32(1))
    train = jax.jit(jax.vmap(lambda lane, order: train_epoch(recipe, data, fold, order, bounds, lane)))
    losses = []
    for _ in range(EPOCHS):
        lane, loss = train(lane, orders)
        losses.append(loss)
    return np.array(losses), [np.asarray(leaf) for leaf in jax.tree.leaves(lane.values.parameters)]


def in_use(leaf, caps):
    """The entries of a parameter (lanes, ...) within the sizes."""
    sizes = dict(zip(caps, SIZES, strict=True))
    return leaf[(slice(None), *(slice(sizes.get(length, length)) for length in leaf.shape[1:]))]


@pytest.mark.parametrize("caps", [(11, 8), (16, 64)], ids=str)
def test_caps_do_not_move_a_training(float64, caps):
    (expected, narrow), (rows, wide) = trained(point()), trained(point(caps))
    assert (expected[-1] < 0.9 * expected[0]).all()  # it has learnt
    np.testing.assert_allclose(rows, expected, rtol=1e-9)
    assert len(narrow) == len(wide) == 6
    for one, other in zip(narrow, wide, strict=True):
        used = in_use(other, caps)
        np.testing.assert_allclose(used.reshape(one.shape), one, rtol=1e-9, atol=1e-12)
        assert np.count_nonzero(used) == np.count_nonzero(other)


def test_it_is_the_network_of_flax_layers(float64):
    ours = built(point((4, 8), hidden=[Width(4, 6)], dropout=0.5, activation="tanh"))
    ours.eval()
    first, second = (np.asarray(layer.kernel[...]) for layer in ours.convolutions)
    hidden, output = (np.asarray(layer.kernel[...]) for layer in ours.dense)
    kernels = [first[..., :3], second[:, :, :3, :5]]
    hidden = hidden.reshape(PLACES, 8, 6)[:, :5, :4].reshape(PLACES * 5, 4)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(7, 9, 6)))
    y = x[..., None]
    for kernel in kernels:
        layer = nnx.Conv(*kernel.shape[2:], (3, 3), param_dtype=jnp.float64, rngs=nnx.Rngs(0))
        layer.kernel[...] = kernel
        y = nnx.max_pool(nnx.tanh(layer(y)), (2, 2), (2, 2))
    expected = nnx.tanh(y.reshape(7, -1) @ hidden) @ output[:4]
    np.testing.assert_allclose(ours(x), expected, rtol=1e-9)
    np.testing.assert_allclose(ours(x[..., None]), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("shape", "dense_inputs"),
    [((28, 28), 7 * 7), ((9, 6, 3), 2 * 1), ((2, 5), 1 * 2), ((1, 5), 1 * 5), ((3, 3, 1), 1)],
    ids=str,
)
def test_pooling_ends_where_an_image_is_one_pixel_wide(shape, dense_inputs):
    model = built({"channels": [4, 6]}, Spec(shape, 2, "classification"))
    assert model.dense[0].kernel.size == dense_inputs * 6 * 2
    assert model.convolutions[0].kernel.shape == (3, 3, (*shape, 1)[2], 4)
    assert model(jnp.ones((3, *shape))).shape == (3, 2)


def test_dropout_does_not_depend_on_the_cap(float64):
    x = jnp.asarray(np.random.default_rng(1).normal(size=(7, 9, 6)))
    narrow, wide = built(point(hidden=[4])), built(point((8, 16), hidden=[Width(4, 32)]))
    for _ in range(2):
        np.testing.assert_allclose(wide(x), narrow(x), rtol=1e-9)


def test_no_convolutions_and_other_kernels():
    assert built({"channels": [], "kernel_size": 5})(jnp.ones((2, 9, 6))).shape == (2, 3)
    assert built({"channels": [4], "kernel_size": 5}).convolutions[0].kernel.shape == (5, 5, 1, 4)


def test_what_is_no_image_is_named():
    with pytest.raises(InputError, match="images"):
        built({}, Spec((64,), 10, "classification"))
    with pytest.raises(InputError, match="activation"):
        built({"activation": "rleu"})


@pytest.mark.parametrize("seed", range(3))
def test_its_search_space_fits_it(seed):
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    hyperparameters = small_cnn(trial)
    model = built(hyperparameters, Spec((8, 8, 1), 10, "classification"))
    assert model(jnp.ones((2, 8, 8, 1))).shape == (2, 10)
    assert [layer.kernel.shape[-1] for layer in model.convolutions] == [32, 64]
