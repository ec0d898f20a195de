"""Losses and metrics against scikit-learn, whatever the padding and the batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from sklearn import metrics as sklearn_metrics

from tests.helpers import make_arrays
from tuner.data import Spec
from tuner.errors import InputError
from tuner.training.lane import _weighted_sum
from tuner.training.tasks import BINARY, METRICS, MULTICLASS, REGRESSION, metric_of, task_of

ROWS = 37


def sums_of(task, outputs, targets, scale, *, batch=10):
    """The sums over all rows as ``evaluate`` makes them: padded batches, padding NaN and of weight 0."""
    padded = -(-len(outputs) // batch) * batch
    totals = {}
    for first in range(0, padded, batch):
        index = np.arange(first, first + batch)
        weights = (index < len(outputs)).astype(float)
        index = index % len(outputs)
        chunk = jnp.where(weights[:, None] > 0, outputs[index], jnp.nan)
        parts = task.parts(chunk, targets[index], scale)
        parts |= {"loss": task.losses(chunk, targets[index], None), "rows": jnp.ones_like(weights)}
        for name, part in parts.items():
            totals[name] = totals.get(name, 0) + np.asarray(_weighted_sum(part, weights), np.float64)
    return {name: np.asarray(total)[None] for name, total in totals.items()}  # the folds' axis


def value(task, name, sums):
    result = task.metrics[name].of(sums)
    assert np.shape(result) == (1,)
    return result[0]


def test_multiclass(float64):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(ROWS, 4)), rng.integers(0, 4, ROWS)
    sums = sums_of(MULTICLASS, logits, labels, np.ones(4))
    assert sums["rows"] == ROWS
    assert value(MULTICLASS, "accuracy", sums) == sklearn_metrics.accuracy_score(labels, logits.argmax(1))
    expected = sklearn_metrics.log_loss(labels, scipy.special.softmax(logits, 1), labels=range(4))
    np.testing.assert_allclose(value(MULTICLASS, "log_loss", sums), expected, rtol=1e-9)
    np.testing.assert_allclose(value(MULTICLASS, "loss", sums), expected, rtol=1e-9)


def test_binary(float64):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(ROWS, 1)), rng.integers(0, 2, ROWS)
    sums = sums_of(BINARY, logits, labels, np.ones(1))
    assert value(BINARY, "accuracy", sums) == sklearn_metrics.accuracy_score(labels, logits[:, 0] > 0)
    expected = sklearn_metrics.log_loss(labels, scipy.special.expit(logits[:, 0]))
    np.testing.assert_allclose(value(BINARY, "log_loss", sums), expected, rtol=1e-9)


@pytest.mark.parametrize("outputs", [1, 3])
def test_regression_in_the_units_of_the_data(float64, outputs):
    rng = np.random.default_rng(0)
    mean, scale = rng.normal(size=outputs) * 1000, rng.uniform(0.1, 30, outputs)
    targets = rng.normal(size=(ROWS, outputs))
    predictions = targets + 0.5 * rng.normal(size=(ROWS, outputs))
    sums = sums_of(REGRESSION, predictions, targets, scale)
    true, predicted = targets * scale + mean, predictions * scale + mean
    expected = {
        "mae": sklearn_metrics.mean_absolute_error(true, predicted),
        "mse": sklearn_metrics.mean_squared_error(true, predicted),
        "rmse": np.sqrt(sklearn_metrics.mean_squared_error(true, predicted)),
        "r2": sklearn_metrics.r2_score(true, predicted),
        "loss": ((targets - predictions) ** 2).mean(),
    }
    assert set(expected) == set(METRICS["regression"])
    for name, number in expected.items():
        np.testing.assert_allclose(value(REGRESSION, name, sums), number, rtol=1e-9, err_msg=name)


def test_metrics_keep_the_folds_apart():
    sums = {"correct": np.array([1.0, 3.0]), "loss": np.array([2.0, 8.0]), "rows": np.array([2.0, 4.0])}
    assert MULTICLASS.metrics["accuracy"].of(sums).tolist() == [0.5, 0.75]
    assert MULTICLASS.metrics["log_loss"].of(sums).tolist() == [1.0, 2.0]
    column = np.array([[4.0, 2.0], [16.0, 8.0]])
    sums = {
        "squared": column,
        "absolute": column,
        "target": column,
        "target_squared": 100 * column,
        "rows": sums["rows"],
    }
    assert REGRESSION.metrics["mse"].of(sums).tolist() == [1.5, 3.0]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_an_engine_s_metrics_are_scikit_learn_s(float64, task):
    """The whole way: fold statistics, batches of evaluation, units."""
    from tests.helpers import parameters_of
    from tuner.lanes.engine import Engine
    from tuner.models import MLP

    arrays = make_arrays(task, outputs=3 if task == "classification" else 2)
    engine = Engine(MLP, arrays, slots=1, seed=0)
    engine.add(0, {"hidden": [6], "learning_rate": 0.01, "batch_size": 16})
    assert engine.seat() == {}
    result = engine.advance()[0]
    hidden_bias, hidden, bias, output = parameters_of(engine, 0)
    for fold, part in enumerate(arrays.folds):
        x = (arrays.prepared.inputs[part.validation] - part.statistics.mean) / part.statistics.scale
        raw = np.maximum(x @ hidden[fold] + hidden_bias[fold], 0) @ output[fold] + bias[fold]
        true = arrays.prepared.targets[part.validation]
        if task == "classification":
            expected = {
                "accuracy": sklearn_metrics.accuracy_score(true, raw.argmax(1)),
                "log_loss": sklearn_metrics.log_loss(true, scipy.special.softmax(raw, 1), labels=range(3)),
            }
        else:
            predicted = raw * part.statistics.target_scale + part.statistics.target_mean
            expected = {
                "mae": sklearn_metrics.mean_absolute_error(true, predicted),
                "mse": sklearn_metrics.mean_squared_error(true, predicted),
                "rmse": np.sqrt(sklearn_metrics.mean_squared_error(true, predicted)),
                "r2": sklearn_metrics.r2_score(true, predicted),
            }
        for name, number in expected.items():
            np.testing.assert_allclose(result.metrics[name][fold], number, rtol=1e-9, err_msg=name)


# Label smoothing


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_label_smoothing_mixes_with_the_uniform_distribution(float64, smoothing):
    rng = np.random.default_rng(0)
    logits, labels = jnp.asarray(rng.normal(size=(ROWS, 4))), rng.integers(0, 4, ROWS)
    log_p = scipy.special.log_softmax(logits, 1)
    hard, uniform = -log_p[np.arange(ROWS), labels], -log_p.mean(1)
    expected = (1 - smoothing) * hard + smoothing * uniform
    np.testing.assert_allclose(MULTICLASS.losses(logits, labels, smoothing), expected, rtol=1e-9)
    logits, labels = logits[:, :1], labels % 2
    log_p = np.concatenate([-np.logaddexp(0, logits), -np.logaddexp(0, -logits)], 1)
    expected = -(1 - smoothing) * log_p[np.arange(ROWS), labels] - smoothing * log_p.mean(1)
    np.testing.assert_allclose(BINARY.losses(logits, labels, smoothing), expected, rtol=1e-9)


def test_without_smoothing_the_losses_are_those_of_smoothing_zero():
    logits, labels = jnp.eye(4) * 3, np.array([0, 1, 2, 0])
    np.testing.assert_allclose(
        MULTICLASS.losses(logits, labels, None), MULTICLASS.losses(logits, labels, 0.0), rtol=1e-6
    )
    assert MULTICLASS.losses(logits, labels, None).dtype == jnp.float32
    assert MULTICLASS.losses(logits, labels, None).shape == (4,)


def test_losses_stay_finite_at_large_logits():
    for task, logits in ((MULTICLASS, np.array([[200.0, -200.0]])), (BINARY, np.array([[-200.0]]))):
        slope = jax.grad(lambda x, task=task: task.losses(x, np.array([1]), None).sum())(jnp.asarray(logits))
        assert np.isfinite(task.losses(jnp.asarray(logits), np.array([1]), None)).all()
        assert np.isfinite(slope).all()


# Names


def test_a_task_follows_from_the_spec():
    assert task_of(Spec((3,), 1, "classification")) is BINARY
    assert task_of(Spec((3,), 2, "classification")) is MULTICLASS
    assert task_of(Spec((3,), 1, "regression")) is REGRESSION


def test_a_direction_comes_with_each_metric():
    up = {name for metrics in METRICS.values() for name, metric in metrics.items() if metric.direction == "maximize"}
    assert up == {"accuracy", "r2"}


def test_a_metric_that_does_not_exist_or_fit_is_refused():
    with pytest.raises(InputError, match=r"no such metric: acuracy\. Did you mean 'accuracy'"):
        metric_of("acuracy", "classification")
    with pytest.raises(InputError, match="does not fit a regression: accuracy"):
        metric_of("accuracy", "regression")
    assert metric_of("r2", "regression") is METRICS["regression"]["r2"]
