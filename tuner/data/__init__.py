"""Data sets to arrays, splits, and the statistics of a fold's training rows."""

from tuner.data.dataset import Dataset, Prepared, Spec
from tuner.data.prepare import prepare
from tuner.data.splits import Fold, Splits, make_splits
from tuner.data.statistics import Statistics, statistics

__all__ = [
    "Dataset",
    "Fold",
    "Prepared",
    "Spec",
    "Splits",
    "Statistics",
    "make_splits",
    "prepare",
    "statistics",
]
