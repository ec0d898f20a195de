"""Values that lanes start from instead of drawing them, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from flax import nnx

from tuner.errors import InputError, nearest
from tuner.training.recipe import Recipe, Values, fits, name_of


@dataclass(frozen=True, eq=False)
class Weights:
    """Values by name (``convolutions.0.kernel``), and which parameters are not trained.

    Attributes:
        arrays: each of the shape that the model has at the sizes in use.
        frozen: patterns of names.
        digest: of all arrays.
    """

    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    digest: str = ""


NO_WEIGHTS = Weights()


def put_in(weights: Weights, values: Values) -> Values:
    """Lanes' values with these in the places of those that were drawn.

    Args:
        weights: at the sizes in use.
        values: with a leading axis of lanes, at the caps: what is past the sizes becomes 0.
    """
    if not weights.arrays:
        return values

    def replaced(path: Any, leaf: Any) -> Any:
        array = weights.arrays.get(_name(path))
        if array is None:
            return leaf
        whole = np.zeros(leaf.shape, leaf.dtype)
        whole[(slice(None), *(slice(length) for length in array.shape))] = array
        return whole

    return jax.tree_util.tree_map_with_path(replaced, values)


def check_fit(weights: Weights, recipe: Recipe) -> None:
    """Check that the values fit a model, and that something is left to train.

    Args:
        weights: to start from.
        recipe: of the model at the sizes in use.

    Raises:
        InputError: a name that the model does not have, another shape, a pattern that fits nothing, nothing to train.
    """
    state = recipe.abstract.values
    shapes = {_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
    for name, array in weights.arrays.items():
        if name not in shapes:
            raise InputError("the model has no value of the name that init_from gives", name, nearest(name, shapes))
        if shapes[name] != array.shape:
            what = f"the model's {name} has shape {shapes[name]}, the one of init_from another"
            raise InputError(
                what, str(array.shape), "Give the layer that width, or leave the name out with only=[...]."
            )
    for pattern in weights.frozen:
        if not any(fits(name, [pattern]) for name in shapes):
            raise InputError("frozen names nothing in the model", pattern, nearest(pattern, shapes))
    if not jax.tree.leaves(state.parameters):
        raise InputError("init_from freezes all parameters", ", ".join(weights.frozen), "Leave some to be trained.")


def named(values: Values) -> dict[str, Any]:
    """A model's parameters and its running statistics, by name."""
    variables = [pair for state in values for pair in nnx.to_flat_state(state)]
    kept = (nnx.Param, nnx.BatchStat)
    return {name_of(path): variable[...] for path, variable in variables if isinstance(variable, kept)}


def _name(path: Any) -> str:
    """The name of a leaf of ``Values``: without the tuple's part, and without the variable that holds it."""
    return name_of(key.key for key in path if isinstance(key, jax.tree_util.DictKey))
