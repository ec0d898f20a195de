"""A study from its first ask to its last tell, in a real SQLite file."""

import math
import sqlite3

import optuna
import pytest
from optuna.trial import TrialState

import tuner
from tests.helpers import PHASES
from tests.study.conftest import iris_experiment, iris_space
from tuner import InputError
from tuner.lanes.compilations import compilations
from tuner.study import StudyFailed
from tuner.study.record import HISTORY, PLACEMENT
from tuner.study.stored import Cost


def run(experiment, storage, **options):
    return tuner.run(experiment, storage=storage, tracking_uri=None, **{"trials": 6, "parallel_trials": 3, **options})


def test_a_study_holds_its_trials_and_their_values(storage):
    result = run(iris_experiment(), storage)
    assert result.trials == {"complete": 6, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    for trial in result.study.trials:
        folds = trial.user_attrs[HISTORY]["folds"]
        assert len(folds) == 4
        assert len(folds[-1]) == 3
        assert trial.value == pytest.approx(sum(folds[-1]) / 3)
        assert trial.intermediate_values == {
            epoch: pytest.approx(sum(values) / 3) for epoch, values in enumerate(folds, start=1)
        }
    best = max(result.study.trials, key=lambda trial: trial.value)
    assert result.best.value == best.value
    assert result.best.hyperparameters == result.study.trials[result.best.number].params
    assert result.best.resolved["hidden"] == [{"size": result.best.hyperparameters["hidden_0"], "cap": 16}]
    assert len(result.best.test) == 3


def test_each_trial_keeps_where_it_was_trained(storage):
    result = run(iris_experiment(), storage)
    programs = [{name: value for name, value in row.items() if name != "reason"} for row in result.cost["compiled"]]
    for trial in result.study.trials:
        placement = trial.user_attrs[PLACEMENT]
        assert [placement.pop(name) for name in ("chunk", "lanes_together", "devices", "device")] == [1, 3, 1, "cpu"]
        assert placement in programs
        assert placement["batch_size"] == trial.params["batch_size"]
        assert trial.params["hidden_0"] <= placement["caps"]["hidden.0"] <= 16


def test_trials_is_the_total(storage):
    run(iris_experiment(), storage, trials=2)
    run(iris_experiment(), storage, trials=5)
    result = run(iris_experiment(), storage, trials=5)
    assert len(result.study.trials) == 5
    assert result.cost["compilations"] == 0 or result.cost["programs"] == 0


def test_the_best_of_a_second_run_is_refit_only_if_it_changed(storage):
    first = run(iris_experiment(), storage)
    second = run(iris_experiment(), storage)
    assert second.best.test == first.best.test


def test_a_second_study_over_the_same_space_compiles_nothing(storage):
    run(iris_experiment(), storage, study="first")
    before = compilations()
    result = run(iris_experiment(), storage, study="second")
    assert (compilations() - before).count == 0
    assert result.cost["compilations"] == 0


def test_seed_and_folds_are_no_part_of_a_program(storage):
    run(iris_experiment(), storage, study="first", seed=0, trials=8)
    result = run(iris_experiment(split_seed=7), storage, study="second", seed=0, trials=8)
    assert result.cost["compilations"] == 0


def test_compilations_are_bounded_by_programs_not_trials(storage):
    result = run(iris_experiment(), storage, trials=40, parallel_trials=10)
    assert result.cost["programs"] <= 6  # two batch sizes, three caps (4, 8, 16)


def test_the_points_do_not_depend_on_the_number_of_parallel_trials(tmp_path):
    points = []
    for parallel in (1, 2, 5):
        result = run(iris_experiment(), f"sqlite:///{tmp_path}/{parallel}.db", parallel_trials=parallel)
        points.append([(trial.params, trial.value) for trial in result.study.trials])
    assert points[0] == points[1] == points[2]


def test_two_runs_with_one_seed_are_equal_and_another_seed_is_not(tmp_path):
    def values(name, seed):
        experiment, storage = iris_experiment(sampler="tpe", pruner="asha"), f"sqlite:///{tmp_path}/{name}.db"
        result = run(experiment, storage, seed=seed, trials=15, deterministic=True)
        return [(trial.params, trial.value, trial.state) for trial in result.study.trials]

    assert values("a", 0) == values("b", 0)
    assert values("a", 0) != values("c", 1)


def test_the_objective_gives_the_values_of_the_lanes(storage, float64):
    experiment = iris_experiment(epochs=6)
    lanes = run(experiment, storage, seed=3).study.trials
    study = optuna.create_study(direction="maximize")
    for trial in lanes:
        study.enqueue_trial(trial.params)
    study.optimize(tuner.Objective(experiment, seed=3), n_trials=len(lanes))
    for one, lane in zip(study.trials, lanes, strict=True):
        assert one.params == lane.params
        assert one.value == pytest.approx(lane.value, rel=1e-12)
        assert one.user_attrs[HISTORY]["means"]["loss"] == pytest.approx(
            lane.user_attrs[HISTORY]["means"]["loss"], rel=1e-9
        )


def test_the_objective_honours_the_studys_pruner():
    class Always(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step == 2

    study = optuna.create_study(direction="maximize", pruner=Always(), sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(tuner.Objective(iris_experiment()), n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED] * 2
    assert [trial.last_step for trial in study.trials] == [2, 2]


def test_every_epoch_of_a_pruned_trial_is_stored(storage):
    result = run(iris_experiment(pruner="asha", epochs=9), storage, trials=9, parallel_trials=9)
    pruned = [trial for trial in result.study.trials if trial.state == TrialState.PRUNED]
    assert len(pruned) >= 4
    for trial in pruned:
        assert trial.last_step in {1, 3}
        assert sorted(trial.intermediate_values) == list(range(1, trial.last_step + 1))


def test_no_trial_is_pruned_at_its_last_epoch(storage):
    class Always(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step == 4

    result = run(iris_experiment(pruner=Always()), storage)
    assert result.trials["complete"] == 6


def test_a_freed_place_is_filled_while_others_go_on(storage):
    class FirstTrialOnly(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.number == 0 and trial.last_step == 1

    result = run(iris_experiment(pruner=FirstTrialOnly(), epochs=6), storage, trials=4, parallel_trials=3)
    trials = result.study.trials
    assert trials[0].state == TrialState.PRUNED
    assert trials[3].datetime_start < trials[1].datetime_complete


def test_a_trial_that_diverges_fails_alone(storage):
    def space(trial):
        return iris_space(trial) | {"learning_rate": 1e30 if trial.number == 1 else 0.01, "optimizer": "sgd"}

    result = run(iris_experiment(search_space=space), storage)
    assert result.trials["failed"] == 1
    failed = result.study.trials[1]
    assert failed.state == TrialState.FAIL
    assert "diverged" in failed.user_attrs["tuner:reason"]


def test_a_study_whose_first_trials_all_fail_stops(storage):
    def space(trial):
        return iris_space(trial) | {"learning_rate": 1e30, "optimizer": "sgd"}

    with pytest.raises(StudyFailed, match="diverged"):
        run(iris_experiment(search_space=space), storage, trials=30)
    study = optuna.load_study(study_name="iris", storage=storage)
    assert sum(trial.state == TrialState.FAIL for trial in study.trials) < 12
    assert not any(trial.state == TrialState.RUNNING for trial in study.trials)


def test_the_grid_ends_when_it_is_exhausted(storage):
    def space(trial):
        return {
            "learning_rate": 0.01,
            "batch_size": trial.suggest_categorical("batch_size", [16, 32]),
            "hidden": [trial.suggest_int("hidden_0", 4, 8, step=2)],
        }

    result = run(iris_experiment(search_space=space, sampler="grid"), storage, trials=50)
    points = {tuple(sorted(trial.params.items())) for trial in result.study.trials}
    assert len(result.study.trials) == len(points) == 6


def test_a_sampler_that_stops_the_study_ends_it(storage):
    def space(trial):
        return {
            "learning_rate": trial.suggest_categorical("learning_rate", [0.1, 0.01]),
            "batch_size": 16,
            "hidden": [4],
        }

    sampler = optuna.samplers.GridSampler({"learning_rate": [0.1, 0.01]}, seed=0)
    result = run(iris_experiment(search_space=space, sampler=sampler), storage, trials=20)
    assert {trial.params["learning_rate"] for trial in result.study.trials} == {0.1, 0.01}
    assert len(result.study.trials) < 20


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "random"])
@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median", "none"])
def test_samplers_and_pruners_by_name(storage, sampler, pruner):
    result = run(iris_experiment(sampler=sampler, pruner=pruner), storage, trials=12)
    assert result.trials["complete"] >= 1
    assert result.trials["failed"] == 0
    assert len(result.study.trials) == 12


def test_a_timeout_asks_for_nothing_more(storage):
    result = run(iris_experiment(), storage, trials=5000, timeout=1.0)
    assert 1 <= result.trials["complete"] < 5000
    assert result.trials["running"] == 0
    assert result.trials["waiting"] <= 2  # what was asked ahead of need is handed out first when the study goes on


def test_costs_are_exclusive_and_sum_to_the_wall_time(storage):
    cost = run(iris_experiment(), storage).cost
    assert math.isclose(sum(cost[phase] for phase in PHASES), cost["wall_seconds"], rel_tol=1e-9)
    assert cost["other"] < 0.05 * cost["wall_seconds"] + 0.05  # so short a study, on a machine that does other things
    assert cost["occupancy"] == 1.0
    assert 0 < cost["mask_tax"] < 0.5


def test_a_regression_in_its_own_units(storage):
    def space(trial):
        return {"hidden": [8], "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-2), "batch_size": 32}

    experiment = iris_experiment(
        name="diabetes", data=tuner.datasets.diabetes, metric="rmse", search_space=space, epochs=20
    )
    result = run(experiment, storage, trials=3)
    assert result.as_json()["direction"] == "minimize"
    assert 40 < result.best.value < 80  # the targets' standard deviation is 77


def test_a_changed_experiment_is_refused_and_said(storage):
    run(iris_experiment(), storage)
    with pytest.raises(InputError, match="epochs: 4 became 5"):
        run(iris_experiment(epochs=5), storage)
    run(iris_experiment(epochs=5), storage, allow_changed=True)


def test_a_study_of_another_experiment_is_refused(storage):
    run(iris_experiment(), storage)
    with pytest.raises(InputError, match="belongs to the experiment 'iris'"):
        run(iris_experiment(name="other"), storage, study="iris")


def test_the_database_is_in_wal_mode(storage):
    run(iris_experiment(), storage, trials=1)
    connection = sqlite3.connect(storage.removeprefix("sqlite:///"))
    try:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        connection.close()


def test_all_epochs_of_a_round_are_one_transaction(storage, monkeypatch):
    from sqlalchemy.orm import Session

    commits = []
    original = Session.commit
    monkeypatch.setattr(Session, "commit", lambda self: (commits.append(1), original(self))[1])
    run(iris_experiment(epochs=4), storage, trials=6, parallel_trials=6)
    few = len(commits)
    commits.clear()
    run(iris_experiment(epochs=24), storage, trials=6, parallel_trials=6, study="longer")
    assert len(commits) - few <= 20 + 4  # one a round, not one a trial and round


def test_what_a_study_cost_is_all_stored(storage):
    """A phase or a count that ``stored.Cost`` does not name would be left out."""
    result = tuner.run(iris_experiment(), trials=2, storage=storage, tracking_uri=None)
    assert result.cost == result.study.user_attrs["tuner:cost"]
    assert {*Cost.__annotations__} == set(result.cost)
