"""Lanes that start from weights: of a file, and of an earlier trial; and what of them is not trained."""

import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

import tuner
from tests.helpers import Evil, parameters_of
from tests.study.conftest import iris_experiment, iris_space
from tuner import InitFrom, InputError, Width
from tuner.experiment import arrays_of, check
from tuner.lanes.engine import Engine
from tuner.training.weights import named

NAMES = ("layers.0.kernel", "layers.0.bias", "output.kernel", "output.bias")


def weights(units=6):
    rng = np.random.default_rng(0)
    shapes = ((4, units), (units,), (units, 3), (3,))
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in zip(NAMES, shapes, strict=True)}


def of_width(size, cap=16):
    def space(trial):
        return iris_space(trial) | {"hidden": [Width(size, cap)], "dropout": 0.0}

    return space


def started(init_from, space=None):
    """An engine with one trial that has taken no step, and its lanes' values by name."""
    experiment = iris_experiment(search_space=space or of_width(6), init_from=init_from)
    engine = Engine(experiment.model, arrays_of(experiment), slots=1, seed=0)
    engine.add(0, {"hidden": [Width(6, 16)], "learning_rate": 0.05, "batch_size": 16, "dropout": 0.0})
    assert engine.seat() == {}
    return engine, values(engine)


def values(engine):
    found = named(engine.population_of(0).values_of(0))
    return {name: np.array(leaf) for name, leaf in found.items() if name in NAMES}


@pytest.fixture
def file(tmp_path):
    save_file(weights(), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def test_every_lane_starts_from_the_file(file):
    _, found = started(InitFrom(file))
    for name, array in weights().items():
        corner = tuple(slice(length) for length in array.shape)
        for lane in found[name]:
            np.testing.assert_array_equal(lane[corner], array)
            assert np.count_nonzero(lane) == array.size


def test_only_what_is_named_is_taken(file):
    _, found = started(InitFrom(file, only=["layers.*"]))
    _, drawn = started(None)
    np.testing.assert_array_equal(found["layers.0.kernel"][0, :, :6], weights()["layers.0.kernel"])
    np.testing.assert_array_equal(found["output.kernel"], drawn["output.kernel"])
    assert not np.array_equal(found["layers.0.kernel"], drawn["layers.0.kernel"])


def test_what_is_frozen_is_not_trained(file):
    engine, before = started(InitFrom(file, frozen=["layers.*"]))
    for _ in range(3):
        engine.advance()
    after = values(engine)
    for name in NAMES:
        assert np.array_equal(after[name], before[name]) is name.startswith("layers")
    assert len(parameters_of(engine, 0)) == 2


def test_frozen_normalizations_use_their_running_statistics():
    def space(trial):
        return of_width(6)(trial) | {"norm": "batch"}

    own = weights() | {f"norms.0.{name}": np.full(6, 0.5, np.float32) for name in ("scale", "bias", "mean", "var")}
    experiment = iris_experiment(search_space=space, init_from=InitFrom(lambda: own, frozen=["norms.*"]))
    engine = Engine(experiment.model, arrays_of(experiment), slots=1, seed=0)
    engine.add(0, {"hidden": [Width(6, 16)], "norm": "batch", "learning_rate": 0.05, "batch_size": 16})
    assert engine.seat() == {}
    engine.advance()
    found = named(engine.population_of(0).values_of(0))
    for name in ("scale", "bias", "mean", "var"):
        assert (np.array(found[f"norms.0.{name}"])[:, :6] == 0.5).all()


@pytest.mark.parametrize(
    ("init_from", "space", "message"),
    [
        (InitFrom("nowhere.safetensors"), None, "no such data file: nowhere.safetensors"),
        (InitFrom(weights, only=["layer.*"]), None, "only names nothing in the weights: layer"),
        (InitFrom(weights), of_width(7), r"layers.0.bias has shape \(7,\), .*another: \(6,\)"),
        (
            InitFrom(lambda: {"layer.0.kernel": np.zeros(3)}),
            None,
            r"no value of the name .*: layer\.0\.kernel\. Did you",
        ),
        (InitFrom(weights, frozen=["outputs.*"]), None, "frozen names nothing in the model: outputs"),
        (InitFrom(weights, frozen=["*"]), None, "freezes all parameters"),
    ],
    ids=["file", "only", "width", "name", "frozen", "all"],
)
def test_what_does_not_fit_is_told_before_anything_is_stored(init_from, space, message, tmp_path):
    experiment = iris_experiment(search_space=space or of_width(6), init_from=init_from)
    with pytest.raises(InputError, match=message):
        tuner.run(experiment, trials=1, storage=f"sqlite:///{tmp_path}/tuner.db", tracking_uri=None)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_none_is_told(tmp_path):
    (tmp_path / "w.safetensors").write_text("no weights")
    with pytest.raises(InputError, match=r"no safetensors file: .*w\.safetensors"):
        InitFrom(tmp_path / "w.safetensors").load()
    (tmp_path / "p.safetensors").write_bytes(pickle.dumps(Evil(tmp_path / "made")))
    with pytest.raises(InputError, match=r"no safetensors file: .*p\.safetensors"):
        InitFrom(tmp_path / "p.safetensors").load()
    assert not (tmp_path / "made").exists()
    with pytest.raises(InputError, match="frozen is no list of patterns: layers"):
        InitFrom("w.safetensors", frozen="layers")


def test_other_weights_are_another_experiment(tmp_path, storage):
    for scale in (1.0, 2.0):
        save_file({name: scale * array for name, array in weights().items()}, tmp_path / "w.safetensors")
        experiment = iris_experiment(search_space=of_width(6), init_from=InitFrom(tmp_path / "w.safetensors"))
        if scale == 1.0:
            tuner.run(experiment, trials=1, storage=storage, tracking_uri=None)
        else:
            with pytest.raises(InputError, match="the weights of init_from changed"):
                tuner.run(experiment, trials=2, storage=storage, tracking_uri=None)


# An earlier trial

FILE = """
from tuner import Experiment, Width, datasets, models

def space(trial):
    return {
        "hidden": [Width(trial.suggest_int("hidden_0", 4, 16), cap=16)],
        "learning_rate": trial.suggest_float("learning_rate", 1e-2, 1e-1, log=True),
        "batch_size": 16,
    }

experiment = Experiment(
    name="first", data=datasets.iris, model=models.MLP, search_space=space, folds=3, epochs=6, pruner="none"
)
"""


def test_an_earlier_trial_is_trained_once_more_and_started_from(tmp_path, storage, monkeypatch):
    from tuner.experiment import load_experiment
    from tuner.study import Options, run_study
    from tuner.study.result import BestTrial

    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "first.py").write_text(FILE)
    experiment, source = load_experiment(str(tmp_path / "first.py"))
    options = Options(trials=3, storage=storage, tracking_uri=None)
    first = run_study(experiment, source, [], None, options)
    assert isinstance(first.best, BestTrial)
    origin = tuner.TrialWeights("first", storage)
    found = origin()
    width = first.best.hyperparameters["hidden_0"]
    assert {name: array.shape for name, array in found.items() if name in NAMES} == {
        "layers.0.kernel": (4, width),
        "layers.0.bias": (width,),
        "output.kernel": (width, 3),
        "output.bias": (3,),
    }
    # they are the refit's, whose accuracy on the test rows the study knows
    arrays = arrays_of(experiment)
    part = arrays.final
    x = (arrays.prepared.inputs[part.validation] - part.statistics.mean) / part.statistics.scale
    hidden = np.maximum(x @ found["layers.0.kernel"] + found["layers.0.bias"], 0)
    predicted = (hidden @ found["output.kernel"] + found["output.bias"]).argmax(1)
    assert (predicted == arrays.prepared.targets[part.validation]).mean() == pytest.approx(first.best.test[0])

    tuned = iris_experiment(name="second", search_space=of_width(width), init_from=InitFrom(origin))
    assert check(tuned, arrays_of(tuned)).failure is None
    monkeypatch.setattr(tuner.TrialWeights, "_trained", None)  # from the cache from now on
    second = tuner.run(tuned, trials=2, storage=storage, tracking_uri=None)
    assert second.trials["complete"] == 2
    epoch_1 = [trial.user_attrs["tuner:history"]["folds"][0] for trial in second.study.trials]
    assert np.mean(epoch_1) > 0.8  # where a start from nothing has not come in one epoch


def test_a_study_or_trial_that_there_is_none_of_is_told(storage):
    with pytest.raises(InputError, match="there is no study of this name: first"):
        tuner.TrialWeights("first", storage)()
    tuner.run(iris_experiment(), trials=1, storage=storage, tracking_uri=None)
    with pytest.raises(InputError, match=r"no complete trial of this number: 7\. Complete are 0\."):
        tuner.TrialWeights("iris", storage, 7)()
    with pytest.raises(InputError, match="started from Python"):
        tuner.TrialWeights("iris", storage)()
