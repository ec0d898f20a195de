"""Random shifts and flips image by image, and mixup, statistically."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from tuner.nn.random import fold_in
from tuner.training.augmentation import augmented, draws, mixing, neighbours

WORDS = np.array([3, 5], np.uint32)


def images(count, height=12, width=10):
    """One bright pixel in the middle of each image."""
    found = np.zeros((count, height, width, 1), np.float32)
    found[:, height // 2, width // 2] = 1
    return jnp.asarray(found)


def places(batch):
    """Where each image's bright pixel is: (images, 2)."""
    return np.argwhere(np.asarray(batch)[..., 0] == 1)[:, 1:]


def test_shifts_are_even_over_all_whole_pixels_up_to_the_share():
    moved = augmented({"random_shift": 0.25}, images(6000), WORDS)
    offsets = places(moved) - [6, 5]
    assert len(offsets) == 6000
    for axis, most in ((0, 3), (1, 2)):  # a quarter of 12 and of 10, in whole pixels
        seen, counts = np.unique(offsets[:, axis], return_counts=True)
        assert seen.tolist() == list(range(-most, most + 1))
        assert scipy.stats.chisquare(counts).pvalue > 1e-3
    assert abs(np.corrcoef(offsets.T)[0, 1]) < 0.05


def test_what_comes_in_from_outside_is_zero():
    batch = jnp.ones((200, 8, 8))
    moved = np.asarray(augmented({"random_shift": 0.25}, batch, WORDS))
    assert set(np.unique(moved)) == {0.0, 1.0}
    rows, columns = moved.max(2).sum(1), moved.max(1).sum(1)
    assert set(rows) == set(columns) == {6.0, 7.0, 8.0}
    np.testing.assert_array_equal(moved.sum((1, 2)), rows * columns)


def test_every_second_image_is_mirrored():
    batch = jnp.asarray(np.random.default_rng(0).random((4000, 3, 4, 2)))
    flipped = np.asarray(augmented({"random_flip": True}, batch, WORDS))
    is_mirrored = (flipped == np.asarray(batch)[:, :, ::-1]).all((1, 2, 3))
    is_same = (flipped == np.asarray(batch)).all((1, 2, 3))
    assert (is_mirrored ^ is_same).all()
    assert scipy.stats.binomtest(int(is_mirrored.sum()), 4000).pvalue > 1e-3


def test_a_share_is_a_number_and_a_batch_depends_on_the_words_alone():
    batch = images(50)
    by_number = jax.jit(lambda share: augmented({"random_shift": share}, batch, WORDS))
    np.testing.assert_array_equal(by_number(0.25), augmented({"random_shift": 0.25}, batch, WORDS))
    np.testing.assert_array_equal(by_number(0.0), batch)
    np.testing.assert_array_equal(by_number(0.25)[:20], augmented({"random_shift": 0.25}, batch[:20], WORDS))
    other = augmented({"random_shift": 0.25}, batch, fold_in(WORDS, 1))
    assert not np.array_equal(other, by_number(0.25))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_of_mixup_are_beta_distributed(alpha):
    each = jax.jit(jax.vmap(lambda step: mixing({"mixup": alpha}, fold_in(jnp.asarray(WORDS), step))))
    shares = np.asarray(each(jnp.arange(4000)), np.float64)
    assert scipy.stats.kstest(shares, scipy.stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_nothing_is_drawn_where_nothing_is_asked_for():
    assert not draws({"learning_rate": 0.1, "random_flip": False, "mixup": None})
    assert mixing({}, WORDS) is None
    for given in ({"random_flip": True}, {"random_shift": 0.0}, {"mixup": 0.2}):
        assert draws(given)
    batch = images(3)
    assert augmented({}, batch, WORDS) is batch


def test_each_example_is_mixed_with_another():
    labels = neighbours({"x": jnp.arange(5), "y": jnp.arange(10).reshape(5, 2)})
    assert labels["x"].tolist() == [4, 0, 1, 2, 3]
    assert labels["y"][0].tolist() == [8, 9]


def test_mixup_trains_on_mixed_losses(float64):
    """A step with mixup has the gradient of the formula: inputs mixed, losses mixed by the same share."""
    from flax import nnx

    from tests.helpers import make_arrays
    from tuner.hyperparameters import split
    from tuner.models import MLP
    from tuner.training.lane import Bounds, start, train_epoch
    from tuner.training.recipe import Recipe, initial_values, streams_of
    from tuner.training.settings import FLOATS

    arrays = make_arrays(folds=2)
    given = {"hidden": [4], "optimizer": "sgd", "learning_rate": 0.5, "batch_size": 8, "mixup": 0.4}
    parts = split(given, floats=FLOATS)
    recipe = Recipe(MLP, arrays.spec, arrays.task, parts.signature)
    fold = jax.tree.map(lambda leaf: leaf[0], arrays.stacked(arrays.folds, 8))
    values = initial_values(recipe, parts.numbers, streams_of(jax.random.key(0)))
    numbers = {path: jnp.asarray(number, jnp.float64) for path, number in parts.numbers.items()}
    lane = start(recipe, values, numbers, jnp.asarray(WORDS))
    data = arrays.pieces.data(0)
    order = jnp.asarray(arrays.folds[0].train[:8].reshape(1, 8))
    fold = fold._replace(steps=np.int32(1))
    after, loss = train_epoch(recipe, data, fold, order, Bounds(np.int32(1), None, np.int32(1)), lane)

    share = mixing({"mixup": 0.4}, fold_in(jnp.asarray(WORDS), 0))
    rows = order[0]
    x, y = (data.inputs[rows] - fold.mean) / fold.scale, data.targets[rows]
    mixed = share * x + (1 - share) * jnp.roll(x, 1, axis=0)

    def expected(parameters):
        module = nnx.merge(recipe.abstract.training, parameters, values.other)
        log_p = jax.nn.log_softmax(module(mixed))
        pick = lambda labels: -log_p[jnp.arange(8), labels]
        return (share * pick(y) + (1 - share) * pick(jnp.roll(y, 1))).mean()

    value, slope = jax.value_and_grad(expected)(values.parameters)
    np.testing.assert_allclose(loss, value, rtol=1e-9)
    moved = jax.tree.map(lambda old, new: (old - new) / 0.5, values.parameters, after.values.parameters)
    for ours, theirs in zip(jax.tree.leaves(moved), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-12)
