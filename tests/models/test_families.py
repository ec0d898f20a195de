"""Every family of the zoo: it trains, whatever its caps, and finds what there is to find."""

import numpy as np
import pytest

from tests.helpers import parameters_of
from tuner import Dataset, Experiment, InputError, Width, datasets, models
from tuner.data import Spec
from tuner.experiment import arrays_of
from tuner.lanes.engine import Engine
from tuner.training.recipe import Recipe, streams_of


def images(rng):
    labels = rng.integers(0, 3, 90)
    pixels = rng.random((90, 9, 6)) + (np.arange(9)[:, None] // 3 == labels[:, None, None])
    return Dataset(pixels, labels, "classification")


def sequences(rng):
    labels = rng.integers(0, 3, 90)
    rows = [
        rng.normal(label, 0.5, size=(length, 2)) for label, length in zip(labels, rng.integers(2, 6, 90), strict=True)
    ]
    return Dataset(rows, labels, "classification")


def words(rng):
    labels = rng.integers(0, 2, 90)
    rows = [
        rng.integers(0, 3, length) + 2 * label for label, length in zip(labels, rng.integers(2, 6, 90), strict=True)
    ]
    return Dataset(rows, labels, "classification", vocabulary=tuple("abcde"))


def text(rng):
    del rng
    data = datasets.stdlib_text(8)
    return Dataset(data.inputs[:90], data.targets[:90], "next_token", vocabulary=data.vocabulary)


def table(rng):
    numbers, kinds = rng.normal(size=(90, 2)), rng.integers(0, 3, 90)
    inputs = np.concatenate([numbers[:, :1], np.eye(3)[kinds], numbers[:, 1:]], 1)
    return Dataset(inputs, numbers[:, 0] + kinds, "regression", categories=((1, 4),))


SHARED = {"batch_size": 16, "learning_rate": 0.01}
FAMILIES = {
    "mlp": (models.MLP, table, lambda cap: {"hidden": [Width(5, cap), Width(4, cap)], "norm": "layer", "embedding": 2}),
    "cnn": (models.CNN, images, lambda cap: {"channels": [Width(3, cap), Width(5, cap)], "norm": "batch"}),
    "resnet, batch": (models.ResNet, images, lambda cap: {"channels": [Width(3, cap), Width(5, cap)], "blocks": 2}),
    "resnet, group": (models.ResNet, images, lambda cap: {"channels": [Width(3, cap), Width(5, cap)], "norm": "group"}),
    "rnn": (models.RNN, sequences, lambda cap: {"hidden": [Width(5, cap), Width(4, cap)], "cell": "rnn"}),
    "gru": (models.RNN, sequences, lambda cap: {"hidden": [Width(5, cap)], "cell": "gru"}),
    "lstm": (models.RNN, words, lambda cap: {"hidden": [Width(5, cap)], "embedding": Width(3, cap), "cell": "lstm"}),
    "encoder of numbers": (
        models.TransformerEncoder,
        sequences,
        lambda cap: {"features": Width(6, cap), "heads": Width(2, cap), "head_size": 3, "feedforward": Width(5, cap)},
    ),
    "encoder of tokens": (
        models.TransformerEncoder,
        words,
        lambda cap: {"features": Width(6, cap), "heads": 2, "head_size": 3, "layers": 1},
    ),
    "gpt": (models.GPT, text, lambda cap: {"features": Width(6, cap), "heads": Width(2, cap), "head_size": 3}),
}
METRICS = {"regression": "mae", "classification": "accuracy", "next_token": "perplexity"}


def engine_of(family, seed=0):
    model, data, _ = FAMILIES[family]
    found = data(np.random.default_rng(0))
    space = lambda trial: {}
    experiment = Experiment(
        name="it", data=found, model=model, search_space=space, metric=METRICS[found.task], folds=2, epochs=20
    )
    return Engine(model, arrays_of(experiment), slots=1, seed=seed)


def trained(engine, hyperparameters, epochs):
    engine.add(0, SHARED | hyperparameters)
    failures = engine.seat()
    assert failures == {}, failures
    return [engine.advance()[0] for _ in range(epochs)]


@pytest.mark.parametrize("family", FAMILIES)
def test_caps_do_not_move_a_training(float64, family):
    runs = []
    for cap in (6, 8):
        engine = engine_of(family)
        results = trained(engine, FAMILIES[family][2](cap) | {"dropout": 0.2}, epochs=3)
        leaves = parameters_of(engine, 0)
        runs.append((results, [np.count_nonzero(leaf) for leaf in leaves]))
    (narrow, used), (wide, also_used) = runs
    assert used == also_used  # what only the larger cap has is masked
    for one, other in zip(narrow, wide, strict=True):
        np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=1e-6)
        for name in one.metrics:
            np.testing.assert_allclose(one.metrics[name], other.metrics[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_learns(family):
    results = trained(engine_of(family), FAMILIES[family][2](6), epochs=20)
    losses = [result.train_loss.mean() for result in results]
    assert losses[-1] < 0.75 * losses[0]
    last = results[-1].metrics
    if "accuracy" in last and "perplexity" not in last:
        assert last["accuracy"].mean() > 0.8


@pytest.mark.parametrize(
    ("model", "spec", "message"),
    [
        (models.ResNet, Spec((5,), 3, "classification"), "this model needs images"),
        (models.CNN, Spec((5,), 3, "classification"), "this model needs images"),
        (models.RNN, Spec((5,), 3, "classification"), "this model needs sequences"),
        (models.TransformerEncoder, Spec((5,), 3, "classification"), "this model needs sequences"),
        (models.GPT, Spec((5,), 3, "classification", tokens=4), "this model predicts the next token"),
    ],
)
def test_data_that_do_not_fit_a_family_are_told(model, spec, message):
    import jax

    with pytest.raises(InputError, match=message):
        model({}, spec, streams_of(jax.random.key(0)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"norm": "bach"}, r"'norm' names no norm: bach\. Did you mean 'batch'"),
        ({"activation": "rely"}, r"'activation' names no activation: rely\. Did you mean 'relu'"),
        ({"initializer": "he"}, "no initializer of this name: he"),
    ],
)
def test_a_name_that_there_is_none_of_is_told(given, message):
    import jax

    for model in (models.MLP, models.CNN):
        with pytest.raises(InputError, match=message):
            model(given, Spec((8, 8), 3, "classification"), streams_of(jax.random.key(0)))


def test_batch_statistics_are_a_lane_s_own():
    """Two folds train side by side; their running statistics differ, and are those of a lane alone."""
    engine = engine_of("resnet, batch")
    trained(engine, FAMILIES["resnet, batch"][2](6), epochs=2)
    population = engine.population_of(0)
    import jax

    (chunk,) = population._chunks.values()
    running = [leaf for leaf in jax.tree.leaves(chunk.values.other) if leaf.ndim == 2 and leaf.shape[-1] == 6]
    assert running
    assert all(not np.array_equal(leaf[0], leaf[1]) for leaf in running)
    assert isinstance(population.program.recipe, Recipe)
