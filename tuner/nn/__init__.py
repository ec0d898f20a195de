"""Elastic layers: Flax NNX modules whose widths may be a ``Width`` and whose rates may be traced."""

from flax.nnx import avg_pool

from tuner.nn.conv import Conv
from tuner.nn.dropout import Dropout
from tuner.nn.linear import Linear
from tuner.nn.norms import BatchNorm, LayerNorm
from tuner.nn.pooling import max_pool

__all__ = ["BatchNorm", "Conv", "Dropout", "LayerNorm", "Linear", "avg_pool", "max_pool"]
