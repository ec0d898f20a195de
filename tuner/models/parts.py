"""What model families share: how their common hyperparameters become layers."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
from flax import nnx

from tuner import nn
from tuner.errors import InputError, nearest
from tuner.hyperparameters import Width

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": jax.nn.relu,
    "tanh": jax.nn.tanh,
    "sigmoid": jax.nn.sigmoid,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
}
# the layer's own momentum of 0.99 would still remember the start after the few hundred steps of a small training
NORMS: dict[str, Callable[..., nnx.Module]] = {
    "batch": partial(nn.BatchNorm, momentum=0.9),
    "group": nn.GroupNorm,
    "layer": nn.LayerNorm,
}


def activation(hyperparameters: Any, default: str = "relu") -> Callable[[Any], Any]:
    """The activation function that the hyperparameter ``activation`` names.

    Raises:
        InputError: there is none of this name.
    """
    return _named("activation", hyperparameters.get("activation", default), ACTIVATIONS)


def norms(hyperparameters: Any, features: list[int | Width], default: str | None = None) -> Any:
    """A normalization for each of these widths, as the hyperparameter ``norm`` says; empty where it is None.

    Raises:
        InputError: there is no normalization of this name.
    """
    name = hyperparameters.get("norm", default)
    layer = None if name is None else _named("norm", name, NORMS)
    return nnx.List([] if layer is None else [layer(width) for width in features])


def dropouts(hyperparameters: Any, count: int, rngs: nnx.Rngs) -> Any:
    """So many dropout layers of the rate ``dropout``; empty where none is given."""
    rate = hyperparameters.get("dropout")
    return nnx.List([] if rate is None else [nn.Dropout(rate, rngs=rngs) for _ in range(count)])


def initializer(hyperparameters: Any, default: str = "lecun_normal") -> str:
    """The initializer of kernels that the hyperparameter ``initializer`` names; the layers refuse unknown ones."""
    return str(hyperparameters.get("initializer", default))


def at(layers: Any, index: int, x: Any) -> Any:
    """A layer applied, where there are such layers."""
    return layers[index](x) if layers else x


def _named(field: str, name: Any, known: Mapping[str, Any]) -> Any:
    if not isinstance(name, str) or name not in known:
        raise InputError(f"the hyperparameter {field!r} names no {field}", name, nearest(str(name), known))
    return known[name]
