"""The model zoo. A model is called with (hyperparameters, spec, rngs); its module maps a batch to outputs."""

from tuner.models.cnn import CNN
from tuner.models.mlp import MLP

__all__ = ["CNN", "MLP"]
