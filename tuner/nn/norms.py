"""Elastic normalization layers."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from tuner.hyperparameters import Width
from tuner.nn.elastic import Hyperparameter, cap_of, float_dtype, mask_units, pad_units, size_variable, units_to_draw


def _scale_and_bias(features: int | Width) -> tuple[nnx.Param[Any], nnx.Param[Any]]:
    ones = pad_units(np.ones(units_to_draw(features), float_dtype()), features, 0)
    return nnx.Param(ones), nnx.Param(np.zeros(cap_of(features), float_dtype()))


class LayerNorm(nnx.Module):
    """Layer normalization (Ba, Kiros and Hinton, 2016) over the units in use.

    Args:
        features: units, an int or a ``Width``.
        epsilon: added to the variance.
        rngs: not used; there so that all layers are made alike.
    """

    def __init__(self, features: int | Width, *, epsilon: float = 1e-6, rngs: nnx.Rngs | None = None) -> None:
        del rngs
        self.scale, self.bias = _scale_and_bias(features)
        self.size = size_variable(features)
        self.epsilon = epsilon

    def __call__(self, x: Float[Array, "*batch units"]) -> Float[Array, "*batch units"]:
        """Normalize each example over its units."""
        count = x.shape[-1] if self.size is None else self.size[...].astype(x.dtype)
        x = mask_units(x, self.size)
        mean = x.sum(-1, keepdims=True) / count
        centred = mask_units(x - mean, self.size)
        variance = (centred**2).sum(-1, keepdims=True) / count
        y = centred / jnp.sqrt(variance + self.epsilon) * self.scale[...] + self.bias[...]
        return mask_units(y, self.size)


class BatchNorm(nnx.Module):
    """Batch normalization (Ioffe and Szegedy, 2015), its running statistics part of the lane's own state.

    Args:
        features: units, an int or a ``Width``.
        momentum: of the running statistics; a float or a traced number.
        epsilon: added to the variance.
        rngs: not used; there so that all layers are made alike.
    """

    def __init__(
        self, features: int | Width, *, momentum: Any = 0.99, epsilon: float = 1e-5, rngs: nnx.Rngs | None = None
    ) -> None:
        del rngs
        self.scale, self.bias = _scale_and_bias(features)
        self.mean = nnx.BatchStat(np.zeros(cap_of(features), float_dtype()))
        self.var = nnx.BatchStat(np.ones(cap_of(features), float_dtype()))
        self.size = size_variable(features)
        self.momentum = Hyperparameter(jnp.asarray(momentum, float_dtype()))
        self.epsilon = epsilon
        self.use_running_average = False

    def __call__(self, x: Float[Array, "*batch units"]) -> Float[Array, "*batch units"]:
        """Normalize by the batch's statistics in training, by the running ones in evaluation."""
        x = mask_units(x, self.size)
        if self.use_running_average:
            mean, variance = self.mean[...], self.var[...]
        else:
            axes = tuple(range(x.ndim - 1))
            mean, variance = x.mean(axes), x.var(axes)
            self.mean.set_value(self._moved(self.mean[...], mean))
            self.var.set_value(self._moved(self.var[...], variance))
        y = (x - mean) / jnp.sqrt(variance + self.epsilon) * self.scale[...] + self.bias[...]
        return mask_units(y, self.size)

    def _moved(self, running: Any, batch: Any) -> Any:
        momentum = self.momentum[...]
        return momentum * running + (1 - momentum) * batch
