"""``patience``: a trial is complete once the mean over its folds has not been better for so many epochs."""

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

import tuner
from tests.study.conftest import iris_experiment, iris_space
from tuner.study.record import HISTORY, History


def patient(trial):
    return iris_space(trial) | {"patience": 2}


@pytest.mark.parametrize(
    ("values", "patience", "direction", "expected"),
    [
        ([0.5, 0.6, 0.6, 0.55], 2, StudyDirection.MAXIMIZE, True),  # as good is not better
        ([0.5, 0.6, 0.6, 0.61], 2, StudyDirection.MAXIMIZE, False),
        ([0.5, 0.6, 0.7, 0.65], 2, StudyDirection.MAXIMIZE, False),
        ([0.5, 0.6, 0.6, 0.55], None, StudyDirection.MAXIMIZE, False),
        ([0.5, 0.6, 0.7], 2, StudyDirection.MINIMIZE, True),
        ([0.5, 0.4, 0.3], 2, StudyDirection.MINIMIZE, False),
    ],
)
def test_when_a_trial_is_stalled(values, patience, direction, expected):
    history = History("accuracy", folds=[[value - 0.1, value + 0.1] for value in values])
    assert history.is_stalled(patience, direction) is expected


def test_trials_end_when_they_stall_and_not_before(storage):
    experiment = iris_experiment(search_space=patient, epochs=12)
    result = tuner.run(experiment, trials=8, storage=storage, tracking_uri=None)
    lengths = set()
    for trial in result.study.trials:
        assert trial.state == TrialState.COMPLETE
        history = History("accuracy", trial.user_attrs[HISTORY]["folds"])
        lengths.add(len(history.folds))
        assert trial.value == history.last
        for epochs in range(1, len(history.folds)):
            assert not History("accuracy", history.folds[:epochs]).is_stalled(2, StudyDirection.MAXIMIZE)
        if len(history.folds) < 12:
            assert history.is_stalled(2, StudyDirection.MAXIMIZE)
    assert min(lengths) < 12
    assert "patience" not in str(result.cost["compiled"])
    assert len(result.best.test) == 3


def test_an_objective_stops_where_a_study_does(storage):
    experiment = iris_experiment(search_space=patient, epochs=12)
    result = tuner.run(experiment, trials=4, storage=storage, tracking_uri=None)
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    for trial in result.study.trials:
        study.enqueue_trial(trial.params)
    study.optimize(tuner.Objective(experiment), n_trials=4)
    for one, other in zip(study.trials, result.study.trials, strict=True):
        assert len(one.user_attrs[HISTORY]["folds"]) == len(other.user_attrs[HISTORY]["folds"])
        assert one.value == pytest.approx(other.value)
