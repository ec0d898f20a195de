"""Pruners by name. The default halves over whole rounds, so that the order of the calls does not matter."""

from collections.abc import Sequence
from itertools import pairwise

import optuna
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial


class CohortHalving(BasePruner):
    """Asynchronous successive halving (Li et al., "A system for massively parallel hyperparameter tuning", 2020).

    At the rungs, ``min_resource * reduction_factor ** k`` epochs, a trial goes on if its value is among the best
    ``1 / reduction_factor`` of all values that any trial reported there. All trials of a round report before any is
    decided, so a cohort in lockstep is judged as a whole; Optuna's ``SuccessiveHalvingPruner`` judges each call by the
    calls before it. Nothing is remembered but the reported values.

    Args:
        min_resource: epochs of the first rung.
        reduction_factor: eta.
    """

    def __init__(self, min_resource: int = 1, reduction_factor: int = 3) -> None:
        self.min_resource = min_resource
        self.reduction_factor = reduction_factor

    def is_rung(self, step: int) -> bool:
        """Whether trials are judged after this epoch."""
        return is_rung(step, self.min_resource, self.reduction_factor)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial shall end, judged by its last reported step."""
        step = trial.last_step
        if step is None or not self.is_rung(step):
            return False
        trials = study.get_trials(deepcopy=False)
        values = [t.intermediate_values[step] for t in trials if step in t.intermediate_values]
        return not survives(trial.intermediate_values[step], values, self.reduction_factor, study.direction)


def is_rung(step: int, min_resource: int, reduction_factor: int) -> bool:
    """Whether ``step`` is ``min_resource * reduction_factor ** k`` for some k from 0."""
    rung = min_resource
    while rung < step:
        rung *= reduction_factor
    return rung == step


def survives(value: float, values: Sequence[float], reduction_factor: int, direction: StudyDirection) -> bool:
    """Whether a value is among the best ``1 / reduction_factor`` of the values at a rung, its own among them.

    Fewer than ``reduction_factor`` values let the best one go on.
    """
    places = max(len(values) // reduction_factor, 1)
    best_first = sorted(values, reverse=direction == StudyDirection.MAXIMIZE)
    last = best_first[places - 1]
    return value >= last if direction == StudyDirection.MAXIMIZE else value <= last


def make_pruner(pruner: str | BasePruner, epochs: int) -> BasePruner:
    """The pruner of this name, or the object that was given."""
    if not isinstance(pruner, str):
        return pruner
    match pruner:
        case "asha":
            return CohortHalving()
        case "hyperband":
            return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
        case "median":
            return optuna.pruners.MedianPruner()
        case _:
            return optuna.pruners.NopPruner()


def expected_epochs(pruner: BasePruner, epochs: int) -> float:
    """Epochs that a trial trains on average, before any has: all, or what is left of them by the default halving."""
    if not isinstance(pruner, CohortHalving):
        return float(epochs)
    stops = [0, *(step for step in range(1, epochs) if pruner.is_rung(step)), epochs]
    return sum((end - begin) / pruner.reduction_factor**rung for rung, (begin, end) in enumerate(pairwise(stops)))


def may_judge(pruner: BasePruner) -> bool:
    """Whether a pruner ever ends a trial; where it does, trials are judged side by side."""
    return not isinstance(pruner, optuna.pruners.NopPruner)


def judges(pruner: BasePruner, step: int) -> bool:
    """Whether a pruner can end a trial after this epoch: those with rungs are asked at their rungs alone."""
    match pruner:
        case optuna.pruners.NopPruner():
            return False
        case CohortHalving():
            return pruner.is_rung(step)
        case optuna.pruners.HyperbandPruner():  # its brackets begin at different rungs of one ladder
            return is_rung(step, pruner._min_resource, pruner._reduction_factor)
        case _:
            return True
