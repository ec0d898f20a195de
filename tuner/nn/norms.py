"""Elastic normalization layers."""

import math
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


class GroupNorm(nnx.Module):
    """Group normalization (Wu and He, 2018): each example over its places and the units of a group.

    Groups are of ``group_size`` neighbouring units, the last of what is left, so that no cap moves their borders;
    ``nnx.GroupNorm`` counts groups instead, and the two agree where all groups are full.

    Args:
        features: units, an int or a ``Width``.
        group_size: units of a group.
        epsilon: added to the variance.
        rngs: not used; there so that all layers are made alike.
    """

    def __init__(
        self, features: int | Width, *, group_size: int = 8, epsilon: float = 1e-6, rngs: nnx.Rngs | None = None
    ) -> None:
        del rngs
        self.scale, self.bias = _scale_and_bias(features)
        self.size = size_variable(features)
        self.group_size, self.epsilon = group_size, epsilon

    def __call__(self, x: Float[Array, "batch *space units"]) -> Float[Array, "batch *space units"]:
        """Normalize each example over its places, group by group."""
        units = x.shape[-1]
        groups = -(-units // self.group_size)
        used = units if self.size is None else self.size[...]
        in_group = jnp.clip(used - jnp.arange(groups) * self.group_size, 1, self.group_size)  # 1: no group, only zeros
        count = (in_group * math.prod(x.shape[1:-1])).astype(x.dtype)
        x = mask_units(x, self.size)
        mean = self._to_units(self._group_sums(x, groups) / count, x)
        centred = mask_units(x - mean, self.size)
        variance = self._to_units(self._group_sums(centred**2, groups) / count, x)
        y = centred / jnp.sqrt(variance + self.epsilon) * self.scale[...] + self.bias[...]
        return mask_units(y, self.size)

    def _group_sums(self, x: Any, groups: int) -> Any:
        """Sums over an example's places and each group's units: (batch, groups)."""
        by_unit = x.reshape(x.shape[0], -1, x.shape[-1]).sum(1)
        padded = jnp.pad(by_unit, ((0, 0), (0, groups * self.group_size - x.shape[-1])))
        return padded.reshape(x.shape[0], groups, self.group_size).sum(-1)

    def _to_units(self, of_groups: Any, x: Any) -> Any:
        """What belongs to a group at each of its units, broadcast against ``x``."""
        by_unit = jnp.repeat(of_groups, self.group_size, axis=-1)[:, : x.shape[-1]]
        return by_unit.reshape(x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
