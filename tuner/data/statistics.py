"""What a fold's training rows say about the scale of the data."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data.dataset import Prepared
from tuner.data.splits import Rows

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Statistics:
    """How to scale an example: ``(inputs - mean) / scale``, and targets likewise.

    Attributes:
        mean, scale: float64 [columns] for tables, [channels] for sequences of numbers, [] for images and
            tokens.
        target_mean, target_scale: float64 [outputs], in the target's units; zeros and ones for classification.
        class_weights: float64 [classes], rows over classes times the rows of each class (as scikit-learn's "balanced"),
            so that all classes weigh the same; empty where there are no classes.
    """

    mean: Floats
    scale: Floats
    target_mean: Floats
    target_scale: Floats
    class_weights: Floats


def statistics(prepared: Prepared, rows: Rows, standardize: bool) -> Statistics:  # noqa: FBT001
    """The statistics of these rows and no others.

    Args:
        prepared: the data.
        rows: [n], a fold's training rows.
        standardize: whether a table's columns are brought to mean 0 and deviation 1. Images given as uint8 are
            divided by 255 and regression targets are standardized in any case.

    Returns:
        The statistics; a column that never changes keeps its scale.
    """
    mean, scale = _input_statistics(prepared, rows, standardize=standardize)
    if prepared.spec.task == "next_token":
        return Statistics(mean, scale, np.zeros(()), np.ones(()), np.zeros(0))
    if prepared.labels is None:
        return Statistics(mean, scale, *_moments(prepared.targets[rows]), np.zeros(0))
    zeros, ones = np.zeros(prepared.spec.outputs), np.ones(prepared.spec.outputs)
    return Statistics(mean, scale, zeros, ones, _class_weights(prepared.targets[rows], len(prepared.labels)))


def _input_statistics(prepared: Prepared, rows: Rows, *, standardize: bool) -> tuple[Floats, Floats]:
    if prepared.sequences and standardize:
        steps = prepared.inputs[rows].reshape(-1, prepared.spec.input_shape[-1])
        return _moments(steps[~np.isnan(steps[:, 0])])
    if not prepared.is_table:
        return np.zeros(()), np.asarray(255.0 if prepared.inputs.dtype == np.uint8 else 1.0)
    if not standardize:
        return np.zeros(prepared.spec.input_shape), np.ones(prepared.spec.input_shape)
    mean, scale = _moments(prepared.inputs[rows])
    for begin, end in prepared.spec.categories:
        block = prepared.inputs[rows, begin:end]
        mean[begin:end], scale[begin:end] = 0, np.where(block.any(axis=0), 1, np.inf)  # one that is new counts as none
    return mean, scale


def _class_weights(codes: NDArray[Any], classes: int) -> Floats:
    """Of a class that these rows lack: 0, it is never asked for."""
    counts = np.bincount(codes, minlength=classes)
    return np.divide(len(codes), classes * counts, out=np.zeros(classes), where=counts > 0)


def _moments(values: NDArray[Any]) -> tuple[Floats, Floats]:
    """Mean and deviation per column, of the numbers that are not missing.

    The rounding of a constant column's mean must not pass for a deviation.
    """
    if np.isnan(values).any():
        return _moments_of_known(values)
    deviation = values.std(axis=0)
    is_constant = (values.max(axis=0) == values.min(axis=0)) | (deviation == 0)
    return values.mean(axis=0), np.where(is_constant, 1.0, deviation)


def _moments_of_known(values: NDArray[Any]) -> tuple[Floats, Floats]:
    """Likewise where numbers are missing; a column without any says nothing, and is 0 whatever the other rows have."""
    each = [_moments(column[~np.isnan(column)][:, None]) for column in values.T if not np.isnan(column).all()]
    known = ~np.isnan(values).all(axis=0)
    mean, scale = np.zeros(values.shape[1]), np.full(values.shape[1], np.inf)
    mean[known], scale[known] = (np.concatenate([pair[part] for pair in each]) for part in (0, 1))
    return mean, scale
