"""The same study in a real PostgreSQL."""

import optuna
from optuna.trial import TrialState

import tuner
from tests.study.conftest import iris_experiment
from tuner.study.storage import open_storage, requeue


def close(study):
    study._storage.close()


def test_a_study_in_postgresql_is_that_in_sqlite(postgresql, storage):
    how = {"trials": 8, "tracking_uri": None, "deterministic": True}
    one = tuner.run(iris_experiment(pruner="asha"), storage=postgresql, **how)
    other = tuner.run(iris_experiment(pruner="asha"), storage=storage, **how)
    assert [(t.params, t.value, t.state) for t in one.study.trials] == [
        (t.params, t.value, t.state) for t in other.study.trials
    ]
    close(one.study)


def test_a_running_trial_goes_back_to_waiting(postgresql):
    backend = open_storage(postgresql)
    study = optuna.create_study(study_name="s", storage=backend)
    trial = study.ask()
    trial.report(0.5, 1)
    requeue(backend, study.get_trials()[0])
    again = study.get_trials()[0]
    assert again.state == TrialState.WAITING
    assert again.intermediate_values == {}
    close(study)
