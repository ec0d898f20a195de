"""The result of a study, from its database: what ``run``, ``resume`` and ``show`` print."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuner.study.record import BEST, COST, COST_TOTAL, StudyMemory, state_name
from tuner.study.stored import known, measured, resolved_of


@dataclass(frozen=True)
class BestTrial:
    """The best complete trial: its value is the mean over the folds at the last epoch.

    fold_values, best_epoch: empty and None where somebody damaged what the trial measured. best_epoch: counted from 1,
    where the mean over the folds was best; choosing by it would be optimistic.
    test: the metric on the test rows after refits on all other rows, one value a seed; None where none was made.
    """

    number: int
    value: float
    fold_values: list[float]
    best_epoch: int | None
    hyperparameters: dict[str, Any]
    resolved: dict[str, Any]
    mlflow_run_id: str | None
    test: list[float] | None


@dataclass(frozen=True, eq=False)
class StudyResult:
    """A study as its database holds it, and Optuna's own study beside it."""

    study: optuna.Study
    memory: StudyMemory
    trials: dict[str, int]
    best: BestTrial | None
    cost: dict[str, Any]
    cost_total: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        return _sayable(
            {
                "study": self.study.study_name,
                "experiment": self.memory.file or self.memory.experiment,
                "metric": self.memory.metric,
                "direction": self.study.direction.name.lower(),
                "trials": self.trials,
                "best": None if self.best is None else vars(self.best),
                "cost": self.cost,
                "cost_total": self.cost_total,
            }
        )


def _sayable(value: Any) -> Any:
    """The same with text for what JSON has no number for: an infinite hyperparameter, say."""
    if isinstance(value, Mapping):
        return {name: _sayable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_sayable(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def result_of(study: optuna.Study, memory: StudyMemory) -> StudyResult:
    """Read a study's result from its database."""
    trials = study.get_trials(deepcopy=False)
    counts = dict.fromkeys(("complete", "pruned", "failed", "running", "waiting"), 0)
    for trial in trials:
        counts[state_name(trial.state)] += 1
    return StudyResult(
        study=study,
        memory=memory,
        trials=counts,
        best=best_of(study),
        cost=known(study, COST),
        cost_total=known(study, COST_TOTAL),
    )


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The best complete trial; None where none is complete."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return study.best_trial if complete else None


def best_known(study: optuna.Study, number: int) -> dict[str, Any]:
    """What is stored of the best trial, of this number; no more than that where another one was the best."""
    found = known(study, BEST)
    return found if found.get("number") == number else {"number": number}


def best_of(study: optuna.Study) -> BestTrial | None:
    """The best trial with what the study knows of it."""
    trial = best_trial(study)
    if trial is None or trial.value is None:
        return None
    history = measured(trial)
    folds = [] if history is None else history["folds"]
    means = [sum(values) / len(values) for values in folds]
    best = max if study.direction == optuna.study.StudyDirection.MAXIMIZE else min
    found = best_known(study, trial.number)
    return BestTrial(
        number=trial.number,
        value=trial.value,
        fold_values=folds[-1] if folds else [],
        best_epoch=means.index(best(means)) + 1 if means else None,
        hyperparameters=dict(trial.params),
        resolved=resolved_of(trial),
        mlflow_run_id=found.get("mlflow_run_id"),
        test=found.get("test"),
    )


def added(total: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    """Costs of several runs in one: sums, but for shares, which are the last run's, and without lists."""
    shares = ("occupancy", "mask_tax")
    result: dict[str, Any] = {}
    for name, value in cost.items():
        if isinstance(value, list):
            continue
        if isinstance(value, Mapping):
            result[name] = added(total.get(name, {}), value)
        else:
            result[name] = value if name in shares or name not in total else total[name] + value
    return result
