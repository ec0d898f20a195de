"""Elastic layers: Flax NNX modules whose widths may be a ``Width`` and whose rates may be traced."""

from flax.nnx import avg_pool

from tuner.nn.attention import Embed, MultiHeadAttention
from tuner.nn.conv import Conv
from tuner.nn.dropout import Dropout
from tuner.nn.linear import Linear
from tuner.nn.norms import BatchNorm, GroupNorm, LayerNorm
from tuner.nn.pooling import max_pool
from tuner.nn.recurrent import Recurrent

__all__ = [
    "BatchNorm",
    "Conv",
    "Dropout",
    "Embed",
    "GroupNorm",
    "LayerNorm",
    "Linear",
    "MultiHeadAttention",
    "Recurrent",
    "avg_pool",
    "max_pool",
]
