"""What is static of a lane, its recipe, and the model that it builds: structure and values."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from tuner.data import Spec
from tuner.hyperparameters import Signature
from tuner.nn.random import shapes_only
from tuner.training.tasks import Task

Model = Callable[[Mapping[str, Any], Spec, nnx.Rngs], nnx.Module]


class Values(NamedTuple):
    """A model's values: its parameters, and its other state (statistics, random keys, traced hyperparameters)."""

    parameters: Any
    other: Any


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


@dataclass(frozen=True)
class Abstract:
    """A model without values: its graph in training and in evaluation, and the shapes of its values."""

    training: Any
    evaluation: Any
    values: Values


def batch_shape(spec: Spec, rows: int) -> jax.ShapeDtypeStruct:
    """Shape and type of a batch of inputs as a model gets it."""
    kind = jnp.result_type(float) if spec.tokens is None else jnp.int32
    return jax.ShapeDtypeStruct((rows, *spec.input_shape), kind)


STREAMS = ("default", "params", "dropout")


def streams_of(key: Any) -> nnx.Rngs:
    """The random streams of a model: one a name in ``STREAMS``, folded from ``key``, a JAX random key."""
    return nnx.Rngs(**{name: jax.random.fold_in(key, index) for index, name in enumerate(STREAMS)})


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


def name_of(path: Iterable[Any]) -> str:
    """The name of a value in a model: ``layers.0.kernel``."""
    return ".".join(map(str, path))


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether a value's name fits one of these patterns (as of shells: ``convolutions.*``)."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_bias(path: Any) -> bool:
    names = [key.key for key in path if isinstance(key, jax.tree_util.DictKey)]
    return bool(names) and names[-1] == "bias"


def _split(module: nnx.Module, recipe: Recipe) -> tuple[Any, Values]:
    trained = (
        nnx.Param if not recipe.frozen else nnx.All(nnx.Param, lambda path, _: not fits(name_of(path), recipe.frozen))
    )
    graph, parameters, other = nnx.split(module, trained, ...)  # type: ignore[misc]  # Flax annotates it so
    return graph, Values(parameters, other)


def _keep_frozen_statistics(module: nnx.Module, recipe: Recipe) -> None:
    """Normalizations whose parameters are all frozen use their running statistics in training too."""
    for path, part in nnx.iter_modules(module):
        if getattr(part, "use_running_average", None) is False:
            names = [(*path, name) for name in ("scale", "bias") if isinstance(getattr(part, name, None), nnx.Param)]
            if names and all(fits(name_of(name), recipe.frozen) for name in names):
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
