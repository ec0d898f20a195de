"""Compiled programs: the lanes of a chunk of trials, stacked on a leading axis and advanced an epoch at a time.

A chunk holds ``trials`` side by side, each with one lane a fold. A population is as many chunks as it needs, so that
on a CPU, where a chunk is one trial, no idle lane is ever trained (docs/decisions/chunks.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tuner.lanes.arrays import Arrays
from tuner.training.lane import Bounds, Data, Fold, Lane, Recipe, Values, evaluate, start, train_epoch


@dataclass(frozen=True)
class Layout:
    """The shapes of a program beside its recipe's.

    trials: side by side in a chunk. folds: lanes a trial. steps: of the longest epoch.
    evaluation: (batches, rows a batch). uneven: whether folds take different numbers of steps.
    data: shapes and types of the data set. mean_shape: of the inputs' statistics. float_type: the default float's name.
    """

    trials: int
    folds: int
    steps: int
    batch_size: int
    evaluation: tuple[int, int]
    uneven: bool
    data: tuple[tuple[tuple[int, ...], str], ...]
    mean_shape: tuple[int, ...]
    float_type: str

    @property
    def lanes(self) -> int:
        """Lanes of a chunk."""
        return self.trials * self.folds


def layout_of(arrays: Arrays, batch_size: int, trials: int) -> Layout:
    """The layout of a program for this data and batch size, with this many trials in a chunk."""
    return Layout(
        trials=trials,
        folds=len(arrays.folds),
        steps=arrays.most_steps(batch_size),
        batch_size=batch_size,
        evaluation=arrays.evaluation_shape,
        uneven=arrays.uneven(batch_size),
        data=tuple((leaf.shape, str(leaf.dtype)) for leaf in arrays.data),
        mean_shape=np.shape(arrays.folds[0].statistics.mean),
        float_type=str(jnp.result_type(float)),
    )


class Program:
    """The executables for a recipe and a layout: ``insert`` a trial's lanes, ``advance`` a chunk by an epoch."""

    def __init__(self, recipe: Recipe, layout: Layout) -> None:
        self.recipe = recipe
        self.layout = layout
        self._empty_lane = _lane_shapes(recipe)
        chunk = _stacked(self._empty_lane, layout.lanes)
        arguments = _advance_shapes(recipe, layout)
        self._advance = jax.jit(_advance_function(recipe), donate_argnums=0).lower(chunk, *arguments).compile()
        self._put = None
        if layout.trials > 1:
            part = _stacked(self._empty_lane, layout.folds), jax.ShapeDtypeStruct((), jnp.int32)
            self._put = jax.jit(_put, donate_argnums=0).lower(chunk, *part).compile()
        self.code_bytes = _code_bytes(self._advance)

    def empty(self) -> Lane | None:
        """A chunk with no trial in it; None where a chunk holds but one."""
        if self._put is None:
            return None
        return jax.device_put(jax.tree.map(_zeros, _stacked(self._empty_lane, self.layout.lanes)))

    def insert(self, chunk: Lane | None, place: int, values: Values, numbers: Mapping[str, Any]) -> Lane:
        """Put a trial's lanes, which have taken no step, into a place of the chunk; ``chunk`` is used up.

        Args:
            chunk: all lanes.
            place: of the trial, from 0.
            values: the lanes' model values, leading axis (folds,).
            numbers: path to number.
        """
        folds = self.layout.folds
        lanes: Lane = jax.tree.map(_zeros, _stacked(self._empty_lane, folds))
        typed = {path: np.full_like(lanes.numbers[path], number) for path, number in numbers.items()}
        lanes = lanes._replace(values=values, numbers=typed)
        if self._put is None:
            return jax.device_put(lanes)
        after: Lane = self._put(chunk, lanes, np.int32(place * folds))
        return after

    def advance(self, chunk: Lane, data: Data, folds: Fold, orders: Any, bounds: Bounds) -> tuple[Lane, Any]:
        """Train every lane of a chunk one epoch and evaluate it; ``chunk`` is used up.

        Args:
            chunk: all lanes.
            data: all rows.
            folds: leading axis (lanes,).
            orders: int32 (lanes, steps, batch size).
            bounds: the loops' bounds.

        Returns:
            The chunk after, and ``loss`` and the metrics' ``sums``, each with leading axis (lanes,).
        """
        after: tuple[Lane, Any] = self._advance(chunk, data, folds, orders, bounds)
        return after


def _code_bytes(executable: Any) -> int:
    memory = executable.memory_analysis()
    return 0 if memory is None else int(memory.generated_code_size_in_bytes)


def _advance_function(recipe: Recipe) -> Any:
    def advance(chunk: Lane, data: Data, folds: Fold, orders: Any, bounds: Bounds) -> tuple[Lane, Any]:
        def one_lane(lane: Lane, fold: Fold, order: Any) -> tuple[Lane, Any]:
            lane, loss = train_epoch(recipe, data, fold, order, bounds, lane)
            return lane, {"loss": loss, "sums": evaluate(recipe, data, fold, bounds, lane)}

        return jax.vmap(one_lane)(chunk, folds, orders)

    return advance


def _put(chunk: Lane, lanes: Lane, first: Any) -> Lane:
    placed: Lane = jax.tree.map(lambda leaf, new: lax.dynamic_update_slice_in_dim(leaf, new, first, 0), chunk, lanes)
    return placed


def _lane_shapes(recipe: Recipe) -> Lane:
    shapes: Lane = jax.eval_shape(partial(start, recipe), recipe.abstract.values, recipe.number_shapes)
    return shapes


def _stacked(tree: Any, count: int) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), tree)


def _advance_shapes(recipe: Recipe, layout: Layout) -> tuple[Any, ...]:
    float_type, whole = jnp.dtype(layout.float_type), jnp.int32
    lanes, scalar = layout.lanes, jax.ShapeDtypeStruct((), whole)
    statistic = jax.ShapeDtypeStruct((lanes, *layout.mean_shape), float_type)
    target = jax.ShapeDtypeStruct((lanes, recipe.spec.outputs), float_type)
    steps = jax.ShapeDtypeStruct((lanes,), whole)
    rows = (lanes, *layout.evaluation)
    folds = Fold(
        mean=statistic,
        scale=statistic,
        target_mean=target,
        target_scale=target,
        steps=steps,
        total_steps=steps,
        rows=jax.ShapeDtypeStruct(rows, whole),
        weights=jax.ShapeDtypeStruct(rows, float_type),
    )
    orders = jax.ShapeDtypeStruct((lanes, layout.steps, layout.batch_size), whole)
    data = Data(*(jax.ShapeDtypeStruct(shape, jnp.dtype(kind)) for shape, kind in layout.data))
    bounds = Bounds(scalar, scalar if layout.uneven else None, scalar)
    return data, folds, orders, bounds


def _zeros(shape: Any) -> Any:
    if jnp.issubdtype(shape.dtype, jax.dtypes.prng_key):
        words = jax.eval_shape(jax.random.key_data, shape)
        return jax.random.wrap_key_data(jnp.zeros(words.shape, words.dtype))
    return np.zeros(shape.shape, shape.dtype)
