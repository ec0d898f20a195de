"""One lane: one trial on one fold. Pure functions from state to state; nothing here knows that lanes are stacked."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from tuner.nn.random import fold_in
from tuner.training.augmentation import augmented, draws, mixing, neighbours
from tuner.training.evaluation import merged, part_functions, reduced, sums_of
from tuner.training.optimizers import first_state, learning_rate, take_step
from tuner.training.recipe import Recipe, Values, apply, kernels_of
from tuner.training.settings import setting


class Data(NamedTuple):
    """The data set, shared by all lanes: inputs (rows, ...) and targets (rows,) or (rows, outputs)."""

    inputs: Any
    targets: Any


class Fold(NamedTuple):
    """What a lane knows of its fold. Statistics come from the fold's training rows alone.

    mean, scale: broadcast against one example. target_mean, target_scale: (targets,). class_weights: (classes,), with
    which all classes weigh the same; no entries where there are none. steps: of an epoch. total_steps: of the training.
    rows, weights: (batches, rows a batch), the validation rows, padded by weight 0.
    """

    mean: Any
    scale: Any
    target_mean: Any
    target_scale: Any
    class_weights: Any
    steps: Any
    total_steps: Any
    rows: Any
    weights: Any


class Bounds(NamedTuple):
    """Loop bounds that lanes side by side share: the fewest and the most steps of an epoch, batches to evaluate."""

    fewest: Any
    most: Any
    batches: Any


class Lane(NamedTuple):
    """The state of a lane: model values, optimizer state, steps taken, and what does not change.

    numbers: of its hyperparameters. words: of the random key for what is done to batches, uint32 (2,).
    """

    values: Values
    optimizer: Any
    step: Any
    numbers: dict[str, Any]
    words: Any


def start(recipe: Recipe, values: Values, numbers: dict[str, Any], words: Any) -> Lane:
    """A lane that has taken no step."""
    state = first_state(recipe.signature.fill(numbers), values.parameters)
    return Lane(values, state, jnp.zeros((), jnp.int32), numbers, words)


def train_epoch(recipe: Recipe, data: Data, fold: Fold, order: Any, bounds: Bounds, lane: Lane) -> tuple[Lane, Any]:
    """Train one epoch.

    Args:
        recipe: what the lane is.
        data: all rows.
        fold: the lane's fold.
        order: (steps, batch size), the rows of each step.
        bounds: the loops' bounds.
        lane: the state before.

    Returns:
        The state after, and the mean training loss of the epoch's batches.
    """

    def step(index: Any, carry: tuple[Lane, Any]) -> tuple[Lane, Any]:
        lane, total = carry
        rows = lax.dynamic_index_in_dim(order, index, keepdims=False)
        lane, loss = _train_step(recipe, data, fold, rows, lane)
        return lane, total + loss

    def step_if_due(index: Any, carry: tuple[Lane, Any]) -> tuple[Lane, Any]:
        after = step(index, carry)
        return jax.tree.map(lambda old, new: jnp.where(index < fold.steps, new, old), carry, after)

    carry = lax.fori_loop(0, bounds.fewest, step, (lane, jnp.zeros((), jnp.result_type(float))))
    if bounds.most is not None:
        carry = lax.fori_loop(bounds.fewest, bounds.most, step_if_due, carry)
    lane, total = carry
    return lane, total / fold.steps


def evaluate(recipe: Recipe, data: Data, fold: Fold, bounds: Bounds, lane: Lane) -> dict[str, Any]:
    """What the metrics follow from, summed over the fold's validation rows; ``rows`` and ``loss`` are among it."""
    hyperparameters = recipe.signature.fill(lane.numbers)
    functions = part_functions(recipe.task.metrics.values())

    def batch_parts(index: Any) -> tuple[Any, Any]:
        """What is summed of a batch, and what is kept of it."""
        rows = lax.dynamic_index_in_dim(fold.rows, index, keepdims=False)
        weights = lax.dynamic_index_in_dim(fold.weights, index, keepdims=False)
        inputs, targets = _examples(data, fold, rows)
        outputs, _ = apply(recipe, recipe.abstract.evaluation, lane.values, inputs)
        parts = merged(functions.summed, outputs, targets, fold.target_scale)
        losses = _losses(recipe, fold, hyperparameters, outputs, targets)
        parts |= {"loss": losses, "rows": jnp.ones_like(weights)}
        return sums_of(parts, weights), merged(functions.kept, outputs, targets, fold.target_scale)

    def add(index: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        (sums, kept), (more, rows) = carry, batch_parts(index)
        kept = jax.tree.map(lambda all_rows, new: lax.dynamic_update_index_in_dim(all_rows, new, index, 0), kept, rows)
        return jax.tree.map(jnp.add, sums, more), kept

    sums, kept = jax.eval_shape(batch_parts, 0)  # one more trace: a first batch outside would be compiled once more
    first = jax.tree.map(_zeros, sums), jax.tree.map(lambda shape: _zeros(shape, len(fold.rows)), kept)
    sums, kept = lax.fori_loop(0, bounds.batches, add, first)
    return sums | reduced(functions, kept, fold.weights)


def _zeros(shape: Any, *axes: int) -> Any:
    return jnp.zeros((*axes, *shape.shape), shape.dtype)


def _train_step(recipe: Recipe, data: Data, fold: Fold, rows: Any, lane: Lane) -> tuple[Lane, Any]:
    hyperparameters = recipe.signature.fill(lane.numbers)
    inputs, targets = _examples(data, fold, rows)
    share = None
    if draws(hyperparameters):
        words = fold_in(lane.words, lane.step)
        inputs, share = augmented(hyperparameters, inputs, words), mixing(hyperparameters, words)
    if share is not None:
        inputs = share * inputs + (1 - share) * neighbours(inputs)

    def losses_of(outputs: Any) -> Any:
        losses = _losses(recipe, fold, hyperparameters, outputs, targets)
        if share is None:
            return losses
        return share * losses + (1 - share) * _losses(recipe, fold, hyperparameters, outputs, neighbours(targets))

    def objective(parameters: Any) -> tuple[Any, tuple[Any, Any]]:
        outputs, other = apply(recipe, recipe.abstract.training, Values(parameters, lane.values.other), inputs)
        loss = losses_of(outputs).mean()
        return loss + _penalty(hyperparameters, parameters), (other, loss)

    gradients, (other, loss) = jax.grad(objective, has_aux=True)(lane.values.parameters)
    rate = learning_rate(hyperparameters, lane.step, fold.total_steps)
    parameters, state = take_step(hyperparameters, rate, gradients, lane.optimizer, lane.values.parameters)
    return lane._replace(values=Values(parameters, other), optimizer=state, step=lane.step + 1), loss


def _losses(recipe: Recipe, fold: Fold, hyperparameters: Mapping[str, Any], outputs: Any, targets: Any) -> Any:
    """The loss of each example, weighed by its class where the trial says so."""
    losses = recipe.task.losses(outputs, targets, hyperparameters)
    given = setting(hyperparameters, "class_weights")
    if given is None or not fold.class_weights.size:
        return losses
    weights = fold.class_weights if isinstance(given, str) else jnp.stack([jnp.asarray(w, losses.dtype) for w in given])
    return losses * weights[targets]


def _penalty(hyperparameters: Mapping[str, Any], parameters: Any) -> Any:
    """L1 and L2 penalties on weights: the parameters with two axes or more, not biases and scales."""
    weights = kernels_of(parameters)
    l1, l2 = setting(hyperparameters, "l1"), setting(hyperparameters, "l2")
    # jnp.abs has slope 1 at 0 and would move what is masked; this has 0 there
    absolute = 0.0 if l1 is None else l1 * sum((w * jnp.sign(w)).sum() for w in weights)
    squared = 0.0 if l2 is None else l2 * sum((w**2).sum() for w in weights)
    return absolute + squared


def _examples(data: Data, fold: Fold, rows: Any) -> tuple[Any, Any]:
    inputs, targets = data.inputs[rows], data.targets[rows]
    if not jnp.issubdtype(inputs.dtype, jnp.signedinteger):  # those are tokens
        inputs = (inputs.astype(jnp.result_type(float)) - fold.mean) / fold.scale
        if inputs.ndim == 2:  # a table's missing numbers become the mean of the training rows
            inputs = jnp.where(jnp.isnan(inputs), 0, inputs)
    if jnp.issubdtype(targets.dtype, jnp.floating):
        targets = (targets - fold.target_mean) / fold.target_scale
    return inputs, targets
