"""Compiled programs: the lanes of a chunk of trials, stacked on a leading axis and advanced an epoch at a time.

A chunk holds ``trials`` side by side, each with one lane a fold. A population is as many chunks as it needs, so that
on a CPU, where a chunk is one trial, no idle lane is ever trained (docs/decisions/chunks.md).
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tuner.lanes.compiling import compiled
from tuner.lanes.layout import Layout
from tuner.lanes.memory import Memory, memory_of
from tuner.lanes.orders import order_shapes, traced_order
from tuner.lanes.snapshots import as_lanes
from tuner.training.lane import Bounds, Data, Fold, Lane, evaluate, start, train_epoch
from tuner.training.optimizers import first_state, starts_as_zeros
from tuner.training.recipe import Recipe, Values

_AXIS = "lanes"


class Program:
    """The executables for a recipe and a layout.

    They ``insert`` a trial's lanes, draw the ``orders`` of an epoch where the host does not, and ``advance`` a chunk.

    seconds: that making it took. memory: what a call of ``advance`` needs.
    """

    def __init__(self, recipe: Recipe, layout: Layout) -> None:
        began = time.perf_counter()
        self.recipe = recipe
        self.layout = layout
        self._empty_lane = _lane_shapes(recipe)
        self._advance = compiled(advance_function(recipe, layout), advance_shapes(recipe, layout), recipe)
        self._put = self._orders = None
        if layout.trials > 1:
            self._put = compiled(insert_function(layout), insert_shapes(recipe, layout))
        if layout.rows is not None:
            self._orders = compiled(orders_function(layout), order_shapes(layout.lanes, layout.rows))
        self.seconds = time.perf_counter() - began
        self.memory: Memory = memory_of(self._advance)

    def empty(self) -> Lane | None:
        """A chunk with no trial in it; None where a chunk holds but one."""
        if self._put is None:
            return None
        return self.on_device(jax.tree.map(_zeros, _stacked(self._empty_lane, self.layout.lanes)))

    def on_device(self, tree: Any) -> Any:
        """Arrays with a leading lanes axis on the devices that share the lanes."""
        return jax.device_put(tree, _spread(self.layout)) if self.layout.devices > 1 else jax.device_put(tree)

    def everywhere(self, tree: Any) -> Any:
        """Arrays that all lanes share on each of the devices."""
        if self.layout.devices == 1:
            return jax.device_put(tree)
        return jax.device_put(tree, _shared(self.layout))

    def first_lanes(self, values: Values, numbers: Mapping[str, Any], words: np.ndarray) -> Lane:
        """A trial's lanes, which have taken no step.

        Args:
            values: the lanes' model values, leading axis (folds,).
            numbers: path to number.
            words: of the lanes' keys for what is done to batches, uint32 (folds, 2).
        """
        lanes: Lane = jax.tree.map(_zeros, _stacked(self._empty_lane, self.layout.folds))
        typed = {path: np.full_like(lanes.numbers[path], number) for path, number in numbers.items()}
        hyperparameters, state = self.recipe.signature.fill(numbers), lanes.optimizer
        if not starts_as_zeros(hyperparameters):
            state = jax.vmap(partial(first_state, hyperparameters))(values.parameters)
        return lanes._replace(values=values, optimizer=state, numbers=typed, words=words)

    def lanes_from(self, arrays: Mapping[str, np.ndarray]) -> Lane:
        """A trial's lanes as they were stored.

        Raises:
            DoesNotFit: they are none of this program.
        """
        return as_lanes(arrays, _stacked(self._empty_lane, self.layout.folds))

    def insert(self, chunk: Lane | None, place: int, lanes: Lane) -> Lane:
        """Put a trial's lanes into a place of the chunk; ``chunk`` is used up.

        Args:
            chunk: all lanes.
            place: of the trial, from 0.
            lanes: leading axis (folds,).
        """
        if self._put is None:
            placed: Lane = self.on_device(lanes)
            return placed
        after: Lane = self._put(chunk, self.everywhere(lanes), self.everywhere(np.int32(place * self.layout.folds)))
        return after

    def orders(self, words: np.ndarray, epochs: np.ndarray, rows: Any, counts: Any) -> Any:
        """The rows of each step of an epoch, int32 (lanes, steps, batch size), where the program draws them.

        Args:
            words: uint32 (lanes, 2).
            epochs: int32 (lanes,), counted from 0.
            rows: int32 (lanes, most rows), each lane's training rows.
            counts: int32 (lanes,), how many these are.
        """
        if self._orders is None:
            raise ValueError("this program's orders are drawn on the host")
        return self._orders(self.on_device(words), self.on_device(epochs), rows, counts)

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


def advance_function(recipe: Recipe, layout: Layout) -> Any:
    """The jitted function behind ``Program.advance``, for ``advance_shapes``."""

    def one_lane(data: Data, bounds: Bounds, arguments: tuple[Lane, Fold, Any]) -> tuple[Lane, Any]:
        lane, fold, order = arguments
        lane, loss = train_epoch(recipe, data, fold, order, bounds, lane)
        return lane, {"loss": loss, "sums": evaluate(recipe, data, fold, bounds, lane)}

    def advance(chunk: Lane, data: Data, folds: Fold, orders: Any, bounds: Bounds) -> tuple[Lane, Any]:
        train = partial(one_lane, data, bounds)
        if layout.together * layout.devices >= layout.lanes:
            after: tuple[Lane, Any] = jax.vmap(train)((chunk, folds, orders))
        else:
            after = lax.map(train, (chunk, folds, orders), batch_size=_batch(layout.together))
        return after

    return _jit(advance, layout, (True, False, True, True, False))


def insert_function(layout: Layout) -> Any:
    """The jitted function behind ``Program.insert``, for ``insert_shapes``."""
    if layout.devices == 1:
        return jax.jit(_put, donate_argnums=0)
    shared = _shared(layout)
    return jax.jit(
        _put, donate_argnums=0, in_shardings=(_spread(layout), shared, shared), out_shardings=_spread(layout)
    )


def orders_function(layout: Layout) -> Any:
    """The jitted function behind ``Program.orders``, for ``order_shapes``."""
    each = jax.vmap(partial(traced_order, steps=layout.steps, batch_size=layout.batch_size))
    return _jit(each, layout, (True, True, True, True), donate=())


def advance_shapes(recipe: Recipe, layout: Layout) -> tuple[Any, ...]:
    """Shapes and types of ``Program.advance``'s arguments."""
    float_type, whole = jnp.dtype(layout.float_type), jnp.int32
    lanes, scalar = layout.lanes, jax.ShapeDtypeStruct((), whole)
    statistic = jax.ShapeDtypeStruct((lanes, *layout.mean_shape), float_type)
    target = jax.ShapeDtypeStruct((lanes, *layout.target_shape), float_type)
    steps = jax.ShapeDtypeStruct((lanes,), whole)
    rows = (lanes, *layout.evaluation)
    folds = Fold(
        mean=statistic,
        scale=statistic,
        target_mean=target,
        target_scale=target,
        class_weights=jax.ShapeDtypeStruct((lanes, layout.classes), float_type),
        steps=steps,
        total_steps=steps,
        rows=jax.ShapeDtypeStruct(rows, whole),
        weights=jax.ShapeDtypeStruct(rows, float_type),
    )
    orders = jax.ShapeDtypeStruct((lanes, layout.steps, layout.batch_size), whole)
    data = Data(*(jax.ShapeDtypeStruct(shape, jnp.dtype(kind)) for shape, kind in layout.data))
    bounds = Bounds(scalar, scalar if layout.uneven else None, scalar)
    return _stacked(_lane_shapes(recipe), lanes), data, folds, orders, bounds


def lane_shapes(recipe: Recipe, count: int) -> Lane:
    """Shapes and types of so many lanes, leading axis (count,)."""
    shapes: Lane = _stacked(_lane_shapes(recipe), count)
    return shapes


def insert_shapes(recipe: Recipe, layout: Layout) -> tuple[Any, ...]:
    """Shapes and types of the arguments of the function that inserts a trial's lanes."""
    lane = _lane_shapes(recipe)
    return _stacked(lane, layout.lanes), _stacked(lane, layout.folds), jax.ShapeDtypeStruct((), jnp.int32)


def _batch(together: int) -> int | None:
    return together if together > 1 else None  # None is one after the other, without an axis of length one


def _jit(function: Any, layout: Layout, by_lane: tuple[bool, ...], donate: tuple[int, ...] = (0,)) -> Any:
    """The function jitted, ``donate`` arguments donated; over several devices each takes its share of the lanes."""
    if layout.devices == 1:
        return jax.jit(function, donate_argnums=donate)
    shardings = tuple(_spread(layout) if lanes else _shared(layout) for lanes in by_lane)
    specs = tuple(sharding.spec for sharding in shardings)
    each = jax.shard_map(function, mesh=_mesh(layout), in_specs=specs, out_specs=specs[0], check_vma=False)
    return jax.jit(each, donate_argnums=donate, in_shardings=shardings, out_shardings=shardings[0])


def _mesh(layout: Layout) -> Any:
    devices = jax.local_devices()[: layout.devices]
    return jax.make_mesh((layout.devices,), (_AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def _shared(layout: Layout) -> NamedSharding:
    return NamedSharding(_mesh(layout), PartitionSpec())


def _spread(layout: Layout) -> NamedSharding:
    return NamedSharding(_mesh(layout), PartitionSpec(_AXIS))


def _put(chunk: Lane, lanes: Lane, first: Any) -> Lane:
    placed: Lane = jax.tree.map(lambda leaf, new: lax.dynamic_update_slice_in_dim(leaf, new, first, 0), chunk, lanes)
    return placed


def _lane_shapes(recipe: Recipe) -> Lane:
    words = jax.ShapeDtypeStruct((2,), jnp.uint32)
    shapes: Lane = jax.eval_shape(partial(start, recipe), recipe.abstract.values, recipe.number_shapes, words)
    return shapes


def _stacked(tree: Any, count: int) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), tree)


def _zeros(shape: Any) -> Any:
    if jnp.issubdtype(shape.dtype, jax.dtypes.prng_key):
        words = jax.eval_shape(jax.random.key_data, shape)
        return jax.random.wrap_key_data(jnp.zeros(words.shape, words.dtype))
    return np.zeros(shape.shape, shape.dtype)
