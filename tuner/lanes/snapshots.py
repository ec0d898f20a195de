"""What a checkpoint holds of a trial: which program trains it, and its lanes as arrays on the host."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tuner.training.lane import Lane


class DoesNotFit(ValueError):
    """Lanes that were stored are none of the program that shall go on with them."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A trial between two epochs.

    caps: of its program, by path. trials, together, devices: of its program's layout. epoch: that it has trained.
    weights: multiply-adds of an example, all and in use. lanes: arrays with a leading axis (folds,), by name; none
    where it has no lanes yet.
    """

    caps: Mapping[str, int]
    trials: int
    together: int
    devices: int
    epoch: int = 0
    weights: tuple[float, float] = (0.0, 0.0)
    lanes: Mapping[str, np.ndarray] = field(default_factory=dict)


def on_the_host(lanes: Lane) -> dict[str, np.ndarray]:
    """A trial's lanes as arrays by name; random keys as their words."""
    words = jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, lanes)
    fetched = jax.device_get(words)
    leaves = jax.tree_util.tree_leaves_with_path(fetched)
    return {jax.tree_util.keystr(path): np.array(leaf) for path, leaf in leaves}  # no view of what is given away next


def as_lanes(arrays: Mapping[str, np.ndarray], shapes: Lane) -> Lane:
    """What ``on_the_host`` made, as lanes again.

    Args:
        arrays: by name.
        shapes: of the program's lanes, leading axis (folds,).

    Raises:
        DoesNotFit: a name, a shape or a type is another.
    """
    expected = jax.tree_util.tree_leaves_with_path(shapes)
    names = [jax.tree_util.keystr(path) for path, _ in expected]
    if set(names) != set(arrays):
        raise DoesNotFit(f"other arrays: {', '.join(sorted(set(names) ^ set(arrays))[:3])}")
    leaves = [_leaf(name, arrays[name], shape) for name, (_, shape) in zip(names, expected, strict=True)]
    lanes: Lane = jax.tree.unflatten(jax.tree.structure(shapes), leaves)
    return lanes


def _leaf(name: str, array: np.ndarray, shape: Any) -> Any:
    leaf = jax.random.wrap_key_data(jnp.asarray(array)) if _is_key(shape) else array
    if (leaf.shape, leaf.dtype) != (shape.shape, shape.dtype):
        raise DoesNotFit(f"{name} is {leaf.dtype}{leaf.shape}, and {shape.dtype}{shape.shape} in the program")
    return leaf


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
