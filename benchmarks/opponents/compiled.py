"""Trainings that are compiled once per shape: what the expert writes.

Learning rate, weight decay and dropout are arguments of the programs, so trials with the same widths and batch size
share them. The folds of a trial are vmapped and their whole training is one scan. Convolutions on a CPU are the
exception: inside a scan, or vmapped over the folds, they run several times slower there, so their steps are taken from
Python, fold by fold.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks.opponents.networks import CNN, MLP

Floats = dict[str, Any]
Fold = dict[str, Any]  # key, order of the rows [epochs, steps, batch], validation rows and their weights
Carry = tuple[Any, Any, jax.Array]  # parameters, the optimizer's state, a random key


class TracedDropout:
    """Dropout whose rate may be a traced number, which that of Flax may not; a new key for each call."""

    def __init__(self, rate: jax.Array, key: jax.Array) -> None:
        self.rate, self.key = rate, key

    def __call__(self, x: jax.Array) -> jax.Array:
        """Drops some of the numbers and scales the others."""
        self.key, key = jax.random.split(self.key)
        return jnp.where(jax.random.bernoulli(key, 1 - self.rate, x.shape), x / (1 - self.rate), 0)


def _identity(x: jax.Array) -> jax.Array:
    return x


@dataclass(frozen=True)
class Training:
    """One fold's training as pure functions of arrays; equal ones share compiled programs.

    Attributes:
        network: its class.
        shape: of an image.
        widths: of the layers.
        classes: of the data.
        steps: of the whole training.
    """

    network: type[MLP] | type[CNN]
    shape: tuple[int, ...]
    widths: tuple[int, ...]
    classes: int
    steps: int

    def init(self, floats: Floats, key: jax.Array) -> Carry:
        """The state before the first step."""
        init_key, key = jax.random.split(key)
        params = nnx.state(self._model(init_key), nnx.Param)
        return params, self._optimizer(floats).init(params), key

    def step(self, x: jax.Array, y: jax.Array, floats: Floats, carry: Carry, rows: jax.Array) -> Carry:
        """The state after a step on some rows of the data."""
        params, state, key = carry
        key, dropout_key = jax.random.split(key)

        def loss(params: Any) -> jax.Array:
            model = nnx.merge(self._graph, params)
            model.dropout = TracedDropout(floats["dropout"], dropout_key)
            return optax.softmax_cross_entropy_with_integer_labels(model(x[rows]), y[rows]).mean()

        updates, state = self._optimizer(floats).update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state, key

    def accuracy(self, x: jax.Array, y: jax.Array, carry: Carry, fold: Fold) -> jax.Array:
        """The accuracy on the fold's validation rows."""
        logits = nnx.merge(self._graph, carry[0])(x[fold["valid"]])
        return ((logits.argmax(axis=-1) == y[fold["valid"]]) * fold["weights"]).sum()

    @functools.cached_property
    def _graph(self) -> Any:
        return nnx.graphdef(nnx.eval_shape(lambda: self._model(jax.random.key(0))))

    def _model(self, key: jax.Array) -> MLP | CNN:
        return self.network(self.shape, self.widths, self.classes, _identity, rngs=nnx.Rngs(key))

    def _optimizer(self, floats: Floats) -> optax.GradientTransformation:
        schedule = optax.cosine_decay_schedule(floats["learning_rate"], self.steps)
        return optax.adamw(schedule, weight_decay=floats["weight_decay"])


@functools.partial(jax.jit, static_argnums=0)
def train_scanned(training: Training, x: jax.Array, y: jax.Array, floats: Floats, folds: Fold) -> jax.Array:
    """The validation accuracies [folds, epochs] of a trial, all in one program."""

    def train_fold(fold: Fold) -> jax.Array:
        def step(carry: Carry, rows: jax.Array) -> tuple[Carry, None]:
            return training.step(x, y, floats, carry, rows), None

        def epoch(carry: Carry, order: jax.Array) -> tuple[Carry, jax.Array]:
            carry, _ = jax.lax.scan(step, carry, order)
            return carry, training.accuracy(x, y, carry, fold)

        return jax.lax.scan(epoch, training.init(floats, fold["key"]), fold["order"])[1]

    return jax.vmap(train_fold)(folds)


_init = jax.jit(Training.init, static_argnums=0)
_step = jax.jit(Training.step, static_argnums=0, donate_argnames="carry")
_accuracy = jax.jit(Training.accuracy, static_argnums=0)


def train_stepped(training: Training, x: jax.Array, y: jax.Array, floats: Floats, folds: Fold) -> np.ndarray:
    """The same, step by step and fold by fold."""
    return np.asarray(
        [
            _fold_stepped(training, x, y, floats, jax.tree.map(lambda leaf, i=i: leaf[i], folds))
            for i in range(len(folds["key"]))
        ]
    )


def _fold_stepped(training: Training, x: jax.Array, y: jax.Array, floats: Floats, fold: Fold) -> list[float]:
    carry, accuracies = _init(training, floats, fold["key"]), []
    for order in fold["order"]:
        for rows in order:
            carry = _step(training, x, y, floats, carry, rows)
        accuracies.append(float(_accuracy(training, x, y, carry, fold)))
    return accuracies
