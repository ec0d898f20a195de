"""What is foreseen is what comes, and nothing is foreseen where trials depend on what was told."""

import optuna

import tuner
from tests.study.conftest import iris_experiment
from tuner.study.foresight import foreseen
from tuner.study.record import jsonable


def test_a_random_sampler_s_trials_are_foreseen(storage):
    experiment = iris_experiment(sampler="random")
    study = tuner.run(experiment, trials=6, storage=storage, tracking_uri=None, seed=3).study
    ahead = foreseen(optuna.samplers.RandomSampler(), experiment.search_space, 3, range(6))
    assert list(ahead) == list(range(6))
    assert [jsonable(point) for point in ahead.values()] == [t.user_attrs["tuner:resolved"] for t in study.trials]


def test_a_sampler_that_learns_is_not_foreseen():
    space = iris_experiment().search_space
    assert foreseen(optuna.samplers.TPESampler(seed=0), space, 0, range(6)) == {}


def test_a_search_space_that_raises_for_a_trial_is_left_to_that_trial():
    def space(trial):
        if trial.suggest_float("x", 0, 1) > 0.5:
            raise ValueError
        return {}

    ahead = foreseen(optuna.samplers.RandomSampler(), space, 0, range(20))
    assert 0 < len(ahead) < 20
