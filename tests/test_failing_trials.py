"""Trials that fail: which do, with what reason, and what becomes of their study."""

import json
import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from flax import nnx

import tuner
from tuner import Experiment, datasets, models
from tuner.study import StudyFailed

TUNER = Path(sys.executable).with_name("tuner")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(model, search_space, trials, **fields):
    options = {"sampler": "grid", "pruner": "none", "folds": 2, "epochs": 2} | fields
    experiment = Experiment(name="flowers", data=datasets.iris, model=model, search_space=search_space, **options)
    return tuner.run(experiment, trials=trials, tracking_uri=None)


def reasons(result):
    return {trial.number: trial.user_attrs.get("tuner:reason") for trial in result.study.trials if trial.user_attrs}


def test_a_trial_that_diverges_fails_and_the_study_goes_on(caplog):
    def space(trial):
        return {"learning_rate": trial.suggest_categorical("learning_rate", [0.01, 1e30]), "optimizer": "sgd"}

    result = run(models.MLP, space, trials=2)
    assert result.trials == {"complete": 1, "pruned": 0, "failed": 1, "running": 0, "waiting": 0}
    (good,) = [trial for trial in result.study.trials if trial.params["learning_rate"] == 0.01]
    assert result.best.number == good.number
    failed = 1 - good.number
    assert reasons(result)[good.number] is None
    reason = reasons(result)[failed]
    assert reason.startswith("diverged: the training loss of fold 0 is ")
    assert reason.endswith(("nan after epoch 1", "inf after epoch 1"))
    assert f"trial {failed} failed: {reason}" in caplog.text


def choosy(hyperparameters, spec, rngs):
    if hyperparameters["hidden"][0] == 5:
        raise RuntimeError("no model of five units")
    return models.MLP(hyperparameters, spec, rngs)


def test_a_model_that_raises_while_it_is_built_fails_its_trial_alone(caplog):
    result = run(choosy, lambda trial: {"hidden": [trial.suggest_int("units", 4, 6)]}, trials=3)
    assert result.trials == {"complete": 2, "pruned": 0, "failed": 1, "running": 0, "waiting": 0}
    (failed,) = [trial for trial in result.study.trials if trial.params["units"] == 5]
    assert reasons(result)[failed.number] == "the model raises RuntimeError: no model of five units"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert f"trial {failed.number}: the model raises" in record.message
    assert 'test_failing_trials.py", line' in record.message
    assert "in choosy" in record.message
    assert 'raise RuntimeError("no model of five units")' in record.message


class Late(nnx.Module):
    """Raises while it is called, for examples in training alone."""

    def __init__(self, hyperparameters, spec, rngs):
        self.output = nnx.Linear(spec.input_shape[0], spec.outputs, rngs=rngs)
        self.units = hyperparameters["units"]

    def __call__(self, x):
        if self.units == 5 and x.shape[0] != 2:
            raise ValueError("no batch of this size")
        return self.output(x)


def test_a_model_that_raises_while_it_is_traced_fails_its_trial_alone(caplog):
    result = run(Late, lambda trial: {"units": trial.suggest_int("units", 4, 5)}, trials=2)
    assert result.trials == {"complete": 1, "pruned": 0, "failed": 1, "running": 0, "waiting": 0}
    assert "the model raises ValueError: no batch of this size" in reasons(result).values()
    assert "in __call__" in caplog.text
    assert 'raise ValueError("no batch of this size")' in caplog.text


def test_a_value_that_only_a_later_draw_shows_fails_its_trial():
    def late(trial):
        learning_rate = trial.suggest_float("learning_rate", 0.01, 0.1)
        return {"learning_rate": 0.0 if trial.number == 1 and trial.study.study_name == "flowers" else learning_rate}

    result = run(models.MLP, late, trials=2, sampler="random")
    assert result.trials == {"complete": 1, "pruned": 0, "failed": 1, "running": 0, "waiting": 0}
    assert "the hyperparameter 'learning_rate' must be a number above 0: 0.0" in reasons(result)[1]


def broken(hyperparameters, spec, rngs):
    raise RuntimeError(f"no model at {hyperparameters['learning_rate'] is None}")


def test_a_study_whose_first_trials_all_fail_stops():
    with pytest.raises(StudyFailed, match=r"first trials all failed, .* raises RuntimeError: no model at False"):
        run(broken, lambda trial: {"learning_rate": trial.suggest_float("rate", 0.1, 1)}, trials=50, sampler="random")
    with sqlite3.connect("tuner.db") as connection:
        states = [state for (state,) in connection.execute("SELECT state FROM trials")]
    connection.close()
    assert set(states) <= {"FAIL", "WAITING"}
    assert 5 <= states.count("FAIL") < 20


def test_the_command_shows_why_all_trials_fail(folder):
    (folder / "flowers.py").write_text(
        "from tuner import Experiment, datasets\n"
        "def model(hyperparameters, spec, rngs):\n"
        "    raise RuntimeError('no model today')\n"
        "experiment = Experiment(\n"
        "    name='flowers', data=datasets.iris, model=model, search_space=lambda trial: {'learning_rate': 0.1}\n"
        ")\n"
    )
    words = [TUNER, "run", "flowers.py", "--trials", "20", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert "the model raises RuntimeError: no model today" in error["value"]
    assert 'flowers.py", line 3, in model' in done.stderr
