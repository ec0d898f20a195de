"""The model zoo. A model is called with (hyperparameters, spec, rngs); the module it returns maps a batch to outputs."""

from tuner.models.mlp import MLP

__all__ = ["MLP"]
