"""The best trials in order, and the hyperparameter that made them so."""

import optuna
import pytest

from tests.study.conftest import iris_experiment
from tuner import run
from tuner.report.ranking import aligned, best_trials, importances, ranking, weights
from tuner.report.summary import summary


def quadratic(direction, trials=40):
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=0))
    sign = -1 if direction == "maximize" else 1

    def objective(trial):
        x, _ = trial.suggest_float("x", -1, 1), trial.suggest_float("idle", -1, 1)
        if trial.number == 3:
            raise optuna.TrialPruned
        return sign * x**2

    study.optimize(objective, n_trials=trials)
    return study


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_best_come_first_and_what_mattered_is_told(direction):
    study = quadratic(direction)
    best = best_trials(study, 5)
    distances = [abs(trial.params["x"]) for trial in best]
    assert distances == sorted(distances)
    assert max(distances) <= min(abs(t.params["x"]) for t in study.trials if t.state.is_finished() and t not in best)
    assert 3 not in {trial.number for trial in best}
    found = importances(study)
    assert next(iter(found)) == "x"
    assert found["x"] > 0.7
    assert sum(found.values()) == pytest.approx(1)


def test_nothing_is_told_of_few_trials_or_of_equal_ones():
    assert importances(quadratic("maximize", 4)) == {}  # three are complete
    study = optuna.create_study()
    study.optimize(lambda trial: 0.0 * trial.suggest_float("x", 0, 1), n_trials=10)
    assert importances(study) == {}
    assert ranking(quadratic("maximize", 1), "accuracy") == []


def test_a_study_that_is_shown_has_both(tmp_path):
    result = run(iris_experiment(), trials=8, storage=f"sqlite:///{tmp_path}/tuner.db", tracking_uri=None)
    text = summary(result, full=True)
    rows = ranking(result.study, "accuracy")
    assert all(row in text for row in rows)
    assert rows[0].split() == ["trial", "accuracy", "std", "of", "folds", *result.study.best_trial.params]
    assert rows[1].split()[:2] == [str(result.best.number), f"{result.best.value:.4f}"]
    assert "PED-ANOVA" in text
    assert "the best trials" not in summary(result)


def test_words():
    assert aligned([("a", "bb"), ("ccc", "d")]) == ["a    bb", "ccc  d"]
    assert weights({"x": 0.75, "long": 0.25}) == [f"  x      75%  {'#' * 30}", f"  long   25%  {'#' * 10}"]
