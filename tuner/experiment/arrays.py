"""From an experiment to the arrays that its lanes train on."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tuner.data import make_splits, prepare, statistics
from tuner.errors import InputError
from tuner.experiment.definition import Experiment
from tuner.experiment.init_from import load_weights
from tuner.experiment.loading import describe, file_of
from tuner.lanes.arrays import Arrays, Part
from tuner.training.tasks import task_of


def arrays_of(experiment: Experiment) -> Arrays:
    """Load and check the data, cut off the test set, split the folds, and take each fold's statistics.

    Raises:
        InputError: the data cannot be used, the folds cannot be made, or the metric does not fit the task.
    """
    prepared = prepare(_careful(experiment.data), experiment.data_limit)
    if prepared.missing and not experiment.standardize:
        what = f"{prepared.missing} numbers are missing, and standardize=False leaves nothing to fill them in with"
        raise InputError(what, experiment.name, "Leave standardize at True, or fill them in yourself.")
    asked = (*experiment.metrics, experiment.metric)
    task = task_of(prepared.spec.task, own=experiment.task, labels=prepared.labels, asked=asked)
    splits = make_splits(prepared, experiment.folds, experiment.test_fraction, experiment.split_seed)

    def part(train: np.ndarray, validation: np.ndarray) -> Part:
        return Part(train, validation, statistics(prepared, train, experiment.standardize))

    folds = tuple(part(fold.train, fold.validation) for fold in splits.folds)
    weights, final = load_weights(experiment.init_from), part(splits.rest, splits.test)
    arrays = Arrays(prepared, folds, final, experiment.epochs, task, weights, experiment.rows_at_once)
    _check_metrics(arrays)
    return arrays


def _check_metrics(arrays: Arrays) -> None:
    needing = [name for name, metric in arrays.task.metrics.items() if metric.reduce is not None]
    if needing and len(arrays.pieces) > 1:
        what = f"the metric needs all rows at once, and the data comes to the device in {len(arrays.pieces)} pieces"
        raise InputError(what, needing[0], "Take another one, or raise data.rows_at_once.")


def _careful(data: Any) -> Any:
    """The data; a function that loads it raises only ``InputError``, which says where in the user's file."""
    if not callable(data):
        return data
    load: Callable[[], Any] = data

    def loaded() -> Any:
        try:
            return load()
        except InputError:
            raise
        except Exception as error:
            raise InputError("the experiment's data raises", describe(error, file_of(load)), "Mend it.") from error

    return loaded
