"""A study's best trials side by side, and which hyperparameters mattered, in words."""

import math
import statistics
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuner.study.stored import measured

TOP = 10
FEWEST = 4
"""Complete trials that importances can be told from."""


def best_trials(study: optuna.Study, top: int = TOP) -> list[FrozenTrial]:
    """The best complete trials, the best first."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))[:top]


def importances(study: optuna.Study) -> dict[str, float]:
    """The share of each hyperparameter in what tells good trials from others, the largest first.

    PED-ANOVA (Watanabe, Bansal, Hutter 2023), over the complete trials, of those that all of them have; empty where
    these are too few, or all alike.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < FEWEST or len({trial.value for trial in complete}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            found = optuna.importance.get_param_importances(study)
        except (ValueError, RuntimeError):  # no hyperparameter that all have
            return {}
    return {name: share for name, share in found.items() if math.isfinite(share)}


def ranking(study: optuna.Study, metric: str, top: int = TOP) -> list[str]:
    """A line for each of the best trials: number, value, standard deviation over the folds, hyperparameters."""
    heads, rows = ranked(study, metric, top)
    return [f"  {line}" for line in aligned([heads, *rows])] if len(rows) > 1 else []


def ranked(study: optuna.Study, metric: str, top: int = TOP) -> tuple[list[str], list[list[str]]]:
    """The same as the heads and the rows of a table."""
    trials = best_trials(study, top)
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    rows = [
        [str(trial.number), f"{trial.value:.4f}", _spread(trial), *_values(trial.params, names)] for trial in trials
    ]
    return ["trial", metric, "std of folds", *names], rows


def weights(found: Mapping[str, float]) -> list[str]:
    """A line for each hyperparameter with its importance and a bar."""
    width = max(map(len, found), default=0)
    return [f"  {name:<{width}}  {share:4.0%}  {'#' * round(40 * share)}".rstrip() for name, share in found.items()]


def aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of a table, a line each, its columns below each other."""
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def short(value: Any) -> str:
    """A hyperparameter's value as a table shows it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _values(params: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    return [short(params[name]) if name in params else "-" for name in names]


def folds_of(trial: FrozenTrial) -> list[float]:
    """A trial's value on each fold at its last epoch; none where nothing was measured."""
    found = measured(trial)
    return list(found["folds"][-1]) if found and found["folds"] else []


def _spread(trial: FrozenTrial) -> str:
    folds = folds_of(trial)
    return f"{statistics.stdev(folds):.4f}" if len(folds) > 1 else "-"
