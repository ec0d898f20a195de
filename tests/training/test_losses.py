"""Losses against their formulas and Optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special

from tests.helpers import make_arrays
from tuner.hyperparameters import Signature
from tuner.models import MLP
from tuner.training.lane import _losses
from tuner.training.losses import classification_losses, next_token_losses, regression_losses
from tuner.training.recipe import Recipe
from tuner.training.settings import setting

ROWS = 37


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_label_smoothing_mixes_with_the_uniform_distribution(float64, smoothing):
    rng = np.random.default_rng(0)
    logits, labels = jnp.asarray(rng.normal(size=(ROWS, 4))), rng.integers(0, 4, ROWS)
    log_p = scipy.special.log_softmax(logits, 1)
    hard, uniform = -log_p[np.arange(ROWS), labels], -log_p.mean(1)
    expected = (1 - smoothing) * hard + smoothing * uniform
    given = {"label_smoothing": smoothing}
    np.testing.assert_allclose(classification_losses(logits, labels, given), expected, rtol=1e-9)
    logits, labels = logits[:, :1], labels % 2
    log_p = np.concatenate([-np.logaddexp(0, logits), -np.logaddexp(0, -logits)], 1)
    expected = -(1 - smoothing) * log_p[np.arange(ROWS), labels] - smoothing * log_p.mean(1)
    np.testing.assert_allclose(classification_losses(logits, labels, given), expected, rtol=1e-9)


def test_without_smoothing_the_losses_are_those_of_smoothing_zero():
    logits, labels = jnp.eye(4) * 3, np.array([0, 1, 2, 0])
    plain = classification_losses(logits, labels, {})
    np.testing.assert_allclose(plain, classification_losses(logits, labels, {"label_smoothing": 0.0}), rtol=1e-6)
    assert plain.dtype == jnp.float32
    assert plain.shape == (4,)


def test_losses_stay_finite_at_large_logits():
    for logits in (np.array([[200.0, -200.0]]), np.array([[-200.0]])):
        losses = classification_losses(jnp.asarray(logits), np.array([1]), {})
        slope = jax.grad(lambda x: classification_losses(x, np.array([1]), {}).sum())(jnp.asarray(logits))
        assert np.isfinite(losses).all()
        assert np.isfinite(slope).all()


def test_regression_losses(float64):
    rng = np.random.default_rng(0)
    outputs, targets = jnp.asarray(rng.normal(size=(2, ROWS, 3)))
    squared = regression_losses(outputs, targets, {})
    np.testing.assert_allclose(squared, ((outputs - targets) ** 2).mean(1), rtol=1e-12)
    np.testing.assert_allclose(regression_losses(outputs, targets, {"loss": "mean_squared_error"}), squared)
    for delta in (0.3, 2.0):
        found = regression_losses(outputs, targets, {"loss": "huber", "huber_delta": delta})
        np.testing.assert_allclose(found, optax.huber_loss(outputs, targets, delta=delta).mean(1), rtol=1e-12)
    np.testing.assert_allclose(
        regression_losses(outputs, targets, {"loss": "huber"}), optax.huber_loss(outputs, targets).mean(1), rtol=1e-12
    )


def test_next_token_losses_are_means_over_the_tokens_that_are_there(float64):
    rng = np.random.default_rng(0)
    logits, tokens = rng.normal(size=(3, 4, 5)), rng.integers(0, 5, (3, 4))
    tokens[1, 2:] = tokens[2] = -1
    found = next_token_losses(jnp.asarray(logits), tokens, {})
    log_p = scipy.special.log_softmax(logits, -1)
    each = [[-log_p[row, time, tokens[row, time]] for time in range(4) if tokens[row, time] >= 0] for row in range(3)]
    np.testing.assert_allclose(found, [np.mean(each[0]), np.mean(each[1]), 0], rtol=1e-12)


# Class weights


def weighed(weights, **options):
    """The losses of some examples with class weights over those without, and their labels."""
    arrays = make_arrays(**options)
    fold = jax.tree.map(lambda leaf: leaf[0], arrays.stacked(arrays.folds, 8))
    recipe = Recipe(MLP, arrays.spec, arrays.task, Signature(()))
    labels = arrays.prepared.targets[arrays.folds[0].train]
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(len(labels), arrays.spec.outputs)))
    with_weights, without = (
        _losses(recipe, fold, {"class_weights": given}, outputs, jnp.asarray(labels)) for given in (weights, None)
    )
    return np.asarray(with_weights / without), labels


@pytest.mark.parametrize("outputs", [1, 3])
def test_balanced_weights_are_scikit_learn_s_of_the_fold_s_training_rows(outputs):
    from sklearn.utils.class_weight import compute_sample_weight

    ratios, labels = weighed("balanced", outputs=outputs)
    np.testing.assert_allclose(ratios, compute_sample_weight("balanced", labels), rtol=1e-5)


def test_given_weights_are_those_of_the_sorted_labels():
    ratios, labels = weighed([0.5, 1.0, 4.0])
    np.testing.assert_allclose(ratios, np.array([0.5, 1.0, 4.0])[labels], rtol=1e-5)


def test_a_regression_has_no_class_weights():
    ratios, _ = weighed("balanced", task="regression", outputs=2)
    assert (ratios == 1).all()
    assert setting({}, "class_weights") is None
