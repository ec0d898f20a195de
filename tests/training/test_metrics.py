"""Metrics against scikit-learn, whatever the padding and the batches, on random and degenerate inputs."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from sklearn import metrics as sklearn_metrics

from tests.helpers import make_arrays
from tuner.training.evaluation import merged, part_functions, reduced, sums_of
from tuner.training.metrics import BY_CLASS, CLASSIFICATION, NEXT_TOKEN, REGRESSION, of_class

ROWS = 37


def values(metrics, outputs, targets, scale=1.0, *, batch=10):
    """Each metric as ``evaluate`` makes it: padded batches, padding NaN and of weight 0."""
    functions = part_functions(metrics.values())
    padded = -(-len(outputs) // batch) * batch
    sums, kept, weights = {"rows": np.float64(len(outputs))}, [], []
    for first in range(0, padded, batch):
        index = np.arange(first, first + batch)
        weights.append((index < len(outputs)).astype(float))
        index = index % len(outputs)
        there = weights[-1].reshape(-1, *[1] * (outputs.ndim - 1)) > 0
        chunk = jnp.where(there, outputs[index], jnp.nan)
        for name, part in sums_of(merged(functions.summed, chunk, targets[index], scale), weights[-1]).items():
            sums[name] = sums.get(name, 0) + np.asarray(part, np.float64)
        kept.append(merged(functions.kept, chunk, targets[index], scale))
    stacked = {name: jnp.stack([batch[name] for batch in kept]) for name in kept[0]}
    sums |= reduced(functions, stacked, jnp.asarray(weights))
    folds = {name: np.asarray(total)[None] for name, total in sums.items()}
    found = {name: metric.of(folds) for name, metric in metrics.items()}
    assert all(np.shape(value) == (1,) for value in found.values())
    return {name: float(value[0]) for name, value in found.items()}


def quiet(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


def cases(classes):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, ROWS)
    yield "random", labels, rng.normal(size=(ROWS, classes))
    yield "right", labels, 5 * np.eye(classes)[labels] + 0.1 * rng.normal(size=(ROWS, classes))
    yield "ties", labels, np.round(rng.normal(size=(ROWS, classes)))
    yield "a class absent", labels * (labels != 1), rng.normal(size=(ROWS, classes))
    yield "all one class", np.zeros_like(labels), rng.normal(size=(ROWS, classes))
    yield "one class predicted", labels, np.eye(classes)[np.ones(ROWS, int)] + 0.01 * rng.random((ROWS, classes))
    yield "all the same scores", labels, np.ones((ROWS, classes))


def mean_area(labels, scores):
    """The mean of the one-vs-rest areas of the classes that have one."""
    areas = [
        sklearn_metrics.roc_auc_score(labels == index, scores[:, index])
        for index in range(scores.shape[1])
        if 0 < (labels == index).sum() < len(labels)
    ]
    return np.mean(areas) if areas else np.nan


def by_sklearn(labels, predicted, shares):
    """What scikit-learn says of predicted classes and of the classes' shares, areas apart."""
    options = {"average": "macro", "zero_division": 0}
    return {
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "precision": sklearn_metrics.precision_score(labels, predicted, **options),
        "recall": sklearn_metrics.recall_score(labels, predicted, **options),
        "f1": sklearn_metrics.f1_score(labels, predicted, **options),
        "log_loss": sklearn_metrics.log_loss(labels, shares, labels=range(shares.shape[1])),
    }


@pytest.mark.parametrize("batch", [10, 37, 64])
@pytest.mark.parametrize(("labels", "logits"), [case[1:] for case in cases(4)], ids=[case[0] for case in cases(4)])
def test_several_classes(float64, labels, logits, batch):
    found = values(CLASSIFICATION, logits, labels, batch=batch)
    predicted = logits.argmax(1)
    shares = np.asarray(jax.nn.softmax(logits))  # SciPy rounds differently, and what is tied here is not tied there
    expected = by_sklearn(labels, predicted, shares) | {
        "roc_auc": mean_area(labels, shares),
    }
    assert set(expected) == set(CLASSIFICATION)
    for name, number in expected.items():
        np.testing.assert_allclose(found[name], number, rtol=1e-9, err_msg=name)
    if len(set(labels)) == 4:
        whole = sklearn_metrics.roc_auc_score(labels, shares, multi_class="ovr", average="macro")
        np.testing.assert_allclose(found["roc_auc"], whole, rtol=1e-9)


@pytest.mark.parametrize(("labels", "logits"), [case[1:] for case in cases(2)], ids=[case[0] for case in cases(2)])
def test_two_classes(float64, labels, logits):
    logits = logits[:, 1:] - logits[:, :1]
    found = values(CLASSIFICATION, logits, labels)
    predicted, shares = logits[:, 0] > 0, scipy.special.expit(logits[:, 0])
    expected = by_sklearn(labels, predicted, np.stack([1 - shares, shares], 1)) | {
        "roc_auc": quiet(sklearn_metrics.roc_auc_score, labels, shares),
    }
    for name, number in expected.items():
        np.testing.assert_allclose(found[name], number, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize(("labels", "logits"), [case[1:] for case in cases(4)], ids=[case[0] for case in cases(4)])
def test_each_class(labels, logits):
    options = {"average": None, "zero_division": 0, "labels": range(4)}
    for kind in BY_CLASS:
        score = getattr(sklearn_metrics, f"{kind}_score")
        expected = score(labels, logits.argmax(1), **options)
        for index in range(4):
            found = values({"it": of_class(kind, index)}, logits, labels)
            np.testing.assert_allclose(found["it"], expected[index], rtol=1e-6)


def test_the_confusion_matrix_is_exact_beyond_what_float32_counts():
    labels = np.zeros(3, int)
    functions = part_functions([CLASSIFICATION["accuracy"]])
    sums = sums_of(merged(functions.summed, np.eye(3)[[0, 1, 0]], labels, None), jnp.ones(3))["confusion"]
    assert sums.dtype == jnp.int32
    assert sums.tolist() == [[2, 1, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("outputs", [1, 3])
def test_regression_in_the_units_of_the_data(float64, outputs):
    rng = np.random.default_rng(0)
    mean, scale = rng.normal(size=outputs) * 1000, rng.uniform(0.1, 30, outputs)
    targets = rng.normal(size=(ROWS, outputs))
    predictions = targets + 0.5 * rng.normal(size=(ROWS, outputs))
    found = values(REGRESSION, predictions, targets, scale)
    true, predicted = targets * scale + mean, predictions * scale + mean
    expected = {
        "mae": sklearn_metrics.mean_absolute_error(true, predicted),
        "mse": sklearn_metrics.mean_squared_error(true, predicted),
        "rmse": np.sqrt(sklearn_metrics.mean_squared_error(true, predicted)),
        "r2": sklearn_metrics.r2_score(true, predicted),
    }
    assert set(expected) == set(REGRESSION)
    for name, number in expected.items():
        np.testing.assert_allclose(found[name], number, rtol=1e-9, err_msg=name)


def test_next_tokens_count_only_where_there_are_some(float64):
    rng = np.random.default_rng(0)
    logits, tokens = rng.normal(size=(ROWS, 5, 7)), rng.integers(0, 7, (ROWS, 5))
    tokens[:, 3:] = np.where(rng.random((ROWS, 2)) < 0.5, -1, tokens[:, 3:])
    found = values(NEXT_TOKEN, logits, tokens)
    there = tokens >= 0
    shares = scipy.special.softmax(logits[there], -1)
    log_loss = sklearn_metrics.log_loss(tokens[there], shares, labels=range(7))
    np.testing.assert_allclose(found["perplexity"], np.exp(log_loss), rtol=1e-9)
    assert found["accuracy"] == sklearn_metrics.accuracy_score(tokens[there], logits[there].argmax(-1))


def test_metrics_keep_the_folds_apart():
    confusion = np.array([[[1.0, 1.0], [0.0, 0.0]], [[3.0, 0.0], [1.0, 0.0]]])
    sums = {"confusion": confusion, "log_loss": np.array([2.0, 8.0]), "rows": np.array([2.0, 4.0])}
    assert CLASSIFICATION["accuracy"].of(sums).tolist() == [0.5, 0.75]
    assert CLASSIFICATION["log_loss"].of(sums).tolist() == [1.0, 2.0]
    np.testing.assert_allclose(of_class("precision", 0).of(sums), [1.0, 0.75])
    column = np.array([[4.0, 2.0], [16.0, 8.0]])
    assert REGRESSION["mse"].of({"squared": column, "rows": sums["rows"]}).tolist() == [1.5, 3.0]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_an_engine_s_metrics_are_scikit_learn_s(float64, task):
    """The whole way: fold statistics, batches of evaluation, units."""
    from tests.helpers import parameters_of
    from tuner.lanes.engine import Engine
    from tuner.models import MLP

    asked = ["roc_auc", "log_loss"] if task == "classification" else []
    arrays = make_arrays(task, outputs=3 if task == "classification" else 2, asked=asked)
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
            shares = scipy.special.softmax(raw, 1)
            expected = {
                "loss": sklearn_metrics.log_loss(true, shares, labels=range(3)),
                "accuracy": sklearn_metrics.accuracy_score(true, raw.argmax(1)),
                "precision": sklearn_metrics.precision_score(true, raw.argmax(1), average="macro", zero_division=0),
                "recall": sklearn_metrics.recall_score(true, raw.argmax(1), average="macro", zero_division=0),
                "f1": sklearn_metrics.f1_score(true, raw.argmax(1), average="macro", zero_division=0),
                "log_loss": sklearn_metrics.log_loss(true, shares, labels=range(3)),
                "roc_auc": sklearn_metrics.roc_auc_score(true, shares, multi_class="ovr"),
            }
        else:
            predicted = raw * part.statistics.target_scale + part.statistics.target_mean
            expected = {
                "loss": ((predicted - true) ** 2 / part.statistics.target_scale**2).mean(),
                "mae": sklearn_metrics.mean_absolute_error(true, predicted),
                "mse": sklearn_metrics.mean_squared_error(true, predicted),
                "rmse": np.sqrt(sklearn_metrics.mean_squared_error(true, predicted)),
                "r2": sklearn_metrics.r2_score(true, predicted),
            }
        assert set(expected) == set(result.metrics)
        for name, number in expected.items():
            np.testing.assert_allclose(result.metrics[name][fold], number, rtol=1e-9, err_msg=name)
