"""What an epoch of a trial gave."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuner.lanes.arrays import Arrays
from tuner.lanes.population import Advanced, Population
from tuner.training.tasks import Task


@dataclass(frozen=True, eq=False)
class EpochResult:
    """One epoch of one trial: its number from 1, the training loss and each metric over the folds, shape (folds,).

    confusion: counts (folds, true class, predicted class) where there are classes, else None.
    """

    epoch: int
    train_loss: np.ndarray
    metrics: Mapping[str, np.ndarray]
    confusion: np.ndarray | None = None


def results_of(
    arrays: Arrays, population: Population, trials: Iterable[int], advanced: Advanced
) -> dict[int, EpochResult]:
    """The results of a chunk's trials from what it gave in the epoch that it trained last."""
    return {
        trial: _result(arrays.task, population.seats[trial].epoch, population.results_of(trial, advanced.results))
        for trial in trials
    }


def _result(task: Task, epoch: int, values: Any) -> EpochResult:
    sums = {name: np.asarray(part, np.float64) for name, part in values["sums"].items()}
    metrics = {name: np.asarray(metric.of(sums)) for name, metric in task.metrics.items()}
    return EpochResult(epoch, np.asarray(values["loss"], np.float64), metrics, values["sums"].get("confusion"))
