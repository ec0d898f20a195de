"""Elastic layers: Flax NNX modules whose widths may be a ``Width`` and whose rates may be traced."""

from tuner.nn.dropout import Dropout
from tuner.nn.linear import Linear
from tuner.nn.norms import BatchNorm, LayerNorm

__all__ = ["BatchNorm", "Dropout", "LayerNorm", "Linear"]
