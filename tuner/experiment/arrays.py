"""From an experiment to the arrays that its lanes train on."""

from numpy.typing import NDArray

from tuner.data import make_splits, prepare, statistics
from tuner.experiment.definition import Experiment
from tuner.lanes.arrays import Arrays, Part
from tuner.training.tasks import metric_of


def arrays_of(experiment: Experiment) -> Arrays:
    """Load and check the data, cut off the test set, split the folds, and take each fold's statistics.

    Raises:
        InputError: the data cannot be used, the folds cannot be made, or the metric does not fit the task.
    """
    prepared = prepare(experiment.data, experiment.data_limit)
    metric_of(experiment.metric, prepared.spec.task)
    splits = make_splits(prepared, experiment.folds, experiment.test_fraction, experiment.split_seed)

    def part(train: NDArray, validation: NDArray) -> Part:
        return Part(train, validation, statistics(prepared, train, experiment.standardize))

    folds = tuple(part(fold.train, fold.validation) for fold in splits.folds)
    return Arrays(prepared, folds, part(splits.rest, splits.test), experiment.epochs)
