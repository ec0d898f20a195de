"""What figures read of trials."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from tuner.report.ranking import best_trials


def complete_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The complete trials in the order of their numbers."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in trials if math.isfinite(value_of(trial))]


def value_of(trial: FrozenTrial) -> float:
    """The value of a complete trial; NaN where somebody took it away."""
    return math.nan if trial.values is None else trial.values[0]


def from_worst_to_best(study: optuna.Study) -> list[FrozenTrial]:
    """The complete trials by their value."""
    best_first = best_trials(study, top=len(study.get_trials(deepcopy=False)))
    return [trial for trial in reversed(best_first) if math.isfinite(value_of(trial))]


def seen_range(values: Sequence[float]) -> tuple[float, float] | None:
    """The limits of an axis on which the usual values can be told apart; None where all are usual."""
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 5 * (high - low)
    usual = [value for value in values if low - reach <= value <= high + reach]
    if len(usual) == len(values) or min(usual) == max(usual):
        return None
    edge = 0.05 * (max(usual) - min(usual))
    return min(usual) - edge, max(usual) + edge


def outside(limits: tuple[float, float] | None, values: Iterable[float]) -> str:
    """Says how many values lie beyond the limits, or nothing."""
    count = 0 if limits is None else sum(not limits[0] <= value <= limits[1] for value in values)
    verb = "trial lies" if count == 1 else "trials lie"
    return f"{count} {verb} far outside of what is shown at first." if count else ""
