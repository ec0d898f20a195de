"""What a search space costs: how each of its parameters enters programs, and how large the lanes are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optuna

from tuner.experiment.definition import Experiment
from tuner.hyperparameters import Split
from tuner.lanes.arrays import Arrays
from tuner.training.lane import start
from tuner.training.recipe import Recipe
from tuner.training.settings import parts_of

Kind = Literal["elastic", "static", "traced", "the loop's"]


@dataclass(frozen=True)
class Footprint:
    """How large lanes are: trained parameters of the smallest and the largest draw, and a lane's state at its caps."""

    least_parameters: int
    most_parameters: int
    lane_bytes: int


def kind_of(ends: Sequence[Mapping[str, Any]], static: frozenset[str]) -> Kind:
    """How a parameter of the search space enters programs, by what draws that differ in it alone differ in.

    ``static``: its values shape programs, each needs one of its own. ``elastic``: the size of a ``Width``. ``traced``:
    a number in a program. ``the loop's``: no program depends on it.
    """
    parts = [parts_of(draw, static) for draw in ends]
    if len({part.signature for part in parts}) > 1:
        return "static"
    sizes = {tuple(part.numbers[path] for path in part.signature.sizes) for part in parts}
    if len(sizes) > 1:
        return "elastic"
    return "traced" if len({tuple(part.numbers.values()) for part in parts}) > 1 else "the loop's"


def samples_independently(sampler: Any) -> bool:
    """Whether a sampler draws parameters that only some trials have independently of the others.

    CMA-ES and Gaussian processes do, and Optuna's TPE unless it is told to group them.
    """
    if isinstance(sampler, str):
        return sampler in {"cmaes", "gp"}
    if isinstance(sampler, optuna.samplers.TPESampler):
        return not sampler._group
    return isinstance(sampler, optuna.samplers.CmaEsSampler | optuna.samplers.GPSampler)


def footprint(draws: Iterable[Mapping[str, Any]], experiment: Experiment, arrays: Arrays) -> Footprint:
    """How large the lanes of some draws are, from shapes alone.

    Args:
        draws: hyperparameters.
        experiment: whose model it is.
        arrays: the data.

    Raises:
        Exception: whatever the model raises.
    """
    parts = [parts_of_lanes(draw) for draw in draws]
    by_size = sorted(parts, key=lambda part: sum(part.numbers[path] for path in part.signature.sizes))
    smallest, largest = ({part.signature: part for part in chosen}.values() for chosen in (by_size[::-1], by_size))
    whole = partial(Recipe, experiment.model, arrays.spec, arrays.task)
    counts = [_parameters(whole(part.narrow)) for part in (*smallest, *largest)]
    lanes = [_lane_bytes(whole(signature)) for signature in {part.signature for part in parts}]
    return Footprint(min(counts), max(counts), max(lanes))


def parts_of_lanes(draw: Mapping[str, Any]) -> Split:
    """A draw in its two parts, without the batch size, which shapes programs but no lane."""
    return parts_of({name: value for name, value in draw.items() if name != "batch_size"})


def _parameters(recipe: Recipe) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(recipe.abstract.values.parameters))


def _lane_bytes(recipe: Recipe) -> int:
    words = jax.ShapeDtypeStruct((2,), jnp.uint32)
    lane = jax.eval_shape(partial(start, recipe), recipe.abstract.values, recipe.number_shapes, words)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(lane))
