"""CMA-ES without pickle: the same points as Optuna's, and nothing that is read runs code."""

import json
import pickle

import optuna
import pytest
from optuna.samplers import CmaEsSampler, PartialFixedSampler

from tests.helpers import Evil
from tuner.study.cma import PlainCmaEs
from tuner.study.samplers import make_sampler

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore::FutureWarning")


def objective(trial):
    x, y = trial.suggest_float("x", -5, 5), trial.suggest_float("y", 1e-3, 1e3, log=True)
    return (x - 1) ** 2 + abs(y - 2) + trial.suggest_int("z", 0, 9)


def points(sampler, storage=None, rounds=(40,)):
    study = optuna.create_study(sampler=sampler, storage=storage)
    for trials in rounds:
        study.optimize(objective, n_trials=trials)
    return study


@pytest.mark.parametrize("options", [{}, {"popsize": 5}, {"use_separable_cma": True}, {"with_margin": True}], ids=str)
def test_the_points_are_optunas(options):
    sampler = CmaEsSampler(seed=3, **options)
    plain = make_sampler(CmaEsSampler(seed=3, **options), 0, {})
    assert isinstance(plain, PlainCmaEs)
    assert [t.params for t in points(plain).trials] == [t.params for t in points(sampler).trials]


class Own(CmaEsSampler):
    """Somebody's own."""


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda: Own(seed=3),
        lambda: PartialFixedSampler({}, CmaEsSampler(seed=3)),
        lambda: PartialFixedSampler({}, PartialFixedSampler({}, Own(seed=3))),
    ],
    ids=["own", "within", "within twice"],
)
def test_one_of_ones_own_or_within_another_stores_plain_data_too(wrapped):
    study = points(make_sampler(wrapped(), 0, {}))
    assert [t.params for t in study.trials] == [t.params for t in points(CmaEsSampler(seed=3)).trials]
    assert all(json.loads(text)["kind"] == "CMA" for text in optimizers(study) if text)


def optimizers(study):
    return [
        "".join(v for k, v in trial.system_attrs.items() if k.startswith("cma:optimizer:")) for trial in study.trials
    ]


def test_what_is_stored_is_json(tmp_path):
    study = points(make_sampler("cmaes", 3, {}), f"sqlite:///{tmp_path}/tuner.db")
    stored = [text for text in optimizers(study) if text]
    assert len(stored) > 3
    assert all(json.loads(text)["kind"] == "CMA" for text in stored)


@pytest.mark.parametrize(
    "written",
    [
        lambda file: pickle.dumps(Evil(file)).hex(),
        lambda _: "{",
        lambda _: '{"kind": "CMA", "state": {}}',
        lambda _: '{"kind": "Evil", "state": {}}',
        lambda _: '{"kind": "CMA", "state": {"_mean": {"dtype": "|O", "shape": [1], "values": [1]}}}',
        lambda _: "[" * 100_000,
        lambda _: 3,
    ],
)
def test_what_somebody_wrote_there_is_not_run(tmp_path, written, caplog):
    folder = str(tmp_path / "made")
    study = points(make_sampler("cmaes", 3, {}))
    trial = [trial for trial, text in zip(study.trials, optimizers(study), strict=True) if text][-1]
    attributes = {k: v for k, v in trial.system_attrs.items() if not k.startswith("cma:optimizer")}
    changed = optuna.trial.create_trial(
        value=trial.value,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=attributes | {"cma:optimizer:0": written(folder)},
    )
    study.add_trial(changed)
    study.optimize(objective, n_trials=2)
    assert not (tmp_path / "made").exists()
    assert "cannot be read, it starts anew" in caplog.text
    assert len(study.trials) == 43
