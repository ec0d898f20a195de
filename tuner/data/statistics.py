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
        mean, scale: float64 [columns] for tables, [] for images.
        target_mean, target_scale: float64 [outputs], in the target's units; zeros and ones for classification.
    """

    mean: Floats
    scale: Floats
    target_mean: Floats
    target_scale: Floats


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
    if prepared.labels is None:
        target_mean, target_scale = _moments(prepared.targets[rows])
    else:
        target_mean, target_scale = np.zeros(prepared.spec.outputs), np.ones(prepared.spec.outputs)
    return Statistics(mean, scale, target_mean, target_scale)


def _input_statistics(prepared: Prepared, rows: Rows, *, standardize: bool) -> tuple[Floats, Floats]:
    if not prepared.is_table:
        return np.zeros(()), np.asarray(255.0 if prepared.inputs.dtype == np.uint8 else 1.0)
    if not standardize:
        return np.zeros(prepared.spec.input_shape), np.ones(prepared.spec.input_shape)
    return _moments(prepared.inputs[rows])


def _moments(values: NDArray[Any]) -> tuple[Floats, Floats]:
    """Mean and deviation per column; the rounding of a constant column's mean must not pass for a deviation."""
    deviation = values.std(axis=0)
    is_constant = (values.max(axis=0) == values.min(axis=0)) | (deviation == 0)
    return values.mean(axis=0), np.where(is_constant, 1.0, deviation)
