"""One lane: one trial on one fold. Pure functions from state to state; nothing here knows that lanes are stacked."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from tuner.data import Spec
from tuner.hyperparameters import Signature
from tuner.nn.random import fold_in, shapes_only
from tuner.training.augmentation import augmented, draws, mixing, neighbours
from tuner.training.evaluation import merged, part_functions, reduced, sums_of
from tuner.training.optimizers import first_state, learning_rate, take_step
from tuner.training.settings import setting
from tuner.training.tasks import Task

Model = Callable[[Mapping[str, Any], Spec, nnx.Rngs], nnx.Module]


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


class Values(NamedTuple):
    """A model's values: its parameters, and its other state (statistics, random keys, traced hyperparameters)."""

    parameters: Any
    other: Any


class Lane(NamedTuple):
    """The state of a lane: model values, optimizer state, steps taken, and what does not change.

    numbers: of its hyperparameters. words: of the random key for what is done to batches, uint32 (2,).
    """

    values: Values
    optimizer: Any
    step: Any
    numbers: dict[str, Any]
    words: Any


@dataclass(frozen=True)
class Recipe:
    """All that is static of a lane: the model, what the data is, the task, the signature. Equal recipes train alike.

    frozen: patterns of the names of parameters that are not trained.
    """

    model: Model
    spec: Spec
    task: Task
    signature: Signature
    frozen: tuple[str, ...] = ()

    @property
    def number_shapes(self) -> dict[str, Any]:
        """Shape and type of each number: scalars, sizes whole and the others floats."""
        sizes, float_type = set(self.signature.sizes), jnp.result_type(float)
        return {
            path: jax.ShapeDtypeStruct((), jnp.int32 if path in sizes else float_type)
            for path in self.signature.number_paths
        }

    @cached_property
    def abstract(self) -> "Abstract":
        """The model's structure, from a build in which every number is traced and nothing is computed.

        Raises:
            Exception: whatever the model raises; a concretization error of JAX where it needs a number's value.
        """
        return _abstract(self)

    def build(self, numbers: Mapping[str, Any], rngs: nnx.Rngs) -> nnx.Module:
        """The model of these numbers, its values drawn from ``rngs``."""
        return self.model(self.signature.fill(numbers), self.spec, rngs)


def batch_shape(spec: Spec, rows: int) -> jax.ShapeDtypeStruct:
    """Shape and type of a batch of inputs as a model gets it."""
    kind = jnp.result_type(float) if spec.tokens is None else jnp.int32
    return jax.ShapeDtypeStruct((rows, *spec.input_shape), kind)


STREAMS = ("default", "params", "dropout")


def streams_of(key: Any) -> nnx.Rngs:
    """The random streams of a model: one a name in ``STREAMS``, folded from ``key``, a JAX random key."""
    return nnx.Rngs(**{name: jax.random.fold_in(key, index) for index, name in enumerate(STREAMS)})


@dataclass(frozen=True)
class Abstract:
    """A model without values: its graph in training and in evaluation, and the shapes of its values."""

    training: Any
    evaluation: Any
    values: Values


def initial_values(recipe: Recipe, numbers: Mapping[str, int | float], rngs: nnx.Rngs) -> Values:
    """The values of one lane before training, drawn on the host.

    Args:
        recipe: what the lane is.
        numbers: path to number; floats reach the model as arrays without axes, sizes as ints.
        rngs: the lane's random streams.
    """
    sizes = set(recipe.signature.sizes)
    concrete = {
        path: int(value) if path in sizes else jnp.asarray(value, jnp.result_type(float))
        for path, value in numbers.items()
    }
    return _split(recipe.build(concrete, rngs), recipe)[1]


def start(recipe: Recipe, values: Values, numbers: dict[str, Any], words: Any) -> Lane:
    """A lane that has taken no step."""
    state = first_state(recipe.signature.fill(numbers), values.parameters)
    return Lane(values, state, jnp.zeros((), jnp.int32), numbers, words)


def apply(recipe: Recipe, graph: Any, values: Values, inputs: Any) -> tuple[Any, Any]:
    """A model's outputs for a batch, and its other state after it."""
    module = nnx.merge(graph, values.parameters, values.other, copy=True)
    outputs = module(inputs)
    return outputs, _split(module, recipe)[1].other


def kernels_of(parameters: Any, lanes_axes: int = 0) -> list[Any]:
    """The parameters with two axes or more, but for biases, in the order of the tree.

    ``lanes_axes`` axes come before those.
    """
    leaves = jax.tree_util.tree_leaves_with_path(parameters)
    return [leaf for path, leaf in leaves if leaf.ndim >= 2 + lanes_axes and not _is_bias(path)]


def _is_bias(path: Any) -> bool:
    names = [key.key for key in path if isinstance(key, jax.tree_util.DictKey)]
    return bool(names) and names[-1] == "bias"


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


def _split(module: nnx.Module, recipe: Recipe) -> tuple[Any, Values]:
    trained = nnx.Param if not recipe.frozen else nnx.All(nnx.Param, lambda path, _: not is_frozen(path, recipe.frozen))
    graph, parameters, other = nnx.split(module, trained, ...)  # type: ignore[misc]  # Flax annotates it so
    return graph, Values(parameters, other)


def name_of(path: Iterable[Any]) -> str:
    """The name of a value in a model: ``layers.0.kernel``."""
    return ".".join(map(str, path))


def is_frozen(path: Iterable[Any], patterns: Iterable[str]) -> bool:
    """Whether a value's name fits one of these patterns (as of shells: ``convolutions.*``)."""
    name = name_of(path)
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _keep_frozen_statistics(module: nnx.Module, recipe: Recipe) -> None:
    """Normalizations whose parameters are all frozen use their running statistics in training too."""
    for path, part in nnx.iter_modules(module):
        if getattr(part, "use_running_average", None) is False:
            names = [(*path, name) for name in ("scale", "bias") if isinstance(getattr(part, name, None), nnx.Param)]
            if names and all(is_frozen(name, recipe.frozen) for name in names):
                part.use_running_average = True  # type: ignore[attr-defined]


def _abstract(recipe: Recipe) -> Abstract:
    graphs = {}

    def build(numbers: Mapping[str, Any], key: Any) -> Values:
        module = recipe.build(numbers, streams_of(key))
        module.eval()
        graphs["evaluation"], _ = _split(module, recipe)
        module.train()
        if recipe.frozen:
            _keep_frozen_statistics(module, recipe)
        graphs["training"], values = _split(module, recipe)
        return values

    with shapes_only():
        values = jax.eval_shape(build, recipe.number_shapes, jax.eval_shape(lambda: jax.random.key(0)))
    return Abstract(graphs["training"], graphs["evaluation"], values)
